"""Reads pieces of staged files, and makes columns of them.

Covers: rows side by side and columns as plain buffers, as ``engine.exchange.blocks`` and
``engine.exchange.column_block`` wrote them; the check that a piece is what was written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from safeframe.engine.exchange.reading import damaged, read_buffers
from safeframe.engine.exchange.staged_file import ColumnForm, Form
from safeframe.engine.task import rows_lost
from safeframe.kernels.checksum import checksum
from safeframe.kernels.columns.arrow_buffers import Bytes
from safeframe.kernels.columns.categories import Coded
from safeframe.kernels.columns.coded_text import join_text, text_or_codes
from safeframe.kernels.columns.decoded import join, numbered_text, values_of
from safeframe.kernels.columns.rows import PackedRows, unpack, unpack_one
from safeframe.kernels.columns.values import (
    Column,
    as_column,
    as_series,
    from_arrow,
    has_fixed_width,
    join_fixed,
)
from safeframe.kernels.order import Positions


@dataclass(frozen=True, slots=True)
class StagedPiece:
    """Rows of one shard that lie together in one file, and were written at once."""

    path: str
    offset: int
    """Where it begins in the file, in bytes."""
    nbytes: int
    """What it takes there."""
    checksum: int
    """Of its bytes."""
    rows: int
    """How many there are."""
    begin: int
    """The first row that is wanted."""
    end: int
    """The row after the last that is wanted."""
    form: Form
    """How its rows were written."""
    distinct: dict[int, pa.Array]
    """The strings that its columns' numbers stand for."""


class PiecesOrder(Protocol):
    """How rows that were read are put in an order."""

    @property
    def columns(self) -> tuple[int, ...]:
        """Numbers of the columns that decide."""

    def positions(self, columns: Sequence[Column]) -> Positions | None:
        """Return the row numbers in their order, from those columns; None to leave them as they are."""


def read_pieces(
    pieces: Sequence[StagedPiece],
    dtypes: Sequence[Any],
    order: PiecesOrder | None = None,
    coded: Collection[int] = (),
) -> list[Column]:
    """Read pieces one after the other, and join them column by column; see ``fetch``.

    Raises
    ------
    RowConservationError
        When a file ends before a piece does.
    StagingError
        When a file cannot be read, or what is read is not what was written.
    """
    if pieces and isinstance(pieces[0].form, np.dtype):
        blocks = _row_blocks(pieces)
        rows = None
        if order is not None:
            rows = order.positions([unpack_one(blocks, i, dtypes[i]) for i in order.columns])
        return unpack(blocks, dtypes, rows)
    columns = _column_pieces(pieces, len(dtypes))
    block = [
        (_coded_column if at in coded else _column)(columns.pop(0), dtype) for at, dtype in enumerate(dtypes)
    ]
    rows = None if order is None else order.positions([block[i] for i in order.columns])
    # Popped, so that a column goes as it is taken.
    return block if rows is None else [block.pop(0).take(rows) for _ in dtypes]


def _row_blocks(pieces: Sequence[StagedPiece]) -> list[PackedRows]:
    """Read rows side by side, those of one layout into one array."""
    found = _bytes_of(pieces)
    blocks = []
    for form, group in groupby(pieces, lambda piece: piece.form):
        same = list(group)
        assert isinstance(form, np.dtype), "all files of a frame are of one form"
        block: PackedRows = np.empty(sum(piece.end - piece.begin for piece in same), form)
        target, width = block.view(np.uint8), form.itemsize
        at = 0
        for piece in same:
            wanted = next(found)[piece.begin * width : piece.end * width]
            target[at : at + len(wanted)] = wanted
            at += len(wanted)
        blocks.append(block)
    return blocks


class _ColumnPiece(NamedTuple):
    """The rows of one column in a piece."""

    form: ColumnForm
    distinct: pa.Array | None
    rows: int
    buffers: list[Bytes]


def _column_pieces(pieces: Sequence[StagedPiece], n_columns: int) -> list[list[_ColumnPiece]]:
    """Read pieces, and return their buffers column by column."""
    columns: list[list[_ColumnPiece]] = [[] for _ in range(n_columns)]
    for piece, data in zip(pieces, _bytes_of(pieces), strict=True):
        assert isinstance(piece.form, tuple), "all files of a frame are of one form"
        whole = piece.end - piece.begin == piece.rows
        head = 8 * sum(column.encoding.n_buffers for column in piece.form)
        ends = iter((np.cumsum(data[:head].view(np.uint64)).astype(np.int64) + head).tolist())
        at = head
        for number, (target, form) in enumerate(zip(columns, piece.form, strict=True)):
            buffers = []
            for _ in range(form.encoding.n_buffers):
                end = next(ends)
                buffers.append(data[at:end])
                at = end
            cut = buffers if whole else _cut(buffers, form, piece)
            target.append(_ColumnPiece(form, piece.distinct.get(number), piece.end - piece.begin, cut))
    return columns


