"""Cells of a shard that holds one key: which row ranges of either side they need.

With one key on both sides, result row ``r`` of ``left_rows * right_rows`` is
left row ``r // right_rows`` beside right row ``r % right_rows``. A cell then
reads no more rows of a side than it makes, however heavy the key is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from safeframe.facts.merge import How
from safeframe.kernels.virtual_join import JoinedRows, VirtualJoin, product_run

__all__ = ["Range", "SingleKeyCell", "single_key_cell", "single_key_ranges"]

Range = tuple[int, int]
"""Row numbers ``[lo, hi)``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SingleKeyCell:
    """What to read for one cell, and how its rows are put together from it."""

    left: tuple[Range, ...]
    """Row ranges of the left side, to be joined in this order."""
    right: tuple[Range, ...]
    """Row ranges of the right side."""
    rows: JoinedRows
    """The result rows, by position in the rows that were read."""


def single_key_cell(n_left: int, n_right: int, how: How, number: int, cells: int) -> SingleKeyCell:
    """Describe one of ``cells`` equal parts of the join of one key's rows.

    Examples
    --------
    >>> cell = single_key_cell(2, 1000, "inner", number=1, cells=4)
    >>> cell.left, cell.right
    (((0, 1),), ((500, 1000),))
    """
    join = product_run(n_left, n_right, how)
    rows = join.rows(*join.cell(number, cells))
    left, right = _ranges(join, number, cells)
    left_items, right_rows = rows.left_items, rows.right_rows
    if left:
        left_items = left_items - left[0][0]
    if how in ("leftsemi", "leftanti"):
        # No right row is part of the result; one is read where there are any, so that keys can be compared.
        right = ((0, 1),) if n_right else ()
    elif len(right) == 1:
        right_rows = right_rows - right[0][0]
    elif right:
        first = right[0][0]
        right_rows = np.where(right_rows >= first, right_rows - first, right_rows + (n_right - first))
    moved = JoinedRows(left_items=left_items, repeats=rows.repeats, right_rows=right_rows)
    return SingleKeyCell(left=left, right=right, rows=moved)


def single_key_ranges(
    n_left: int, n_right: int, how: How, number: int, cells: int
) -> tuple[tuple[Range, ...], tuple[Range, ...]]:
    """Give the row ranges that a cell reads of the left and of the right side, without its rows.

    Examples
    --------
    >>> single_key_ranges(2, 1000, "inner", number=1, cells=3)
    (((0, 2),), ((666, 1000), (0, 333)))
    """
    return _ranges(product_run(n_left, n_right, how), number, cells)


def _ranges(join: VirtualJoin, number: int, cells: int) -> tuple[tuple[Range, ...], tuple[Range, ...]]:
    lo, hi = join.cell(number, cells)
    if hi <= lo:
        return (), ()
    n_left, n_right = int(join.left_len[0]), int(join.right_len[0])
    if not n_left:
        return (), ((lo, hi),)
    if not n_right:
        return ((lo, hi),), ()
    left = ((lo // n_right, -(-hi // n_right)),)
    if hi - lo >= n_right:
        return left, ((0, n_right),)
    first, last = lo % n_right, (hi - 1) % n_right
    if first <= last:
        return left, ((first, last + 1),)
    # The cell ends in the next left row: the tail of the right side, then its head.
    return left, ((first, n_right), (0, last + 1))
