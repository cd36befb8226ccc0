"""Which partitions of a side in key order a cell touches, and which of their rows.

Covers: whether a side is in key order; neighbouring partitions for a shard of
several keys; row ranges of a key's partitions for a shard of one key, so that
a key that crosses many partitions is read by rows as everywhere.
Does not cover: cutting keys into shards (``shards``).

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
from safeframe.facts.merge import How
from safeframe.facts.ordered_layout import TouchedParts
from safeframe.kernels.single_key import Range, single_key_ranges
from safeframe.planning.shards import LayoutFigures

__all__ = ["first_disorder", "held_rows", "touched_parts"]

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
    """Say which rows of which partitions each cell reads.

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
    offsets, entries = [0], []
    for shard in np.flatnonzero(layout.cells).tolist():
        cells = int(layout.cells[shard])
        null_shard = layout.null_shard and shard == layout.n_shards - 1
        if not layout.single_key[shard]:
            own = numbers[low[shard] : high[shard]]
            whole = np.full((len(own), 3), -1, np.int64)
            whole[:, 0] = own
            entries += [whole] * cells
            offsets += [offsets[-1] + len(own) * (cell + 1) for cell in range(cells)]
            continue
        own = nulls if null_shard else numbers[low[shard] : high[shard]]
        rows = parts.null_rows[own] if null_shard else _key_rows(parts, own, figures, shard, side)
        sides = int(figures.left_rows[shard]), int(figures.right_rows[shard])
        for cell in range(cells):
            ranges = single_key_ranges(*sides, how, cell, cells)[0 if side == "left" else 1]
            entries.append(_rows_of_ranges(own, rows, ranges))
            offsets.append(offsets[-1] + len(entries[-1]))
    joined = np.concatenate(entries) if entries else np.empty((0, 3), np.int64)
    return TouchedParts(
        offsets=np.array(offsets, np.int64), parts=joined[:, 0], begin=joined[:, 1], end=joined[:, 2]
    )


def held_rows(parts: PartitionKeys, touched: TouchedParts) -> tuple[int, int]:
    """Count the rows and the number of all partitions that a cell touches, at most."""
    cell = np.repeat(np.arange(len(touched.offsets) - 1), np.diff(touched.offsets))
    # A cell may read a partition twice: at the end of a key's rows, and again at their beginning.
    once = np.unique(np.stack([cell, touched.parts]), axis=1)
    rows = np.bincount(once[0], weights=parts.rows[once[1]])
    return int(rows.max(initial=0)), int(np.bincount(once[0]).max(initial=0))


def _reach(parts: PartitionKeys, numbers: Numbers, figures: LayoutFigures) -> tuple[Numbers, Numbers]:
    """Give for each shard of codes the partitions ``[low, high)``, of those with keys, that result rows come from."""
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
