"""Rows that wait to be written, side by side; and which of the two forms the rows of a frame wait in.

Rows side by side are for numbers and times: a piece is the bytes of its rows,
without a head. Frames with any other column are written column by column
(``engine.exchange.column_block``).

Covers: what the two forms have in common, and the first.
Does not cover: routing rows, naming files (``engine.exchange.stage``); reading them back
(``engine.exchange.pieces``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from safeframe import options
from safeframe.engine.exchange.index import ENTRY, Entries
from safeframe.engine.exchange.staged_file import Form, Ints
from safeframe.kernels.allocator import trim
from safeframe.kernels.checksum import checksum
from safeframe.kernels.columns.rows import (
    PackedRows,
    RowValues,
    common_layout,
    pack,
    row_values,
)
from safeframe.kernels.order import NEARBY_ROWS, Positions, nearby_order, stable_order

Shards = npt.NDArray[np.integer[Any]]

RowPartition = tuple[RowValues, np.dtype[np.void]]
"""A partition of numbers: its values, and the narrowest layout for them."""

Converted = TypeVar("Converted")
"""A partition, as a block of one of the two forms holds it."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a block has written."""

    form: Form
    entries: Entries
    """Its pieces."""
    distinct: dict[int, pa.Array] = field(default_factory=dict)
    """Strings that are numbered, by column."""


class StagedBlock(Protocol[Converted]):
    """Partitions that wait to be written at once."""

    rows: int
    """How many rows they are."""
    dropped: int
    """How many of them go nowhere."""

    @property
    def nbytes(self) -> int:
        """What they hold."""

    def converted(self, columns: Sequence[pd.Series[Any]]) -> Converted:
        """Return a partition as a block of this kind holds it."""

    def takes(self, partition: Converted) -> bool:
        """Return whether a partition may wait here with the others."""

    def add(self, partition: Converted, shards: Shards) -> None:
        """Add a partition, and the shard of each of its rows, -1 for those that go nowhere."""

    def write(self, sink: pa.NativeFile) -> Written:
        """Write all rows, those of a shard together, in the order in which they came."""


