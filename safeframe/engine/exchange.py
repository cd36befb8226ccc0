"""The staged exchange: rows come back by shard from the files that they were staged in.

Covers: sealing (one manifest of all files, every row accounted for), and
fetching the rows of a shard, all of them or a range.
Does not cover: writing the files (``staging``), the graph around it
(``exchange_nodes``).

The manifest names files and knows where in its file each batch is, so that a
batch is read without the rest. Only Arrow IPC is read back: nothing in a
staging directory is unpickled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from safeframe.engine.staging import StagedFile
from safeframe.engine.staging_store import store_for
from safeframe.errors import RowConservationError, StagingError
from safeframe.kernels.columns import Column, from_arrow
from safeframe.kernels.staged_columns import restored
from safeframe.units import format_count

__all__ = ["Sealed", "conserved", "fetch", "seal"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealed:
    """All staged files of one frame, by shard.

    The batches of shard ``s`` are entries ``starts[s]`` to ``starts[s + 1]`` of
    the other arrays, in the order of the input.
    """

    dtypes: tuple[Any, ...]
    """The columns' pandas dtypes."""
    staged: tuple[StagedFile, ...]
    """The files; holding them keeps them on disk where tasks run in this process."""
    starts: Ints
    """Where each shard's batches start."""
    files: Ints
    """The file of each batch."""
    offsets: Ints
    """Where in its file each batch begins."""
    nbytes: Ints
    """Bytes of each batch in its file."""
    rows: Ints
    """The rows of each batch."""

    @property
    def directory(self) -> str:
        """The run's directory; empty when no row was staged."""
        return next((file.path.rpartition("/")[0] for file in self.staged if file.path), "")

    def shard_rows(self, shard: int) -> int:
        """Count the rows of a shard."""
        return int(self.rows[self.starts[shard] : self.starts[shard + 1]].sum())


def seal(staged: Sequence[StagedFile], dtypes: tuple[Any, ...], n_shards: int) -> Sealed:
    """Join the manifests of one frame, and check that every row is in one of them.

    Raises
    ------
    RowConservationError
        When a group gave out other than the rows it took in.
    """
    for number, file in enumerate(staged):
        conserved(file.rows_in, int(file.rows.sum()) + file.rows_dropped, f"group {number} of the exchange")
    shards = np.concatenate([file.shards for file in staged])
    order = np.argsort(shards, kind="stable")
    files = np.repeat(np.arange(len(staged)), [len(file.shards) for file in staged])
    return Sealed(
        dtypes=dtypes,
        staged=tuple(staged),
        starts=np.searchsorted(shards[order], np.arange(n_shards + 1)),
        files=files[order],
        offsets=np.concatenate([file.offsets[:-1] for file in staged])[order],
        nbytes=np.concatenate([np.diff(file.offsets) for file in staged])[order],
        rows=np.concatenate([file.rows for file in staged])[order],
    )


def fetch(sealed: Sealed, shard: int, ranges: Iterable[tuple[int, int]] | None = None) -> list[Column]:
    """Read the rows of a shard.

    Parameters
    ----------
    sealed
        The manifest.
    shard
        Which shard.
    ranges
        Row ranges ``[lo, hi)`` of the shard, joined in this order; None for all rows.

    Returns
    -------
    list
        Values per column, in input order.

    Raises
    ------
    RowConservationError
        When a batch has other rows than the manifest says.

    Notes
    -----
    Memory: the rows asked for as they are in the files, and as they are returned.
    """
    first, last = int(sealed.starts[shard]), int(sealed.starts[shard + 1])
    ends = np.cumsum(sealed.rows[first:last])
    if ranges is None:
        ranges = [(0, int(ends[-1]) if len(ends) else 0)]
    entries: list[int] = []
    slices: list[tuple[int, int]] = []
    for lo, hi in ranges:
        if hi <= lo:
            continue
        begin = int(np.searchsorted(ends, lo, side="right"))
        stop = int(np.searchsorted(ends, hi, side="left")) + 1
        for i in range(begin, stop):
            start = int(ends[i] - sealed.rows[first + i])
            entries.append(first + i)
            slices.append((max(lo - start, 0), min(hi, int(ends[i])) - max(lo, start)))
    batches = [
        batch if length == batch.num_rows else batch.slice(offset, length)
        for batch, (offset, length) in zip(_batches(sealed, entries), slices, strict=True)
    ]
    pieces = _columns(batches, len(sealed.dtypes))
    files = [sealed.staged[file] for file in sealed.files[entries].tolist()]
    del batches
    # Popped, so that a column's Arrow form goes before the next column is made.
    return [
        from_arrow(restored(pieces.pop(0), [file.types[i] for file in files]), dtype)
        for i, dtype in enumerate(sealed.dtypes)
    ]


def _columns(batches: list[pa.RecordBatch], n_columns: int) -> list[list[pa.Array]]:
    """Give each column's pieces."""
    pieces: list[list[pa.Array]] = [[] for _ in range(n_columns)]
    for batch in batches:
        for column, array in zip(pieces, batch.columns, strict=True):
            column.append(array)
    return pieces


def _batches(sealed: Sealed, entries: Sequence[int]) -> Iterator[pa.RecordBatch]:
    if not entries:
        return
    staged = [sealed.staged[sealed.files[entry]] for entry in entries]
    wanted = [
        (file.path, int(sealed.offsets[entry]), int(sealed.nbytes[entry]))
        for file, entry in zip(staged, entries, strict=True)
    ]
    buffers = store_for(staged[0].path).read(wanted)
    schemas: dict[tuple[pa.DataType, ...], pa.Schema] = {}
    for file, entry in zip(staged, entries, strict=True):
        written = tuple(kind.written for kind in file.types)
        schema = schemas.get(written)
        if schema is None:
            schema = schemas[written] = pa.schema([(str(i), kind) for i, kind in enumerate(written)])
        try:
            buffer = next(buffers)
        except OSError as error:
            msg = f"The staged file {file.path} cannot be read: {error.strerror or error}."
            hint = "Was the staging directory removed while the recipe ran? Run it again."
            raise StagingError(msg, hint=hint) from error
        rows = int(sealed.rows[entry])
        try:
            batch = pa.ipc.read_record_batch(pa.ipc.read_message(buffer), schema)
        except (pa.ArrowInvalid, EOFError) as error:
            raise _lost(file.path, rows, 0) from error
        conserved(rows, batch.num_rows, file.path)
        yield batch


def conserved(rows_in: int, rows_out: int, where: str) -> None:
    """Raise unless as many rows came out as went in.

    Raises
    ------
    RowConservationError
        With both numbers.
    """
    if rows_in != rows_out:
        raise _lost(where, rows_in, rows_out)


def _lost(where: str, rows_in: int, rows_out: int) -> RowConservationError:
    msg = f"{where}: {format_count(rows_in)} rows went in and {format_count(rows_out)} came out."
    hint = "This is a fault of safeframe or of the disk, not of your data: please report it."
    return RowConservationError(msg, hint=hint, rows_in=rows_in, rows_out=rows_out)
