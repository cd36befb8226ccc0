"""What all expressions of recipes have in common.

::

    Planned ── PlannedFrame       abstract: projections and filters pass through it
    Cells ── BeforeCells          concrete: output partitions, and all that has to run before them

A recipe is one abstract node until dask optimises it, and one concrete node from
then on. What the concrete node is made of (reads, stage tasks, shards) is kept
out of the optimiser's sight: dask optimises an expression again whenever it is
persisted, computed in part or turned into delayed objects, and would join
partitions that were read, rename tasks whose keys are known elsewhere, and
select partitions of what comes before an exchange instead of partitions of its
result.

Covers: checking and announcing a plan that is about to run; divisions; lowering;
projections; selecting output partitions, with only what those need of the tasks
before them.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable
from typing import Any, ClassVar

import dask
from dask.task_spec import Alias, DataNode

from safeframe._dask.expressions import (
    BlockwiseIO,
    Expr,
    PartitionsFiltered,
    Projection,
    determine_column_projection,
)
from safeframe._dask.steps import FusedStep, Step
from safeframe._dask.trees import graph_of, is_lowering, own_steps, text_lines
from safeframe.engine.planned.fusion import fused_with_consumer
from safeframe.engine.planned.progress import graph_made, output_made
from safeframe.engine.planned.sources import check_sources
from safeframe.engine.task import begin
from safeframe.facts.files import SourceFiles
from safeframe.facts.plan import Plan
from safeframe.units import shortened

_LINE_LENGTH = 120


class GivenOutput(Expr):  # type: ignore[misc]  # dask's expressions are untyped
    """Output partitions whose types and divisions are the operands ``meta`` and ``given_divisions``."""

    @property
    def _meta(self) -> Any:
        return self.operand("meta")

    def _divisions(self) -> Any:
        return self.given_divisions


class Planned(Step):
    """A recipe before its graph is made.

    A subclass has ``_words``, the name of the recipe, which its run has, too, and ``_concrete``, which returns the expression of its output
    partitions. Its operands may have the plan, as ``plan``, and the divisions of
    the result, as ``given_divisions``.
    """

    def _concrete(self) -> Any:
        raise NotImplementedError

    @property
    def own_plan(self) -> Plan | None:
        """The plan that the recipe made; None where nothing was planned."""
        return self.operand("plan") if "plan" in self._parameters else None

    @property
    def _plan(self) -> Plan | None:
        """The plan that runs; None where nothing was planned."""
        return self.own_plan

    def __str__(self) -> str:
        return f"{type(self).__name__}({', '.join([*self._described(), self._name[-7:]])})"

    def _described(self) -> list[str]:
        """Return the plan in words: what else a node is made of is for the engine."""
        plan = self.own_plan
        return [] if plan is None else [plan.recipe, plan.strategy]

    def _tree_repr_lines(self, indent: int = 0, recursive: bool = True) -> list[str]:
        below = [line for part in self.dependencies() for line in text_lines(part, indent + 2)]
        header = f"{type(self).__name__}: {' '.join(self._described())}".rstrip()
        return [" " * indent + header, *(below if recursive else [])]

    def _divisions(self) -> Any:
        given = self.operand("given_divisions") if "given_divisions" in self._parameters else None
        # Unknown ones need not be an operand: there may be millions, and a token takes each.
        return given or (None,) * (self.operand("plan").output_partitions + 1)

    def _begin(self, plan: Plan) -> None:
        """Check and announce the plan.

        Raises
        ------
        MemoryBudgetError, StagingFullError
            When the plan does not fit.
        """
        begin(plan)

    def _hidden(self) -> Hidden:
        plan = self._plan
        if plan is not None:
            check_sources(plan.sources)
            self._begin(plan)
        hidden = Hidden(self._concrete(), None if plan is None else plan.sources)
        hidden.recipe, hidden.plan = str(self._words), plan
        hidden.announce()
        return hidden

    def _tune_down(self) -> Any:
        # Before dask's tune pass reaches what comes before: it joins partitions of parquet files that were
        # projected to few columns, and a plan's memory is a formula of the partitions that it was made for.
        return Cells(self._hidden(), None)

    def _lower(self) -> Any:
        # Where dask makes a graph of a collection without optimising it, names have to stay: it combines an array
        # of a frame's values with the frame by the name that the frame had before.
        is_bare = dask.config.get("optimization.tune.active", True) and not is_lowering()
        return None if is_bare else Cells(self._hidden(), None)

    def _layer(self) -> dict[Any, Any]:
        hidden = self._hidden()
        keys = self.__dask_keys__()
        return {
            **unordered(self._name),
            **hidden.before(range(len(keys))),
            **{key: named(hidden.output(number), key) for number, key in enumerate(keys)},
        }


class PlannedFrame(Planned):
    """A recipe on one frame, the first operand, whose result has that frame's columns."""

    @property
    def _keys(self) -> Collection[Any]:
        """Columns that the recipe itself needs."""
        return ()

    def _simplify_up(self, parent: Any, dependents: Any) -> Any:
        if not isinstance(parent, Projection):
            return None
        found = determine_column_projection(self, parent, dependents)
        narrow = self._projected({*found} if isinstance(found, list) else {found})
        return None if narrow is None else type(parent)(narrow, *parent.operands[1:])

    def _projected(self, wanted: set[Any]) -> Planned | None:
        """Return this recipe on fewer columns, or None where it needs all that there are."""
        needed = wanted.union(self._keys)
        columns = [name for name in self.frame.columns if name in needed]
        if len(columns) == len(self.frame.columns):
            return None
        return type(self)(self.frame[columns], *self.operands[1:])


