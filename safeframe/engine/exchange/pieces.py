"""Reads pieces of staged files, and makes columns of them.

Covers: rows side by side and Arrow's record batches, as ``engine.exchange.blocks`` wrote
them; the check that a piece has the rows that the manifest says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from safeframe.engine.exchange.blocks import Form
from safeframe.engine.storage.local import store_for
from safeframe.engine.task import conserved, rows_lost
from safeframe.errors import StagingError
from safeframe.kernels.columns.rows import PackedRows, unpack, unpack_one
from safeframe.kernels.columns.values import Column, StagedType, from_arrow, restored
from safeframe.kernels.order import Positions


@dataclass(frozen=True, slots=True)
class StagedPiece:
    """Rows of one shard that lie together in one file."""

    path: str
    form: Form
    """How its rows were written."""
    offset: int
    """Where the shard's rows begin in the file, in bytes."""
    nbytes: int
    """What the shard's rows take there."""
    rows: int
    """How many there are."""
    begin: int
    """The first row that is wanted."""
    end: int
    """The row after the last that is wanted."""


class PiecesOrder(Protocol):
    """How rows that were read are put in an order."""

    @property
    def columns(self) -> tuple[int, ...]:
        """Numbers of the columns that decide."""

    def positions(self, columns: Sequence[Column]) -> Positions | None:
        """Return the row numbers in their order, from those columns; None to leave them as they are."""


def read_pieces(
    pieces: Sequence[StagedPiece], dtypes: Sequence[Any], order: PiecesOrder | None = None
) -> list[Column]:
    """Read pieces one after the other, and join them column by column.

    Raises
    ------
    RowConservationError
        When a piece has other rows than it should.
    StagingError
        When a file cannot be read.
    """
    if pieces and isinstance(pieces[0].form, np.dtype):
        blocks = _row_blocks(pieces)
        rows = None
        if order is not None:
            rows = order.positions([unpack_one(blocks, i, dtypes[i]) for i in order.columns])
        return unpack(blocks, dtypes, rows)
    columns: list[list[pa.Array]] = [[] for _ in dtypes]
    kinds: list[tuple[StagedType, ...]] = []
    for piece, batch in zip(pieces, _batches(pieces), strict=True):
        assert isinstance(piece.form, tuple), "all files of a frame are of one form"
        kinds.append(piece.form)
        for column, array in zip(columns, batch.columns, strict=True):
            column.append(array.slice(piece.begin, piece.end - piece.begin))
    # Popped, so that a column's Arrow form goes before the next column is made.
    block = [
        from_arrow(restored(columns.pop(0), [kind[i] for kind in kinds]), dtype)
        for i, dtype in enumerate(dtypes)
    ]
    rows = None if order is None else order.positions([block[i] for i in order.columns])
    # Popped as well, so that a column goes as it is taken.
    return block if rows is None else [block.pop(0).take(rows) for _ in dtypes]


def _row_blocks(pieces: Sequence[StagedPiece]) -> list[PackedRows]:
    """Read rows side by side, those of one layout into one array."""
    wanted, ends = [], []
    for number, piece in enumerate(pieces):
        assert isinstance(piece.form, np.dtype), "all files of a frame are of one form"
        width = piece.form.itemsize
        wanted.append((piece.path, piece.offset + piece.begin * width, (piece.end - piece.begin) * width))
        if number + 1 == len(pieces) or pieces[number + 1].form != piece.form:
            ends.append(number + 1)
    found = read_buffers(wanted)
    blocks = []
    start = 0
    for end in ends:
        form = pieces[start].form
        assert isinstance(form, np.dtype), "checked above"
        block: PackedRows = np.empty(sum(piece.end - piece.begin for piece in pieces[start:end]), form)
        target = block.view(np.uint8)
        at = 0
        for piece, (path, _, nbytes) in zip(pieces[start:end], wanted[start:end], strict=True):
            buffer = next(found)
            if len(buffer) != nbytes:
                raise rows_lost(path, piece.end - piece.begin, len(buffer) // block.dtype.itemsize)
            target[at : at + nbytes] = np.frombuffer(buffer, np.uint8)
            at += nbytes
        blocks.append(block)
        start = end
    return blocks


def _batches(pieces: Sequence[StagedPiece]) -> Iterator[pa.RecordBatch]:
    schemas: dict[tuple[pa.DataType, ...], pa.Schema] = {}
    buffers = read_buffers([(piece.path, piece.offset, piece.nbytes) for piece in pieces])
    for piece, buffer in zip(pieces, buffers, strict=True):
        assert isinstance(piece.form, tuple), "all files of a frame are of one form"
        written = tuple(kind.written for kind in piece.form)
        schema = schemas.get(written)
        if schema is None:
            schema = schemas[written] = pa.schema([(str(i), kind) for i, kind in enumerate(written)])
        try:
            batch = pa.ipc.read_record_batch(pa.ipc.read_message(buffer), schema)
        except (pa.ArrowInvalid, EOFError) as error:
            raise rows_lost(piece.path, piece.rows, 0) from error
        conserved(piece.rows, batch.num_rows, piece.path)
        yield batch


def read_buffers(wanted: Sequence[tuple[str, int, int]]) -> Iterator[pa.Buffer]:
    """Read pieces of staged files, each named by its path, offset and bytes, in the order given.

    Raises
    ------
    StagingError
        When one cannot be read.
    """
    if not wanted:
        return
    buffers = store_for(wanted[0][0]).read(wanted)
    for path, _, _ in wanted:
        try:
            buffer = next(buffers)
        except OSError as error:
            raise unreadable(path, error) from error
        yield buffer


def unreadable(path: str, error: OSError | ValueError) -> StagingError:
    """Return the error for a staged file that cannot be read."""
    reason = getattr(error, "strerror", None) or error
    msg = f"The staged file {path} cannot be read: {reason}."
    return StagingError(
        msg, hint="Was the staging directory removed while the recipe ran? Compute the result again."
    )
