"""Staging: partitions become files, ordered by shard.

Covers: what a stage task does with the partitions it is given: one Arrow IPC
file with one record batch per shard, or several where memory is short; what is
told of a file.
Does not cover: reading them back (``exchange``), where files lie
(``staging_store``) and how long (``staging_directory``).

Each attempt writes files of names of its own, so that a task that ran twice
does no harm.
"""

from __future__ import annotations

import errno
import uuid
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from safeframe import options
from safeframe.engine._dask import inside_worker
from safeframe.engine.page_cache import page_cache_is_full
from safeframe.engine.staging_store import DIRECT, store_for
from safeframe.engine.worker import use_worker
from safeframe.errors import StagingError, StagingFullError
from safeframe.kernels.order import stable_order
from safeframe.kernels.routing import Router, StagedColumns
from safeframe.kernels.staged_columns import StagedType, as_staged, join_staged
from safeframe.sizing.disk import free_nbytes
from safeframe.sizing.staging_url import is_remote
from safeframe.units import format_nbytes

__all__ = ["StagedFile", "stage_files", "stage_group"]

Ints = npt.NDArray[np.int64]


class StagedFile:
    """What a group of input partitions became: a file, and where in it each shard's rows are."""

    def __init__(
        self,
        path: str,
        types: tuple[StagedType, ...],
        shards: Ints,
        rows: Ints,
        offsets: Ints,
        rows_in: int,
        rows_dropped: int,
    ) -> None:
        self.path = path
        """The file; empty when no row was staged."""
        self.types = types
        """How each column was written."""
        self.shards = shards
        """The shard of each record batch."""
        self.rows = rows
        """The rows of each record batch."""
        self.offsets = offsets
        """Where each record batch begins in the file, and where the last one ends."""
        self.rows_in = rows_in
        """Rows of the input partitions."""
        self.rows_dropped = rows_dropped
        """Rows that no result row can come from."""
        self._finalizer: Any = None

    def own_file(self) -> None:
        """Remove the file, and its directory once empty, when this object goes."""
        if self.path:
            self._finalizer = weakref.finalize(self, _remove_file, self.path)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy in another process cannot share ownership; the session removes the file then.
        if self._finalizer is not None:
            self._finalizer.detach()
        return StagedFile, (
            self.path, self.types, self.shards, self.rows, self.offsets, self.rows_in, self.rows_dropped,
        )  # fmt: skip


def stage_group(
    frames: Iterable[Callable[[], pd.DataFrame]], columns: StagedColumns, router: Router, directory: str
) -> StagedFile:
    """Write a group of partitions, ordered by shard, to a file of its own.

    As :func:`stage_files`, without a bound on what the file holds.
    """
    return stage_files(frames, columns, router, directory, None)[0]


def stage_files(
    frames: Iterable[Callable[[], pd.DataFrame]],
    columns: StagedColumns,
    router: Router,
    directory: str,
    held_nbytes: int | None,
) -> list[StagedFile]:
    """Write partitions, ordered by shard, to as few files as memory allows.

    Parameters
    ----------
    frames
        Functions that make the partitions, each called when the one before is done with.
    columns
        What of a partition is staged.
    router
        Which shard a row goes to.
    directory
        The run's directory.
    held_nbytes
        What partitions that wait to be written may take, their order included; None for no bound.

    Raises
    ------
    StagingFullError, StagingError
        When a file cannot be written; nothing of it stays behind.

    Notes
    -----
    Memory: one partition in pandas; those that wait in Arrow, integers narrowed,
    a column at a time once more in shard order; 24 bytes per row for shards and order.
    """
    use_worker()
    try:
        return _stage(frames, columns, router, directory, held_nbytes)
    except Exception:
        # On a cluster the scheduler forgets the run, and the janitor removes it; here
        # the traceback would keep its files for as long as someone looks at it.
        if not inside_worker():
            store_for(directory).remove_run(directory)
        raise


def _stage(
    frames: Iterable[Callable[[], pd.DataFrame]],
    columns: StagedColumns,
    router: Router,
    directory: str,
    held_nbytes: int | None,
) -> list[StagedFile]:
    staged: list[StagedFile] = []
    waiting = _Waiting(columns, router)
    for make in frames:
        frame = make()
        # The next partition is taken to be as large as the last one.
        if held_nbytes is not None and waiting.held_nbytes + waiting.last_nbytes > held_nbytes:
            staged.append(waiting.write(directory))
            waiting = _Waiting(columns, router)
        waiting.add(frame)
        del frame
    if waiting.rows or not staged:
        staged.append(waiting.write(directory))
    return staged


