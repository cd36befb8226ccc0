"""What the tasks of ``to_parquet`` do: write one file, and take them all to their place.

Covers: a partition as a file in row groups, the check of rows, the commit.
Does not cover: the graph (``parquet_nodes``), encodings (``kernels.parquet_encoding``).
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from safeframe.engine.atomic_swap import PLAN_NAME, exchange_directories
from safeframe.errors import (
    RowConservationError,
    SchemaMismatchError,
    StagingError,
    StagingFullError,
    UnsupportedError,
)
from safeframe.kernels.columns import as_promised, floats_to_arrow
from safeframe.kernels.parquet_encoding import Compression, writer_options
from safeframe.planning.parquet import row_group_rows
from safeframe.sizing.disk import free_nbytes
from safeframe.units import format_nbytes

__all__ = [
    "INDEX_LABEL",
    "ParquetTarget",
    "WrittenFile",
    "arrow_table",
    "commit",
    "conversion_error",
    "put_file",
    "write_file",
]

INDEX_LABEL = "__null_dask_index__"
"""dask's name for an index that has none."""

_WIDTH_ROWS = 1024


@dataclass(frozen=True)
class ParquetTarget:
    """What every task of one write knows."""

    target: str
    """The dataset: a local directory, or a prefix of an object store."""
    directory: str
    """Where files are written: beside the target, or the target itself where remote."""
    protocol: str
    """``"file"``, or what fsspec calls the store."""
    storage_options: tuple[tuple[str, Any], ...]
    """Arguments for fsspec's file system."""
    schema: pa.Schema
    """Of all files."""
    dtypes: tuple[tuple[Any, Any], ...]
    """Columns and types that the frame promises."""
    write_index: bool
    compression: Compression
    overwrite: bool
    group_rows: int | None
    """Rows of a row group; None to take them from ``group_nbytes``."""
    group_nbytes: int
    """Bytes in memory of a row group."""
    as_rows: bool = False
    """Whether rows are made even where they need not be."""
    resume: bool = False
    """Whether files of an earlier run are taken over, and kept for a later one should this one fail."""
    rows: int | None = None
    """Rows of all files, where they are known to the row before any is written."""

    @property
    def is_local(self) -> bool:
        """Whether files are written beside the target and swapped."""
        return self.protocol == "file"

    def file_system(self) -> Any:
        """Give fsspec's file system of the target."""
        return fsspec.filesystem(self.protocol, **dict(self.storage_options))


@dataclass(frozen=True)
class WrittenFile:
    """One file: a few bytes that go to the commit."""

    name: str
    rows: int


def write_file(frame: pd.DataFrame, target: ParquetTarget, number: int) -> WrittenFile:
    """Write one partition.

    Raises
    ------
    SchemaMismatchError
        When its columns are not those that the frame promises.
    UnsupportedError
        When parquet has no type for its values.
    StagingError, StagingFullError
        When the file cannot be written.

    Notes
    -----
    Memory: the partition, and one row group in Arrow and encoded.
    """
    frame = _promised(frame, target)

    def write(sink: Any) -> int:
        _write(frame, target, sink)
        return len(frame)

    return put_file(target, f"part.{number}.parquet", write, int(frame.memory_usage().sum()))


def put_file(target: ParquetTarget, name: str, write: Callable[[Any], int], nbytes: int) -> WrittenFile:
    """Write a file under a name of its own until it is complete.

    Parameters
    ----------
    target
        The dataset.
    name
        The file's name.
    write
        Writes to an open file, and tells how many rows.
    nbytes
        Bytes in memory of what is written, for messages.

    Raises
    ------
    StagingError, StagingFullError
        When the file cannot be written.
    """
    path = f"{target.directory}/{name}"
    if not target.is_local:
        with target.file_system().open(path, "wb") as sink:
            return WrittenFile(name, write(sink))
    # A task that runs twice, on two workers, never gives a file of both.
    partial = Path(f"{target.directory}/.{name}.{uuid.uuid4().hex[:8]}")
    try:
        with partial.open("wb") as sink:
            rows = write(sink)
        partial.rename(path)
    except OSError as error:
        raise _disk_error(error, nbytes, target) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    return WrittenFile(name, rows)


def commit(target: ParquetTarget, inode: int, files: Sequence[WrittenFile]) -> None:
    """Check the rows of all files, and take them to their place.

    Parameters
    ----------
    inode
        Of the directory that was written: should this task run twice, the
        second time finds it in its place.

    Raises
    ------
    RowConservationError
        When a file has other rows than were written to it, or is not there.
    """
    if not target.is_local:
        fs = target.file_system()
        _check_rows(target, files, fs)
        return
    place = Path(target.target)
    if place.exists() and place.stat().st_ino == inode:
        return
    _check_rows(target, files, None)
    directory = Path(target.directory)
    (directory / PLAN_NAME).unlink(missing_ok=True)
    exchange_directories(directory, place, overwrite=target.overwrite)
    shutil.rmtree(directory, ignore_errors=True)


