"""Our own functions on any expression of dask's, whatever it is of.

Covers: all parts of an expression, a name that is the same in every process,
tasks, those that need no other, and concrete form, arguments of an operation, columns of a grouping.
Does not cover: dask's classes (``expressions``), parquet sources (``parquet``).

Of an expression that a collection is of (``ddf.expr``) only operands, ``walk``,
``substitute`` and the like have no underscore; what is used here has one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

# No public name: tasks in dask's old form are still among those of dask's own expressions.
from dask._task_spec import convert_legacy_graph
from dask.base import tokenize
from dask.task_spec import Task

from safeframe._dask.expressions import Expr

__all__ = [
    "every_part",
    "fingerprint",
    "graph_of",
    "grouping_columns",
    "is_concrete",
    "is_lowering",
    "layer_of",
    "lowered",
    "operation_arguments",
    "own_steps",
    "own_tasks",
    "stands_alone",
    "takes_one_column",
    "task_of",
    "text_lines",
    "with_sources",
    "without_exchange",
]


def graph_of(expr: Any) -> dict[Any, Any]:
    """Return the tasks of a concrete expression, each an object of ``dask.task_spec``."""
    return dict(convert_legacy_graph(expr.__dask_graph__()))


def layer_of(expr: Any) -> dict[Any, Any]:
    """Return an expression's own tasks, without those of what it is made of."""
    return dict(expr._layer())


def task_of(expr: Any, number: int) -> Any:
    """Return the task that makes a partition of a concrete expression of what that takes, under the partition's key."""
    return expr._task((expr._name, number), number)


def is_concrete(expr: Any) -> bool:
    """Whether an expression has tasks of its own as it is, rather than being made into another one first."""
    return expr._lower() is None


def text_lines(expr: Any, indent: int) -> list[str]:
    """Return the lines that show an expression, as ``pprint`` prints them."""
    lines: list[str] = expr._tree_repr_lines(indent)
    return lines


def operation_arguments(expr: Any) -> tuple[list[Any], dict[str, Any]]:
    """Return what ``expr.operation`` is called with on each partition; expressions stand for their partitions."""
    return list(expr._args), dict(expr._kwargs)


def grouping_columns(grouping: Any) -> list[Any] | None:
    """Return the columns that a grouping is by; None where it is by something else, too."""
    columns: list[Any] = grouping._by_columns
    return columns if len(columns) == len(grouping.by) else None


def without_exchange(grouping: Any) -> Any:
    """Return a grouping that takes each partition's groups to be whole."""
    # As dask itself has it where it knows that keys are whole; of this very expression it is true for good.
    grouping.__dict__["need_to_shuffle"] = False
    return grouping._lower()


def takes_one_column(grouping: Any) -> bool:
    """Whether an aggregation of groups is of one column, by its name: its results are named by functions alone."""
    return isinstance(grouping._slice, str)


_lowering: ContextVar[bool] = ContextVar("safeframe-lowering", default=False)


def lowered(expr: Any) -> Any:
    """Return the concrete form of an expression, with the partitions that it was planned with.

    dask's tune pass, which joins partitions of parquet files, is left out:
    ``optimize`` of a collection, which is public, has it.
    """
    token = _lowering.set(True)
    try:
        return expr.lower_completely().simplify()
    finally:
        _lowering.reset(token)


def is_lowering() -> bool:
    """Whether an expression is being lowered for what comes after it, by :func:`lowered`."""
    return _lowering.get()


def every_part(expr: Any) -> Iterator[Any]:
    """List an expression and all below it, in what dask has fused and in what its optimiser does not look into."""
    waiting, seen = [expr], set()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        for operand in part.operands:
            below = operand if isinstance(operand, list) else [operand]
            waiting.extend(one for one in below if isinstance(one, Expr))
        if "hidden" in part._parameters:  # of safeframe's own nodes
            waiting.append(part.operand("hidden").tree)


def with_sources(expr: Any, replaced: Callable[[Any], Any | None], *, but: str) -> Any:
    """Return an expression with other sources, as far down as the steps of a package, ``but``, which stay as they are.

    Parameters
    ----------
    expr
        The expression, as a collection has it.
    replaced
        Returns what takes the place of an expression; None where it stays.
    but
        The package.
    """
    done: dict[str, Any] = {}

    def made_of(operands: list[Any]) -> list[Any]:
        """Return operands, the same list where all of them stay."""
        others = [made(one) for one in operands]
        return operands if all(one is other for one, other in zip(operands, others, strict=True)) else others

    def made(node: Any) -> Any:
        if isinstance(node, list):
            return made_of(node)
        if not isinstance(node, Expr) or type(node).__module__.partition(".")[0] == but:
            return node
        name = node._name
        if name not in done:
            found = replaced(node)
            if found is None:
                operands = made_of(node.operands)
                found = node if operands is node.operands else type(node)(*operands)
            done[name] = found
        return done[name]

    return made(expr)


def own_steps(expr: Any, package: str) -> list[tuple[str, int]]:
    """Return name and number of partitions of each expression below one that is of a package's classes and has tasks.

    Those that are fused into one have no tasks of their own.
    """
    waiting, seen, found = [*_before(expr)], {expr._name}, []
    while waiting:
        part = waiting.pop()
        if part._name in seen:
            continue
        seen.add(part._name)
        if type(part).__module__.startswith(f"{package}."):
            found.append((part._name, part.npartitions))
        waiting.extend(_before(part))
    return found


def _before(expr: Any) -> list[Any]:
    """Return what an expression needs to be there; of what dask does not look into what is needed in turn."""
    hidden = expr.operand("hidden").tree.dependencies() if "hidden" in expr._parameters else []
    return [*expr.dependencies(), *hidden]


def stands_alone(node: Any) -> bool:
    """Whether a node of a graph is a task that needs no other."""
    return isinstance(node, Task) and not node.dependencies


def own_tasks(frame: Any) -> list[Task] | None:
    """Return the tasks of a frame's partitions, when each needs nothing but itself."""
    layer = layer_of(frame)
    tasks = [layer.get(key) for key in frame.__dask_keys__()]
    return tasks if all(stands_alone(task) for task in tasks) else None


def fingerprint(expr: Any) -> str:
    """Return a name of an expression that is the same in every process that makes it.

    dask's own name of a parquet read has objects of its process in it.
    """
    return _fingerprint(expr, {})


def _fingerprint(expr: Any, done: dict[str, str]) -> str:
    if expr._name not in done:
        parts: list[object] = [type(expr).__name__]
        for number, operand in enumerate(expr.operands):
            if isinstance(operand, Expr):
                parts.append(_fingerprint(operand, done))
            elif expr._parameters[number : number + 1] == ["_dataset_info_cache"]:
                parts.append(expr.checksum)
            elif expr._parameters[number : number + 1] != [
                "_pd_length_stats"
            ]:  # which dask fills when asked for
                parts.append(tokenize(operand))
        done[expr._name] = tokenize(parts)
    return done[expr._name]
