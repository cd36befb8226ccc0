"""Staging: partitions become files, ordered by shard.

Covers: what a stage task does with the partitions it is given: one file with
one piece per shard, or several where memory is short; what is recorded of a file.
Does not cover: what is in a file (``engine.exchange.blocks``), reading them back
(``exchange``), where files lie (``engine.storage.local``) and how long
(``engine.storage.sessions``).

Each attempt writes files of names of its own, so that a task that ran twice
does no harm; one that is run again takes what it has finished before (``engine.exchange.adopted``).
"""

from __future__ import annotations

import contextlib
import errno
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from safeframe.engine.exchange.adopted import Attempt, adopted, attempt_of, record_bytes
from safeframe.engine.exchange.blocks import StagedBlock
from safeframe.engine.exchange.column_block import new_block
from safeframe.engine.exchange.index import Entries, index_bytes
from safeframe.engine.exchange.runs import run_of_task
from safeframe.engine.exchange.staged_file import FilePart, Form, StagedFile
from safeframe.engine.storage.local import DIRECT, STAGED, page_cache_is_full, store_for
from safeframe.engine.storage.reach import not_there
from safeframe.engine.task import use_worker
from safeframe.errors import StagingError, StagingFullError
from safeframe.kernels.checksum import checksum
from safeframe.kernels.routing.coarse import PLACE, CoarseRouter
from safeframe.kernels.routing.router import JoinRouter, Router, Routes, StagedColumns
from safeframe.sizing.directory import free_nbytes
from safeframe.sizing.staging_url import is_remote
from safeframe.units import format_nbytes


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
    mark: str = "",
) -> list[StagedFile]:
    """Write partitions, ordered by shard, to a file; or take the one that an earlier attempt of this task has finished.

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
    mark
        What marks the input; with it, and on a worker, nothing is read where the file is there already.

    Raises
    ------
    StagingFullError, StagingError
        When a file cannot be written; nothing of it stays behind.

    Notes
    -----
    Memory: one partition in pandas; those that wait, as ``engine.exchange.blocks`` says.
    """
    use_worker()
    attempt = attempt_of(mark)
    with run_of_task(directory):
        before = adopted(directory, attempt)
        return [before] if before else _stage(frames, columns, router, directory, held_nbytes, attempt)


def _stage(
    frames: Iterable[Callable[[], pd.DataFrame]],
    columns: StagedColumns,
    router: Router,
    directory: str,
    held_nbytes: int | None,
    attempt: Attempt | None,
) -> list[StagedFile]:
    coarse = router if isinstance(router, CoarseRouter) else None
    given = router if coarse is None else coarse.router
    dtypes = columns.dtypes if coarse is None else (*columns.dtypes, PLACE)
    rows_in = 0
    with StagedWriter(directory, dtypes, router.n_shards, held_nbytes, attempt=attempt) as writer:
        for make in frames:
            frame = make()
            # A join's keys tell, besides where rows go, that they are those that were planned.
            routes = (
                given.routes([frame[name] for name in given.on])
                if isinstance(given, JoinRouter)
                else Routes(given.shards(frame, rows_in))
            )
            writer.checksum = (writer.checksum + routes.checksum) % 2**64
            series = [frame.index.to_series()] if columns.with_index else []
            series += [frame[name] for name in columns.names]
            shards = routes.shards
            if coarse is not None:
                series.append(pd.Series(shards % coarse.width))
                shards = shards // coarse.width
            writer.add(series, shards)
            rows_in += len(frame)
            del frame, series, routes, shards
        return [writer.finished()]


