"""A file of a dataset, under a name of its own until it is complete.

Covers: local files and those of object stores, a disk that is full, a write that is over.
Does not cover: what is written to it (``tasks``).
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safeframe._dask.cluster import is_wanted
from safeframe.engine.parquet.target import ParquetTarget
from safeframe.errors import StagingError, StagingFullError
from safeframe.sizing.directory import free_nbytes
from safeframe.units import format_nbytes


@dataclass(frozen=True)
class WrittenFile:
    """One file: a few bytes that go to the commit."""

    name: str
    rows: int
    inode: int = 0
    """Of a local file: by it the file is known again at its place."""


_OVER = "The write has ended, and this task of it runs on."
_OVER_HINT = "What the write ended in says why."


def put_file(target: ParquetTarget, name: str, write: Callable[[Any], int], nbytes: int) -> WrittenFile:
    """Write a file under a name of its own until it is complete.

    Parameters
    ----------
    target
        The dataset.
    name
        The file's name.
    write
        Writes to an open file, and returns the number of rows.
    nbytes
        Bytes in memory of what is written, for messages.

    Raises
    ------
    StagingError, StagingFullError
        When the file cannot be written.
    """
    path = target.path_of(name)
    if not target.is_local:
        try:
            with target.fs.open(path, "wb") as sink:
                return WrittenFile(name, write(sink))
        except OSError as error:
            raise disk_error(error, nbytes, target) from error
    # A task that runs twice, on two workers, never makes a file of both.
    partial = Path(f"{target.directory}/.{name}.{uuid.uuid4().hex[:8]}")
    if not partial.parent.exists() and not is_wanted():
        # It would be left: the write has failed, and a task of it that could not be stopped comes this far.
        raise StagingError(_OVER, hint=_OVER_HINT, directory=target.directory)
    try:
        # It is gone where the files are in their place, and the worker was lost that says so: all is done again,
        # and then found there. Whatever else removed it, the last task misses the files that went with it.
        if not partial.parent.exists():
            partial.parent.mkdir(mode=0o700 if Path(target.target).is_dir() else 0o777, exist_ok=True)
        with partial.open("wb") as sink:
            rows = write(sink)
            inode = os.fstat(sink.fileno()).st_ino
        partial.rename(path)
    except OSError as error:
        raise disk_error(error, nbytes, target) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    return WrittenFile(name, rows, inode)


def disk_error(error: OSError, nbytes: int, target: ParquetTarget) -> StagingError:
    """Return why a file could not be written."""
    if isinstance(error, StagingError):
        return error
    if target.is_local and error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = free_nbytes(target.directory)
        msg = (
            f"The disk of {target.target!r} is full: {format_nbytes(nbytes)} in memory had to "
            f"be written and {format_nbytes(free)} are free."
        )
        hint = "Free some disk, or write to a path on another disk. The target is unchanged."
        return StagingFullError(msg, hint=hint, needed_nbytes=nbytes, free_nbytes=free)
    msg = f"{target.target!r} cannot be written: {error.strerror or error}."
    hint = "Name a path that you and every worker can write. The target is unchanged."
    return StagingError(msg, hint=hint, directory=target.target)
