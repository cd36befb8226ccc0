"""One output partition of a join, from the rows of its shard.

Covers: ordering both sides by key, the virtual join, taking the cell's rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.errors import SchemaMismatchError
from safeframe.kernels.columns.categories import join_categoricals
from safeframe.kernels.columns.coded_text import text_or_codes
from safeframe.kernels.columns.frame import frame_of_columns
from safeframe.kernels.columns.index_freq import freq_of, with_freq
from safeframe.kernels.columns.taking import join_and_take, take
from safeframe.kernels.columns.values import Block, Column, as_column, as_promised, as_series
from safeframe.kernels.keys.ids import key_ids
from safeframe.kernels.merge.lookup import lookup_join
from safeframe.kernels.merge.output import OutputColumn
from safeframe.kernels.merge.spec import JoinSpec, SideSpec
from safeframe.kernels.merge.taken_rows import TakenRows
from safeframe.kernels.merge.text import check_text
from safeframe.kernels.merge.virtual import JoinedRows, VirtualJoin, cell_range, join_each, join_runs
from safeframe.kernels.order import Positions, counts_of, rank_words, stable_order

CountedRows = tuple[Block, Positions | None, npt.NDArray[np.int64]]
"""Rows of one side, their order by key, and rows per key."""

_REPEATED = 2
"""Times that a result has each row of a side, from which on that side is brought to key order first."""


def frame_block(frame: pd.DataFrame, side: SideSpec) -> Block:
    """Return a side's columns of a frame, in the order of its spec, as the frame promises them."""
    return [
        as_column((text_or_codes if name in side.coded else as_promised)(frame[name], dtype))
        for name, dtype in zip(side.names, side.dtypes, strict=True)
    ]


class JoinedShard(Protocol):
    """The result of joining a shard, whose rows are made by their numbers, in any stretch."""

    @property
    def n_rows(self) -> int:
        """Rows of the result."""

    def frame(self, lo: int, hi: int, most_nbytes: int | None = None) -> pd.DataFrame:
        """Return result rows ``[lo, hi)``, or raise ``TextTooLargeError`` where their strings take more bytes."""


def join_shard(left: Block, right: Block, spec: JoinSpec) -> JoinedShard:
    """Join a shard.

    Notes
    -----
    Memory: the two blocks, ids and orders of 24 bytes per row of them; for the
    rows of a stretch the touched rows in key order once more, 16 bytes of
    positions per result row, and the rows.
    """
    left_ids, right_ids, n_ids = dense_ids(left, right, spec)
    counts = counts_of(left_ids, n_ids), counts_of(right_ids, n_ids)
    looked_up = lookup_join(left, right, (left_ids, right_ids), counts, spec)
    if looked_up is not None:
        return looked_up
    return CountedJoin.of(
        (left, stable_order(left_ids), counts[0]), (right, stable_order(right_ids), counts[1]), spec
    )


def join_cell(
    left: Block, right: Block, spec: JoinSpec, number: int, cells: int, most_nbytes: int | None = None
) -> pd.DataFrame:
    """Join a shard and give one of ``cells`` equal parts of the result; see :func:`join_rows` for ``most_nbytes``."""
    joined = join_shard(left, right, spec)
    return joined.frame(*cell_range(joined.n_rows, number, cells), most_nbytes)


