"""What the tasks of ``to_parquet`` do: write one file.

Covers: a partition as a file in row groups; one that is not made yet, row group by row group.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import itertools
import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from safeframe._dask.cluster import is_wanted
from safeframe.engine.parquet.encodings import file_options
from safeframe.engine.parquet.target import Dataset, ParquetTarget, index_names
from safeframe.engine.planned.cells import PickedRows, RowsToMake, rows_nbytes
from safeframe.errors import (
    SchemaMismatchError,
    StagingError,
    StagingFullError,
    UnsupportedError,
)
from safeframe.kernels.columns.values import as_promised, floats_to_arrow
from safeframe.planning.parquet import row_group_rows
from safeframe.sizing.directory import free_nbytes
from safeframe.units import format_nbytes


@dataclass(frozen=True)
class WrittenFile:
    """One file: a few bytes that go to the commit."""

    name: str
    rows: int
    inode: int = 0
    """Of a local file: by it the file is known again at its place."""


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
    nbytes = rows_nbytes(frame)
    group_rows = target.group_rows or row_group_rows(target.group_nbytes, nbytes / max(len(frame), 1))
    if target.schema is None and len(frame) > group_rows:
        target = replace(target, schema=_own_schema(frame, target))

    def write(sink: Any) -> int:
        _write(_row_groups(frame, group_rows), target, sink)
        return len(frame)  # which the file is held to

    return put_file(target, target.file_name(number), write, nbytes)


def write_cell(rows: RowsToMake, target: ParquetTarget, number: int) -> WrittenFile:
    """Write an output partition of a recipe, a row group after the other, each made when it is written.

    Raises
    ------
    SchemaMismatchError, UnsupportedError, StagingError, StagingFullError
        See :func:`write_file`.

    Notes
    -----
    Memory: what the rows are made of, and one row group in pandas, in Arrow and encoded.
    """
    if target.schema is None:  # which is then that of all rows
        return write_file(rows.whole(), target, number)

    def group_rows(width: float) -> int:
        return target.group_rows or row_group_rows(target.group_nbytes, width)

    stretches = rows.stretches(group_rows)
    first = next(stretches)
    if len(first) == rows.n_rows:
        return write_file(first, target, number)
    nbytes = int(rows_nbytes(first) / max(1, len(first)) * (rows.n_rows or len(first)))
    # By iterators that let go of a stretch before they ask for the next one.
    made = itertools.chain(iter([first]), stretches)
    del first

    def write(sink: Any) -> int:
        written = _write(map(functools.partial(_promised, target=target), made), target, sink)
        return written if rows.n_rows is None else rows.n_rows

    return put_file(target, target.file_name(number), write, nbytes)


@dataclass(frozen=True, slots=True)
class WriteCell:
    """What writes an output partition, in the task that makes it."""

    rows: Callable[..., RowsToMake]
    """Returns its rows from the arguments of that task."""
    target: ParquetTarget
    number: int
    picked: list[Any] | None
    """Columns that are written; None for all."""

    def __call__(self, *arguments: Any) -> WrittenFile:
        """Write the partition."""
        rows = self.rows(*arguments)
        return write_cell(
            rows if self.picked is None else PickedRows(rows, self.picked), self.target, self.number
        )


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


def _row_groups(frame: pd.DataFrame, rows: int) -> Iterator[pd.DataFrame]:
    """Cut a partition; an empty one has one row group, too."""
    for start in range(0, max(len(frame), 1), rows):
        yield frame.iloc[start : start + rows]


def _write(row_groups: Iterator[pd.DataFrame], target: ParquetTarget, sink: Any) -> int:
    table, rows = arrow_table(next(row_groups), target), 0
    with pq.ParquetWriter(sink, table.schema, **file_options(table.schema, table.columns, target)) as writer:
        while True:
            writer.write_table(table, row_group_size=max(len(table), 1))
            rows += len(table)
            del table
            frame = next(row_groups, None)
            if frame is None:
                return rows
            table = arrow_table(frame, target)
            del frame


def _own_schema(frame: pd.DataFrame, target: Dataset) -> pa.Schema:
    """Return the schema of a partition: what its first row group alone has may be all null."""
    try:
        return pa.Schema.from_pandas(frame, preserve_index=target.write_index).remove_metadata()
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        raise conversion_error(error, target) from error


def arrow_table(frame: pd.DataFrame, target: Dataset) -> pa.Table:
    """Convert rows to the schema of all files, with what pandas has to know to read them back."""
    try:
        table = _arrow_table(frame, target)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        raise conversion_error(error, target) from error
    if not target.custom_metadata:
        return table
    return table.replace_schema_metadata({**(table.schema.metadata or {}), **dict(target.custom_metadata)})


def _arrow_table(frame: pd.DataFrame, target: Dataset) -> pa.Table:
    if target.schema is None:
        return pa.Table.from_pandas(frame, preserve_index=target.write_index, nthreads=1)
    frame = _with_text_categories(frame, target.schema)
    floats = {
        name: values
        for name in frame.columns
        if (values := _plain_floats(frame[name], target.schema)) is not None
    }
    if not floats:
        return _table(frame, target.schema, target)
    others = [name for name in frame.columns if name not in floats]
    rest = _table(
        frame[others], pa.schema([field for field in target.schema if field.name not in floats]), target
    )
    # What pandas has to know is of all columns, and of types alone.
    schema = _table(frame.iloc[:0], target.schema, target).schema
    arrays = [floats_to_arrow(floats[name]) if name in floats else rest.column(name) for name in schema.names]
    return pa.Table.from_arrays(arrays, schema=schema)


def _with_text_categories(frame: pd.DataFrame, schema: pa.Schema) -> pd.DataFrame:
    """Refuse categories that are no strings where they were not known: Arrow would write them as strings.

    Where a partition has none at all, their type means nothing.
    """
    for name, dtype in frame.dtypes.items():
        if not isinstance(dtype, pd.CategoricalDtype) or name not in schema.names:
            continue
        kind, own = schema.field(name).type, dtype.categories
        if (
            pa.types.is_dictionary(kind)
            and (pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type))
            and pd.api.types.infer_dtype(own) != "string"
        ):
            if len(own) == 0:
                text: pd.Index[Any] = pd.Index([""])[:0]
                frame = frame.assign(**{str(name): frame[name].cat.set_categories(text)})
                continue
            msg = f"The categories of column {name!r} are {own.dtype} in one partition, but strings in the files."
            hint = f"Make them known first: ddf[{name!r}] = ddf[{name!r}].cat.as_known()."
            raise SchemaMismatchError(msg, hint=hint)
    return frame


def _table(frame: pd.DataFrame, schema: pa.Schema, target: Dataset) -> pa.Table:
    """Convert rows, columns and labels by themselves.

    pyarrow asks each column for attributes that it has not, for which pandas makes a table of all labels of its index.
    """
    index = frame.index
    levels = list(index.names) if target.write_index else []
    known = all(
        isinstance(name, str) and name in schema.names and name not in frame.columns for name in levels
    )
    if isinstance(index, pd.RangeIndex) or not len(frame) or not known:
        return pa.Table.from_pandas(frame, schema=schema, preserve_index=target.write_index, nthreads=1)
    columns = pa.schema([field for field in schema if field.name not in levels])
    made = pa.Table.from_pandas(
        frame.set_axis(pd.RangeIndex(len(frame))), schema=columns, preserve_index=False, nthreads=1
    )
    if not levels:
        return made
    labels = pa.schema([schema.field(name) for name in levels])
    keys = pa.Table.from_pandas(index.to_frame(index=False), schema=labels, preserve_index=False, nthreads=1)
    # What pandas has to know is of all columns, and of types alone.
    whole = pa.Table.from_pandas(frame.iloc[:0], schema=schema, preserve_index=True, nthreads=1).schema
    return pa.Table.from_arrays(
        [(keys if name in levels else made).column(name) for name in whole.names], schema=whole
    )


def _plain_floats(series: pd.Series[Any], schema: pa.Schema) -> npt.NDArray[Any] | None:
    """Return the values of a column of floats that Arrow takes as they are; None for any other column."""
    if series.dtype not in (np.float32, np.float64) or series.name not in schema.names:
        return None
    values = series.to_numpy()
    as_they_are = values.flags.c_contiguous and schema.field(series.name).type == pa.from_numpy_dtype(
        values.dtype
    )
    return values if as_they_are else None


def conversion_error(error: Exception, target: Dataset) -> UnsupportedError | SchemaMismatchError:
    """Return the error for values that do not have the types that the frame promises."""
    msg = f"A partition cannot be written with the frame's types: {error}."
    hint = "Cast the column to one type first, as with ddf.astype({'name': str}), or drop it."
    mixed = any(pd.api.types.is_object_dtype(dtype) for _, dtype in target.dtypes)
    return (UnsupportedError if mixed else SchemaMismatchError)(msg, hint=hint)


def _promised(frame: pd.DataFrame, target: Dataset) -> pd.DataFrame:
    """The partition with the frame's columns, types and index name."""
    names = [name for name, _ in target.dtypes]
    if list(frame.columns) != names:
        if sorted(map(str, frame.columns)) != sorted(map(str, names)):
            msg = f"A partition has the columns {list(frame.columns)}, but its frame has {names}."
            raise SchemaMismatchError(msg, hint="Make the partitions agree first, or pass the right meta=.")
        frame = frame[names]
    changed = {name: as_promised(frame[name], dtype) for name, dtype in target.dtypes}
    changed = {name: series for name, series in changed.items() if series.dtype != frame[name].dtype}
    frame = frame.assign(**changed) if changed else frame
    if target.write_index and None in frame.index.names:
        frame = frame.copy(deep=False)
        frame.index = frame.index.set_names(index_names(frame.index))
    return frame


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
