"""Finds how wide strings, nested values, objects and categories are, from parquet footers and from some rows.

Covers: what footers tell of every row group; slices of row groups, or partitions, that are measured where they do
not; the interval that follows.

A footer that notes the bytes of decoded strings tells them exactly. One that does not has the bytes of encoded
pages, which bound the strings from below only: a dictionary has each of them once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dask
import dask.dataframe as dd
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from safeframe import options
from safeframe._dask.parquet import ParquetSource, parquet_source, part_groups
from safeframe.facts.estimate import Width
from safeframe.facts.keys import Counts
from safeframe.progress.tasks import computed, named_tasks
from safeframe.sizing.columns.fixed_widths import narrowest_column
from safeframe.sizing.parquet.column_sets import Reading
from safeframe.sizing.parquet.decoded import DecodedSizes, Part, decoded_sizes
from safeframe.sizing.partitions.slices import ParquetPart, sliced_parts
from safeframe.sizing.partitions.tasks import PartitionTasks, each_partition, joined_lists

INDEX = "__index__"
"""The index, among the names of columns."""

_ROWS = "__rows__"
"""The number of rows, among the names of columns."""

_STORED_INDEX = "__index_level_0__"
"""What pandas calls an index without a name in a file."""

_OBJECT_NBYTES = 64.0
"""Bytes of a Python string of letters on top of these, its pointer included: 57, and some more for others."""

_PADDING_NBYTES = 64.0
"""Bytes that Arrow adds to a column of strings for each part that it is read in: an offset, and parts of bytes."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Seen:
    """Bytes per row of a column in parts of a frame."""

    rows: Floats
    """Rows of each part."""
    widths: Floats
    """Bytes per row of each."""
    least: float = np.inf
    """Bytes per row that the narrowest has at least, where these are not to the byte."""
    complete: bool = False
    """Whether these are all parts, and all of their rows."""
    to_the_byte: bool = False
    """Whether they are what Arrow holds, but for its padding of each part."""

    def interval(self) -> Width:
        """Return the width that follows."""
        expected = float((self.rows @ self.widths) / max(self.rows.sum(), 1.0))
        # One part more, of those that nobody knows, may be unlike all others.
        padding = _PADDING_NBYTES * len(self.rows) / max(1.0, float(self.rows @ self.widths))
        doubt = options.WIDTH_MARGIN + (0.0 if self.complete else 1.0 / len(self.widths))
        return Width(
            least=min(float(self.widths.min()), self.least) / doubt,
            expected=expected,
            most=float(self.widths.max()) * doubt,
            widest=float(self.widths.max()),
            exact=False,
            mean=(expected * (1 - padding), expected * (1 + padding))
            if self.complete and self.to_the_byte
            else None,
        )


def sampled_widths(
    ddf: dd.DataFrame, names: list[Any], partition_rows: Counts, *, with_index: bool
) -> dict[Any, Width]:
    """Learn the bytes per row of columns, from footers where they tell and else from rows that are evenly spread.

    Parameters
    ----------
    ddf
        The frame.
    names
        Columns to look at.
    partition_rows
        Rows of each partition.
    with_index
        Whether the index, which is called ``INDEX``, is of interest too.

    Notes
    -----
    **Eager.** Of a parquet source footers are read, and the first rows of some row groups: no partition is made.
    Of any other frame some partitions are made.
    """
    wanted = [*names, INDEX] if with_index else names
    full = np.flatnonzero(partition_rows)
    if len(full) == 0:
        return dict.fromkeys(wanted, Width.guessed(options.VARIABLE_NBYTES))
    source = parquet_source(ddf[names]) if names else None
    if source is None:
        return {
            name: seen.interval() for name, seen in _of_partitions(ddf, names, wanted, partition_rows).items()
        }
    return {name: seen.interval() for name, seen in _of_files(ddf, source, wanted, partition_rows).items()}


# Partitions ------------------------------------------------------------------


