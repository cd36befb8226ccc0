"""Cuts a running sum of bytes into parts, and sends rows to the part they are in.

Covers: even parts, parts under a bound, where rows have the same size or where only
certain places may be cut; cuts that are moved until parts keep to a bound; which input
partitions a part has rows of.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

Ints = npt.NDArray[np.int64]

_TRIES = 8
"""Numbers of even parts that are tried, up to an eighth more than the fewest that there could be."""


class Line(Protocol):
    """Rows one after the other, with their bytes."""

    @property
    def extra_nbytes(self) -> int:
        """Bytes of a part that no row accounts for."""

    @property
    def total_nbytes(self) -> int:
        """Bytes of all rows."""

    def even(self, n: int) -> Ints:
        """Cut into ``n`` parts of bytes as equal as can be; ``n + 1`` row numbers."""

    def filled(self, limit_nbytes: int) -> Ints:
        """Cut so that each part takes as much as the limit lets it; one place at least."""

    def sizes(self, cuts: Ints) -> Ints:
        """Bytes of each part."""


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """A line that may be cut at certain places only.

    Examples
    --------
    >>> line = Places(np.array([0, 3, 4, 8]), np.array([0, 30, 40, 80]), extra_nbytes=1)
    >>> line.even(2), line.sizes(line.even(2))
    (array([0, 4, 8]), array([41, 41]))
    """

    rows: Ints
    """Row numbers of the places, from 0 to the number of rows."""
    nbytes: Ints
    """Bytes of all rows before each place."""
    extra_nbytes: int

    @property
    def total_nbytes(self) -> int:
        """See :class:`Line`."""
        return int(self.nbytes[-1])

    def even(self, n: int) -> Ints:
        """See :class:`Line`."""
        targets = self.total_nbytes * np.arange(1, n) / n
        after = np.clip(np.searchsorted(self.nbytes, targets), 1, len(self.rows) - 1)
        nearer_before = targets - self.nbytes[after - 1] < self.nbytes[after] - targets
        inner = self.rows[np.where(nearer_before, after - 1, after)]
        return np.concatenate([[0], inner, self.rows[-1:]]).astype(np.int64)

    def filled(self, limit_nbytes: int) -> Ints:
        """See :class:`Line`."""
        room = limit_nbytes - self.extra_nbytes
        at, cuts, last = 0, [0], len(self.rows) - 1
        while at < last:
            furthest = int(np.searchsorted(self.nbytes, self.nbytes[at] + room, side="right")) - 1
            at = min(max(furthest, at + 1), last)
            cuts.append(int(self.rows[at]))
        return np.array(cuts if last else [0, int(self.rows[-1])], np.int64)

    def sizes(self, cuts: Ints) -> Ints:
        """See :class:`Line`."""
        # From the right, so that places of partitions without rows are all before the cut.
        at = np.searchsorted(self.rows, cuts, side="right") - 1
        return np.diff(self.nbytes[at]) + self.extra_nbytes


@dataclass(frozen=True, slots=True, eq=False)
class EvenRows:
    """A line of rows of the same size, which may be cut anywhere.

    Examples
    --------
    >>> line = EvenRows(n_rows=10, row_nbytes=8.0, extra_nbytes=4)
    >>> line.even(3), line.filled(40), line.sizes(line.even(2))
    (array([ 0,  3,  7, 10]), array([ 0,  4,  8, 10]), array([44, 44]))
    """

    n_rows: int
    """How many there are."""
    row_nbytes: float
    extra_nbytes: int

    @property
    def total_nbytes(self) -> int:
        """See :class:`Line`."""
        return math.ceil(self.n_rows * self.row_nbytes)

    def even(self, n: int) -> Ints:
        """See :class:`Line`."""
        return np.round(self.n_rows * np.arange(n + 1) / n).astype(np.int64)

    def filled(self, limit_nbytes: int) -> Ints:
        """See :class:`Line`."""
        rows = max(1, int((limit_nbytes - self.extra_nbytes) / self.row_nbytes)) if self.row_nbytes else 0
        starts = np.arange(0, self.n_rows, rows or max(1, self.n_rows))
        return np.append(starts if len(starts) else [0], self.n_rows).astype(np.int64)

    def sizes(self, cuts: Ints) -> Ints:
        """See :class:`Line`."""
        return np.ceil(np.diff(cuts) * self.row_nbytes).astype(np.int64) + self.extra_nbytes


def bounded_cuts(line: Line, limit_nbytes: int) -> Ints:
    """Cut into as few parts as there can be under a bound, even where possible.

    A part is over the bound only where a single row, or what lies between two
    places, is.
    """
    room = max(1, limit_nbytes - line.extra_nbytes)
    fewest = max(1, math.ceil(line.total_nbytes / room))
    for n in sorted({fewest + more + fewest * more // 64 for more in range(_TRIES)}):
        cuts = np.unique(line.even(n))
        if len(cuts) > 1 and int(line.sizes(cuts).max()) <= limit_nbytes:
            return cuts
    return line.filled(limit_nbytes)


def moved_cuts(line: Places, planned: Ints, limit_nbytes: float) -> Ints:
    """Move cuts until parts keep to a bound, those that are in nobody's way not at all.

    Parameters
    ----------
    line
        Rows and bytes up to some places. Rows between two of them count as equally wide, and may be cut anywhere.
    planned
        Ascending row numbers, the first 0 and the last the number of rows: there are as many parts afterwards,
        and none of them is empty. Where one is now, no cut is moved.
    limit_nbytes
        The bound, without the line's extra bytes; or the mean of the parts, where that is more.

    Notes
    -----
    A part that has too much gives the rows at its end to the next one, as far as there is room behind, and
    the rows at its beginning to the one before where there is none.

    Examples
    --------
    Ten rows of 1 B, ten of 9 B and ten of 1 B, cut into three of 60 B at most:

    >>> line = Places(np.array([0, 10, 20, 30]), np.array([0, 10, 100, 110]), extra_nbytes=0)
    >>> moved_cuts(line, np.array([0, 10, 20, 30]), 60).tolist()
    [0, 10, 17, 30]
    """
    n, total = len(planned) - 1, line.total_nbytes
    if total == 0 or not np.diff(planned).all():
        return planned
    # Bytes before each cut, less those of as many full parts: parts keep to the bound where these never rise, and
    # there are enough parts for the rows behind where they are at least what they have to end with.
    full = max(limit_nbytes, total / n) * np.arange(n + 1)
    spare = np.interp(planned, line.rows, line.nbytes) - full
    kept = np.maximum(np.minimum.accumulate(spare), min(0.0, total - full[-1]))
    rows = np.rint(np.interp(kept + full, line.nbytes, line.rows)).astype(np.int64)
    # One row each at the least: the ``i``-th cut has ``i`` rows before it, and as many behind it as there are parts.
    parts = np.arange(n + 1)
    cuts = np.maximum.accumulate(np.where(kept == spare, planned, rows) - parts) + parts
    moved: Ints = np.minimum(cuts, planned[-1] - n + parts)
    return moved


def pieces_of(bounds: Ints, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Return the partitions that rows ``[start, stop)`` are in, with the rows within each.

    Parameters
    ----------
    bounds
        The row number at which each partition begins, and the number of rows.
    start, stop
        Row numbers.

    Examples
    --------
    >>> list(pieces_of(np.array([0, 4, 4, 10]), 2, 7))
    [(0, 2, 4), (2, 0, 3)]
    """
    if stop <= start:
        return
    first = int(np.searchsorted(bounds, start, side="right")) - 1
    last = int(np.searchsorted(bounds, stop, side="left"))
    for number in range(first, last):
        begin, end = int(bounds[number]), int(bounds[number + 1])
        if end > begin:
            yield number, max(start, begin) - begin, min(stop, end) - begin