def join_in_place(left: Block, right: Block, spec: JoinSpec, probe: int) -> JoinedShard:
    """Join all rows of one side with what they meet on the other, in the order that they have.

    Parameters
    ----------
    left, right
        The rows of both sides.
    spec
        The join, which keeps no row of the other side that meets none.
    probe
        The side whose order is kept: 0 for the left one, 1 for the right one.

    Notes
    -----
    Memory: the two blocks, ids and places of 24 bytes per row of them, 24 bytes of
    positions per result row, and what is made of it.
    """
    *ids, n_ids = dense_ids(left, right, spec)
    other = 1 - probe
    counts = counts_of(ids[other], n_ids)
    order = stable_order(ids[other])
    starts, counts = (np.cumsum(counts) - counts)[ids[probe]], counts[ids[probe]]
    del ids
    rows = join_each(starts, counts, spec.how, probe)
    del starts, counts
    blocks = [left, right]
    if order is not None:
        blocks[other] = [take(column, order) for column in blocks[other]]
    return _JoinedInPlace(left=blocks[0], right=blocks[1], rows=rows, spec=spec)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _JoinedInPlace:
    """Rows of one side in their order, joined."""

    left: Block
    right: Block
    rows: JoinedRows
    spec: JoinSpec

    @property
    def n_rows(self) -> int:
        """Rows of the result."""
        return len(self.rows)

    def frame(self, lo: int, hi: int, most_nbytes: int | None = None) -> pd.DataFrame:
        """See :class:`JoinedShard`."""
        rows = self.rows if hi - lo == self.n_rows else self.rows.stretch(lo, hi)
        return join_rows(self.left, self.right, rows, self.spec, most_nbytes)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CountedJoin:
    """A shard whose rows per key are counted, joined."""

    left: Block
    left_order: Positions | None
    """Order of the left rows by key; None where they are in order."""
    right: Block
    right_order: Positions | None
    """Order of the right rows."""
    runs: VirtualJoin
    spec: JoinSpec

    @classmethod
    def of(cls, left: CountedRows, right: CountedRows, spec: JoinSpec) -> CountedJoin:
        """Join two sides, of which the rows of each key are counted, both sides' keys lined up."""
        return cls(
            left=left[0],
            left_order=left[1],
            right=right[0],
            right_order=right[1],
            runs=join_runs(left[2], right[2], spec.how),
            spec=spec,
        )

    @property
    def n_rows(self) -> int:
        """Rows of the result."""
        return self.runs.n_rows

    def frame(self, lo: int, hi: int, most_nbytes: int | None = None) -> pd.DataFrame:
        """See :class:`JoinedShard`."""
        rows = self.runs.rows(lo, hi)
        left, left_items = _touched(self.left, self.left_order, rows.left_items)
        right, right_rows = _touched(self.right, self.right_order, rows.right_rows)
        rows = JoinedRows(left_items=left_items, repeats=rows.repeats, right_rows=right_rows)
        return join_rows(left, right, rows, self.spec, most_nbytes)


def join_rows(
    left: Block, right: Block, rows: JoinedRows, spec: JoinSpec, most_nbytes: int | None = None
) -> pd.DataFrame:
    """Put result rows together from the positions of their two sides.

    Parameters
    ----------
    left, right
        The rows of both sides.
    rows
        Where the result's rows come from.
    spec
        The join.
    most_nbytes
        Bytes that the strings of the result may take; None for any number.

    Raises
    ------
    TextTooLargeError
        When they take more; nothing was made of them.
    RowConservationError
        When a row lacks one of a side that was planned to have one for each.
    """
    of_left, of_right = spec.of_sides
    text = [(left, of_left, rows.left_items, rows.repeats), (right, of_right, rows.right_rows, None)]
    check_text(len(rows), text, most_nbytes, (spec.left.coded_positions, spec.right.coded_positions))
    dtypes = spec.meta.dtypes
    taken = (
        TakenRows(
            rows.left_items,
            missing=spec.left_missing,
            side="left",
            repeats=None if len(rows) == len(rows.left_items) else rows.repeats,
        ),
        TakenRows(
            # No right row is part of a semi or anti join.
            rows.right_rows,
            missing=spec.right_missing or spec.how in ("leftsemi", "leftanti"),
            side="right",
        ),
    )
    made = [
        _column(column, left, right, rows, taken, spec, dtypes.iloc[i])
        for i, column in enumerate(spec.output)
    ]
    if spec.indicator:
        made.append(_indicator(rows, spec, dtypes.iloc[-1]))
    frame = frame_of_columns(made, spec.meta.columns, len(rows))
    if spec.index is not None:
        index = spec.meta.index
        values = _column(spec.index, left, right, rows, taken, spec, index.dtype)
        labels: pd.Index[Any] = pd.Index(values, dtype=values.dtype, name=index.name, copy=False)
        frame.index = with_freq(labels, freq_of(index))
    return frame


def _indicator(rows: JoinedRows, spec: JoinSpec, dtype: pd.CategoricalDtype) -> pd.Categorical:
    """Return for each row on which sides it was found: left_only, right_only or both."""
    codes = np.full(len(rows), 2, np.int8)
    if spec.how == "leftanti":
        codes[:] = 0
    elif spec.how != "leftsemi":
        codes[rows.right_rows < 0] = 0
        codes[rows.left_rows < 0] = 1
    return pd.Categorical.from_codes(codes, dtype=dtype)