class StagedWriter:
    """A file that is written in parts: whenever as many rows wait as may, or at the end.

    Parameters
    ----------
    directory
        The run's directory.
    dtypes
        Of the columns.
    n_shards
        Shards that there are.
    held_nbytes
        What rows that wait to be written may take; None for no bound.
    first_shard
        The number of the first of these shards in the manifest.
    attempt
        The task that may take the file, should it be run again; None for none.
    """

    def __init__(
        self,
        directory: str,
        dtypes: Sequence[Any],
        n_shards: int,
        held_nbytes: int | None,
        first_shard: int = 0,
        attempt: Attempt | None = None,
    ) -> None:
        self.checksum = 0
        """Of the keys of all rows."""
        self.rows_nowhere = 0
        """Rows that were left out before they came here."""
        self._directory = directory
        self._first_shard = first_shard
        self._attempt = attempt
        self._kind = dtypes, n_shards, held_nbytes
        self._block: StagedBlock[Any] = new_block(*self._kind)
        self._path = ""
        self._sink: pa.NativeFile | None = None
        self._open = contextlib.ExitStack()
        self._forms: list[tuple[Form, dict[int, pa.Array]]] = []
        self._entries: list[Entries] = []
        self._rows = self._dropped = self._nbytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        # Of a file that is not finished nothing stays behind.
        self._open.__exit__(*error)  # type: ignore[arg-type]

    def add(self, columns: Sequence[pd.Series[Any]], shards: npt.NDArray[np.integer[Any]]) -> None:
        """Let rows wait, each with its shard; those before them are written first where there is no room for both."""
        partition = self._block.converted(columns)
        if not self._block.takes(partition):
            self._write(self._block)
            self._block = new_block(*self._kind, after=self._block)
            self._block.takes(partition)
        self._block.add(partition, shards)

    def _write(self, block: StagedBlock[Any]) -> None:
        self._rows += block.rows
        self._dropped += block.dropped
        if block.rows == block.dropped:
            return
        nbytes = block.nbytes
        with self._in_words(nbytes):
            if self._sink is None:
                self._path = new_path(self._directory, self._attempt.prefix if self._attempt else "")
                self._sink = self._open.enter_context(store_for(self._directory).create(self._path))
            written = block.write(self._sink)
        self._nbytes += int(written.entries["nbytes"].sum())
        written.entries["shard"] += np.uint32(self._first_shard)
        self._forms.append((written.form, written.distinct))
        self._entries.append(written.entries)

    def finished(self) -> StagedFile:
        """Write the rows that wait, and the index; say what is in the file."""
        self._write(self._block)
        self._rows += self.rows_nowhere
        self._dropped += self.rows_nowhere
        if self._sink is None:
            return StagedFile("", (), (0, -1), 0, 0, 0, 0, self._rows, self._dropped, self.checksum)
        entries = np.concatenate(self._entries)
        index = index_bytes(entries, self._forms)
        parts = zip(self._forms, self._entries, strict=True)
        staged = StagedFile(
            path=self._path,
            parts=tuple(FilePart(form, len(found)) for (form, _), found in parts),
            shards=(int(entries["shard"].min()), int(entries["shard"].max())),
            rows=int(entries["rows"].sum(dtype=np.int64)),
            nbytes=self._nbytes,
            index_nbytes=len(index),
            index_checksum=checksum(index),
            rows_in=self._rows,
            rows_dropped=self._dropped,
            checksum=self.checksum,
        )
        with self._in_words(len(index)):
            self._sink.write(index.data)
            if self._attempt is not None:
                self._sink.write(record_bytes(staged, self._attempt))
            self._open.close()
        staged.own_file()
        return staged

    @contextlib.contextmanager
    def _in_words(self, nbytes: int) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise staging_error(error, self._nbytes + nbytes, self._directory) from error


def write_file(directory: str, nbytes: int, write_to: Callable[[pa.NativeFile, str], None]) -> str:
    """Write a file of a name of its own: past the page cache where that is full.

    Parameters
    ----------
    directory
        The run's directory or URL.
    nbytes
        Bytes of the file, about; for the message when there is no room for them.
    write_to
        Writes what is in it, given its path.

    Returns
    -------
    str
        Its path.

    Raises
    ------
    StagingFullError, StagingError
        When it cannot be written; nothing of it stays behind.
    """
    path = new_path(directory)
    try:
        with store_for(directory).create(path) as sink:
            write_to(sink, path)
    except OSError as error:
        raise staging_error(error, nbytes, directory) from error
    return path


def new_path(directory: str, prefix: str = "") -> str:
    """Return a name for a file: one that is written past the page cache where that is full."""
    past_cache = not is_remote(directory) and page_cache_is_full()
    return f"{directory}/{prefix}{uuid.uuid4().hex}{DIRECT if past_cache else STAGED}"


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
    if not is_remote(directory) and (missing := not_there(str(Path(directory).parent))):
        return missing
    msg = f"The staging directory {directory} cannot be written: {error.strerror or error}."
    hint = "Name a directory in staging= that you and every worker can write."
    return StagingError(msg, hint=hint, directory=directory)
