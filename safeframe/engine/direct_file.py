"""Writes and reads files past the page cache, where the file system can.

Staged rows that do not fit the memory that the kernel leaves for its page cache
have to reach the disk before they are read. Through the page cache that takes
twice as long as directly, and the pages count as the worker's own
(docs/decisions/0012). Written directly, they take no page of anyone.

Covers: one file, written once from its beginning to its end; pieces of files.
Does not cover: when to go past the cache (``page_cache``).
"""

from __future__ import annotations

import errno
import io
import mmap
import os

import numpy as np
import pyarrow as pa

__all__ = ["DirectFile", "open_directly", "read_piece"]

_CHUNK_NBYTES = 4 * 2**20
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
        self._chunk = mmap.mmap(-1, _CHUNK_NBYTES)
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
            room = min(_CHUNK_NBYTES - self._filled, len(view) - at)
            self._chunk[self._filled : self._filled + room] = view[at : at + room]
            self._filled += room
            at += room
            if self._filled == _CHUNK_NBYTES:
                self._flush(_CHUNK_NBYTES)
        return len(view)

    def tell(self) -> int:
        """Give the bytes that were taken."""
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
