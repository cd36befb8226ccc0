"""The staged exchange: rows go to their shard through files.

Covers: staging a partition (one Arrow IPC file, one record batch per shard),
sealing (one manifest of all files, every row accounted for), and fetching the
rows of a shard, all of them or a range.
Does not cover: the graph around it (``merge_nodes``), where files lie and how
long (``staging_directory``).

Each attempt to stage a partition writes a file of its own name, and the
manifest names files, so that a task that ran twice does no harm. Only Arrow
IPC is read back: nothing in a staging directory is unpickled.
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from safeframe.engine._dask import inside_worker
from safeframe.engine.staging_directory import remove_run
from safeframe.engine.worker import use_worker
from safeframe.errors import RowConservationError, StagingError, StagingFullError
from safeframe.facts.layout import ShardLayout
from safeframe.kernels.columns import from_arrow, to_arrow
from safeframe.kernels.join_cell import Block
from safeframe.kernels.join_spec import SideSpec
from safeframe.kernels.key_codes import encode_keys
from safeframe.kernels.order import counts_of, shard_of, stable_order
from safeframe.sizing.disk import free_nbytes
from safeframe.units import format_count, format_nbytes

__all__ = ["SealedSide", "StagedPartition", "fetch", "seal", "stage_partition"]

Ints = npt.NDArray[np.int64]


class StagedPartition:
    """What one input partition became: a file, and which of its batches is which shard's."""

    def __init__(self, path: str, shards: Ints, rows: Ints, rows_in: int, rows_dropped: int) -> None:
        self.path = path
        """The file; empty when no row was staged."""
        self.shards = shards
        """The shard of each record batch."""
        self.rows = rows
        """The rows of each record batch."""
        self.rows_in = rows_in
        """Rows of the input partition."""
        self.rows_dropped = rows_dropped
        """Rows of shards that no result row can come from."""
        self._finalizer: Any = None

    def own_file(self) -> None:
        """Remove the file, and its directory once empty, when this object goes."""
        if self.path:
            self._finalizer = weakref.finalize(self, _remove_file, self.path)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy in another process cannot share ownership; the session removes the file then.
        if self._finalizer is not None:
            self._finalizer.detach()
        return StagedPartition, (self.path, self.shards, self.rows, self.rows_in, self.rows_dropped)


@dataclass(frozen=True, kw_only=True, slots=True)
class SealedSide:
    """All staged files of one side, by shard.

    The batches of shard ``s`` are entries ``offsets[s]`` to ``offsets[s + 1]``
    of ``files``, ``batches`` and ``rows``, in the order of the input.
    """

    side: SideSpec
    """The columns."""
    partitions: tuple[StagedPartition, ...]
    """The files; holding them keeps them on disk where tasks run in this process."""
    offsets: Ints
    """Where each shard's batches start."""
    files: Ints
    """The file of each batch."""
    batches: Ints
    """The number of each batch within its file."""
    rows: Ints
    """The rows of each batch."""

    def shard_rows(self, shard: int) -> int:
        """Count the rows of a shard."""
        return int(self.rows[self.offsets[shard] : self.offsets[shard + 1]].sum())


def stage_partition(
    frame: pd.DataFrame, side: SideSpec, layout: ShardLayout, directory: str
) -> StagedPartition:
    """Write one partition, ordered by shard, to a file of its own.

    Parameters
    ----------
    frame
        The partition.
    side
        Its columns and keys.
    layout
        The shards.
    directory
        The run's directory.

    Raises
    ------
    StagingFullError, StagingError
        When the file cannot be written; nothing of it stays behind.

    Notes
    -----
    Memory: the partition in pandas, its columns once more in shard order, and
    24 bytes per row for codes, shards and order.
    """
    use_worker()
    try:
        return _stage(frame, side, layout, directory)
    except Exception:
        # On a cluster the scheduler forgets the run, and the janitor removes it; here
        # the traceback would keep its files for as long as someone looks at it.
        if not inside_worker():
            remove_run(directory)
        raise


def _stage(frame: pd.DataFrame, side: SideSpec, layout: ShardLayout, directory: str) -> StagedPartition:
    codes, null = encode_keys([frame[name] for name in side.on], side.schema)
    shards = shard_of(codes, layout.starts)
    del codes
    if null is not None:
        shards[null] = layout.n_shards - 1 if layout.null_shard else 0
    n_rows = len(frame)
    rows = counts_of(shards, layout.n_shards)
    dropped = int(rows[layout.cells == 0].sum())
    if dropped:
        keep = layout.cells[shards] > 0
        frame, shards = frame[keep], shards[keep]
        rows = np.where(layout.cells == 0, 0, rows)
    present = np.flatnonzero(rows)
    if len(present) == 0:
        return StagedPartition("", present, rows[present], n_rows, dropped)
    order = stable_order(shards)
    del shards
    arrays = []
    for name, dtype in zip(side.names, side.dtypes, strict=True):
        column = frame[name]
        arrays.append(to_arrow(column if order is None else column.take(order), dtype))
    batch = pa.RecordBatch.from_arrays(arrays, [str(i) for i in range(len(arrays))])
    path = _write(batch, rows[present], directory)
    staged = StagedPartition(path, present, rows[present], n_rows, dropped)
    if not inside_worker():
        staged.own_file()
    return staged


