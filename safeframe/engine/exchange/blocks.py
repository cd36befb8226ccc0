"""What staged files are made of: rows side by side, or Arrow's record batches.

Covers: the two forms, each with how partitions wait in it and how they are
written in the order of shards.
Does not cover: routing rows, naming files (``engine.exchange.stage``); reading them back
(``engine.exchange.pieces``).

Rows side by side are for numbers and times: a shard is one piece of bytes,
without a head. Frames with any other column are written as Arrow IPC, one
record batch for each shard.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from safeframe import options
from safeframe.kernels.allocator import trim
from safeframe.kernels.columns.categories import Coded
from safeframe.kernels.columns.rows import (
    PackedRows,
    RowValues,
    common_layout,
    pack,
    row_values,
    rows_have_fixed_width,
)
from safeframe.kernels.columns.values import StagedType, as_staged, join_staged
from safeframe.kernels.order import NEARBY_ROWS, Positions

Ints = npt.NDArray[np.int64]

Form = np.dtype[np.void] | tuple[StagedType, ...]
"""How a file was written: the layout of its rows, or the type of each column."""

RowPartition = tuple[RowValues, np.dtype[np.void]]
"""A partition of numbers: its values, and the narrowest layout for them."""

Converted = TypeVar("Converted")
"""A partition, as a block of one of the two forms holds it."""


class StagedBlock(Protocol[Converted]):
    """Partitions that wait to be written as one file."""

    nbytes: int
    """What they hold."""

    def converted(self, columns: Sequence[pd.Series[Any]]) -> Converted:
        """Return a partition as a block of this kind holds it."""

    def takes(self, partition: Converted) -> bool:
        """Return whether a partition may wait here with the others."""

    def add(self, partition: Converted, order: Positions | None) -> bool:
        """Add a partition; return whether its rows are in the order now that was given (by ``nearby_order``)."""

    def put_in_order(self, order: Positions | None, first: int) -> Form:
        """Choose the rows of the file: in an order, or as they are from the first on."""

    def write(self, sink: pa.NativeFile, rows: Ints) -> Ints:
        """Write the shards, each of a number of rows; tell where each begins, and where the last one ends."""


def new_block(
    dtypes: Sequence[Any], held_nbytes: int | None, after: StagedBlock[Any] | None = None
) -> StagedBlock[Any]:
    """Make an empty block.

    Parameters
    ----------
    dtypes
        Of the columns.
    held_nbytes
        What partitions that wait may take; None for no bound.
    after
        The block of the same task that was written before.
    """
    if rows_have_fixed_width(dtypes):
        return _RowBlock(dtypes, held_nbytes, after.layout if isinstance(after, _RowBlock) else None)
    return _ArrowBlock(dtypes, held_nbytes)


class _RowBlock:
    """Rows side by side.

    Memory: the rows once, and 24 bytes for each (shard, order, and the making
    of it), and a chunk in order at a time.
    """

    def __init__(
        self, dtypes: Sequence[Any], held_nbytes: int | None, layout: np.dtype[np.void] | None
    ) -> None:
        self.nbytes = 0
        self.layout = layout
        self._dtypes = dtypes
        self._held_nbytes = held_nbytes
        self._rows: PackedRows | None = None
        self._filled = 0
        self._order: Positions | None = None

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
        # A file has one layout; the next one of this task has the wider one from the start.
        fits = wanted == self.layout and self._filled + len(values[0]) <= len(self._rows)
        if not fits:
            self.layout = wanted
        return fits

    def add(self, partition: RowPartition, order: Positions | None) -> bool:
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
        end = self._filled + n_rows
        target = self._rows[self._filled : end]
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
        self._filled = end
        self.nbytes = end * self._rows.dtype.itemsize
        return True

    def put_in_order(self, order: Positions | None, first: int) -> Form:
        """See :class:`StagedBlock`."""
        assert self._rows is not None, "there are rows"
        self._rows = self._rows[: self._filled]
        self._order = None if order is None else order[first:]
        if order is None:
            self._rows = self._rows[first:]
        return self._rows.dtype

    def write(self, sink: pa.NativeFile, rows: Ints) -> Ints:
        """See :class:`StagedBlock`."""
        assert self._rows is not None, "there are rows"
        width = self._rows.dtype.itemsize
        n_rows = len(self._rows) if self._order is None else len(self._order)
        step = max(1, options.STAGE_WRITE_NBYTES // width)
        chunk = np.empty(min(step, n_rows), self._rows.dtype)
        for start in range(0, n_rows, step):
            length = min(step, n_rows - start)
            if self._order is None:
                piece = self._rows[start : start + length]
            else:
                piece = chunk[:length]
                _take(self._rows, self._order[start : start + length], piece)
            sink.write(piece.view(np.uint8).data)
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(rows)]) * width


class _ArrowBlock:
    """One record batch for each shard.

    Memory: the rows in Arrow, integers narrowed, a column at a time once more in
    order; 24 bytes more for each row (shard, order, and the making of it).
    """

    def __init__(self, dtypes: Sequence[Any], held_nbytes: int | None) -> None:
        self.nbytes = 0
        self._dtypes = dtypes
        self._room_nbytes = held_nbytes
        self._pieces: list[list[pa.Array | Coded]] = [[] for _ in dtypes]
        self._taken_nbytes = 0
        self._batch: pa.RecordBatch | None = None

    def converted(self, columns: Sequence[pd.Series[Any]]) -> list[pa.Array | Coded]:
        """See :class:`StagedBlock`."""
        return [as_staged(series, dtype) for series, dtype in zip(columns, self._dtypes, strict=True)]

    def takes(self, partition: list[pa.Array | Coded]) -> bool:
        """See :class:`StagedBlock`."""
        if self._room_nbytes is None or self._taken_nbytes == 0:
            return True
        return self._taken_nbytes + _waiting_nbytes(partition) <= self._room_nbytes

    def add(self, partition: list[pa.Array | Coded], order: Positions | None) -> bool:
        """See :class:`StagedBlock`."""
        self._taken_nbytes += _waiting_nbytes(partition)
        self.nbytes += sum(array.nbytes for array in partition)
        for pieces, array in zip(self._pieces, partition, strict=True):
            pieces.append(array)
        return False

    def put_in_order(self, order: Positions | None, first: int) -> Form:
        """See :class:`StagedBlock`."""
        wanted = None if order is None else pa.array(order[first:])
        arrays, types = [], []
        for dtype in self._dtypes:
            # Popped, so that a column's pieces go before the next column is put in order.
            array, kind = join_staged(self._pieces.pop(0), dtype)
            arrays.append(array.slice(first) if wanted is None else array.take(wanted))
            types.append(kind)
        self._batch = pa.RecordBatch.from_arrays(arrays, [str(i) for i in range(len(arrays))])
        return tuple(types)

    def write(self, sink: pa.NativeFile, rows: Ints) -> Ints:
        """See :class:`StagedBlock`."""
        assert self._batch is not None, "put in order before"
        offsets: list[int] = []
        with pa.ipc.new_file(sink, self._batch.schema) as writer:
            writer.write_batch(self._batch.slice(0, 0))  # the file's own head goes with the first batch
            offsets.append(sink.tell())
            start = 0
            for n_rows in rows.tolist():
                writer.write_batch(self._batch.slice(start, n_rows))
                offsets.append(sink.tell())
                start += n_rows
        return np.array(offsets, np.int64)


def _large_block(rows: int, layout: np.dtype[np.void]) -> PackedRows:
    """Make room for rows; where it is much, not in addition to the pages that reading them has freed.

    Those lie scattered in the heap, more than twice the partition, and serve no block that
    the allocator maps: a task of 53 MB took 225 MB with them and takes 170 MB without.
    """
    if rows * layout.itemsize >= options.MMAP_THRESHOLD_NBYTES:
        trim()
    return np.empty(rows, layout)


def _waiting_nbytes(partition: Sequence[pa.Array | Coded]) -> int:
    """What a partition in Arrow takes until it is written, its order included."""
    nbytes = sum(array.nbytes for array in partition)
    n_rows = len(partition[0]) if partition else 0
    return int(options.GROUP_COPIES * nbytes) + options.STAGED_ROW_NBYTES * n_rows


def _take(rows: PackedRows, order: Positions, target: PackedRows) -> None:
    """Copy rows in an order, each as one piece of bytes."""
    plain = f"V{rows.dtype.itemsize}"
    # "clip" writes straight to the target, and the positions are a permutation.
    np.take(rows.view(plain), order, out=target.view(plain), mode="clip")
