"""Where staged files are written and read: a directory, or an object store.

Covers: the few operations that an exchange needs of a store, and the store of
plain directories.
Does not cover: object stores (``remote_store``), how long files stay
(``staging_directory``).
"""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from safeframe.engine.direct_file import DirectFile, read_piece
from safeframe.sizing.staging_url import is_remote

__all__ = ["DIRECT", "STAGED", "LocalStore", "Store", "store_for"]

STAGED = ".staged"
"""How the name of a staged file ends."""

DIRECT = f".direct{STAGED}"
"""How the name of a file ends that is written and read past the page cache."""

_BUFFER_NBYTES = 2**20


class Store(Protocol):
    """What an exchange needs of the place where it stages."""

    def write(self, path: str, write_to: Callable[[pa.NativeFile], None]) -> None:
        """Make a file that is there complete or not at all.

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

    def remove_file(self, path: str) -> None:
        """Remove a file, and its directory once that is empty; one that is gone is no error."""

    def remove_run(self, directory: str) -> None:
        """Remove a run's files; what is gone already is no error."""


def store_for(path: str) -> Store:
    """Give the store that a path or URL is in."""
    if is_remote(path):
        from safeframe.engine.remote_store import remote_store

        return remote_store(path)
    return LocalStore()


class LocalStore:
    """Directories that every worker reaches under the same path."""

    def write(self, path: str, write_to: Callable[[pa.NativeFile], None]) -> None:
        """See :class:`Store`."""
        partial = f"{path}.partial"
        try:
            # Its directory alone: what is above it is private, and is not to come back once it is gone.
            Path(path).parent.mkdir(mode=0o700, exist_ok=True)
            with contextlib.ExitStack() as stack:
                target = stack.enter_context(DirectFile(partial)) if path.endswith(DIRECT) else partial
                # Buffered: a batch of many small columns is otherwise two calls for each.
                sink = pa.output_stream(target, compression=None, buffer_size=_BUFFER_NBYTES)
                write_to(stack.enter_context(sink))
            Path(partial).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(partial).unlink()
            raise

    def read(self, pieces: Sequence[tuple[str, int, int]]) -> Iterator[pa.Buffer]:
        """See :class:`Store`."""
        for path, offset, nbytes in pieces:
            yield read_piece(path, offset, nbytes, direct=path.endswith(DIRECT))

    def remove_file(self, path: str) -> None:
        """See :class:`Store`."""
        with contextlib.suppress(OSError):
            Path(path).unlink(missing_ok=True)
            Path(path).parent.rmdir()

    def remove_run(self, directory: str) -> None:
        """See :class:`Store`."""
        # Renamed first, so that a run that starts anew finds the name free.
        doomed = f"{directory}.{uuid.uuid4().hex[:8]}.gone"
        with contextlib.suppress(OSError):
            Path(directory).rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)
