"""The output of a join as runs of row numbers, without the rows.

Two sides in key order meet in *runs*: for each key, where its rows start on
either side and how many there are. The rows of the result are numbered run by
run, within a run left row by left row::

    key   left rows    right rows    result rows
    a     0 1          0 1 2         0: (0,0) (0,1) (0,2) (1,0) (1,1) (1,2)
    b     2            -             6: (2,-)
    c     3            3             7: (3,3)

so any range of the result can be made alone, however heavy a key is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from safeframe.facts.merge import How
from safeframe.kernels.order import Positions


@dataclass(frozen=True, kw_only=True, slots=True)
class VirtualJoin:
    """Runs of a join, addressed by result row number.

    A run with ``left_len`` 0 is made of right rows without a match, one with
    ``right_len`` 0 of left rows without one. Runs that the join drops are left out.
    """

    left_start: Positions
    """First row of each run in the ordered left side."""
    left_len: Positions
    """Left rows of each run."""
    right_start: Positions
    """First row of each run in the ordered right side."""
    right_len: Positions
    """Right rows of each run."""
    ends: Positions
    """Result rows up to and including each run."""

    @property
    def n_rows(self) -> int:
        """Rows of the result."""
        return int(self.ends[-1]) if len(self.ends) else 0

    def cell(self, number: int, cells: int) -> tuple[int, int]:
        """Return the row range of one of ``cells`` equal parts of the result."""
        return cell_range(self.n_rows, number, cells)

    def rows(self, lo: int, hi: int) -> JoinedRows:
        """Return the positions of result rows ``[lo, hi)`` on both sides.

        Parameters
        ----------
        lo, hi
            Result row numbers, ``0 <= lo <= hi <= n_rows``.

        Returns
        -------
        JoinedRows
            Positions in the ordered sides.

        Notes
        -----
        Memory: 8 bytes per result row, and 8 more while they are made.
        """
        if hi <= lo:
            empty = np.empty(0, np.int64)
            return JoinedRows(left_items=empty, repeats=empty, right_rows=empty)
        first = int(np.searchsorted(self.ends, lo, side="right"))
        last = int(np.searchsorted(self.ends, hi - 1, side="right"))
        runs = slice(first, last + 1)
        left_len, right_len = self.left_len[runs], self.right_len[runs]
        # An item is what the rows of a run repeat over: a left row, or "no left row" once.
        per_item = np.maximum(right_len, 1)
        item_from = np.zeros(len(per_item), np.int64)
        item_to = np.maximum(left_len, 1)
        begin = lo - (int(self.ends[first - 1]) if first else 0)
        stop = hi - (int(self.ends[last - 1]) if last else 0)
        item_from[0] = begin // per_item[0]
        item_to[-1] = -(-stop // per_item[-1])
        skip = begin - int(item_from[0] * per_item[0])
        trim = int(item_to[-1] * per_item[-1]) - stop

        n_items = item_to - item_from
        repeats = np.repeat(per_item, n_items)
        repeats[0] -= skip
        repeats[-1] -= trim
        item_ends = np.cumsum(n_items)
        item = np.arange(item_ends[-1]) - np.repeat(item_ends - n_items - item_from, n_items)
        left_items = np.repeat(self.left_start[runs], n_items) + item
        if (left_len == 0).any():
            left_items[np.repeat(left_len == 0, n_items)] = -1

        row_start = np.cumsum(repeats) - repeats
        right_start = np.repeat(self.right_start[runs], n_items)
        right_start[0] += skip
        right_rows = np.arange(hi - lo)
        right_rows -= np.repeat(row_start - right_start, repeats)
        if (right_len == 0).any():
            right_rows[np.repeat(np.repeat(right_len == 0, n_items), repeats)] = -1
        return JoinedRows(left_items=left_items, repeats=repeats, right_rows=right_rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinedRows:
    """Where the rows of a part of a join come from.

    The left side is kept short: left row ``left_items[i]`` stands in
    ``repeats[i]`` result rows that follow each other.
    """

    left_items: Positions
    """Positions in the left side; -1 for none."""
    repeats: Positions
    """Result rows of each of them."""
    right_rows: Positions
    """Position in the right side per result row; -1 for none."""

    @property
    def left_rows(self) -> Positions:
        """Position in the left side per result row; -1 for none."""
        return np.repeat(self.left_items, self.repeats)

    def stretch(self, lo: int, hi: int) -> JoinedRows:
        """Return where rows ``[lo, hi)`` of them come from.

        Examples
        --------
        >>> rows = JoinedRows(
        ...     left_items=np.array([7, 8]), repeats=np.array([3, 2]), right_rows=np.array([0, 1, 2, 0, 1])
        ... )
        >>> some = rows.stretch(1, 4)
        >>> some.left_rows.tolist(), some.right_rows.tolist()
        ([7, 7, 8], [1, 2, 0])
        """
        ends = np.cumsum(self.repeats)
        repeats = np.minimum(ends, hi) - np.maximum(ends - self.repeats, lo)
        there = repeats > 0
        return JoinedRows(
            left_items=self.left_items[there], repeats=repeats[there], right_rows=self.right_rows[lo:hi]
        )

    def __len__(self) -> int:
        return len(self.right_rows)


def cell_range(n_rows: int, number: int, cells: int) -> tuple[int, int]:
    """Cut ``n_rows`` into ``cells`` parts whose sizes differ by one at most.

    Examples
    --------
    >>> [cell_range(10, number, 3) for number in range(3)]
    [(0, 3), (3, 6), (6, 10)]
    """
    return n_rows * number // cells, n_rows * (number + 1) // cells


def join_runs(
    left_counts: npt.NDArray[np.int64],
    right_counts: npt.NDArray[np.int64],
    how: How,
) -> VirtualJoin:
    """Make the runs of a join from rows per id on both sides.

    Parameters
    ----------
    left_counts, right_counts
        Rows of each id, ids being 0, 1, 2, …, the same on both sides.
    how
        Which rows stay.

    Examples
    --------
    >>> join = join_runs(np.array([2, 1, 1]), np.array([3, 0, 1]), "left")
    >>> join.n_rows
    8
    >>> rows = join.rows(4, 8)
    >>> rows.left_rows.tolist(), rows.right_rows.tolist()
    ([1, 1, 2, 3], [1, 2, -1, 3])
    """
    out = result_counts(left_counts, right_counts, how)
    keep = out > 0
    right_start, right_len = np.cumsum(right_counts) - right_counts, right_counts
    if how in ("leftsemi", "leftanti"):
        right_len = np.zeros_like(right_counts)  # no right row is part of the result
    return VirtualJoin(
        left_start=(np.cumsum(left_counts) - left_counts)[keep],
        left_len=left_counts[keep],
        right_start=right_start[keep],
        right_len=right_len[keep],
        ends=np.cumsum(out[keep]),
    )


def join_each(starts: Positions, counts: npt.NDArray[np.int64], how: How, probe: int) -> JoinedRows:
    """Return the rows of a join in the order of one side.

    Parameters
    ----------
    starts, counts
        For each row of that side, where the rows that it meets begin on the other, and how many there are.
    how
        Which rows stay; none of the other side that meets no row.
    probe
        Which side that is: 0 for the left one, 1 for the right one.

    Notes
    -----
    Memory: 24 bytes per row of that side and 24 per result row.

    Examples
    --------
    >>> rows = join_each(np.array([1, 3, 0]), np.array([2, 0, 1]), "left", 0)
    >>> rows.left_rows.tolist(), rows.right_rows.tolist()
    ([0, 0, 1, 2], [1, 2, -1, 0])
    """
    if how in ("leftsemi", "leftanti"):
        own = np.flatnonzero((counts > 0) == (how == "leftsemi"))
        return JoinedRows(left_items=own, repeats=np.ones_like(own), right_rows=np.full(len(own), -1))
    alone = counts == 0
    if how == "inner" and alone.any():
        own = np.flatnonzero(~alone)
        starts, counts, alone = starts[own], counts[own], alone[own]
    else:
        own = np.arange(len(counts))
    repeats = np.maximum(counts, 1)
    shifts = np.cumsum(repeats)
    n_rows = int(shifts[-1]) if len(shifts) else 0
    shifts -= repeats
    shifts -= starts
    others = np.arange(n_rows)
    others -= np.repeat(shifts, repeats)
    if alone.any():
        others[np.repeat(alone, repeats)] = -1
    if probe == 0:
        return JoinedRows(left_items=own, repeats=repeats, right_rows=others)
    return JoinedRows(left_items=others, repeats=np.ones_like(others), right_rows=np.repeat(own, repeats))


def product_run(left_rows: int, right_rows: int, how: How) -> VirtualJoin:
    """Make the join of two sides that hold one and the same key."""
    return join_runs(np.array([left_rows], np.int64), np.array([right_rows], np.int64), how)


def result_counts(
    left_counts: npt.NDArray[Any], right_counts: npt.NDArray[Any], how: How
) -> npt.NDArray[Any]:
    """Count the result rows of each key.

    Parameters
    ----------
    left_counts, right_counts
        Rows of each key on both sides; floats where they are estimates.
    how
        Which rows stay.

    Examples
    --------
    >>> left, right = np.array([2, 3, 0]), np.array([4, 0, 5])
    >>> {how: result_counts(left, right, how).tolist() for how in ("inner", "outer", "leftsemi", "leftanti")}
    {'inner': [8, 0, 0], 'outer': [8, 3, 5], 'leftsemi': [2, 0, 0], 'leftanti': [0, 3, 0]}
    """
    if how == "leftsemi":
        return np.where(right_counts > 0, left_counts, 0).astype(left_counts.dtype, copy=False)
    if how == "leftanti":
        return np.where(right_counts > 0, 0, left_counts).astype(left_counts.dtype, copy=False)
    out: npt.NDArray[Any] = left_counts * right_counts
    if how in ("left", "outer"):
        out = np.where(right_counts == 0, left_counts, out)
    if how in ("right", "outer"):
        out = np.where(left_counts == 0, right_counts, out)
    return out


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
    return single_key_rows(n_left, n_right, how, *product_run(n_left, n_right, how).cell(number, cells))


def single_key_rows(n_left: int, n_right: int, how: How, lo: int, hi: int) -> SingleKeyCell:
    """Describe result rows ``[lo, hi)`` of the join of one key's rows."""
    join = product_run(n_left, n_right, how)
    rows = join.rows(lo, hi)
    left, right = _ranges(join, lo, hi)
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
    """Return the row ranges that a cell reads of the left and of the right side, without its rows.

    Examples
    --------
    >>> single_key_ranges(2, 1000, "inner", number=1, cells=3)
    (((0, 2),), ((666, 1000), (0, 333)))
    """
    join = product_run(n_left, n_right, how)
    return _ranges(join, *join.cell(number, cells))


def _ranges(join: VirtualJoin, lo: int, hi: int) -> tuple[tuple[Range, ...], tuple[Range, ...]]:
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
