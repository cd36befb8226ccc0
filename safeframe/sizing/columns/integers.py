"""Finds how large the integers of a frame's columns are.

Covers: parquet footers, which tell of all values; partitions in memory; a sample of any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dask
import dask.dataframe as dd
import fsspec
import pandas as pd
import pyarrow.parquet as pq

from safeframe import options
from safeframe._dask.parquet import parquet_source, part_groups
from safeframe.progress.tasks import computed, named_tasks
from safeframe.sizing.frames import Side, each_once
from safeframe.sizing.parquet.damaged import reading_file
from safeframe.sizing.partitions.tasks import each_partition, project


@dataclass(frozen=True, slots=True)
class IntegerRange:
    """The integers of a column."""

    least: int
    """The smallest."""
    most: int
    """The largest."""
    nulls: int = 0
    """How many are missing."""

    def joined(self, other: IntegerRange) -> IntegerRange:
        """Return the range of these and other values."""
        nulls = self.nulls + other.nulls
        return IntegerRange(min(self.least, other.least), max(self.most, other.most), nulls)


_Ranges = dict[Any, IntegerRange]


def footer_ranges(ddf: dd.DataFrame, names: Sequence[Any]) -> _Ranges:
    """Return the ranges of all values by parquet footers; of a column that they do not tell of, none."""

    def look(frames: Sequence[Side]) -> list[_Ranges]:
        return [_in_all_footers(*frame) for frame in frames]

    what = ("footer ranges",)
    return each_once([(ddf, tuple(names))], what, look, lambda found: options.PROFILE_NBYTES * len(found))[0]


def _in_all_footers(ddf: dd.DataFrame, names: Sequence[Any]) -> _Ranges:
    source = parquet_source(project(ddf, names))
    if source is None:
        return {}
    # A file is opened once, however many partitions it has.
    groups: dict[str, set[int] | None] = {}
    for part in source.parts:
        path, numbers = part["piece"][0], part_groups(part)
        known = groups.setdefault(path, set())
        groups[path] = None if known is None or numbers is None else known | set(numbers)
    files = [(path, None if some is None else tuple(sorted(some))) for path, some in groups.items()]
    step = max(1, -(-len(files) // options.KEY_MIN_TASKS))
    some = ((source.read.fs, files[at : at + step], tuple(names)) for at in range(0, len(files), step))
    looks = named_tasks("read-footers", _in_footers, some)
    found: list[dict[Any, IntegerRange | None]] = [
        one for some in computed("reading footers", looks, late=True) for one in some
    ]
    ranges = {}
    for name in names:
        own = [one[name] for one in found if name in one]
        complete = [one for one in own if one is not None]
        if complete and len(complete) == len(own):
            ranges[name] = _whole(complete)
    return ranges


def integer_ranges(ddf: dd.DataFrame, names: Sequence[Any], *, in_memory: bool) -> _Ranges:
    """Return the ranges of columns of integers.

    Parameters
    ----------
    ddf
        The frame.
    names
        The columns.
    in_memory
        Whether its partitions are in memory, so that all of them are read.

    Returns
    -------
    dict
        By column. Where footers do not tell and partitions have to be made, of the
        first, the middle and the last one; of a column without values, none.
    """
    ranges = footer_ranges(ddf, names)
    others = [name for name in names if name not in ranges]
    if not others:
        return ranges
    frame = project(ddf, others)
    n = frame.npartitions
    if not in_memory and n > options.INTEGER_SAMPLES:
        with dask.config.set({"optimization.tune.active": False}):
            frame = frame.partitions[sorted({0, n // 2, n - 1})]
    looked = computed(
        "looking at integers",
        each_partition(frame, _in_partition, _united_ranges, step="look-at-integers"),
        late=True,
    )
    return ranges | _united_ranges(list(looked))


def _in_footers(
    fs: fsspec.AbstractFileSystem, files: Sequence[tuple[str, Sequence[int] | None]], names: Sequence[Any]
) -> list[dict[Any, IntegerRange | None]]:
    """Return the ranges of each row group that has rows; None where a footer does not tell."""
    found = []
    for path, numbers in files:
        with reading_file(path), fs.open(path, "rb") as handle:
            metadata = pq.ParquetFile(handle).metadata
        for number in range(metadata.num_row_groups) if numbers is None else numbers:
            group = metadata.row_group(number)
            if group.num_rows:
                columns = {(one := group.column(i)).path_in_schema: one for i in range(group.num_columns)}
                found.append({name: _in_chunk(columns.get(name)) for name in names})
    return found


def _in_chunk(chunk: Any) -> IntegerRange | None:
    statistics = None if chunk is None or not chunk.is_stats_set else chunk.statistics
    if (
        statistics is None
        or not statistics.has_min_max
        or not statistics.has_null_count
        or not isinstance(statistics.min, int)
    ):
        return None
    return IntegerRange(statistics.min, statistics.max, statistics.null_count)


def _in_partition(frame: pd.DataFrame) -> _Ranges:
    ranges = {}
    for name in frame.columns:
        values = frame[name].dropna()
        if len(values) and pd.api.types.is_integer_dtype(values.dtype):
            ranges[name] = IntegerRange(int(values.min()), int(values.max()), len(frame) - len(values))
    return ranges


def _united_ranges(parts: list[_Ranges]) -> _Ranges:
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: _whole([part[name] for part in parts if name in part]) for name in names}


def _whole(ranges: Sequence[IntegerRange]) -> IntegerRange:
    whole = ranges[0]
    for one in ranges[1:]:
        whole = whole.joined(one)
    return whole