def _column(
    column: OutputColumn,
    left: Block,
    right: Block,
    rows: JoinedRows,
    taken_rows: tuple[TakenRows, TakenRows],
    spec: JoinSpec,
    dtype: Any,
) -> Column:
    if column.left is None:
        assert column.right is not None
        return taken_rows[1].of(right[column.right])
    if column.right is None or not spec.left_missing:
        items = taken_rows[0].of(left[column.left])
        return items if column.right is None else as_key(items, dtype)
    # A key that is one column: the left value, or the right one where there is no left row.
    # Only keys of the result are cast: another one may be an integer that floats do not hold.
    has_left = rows.left_rows >= 0
    keys = [
        as_key(take(left[column.left], rows.left_rows[has_left]), dtype),
        as_key(take(right[column.right], rows.right_rows[~has_left]), dtype),
    ]
    places = np.cumsum(has_left) - 1
    from_either = np.where(has_left, places, len(keys[0]) + np.arange(len(has_left)) - places - 1)
    if isinstance(dtype, pd.CategoricalDtype):
        return join_categoricals(keys).take(from_either)
    return as_column(as_series(join_and_take(keys, from_either)).astype(dtype))


def as_key(values: Column, dtype: Any) -> Column:
    """Return a side's keys as the type that pandas gives the keys of both, or refuse to round them."""
    if values.dtype == dtype or isinstance(dtype, pd.CategoricalDtype):
        return values
    series = as_series(values)
    cast = series.astype(dtype)
    if pd.api.types.is_integer_dtype(values.dtype) and pd.api.types.is_float_dtype(dtype):
        whole = series.dropna().to_numpy(dtype=np.int64)
        with np.errstate(invalid="ignore"):  # what does not come back as it was is found below
            rounded = whole[whole.astype(np.float64).astype(np.int64) != whole]
        if len(rounded):
            msg = (
                f"The key {rounded[0]} is {values.dtype} on one side, and {dtype}, the type of the result's key, "
                "cannot hold it."
            )
            hint = "Cast the key to one type first, on both sides: nothing was rounded."
            raise SchemaMismatchError(msg, hint=hint, key_dtype=str(values.dtype), result_dtype=str(dtype))
    return as_column(cast)


def _touched(block: Block, order: Positions | None, rows: Positions) -> tuple[Block, Positions]:
    """Return the rows of a block that ``rows``, numbers in key order, reach, and their numbers in what is returned.

    Where each is reached about once, they are numbered as they lie, for one take to bring them to
    their places; where the result repeats them, in key order, so that it reads them one after the other.
    """
    real = rows[rows >= 0] if len(rows) and rows.min() < 0 else rows
    if len(real) == 0:
        return [column[:0] for column in block], rows
    first, last = int(real.min()), int(real.max()) + 1
    if order is not None and len(real) < _REPEATED * (last - first):
        return block, (order[rows] if real is rows else np.where(rows >= 0, order[rows], -1))
    if order is None:
        block = [column[first:last] for column in block]
    else:
        block = [take(column, order[first:last]) for column in block]
    if first:
        rows = np.where(rows >= 0, rows - first, -1)
    return block, rows


def dense_ids(
    left: Block, right: Block, spec: JoinSpec
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
    """Number the keys of both sides from zero on, and tell how many numbers there are."""
    return _dense(*key_ids(_keys(left, spec.left), _keys(right, spec.right), spec.left.schema))


def _dense(
    left_ids: npt.NDArray[np.int64], right_ids: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
    """Make ids small enough to count in a table: at most a few slots per row; their order stays."""
    n_rows = len(left_ids) + len(right_ids)
    largest = max(int(left_ids.max(initial=-1)), int(right_ids.max(initial=-1)))
    if largest < 4 * n_rows + 1024:
        return left_ids, right_ids, largest + 1
    ids, firsts = rank_words(np.concatenate([left_ids, right_ids]).view(np.uint64))
    return ids[: len(left_ids)], ids[len(left_ids) :], len(firsts)


def _keys(block: Block, side: SideSpec) -> list[pd.Series[Any]]:
    return [as_series(block[i]) for i in side.key_positions]
