"""Runs a function on columns of every partition, with few tasks and little held at once.

Covers: which columns are read, how partitions are grouped into tasks, and the slices of a partition that a function
gets one after the other, where it is read from parquet files (``sizing.partitions.slices`` says which).

A partition that dask makes from nothing but its own task (a file to read, a
call of ``from_map``) needs no task of its own: several such are run one after
the other inside one task of ours, and their results are reduced as they come.
That saves most of the scheduling, and a task holds one partition at a time.
Partitions that depend on other tasks, and those in memory, get a task each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import dask
import dask.dataframe as dd
import pandas as pd
from dask.delayed import Delayed
from dask.task_spec import Task

from safeframe import options
from safeframe._dask.trees import stands_alone
from safeframe.kernels.columns.categories import text_columns
from safeframe.progress.tasks import named_tasks
from safeframe.sizing.columns.fixed_widths import fixed_nbytes
from safeframe.sizing.parquet.column_sets import ANY_WAY, Reading
from safeframe.sizing.parquet.damaged import reading_of
from safeframe.sizing.partitions.slices import ParquetPart, sliced_parts

T = TypeVar("T")
P = TypeVar("P")


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
        with reading_of(self.task):
            return self.task()


def project(ddf: dd.DataFrame, on: Sequence[Any]) -> dd.DataFrame:
    """Leave only the columns named; the index comes along by itself."""
    return ddf[[name for name in dict.fromkeys(on) if name in ddf._meta.columns]]


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
    step: str,
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
    step
        The words that the tasks' keys begin with, as in ``count-rows``.
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
            made = optimised.to_delayed(optimize_graph=False)
            return _tasks_of(made, function, reduce, args, step, feedback)
    return grouped_tasks([PartitionTask(graph[key]) for key in keys], function, reduce, args, step, feedback)


def each_slice(
    ddf: dd.DataFrame,
    function: Callable[..., T],
    reduce: Callable[[list[T]], T],
    *args: Any,
    step: str,
    of_slices: Callable[[list[T]], T] | None = None,
    nbytes: int = options.SLICE_NBYTES,
    reading: Reading = ANY_WAY,
    feedback: Callable[[T], Any] | None = None,
) -> list[Delayed]:
    """Call ``function(rows, *args)`` on slices of every partition; see :func:`each_partition`.

    Parameters
    ----------
    ddf, function, reduce, *args, step, feedback
        As for :func:`each_partition`. A partition that has to be made whole is one slice.
    of_slices
        Joins results of slices of one partition, in order; ``reduce`` by default.
    nbytes
        Bytes of a slice.
    reading
        How files are streamed.
    """
    parts = sliced_parts(ddf)
    if parts is None:
        return each_partition(ddf, function, reduce, *args, step=step, feedback=feedback)
    slices = [Slices(part, ddf._meta, nbytes, reading) for part in parts]
    return grouped_tasks(slices, _over_slices, reduce, (function, of_slices or reduce, *args), step, feedback)


def each_slice_keys(
    ddf: dd.DataFrame,
    on: Sequence[Any],
    function: Callable[..., T],
    of_slices: Callable[[list[T]], T],
    reduce: Callable[[list[T]], T],
    *args: Any,
    step: str,
    room_nbytes: int | None = None,
    feedback: Callable[[T], Any] | None = None,
) -> list[Delayed]:
    """Call ``function(keys, *args)`` on the key columns, or index levels, of slices of every partition; see :func:`each_slice`.

    Parameters
    ----------
    ddf, function, of_slices, reduce, *args, step, feedback
        As for :func:`each_slice`.
    on
        The key columns, or index levels.
    room_nbytes
        Bytes that a slice may take with all that counting its keys does; None for as many as are good.
    """
    narrow = project(ddf, on)
    slices = key_slices(narrow, room_nbytes)
    return each_slice(
        narrow,
        _with_keys,
        reduce,
        function,
        of_slices,
        tuple(on),
        slices.rows,
        *args,
        step=step,
        of_slices=of_slices,
        nbytes=slices.nbytes,
        # Codes of categories are those of their values, each of which is then hashed once.
        reading=Reading(as_categories=text_columns(narrow._meta.dtypes.to_dict())),
        feedback=feedback,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class KeySlices:
    """How much of the key columns of a partition is read at a time."""

    rows: int
    """Rows, at most."""
    nbytes: int
    """Bytes, at most."""
    row_nbytes: float
    """Bytes of a row; of strings what a short one has."""


def key_slices(narrow: dd.DataFrame, room_nbytes: int | None) -> KeySlices:
    """Return slices whose keys are counted in so many bytes, or as large as is good.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = dd.from_pandas(pd.DataFrame({"k": [1, 2]}), npartitions=1)
    >>> key_slices(frame, None).rows, key_slices(frame, 2**24).rows
    (1048576, 226719)
    """
    widths = [fixed_nbytes(dtype) for dtype in narrow._meta.dtypes]
    row_nbytes = max(1.0, sum(options.KEY_TEXT_NBYTES if width is None else width for width in widths))
    rows = options.KEY_SLICE_ROWS
    if room_nbytes is not None:
        most = int(room_nbytes / (options.KEY_SLICE_COPIES * row_nbytes + options.KEY_ROW_NBYTES))
        rows = min(rows, max(options.KEY_MIN_SLICE_ROWS, most))
    nbytes = min(options.KEY_SLICE_NBYTES, int(rows * row_nbytes))
    return KeySlices(rows=rows, nbytes=nbytes, row_nbytes=row_nbytes)


def _with_keys(
    frame: pd.DataFrame,
    function: Callable[..., T],
    of_slices: Callable[[list[T]], T],
    on: tuple[Any, ...],
    rows: int,
    *args: Any,
) -> T:
    """Call the function on some rows at a time: a slice of very short strings has more."""
    keys = keys_of(frame, on)
    parts = ([key.iloc[start : start + rows] for key in keys] for start in range(0, max(1, len(frame)), rows))
    return _over_slices(parts, function, of_slices, *args)


class Slices:
    """A partition that is read when it is looked at."""

    __slots__ = ("empty", "nbytes", "part", "reading")

    def __init__(
        self, part: ParquetPart, empty: pd.DataFrame, nbytes: int, reading: Reading = ANY_WAY
    ) -> None:
        self.part = part
        self.empty = empty
        self.nbytes = nbytes
        self.reading = reading

    def make(self) -> Iterator[pd.DataFrame]:
        """Return its slices; one without rows where it has none."""
        none = True
        for frame in self.part.slices(self.nbytes, self.reading):
            none = False
            yield frame
            del frame
        if none:
            yield self.empty


def _over_slices(
    slices: Iterator[Any], function: Callable[..., T], of_slices: Callable[[list[T]], T], *args: Any
) -> T:
    result: T | None = None
    for frame in slices:
        new = function(frame, *args)
        del frame
        result = new if result is None else of_slices([result, new])
    assert result is not None, "there is one slice at the least"
    return result


def grouped_tasks(
    parts: Sequence[Part],
    function: Callable[..., T],
    reduce: Callable[[list[T]], T],
    args: tuple[Any, ...],
    step: str,
    feedback: Callable[[T], Any] | None,
) -> list[Delayed]:
    """Call ``function(partition, *args)`` on partitions that are made within our tasks, several in each; see :func:`each_partition`."""
    size = _group_size(len(parts))
    groups = [PartitionTasks(parts[at : at + size]) for at in range(0, len(parts), size)]
    return _tasks_of(groups, function, reduce, args, step, feedback)


def _group_size(parts: int) -> int:
    return max(1, min(options.KEY_TASK_PARTITIONS, parts // options.KEY_MIN_TASKS))


def key_tasks(partitions: int) -> int:
    """Return how many tasks read so many partitions, each of which is made within its task."""
    return -(-partitions // _group_size(partitions))


def joined_lists(lists: list[list[T]]) -> list[T]:
    """Return lists as one, as :func:`each_partition` takes it."""
    return [item for some in lists for item in some]


def total(counts: list[int]) -> int:
    """Return the sum of counts, as :func:`each_partition` takes it."""
    return sum(counts)


class PartitionTasks(Generic[P]):
    """What makes partitions, inside one task of ours; dask does not look inside."""

    __slots__ = ("tasks",)

    def __init__(self, tasks: Sequence[P]) -> None:
        self.tasks = tasks

    def __iter__(self) -> Iterator[P]:
        return iter(self.tasks)


def _tasks_of(
    groups: Sequence[Any],
    function: Callable[..., T],
    reduce: Callable[[list[T]], T],
    args: tuple[Any, ...],
    step: str,
    feedback: Callable[[T], Any] | None,
) -> list[Delayed]:
    """Return a task for each group of partitions."""
    first, others = groups[: options.KEY_FIRST_TASKS], groups[options.KEY_FIRST_TASKS :]
    tasks = named_tasks(step, _run, [(group, function, reduce, args, feedback, []) for group in first])
    told: Any = []
    if feedback is not None and len(others):
        # The first tasks are done at about the same time.
        told = named_tasks(f"{step}-told", feedback, [(task,) for task in tasks])
        (told,) = named_tasks(f"{step}-told", list, [(told,)])
    return tasks + named_tasks(
        step, _run, [(group, function, reduce, args, feedback, told) for group in others]
    )


def _run(
    group: PartitionTasks[Part] | pd.DataFrame,
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
