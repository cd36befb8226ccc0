"""Says of a parquet file that cannot be read which one it is, and why.

Covers: what pyarrow, and the readers of footers and of page heads here, make of bytes that are no parquet file's.
Does not cover: disks and stores that fail, whose errors stay those of the system.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from safeframe._dask.parquet_tasks import paths_read
from safeframe.errors import ValidationError
from safeframe.kernels.parquet.thrift import DamagedBytesError
from safeframe.sizing.staging_url import without_login

_OF_STORES = ("AWS Error", "google::cloud", "Azure")
"""In what Arrow's own file systems say of a store, as an ``OSError`` without a number, too."""

_DASKS_READER = "dask/dataframe/io/parquet"
_READERS = ("_parquet.pyx", "_dataset.pyx", "pyarrow/parquet/core.py")


@contextmanager
def reading_file(path: str) -> Iterator[None]:
    """Name the file whose bytes make no sense.

    Raises
    ------
    ValidationError
        When what runs within fails for the file's bytes.
    """
    try:
        yield
    except (pa.ArrowInvalid, DamagedBytesError, OSError) as error:
        if not _is_of_bytes(error):
            raise
        raise _unreadable([path], error) from error


@contextmanager
def reading_of(task: Any) -> Iterator[None]:
    """As :func:`reading_file`, where dask's own task reads the files, and does with them what else it is told.

    Raises
    ------
    ValidationError
        When pyarrow's reader fails for the bytes of a file; what users' functions raise stays as it is.
    """
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        paths = sorted(set(paths_read(task))) if _is_of_bytes(error) and _is_of_reader(error) else []
        if not paths:
            raise
        raise _unreadable(paths, error) from error


def _is_of_bytes(error: Exception) -> bool:
    # Arrow has no other type for bytes that end too early, or cannot be decompressed.
    return not isinstance(error, OSError) or (
        type(error) is OSError and error.errno is None and not any(s in str(error) for s in _OF_STORES)
    )


def _is_of_reader(error: Exception) -> bool:
    # Of dask's own reader: a user's function may read, or write, parquet files as well.
    files = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]
    return any(_DASKS_READER in file for file in files) and any(file.endswith(_READERS) for file in files)


def _unreadable(paths: Sequence[str], error: Exception) -> ValidationError:
    reason = str(error).strip().rstrip(".")
    name = without_login(paths[0])
    which = (
        f"The parquet file {name}" if len(paths) == 1 else f"One of {len(paths)} parquet files from {name} on"
    )
    msg = f"{which} cannot be read: {reason}."
    return ValidationError(
        msg, hint="It may be damaged, or not be a parquet file. Write it again, or leave it out."
    )
