"""Which partitions of a side in key order a cell touches, and which of their rows.

Covers: whether a side is in key order; neighbouring partitions for a shard of
several keys; row ranges of a key's partitions for a shard of one key, so that
a key that crosses many partitions is read by rows as everywhere.

Every row of a partition lies in one shard, since shards follow each other
without a gap, and every cell of the shard reads it, unless no result row comes
from any key as small, or as large; a shard of one key divides its rows among
its cells. So no row of a partition is missed or taken twice as long as the
partition holds the keys that it was planned with, which is checked when it is
made. Partitions that no result row comes from are not read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from safeframe.facts.keys import Counts, PartitionKeys
from safeframe.facts.layout import OrderedLayout, TouchedParts
from safeframe.facts.merge import How
from safeframe.kernels.merge.virtual import Range, single_key_ranges
from safeframe.planning.merge.shards import LayoutFigures

Numbers = npt.NDArray[np.int64]


def first_disorder(parts: PartitionKeys) -> tuple[int, int] | None:
    """Find the first two partitions with keys whose ranges are out of order; None when all are in order.

    Nulls have no place in the order of keys, wherever they stand: they are joined apart.
    """
    numbers = np.flatnonzero(parts.full)
    falls = np.flatnonzero(parts.first[numbers[1:]] < parts.last[numbers[:-1]])
    if len(falls) == 0:
        return None
    return int(numbers[falls[0]]), int(numbers[falls[0] + 1])


def touched_parts(parts: PartitionKeys, figures: LayoutFigures, how: How, side: str) -> TouchedParts:
    """Find the partitions that the cells of each shard read.

    Parameters
    ----------
    parts
        The partitions of the side, in key order.
    figures
        The shards, with the rows of those of one key on both sides.
    how
        Which rows stay.
    side
        ``"left"`` or ``"right"``.
    """
    layout = figures.layout
    numbers = np.flatnonzero(parts.full)
    low, high = _reach(parts, numbers, figures)
    nulls = np.flatnonzero(parts.null_rows > 0)
    unread = side == "right" and how in ("leftsemi", "leftanti")  # of a key that is known one by one
    counts = np.zeros(layout.n_shards, np.int64)
    found: list[Numbers] = []
    key_rows: list[Numbers] = []
    for shard in np.flatnonzero(layout.cells).tolist():
        null_shard = layout.holds_nulls(shard)
        own = nulls if null_shard else numbers[low[shard] : high[shard]]
        if layout.single_key[shard]:
            rows = parts.null_rows[own] if null_shard else _key_rows(parts, own, figures, shard, side)
            some = (rows > 0) & (not unread)
            own, rows = own[some], rows[some]
        else:
            rows = np.full(len(own), -1, np.int64)
        counts[shard] = len(own)
        found.append(own)
        key_rows.append(rows)
    none = np.empty(0, np.int64)
    return TouchedParts(
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        parts=np.concatenate([none, *found]),
        rows=np.concatenate([none, *key_rows]),
    )


def cell_parts(
    touched: TouchedParts, ordered: OrderedLayout, how: How, side: str, location: tuple[int, int, int]
) -> tuple[Numbers, Numbers, Numbers]:
    """Find the partitions that one cell reads, and which rows of each.

    Parameters
    ----------
    touched
        The partitions that its shard reads.
    ordered
        The rows of both sides in each shard.
    how
        Which rows stay.
    side
        ``"left"`` or ``"right"``.
    location
        Of the cell: its shard, its number within the shard, and the shard's cells.

    Returns
    -------
    tuple of arrays
        Partition numbers; the first row, among the partition's rows of the shard's one key, and the row behind
        the last one, both -1 for a shard of several keys.
    """
    shard, number, cells = location
    entries = touched.of_shard(shard)
    own, rows = touched.parts[entries], touched.rows[entries]
    if (rows < 0).any():
        return own, rows, rows
    sides = int(ordered.left_rows[shard]), int(ordered.right_rows[shard])
    ranges = single_key_ranges(*sides, how, number, cells)[0 if side == "left" else 1]
    found = _rows_of_ranges(own, rows, ranges)
    return found[:, 0], found[:, 1], found[:, 2]


def held_rows(
    parts: PartitionKeys, touched: TouchedParts, figures: LayoutFigures, side: str
) -> tuple[int, int]:
    """Bound the rows and the number of all partitions that a cell touches."""
    layout = figures.layout
    most_rows = most_parts = 0
    for shard in np.flatnonzero(np.diff(touched.offsets)).tolist():
        entries = touched.of_shard(shard)
        whole = parts.rows[touched.parts[entries]]
        held, count = int(whole.sum()), len(whole)
        if layout.single_key[shard] and layout.cells[shard] > 1:
            window = _window(figures, shard, side)
            held, count = _most_in_window(whole, touched.rows[entries], window, around=side == "right")
        most_rows, most_parts = max(most_rows, held), max(most_parts, count)
    return most_rows, most_parts


def _window(figures: LayoutFigures, shard: int, side: str) -> int:
    """Bound the rows of a side's key that one cell of a shard of one key reads, one after the other."""
    left, right = int(figures.left_rows[shard]), int(figures.right_rows[shard])
    made = -(-max(left, 1) * max(right, 1) // int(figures.layout.cells[shard]))
    # A cell may begin and end in the middle of a left row's partners.
    return made if side == "right" or not right else -(-made // right) + 1


def _most_in_window(whole: Counts, rows: Counts, window: int, *, around: bool) -> tuple[int, int]:
    """Bound what partitions of ``rows`` of a key hold in all where so many of these rows, in a row, touch them.

    Parameters
    ----------
    whole
        Rows of each partition.
    rows
        Those of the key.
    window
        Rows of the key that are read.
    around
        Whether they may go on at the beginning.
    """
    n, total = len(rows), int(rows.sum())
    if window >= total:
        return int(whole.sum()), n
    if around:
        whole, rows = np.tile(whole, 2), np.tile(rows, 2)
    # The most partitions are touched by a window that begins with the last row of one.
    ends, held = np.cumsum(rows), np.cumsum(whole)
    last = np.minimum(np.searchsorted(ends, ends[:n] - 1 + window, side="left"), len(ends) - 1)
    counts = np.minimum(last - np.arange(n) + 1, n)
    touched = held[last] - held[:n] + whole[:n]
    return int(min(touched.max(), whole[:n].sum())), int(counts.max())


def _reach(parts: PartitionKeys, numbers: Numbers, figures: LayoutFigures) -> tuple[Numbers, Numbers]:
    """Return for each shard of codes the partitions ``[low, high)``, of those with keys, that result rows come from."""
    low = np.searchsorted(parts.last[numbers], figures.first_codes, side="left")
    high = np.searchsorted(parts.first[numbers], figures.last_codes, side="right")
    return low, np.maximum(high, low)


def _key_rows(parts: PartitionKeys, own: Numbers, figures: LayoutFigures, shard: int, side: str) -> Counts:
    """Count a key's rows in each of the partitions that it crosses."""
    code = figures.layout.starts[shard]
    total = int((figures.left_rows if side == "left" else figures.right_rows)[shard])
    if len(own) == 1:
        # The key may be one of several in the middle of the partition.
        return np.array([total], np.int64)
    # It ends the first one, begins the last one, and is all that there is in between.
    return np.where(parts.first[own] == code, parts.first_rows[own], parts.last_rows[own])


def _rows_of_ranges(own: Numbers, rows: Counts, ranges: Sequence[Range]) -> Numbers:
    """Find the partitions, and the rows of the key in each, of row ranges of a key."""
    ends = np.cumsum(rows)
    found = []
    for lo, hi in ranges:
        begin = int(np.searchsorted(ends, lo, side="right"))
        stop = int(np.searchsorted(ends, hi, side="left")) + 1
        starts = ends[begin:stop] - rows[begin:stop]
        found.append(
            np.stack(
                [
                    own[begin:stop],
                    np.maximum(lo - starts, 0),
                    np.minimum(hi - starts, rows[begin:stop]),
                ],
                axis=1,
            )
        )
    return np.concatenate(found) if found else np.empty((0, 3), np.int64)
