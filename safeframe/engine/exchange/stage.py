"""Staging: partitions become files, ordered by shard.

Covers: what a stage task does with the partitions it is given: one file with
one piece per shard, or several where memory is short; what is recorded of a file.
Does not cover: what is in a file (``engine.exchange.blocks``), reading them back
(``exchange``), where files lie (``engine.storage.local``) and how long
(``engine.storage.sessions``).

Each attempt writes files of names of its own, so that a task that ran twice
does no harm.
"""

from __future__ import annotations

import errno
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from safeframe.engine.exchange.blocks import Form, Ints, StagedBlock, new_block
from safeframe.engine.exchange.runs import run_of_task
from safeframe.engine.storage.local import DIRECT, STAGED, page_cache_is_full, store_for
from safeframe.engine.storage.owned_file import OwnedFile
from safeframe.engine.task import use_worker
from safeframe.errors import StagingError, StagingFullError
from safeframe.kernels.order import nearby_order, stable_order
from safeframe.kernels.routing.router import JoinRouter, Router, Routes, StagedColumns
from safeframe.sizing.directory import free_nbytes
from safeframe.sizing.staging_url import is_remote
from safeframe.units import format_nbytes


class StagedFile(OwnedFile):
    """What a group of input partitions became: a file, and where in it each shard's rows are."""

    def __init__(
        self,
        path: str,
        form: Form,
        shards: Ints,
        rows: Ints,
        offsets: Ints,
        rows_in: int,
        rows_dropped: int,
        checksum: int = 0,
    ) -> None:
        super().__init__(path)
        self.form = form
        """How its rows were written."""
        self.shards = shards
        """The shard of each piece."""
        self.rows = rows
        """The rows of each piece."""
        self.offsets = offsets
        """Where each piece begins in the file, and where the last one ends."""
        self.rows_in = rows_in
        """Rows of the input partitions."""
        self.rows_dropped = rows_dropped
        """Rows that no result row can come from."""
        self.checksum = checksum
        """Of the keys of the input's rows; see :class:`safeframe.kernels.routing.router.Routes`."""

    def arguments(self) -> tuple[Any, ...]:
        """See :class:`OwnedFile`."""
        return (
            self.path, self.form, self.shards, self.rows, self.offsets, self.rows_in, self.rows_dropped, self.checksum,
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
    Memory: one partition in pandas; those that wait, as ``engine.exchange.blocks`` says.
    """
    use_worker()
    with run_of_task(directory):
        return _stage(frames, columns, router, directory, held_nbytes)


def _stage(
    frames: Iterable[Callable[[], pd.DataFrame]],
    columns: StagedColumns,
    router: Router,
    directory: str,
    held_nbytes: int | None,
) -> list[StagedFile]:
    staged: list[StagedFile] = []
    waiting = _Waiting(router, new_block(columns.dtypes, held_nbytes))
    rows_in = 0
    for make in frames:
        frame = make()
        # A join's keys tell, besides where rows go, that they are those that were planned.
        routes = (
            router.routes([frame[name] for name in router.on])
            if isinstance(router, JoinRouter)
            else Routes(router.shards(frame, rows_in))
        )
        series = [frame.index.to_series()] if columns.with_index else []
        partition = waiting.block.converted([*series, *(frame[name] for name in columns.names)])
        if not waiting.block.takes(partition):
            staged.append(waiting.write(directory))
            waiting = _Waiting(router, new_block(columns.dtypes, held_nbytes, after=waiting.block))
            waiting.block.takes(partition)
        waiting.add(partition, routes)
        rows_in += len(frame)
        del frame, series, partition
    if waiting.rows or not staged:
        staged.append(waiting.write(directory))
    return staged


class _Waiting:
    """Partitions that wait to be written as one file, and where their rows go."""

    def __init__(self, router: Router, block: StagedBlock[Any]) -> None:
        self.block = block
        self.rows = 0
        self._checksum = 0
        self._router = router
        self._shards: list[npt.NDArray[np.integer[Any]]] = []

    def add(self, partition: Any, routes: Routes) -> None:
        """Add a partition, converted as the block holds it."""
        # Counted from one, so that NOWHERE is 0: those rows come first, and are left out.
        narrow = np.uint16 if self._router.n_shards < 2**16 - 1 else np.int64
        self._checksum = (self._checksum + routes.checksum) % 2**64
        shards: npt.NDArray[np.integer[Any]] = (routes.shards + 1).astype(narrow)
        order = nearby_order(shards)
        self._shards.append(
            shards[order] if self.block.add(partition, order) and order is not None else shards
        )
        self.rows += len(shards)

    def write(self, directory: str) -> StagedFile:
        """Write the rows in the order of their shards."""
        # A task may have had nothing at all to look at.
        shards = (
            np.concatenate([np.empty(0, np.uint16), *self._shards])
            if len(self._shards) != 1
            else self._shards[0]
        )
        self._shards = []
        counts = np.bincount(shards, minlength=self._router.n_shards + 1)
        dropped, counts = int(counts[0]), counts[1:]
        present = np.flatnonzero(counts)
        rows = counts[present]
        if len(present) == 0:
            nowhere = np.zeros(1, np.int64)
            return StagedFile("", (), present, rows, nowhere, self.rows, dropped, self._checksum)
        order = stable_order(shards)
        del shards
        form = self.block.put_in_order(order, dropped)
        del order
        path, offsets = _write(self.block, rows, directory)
        staged = StagedFile(path, form, present, rows, offsets, self.rows, dropped, self._checksum)
        staged.own_file()
        return staged


def _write(block: StagedBlock[Any], rows: Ints, directory: str) -> tuple[str, Ints]:
    offsets = np.zeros(1, np.int64)

    def write_to(sink: pa.NativeFile) -> None:
        nonlocal offsets
        offsets = block.write(sink, rows)

    return write_file(directory, block.nbytes, write_to), offsets


def write_file(directory: str, nbytes: int, write_to: Callable[[pa.NativeFile], None]) -> str:
    """Write a file of a name of its own: past the page cache where that is full.

    Parameters
    ----------
    directory
        The run's directory or URL.
    nbytes
        Bytes of the file, about; for the message when there is no room for them.
    write_to
        Writes what is in it.

    Returns
    -------
    str
        Its path.

    Raises
    ------
    StagingFullError, StagingError
        When it cannot be written; nothing of it stays behind.
    """
    past_cache = not is_remote(directory) and page_cache_is_full()
    path = f"{directory}/{uuid.uuid4().hex}{DIRECT if past_cache else STAGED}"
    try:
        store_for(directory).write(path, write_to)
    except OSError as error:
        raise staging_error(error, nbytes, directory) from error
    return path


def staging_error(error: OSError, nbytes: int, directory: str) -> StagingError:
    """Return what a failure to write so many bytes means to the user."""
    if isinstance(error, StagingError):
        return error
    if error.errno in (errno.ENOSPC, errno.EDQUOT) and not is_remote(directory):
        # There was less than that when the write failed, whatever other tasks have removed since.
        free = min(free_nbytes(directory), max(nbytes - 1, 0))
        msg = (
            f"The staging directory {directory} is full: {format_nbytes(nbytes)} had to be staged and "
            f"{format_nbytes(free)} are free."
        )
        hint = "Free some disk, or name a directory with more room in staging=."
        return StagingFullError(msg, hint=hint, needed_nbytes=nbytes, free_nbytes=free)
    msg = f"The staging directory {directory} cannot be written: {error.strerror or error}."
    hint = "Name a directory in staging= that you and every worker can write."
    return StagingError(msg, hint=hint, directory=directory)
