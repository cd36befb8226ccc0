"""What the tasks of ``to_parquet`` do: write one file.

Covers: a partition as a file in row groups; one that is not made yet, row group by row group; rows as tables of Arrow,
with what pandas has to know of them.
Does not cover: names and places of files (``written_file``), how columns are encoded (``encodings``).
"""

from __future__ import annotations

import base64
import functools
import itertools
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from safeframe.engine.parquet.encodings import file_options
from safeframe.engine.parquet.target import Dataset, ParquetTarget, index_names
from safeframe.engine.parquet.written_file import WrittenFile, put_file
from safeframe.engine.planned.cells import RowsToMake, rows_nbytes
from safeframe.errors import SchemaMismatchError, UnsupportedError
from safeframe.kernels.columns.categories import is_text
from safeframe.kernels.columns.coded_text import dictionary_of
from safeframe.kernels.columns.values import as_promised, floats_to_arrow
from safeframe.planning.parquet import row_group_rows


def write_file(
    frame: pd.DataFrame, target: ParquetTarget, number: int, coded: frozenset[Any] = frozenset()
) -> WrittenFile:
    """Write one partition; columns of text that are ``coded`` may come as categories.

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
    frame = _promised(frame, target, coded)
    nbytes = rows_nbytes(frame, coded)
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
        return write_file(rows.whole(), target, number, rows.coded)

    def group_rows(width: float) -> int:
        return target.group_rows or row_group_rows(target.group_nbytes, width)

    stretches = rows.stretches(group_rows)
    first = next(stretches)
    if len(first) == rows.n_rows:
        return write_file(first, target, number, rows.coded)
    nbytes = int(rows_nbytes(first) / max(1, len(first)) * (rows.n_rows or len(first)))
    # By iterators that let go of a stretch before they ask for the next one.
    made = itertools.chain(iter([first]), stretches)
    del first

    def write(sink: Any) -> int:
        promised = functools.partial(_promised, target=target, coded=rows.coded)
        written = _write(map(promised, made), target, sink)
        return written if rows.n_rows is None else rows.n_rows

    return put_file(target, target.file_name(number), write, nbytes)


@dataclass(frozen=True, slots=True)
class PickedRows:
    """Some columns of rows that are not made yet."""

    rows: RowsToMake
    columns: list[Any]

    @property
    def n_rows(self) -> int | None:
        """See :class:`RowsToMake`."""
        return self.rows.n_rows

    @property
    def coded(self) -> frozenset[Any]:
        """See :class:`RowsToMake`."""
        return self.rows.coded.intersection(self.columns)

    def whole(self) -> pd.DataFrame:
        """See :class:`RowsToMake`."""
        return self.rows.whole()[self.columns]

    def stretches(self, rows_of: Callable[[float], int]) -> Iterator[pd.DataFrame]:
        """See :class:`RowsToMake`; rows of a stretch follow from the bytes of all columns."""
        for frame in self.rows.stretches(rows_of):
            holder = [frame]
            del frame
            yield holder.pop()[self.columns]


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


def _row_groups(frame: pd.DataFrame, rows: int) -> Iterator[pd.DataFrame]:
    """Cut a partition; an empty one has one row group, too."""
    for start in range(0, max(len(frame), 1), rows):
        yield frame.iloc[start : start + rows]


def _write(row_groups: Iterator[pd.DataFrame], target: ParquetTarget, sink: Any) -> int:
    table, rows = arrow_table(next(row_groups), target), 0
    schema = table.schema
    with _file_writer(sink, table, target) as writer:
        while True:
            writer.write_table(table, row_group_size=max(len(table), 1))
            rows += len(table)
            del table
            frame = next(row_groups, None)
            if frame is None:
                return rows
            table = _as_first(arrow_table(frame, target), schema)
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
    schema = target.schema
    if schema is None:
        return pa.Table.from_pandas(frame, preserve_index=target.write_index, nthreads=1)
    frame = _with_text_categories(frame, schema)
    apart: dict[Any, pa.Array] = {}
    for name in frame.columns:
        if (values := _plain_floats(frame[name], schema)) is not None:
            apart[name] = floats_to_arrow(values)
        elif _is_coded(frame[name].dtype, name, schema):
            apart[name] = dictionary_of(frame[name].array, schema.field(name).type)
    if not apart:
        return _table(frame, schema, target)
    others = [name for name in frame.columns if name not in apart]
    rest = _table(frame[others], pa.schema([field for field in schema if field.name not in apart]), target)
    # What pandas has to know is of all columns, and of types alone.
    known = _table(_without_codes(frame.iloc[:0], target), schema, target).schema
    fields = [field.with_type(apart[field.name].type) if field.name in apart else field for field in known]
    arrays = [apart[name] if name in apart else rest.column(name) for name in known.names]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=known.metadata))


def _is_coded(dtype: Any, name: Any, schema: pa.Schema) -> bool:
    """Whether a column is categories where files have text."""
    return (
        isinstance(dtype, pd.CategoricalDtype) and name in schema.names and is_text(schema.field(name).type)
    )


def _without_codes(empty: pd.DataFrame, target: Dataset) -> pd.DataFrame:
    """Return an empty frame with text where categories are numbers of it."""
    schema = target.schema
    text = {
        name: dtype
        for name, dtype in target.dtypes
        if schema is not None and name in empty.columns and _is_coded(empty.dtypes[name], name, schema)
    }
    return empty.astype(text) if text else empty


def _file_writer(sink: Any, table: pa.Table, target: ParquetTarget) -> pq.ParquetWriter:
    """Open a file for tables of the types of a first one; what readers are told is text where these are numbers of it."""
    schema, given = table.schema, file_options(table.schema, table.columns, target)
    coded = {field.name for field in schema if _is_number_of_text(field, target)}
    if not coded:
        return pq.ParquetWriter(sink, schema, **given)
    assert target.schema is not None, "files of no schema of their own have text"
    # Without a schema, pyarrow leaves out all that it would tell readers.
    writer = pq.ParquetWriter(sink, schema, **{**given, "store_schema": False})
    if given.get("store_schema", True):
        told = pa.schema(
            [target.schema.field(field.name) if field.name in coded else field for field in schema],
            metadata=schema.metadata,
        )
        stored = base64.b64encode(told.serialize().to_pybytes())
        writer.add_key_value_metadata({**(schema.metadata or {}), b"ARROW:schema": stored})
    return writer


def _is_number_of_text(field: pa.Field, target: Dataset) -> bool:
    return (
        pa.types.is_dictionary(field.type)
        and target.schema is not None
        and is_text(target.schema.field(field.name).type)
    )


def _as_first(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with the types of the first one of its file: text may be numbers in one, and not in another."""
    if table.schema.equals(schema):
        return table
    columns = [
        column.dictionary_encode() if pa.types.is_dictionary(kind) and is_text(column.type) else column
        for column, kind in zip(table.columns, schema.types, strict=True)
    ]
    return pa.Table.from_arrays(
        [column.cast(kind) for column, kind in zip(columns, schema.types, strict=True)], schema=schema
    )


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


