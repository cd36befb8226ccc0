"""Measures the rows and bytes of each partition, and where a frame may be cut, in one pass.

Covers: parquet footers where they say it all; a pass over the partitions, or
over slices of parquet files; places between rows, or between index values.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd

from safeframe import options
from safeframe.facts.keys import Counts
from safeframe.facts.rebalance import PartitionSizes
from safeframe.progress.tasks import computed
from safeframe.sizing.columns.fixed_widths import fixed_nbytes, narrowest_column
from safeframe.sizing.frames import footer_rows
from safeframe.sizing.partitions.row_nbytes import FRAME_NBYTES, RowSizes, row_sizes, varying_columns
from safeframe.sizing.partitions.tasks import each_partition, each_slice, joined_lists

_RANGE_NBYTES = 8
"""Bytes per row of an index that was a range in each partition, once it is joined."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """What the pass looks for; sent to every task."""

    meta: pd.DataFrame
    """What dask promises of a partition."""
    target_nbytes: int | None
    """Bytes of an output partition; None to go by ``places``."""
    places: int
    """Places in a partition, about."""
    keyed: bool
    """Whether the frame is to be cut between index values."""

    def places_in(self, nbytes: float) -> int:
        """Return how many places rows of so many bytes have."""
        by_nbytes = 0.0
        if self.target_nbytes is not None:
            by_nbytes = options.REBALANCE_FINENESS * nbytes / self.target_nbytes
        return min(max(self.places, int(by_nbytes)), options.REBALANCE_MAX_PLACES)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _PartSizes:
    """What the pass learnt of a partition."""

    rows: int
    fixed_nbytes: float
    """Bytes of every row, but for a range index."""
    places: Counts
    """Row numbers within the partition, the first one 0."""
    variable_nbytes: Counts | None
    """Bytes of the rows before each place and of all rows, beyond the fixed ones; None where rows have the same size."""
    keys: tuple[Any, ...] | None
    """The index value that begins at each place, None inside one."""
    frame_nbytes: int
    padding_nbytes: int
    category_nbytes: int
    index_range: tuple[int, int, int] | None
    """Start, stop and step of the index, where it is a range."""


def measure_partitions(
    ddf: dd.DataFrame,
    *,
    in_slices: bool = False,
    partition_nbytes: int | None,
    npartitions: int | None,
    keyed: bool,
) -> PartitionSizes:
    """Learn what has to be known to cut a frame by bytes.

    Parameters
    ----------
    ddf
        The frame.
    in_slices
        Whether its partitions are read in slices.
    partition_nbytes, npartitions
        How large, or how many, output partitions will be: it decides how
        close to each other the places are.
    keyed
        Whether to find places between index values too.

    Returns
    -------
    PartitionSizes
        Exact rows, and bytes that no partition exceeds.

    Notes
    -----
    **Eager.** Nothing but footers is read where the source is plain parquet
    and all columns have a fixed width. Otherwise every partition is read once
    (in slices where they can be, and then of the columns of variable width only).

    **Memory.** A task holds one partition, or one slice of it, and
    its rows' sizes: 16 bytes per row.

    Examples
    --------
    >>> frame = dd.from_pandas(pd.DataFrame({"a": [1, 2, 3]}), npartitions=2)
    >>> sizes = measure_partitions(frame, partition_nbytes=100, npartitions=None, keyed=False)
    >>> sizes.rows.tolist(), sizes.row_nbytes
    ([2, 1], 8.0)
    """
    meta = ddf._meta
    uniform = _uniform_nbytes(meta)
    if uniform is not None and not keyed:
        rows = footer_rows(ddf)
        if rows is not None:
            # An empty index of integers looks like a range, and ranges that are joined are none any more.
            return _uniform(rows, uniform + (_RANGE_NBYTES if isinstance(meta.index, pd.RangeIndex) else 0))
    count = options.REBALANCE_PLACES
    if npartitions is not None:
        count = max(count, min(options.REBALANCE_FINENESS * npartitions, 2**20 // max(1, ddf.npartitions)))
    names = list(meta.columns)
    if in_slices and not keyed:
        varying, _ = varying_columns(meta)
        names = varying or [narrowest_column(meta)]
    elif uniform is not None:
        names = []
    away = [name for name in meta.columns if name not in names]
    parts = _pass(ddf[names] if away else ddf, partition_nbytes, count, keyed)
    not_read = meta[away].reset_index(drop=True)
    return _sizes_of_frame(parts, row_sizes(not_read, not_read))


def _uniform_nbytes(meta: pd.DataFrame) -> float | None:
    """Return the bytes of a row where all rows have the same size and need no padding."""
    dtypes = list(meta.dtypes)
    if not isinstance(meta.index, pd.RangeIndex):
        if isinstance(meta.index, pd.MultiIndex):
            return None
        dtypes.append(meta.index.dtype)
    if any(isinstance(dtype, pd.ArrowDtype) for dtype in dtypes):
        return None
    widths = [fixed_nbytes(dtype) for dtype in dtypes]
    return None if None in widths else float(sum(width or 0.0 for width in widths))


def _uniform(rows: Counts, row_nbytes: float) -> PartitionSizes:
    bounds = np.unique(np.concatenate([[0], np.cumsum(rows)]))
    return PartitionSizes(
        rows=rows,
        nbytes=np.ceil(rows * row_nbytes).astype(np.int64),
        row_nbytes=row_nbytes,
        frame_nbytes=FRAME_NBYTES,
        piece_nbytes=0,
        place_rows=bounds,
        place_nbytes=np.ceil(bounds * row_nbytes).astype(np.int64),
        keys=None,
        method="footer",
    )


# The pass --------------------------------------------------------------------


def _pass(ddf: dd.DataFrame, target: int | None, count: int, keyed: bool) -> list[_PartSizes]:
    wanted = _Wanted(meta=ddf._meta, target_nbytes=target, places=count, keyed=keyed)
    if keyed:  # an index value may have rows of several slices
        looks = each_partition(ddf, _look_at, joined_lists, wanted, step="measure-rows")
    else:
        of_slices = functools.partial(_one_after_the_other, wanted=wanted)
        looks = each_slice(ddf, _look_at, joined_lists, wanted, step="measure-rows", of_slices=of_slices)
    found: tuple[list[_PartSizes], ...] = computed("measuring rows", looks)
    return joined_lists(list(found))


def _look_at(frame: pd.DataFrame, wanted: _Wanted) -> list[_PartSizes]:
    sizes = row_sizes(frame, wanted.meta)
    n = len(frame)
    before: Counts | None = None
    if sizes.variable_nbytes is not None:
        before = np.concatenate([[0], np.cumsum(sizes.variable_nbytes)]).astype(np.int64)
    nbytes = n * sizes.fixed_nbytes + (int(before[-1]) if before is not None else 0)
    places = _cut_places(n, sizes.fixed_nbytes, before, min(wanted.places_in(nbytes), max(1, n)))
    keys: tuple[Any, ...] | None = None
    if wanted.keyed:
        places, keys = _keys(frame.index, places)
    index = frame.index
    part = _PartSizes(
        rows=n,
        fixed_nbytes=sizes.fixed_nbytes,
        places=places,
        variable_nbytes=None if before is None else before[np.append(places, n)],
        keys=keys,
        frame_nbytes=sizes.frame_nbytes,
        padding_nbytes=sizes.padding_nbytes,
        category_nbytes=sizes.category_nbytes,
        index_range=(index.start, index.stop, index.step) if isinstance(index, pd.RangeIndex) else None,
    )
    return [part]


def _cut_places(n: int, fixed: float, before: Counts | None, count: int) -> Counts:
    """Choose rows so that what lies between two of them is few bytes, or one row."""
    if n == 0:
        return np.zeros(1, np.int64)
    if before is None:
        return np.unique(np.arange(count, dtype=np.int64) * n // count)
    return _even_steps(before + np.ceil(np.arange(n + 1) * fixed).astype(np.int64), count)


def _even_steps(nbytes: Counts, count: int) -> Counts:
    """Choose among places, from the bytes before each and of all, so that about as many lie between two of those chosen."""
    at = np.searchsorted(nbytes, np.arange(count) * (int(nbytes[-1]) / count), side="left")
    # What is larger than the step has places on both sides of it.
    both = np.unique(np.concatenate([[0], at - 1, at]))
    return both[(both >= 0) & (both < len(nbytes) - 1)]


def _keys(index: pd.Index[Any], places: Counts) -> tuple[Counts, tuple[Any, ...]]:
    """Add where the value at each place begins and ends, and give the values that begin."""
    if len(index) == 0 or not index.is_monotonic_increasing:
        # Rows that are not in order can be cut apart at the partition's start only.
        first = index.min() if len(index) else None
        return places, (first, *(None for _ in places[1:]))
    values = index.take(places)
    begins = np.asarray(index.searchsorted(values, side="left"), np.int64)
    ends = np.asarray(index.searchsorted(values, side="right"), np.int64)
    starts = np.unique(np.concatenate([begins, ends[ends < len(index)]]))
    both = np.union1d(places, starts)
    found = dict(zip(starts.tolist(), index.take(starts).tolist(), strict=True))
    return both, tuple(found.get(place) for place in both.tolist())


def _one_after_the_other(slices: list[list[_PartSizes]], wanted: _Wanted) -> list[_PartSizes]:
    """Join what was learnt of a partition's slices, and leave as many places as one slice of all would have."""
    parts = _same_index(joined_lists(slices))
    rows = np.cumsum([0, *(part.rows for part in parts)])
    variable: Counts | None = None
    if parts[0].variable_nbytes is not None:
        known = [part.variable_nbytes for part in parts if part.variable_nbytes is not None]
        nbytes = np.cumsum([0, *(int(part[-1]) for part in known)])
        variable = np.concatenate(
            [*(part[:-1] + start for part, start in zip(known, nbytes[:-1], strict=True)), nbytes[-1:]]
        )
    fixed = max(part.fixed_nbytes for part in parts)
    places = np.concatenate([part.places + start for part, start in zip(parts, rows[:-1], strict=True)])
    nbytes = np.ceil(np.append(places, rows[-1]) * fixed).astype(np.int64)
    nbytes += 0 if variable is None else variable
    chosen = _even_steps(nbytes, wanted.places_in(float(nbytes[-1])))
    joined = _PartSizes(
        rows=int(rows[-1]),
        fixed_nbytes=fixed,
        places=places[chosen],
        variable_nbytes=None if variable is None else variable[np.append(chosen, len(places))],
        keys=None,
        frame_nbytes=max(part.frame_nbytes for part in parts),
        padding_nbytes=sum(part.padding_nbytes for part in parts),
        category_nbytes=max(part.category_nbytes for part in parts),
        index_range=None
        if parts[0].index_range is None or parts[-1].index_range is None
        else (parts[0].index_range[0], parts[-1].index_range[1], parts[0].index_range[2]),
    )
    return [joined]