def _of_partitions(
    ddf: dd.DataFrame, names: list[Any], wanted: Sequence[Any], partition_rows: Counts
) -> dict[Any, _Seen]:
    full = np.flatnonzero(partition_rows)
    parts = sliced_parts(ddf[names]) if names else None
    if parts is not None:
        chosen = _evenly_chosen(full, 0.0, options.WIDTH_SLICES)
        looks = named_tasks("sample-widths", _of_first_slice, ((parts[at],) for at in chosen.tolist()))
        looked = computed("sampling widths", looks, late=True)
        # Each stands for its partition, however many rows were looked at.
        found = [(one, rows) for one, rows in zip(looked, partition_rows[chosen], strict=True) if one]
        if found:
            rows = np.array([rows for _, rows in found], np.float64)
            return {
                name: _Seen(rows=rows, widths=np.array([one[name] / one[_ROWS] for one, _ in found]))
                for name in wanted
            }
    chosen = _evenly_chosen(full, float(partition_rows[full].mean()) * len(wanted), options.WIDTH_SAMPLES)
    with dask.config.set({"optimization.tune.active": False}):
        sample = ddf.partitions[chosen.tolist()][names]
        looked = computed(
            "sampling widths", each_partition(sample, _nbytes, joined_lists, step="sample-widths"), late=True
        )
    made: list[dict[Any, float]] = [part for some in looked for part in some]
    rows = partition_rows[chosen].astype(np.float64)
    complete = len(chosen) == len(full)
    return {
        name: _Seen(rows=rows, widths=np.array([part[name] for part in made]) / rows, complete=complete)
        for name in wanted
    }


def _of_first_slice(part: ParquetPart) -> dict[Any, float]:
    """Measure the first rows that a partition has after the steps; nothing where it has none."""
    # Where filters leave none of the first ones, others are looked for.
    for reading in (Reading(first_rows=True), Reading()):
        for frame in part.slices(options.WIDTH_SLICE_NBYTES, reading):
            return {**_nbytes(frame)[0], _ROWS: float(len(frame))}
    return {}


def _evenly_chosen(full: npt.NDArray[np.int64], values: float, most: int) -> npt.NDArray[np.int64]:
    """Choose partitions evenly, as many as have a bounded number of values."""
    fitting = options.WIDTH_SAMPLE_VALUES / max(1.0, values)
    n = int(np.clip(fitting, min(2, len(full)), min(most, len(full))))
    return full[np.unique(np.linspace(0, len(full) - 1, n).astype(np.int64))]


def _nbytes(frame: pd.DataFrame) -> list[dict[Any, float]]:
    usage = frame.memory_usage(index=False, deep=True)
    nbytes = dict(zip(frame.columns, usage.astype(float).tolist(), strict=True))
    return [{**nbytes, INDEX: float(frame.index.memory_usage(deep=True))}]


# Parquet ---------------------------------------------------------------------


def _of_files(
    ddf: dd.DataFrame, source: ParquetSource, wanted: Sequence[Any], partition_rows: Counts
) -> dict[Any, _Seen]:
    full = np.flatnonzero(partition_rows)
    parts: list[tuple[int, Part]] = [
        (number, (source.parts[number]["piece"][0], part_groups(source.parts[number])))
        for number in _evenly_chosen(full, 0.0, options.WIDTH_FOOTERS).tolist()
    ]
    dtypes = {name: ddf._meta.index.dtype if name == INDEX else ddf._meta[name].dtype for name in wanted}
    columns = [(_stored_name(ddf, name), _arrow_type(dtypes[name])) for name in wanted]
    sizes = decoded_sizes(source.read.fs, parts, columns)
    some = sizes.rows > 0
    told = {name: not np.isnan(sizes.nbytes[some, at]).any() for at, name in enumerate(wanted)}
    found = {}
    for at, name in enumerate(wanted):
        if told[name]:
            more = _OBJECT_NBYTES - 8.0 if pd.api.types.is_object_dtype(dtypes[name]) else 0.0
            widths = sizes.nbytes[some, at] / sizes.rows[some] + more
            found[name] = _Seen(
                rows=sizes.rows[some],
                widths=widths,
                least=float((sizes.at_least[some, at] / sizes.rows[some]).min()),
                complete=len(parts) == len(full),
                to_the_byte=not more and not pa.types.is_nested(columns[at][1]),
            )
    others = [name for name in wanted if name not in found]
    if others:
        at_least = {name: sizes.at_least[some, at] for at, name in enumerate(wanted)}
        sliced = sliced_parts(ddf[_columns(ddf, others)])
        if sliced is None:  # read with options of its own
            return found | _of_partitions(ddf, _columns(ddf, others), others, partition_rows)
        for name, (rows, widths) in _of_slices(sliced, sizes, others).items():
            # Where more is there than what was seen is wide, it is counted too.
            lower = at_least[name] / sizes.rows[some]
            longer = lower > widths.max(initial=0.0)
            found[name] = _Seen(
                rows=np.concatenate([np.full(len(rows), rows.mean()), np.full(longer.sum(), rows.mean())]),
                widths=np.concatenate([widths, lower[longer]]),
            )
    return found


