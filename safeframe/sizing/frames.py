"""Estimates how wide a frame's rows are and how many it has.

Covers: bytes per row of each column, rows per partition.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd

from safeframe import options
from safeframe.facts.estimate import Estimate, Width
from safeframe.facts.frame import ColumnProfile, FrameProfile
from safeframe.facts.keys import Counts
from safeframe.sizing.columns.fixed_widths import fixed_nbytes
from safeframe.sizing.columns.objects import may_be_unwritable, unwritable_columns
from safeframe.sizing.columns.widths import INDEX, sampled_widths
from safeframe.sizing.partitions.slices import frame_source
from safeframe.sizing.partitions.tasks import each_partition
from safeframe.sizing.remembered import Side, each_once


def profile_frame(ddf: dd.DataFrame, partition_rows: Counts | None = None) -> FrameProfile:
    """Learn the rows of a frame and the bytes of a row.

    Parameters
    ----------
    ddf
        The frame.
    partition_rows
        Rows per partition, where they are known; they are counted otherwise.

    Notes
    -----
    **Eager.** Columns of fixed width are known from their types. The bytes of
    strings, objects and categories are measured on up to ``options.WIDTH_SAMPLES``
    partitions that have rows, reading only these columns of them, and are an
    interval; footers of parquet files tell whether they are longer elsewhere. Without
    ``partition_rows``, one column of every partition is read to count rows. What this process
    learnt before is not read again while the data is the same.

    Examples
    --------
    >>> frame = dd.from_pandas(pd.DataFrame({"a": [1, 2, 3], "b": [0.5, 1.0, 2.0]}), npartitions=2)
    >>> profile = profile_frame(frame)
    >>> int(profile.rows), profile.row_nbytes, int(profile.largest_partition_rows)
    (3, 16.0, 2)
    """
    if partition_rows is None:
        partition_rows = count_partition_rows(ddf)
    counted = partition_rows
    what = ("profile", hashlib.blake2b(counted.tobytes()).digest())

    def look(frames: Sequence[Side]) -> list[FrameProfile]:
        return [_profile(frame, counted) for frame, _ in frames]

    return each_once([(ddf, tuple(ddf._meta.columns))], what, look, _nbytes_of)[0]


def _nbytes_of(profile: FrameProfile) -> int:
    return options.PROFILE_NBYTES * (1 + len(profile.columns))


def _profile(ddf: dd.DataFrame, partition_rows: Counts) -> FrameProfile:
    meta = ddf._meta
    fixed = [fixed_nbytes(dtype) for dtype in meta.dtypes]
    index_nbytes = _index_nbytes(meta.index)
    varying = [name for name, nbytes in zip(meta.columns, fixed, strict=True) if nbytes is None]
    sampled: dict[Any, Width] = {}
    if varying or index_nbytes is None:
        sampled = sampled_widths(ddf, varying, partition_rows, with_index=index_nbytes is None)
    unwritable: dict[Any, str] = {}
    if any(map(may_be_unwritable, meta.dtypes)):
        unwritable = unwritable_columns(ddf, partition_rows)
    columns = tuple(
        ColumnProfile(
            name=str(name),
            dtype=str(dtype),
            row_nbytes=sampled[name].expected if nbytes is None else nbytes,
            exact=nbytes is not None,
            sampled=sampled[name] if nbytes is None else None,
            unwritable=unwritable.get(name, ""),
        )
        for name, dtype, nbytes in zip(meta.columns, meta.dtypes, fixed, strict=True)
    )
    return FrameProfile(
        columns=columns,
        index_row_nbytes=sampled[INDEX].expected if index_nbytes is None else index_nbytes,
        index_sampled=sampled[INDEX] if index_nbytes is None else None,
        partitions=len(partition_rows),
        rows=Estimate.computed(int(partition_rows.sum())),
        largest_partition_rows=Estimate.computed(int(partition_rows.max(initial=0))),
        source=frame_source(ddf),
    )


def count_partition_rows(ddf: dd.DataFrame) -> Counts:
    """Count the rows of each partition, reading its narrowest column only.

    Examples
    --------
    >>> count_partition_rows(dd.from_pandas(pd.DataFrame({"a": [1, 2, 3]}), npartitions=2))
    array([2, 1])
    """
    widths = [np.inf if nbytes is None else nbytes for nbytes in map(fixed_nbytes, ddf._meta.dtypes)]
    narrowest = [ddf._meta.columns[int(np.argmin(widths))]] if widths else []
    counted: tuple[Counts, ...] = dask.compute(*each_partition(ddf[narrowest], _rows, np.concatenate))
    return np.concatenate(counted)


def _rows(frame: pd.DataFrame) -> Counts:
    return np.array([len(frame)], np.int64)


def _index_nbytes(index: pd.Index[Any]) -> float | None:
    if isinstance(index, pd.RangeIndex):
        return 0.0
    return None if isinstance(index, pd.MultiIndex) else fixed_nbytes(index.dtype)