class Hidden:
    """An expression that dask's optimiser does not look into; it is what its name says.

    Parameters
    ----------
    tree
        The expression.
    sources
        The files that its plan was made of, where they are known.
    """

    recipe = ""
    plan: Plan | None = None
    """What shows progress knows it by, in the process where it was made; no task needs them."""

    def __init__(self, tree: Any, sources: SourceFiles | None = None) -> None:
        self.tree = tree
        self.sources = sources

    def announce(self, output: Any = None) -> None:
        """Tell who shows progress of the steps before the output, and of output partitions by the name of these."""
        graph_made(self.recipe, functools.partial(own_steps, self.tree, "safeframe"), self.plan)
        if output is not None:
            output_made(self.recipe, lambda: [(output._name, output.npartitions)], self.plan)

    @functools.cached_property
    def graph(self) -> dict[Any, Any]:
        """All tasks."""
        return graph_of(self.tree)

    def output(self, number: int) -> Any:
        """Return the task of an output partition."""
        return self.graph[self.tree._name, number]

    def tasks(self, number: int) -> list[Any]:
        """Return the tasks that are one as an output partition's: its own first, and of those before it what was fused."""
        return self.tree.tasks(number) if isinstance(self.tree, FusedStep) else [self.output(number)]

    def before(self, numbers: Iterable[int]) -> dict[Any, Any]:
        """Return the tasks that some output partitions need, without those partitions' own."""
        found: dict[Any, Any] = {}
        waiting = [key for number in numbers for key in self.output(number).dependencies]
        while waiting:
            key = waiting.pop()
            # Keys that are not there are those of futures.
            if key not in found and key in self.graph:
                found[key] = self.graph[key]
                waiting.extend(found[key].dependencies)
        return found

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return "safeframe-hidden", self.tree._name, self.sources

    def __repr__(self) -> str:
        return f"<{type(self.tree).__name__}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Hidden, (self.tree, self.sources)


class Cells(PartitionsFiltered, BlockwiseIO):  # type: ignore[misc]
    """Output partitions of a recipe, each a task that takes what it needs of anything before it."""

    _parameters: ClassVar[list[str]] = ["hidden", "_partitions"]
    _defaults: ClassVar[dict[str, Any]] = {"_partitions": None}

    @property
    def tree(self) -> Any:
        """The expression that the partitions are made by."""
        return self.hidden.tree

    @functools.cached_property
    def _name(self) -> str:
        return f"{self.tree._name.rsplit('-', 1)[0]}-{self.deterministic_token}"

    @property
    def _meta(self) -> Any:
        return self.tree._meta

    def _divisions(self) -> Any:
        return self.tree.divisions

    @functools.cached_property
    def _before(self) -> list[Any]:
        return [BeforeCells(self.hidden, self.operand("_partitions"))]

    def dependencies(self) -> list[Any]:
        """Return the tasks before these partitions, as one expression."""
        return self._before

    def _lower(self) -> None:
        # What was optimised before is lowered again whenever it is computed, and files may have changed since.
        check_sources(self.hidden.sources)
        self.hidden.announce(self)

    def _filtered_task(self, name: Any, index: int) -> Any:
        return named(self.hidden.output(index), name)

    def _simplify_up(self, parent: Any, dependents: Any) -> Any:
        if self.operand("_partitions") is not None:
            self.hidden.announce(self)  # selected from those that were lowered
        return fused_with_consumer(self, parent, dependents)

    def _tree_repr_lines(self, indent: int = 0, recursive: bool = True) -> list[str]:
        chosen = "" if self.operand("_partitions") is None else f" _partitions={self.operand('_partitions')}"
        # Operands of what is below are tasks' arguments: types, layouts, arrays.
        lines = text_lines(self.tree, indent + 2) if recursive else []
        below = [shortened(line.replace("\n", " "), _LINE_LENGTH) for line in lines]
        return [" " * indent + f"Cells:{chosen}", *below]


class BeforeCells(Expr):  # type: ignore[misc]
    """What has to run before output partitions: the tasks that those need, and no others."""

    _parameters: ClassVar[list[str]] = ["hidden", "numbers"]
    _meta = None

    def _divisions(self) -> Any:
        return (None, None)

    def _layer(self) -> dict[Any, Any]:
        hidden: Hidden = self.hidden
        numbers = self.operand("numbers")
        tasks = hidden.before(range(hidden.tree.npartitions) if numbers is None else numbers)
        return {**unordered(self._name), **tasks} if tasks else {}

    def _lower(self) -> None:
        # Below cells that are fused with other steps, and not below those that are not.
        check_sources(self.hidden.sources)
        self.hidden.announce()

    def _tree_repr_lines(self, indent: int = 0, recursive: bool = True) -> list[str]:
        return []


def unordered(name: str) -> dict[str, Any]:
    """Return a key that is in no order with those of partitions.

    ``dask.optimize`` takes the first of all keys of a graph, in order, for those
    of the frame. With this one it raises, where it would return rows of other steps.
    """
    key = f"unordered-{name.rsplit('-', 1)[-1]}"
    return {key: DataNode(key, None)}


def named(task: Any, key: Any) -> Any:
    """Return a task under another key."""
    return Alias(key, task.target) if isinstance(task, Alias) else task.substitute({}, key=key)