class RowBlock:
    """Rows side by side.

    Memory: the rows once, and 24 bytes for each (shard, order, and the making
    of it), and a chunk in order at a time.
    """

    def __init__(
        self, dtypes: Sequence[Any], n_shards: int, held_nbytes: int | None, layout: np.dtype[np.void] | None
    ) -> None:
        self.rows = self.dropped = 0
        self.layout = layout
        self._dtypes = dtypes
        self._n_shards = n_shards
        self._held_nbytes = held_nbytes
        self._rows: PackedRows | None = None
        self._shards: list[Shards] = []

    @property
    def nbytes(self) -> int:
        """See :class:`StagedBlock`."""
        return 0 if self._rows is None else self.rows * self._rows.dtype.itemsize

    def converted(self, columns: Sequence[pd.Series[Any]]) -> RowPartition:
        """See :class:`StagedBlock`."""
        return row_values(columns, self._dtypes)

    def takes(self, partition: RowPartition) -> bool:
        """See :class:`StagedBlock`."""
        values, layout = partition
        wanted = layout if self.layout is None else common_layout(self.layout, layout)
        if self._rows is None:
            self.layout = wanted
            return True
        # What is written at once has one layout; the next block of this task has the wider one from the start.
        fits = wanted == self.layout and self.rows + len(values[0]) <= len(self._rows)
        if not fits:
            self.layout = wanted
        return fits

    def add(self, partition: RowPartition, shards: Shards) -> None:
        """See :class:`StagedBlock`."""
        values, _ = partition
        n_rows = len(values[0])
        if self._rows is None:
            assert self.layout is not None, "takes() was called first"
            room = n_rows
            if self._held_nbytes is not None:
                room = max(room, self._held_nbytes // (self.layout.itemsize + options.STAGED_ROW_NBYTES))
            # Pages that no row is written to take no memory.
            self._rows = _large_block(room, self.layout)
        shards = from_one(shards, self._n_shards)
        self.dropped += n_rows - int(np.count_nonzero(shards))
        order = nearby_order(shards)
        end = self.rows + n_rows
        target = self._rows[self.rows : end]
        if order is None:
            pack(target, values)
        else:
            # What is left to do for all that wait is to join runs of rows.
            packed = np.empty(min(n_rows, NEARBY_ROWS), target.dtype)
            for start in range(0, n_rows, NEARBY_ROWS):
                near = slice(start, min(start + NEARBY_ROWS, n_rows))
                rows = packed[: near.stop - start]
                pack(rows, [column[near] for column in values])
                _take(rows, order[near] - start, target[near])
        self.rows = end
        self._shards.append(shards if order is None else shards[order])

    def write(self, sink: pa.NativeFile) -> Written:
        """See :class:`StagedBlock`."""
        assert self._rows is not None, "there are rows"
        rows = self._rows[: self.rows]
        shards = self._shards.pop() if len(self._shards) == 1 else np.concatenate(self._shards)
        self._shards = []
        counts = np.bincount(shards, minlength=self._n_shards + 1)
        order = stable_order(shards)
        del shards
        dropped, counts = self.dropped, counts[1:]
        width = rows.dtype.itemsize
        step = max(1, options.STAGE_WRITE_NBYTES // width)
        entries = planned_pieces(counts, min(step, max(1, options.PIECE_NBYTES // width)))
        entries["nbytes"] = entries["rows"].astype(np.uint64) * np.uint64(width)
        ends = np.cumsum(entries["rows"], dtype=np.int64)
        chunk = np.empty(min(step, len(rows)), rows.dtype)
        first = start = 0
        while first < len(entries):
            after = int(np.searchsorted(ends, start + step, side="right"))
            end = int(ends[after - 1])
            if order is None:
                piece = rows[dropped + start : dropped + end]
            else:
                piece = chunk[: end - start]
                _take(rows, order[dropped + start : dropped + end], piece)
            data = piece.view(np.uint8)
            bounds = [0, *((ends[first:after] - start) * width).tolist()]
            entries["checksum"][first:after] = [checksum(data[low:high]) for low, high in pairwise(bounds)]
            sink.write(data.data)
            first, start = after, end
        return Written(rows.dtype, entries)


def from_one(shards: Shards, n_shards: int) -> Shards:
    """Count shards from one, so that rows which go nowhere come first, and are left out; in few bits."""
    return (shards + 1).astype(np.uint16 if n_shards < 2**16 - 1 else np.int64)


def planned_pieces(counts: Ints, most_rows: int) -> Entries:
    """Return pieces of so many rows at most, for shards of so many rows each.

    Examples
    --------
    >>> pieces = planned_pieces(np.array([5, 0, 2]), 3)
    >>> pieces["shard"].tolist(), pieces["rows"].tolist()
    ([0, 0, 2], [3, 2, 2])
    """
    each = -(-counts // most_rows)
    entries = np.zeros(int(each.sum()), ENTRY)
    entries["shard"] = np.repeat(np.arange(len(counts)), each)
    entries["rows"] = most_rows
    last = np.cumsum(each)[each > 0] - 1
    entries["rows"][last] = (counts - (each - 1) * most_rows)[each > 0]
    return entries


def _large_block(rows: int, layout: np.dtype[np.void]) -> PackedRows:
    """Make room for rows; where it is much, not in addition to the pages that reading them has freed.

    Those lie scattered in the heap, more than twice the partition, and serve no block that
    the allocator maps: a task of 53 MB took 225 MB with them and takes 170 MB without.
    """
    if rows * layout.itemsize >= options.MMAP_THRESHOLD_NBYTES:
        trim()
    return np.empty(rows, layout)


def _take(rows: PackedRows, order: Positions, target: PackedRows) -> None:
    """Copy rows in an order, each as one piece of bytes."""
    plain = f"V{rows.dtype.itemsize}"
    # "clip" writes straight to the target, and the positions are a permutation.
    np.take(rows.view(plain), order, out=target.view(plain), mode="clip")
