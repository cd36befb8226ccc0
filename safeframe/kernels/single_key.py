"""Cells of a shard that holds one key: which row ranges of either side they need.

With one key on both sides, result row ``r`` of ``left_rows * right_rows`` is
left row ``r // right_rows`` beside right row ``r % right_rows``. A cell then
reads no more rows of a side than it makes, however heavy the key is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from safeframe.facts.merge import How
from safeframe.kernels.virtual_join import JoinedRows, product_run

__all__ = ["SingleKeyCell", "single_key_cell"]

Range = tuple[int, int]


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
    lo, hi = join.cell(number, cells)
    rows = join.rows(lo, hi)
    if not len(rows):
        return SingleKeyCell(left=(), right=(), rows=rows)
    left_items, right_rows = rows.left_items, rows.right_rows
    left: tuple[Range, ...] = ()
    right: tuple[Range, ...] = ()
    if n_left:
        left = ((int(left_items[0]), int(left_items[-1]) + 1),)
        left_items = left_items - left[0][0]
    if how in ("leftsemi", "leftanti"):
        # No right row is part of the result; one is read where there are any, so that keys can be compared.
        right = ((0, 1),) if n_right else ()
    elif n_right:
        first, last = int(right_rows[0]), int(right_rows[-1])
        if len(rows) >= n_right:
            right = ((0, n_right),)
        elif first <= last:
            right = ((first, last + 1),)
            right_rows = right_rows - first
        else:
            # The cell ends in the next left row: the tail of the right side, then its head.
            right = ((first, n_right), (0, last + 1))
            right_rows = np.where(right_rows >= first, right_rows - first, right_rows + (n_right - first))
    moved = JoinedRows(left_items=left_items, repeats=rows.repeats, right_rows=right_rows)
    return SingleKeyCell(left=left, right=right, rows=moved)