def _cut(buffers: list[Bytes], column: ColumnForm, piece: StagedPiece) -> list[Bytes]:
    """Return the buffers of the rows that are wanted."""
    encoding, rows = column.encoding, slice(piece.begin, piece.end)
    if encoding.way == "arrow":
        (array,) = join(encoding, [buffers], [piece.rows], [None])
        batch = pa.RecordBatch.from_arrays([array.slice(piece.begin, piece.end - piece.begin)], ["0"])
        return [np.frombuffer(batch.serialize(), np.uint8)]
    values = values_of(encoding, buffers)
    cut = [buffers[0][rows], values[rows].view(np.uint8)]
    if encoding.way == "strings":
        ends = np.concatenate([[0], np.cumsum(values[: piece.end], dtype=np.int64)])
        cut.append(buffers[2][ends[piece.begin] : ends[piece.end]])
    return cut


def _column(pieces: Sequence[_ColumnPiece], dtype: Any) -> Column:
    """Make a column of all pieces."""
    if has_fixed_width(dtype):
        values = [values_of(piece.form.encoding, piece.buffers) for piece in pieces]
        return join_fixed(values, sum(map(len, values)), dtype)
    arrays: list[pa.Array | Coded] = []
    for form, group in _alike(pieces):
        rows = [piece.rows for piece in group]
        joined = join(
            form.encoding, [piece.buffers for piece in group], rows, [piece.distinct for piece in group]
        )
        arrays += joined if form.categories is None else [Coded(array, form.categories) for array in joined]
    return from_arrow(arrays, dtype)


def _coded_column(pieces: Sequence[_ColumnPiece], dtype: Any) -> Column:
    """Make a column of text of all pieces: categories where they are numbers of few strings."""
    if not pieces or any(piece.form.encoding.way != "numbered" for piece in pieces):
        return _column(pieces, dtype)
    found: list[Column] = []
    for form, group in _alike(pieces):
        buffers, rows = [piece.buffers for piece in group], [piece.rows for piece in group]
        found.append(numbered_text(form.encoding, buffers, rows, [piece.distinct for piece in group]))
    columns = [as_column(text_or_codes(as_series(column), dtype)) for column in found]
    return join_text(columns, dtype)


def _alike(pieces: Sequence[_ColumnPiece]) -> Iterator[tuple[ColumnForm, list[_ColumnPiece]]]:
    """Return pieces of one form that follow one another."""
    same: list[_ColumnPiece] = []
    for piece in pieces:
        if same:
            form = same[0].form
            if piece.form is not form and (
                piece.form.encoding != form.encoding or piece.form.categories is not form.categories
            ):
                yield form, same
                same = []
        same.append(piece)
    if same:
        yield same[0].form, same


def _bytes_of(pieces: Sequence[StagedPiece]) -> Iterator[npt.NDArray[np.uint8]]:
    """Read pieces, those that follow one another in a file at once, and compare their checksums."""
    stretches: list[list[StagedPiece]] = []
    for piece in pieces:
        last = stretches[-1][-1] if stretches else None
        if last is not None and last.path == piece.path and last.offset + last.nbytes == piece.offset:
            stretches[-1].append(piece)
        else:
            stretches.append([piece])
    wanted = [(same[0].path, same[0].offset, sum(piece.nbytes for piece in same)) for same in stretches]
    for same, (path, start, nbytes), buffer in zip(stretches, wanted, read_buffers(wanted), strict=True):
        if len(buffer) != nbytes:
            there = sum(piece.rows for piece in same if piece.offset + piece.nbytes <= start + len(buffer))
            raise rows_lost(path, sum(piece.rows for piece in same), there)
        data = np.frombuffer(buffer, np.uint8)
        for piece in same:
            found = data[piece.offset - start : piece.offset - start + piece.nbytes]
            if checksum(found) != piece.checksum:
                raise damaged(path, f"a piece of {piece.rows} rows at byte {piece.offset}")
            yield found