def _promised(frame: pd.DataFrame, target: Dataset, coded: Collection[Any] = frozenset()) -> pd.DataFrame:
    """Return rows with the frame's columns, types and index name.

    Parameters
    ----------
    frame
        The rows.
    target
        Says what is promised.
    coded
        Columns of text that may be categories, and stay such where files have text.

    Raises
    ------
    SchemaMismatchError
        When they have other columns, or types.
    """
    names = [name for name, _ in target.dtypes]
    if list(frame.columns) != names:
        # dask reads all columns where filters leave no row group, whatever columns= says.
        more = not len(frame) and set(names) <= set(frame.columns)
        if not more and sorted(map(str, frame.columns)) != sorted(map(str, names)):
            msg = f"A partition has the columns {list(frame.columns)}, but its frame has {names}."
            raise SchemaMismatchError(msg, hint="Make the partitions agree first, or pass the right meta=.")
        frame = frame[names]
    changed = {}
    for name, dtype in target.dtypes:
        series, schema = frame[name], target.schema
        if name in coded and schema is not None and _is_coded(series.dtype, name, schema):
            continue
        series = as_promised(series, dtype)
        if series.dtype != frame[name].dtype:
            changed[name] = series
    frame = frame.assign(**changed) if changed else frame
    if target.write_index and None in frame.index.names:
        frame = frame.copy(deep=False)
        frame.index = frame.index.set_names(index_names(frame.index))
    return frame
