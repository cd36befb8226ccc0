"""Runs a function on the key columns of every partition, a slice at a time where it is read from parquet files.

Covers: partitions of any size, of which a task holds a slice; a partition that can only be made whole is
one slice (``sizing.partitions.slices`` says which).
Does not cover: functions that need a partition's rows at once (``sizing.partitions.tasks``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import dask.dataframe as dd
import pandas as pd
from dask.delayed import Delayed

from safeframe import options
from safeframe._dask.trees import lowered
from safeframe.sizing.columns.fixed_widths import fixed_nbytes
from safeframe.sizing.partitions.slices import SlicedPart, sliced_frame
from safeframe.sizing.partitions.tasks import each_partition_keys, grouped_tasks, keys_of, project

T = TypeVar("T")


def each_slice_keys(
    ddf: dd.DataFrame,
    on: Sequence[Any],
    function: Callable[..., T],
    of_slices: Callable[[list[T]], T],
    reduce: Callable[[list[T]], T],
    *args: Any,
    feedback: Callable[[T], Any] | None = None,
) -> list[Delayed]:
    """Call ``function(keys, *args)`` on the key columns of slices of every partition.

    Parameters
    ----------
    ddf, on
        The frame, and its key columns or index levels.
    function
        What is done with a slice.
    of_slices
        Joins results of slices of one partition, in order.
    reduce
        Joins results of neighbouring partitions, in order.
    *args, feedback
        As for :func:`safeframe.sizing.partitions.tasks.each_partition`.

    Returns
    -------
    list of Delayed
        One for each group of partitions, in order.
    """
    narrow = project(ddf, on)
    sliced = sliced_frame(lowered(narrow.expr.simplify()))
    parts = None if isinstance(sliced, str) else sliced.parts()
    if parts is None:
        return each_partition_keys(ddf, on, function, reduce, *args, feedback=feedback)
    given = function, of_slices, tuple(on), *args
    return grouped_tasks(
        [_Slices(part, narrow._meta, slice_nbytes(narrow._meta)) for part in parts],
        _each_slice,
        reduce,
        given,
        feedback,
    )


def slice_nbytes(meta: pd.DataFrame) -> int:
    """Return the bytes of a slice of key columns."""
    widths = [fixed_nbytes(dtype) for dtype in meta.dtypes]
    row_nbytes = sum(options.KEY_TEXT_NBYTES if width is None else width for width in widths)
    return min(options.KEY_SLICE_NBYTES, int(options.KEY_SLICE_ROWS * max(row_nbytes, 1.0)))


class _Slices:
    """A partition that is read when it is looked at."""

    __slots__ = ("empty", "nbytes", "part")

    def __init__(self, part: SlicedPart, empty: pd.DataFrame, nbytes: int) -> None:
        self.part = part
        self.empty = empty
        self.nbytes = nbytes

    def make(self) -> Iterator[pd.DataFrame]:
        """Return its slices; one without rows where it has none."""
        none = True
        for frame in self.part.slices(self.nbytes):
            none = False
            yield frame
            del frame
        if none:
            yield self.empty

    def __getstate__(self) -> Any:
        return self.part, self.empty, self.nbytes

    def __setstate__(self, state: Any) -> None:
        self.part, self.empty, self.nbytes = state


def _each_slice(
    slices: Iterator[pd.DataFrame],
    function: Callable[..., T],
    of_slices: Callable[[list[T]], T],
    on: tuple[Any, ...],
    *args: Any,
) -> T:
    result: T | None = None
    for frame in slices:
        new = function(keys_of(frame, on), *args)
        del frame
        result = new if result is None else of_slices([result, new])
    assert result is not None, "there is one slice at the least"
    return result