class _Waiting:
    """Partitions in Arrow that wait to be written as one file."""

    def __init__(self, columns: StagedColumns, router: Router) -> None:
        self.columns = columns
        self.router = router
        self.rows = 0
        self.held_nbytes = 0
        self.last_nbytes = 0
        self._shards: list[npt.NDArray[Any]] = []
        self._pieces: list[list[pa.Array]] = [[] for _ in columns.dtypes]

    def add(self, frame: pd.DataFrame) -> None:
        # Counted from one, so that NOWHERE is 0: those rows come first, and are left out.
        narrow = np.uint16 if self.router.n_shards < 2**16 - 1 else np.int64
        self._shards.append((self.router.shards(frame, self.rows) + 1).astype(narrow))
        nbytes = 0
        for column, series, dtype in zip(
            self._pieces, self.columns.series(frame), self.columns.dtypes, strict=True
        ):
            column.append(as_staged(series, dtype))
            nbytes += column[-1].nbytes
        self.rows += len(frame)
        self.last_nbytes = int(options.GROUP_COPIES * nbytes) + options.STAGED_ROW_NBYTES * len(frame)
        self.held_nbytes += self.last_nbytes

    def write(self, directory: str) -> StagedFile:
        shards = np.concatenate(self._shards) if len(self._shards) != 1 else self._shards[0]
        self._shards = []
        counts = np.bincount(shards, minlength=self.router.n_shards + 1)
        dropped, counts = int(counts[0]), counts[1:]
        present = np.flatnonzero(counts)
        if len(present) == 0:
            return StagedFile("", (), present, counts[present], np.zeros(1, np.int64), self.rows, dropped)
        order = stable_order(shards)
        del shards
        wanted = None if order is None else pa.array(order[dropped:])
        arrays, types = [], []
        while self._pieces:
            # Popped, so that a column's pieces go before the next column is put in order.
            array, kind = join_staged(self._pieces.pop(0))
            arrays.append(array.slice(dropped) if wanted is None else array.take(wanted))
            types.append(kind)
        del order, wanted
        batch = pa.RecordBatch.from_arrays(arrays, [str(i) for i in range(len(arrays))])
        path, offsets = _write(batch, counts[present], directory)
        staged = StagedFile(path, tuple(types), present, counts[present], offsets, self.rows, dropped)
        if not inside_worker():
            staged.own_file()
        return staged


def _write(batch: pa.RecordBatch, rows: Ints, directory: str) -> tuple[str, Ints]:
    past_cache = not is_remote(directory) and page_cache_is_full()
    path = f"{directory}/{uuid.uuid4().hex}{DIRECT if past_cache else '.arrow'}"
    offsets: list[int] = []

    def write_to(sink: pa.NativeFile) -> None:
        with pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch.slice(0, 0))  # the file's own head goes with the first batch
            offsets.append(sink.tell())
            start = 0
            for n_rows in rows.tolist():
                writer.write_batch(batch.slice(start, n_rows))
                offsets.append(sink.tell())
                start += n_rows

    try:
        store_for(directory).write(path, write_to)
    except OSError as error:
        raise _staging_error(error, batch.nbytes, directory) from error
    return path, np.array(offsets, np.int64)


def _staging_error(error: OSError, nbytes: int, directory: str) -> StagingError:
    if isinstance(error, StagingError):
        return error
    if error.errno in (errno.ENOSPC, errno.EDQUOT) and not is_remote(directory):
        free = free_nbytes(directory)
        msg = (
            f"The staging directory {directory} is full: {format_nbytes(nbytes)} were to be staged and "
            f"{format_nbytes(free)} are free."
        )
        hint = "Free some disk, or name a directory with more room in staging=."
        return StagingFullError(msg, hint=hint, needed_nbytes=nbytes, free_nbytes=free)
    msg = f"The staging directory {directory} cannot be written: {error.strerror or error}."
    hint = "Name a directory that you and every worker may write in staging=."
    return StagingError(msg, hint=hint, directory=directory)


def _remove_file(path: str) -> None:
    store_for(path).remove_file(path)
