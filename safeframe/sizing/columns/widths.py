"""Estimates how wide strings, objects and categories are, from some partitions and from parquet footers.

Covers: which partitions are sampled, bytes per row in each of them, the
interval that follows, and what footers say of partitions that are not sampled.

A footer has the bytes of each column of each row group before compression. In
a group whose strings are written one by one these are the strings and four
bytes each; in one with a dictionary they are fewer. So they bound the strings
from below, and where they agree with the sample, they say how much
longer strings are elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import dask
import dask.dataframe as dd
import fsspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq
from dask.delayed import delayed

from safeframe import options
from safeframe.facts.estimate import Width
from safeframe.facts.keys import Counts
from safeframe.sizing.parquet.slices import plain_parts
from safeframe.sizing.partitions.tasks import each_partition, joined_lists

INDEX = "__index__"
"""The index, among the names of columns."""

_OFFSET_NBYTES = 8.0
"""Bytes of a string in memory on top of its own, at the least."""

_OBJECT_NBYTES = 64.0
"""The same of a Python string, at most."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class _RowWidths:
    """Bytes per row of one column in parts of a frame."""

    rows: Floats
    """Rows of each part."""
    widths: Floats
    """Bytes per row of each."""

    @property
    def mean(self) -> float:
        return float((self.rows @ self.widths) / max(self.rows.sum(), 1.0))


def sampled_widths(
    ddf: dd.DataFrame, names: list[Any], partition_rows: Counts, *, with_index: bool
) -> dict[Any, Width]:
    """Measure bytes per row on partitions that are evenly spread among those with rows.

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
    """
    full = np.flatnonzero(partition_rows)
    if len(full) == 0:
        return dict.fromkeys([*names, INDEX], Width.guessed(options.VARIABLE_NBYTES))
    chosen = _evenly_chosen(full, partition_rows, len(names) + with_index)
    with dask.config.set({"optimization.tune.active": False}):
        sample = ddf.partitions[chosen.tolist()][names]
        computed = dask.compute(*each_partition(sample, _nbytes, joined_lists))
    found: list[dict[Any, float]] = [part for parts in computed for part in parts]
    rows = partition_rows[chosen].astype(np.float64)
    looked_at = {
        name: _RowWidths(rows=rows, widths=np.array([part[name] for part in found]) / rows)
        for name in [*names, INDEX]
    }
    unseen = len(full) - len(chosen)
    footers = _footers(ddf, names, chosen) if unseen else {}
    return {
        name: _interval(parts, footers.get(name), unseen, objects=_is_object(ddf, name))
        for name, parts in looked_at.items()
    }


def _evenly_chosen(full: npt.NDArray[np.int64], rows: Counts, columns: int) -> npt.NDArray[np.int64]:
    """Choose partitions evenly, as many as have a bounded number of values."""
    fitting = options.WIDTH_SAMPLE_VALUES / max(1.0, float(rows[full].mean()) * columns)
    n = int(np.clip(fitting, min(2, len(full)), min(options.WIDTH_SAMPLES, len(full))))
    return full[np.unique(np.linspace(0, len(full) - 1, n).astype(np.int64))]


def _nbytes(frame: pd.DataFrame) -> list[dict[Any, float]]:
    usage = frame.memory_usage(index=False, deep=True)
    nbytes = dict(zip(frame.columns, usage.astype(float).tolist(), strict=True))
    return [{**nbytes, INDEX: float(frame.index.memory_usage(deep=True))}]


def _is_object(ddf: dd.DataFrame, name: Any) -> bool:
    dtype = ddf._meta.index.dtype if name == INDEX else ddf._meta[name].dtype
    return bool(pd.api.types.is_object_dtype(dtype))


def _interval(
    parts: _RowWidths, footers: tuple[_RowWidths, _RowWidths] | None, unseen: int, *, objects: bool
) -> Width:
    """Make an interval of the sample, and of what footers say of the rest."""
    expected, widths = parts.mean, parts.widths
    known = len(widths)
    if footers is not None:
        same, others = footers
        overhead = expected - same.mean
        comparable = 0.0 <= overhead <= (_OBJECT_NBYTES if objects else 2 * _OFFSET_NBYTES)
        # In groups with a dictionary the footer says less than there is.
        elsewhere = (
            others.widths + overhead if comparable else np.maximum(others.widths + _OFFSET_NBYTES, expected)
        )
        widths = np.concatenate([widths, elsewhere])
        expected = replace(others, widths=elsewhere).mean
        known += len(elsewhere)
    # One part more, of those that nobody knows, may be unlike all others.
    doubt = options.WIDTH_MARGIN + (1.0 / known if unseen else 0.0)
    return Width(
        least=float(widths.min()) / doubt,
        expected=expected,
        most=float(widths.max()) * doubt,
        widest=float(widths.max()),
        exact=False,
    )


# Footers ---------------------------------------------------------------------


def _footers(
    ddf: dd.DataFrame, names: Sequence[Any], chosen: npt.NDArray[np.int64]
) -> dict[Any, tuple[_RowWidths, _RowWidths]]:
    """Return the bytes per row of each column in the sampled partitions, and in all whose footers are read."""
    source = plain_parts(ddf)
    if source is None:
        return {}
    fs, parts = source
    n = len(parts)
    more = np.unique(np.linspace(0, n - 1, min(options.WIDTH_FOOTERS, n)).astype(np.int64))
    numbers = np.union1d(chosen, more)
    look = delayed(_column_nbytes, pure=False)
    texts = [str(name) for name in names]
    read = [parts[number] for number in numbers.tolist()]
    computed = dask.compute(
        *(
            look(fs, read[at : at + options.FOOTERS_AT_ONCE], texts)
            for at in range(0, len(read), options.FOOTERS_AT_ONCE)
        )
    )
    found = [part for some in computed for part in some]
    groups = np.concatenate(
        [np.full(len(rows), number) for number, (rows, _) in zip(numbers, found, strict=True)]
    )
    rows = np.concatenate([rows for rows, _ in found])
    nbytes = np.concatenate([sizes for _, sizes in found])
    full = rows > 0
    groups, rows, nbytes = groups[full], rows[full], nbytes[full]
    same = np.isin(groups, chosen)
    if not same.any():
        return {}
    return {
        name: (
            _RowWidths(rows=rows[same], widths=nbytes[same, at] / rows[same]),
            _RowWidths(rows=rows, widths=nbytes[:, at] / rows),
        )
        for at, name in enumerate(names)
    }


def _column_nbytes(
    fs: fsspec.AbstractFileSystem, parts: Sequence[tuple[str, tuple[int, ...] | None]], names: Sequence[str]
) -> list[tuple[Floats, Floats]]:
    """Return the rows of each row group of each part, and the bytes of its columns before compression."""
    found = []
    at = {name: number for number, name in enumerate(names)}
    for path, chosen in parts:
        with fs.open(path, "rb") as handle:
            footer = pq.ParquetFile(handle).metadata
        numbers = range(footer.num_row_groups) if chosen is None else chosen
        rows = np.zeros(len(numbers))
        nbytes = np.zeros((len(numbers), len(names)))
        for row, number in enumerate(numbers):
            group = footer.row_group(number)
            rows[row] = group.num_rows
            for leaf in range(group.num_columns):
                column = group.column(leaf)
                place = at.get(column.path_in_schema, at.get(column.path_in_schema.split(".", 1)[0]))
                if place is not None:
                    nbytes[row, place] += column.total_uncompressed_size
        found.append((rows, nbytes))
    return found
