"""Cuts the runs of a join into row groups and pages of a file, without its rows.

A key with many result rows is a page of its own: its left rows, each standing
in as many rows as there are right ones, and its right rows, coming round as
often as there are left ones. One with more rows than a row group is cut into
rectangles of both sides. Keys with few rows share pages, for which the
positions of their rows are worked out one by one.

Covers: which positions a page has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from safeframe import options
from safeframe.kernels.merge.virtual import VirtualJoin, cell_range
from safeframe.kernels.order import Positions

_Rectangle = tuple[int, int, int, int, int]
"""A run, and its rectangle: left rows ``[lo, hi)`` and right rows ``[lo, hi)``. Run -1: result rows ``[lo, hi)``."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Page:
    """Result rows that follow each other, as positions in the blocks; -1 for none."""

    n_rows: int
    left: Positions
    repeats: int | npt.NDArray[np.int64]
    """Result rows of each of them."""
    right: Positions
    times: int
    """How often they come round."""
    keys: Positions
    """Rows of the keys' block."""
    key_repeats: int | npt.NDArray[np.int64]
    """Result rows of each of these."""
    pattern: tuple[int, int] | None = None
    """First right row, and how many, where they follow each other."""


def rectangle_shape(right_rows: Positions, group_rows: int) -> tuple[Positions, Positions]:
    """Return the left and the right rows of a key's largest rectangle.

    Parameters
    ----------
    right_rows
        Right rows of each key.
    group_rows
        Rows of a row group.

    Examples
    --------
    >>> [shape.tolist() for shape in rectangle_shape(np.array([1, 1000, 1_000_000]), 500_000)]
    [[500000, 500, 15], [1, 1000, 32768]]
    """
    right = np.clip(right_rows, 1, min(options.JOINED_RIGHT_ROWS, group_rows))
    return np.maximum(group_rows // right, 1), right


class JoinedGroups:
    """The row groups of a join.

    Parameters
    ----------
    join
        Its runs.
    left_rows
        Rows of the left block, behind which those of the right block stand among the keys.
    group_rows
        Rows that a row group may have.

    Examples
    --------
    >>> from safeframe.kernels.merge.virtual import join_runs
    >>> groups = JoinedGroups(join_runs(np.array([300]), np.array([500]), "left"), 300, 60_000)
    >>> [[page.n_rows for page in pages] for pages in groups.pages(0, 1)]
    [[50000], [50000], [50000]]
    """

    def __init__(self, join: VirtualJoin, left_rows: int, group_rows: int) -> None:
        self._join = join
        self._left_rows = left_rows
        self._groups = list(_grouped(_parts(join, group_rows), join, group_rows))

    def __len__(self) -> int:
        return len(self._groups)

    def pages(self, number: int, cells: int) -> Iterator[list[Page]]:
        """Return the pages of one of ``cells`` parts of the row groups, group by group."""
        for group in self._groups[slice(*cell_range(len(self._groups), number, cells))]:
            yield [self._page(part) for part in group]

    def _page(self, part: _Rectangle) -> Page:
        run, left_lo, left_hi, right_lo, right_hi = part
        if run < 0:
            return self._shared_page(left_lo, left_hi)
        n_left, n_right = left_hi - left_lo, right_hi - right_lo
        n_rows = max(n_left, 1) * max(n_right, 1)
        none = np.full(1, -1, np.int64)
        key = left_lo if n_left else self._left_rows + right_lo
        return Page(
            n_rows=n_rows,
            left=np.arange(left_lo, left_hi) if n_left else none,
            repeats=max(n_right, 1),
            right=np.arange(right_lo, right_hi) if n_right else none,
            times=max(n_left, 1),
            keys=np.full(1, key, np.int64),
            key_repeats=n_rows,
            pattern=(right_lo, n_right) if n_right > 1 else None,
        )

    def _shared_page(self, lo: int, hi: int) -> Page:
        rows = self._join.rows(lo, hi)
        keys = rows.left_items
        if (keys < 0).any():
            starts = np.cumsum(rows.repeats) - rows.repeats
            keys = np.where(keys >= 0, keys, self._left_rows + rows.right_rows[starts])
        return Page(
            n_rows=len(rows),
            left=rows.left_items,
            repeats=rows.repeats,
            right=rows.right_rows,
            times=1,
            keys=keys,
            key_repeats=rows.repeats,
        )


def _parts(join: VirtualJoin, group_rows: int) -> Iterator[_Rectangle]:
    """Return rectangles of keys with many rows, and ranges of result rows of the others, in order."""
    rows = np.diff(join.ends, prepend=0)
    shared = 0
    for run in np.flatnonzero(rows >= options.JOINED_PAGE_ROWS).tolist():
        begin = int(join.ends[run] - rows[run])
        yield from _shared(shared, begin, group_rows)
        yield from _rectangles(join, run, group_rows)
        shared = int(join.ends[run])
    yield from _shared(shared, join.n_rows, group_rows)


def _shared(lo: int, hi: int, group_rows: int) -> Iterator[_Rectangle]:
    step = min(options.JOINED_SHARED_ROWS, group_rows)
    for start in range(lo, hi, step):
        yield -1, start, min(start + step, hi), 0, 0


def _rectangles(join: VirtualJoin, run: int, group_rows: int) -> Iterator[_Rectangle]:
    n_left, n_right = int(join.left_len[run]), int(join.right_len[run])
    left, right = int(join.left_start[run]), int(join.right_start[run])
    if not n_left:
        high, wide = 0, group_rows
    elif not n_right:
        high, wide = group_rows, 0
    else:
        shape = rectangle_shape(np.array([n_right]), group_rows)
        high, wide = int(shape[0][0]), int(shape[1][0])
    columns = -(-n_right // wide) if n_right else 1
    lines = -(-n_left // high) if n_left else 1
    for column in range(columns):
        right_lo, right_hi = cell_range(n_right, column, columns)
        for line in range(lines):
            left_lo, left_hi = cell_range(n_left, line, lines)
            yield run, left + left_lo, left + left_hi, right + right_lo, right + right_hi


def _grouped(parts: Iterator[_Rectangle], join: VirtualJoin, group_rows: int) -> Iterator[list[_Rectangle]]:
    group: list[_Rectangle] = []
    held = 0
    for part in parts:
        run, left_lo, left_hi, right_lo, right_hi = part
        n_rows = left_hi - left_lo if run < 0 else max(left_hi - left_lo, 1) * max(right_hi - right_lo, 1)
        if group and held + n_rows > group_rows:
            yield group
            group, held = [], 0
        group.append(part)
        held += n_rows
    if group:
        yield group
