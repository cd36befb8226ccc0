"""Where staged files are written and read: a directory, or an object store.

Covers: the few operations that an exchange needs of a store, and the store of
plain directories.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import mmap
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import psutil
import pyarrow as pa

from safeframe import options
from safeframe.sizing.machine import MemoryGroup, memory_group
from safeframe.sizing.staging_url import is_remote

STAGED = ".staged"
"""How the name of a staged file ends."""

DIRECT = f".direct{STAGED}"
"""How the name of a file ends that is written and read past the page cache."""


class Store(Protocol):
    """What an exchange needs of the place where it stages."""

    def create(self, path: str) -> contextlib.AbstractContextManager[pa.NativeFile]:
        """Make a file that is there complete, once the block ends, or not at all.

        Raises
        ------
        OSError
            When it cannot be written; nothing of it stays behind.
        """

    def read(self, pieces: Sequence[tuple[str, int, int]]) -> Iterator[pa.Buffer]:
        """Read pieces of files, each named by its path, offset and bytes, in the order given.

        Raises
        ------
        OSError
            When one cannot be read.
        """

    def finished(self, directory: str, prefix: str) -> list[tuple[str, int]]:
        """Return the paths and bytes of the complete files of a run whose names begin so.

        Raises
        ------
        OSError
            When the run's directory cannot be looked at, or is not there.
        """

    def remove_file(self, path: str) -> None:
        """Remove a file, and its directory once that is empty; one that is gone is no error."""

    def remove_run(self, directory: str) -> None:
        """Remove a run's files; what is gone already is no error."""


def store_for(path: str) -> Store:
    """Return the store that a path or URL is in."""
    if is_remote(path):
        from safeframe.engine.storage.remote import remote_store

        return remote_store(path)
    return LocalStore()


class LocalStore:
    """Directories that every worker reaches under the same path."""

    @contextlib.contextmanager
    def create(self, path: str) -> Iterator[pa.NativeFile]:
        """See :class:`Store`."""
        partial = f"{path}.partial"
        try:
            # Its directory alone: what is above it is private, and is not to come back once it is gone.
            Path(path).parent.mkdir(mode=0o700, exist_ok=True)
            with contextlib.ExitStack() as stack:
                target = stack.enter_context(DirectFile(partial)) if path.endswith(DIRECT) else partial
                # Buffered: a batch of many small columns is otherwise two calls for each.
                sink = pa.output_stream(target, compression=None, buffer_size=options.LOCAL_BUFFER_NBYTES)
                yield stack.enter_context(sink)
            Path(partial).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(partial).unlink()
            raise

    def read(self, pieces: Sequence[tuple[str, int, int]]) -> Iterator[pa.Buffer]:
        """See :class:`Store`."""
        for path, offset, nbytes in pieces:
            yield read_piece(path, offset, nbytes, direct=path.endswith(DIRECT))

    def finished(self, directory: str, prefix: str) -> list[tuple[str, int]]:
        """See :class:`Store`."""
        with os.scandir(directory) as entries:
            found = [
                entry for entry in entries if entry.name.startswith(prefix) and entry.name.endswith(STAGED)
            ]
            return sorted((entry.path, entry.stat(follow_symlinks=False).st_size) for entry in found)

    def remove_file(self, path: str) -> None:
        """See :class:`Store`."""
        with contextlib.suppress(OSError):
            Path(path).unlink(missing_ok=True)
            Path(path).parent.rmdir()

    def remove_run(self, directory: str) -> None:
        """See :class:`Store`."""
        # Renamed first, so that a run that starts again finds the name free.
        doomed = f"{directory}.{uuid.uuid4().hex[:8]}.gone"
        with contextlib.suppress(OSError):
            Path(directory).rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)


_BLOCK_NBYTES = 4096


class DirectFile(io.RawIOBase):
    """A new file, written in aligned chunks with ``O_DIRECT``; through the page cache where that is not to be had.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self._file = open_directly(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        # Memory of its own pages: aligned as the disk wants it.
        self._chunk = mmap.mmap(-1, options.DIRECT_WRITE_NBYTES)
        self._filled = 0
        self._written = 0

    def writable(self) -> bool:
        """See :meth:`io.IOBase.writable`."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Take bytes, and write each full chunk."""
        view = memoryview(data).cast("B")
        at = 0
        while at < len(view):
            room = min(options.DIRECT_WRITE_NBYTES - self._filled, len(view) - at)
            self._chunk[self._filled : self._filled + room] = view[at : at + room]
            self._filled += room
            at += room
            if self._filled == options.DIRECT_WRITE_NBYTES:
                self._flush(options.DIRECT_WRITE_NBYTES)
        return len(view)

    def tell(self) -> int:
        """Return the bytes that were taken."""
        return self._written + self._filled

    def close(self) -> None:
        """Write what is left, a whole number of blocks, and cut the file to its length."""
        if self.closed:
            return
        try:
            length = self.tell()
            if self._filled:
                self._flush(-(-self._filled // _BLOCK_NBYTES) * _BLOCK_NBYTES)
            os.ftruncate(self._file, length)
        finally:
            super().close()
            os.close(self._file)
            # Not closed: after an error its traceback may still look into it.
            del self._chunk

    def _flush(self, nbytes: int) -> None:
        with memoryview(self._chunk) as whole:
            at = 0
            while at < nbytes:
                at += os.write(self._file, whole[at:nbytes])
        self._written += self._filled
        self._filled = 0


def read_piece(path: str, offset: int, nbytes: int, *, direct: bool) -> pa.Buffer:
    """Read a piece of a file; directly, whole blocks around it and no page of the cache."""
    first, length = offset, nbytes
    if direct:
        first = offset // _BLOCK_NBYTES * _BLOCK_NBYTES
        length = -(-(offset + nbytes - first) // _BLOCK_NBYTES) * _BLOCK_NBYTES
    memory = np.empty(length + _BLOCK_NBYTES, np.uint8)
    aligned = -memory.ctypes.data % _BLOCK_NBYTES
    target = memory[aligned : aligned + length]
    file = open_directly(path, os.O_RDONLY) if direct else os.open(path, os.O_RDONLY)
    try:
        found = os.preadv(file, [target.data], first)
    finally:
        os.close(file)
    start = offset - first
    return pa.py_buffer(target[start : max(start, min(start + nbytes, found))])


def open_directly(path: str, flags: int) -> int:
    """Open a file past the page cache, or through it where the file system knows no other way."""
    try:
        return os.open(path, flags | getattr(os, "O_DIRECT", 0), 0o600)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return os.open(path, flags, 0o600)  # tmpfs, and some network file systems


def page_cache_is_full() -> bool:
    """Return whether pages that this process writes would push others out, which have to reach the disk first.

    In a memory group the cache counts as the group's; elsewhere it has what the
    machine has free.
    """
    group = _group()
    if group is not None:
        return group.used_nbytes() > options.PAGE_CACHE_FRACTION * group.limit_nbytes
    memory = psutil.virtual_memory()
    return bool(memory.available < (1 - options.PAGE_CACHE_FRACTION) * memory.total)


@functools.cache
def _group() -> MemoryGroup | None:
    return memory_group()
