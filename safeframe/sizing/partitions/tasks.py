"""Runs a function on key columns of every partition, with few tasks and little held at once.

Covers: which columns are read, and how partitions are grouped into tasks.

A partition that dask makes from nothing but its own task (a file to read, a
call of ``from_map``) needs no task of its own: several such are run one after
the other inside one task of ours, and their results are reduced as they come.
That saves most of the scheduling, and a task holds one partition at a time.
Partitions that depend on other tasks, and those in memory, get a task each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

import dask
import dask.dataframe as dd
import pandas as pd
from dask.delayed import Delayed, delayed
from dask.task_spec import Task

from safeframe import options
from safeframe._dask.trees import layer_of

T = TypeVar("T")


class Part(Protocol):
    """A partition that is made within a task of ours."""

    def make(self) -> Any:
        """Return it."""


class PartitionTask:
    """A partition's own task, out of dask's sight, so that it runs when we say."""

    __slots__ = ("task",)

    def __init__(self, task: Task) -> None:
        self.task = task

    def make(self) -> Any:
        """Run it."""
        return self.task()

    def __getstate__(self) -> Task:
        return self.task

    def __setstate__(self, state: Task) -> None:
        self.task = state


def project(ddf: dd.DataFrame, on: Sequence[Any]) -> dd.DataFrame:
    """Leave only the columns named; the index comes along by itself."""
    return ddf[[name for name in dict.fromkeys(on) if name in ddf._meta.columns]]


def each_partition_keys(
    ddf: dd.DataFrame,
    on: Sequence[Any],
    function: Callable[..., T],
    reduce: Callable[[list[T]], T],
    *args: Any,
    feedback: Callable[[T], Any] | None = None,
) -> list[Delayed]:
    """Call ``function(keys, *args)`` on the key columns of every partition.

    A name in ``on`` that is no column is that of an index level. See :func:`each_partition`.
    """
    return each_partition(project(ddf, on), _with_keys, reduce, function, tuple(on), *args, feedback=feedback)


def _with_keys(frame: pd.DataFrame, function: Callable[..., T], on: tuple[Any, ...], *args: Any) -> T:
    return function(keys_of(frame, on), *args)


def keys_of(frame: pd.DataFrame, on: Sequence[Any]) -> list[pd.Series[Any]]:
    """Return the key columns of a partition; a name that is no column is that of an index level."""
    return [
        frame[name] if name in frame.columns else frame.index.get_level_values(name).to_series()
        for name in on
    ]


def each_partition(
    ddf: dd.DataFrame,
    function: Callable[..., T],
    reduce: Callable[[list[T]], T],
    *args: Any,
    feedback: Callable[[T], Any] | None = None,
) -> list[Delayed]:
    """Call ``function(partition, *args)`` on every partition, and reduce neighbours within a task.

    Parameters
    ----------
    ddf
        The frame, projected to what is needed.
    function
        What is done with a partition.
    reduce
        Joins results of neighbouring partitions, in order.
    *args
        Further arguments of ``function``.
    feedback
        What ``function`` gets of the results so far, as one more argument, a list:
        of the first few tasks, which all others wait for, and of the partitions
        before it in its task.

    Returns
    -------
    list of Delayed
        One for each group of partitions, in order.

    Notes
    -----
    The optimiser's tune pass stays off: it would join partitions of a narrow
    parquet frame, and the figures are of the partitions that the user sees.
    """
    with dask.config.set({"optimization.tune.active": False}):
        optimised = ddf.optimize()
        graph, keys = dict(optimised.__dask_graph__()), optimised.__dask_keys__()
        if not all(stands_alone(graph[key]) for key in keys):
            run = _Runs(function, reduce, args, feedback)
            return run.tasks(optimised.to_delayed(optimize_graph=False))
    return grouped_tasks([PartitionTask(graph[key]) for key in keys], function, reduce, args, feedback)


def grouped_tasks(
    parts: Sequence[Part],
    function: Callable[..., T],
    reduce: Callable[[list[T]], T],
    args: tuple[Any, ...],
    feedback: Callable[[T], Any] | None,
) -> list[Delayed]:
    """Call ``function(partition, *args)`` on partitions that are made within our tasks, several in each; see :func:`each_partition`."""
    size = max(1, min(options.KEY_TASK_PARTITIONS, len(parts) // options.KEY_MIN_TASKS))
    groups = [PartitionTasks(parts[at : at + size]) for at in range(0, len(parts), size)]
    return _Runs(function, reduce, args, feedback).tasks(groups)


def joined_lists(lists: list[list[T]]) -> list[T]:
    """Return lists as one, as :func:`each_partition` takes it."""
    return [item for some in lists for item in some]


def total(counts: list[int]) -> int:
    """Return the sum of counts, as :func:`each_partition` takes it."""
    return sum(counts)


class PartitionTasks:
    """Partitions' own tasks inside one task of ours; dask does not look inside."""

    __slots__ = ("tasks",)

    def __init__(self, tasks: Sequence[Part]) -> None:
        self.tasks = tasks

    def __iter__(self) -> Iterator[Part]:
        return iter(self.tasks)


def stands_alone(node: Any) -> bool:
    """Whether a node of a graph is a task that needs no other."""
    return isinstance(node, Task) and not node.dependencies


def own_tasks(frame: Any) -> list[Task] | None:
    """Return the tasks of a frame's partitions, when each needs nothing but itself."""
    layer = layer_of(frame)
    tasks = [layer.get(key) for key in frame.__dask_keys__()]
    return tasks if all(stands_alone(task) for task in tasks) else None


class _Runs(Generic[T]):
    """Tasks that do the same with groups of partitions."""

    def __init__(
        self,
        function: Callable[..., T],
        reduce: Callable[[list[T]], T],
        args: tuple[Any, ...],
        feedback: Callable[[T], Any] | None,
    ) -> None:
        self._function, self._reduce, self._args, self._feedback = function, reduce, args, feedback

    def tasks(self, groups: Sequence[Any]) -> list[Delayed]:
        """Return a task for each group."""
        run = delayed(_run, pure=False)
        given = self._function, self._reduce, self._args, self._feedback
        tasks = [run(group, *given, []) for group in groups[: options.KEY_FIRST_TASKS]]
        if self._feedback is None or len(tasks) == len(groups):
            return tasks + [run(group, *given, []) for group in groups[options.KEY_FIRST_TASKS :]]
        # The first tasks are done at about the same time.
        tell = delayed(self._feedback, pure=False)
        told = delayed(list, pure=False)([tell(task) for task in tasks])
        return tasks + [run(group, *given, told) for group in groups[options.KEY_FIRST_TASKS :]]


def _run(
    group: PartitionTasks | pd.DataFrame,
    function: Callable[..., T],
    reduce: Callable[[list[T]], T],
    args: tuple[Any, ...],
    feedback: Callable[[T], Any] | None,
    told: list[Any],
) -> T:
    makes: list[Callable[[], Any]] = (
        [task.make for task in group] if isinstance(group, PartitionTasks) else [lambda: group]
    )
    result: T | None = None
    for make in makes:
        if feedback is None:
            new = function(make(), *args)
        else:
            new = function(make(), *args, told if result is None else [*told, feedback(result)])
        result = new if result is None else reduce([result, new])
    assert result is not None
    return result
