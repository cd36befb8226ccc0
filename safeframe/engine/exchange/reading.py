"""Reads stretches of staged files, and says in words when that fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from safeframe.engine.storage.local import store_for
from safeframe.engine.storage.reach import not_there
from safeframe.errors import StagingError
from safeframe.sizing.staging_url import is_remote


def read_buffers(wanted: Sequence[tuple[str, int, int]]) -> Iterator[pa.Buffer]:
    """Read stretches of staged files, each named by its path, offset and bytes, in the order given.

    Raises
    ------
    StagingError
        When one cannot be read.
    """
    if not wanted:
        return
    buffers = store_for(wanted[0][0]).read(wanted)
    for path, _, _ in wanted:
        try:
            buffer = next(buffers)
        except OSError as error:
            raise unreadable(path, error) from error
        yield buffer


def unreadable(path: str, error: OSError | ValueError) -> StagingError:
    """Return the error for a staged file that cannot be read."""
    if not is_remote(path) and (missing := not_there(str(Path(path).parents[1]))):
        return missing
    reason = getattr(error, "strerror", None) or error
    msg = f"The staged file {path} cannot be read: {reason}."
    return StagingError(
        msg, hint="Was the staging directory removed while the recipe ran? Compute the result again."
    )


def damaged(path: str, what: str) -> StagingError:
    """Return the error for bytes of a staged file that are not those that were written."""
    msg = f"The staged file {path} is damaged: {what} is not what was written there."
    return StagingError(msg, hint="Compute the result again; if that fails too, test the disk, or the store.")
