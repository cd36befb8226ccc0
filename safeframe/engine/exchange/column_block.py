"""Rows of any type that wait to be written, column by column.

Each partition is put in the order of shards by itself, while it is small and
near; a piece then is a run of rows of each, column after column, with the
number of bytes of every buffer in front.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from safeframe import options
from safeframe.engine.exchange.blocks import RowBlock, Shards, StagedBlock, Written, from_one, planned_pieces
from safeframe.engine.exchange.staged_file import ColumnForm, Ints
from safeframe.kernels.checksum import checksum
from safeframe.kernels.columns.categories import Coded, join_coded
from safeframe.kernels.columns.coded_text import may_be_coded, text_to_arrow
from safeframe.kernels.columns.encoded import (
    EncodedColumn,
    alike,
    as_arrow,
    buffers_of,
    encode,
    has_few_values,
)
from safeframe.kernels.columns.object_columns import same_form
from safeframe.kernels.columns.rows import rows_have_fixed_width
from safeframe.kernels.columns.values import one_type, to_arrow
from safeframe.kernels.order import Positions, stable_order

Run = tuple[int, int, int]
"""The number of a partition, and rows ``[first, after)`` of it."""


def new_block(
    dtypes: Sequence[Any], n_shards: int, held_nbytes: int | None, after: StagedBlock[Any] | None = None
) -> StagedBlock[Any]:
    """Make an empty block.

    Parameters
    ----------
    dtypes
        Of the columns.
    n_shards
        Shards that there are.
    held_nbytes
        What partitions that wait may take; None for no bound.
    after
        The block of the same task that was written before.
    """
    if rows_have_fixed_width(dtypes):
        layout = after.layout if isinstance(after, RowBlock) else None
        return RowBlock(dtypes, n_shards, held_nbytes, layout)
    return ColumnBlock(dtypes, n_shards, held_nbytes, after if isinstance(after, ColumnBlock) else None)


class ColumnBlock:
    """Columns as plain buffers.

    Memory: the rows once, as they are written, and where the rows of each shard begin in each partition; while a
    partition is added, 24 bytes for each of its rows (shard, order, and the making of it) and a column once more.
    """

    def __init__(
        self, dtypes: Sequence[Any], n_shards: int, held_nbytes: int | None, after: ColumnBlock | None
    ) -> None:
        self.rows = self.dropped = 0
        self._dtypes = dtypes
        self._n_shards = n_shards
        self._room_nbytes = held_nbytes
        self._columns: list[list[EncodedColumn | Coded]] = [[] for _ in dtypes]
        self._starts: list[Ints] = []
        self._numbered: list[bool] | None = None if after is None else after._numbered

    @property
    def nbytes(self) -> int:
        """See :class:`~safeframe.engine.exchange.blocks.StagedBlock`."""
        rows = sum(part.nbytes for column in self._columns for part in column)
        return rows + sum(starts.nbytes for starts in self._starts)

    def converted(self, columns: Sequence[pd.Series[Any]]) -> list[pa.Array | Coded]:
        """See :class:`~safeframe.engine.exchange.blocks.StagedBlock`."""
        return [
            (text_to_arrow if may_be_coded(dtype) else to_arrow)(series, dtype)
            for series, dtype in zip(columns, self._dtypes, strict=True)
        ]

    def takes(self, partition: list[pa.Array | Coded]) -> bool:
        """See :class:`~safeframe.engine.exchange.blocks.StagedBlock`."""
        if self._room_nbytes is None or self.rows == 0:
            return True
        return self.nbytes + sum(array.nbytes for array in partition) <= self._room_nbytes

    def add(self, partition: list[pa.Array | Coded], shards: Shards) -> None:
        """See :class:`~safeframe.engine.exchange.blocks.StagedBlock`."""
        if self._numbered is None and len(shards):
            self._numbered = [not isinstance(array, Coded) and has_few_values(array) for array in partition]
        numbered = self._numbered or [False] * len(partition)
        shards = from_one(shards, self._n_shards)
        order = stable_order(shards)
        starts = np.concatenate([[0], np.cumsum(np.bincount(shards, minlength=self._n_shards + 1))])
        dropped = int(starts[1])
        self._starts.append(starts[1:] - dropped)
        self.dropped += dropped
        self.rows += len(shards)
        del shards
        order = None if order is None else order[dropped:]
        for column, few in zip(self._columns, numbered, strict=True):
            # Popped, so that a column goes before the next one is put in order.
            column.append(_ordered(partition.pop(0), order, dropped, numbered=few))

    def write(self, sink: pa.NativeFile) -> Written:
        """See :class:`~safeframe.engine.exchange.blocks.StagedBlock`."""
        starts = np.stack(self._starts)
        nbytes = self.nbytes
        columns, form, distinct = [], [], {}
        for number, dtype in enumerate(self._dtypes):
            parts, column_form = _as_written(self._columns[number], dtype)
            self._columns[number] = []
            columns.append(parts)
            form.append(column_form)
            if parts[0].distinct is not None:
                distinct[number] = parts[0].distinct
        counts = np.diff(starts).sum(axis=0)
        row_nbytes = max(1, nbytes // max(1, int(counts.sum())))
        entries = planned_pieces(counts, min(max(1, options.PIECE_NBYTES // row_nbytes), 2**20))
        for entry, runs in zip(entries, _runs(starts, entries["shard"], entries["rows"]), strict=True):
            buffers = [buffer for parts in columns for buffer in buffers_of(parts, runs)]
            sizes = np.array([sum(map(len, buffer)) for buffer in buffers], np.uint64)
            piece = np.concatenate([sizes.view(np.uint8), *(part for buffer in buffers for part in buffer)])
            entry["nbytes"], entry["checksum"] = len(piece), checksum(piece)
            sink.write(piece.data)
        return Written(tuple(form), entries, distinct)


def _ordered(
    array: pa.Array | Coded, order: Positions | None, dropped: int, *, numbered: bool
) -> EncodedColumn | Coded:
    if isinstance(array, Coded):
        codes = array.codes.to_numpy()
        return Coded(pa.array(codes[dropped:] if order is None else codes.take(order)), array.dtype)
    if order is None:
        array = array.slice(dropped)
    return encode(array, order, numbered=numbered)


def _as_written(parts: Sequence[EncodedColumn | Coded], dtype: Any) -> tuple[list[EncodedColumn], ColumnForm]:
    """Bring parts of a column to one encoding."""
    if isinstance(parts[0], Coded):
        coded = [part for part in parts if isinstance(part, Coded)]
        joined = join_coded(coded)
        bounds = np.cumsum([len(part) for part in coded])[:-1]
        found = [encode(pa.array(codes)) for codes in np.split(joined.codes.to_numpy(), bounds)]
        found = alike(found)
        return found, ColumnForm(found[0].encoding, joined.dtype)
    found = [part for part in parts if isinstance(part, EncodedColumn)]
    if len({part.encoding.kind for part in found}) > 1:
        arrays = [as_arrow(part) for part in found]
        same = same_form(arrays) if pd.api.types.is_object_dtype(dtype) else one_type(arrays)
        found = [encode(array) for array in same]
    found = alike(found)
    return found, ColumnForm(found[0].encoding)


def _runs(starts: Ints, shards: Ints, rows: Ints) -> Iterator[list[Run]]:
    """Find the rows of each piece: runs of the partitions, in their order."""
    shard = -1
    left: list[list[int]] = []
    for number, wanted in zip(shards.tolist(), rows.tolist(), strict=True):
        if number != shard:
            shard = number
            found = zip(starts[:, shard].tolist(), starts[:, shard + 1].tolist(), strict=True)
            left = [[part, first, after] for part, (first, after) in enumerate(found) if after > first]
        piece = []
        while wanted:
            part, first, after = left[0]
            taken = min(wanted, after - first)
            piece.append((part, first, first + taken))
            wanted -= taken
            if first + taken == after:
                left.pop(0)
            else:
                left[0][1] += taken
        yield piece
