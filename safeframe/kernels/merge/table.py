"""A join by a table: the rows of one side by key, looked up by rows of the other.

The table has a place for every key from the smallest to the largest, and one
behind them for every other key, with missing values. A row takes its key's
place: there is no hashing, no sorting and no comparing.

Covers: which joins can be made so, the table's layout, rows into it, and
looking them up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.facts.keys import KeySchema
from safeframe.facts.layout import ShardLayout
from safeframe.facts.merge import KeyTable
from safeframe.kernels.changed_data import data_changed
from safeframe.kernels.columns.frame import frame_of_columns
from safeframe.kernels.columns.rows import PackedRows, pack
from safeframe.kernels.columns.values import (
    Block,
    Column,
    as_column,
    as_fixed,
    as_promised,
    as_series,
    fixed_column,
    has_fixed_width,
    missing_dtype,
)
from safeframe.kernels.keys.codes import encode_keys
from safeframe.kernels.keys.nulls import send_nulls
from safeframe.kernels.merge.spec import JoinSpec, SideSpec
from safeframe.kernels.merge.taken_rows import no_match

_STEP = 2**17
"""Rows that are looked up at once: few enough to stay in the processor's cache until they are columns."""


@dataclass(frozen=True, slots=True, eq=False)
class JoinTable:
    """A join, and the table that it looks up in."""

    spec: JoinSpec
    """The join: a left one with a table of right rows, or the other way round."""
    keys: KeyTable

    @property
    def build(self) -> SideSpec:
        """The side that is in the table."""
        return self.spec.right if self.keys.build_side == "right" else self.spec.left

    @property
    def probe(self) -> SideSpec:
        """The side that looks up."""
        return self.spec.left if self.keys.build_side == "right" else self.spec.right

    @property
    def sources(self) -> list[tuple[int | None, int | None]]:
        """For each column of the result, its position among those that look up, and among those in the table."""
        pairs = [(column.left, column.right) for column in self.spec.output]
        pairs = pairs if self.keys.build_side == "right" else [(right, left) for left, right in pairs]
        return [(own, None if own is not None else other) for own, other in pairs]

    @property
    def slices(self) -> ShardLayout:
        """The slices as shards, by which the rows of the side of the table are collected."""
        width = self.layout.itemsize
        n = self.keys.n_slices(width)
        starts = [0, *(self.keys.base + number * self.keys.slice_places(width) for number in range(1, n))]
        return ShardLayout(
            starts=np.array(starts, np.uint64),
            single_key=np.zeros(n, np.bool_),
            cells=np.ones(n, np.int64),
            null_shard=False,
        )

    @property
    def looked_up(self) -> list[tuple[int, Any]]:
        """Position among the columns of the table's side, and type in the result, of each column of the table."""
        dtypes = self.spec.meta.dtypes
        return [(other, dtypes.iloc[i]) for i, (_, other) in enumerate(self.sources) if other is not None]

    @property
    def missing(self) -> bool:
        """Whether a row that looks up may find none."""
        return self.spec.right_missing if self.keys.build_side == "right" else self.spec.left_missing

    @property
    def marks(self) -> bool:
        """Whether the table tells which of its places are filled: where it has others, and none of them is to be found."""
        return not self.missing and self.keys.span > self.keys.rows

    @property
    def layout(self) -> np.dtype[np.void]:
        """The layout of the table's rows: whole words, so that a row is taken at once."""
        kinds = [_stored(dtype) for _, dtype in self.looked_up] + [np.dtype(np.bool_)] * self.marks
        offsets = np.cumsum([0, *(kind.itemsize for kind in kinds)])
        words = max(1, -(-int(offsets[-1]) // 8))
        names = [str(i) for i in range(len(kinds))]
        return np.dtype(
            {"names": names, "formats": kinds, "offsets": offsets[:-1].tolist(), "itemsize": 8 * words}
        )


def refused(spec: JoinSpec, build_side: str) -> str:
    """Return why a join cannot be made by a table of one side; empty where it can."""
    if (spec.how, build_side) not in (("left", "right"), ("right", "left")):
        return "a table is of a side whose unmatched rows do not stay, and the other side's rows all do"
    if spec.index is not None or spec.indicator:
        return "an index that is a key, and an indicator, are not looked up"
    if len(spec.left.on) != 1 or not spec.left.schema.columns[0].is_whole:
        return "a table has places for keys of one column, of whole numbers or times"
    probe, build = (spec.left, spec.right) if build_side == "right" else (spec.right, spec.left)
    for column, dtype in zip(spec.output, spec.meta.dtypes, strict=True):
        own, other = (column.left, column.right) if build_side == "right" else (column.right, column.left)
        if own is not None and probe.dtypes[own] != dtype:
            return f"the key column {probe.names[own]!r} changes its type"
        if own is None and (
            other is None
            or not has_fixed_width(dtype)
            or dtype not in (build.dtypes[other], missing_dtype(build.dtypes[other]))
        ):
            return f"the table's rows have a fixed width, and the {build_side} side has a column of {dtype}"
    return ""


def slice_rows(block: Block, table: JoinTable, number: int) -> PackedRows:
    """Make a slice of the table: rows in their places, missing values in all others.

    Parameters
    ----------
    block
        The rows of the table's side whose keys are in the slice, column by column.
    table
        The table.
    number
        Which slice; the last one has the row for missing keys as well.

    Raises
    ------
    RowConservationError
        When a key has no place in the slice, or occurs twice: the data are not
        those that were sampled.
    """
    keys, layout, side = table.keys, table.layout, table.build
    first = number * keys.slice_places(layout.itemsize)
    n_places = min(keys.slice_places(layout.itemsize), keys.span - first)
    rows = _missing_rows(table, n_places + int(first + n_places == keys.span))
    places = _table_places(as_series(block[side.key_positions[0]]), side.schema, keys)
    places -= first
    filled = np.zeros(len(rows), np.bool_)
    inside = places[(places >= 0) & (places < n_places)]
    filled[inside] = True
    whole = table.missing or table.marks or bool(filled[:n_places].all())
    if len(inside) < len(places) or int(filled.sum()) < len(places) or not whole:
        msg = (
            f"The {keys.build_side} side was planned with each key once, from the smallest to the largest: of "
            f"{len(places):,} rows {int(filled.sum()):,} have such a key."
        )
        raise data_changed(msg, planned=len(places), found=int(filled.sum()))
    values = []
    for at, dtype in table.looked_up:
        own, _ = as_fixed(as_series(block[at]), side.dtypes[at])
        values.append(own if _is_time(dtype) else own.astype(dtype, copy=False))
    if table.marks:
        values.append(np.ones(len(places), np.bool_))
    if values:
        packed: PackedRows = np.empty(len(places), layout)
        pack(packed, values)
        _as_wide_numbers(rows)[places] = _as_wide_numbers(packed)
    return rows


def _missing_rows(table: JoinTable, n_rows: int) -> PackedRows:
    layout = table.layout
    rows: PackedRows = np.zeros(n_rows, layout)
    for name, (_, dtype) in zip(layout.names or (), table.looked_up, strict=False):
        if _is_time(dtype):
            rows[name] = np.iinfo(np.int64).min
        elif dtype.kind == "f":
            rows[name] = np.nan
    return rows


def look_up(frame: pd.DataFrame, rows: PackedRows, table: JoinTable) -> pd.DataFrame:
    """Join a partition with the table.

    Parameters
    ----------
    frame
        A partition of the side that looks up.
    rows
        The table.
    table
        What it is.

    Raises
    ------
    RowConservationError
        When a row finds none where the plan has one for each.

    Notes
    -----
    Memory: the columns that are looked up, and a few words for each of some thousand rows.
    """
    side = table.probe
    own: Block = [
        as_column(as_promised(frame[name], dtype))
        for name, dtype in zip(side.names, side.dtypes, strict=True)
    ]
    key = frame[side.on[0]]
    made = [fixed_column(len(frame), dtype) for _, dtype in table.looked_up]
    names = rows.dtype.names or ()
    plain = _as_wide_numbers(rows)
    for start in range(0, len(frame), _STEP) if made or not table.missing else ():
        places = _table_places(key.iloc[start : start + _STEP], side.schema, table.keys)
        taken = plain.take(places, mode="clip").view(rows.dtype)
        if not table.missing:
            found = places < table.keys.span
            if table.marks:
                found &= taken[names[-1]]
            if not found.all():
                raise no_match(table.keys.build_side, int(np.count_nonzero(~found)))
        for (_, target), name in zip(made, names, strict=False):
            target[start : start + _STEP] = taken[name]
    looked_up = iter(made)
    columns: list[Column] = []
    for at, _ in table.sources:
        columns.append(next(looked_up)[0]() if at is None else own[at])
    return frame_of_columns(columns, table.spec.meta.columns, len(frame))


def _table_places(key: pd.Series[Any], schema: KeySchema, keys: KeyTable) -> npt.NDArray[np.int64]:
    """Return each key's place; a key that has none gets the place behind the last."""
    codes, null = encode_keys([key], schema)
    # A code below the base wraps around to a large number.
    places = codes - np.uint64(keys.base)
    np.minimum(places, np.uint64(keys.span), out=places)
    send_nulls(places, null, keys.span)  # a table has no null key
    found: npt.NDArray[np.int64] = places.view(np.int64)
    return found


def _as_wide_numbers(rows: PackedRows) -> npt.NDArray[Any]:
    """View rows as numbers of their width where there are such: numpy takes these several times as fast."""
    words = {8: np.dtype(np.int64), 16: np.dtype(np.complex128)}
    width = rows.dtype.itemsize
    return rows.view(words.get(width, np.dtype(f"V{width}")))


def _is_time(dtype: Any) -> bool:
    return isinstance(dtype, pd.DatetimeTZDtype) or dtype.kind in "mM"


def _stored(dtype: Any) -> np.dtype[Any]:
    return np.dtype(np.int64) if _is_time(dtype) else np.dtype(dtype)