@dataclass(frozen=True, slots=True, eq=False)
class RowCuts:
    """Sends rows to the output partition that their number is in; a router of the exchange.

    Examples
    --------
    >>> cuts = RowCuts.of(np.array([0, 3, 3, 6]), first=2, rows=3)
    >>> cuts.shards(pd.DataFrame(index=range(3)), 0), cuts.n_shards
    (array([0, 2, 2], dtype=uint16), 3)
    """

    cuts: Ints
    """First rows of the output partitions that the task's rows are in, and the end of the last."""
    base: int
    """Number of the first of these output partitions."""
    first: int
    """Number of the first row that the stage task sees."""
    n_shards: int
    """Output partitions that there are."""

    @property
    def on(self) -> tuple[Any, ...]:
        """Nothing; see :class:`safeframe.kernels.routing.router.Router`."""
        return ()

    @classmethod
    def of(cls, cuts: Ints, first: int, rows: int) -> RowCuts:
        """Take those cuts out of all that a stage task of ``rows`` rows needs."""
        low = max(0, int(np.searchsorted(cuts, first, side="right")) - 1)
        high = int(np.searchsorted(cuts, first + rows, side="left"))
        return cls(cuts[low : high + 1].copy(), low, first, len(cuts) - 1)

    def shards(self, frame: pd.DataFrame, first_row: int) -> npt.NDArray[np.integer[Any]]:
        """See :class:`safeframe.kernels.routing.router.Router`."""
        start = self.first + first_row
        ends = np.clip(self.cuts, start, start + len(frame))
        narrow = np.uint16 if self.n_shards < 2**16 - 1 else np.int64
        return np.repeat(np.arange(self.base, self.base + len(ends) - 1, dtype=narrow), ends[1:] - ends[:-1])
