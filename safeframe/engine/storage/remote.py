"""Staged files in an object store, or on any other file system that has a URL.

Covers: ``pyarrow.fs`` for what Arrow knows (``s3``, ``gs``, ``abfs``, ``hdfs``),
``fsspec`` for everything else; many small reads with their latencies overlapped.

Credentials and endpoints are the libraries' own business: the environment, their
configuration files, or the machine's role; options of the file system may stand
in the URL's query.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

import pyarrow as pa
import pyarrow.fs as pafs

from safeframe import options
from safeframe._dask.cluster import inside_worker
from safeframe.errors import StagingError
from safeframe.sizing.staging_url import location_and_path

ByteRange = tuple[str, int, int]

_NOT_REPEATED = "INTERNAL_FAILURE during GetObject"
"""What Arrow says of an answer that it had no room for."""

ARROW_SCHEMES = frozenset({"abfs", "abfss", "file", "gcs", "gs", "hdfs", "s3", "viewfs"})
"""The URLs that Arrow knows, whether or not it was built with their libraries."""


@dataclass(frozen=True, slots=True)
class _Request:
    """Neighbouring pieces of one file, read at once."""

    path: str
    start: int
    end: int
    pieces: tuple[ByteRange, ...]


def remote_store(url: str) -> RemoteStore:
    """Return this process's store for a URL.

    Raises
    ------
    StagingError
        When no installed library knows such URLs, or the store cannot be used.
    """
    return _stores(os.getpid(), location_and_path(url)[0])


@functools.lru_cache(maxsize=64)
def _stores(pid: int, location: str) -> RemoteStore:
    # By process: connections do not survive a fork.
    return RemoteStore(location)


@functools.lru_cache(maxsize=1)
def _pool(pid: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(options.STORE_READ_THREADS, thread_name_prefix="safeframe-store")


class RemoteStore:
    """The store of one file system.

    Parameters
    ----------
    location
        A URL without a path, with the file system's options in its query.
    """

    def __init__(self, location: str) -> None:
        self._fs, self._root, self._foreign = _file_system(location)
        self._opened = functools.lru_cache(options.STORE_OPEN_FILES)(self._fs.open_input_file)
        # Files of this process that a manifest still names, and others of the same run. The lock is
        # reentrant because finalizers, which remove files, run wherever an object goes.
        self._lock = threading.RLock()
        self._named: dict[str, set[str]] = {}

    @contextlib.contextmanager
    def create(self, path: str) -> Iterator[pa.NativeFile]:
        """See :class:`safeframe.engine.storage.local.Store`."""
        key = self._path(path)
        if not inside_worker():  # where the scheduler removes what a worker wrote
            with self._lock:
                self._named.setdefault(_parent(path), set()).add(path)
        sink = None
        try:
            with _as_os_error():
                sink = self._open_sink(key)
            # What the block raises of its own accord passes as it is.
            yield sink
            with _as_os_error():
                sink.close()
        except BaseException:
            # Arrow completes an upload that is dropped; so it is closed first, and then removed.
            if sink is not None:
                with contextlib.suppress(Exception):
                    sink.close()
                with contextlib.suppress(Exception):
                    self._fs.delete_file(key)
            with self._lock:
                self._named.get(_parent(path), set()).discard(path)
            raise

    def read(self, pieces: Sequence[ByteRange]) -> Iterator[pa.Buffer]:
        """See :class:`safeframe.engine.storage.local.Store`.

        Notes
        -----
        Memory: what is requested ahead, ``STORE_READ_AHEAD_NBYTES`` or one
        request if that is larger, in addition to what has been returned.
        """
        requests = deque(_requests(pieces))
        waiting: deque[tuple[_Request, Future[pa.Buffer]]] = deque()
        pool = _pool(os.getpid())
        ahead = 0
        try:
            while requests or waiting:
                while requests:
                    nbytes = requests[0].end - requests[0].start
                    if waiting and ahead + nbytes > options.STORE_READ_AHEAD_NBYTES:
                        break
                    request = requests.popleft()
                    waiting.append((request, pool.submit(self._read, request)))
                    ahead += nbytes
                request, future = waiting.popleft()
                buffer = future.result()
                ahead -= request.end - request.start
                for _, offset, nbytes in request.pieces:
                    yield buffer.slice(offset - request.start, nbytes)
        finally:
            for _, future in waiting:
                future.cancel()

    def finished(self, directory: str, prefix: str) -> list[tuple[str, int]]:
        """See :class:`safeframe.engine.storage.local.Store`; one request for a thousand files of the run."""
        selector = pafs.FileSelector(self._path(directory), allow_not_found=True)
        with _as_os_error():
            there = self._fs.get_file_info(selector)
        return sorted(
            (f"{directory}/{info.base_name}", info.size)
            for info in there
            if info.base_name.startswith(prefix) and info.type == pafs.FileType.File
        )

    def remove_file(self, path: str) -> None:
        """See :class:`safeframe.engine.storage.local.Store`.

        Files of a run go together, with the last that this process wrote of it
        and has not removed: one by one they would take three requests each.
        """
        directory = _parent(path)
        with self._lock:
            named = self._named.get(directory, set())
            named.discard(path)
            if not named:
                # Under the lock, so that a run that starts again waits before it writes.
                self.remove_run(directory)

    def remove_run(self, directory: str) -> None:
        """See :class:`safeframe.engine.storage.local.Store`."""
        with contextlib.suppress(OSError):
            self.delete(directory)

    def delete(self, directory: str) -> None:
        """Remove a directory and all below; one that is gone is no error.

        Raises
        ------
        OSError
            When the store cannot be reached, or does not allow it.
        """
        with self._lock:
            self._named.pop(directory, None)
        with contextlib.suppress(FileNotFoundError), _as_os_error():
            self._fs.delete_dir(self._path(directory))

    def directories(self, directory: str) -> list[str]:
        """Return the names of the directories in a directory.

        Raises
        ------
        OSError
            When the store cannot be reached, or does not allow it.
        """
        selector = pafs.FileSelector(self._path(directory), allow_not_found=True)
        with _as_os_error():
            found = self._fs.get_file_info(selector)
        return [info.base_name for info in found if info.type == pafs.FileType.Directory]

    def content(self, path: str) -> bytes:
        """Read a small file whole.

        Raises
        ------
        OSError
            When it cannot be read.
        """
        with _as_os_error(), self._fs.open_input_stream(self._path(path)) as file:
            found: bytes = file.read()
            return found

    def _read(self, request: _Request) -> pa.Buffer:
        """Read a request, again where the store had an error.

        Arrow repeats most requests itself, but not those of fewer bytes than the
        error's own text has: that does not fit the memory for what was asked for, and
        a store that asks to slow down then looks broken.
        """
        wait = options.STORE_RETRY_SECONDS
        for _ in range(options.STORE_READ_TRIES - 1):
            try:
                return self._read_once(request)
            except OSError as error:
                if _NOT_REPEATED not in str(error):
                    raise
            time.sleep(wait)
            wait *= 2
        return self._read_once(request)

    def _read_once(self, request: _Request) -> pa.Buffer:
        nbytes = request.end - request.start
        with _as_os_error():
            key = self._path(request.path)
            if self._foreign is not None:
                # One request; an opened file of fsspec's reads ahead for itself.
                buffer = pa.py_buffer(self._foreign.cat_file(key, start=request.start, end=request.end))
            else:
                # Without the number it would ask for one part after the other.
                buffer = self._opened(key).get_stream(request.start, nbytes).read_buffer(nbytes)
        if buffer.size != nbytes:
            msg = f"it ends after {request.start + buffer.size} bytes, and {request.end} were written"
            raise OSError(msg)
        return buffer

    def _open_sink(self, key: str) -> pa.NativeFile:
        size = options.STORE_WRITE_BUFFER_NBYTES
        try:
            return self._fs.open_output_stream(key, compression=None, buffer_size=size)
        except FileNotFoundError:
            # A file system with real directories. (In an object store they would be objects.)
            self._fs.create_dir(_parent(key), recursive=True)
            return self._fs.open_output_stream(key, compression=None, buffer_size=size)

    def _path(self, url: str) -> str:
        path = location_and_path(url)[1]
        if self._foreign is None:
            path = unquote(path)
        return f"{self._root.rstrip('/')}/{path}" if self._root else path


def _requests(pieces: Sequence[ByteRange]) -> Iterator[_Request]:
    """Join pieces that follow one another in one file, or nearly."""
    group: list[ByteRange] = []
    start = end = 0
    for path, offset, nbytes in pieces:
        lo, hi = min(start, offset), max(end, offset + nbytes)
        near = (
            offset <= end + options.STORE_GAP_NBYTES and offset + nbytes + options.STORE_GAP_NBYTES >= start
        )
        if group and path == group[0][0] and near and hi - lo <= options.STORE_REQUEST_NBYTES:
            start, end = lo, hi
        else:
            if group:
                yield _Request(group[0][0], start, end, tuple(group))
                group = []
            start, end = offset, offset + nbytes
        group.append((path, offset, nbytes))
    if group:
        yield _Request(group[0][0], start, end, tuple(group))


def _file_system(location: str) -> tuple[pafs.FileSystem, str, Any]:
    """Return Arrow's file system, the path of its root, and fsspec's where Arrow has none of its own."""
    scheme = location.partition("://")[0]
    if scheme in ARROW_SCHEMES:
        try:
            file_system, root = pafs.FileSystem.from_uri(location)
        except pa.ArrowNotImplementedError:
            pass  # Arrow was built without it.
        except (pa.ArrowInvalid, OSError) as error:
            raise _unusable(scheme, error) from error
        else:
            return _sparing(file_system), root, None
    try:
        import fsspec
        import fsspec.core

        head, _, query = location.partition("?")
        foreign, root = fsspec.core.url_to_fs(head, **dict(parse_qsl(query)))
    except (ImportError, ValueError) as error:
        msg = f"No installed library reads and writes {scheme}:// URLs: {error}."
        hint = "Install the fsspec package of that store on the client and every worker (s3fs, gcsfs, adlfs, ...)."
        raise StagingError(msg, hint=hint) from error
    except Exception as error:
        raise _unusable(scheme, error) from error
    return pafs.PyFileSystem(pafs.FSSpecHandler(foreign)), root, foreign


def _sparing(file_system: pafs.FileSystem) -> pafs.FileSystem:
    """Set S3 to hold one part of an upload rather than all of it, and to send small files at once."""
    if file_system.type_name != "s3":
        return file_system
    rebuild, (settings,) = file_system.__reduce__()
    wanted = {"background_writes": False, "allow_delayed_open": True}
    return rebuild({**settings, **{name: value for name, value in wanted.items() if name in settings}})


def _unusable(scheme: str, error: Exception) -> StagingError:
    msg = f"The {scheme}:// URL of the staging directory cannot be used: {error}."
    hint = (
        "Check the URL, its options after the question mark, and the store's own settings in the environment."
    )
    return StagingError(msg, hint=hint)


@contextlib.contextmanager
def _as_os_error() -> Iterator[None]:
    """Let every failure of a store's library be an ``OSError``, which is what users of a store await."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(str(error) or type(error).__name__) from error


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