def _write(batch: pa.RecordBatch, rows: Ints, directory: str) -> str:
    name = os.path.join(directory, uuid.uuid4().hex)  # noqa: PTH118 -- a Path per file and column is not free
    partial, path = f"{name}.partial", f"{name}.arrow"
    try:
        Path(directory).mkdir(mode=0o700, parents=True, exist_ok=True)
        with pa.OSFile(partial, "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
            start = 0
            for n_rows in rows.tolist():
                writer.write_batch(batch.slice(start, n_rows))
                start += n_rows
        Path(partial).replace(path)
    except OSError as error:
        refusal = _staging_error(error, batch.nbytes, directory)
        with contextlib.suppress(OSError):
            Path(partial).unlink()
        raise refusal from error
    return path


def _staging_error(error: OSError, nbytes: int, directory: str) -> StagingError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = free_nbytes(directory)
        msg = (
            f"The staging directory {directory} is full: a partition of {format_nbytes(nbytes)} was to be "
            f"staged and {format_nbytes(free)} are free."
        )
        hint = "Free some disk, or name a directory with more room in staging=."
        return StagingFullError(msg, hint=hint, needed_nbytes=nbytes, free_nbytes=free)
    msg = f"The staging directory {directory} cannot be written: {error.strerror or error}."
    hint = "Name a directory that you and every worker may write in staging=."
    return StagingError(msg, hint=hint, directory=directory)


def seal(partitions: Sequence[StagedPartition], side: SideSpec, n_shards: int) -> SealedSide:
    """Join the manifests of one side, and check that every row is in one of them.

    Raises
    ------
    RowConservationError
        When a partition gave out other than the rows it took in.
    """
    for number, staged in enumerate(partitions):
        out = int(staged.rows.sum()) + staged.rows_dropped
        if out != staged.rows_in:
            where = f"partition {number} of the exchange"
            raise _lost(where, staged.rows_in, out)
    shards = np.concatenate([staged.shards for staged in partitions])
    files = np.repeat(np.arange(len(partitions)), [len(staged.shards) for staged in partitions])
    batches = np.concatenate([np.arange(len(staged.shards)) for staged in partitions])
    rows = np.concatenate([staged.rows for staged in partitions])
    order = np.argsort(shards, kind="stable")
    return SealedSide(
        side=side,
        partitions=tuple(partitions),
        offsets=np.searchsorted(shards[order], np.arange(n_shards + 1)),
        files=files[order],
        batches=batches[order],
        rows=rows[order],
    )


def fetch(sealed: SealedSide, shard: int, ranges: Iterable[tuple[int, int]] | None = None) -> Block:
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
    Memory: the rows asked for, and one file's batch at a time.
    """
    first, last = int(sealed.offsets[shard]), int(sealed.offsets[shard + 1])
    ends = np.cumsum(sealed.rows[first:last])
    if ranges is None:
        ranges = [(0, int(ends[-1]) if len(ends) else 0)]
    pieces: list[list[pa.Array]] = [[] for _ in sealed.side.names]
    for lo, hi in ranges:
        if hi <= lo:
            continue
        begin = int(np.searchsorted(ends, lo, side="right"))
        stop = int(np.searchsorted(ends, hi, side="left")) + 1
        for i in range(begin, stop):
            batch = _read(sealed, first + i)
            start = int(ends[i]) - batch.num_rows
            piece = batch.slice(max(lo - start, 0), min(hi, int(ends[i])) - max(lo, start))
            for column, array in zip(pieces, piece.columns, strict=True):
                column.append(array)
    # Popped, so that a column's Arrow form goes before the next column is made.
    return [from_arrow(pieces.pop(0), dtype) for dtype in sealed.side.dtypes]


def _read(sealed: SealedSide, entry: int) -> pa.RecordBatch:
    staged = sealed.partitions[sealed.files[entry]]
    try:
        with pa.OSFile(staged.path, "rb") as source:
            reader = pa.ipc.open_file(source)
            number = int(sealed.batches[entry])
            if number >= reader.num_record_batches:
                raise _lost(staged.path, int(sealed.rows[entry]), 0)
            batch = reader.get_batch(number)
    except OSError as error:
        msg = f"The staged file {staged.path} cannot be read: {error.strerror or error}."
        hint = "Was the staging directory removed while the merge ran? Run it again."
        raise StagingError(msg, hint=hint) from error
    if batch.num_rows != sealed.rows[entry]:
        raise _lost(staged.path, int(sealed.rows[entry]), batch.num_rows)
    return batch


def _lost(where: str, rows_in: int, rows_out: int) -> RowConservationError:
    msg = f"{where}: {format_count(rows_in)} rows went in and {format_count(rows_out)} came out."
    hint = "This is a fault of safeframe or of the disk, not of your data: please report it."
    return RowConservationError(msg, hint=hint, rows_in=rows_in, rows_out=rows_out)


def _remove_file(path: str) -> None:
    with contextlib.suppress(OSError):
        Path(path).unlink()
        Path(path).parent.rmdir()