def _check_rows(target: ParquetTarget, files: Sequence[WrittenFile], fs: Any) -> None:
    for file in files:
        path = f"{target.directory}/{file.name}"
        try:
            rows = pq.read_metadata(path, filesystem=fs).num_rows
        except FileNotFoundError:
            rows = 0 if file.rows else -1
        if rows != file.rows:
            msg = f"{file.name} has {max(rows, 0):,} rows, and {file.rows:,} were written to it."
            hint = "The target is as it was. Run it again; should it happen again, please report it."
            raise RowConservationError(msg, hint=hint, rows=rows, expected=file.rows)
    total = sum(file.rows for file in files)
    if target.rows is not None and total != target.rows:
        msg = f"The files have {total:,} rows, and the keys call for {target.rows:,}."
        hint = "The target is as it was. Did an input change since the merge was made? Make it anew."
        raise RowConservationError(msg, hint=hint, rows=total, expected=target.rows)
    if len({file.name for file in files}) != len(files):
        msg = f"{len(files)} partitions were written to fewer files."
        raise RowConservationError(msg, hint="The target is as it was. Run it again.")


def _write(frame: pd.DataFrame, target: ParquetTarget, sink: Any) -> None:
    group_rows = target.group_rows or row_group_rows(target.group_nbytes, _row_nbytes(frame))
    first = arrow_table(frame.iloc[:group_rows], target)
    options = writer_options(first, rows=len(first), compression=target.compression)
    with pq.ParquetWriter(sink, first.schema, **options) as writer:
        writer.write_table(first, row_group_size=max(len(first), 1))
        del first
        for start in range(group_rows, len(frame), group_rows):
            table = arrow_table(frame.iloc[start : start + group_rows], target)
            writer.write_table(table, row_group_size=len(table))


def _row_nbytes(frame: pd.DataFrame) -> float:
    head = frame.iloc[: len(frame) : max(1, len(frame) // _WIDTH_ROWS)]
    return float(head.memory_usage(deep=True).sum()) / max(len(head), 1)


def arrow_table(frame: pd.DataFrame, target: ParquetTarget) -> pa.Table:
    """Convert rows to the schema of all files, with what pandas has to know to read them back."""
    floats = {
        name: values
        for name in frame.columns
        if (values := _plain_floats(frame[name], target.schema)) is not None
    }
    try:
        if not floats:
            return _table(frame, target.schema, target)
        others = [name for name in frame.columns if name not in floats]
        rest = _table(
            frame[others], pa.schema([field for field in target.schema if field.name not in floats]), target
        )
        # What pandas has to know is of all columns, and of types alone.
        schema = _table(frame.iloc[:0], target.schema, target).schema
        arrays = [
            floats_to_arrow(floats[name]) if name in floats else rest.column(name) for name in schema.names
        ]
        return pa.Table.from_arrays(arrays, schema=schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        raise conversion_error(error, target) from error


def _table(frame: pd.DataFrame, schema: pa.Schema, target: ParquetTarget) -> pa.Table:
    return pa.Table.from_pandas(frame, schema=schema, preserve_index=target.write_index, nthreads=1)


def _plain_floats(series: pd.Series[Any], schema: pa.Schema) -> npt.NDArray[Any] | None:
    """Give the values of a column of floats that Arrow takes as they are; None for any other column."""
    if series.dtype not in (np.float32, np.float64) or series.name not in schema.names:
        return None
    values = series.to_numpy()
    as_they_are = values.flags.c_contiguous and schema.field(series.name).type == pa.from_numpy_dtype(
        values.dtype
    )
    return values if as_they_are else None


def conversion_error(error: Exception, target: ParquetTarget) -> UnsupportedError | SchemaMismatchError:
    """Say that values do not have the types that the frame promises."""
    msg = f"A partition cannot be written as the frame's types promise: {error}."
    hint = "Cast the column to one type first, as with ddf.astype({'name': str}), or drop it."
    mixed = any(pd.api.types.is_object_dtype(dtype) for _, dtype in target.dtypes)
    return (UnsupportedError if mixed else SchemaMismatchError)(msg, hint=hint)


def _promised(frame: pd.DataFrame, target: ParquetTarget) -> pd.DataFrame:
    """The partition with the frame's columns, types and index name."""
    names = [name for name, _ in target.dtypes]
    if list(frame.columns) != names:
        if sorted(map(str, frame.columns)) != sorted(map(str, names)):
            msg = f"A partition has the columns {list(frame.columns)}, and the frame promises {names}."
            raise SchemaMismatchError(msg, hint="Make the partitions agree first, or give the right meta=.")
        frame = frame[names]
    changed = {name: as_promised(frame[name], dtype) for name, dtype in target.dtypes}
    changed = {name: series for name, series in changed.items() if series.dtype != frame[name].dtype}
    frame = frame.assign(**changed) if changed else frame
    if target.write_index and frame.index.name is None:
        frame = frame.copy(deep=False)
        frame.index = frame.index.rename(INDEX_LABEL)
    return frame


def _disk_error(error: OSError, nbytes: int, target: ParquetTarget) -> StagingError:
    if isinstance(error, StagingError):
        return error
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = free_nbytes(target.directory)
        msg = (
            f"The disk of {target.target!r} is full: {format_nbytes(nbytes)} in memory were "
            f"to be written and {format_nbytes(free)} are free."
        )
        hint = "Free some disk, or write to a path on another one. The target is as it was."
        return StagingFullError(msg, hint=hint, needed_nbytes=nbytes, free_nbytes=free)
    msg = f"{target.target!r} cannot be written: {error.strerror or error}."
    hint = "Name a path that you and every worker may write. The target is as it was."
    return StagingError(msg, hint=hint, directory=target.target)
