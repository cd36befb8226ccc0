"""A shard of a join as a parquet file, from the rows of both sides and without those of the result.

Covers: ordering both sides by key, the result's columns as blocks of values, row groups.
Does not cover: where the rows come from, and where the file goes (``engine``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from safeframe.kernels.columns.values import Block, Column, as_missing, as_series
from safeframe.kernels.merge.cell import as_key, dense_ids
from safeframe.kernels.merge.output import OutputColumn
from safeframe.kernels.merge.spec import JoinSpec
from safeframe.kernels.merge.taken_rows import no_match
from safeframe.kernels.merge.virtual import VirtualJoin, join_runs, product_run
from safeframe.kernels.order import Positions, counts_of, stable_order
from safeframe.kernels.parquet.file import ColumnSource, GroupedFile
from safeframe.kernels.parquet.row_groups import JoinedGroups
from safeframe.kernels.parquet.values import physical_column


@dataclass(frozen=True, slots=True)
class FileColumn:
    """A column of the file."""

    name: str
    source: OutputColumn | None
    """Where the join has it from; None for a count of the file's rows."""
    dtype: Any
    """The dtype that the result promises."""
    codec: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class JoinedForm:
    """What the files of one join look like."""

    spec: JoinSpec
    schema: pa.Schema
    """Of all files."""
    columns: tuple[FileColumn, ...]
    """Their columns, in the order of the schema."""
    group_rows: int
    """Rows that a row group may have."""

    def __dask_tokenize__(self) -> tuple[object, ...]:
        columns = tuple((c.name, repr(c.source), repr(c.dtype), c.codec) for c in self.columns)
        return ("JoinedForm", self.spec.__dask_tokenize__(), str(self.schema), columns, self.group_rows)


Runs = tuple[VirtualJoin, Positions | None, Positions | None]
"""The runs of a shard, and the order in which either side's rows are those of its blocks; None as they are."""


def shard_runs(left: Block, right: Block, spec: JoinSpec) -> Runs:
    """Work out the runs of a shard of several keys.

    Notes
    -----
    Memory: ids and orders of 24 bytes per row.
    """
    left_ids, right_ids, n_ids = dense_ids(left, right, spec)
    join = join_runs(counts_of(left_ids, n_ids), counts_of(right_ids, n_ids), spec.how)
    return join, stable_order(left_ids), stable_order(right_ids)


def write_joined(
    sink: IO[bytes],
    left: Block,
    right: Block,
    form: JoinedForm,
    runs: Runs | None = None,
    part: tuple[int, int] = (0, 1),
) -> int:
    """Write a join of two blocks to a file.

    Parameters
    ----------
    sink
        An open file.
    left, right
        The rows of both sides.
    form
        What the file looks like.
    runs
        The runs; None where all rows of both sides have one and the same key.
    part
        Which part of the row groups, of how many.

    Returns
    -------
    int
        Result rows.

    Raises
    ------
    RowConservationError
        When a row has no match and each was planned to have one.

    Notes
    -----
    Memory: the blocks, once more in key order and once more in Arrow, and one
    row group in encoded pages: 4 bytes for each of its rows.
    """
    n_left = len(left[0]) if left else 0
    n_right = len(right[0]) if right else 0
    join, left_order, right_order = runs or (product_run(n_left, n_right, form.spec.how), None, None)
    _check_matches(join, form.spec)
    file = GroupedFile(sink, form.schema, _columns(left, right, left_order, right_order, form))
    for pages in JoinedGroups(join, n_left, form.group_rows).pages(*part):
        file.write_group(pages)
    file.close()
    return file.n_rows


def _check_matches(join: VirtualJoin, spec: JoinSpec) -> None:
    """Raise when a key has rows of one side alone, and none was planned to: its values would be null in the file."""
    for side, missing, rows in (
        ("left", spec.left_missing, join.left_len),
        ("right", spec.right_missing or spec.how in ("leftsemi", "leftanti"), join.right_len),
    ):
        if not missing and len(rows) and int(rows.min()) == 0:
            raise no_match(side, int(np.count_nonzero(rows == 0)))


def _columns(
    left: Block,
    right: Block,
    left_order: Positions | None,
    right_order: Positions | None,
    form: JoinedForm,
) -> Sequence[ColumnSource]:
    """Return the result's columns as blocks of values in key order."""
    spec = form.spec
    ordered: dict[tuple[str, int], Column] = {}

    def taken(side: str, number: int) -> Column:
        if (side, number) not in ordered:
            block, order = (left, left_order) if side == "left" else (right, right_order)
            ordered[side, number] = block[number] if order is None else block[number].take(order)
        return ordered[side, number]

    found: dict[str, tuple[str, Column]] = {}
    for column in form.columns:
        source = column.source
        if source is None:
            continue
        if source.left is not None and source.right is not None:
            keys = [
                as_series(as_key(taken("left", source.left), column.dtype)),
                as_series(as_key(taken("right", source.right), column.dtype)),
            ]
            both = pd.concat([key for key in keys if len(key)] or keys[:1], ignore_index=True)
            found[column.name] = (
                "key",
                both.array if not isinstance(both.dtype, np.dtype) else both.to_numpy(),
            )
        elif source.left is not None:
            found[column.name] = ("left", _may_miss(taken("left", source.left), spec.left_missing))
        else:
            assert source.right is not None, "a column is of one side at least"
            found[column.name] = ("right", _may_miss(taken("right", source.right), spec.right_missing))
    arrays = _arrow_columns({name: values for name, (_, values) in found.items()}, form)
    return [
        ColumnSource(column.name, "rows", None, column.codec)
        if column.source is None
        else ColumnSource(
            column.name, found[column.name][0], physical_column(arrays[column.name]), column.codec
        )
        for column in form.columns
    ]


def _may_miss(values: Column, missing: bool) -> Column:
    """Return values as the type that the result has where rows without a match are filled up."""
    return as_missing(values) if missing else values


def _arrow_columns(columns: Mapping[str, Column], form: JoinedForm) -> dict[str, pa.ChunkedArray]:
    """Convert each column as the write of a frame does it."""
    out = {}
    for name, values in columns.items():
        field = form.schema.field(name)
        frame = pd.DataFrame({name: as_series(values)}, copy=False)
        out[name] = pa.Table.from_pandas(
            frame, schema=pa.schema([field]), preserve_index=False, nthreads=1
        ).column(0)
    return out