def _same_index(parts: list[_PartSizes]) -> list[_PartSizes]:
    """Count an index that is a range in some slices only, or one that does not go on, as the values that it is once joined."""
    parts = [part for part in parts if part.rows] or parts[:1]
    ranges = [part.index_range for part in parts if part.index_range is not None]
    if len(ranges) == len(parts) and all(
        before[1:] == (after[0], after[2]) for before, after in pairwise(ranges)
    ):
        return parts
    return [
        part
        if part.index_range is None
        else replace(part, fixed_nbytes=part.fixed_nbytes + _RANGE_NBYTES, index_range=None)
        for part in parts
    ]


def _sizes_of_frame(parts: Sequence[_PartSizes], away: RowSizes) -> PartitionSizes:
    """Number rows and bytes through the whole frame; ``away`` are those of columns that were not read."""
    range_nbytes = 0 if _one_range([part.index_range for part in parts if part.rows]) else _RANGE_NBYTES
    row_nbytes = away.fixed_nbytes + max(
        part.fixed_nbytes + (0 if part.index_range is None else range_nbytes) for part in parts
    )
    piece = away.padding_nbytes + max(part.padding_nbytes + part.category_nbytes for part in parts)
    rows = np.array([part.rows for part in parts], np.int64)
    bounds = np.concatenate([[0], np.cumsum(rows)])
    variable = [part.variable_nbytes for part in parts]
    uniform = all(nbytes is None for nbytes in variable)
    own = np.array([0 if nbytes is None else nbytes[-1] for nbytes in variable], np.int64)
    nbytes = np.ceil(rows * row_nbytes).astype(np.int64) + own + piece
    ends = np.concatenate([[0], np.cumsum(nbytes)])
    place_rows = [part.places + start for part, start in zip(parts, bounds, strict=False)]
    place_nbytes = [
        start
        + np.where(part.places > 0, piece, 0)
        + np.ceil(part.places * row_nbytes).astype(np.int64)
        + (0 if part.variable_nbytes is None else part.variable_nbytes[:-1])
        for part, start in zip(parts, ends, strict=False)
    ]
    keys: tuple[Any, ...] | None = None
    if any(part.keys is not None for part in parts):
        keys = (*(key for part in parts for key in part.keys or ()), None)
    return PartitionSizes(
        rows=rows,
        nbytes=nbytes,
        row_nbytes=row_nbytes if uniform and piece == 0 else None,
        frame_nbytes=FRAME_NBYTES + piece + max(part.frame_nbytes for part in parts),
        piece_nbytes=piece,
        place_rows=np.concatenate([*place_rows, bounds[-1:]]).astype(np.int64),
        place_nbytes=np.concatenate([*place_nbytes, ends[-1:]]).astype(np.int64),
        keys=keys,
        method="computed",
    )


def _one_range(ranges: Sequence[tuple[int, int, int] | None]) -> bool:
    """Whether ranges go on from one to the next, so that they join to a range."""
    known = [found for found in ranges if found is not None]
    return len(known) == len(ranges) and all(
        before[1] == after[0] and before[2] == after[2] == 1 for before, after in pairwise(known)
    )