def _columns(ddf: dd.DataFrame, names: Sequence[Any]) -> list[Any]:
    """Return which columns are read for those that are asked for: of an index alone, one that goes with it."""
    return [name for name in names if name != INDEX] or [narrowest_column(ddf._meta)]


def _of_slices(
    parts: Sequence[ParquetPart], sizes: DecodedSizes, names: Sequence[Any]
) -> dict[Any, tuple[Floats, Floats]]:
    """Measure the first rows of row groups that are evenly spread."""
    groups = np.flatnonzero(sizes.rows > 0)
    chosen = groups[np.unique(np.linspace(0, len(groups) - 1, options.WIDTH_SLICES).astype(np.int64))]
    looked_at = [
        (
            parts[int(sizes.partition[at])].of_row_group(int(sizes.group[at])),
            float(sizes.rows[sizes.partition == sizes.partition[at]].sum()),
        )
        for at in chosen.tolist()
    ]
    step = options.FOOTERS_AT_ONCE
    some = (
        (PartitionTasks(looked_at[at : at + step]), tuple(names)) for at in range(0, len(looked_at), step)
    )
    looked = computed("sampling widths", named_tasks("sample-widths", _first_rows, some), late=True)
    rows, widths = (np.concatenate([one[i] for one in looked]) for i in range(2))
    return {name: (rows, widths[:, at]) for at, name in enumerate(names)}


def _first_rows(
    groups: PartitionTasks[tuple[ParquetPart, float]], names: Sequence[Any]
) -> tuple[Floats, Floats]:
    """Measure the first rows of each row group, which comes with the rows of its partition."""
    rows, widths = [], []
    for group, partition_rows in groups:
        frame = next(group.slices(options.WIDTH_SLICE_NBYTES, Reading(first_rows=True)))
        columns = [frame.index if name == INDEX else frame[name] for name in names]
        rows.append(float(len(frame)))
        widths.append([_row_nbytes(column, partition_rows) for column in columns])
    return np.array(rows), np.array(widths, np.float64).reshape(len(rows), len(names))


def _row_nbytes(column: pd.Series[Any] | pd.Index[Any], partition_rows: float) -> float:
    nbytes = (
        column.memory_usage(deep=True)
        if isinstance(column, pd.Index)
        else column.memory_usage(index=False, deep=True)
    )
    once = 0
    if isinstance(column.dtype, pd.CategoricalDtype):
        # A partition has its categories once, however many of its rows were looked at.
        once = int(column.dtype.categories.memory_usage(deep=True))
    return float((nbytes - once) / len(column) + once / partition_rows)


def _stored_name(ddf: dd.DataFrame, name: Any) -> str:
    if name != INDEX:
        return str(name)
    stored = ddf._meta.index.name
    return _STORED_INDEX if stored is None else str(stored)


def _arrow_type(dtype: Any) -> pa.DataType | None:
    """Return the Arrow type that a column has in memory; of Python strings, that of others as long."""
    if isinstance(dtype, pd.ArrowDtype):
        return dtype.pyarrow_dtype
    if getattr(dtype, "storage", "") == "pyarrow" or pd.api.types.is_object_dtype(dtype):
        return pa.large_string()
    return None
