"""Runs a function on slices of every partition, where partitions can be read in slices.

Covers: which frames can; the tasks. Others are given whole, as ``sizing.partitions.tasks`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import dask.dataframe as dd
import pandas as pd
from dask.delayed import Delayed, delayed

from safeframe import options
from safeframe._dask.trees import lowered
from safeframe.sizing.partitions.slices import ParquetPart, SlicedFrame, sliced_frame
from safeframe.sizing.partitions.tasks import each_partition

T = TypeVar("T")


def sliced_parts(ddf: dd.DataFrame) -> list[ParquetPart] | None:
    """Return what reads each partition of a frame in slices; None where some have to be made whole."""
    sliced = sliced_frame(lowered(ddf.expr.simplify()))
    return sliced.parts() if isinstance(sliced, SlicedFrame) else None


def each_slice(
    ddf: dd.DataFrame, function: Callable[..., T], reduce: Callable[[list[T]], T], *args: object
) -> list[Delayed]:
    """Call ``function(rows, *args)`` on some rows of every partition after others, and reduce neighbours within a task.

    Notes
    -----
    Memory: a slice of ``options.SLICE_NBYTES``; the whole partition where it cannot be read in slices.
    """
    parts = sliced_parts(ddf)
    if parts is None:
        return each_partition(ddf, function, reduce, *args)
    run = delayed(_run, pure=False)
    size = max(1, min(options.KEY_TASK_PARTITIONS, len(parts) // options.KEY_MIN_TASKS))
    groups = [Hidden(parts[at : at + size]) for at in range(0, len(parts), size)]
    return [run(group, function, reduce, args, ddf._meta) for group in groups]


class Hidden:
    """Parts inside a task; dask does not look inside."""

    __slots__ = ("parts",)

    def __init__(self, parts: Sequence[ParquetPart]) -> None:
        self.parts = parts


def _run(
    group: Hidden,
    function: Callable[..., T],
    reduce: Callable[[list[T]], T],
    args: tuple[object, ...],
    meta: pd.DataFrame,
) -> T:
    result: T | None = None
    for part in group.parts:
        for frame in part.slices(options.SLICE_NBYTES):
            new = function(frame, *args)
            result = new if result is None else reduce([result, new])
            del frame
    return function(meta.iloc[:0], *args) if result is None else result
