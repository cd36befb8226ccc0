"""dask's tasks that read parquet files: what they read, and how they make a frame of a table.

Covers: tasks of both of dask's readers (fsspec and pyarrow's file systems), of one file or several, with
filters and hive partitions; tables that are made of less than a file in place of it.
Does not cover: which rows are read at a time (``sizing.parquet.stream``).

A task is taken apart only where it is exactly as dask makes it; what it is made of has no public name.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pa_ds
import pyarrow.parquet as pq
from dask.dataframe import methods
from dask.dataframe.dask_expr.io.io import FusedIO, FusedParquetIO
from dask.dataframe.dask_expr.io.parquet import FragmentWrapper, ReadParquet, ReadParquetPyarrowFS

# How dask reads filters that it was given as lists, nulls among what is compared.
from dask.dataframe.io.parquet.arrow import (
    ArrowDatasetEngine,
    _filters_to_expression,
    _need_filtering,
    _process_kwargs,
    _wrapped_fs,
)
from dask.dataframe.io.parquet.core import ParquetFunctionWrapper
from dask.task_spec import List, Task

from safeframe._dask.parquet import filtered_columns, is_one_file, part_groups, reader_of_tables

__all__ = [
    "FileRows",
    "RowGroups",
    "TablePart",
    "TableParts",
    "is_parquet_read",
    "parquet_task_parts",
    "paths_read",
]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FileRows:
    """Which rows of a file are wanted, and what of them."""

    columns: list[str]
    """Columns of the table, in order; those that the file lacks are missing values."""
    schema: pa.Schema | None = None
    """Types that they have; None for those of the file."""
    filters: pc.Expression | None = None
    """Which rows."""
    filtered_by: frozenset[str] = frozenset()
    """The columns that this looks at."""
    constants: dict[str, pa.Scalar] = field(default_factory=dict)
    """Columns that have one value for all rows."""
    added: dict[str, Callable[[int], pa.Array]] = field(default_factory=dict)
    """Columns that come after all others, where they are not among those; made for a number of rows."""
    with_index: bool = True
    """Whether pandas' index columns come along, where the file has any."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TablePart:
    """A file, or some row groups of it, of one of dask's partitions."""

    open: Callable[[], Any]
    """Opens the file, for pyarrow."""
    path: str
    """Where it is, for messages."""
    row_groups: Callable[[], Sequence[int] | None]
    """Which of its row groups; None for all."""
    frame: Callable[[Callable[[FileRows], pa.Table]], pd.DataFrame]
    """Makes dask's frame of a table that a function returns."""


@dataclass(frozen=True, slots=True, eq=False)
class TableParts:
    """Files that are read one after the other as one table: the rows of a frame of them are numbered on."""

    parts: tuple[TablePart, ...]


def is_parquet_read(expr: Any) -> bool:
    """Whether an expression is one of dask's parquet sources, or several partitions of one joined."""
    if isinstance(expr, (FusedIO, FusedParquetIO)):
        return isinstance(expr.operand("_expr"), ReadParquet)
    return isinstance(expr, ReadParquet)


def parquet_task_parts(task: Any) -> list[TableParts] | None:
    """Return what a task of a parquet source reads; None where it is not one that is known.

    Each of the list has row numbers of its own.
    """
    if not isinstance(task, Task):
        return None
    if task.func is methods.concat and len(task.args) == 1 and isinstance(task.args[0], List):
        several = [parquet_task_parts(one) for one in task.args[0].args]
        return None if None in several else [parts for some in several for parts in some or []]
    if task.func is ReadParquetPyarrowFS._table_to_pandas and len(task.args) == 1:
        (inner,) = task.args
        known = isinstance(inner, Task) and inner.func is ReadParquetPyarrowFS._fragment_to_table
        if not known or set(inner.kwargs) != {"fragment_wrapper", "filters", "columns", "schema"}:
            return None
        found = _fragment_part(**inner.kwargs, to_pandas=task.kwargs)
        return None if found is None else [TableParts((found,))]
    if task.func is FusedParquetIO._load_multiple_files:
        fragments, columns, schema = task.args
        parts = [
            _fragment_part(fragment, filters, columns, schema, to_pandas=task.kwargs)
            for fragment, filters in fragments
        ]
        return None if None in parts else [TableParts(tuple(part for part in parts if part is not None))]
    return _engine_parts(task)


def paths_read(task: Any) -> Iterator[str]:
    """List the files that a task reads, with the tasks that are part of it."""
    parts = parquet_task_parts(task)
    if parts is not None:
        yield from (part.path for one in parts for part in one.parts)
        return
    inside: Iterable[Any] = ()
    if isinstance(task, Task):
        inside = (*task.args, *task.kwargs.values())
    elif isinstance(task, dict):
        inside = task.values()
    elif isinstance(task, (list, tuple, List)):
        inside = task.args if isinstance(task, List) else task
    for one in inside:
        yield from paths_read(one)


# pyarrow's file systems ------------------------------------------------------


def _fragment_part(
    fragment_wrapper: Any, filters: Any, columns: list[str], schema: pa.Schema, *, to_pandas: dict[str, Any]
) -> TablePart | None:
    fragment = (
        fragment_wrapper.fragment if isinstance(fragment_wrapper, FragmentWrapper) else fragment_wrapper
    )
    if not _is_plain(fragment.format) or isinstance(filters, pc.Expression):
        return None
    keys = pa_ds.get_partition_keys(fragment.partition_expression)
    # Of categories that folders stand for, a fragment tells its own alone, and a table that is read of it has all.
    if any(name in columns and pa.types.is_dictionary(schema.field(name).type) for name in keys):
        return None
    wanted = FileRows(
        columns=list(columns),
        schema=schema,
        filters=pq.filters_to_expression(filters) if filters else None,
        filtered_by=filtered_columns(filters),
        constants={name: pa.scalar(value) for name, value in keys.items()},
        with_index=False,
    )  # fmt: skip
    wrapped = FragmentWrapper(fragment, filesystem=None)
    return TablePart(
        open=_OpenFragment(wrapped),
        path=fragment.path,
        row_groups=_FragmentGroups(wrapped, filters, schema),
        frame=_FragmentFrame(wanted, to_pandas),
    )


@dataclass(frozen=True, slots=True)
class _OpenFragment:
    wrapped: Any

    def __call__(self) -> Any:
        fragment = self.wrapped.fragment
        if fragment.filesystem.type_name == "local":
            return pa.OSFile(fragment.path, "rb")  # which tells that it lies on a disk
        return fragment.filesystem.open_input_file(fragment.path)


@dataclass(frozen=True, slots=True)
class _FragmentGroups:
    wrapped: Any
    filters: Any
    schema: pa.Schema

    def __call__(self) -> Sequence[int] | None:
        fragment = self.wrapped.fragment
        if self.filters:
            # By the statistics in the footer, as pyarrow does where it reads the whole.
            fragment = fragment.subset(filter=pq.filters_to_expression(self.filters), schema=self.schema)
        return [group.id for group in fragment.row_groups]


@dataclass(frozen=True, slots=True)
class _FragmentFrame:
    wanted: FileRows
    to_pandas: dict[str, Any]

    def __call__(self, table: Callable[[FileRows], pa.Table]) -> pd.DataFrame:
        frame: pd.DataFrame = ReadParquetPyarrowFS._table_to_pandas(table(self.wanted), **self.to_pandas)
        return frame


# fsspec's ------------------------------------------------------------------


def _engine_parts(task: Task) -> list[TableParts] | None:
    if task.func is operator.getitem and len(task.args) == 2 and isinstance(task.args[0], Task):
        inner, column = task.args
        inside = _engine_parts(inner)
        if inside is None:
            return None
        return [
            TableParts(tuple(replace(one, frame=_Taken(one.frame, column))
                             for one in parts.parts))
            for parts in inside
        ]  # fmt: skip
    read = task.func
    if not isinstance(read, ParquetFunctionWrapper) or read.engine is not ArrowDatasetEngine:
        return None
    (part,) = task.args
    pieces = part if isinstance(part, list) else [part]
    if not all(is_one_file(piece) for piece in pieces) or not _known_options(read.common_kwargs):
        return None
    return [TableParts(tuple(_engine_part(read, piece) for piece in pieces))]


def _known_options(options: dict[str, Any]) -> bool:
    """Whether nothing says how files are read but what is dealt with here."""
    partitions, dataset = options.get("partitions") or [], options.get("dataset") or {}
    return (
        isinstance(partitions, list)
        and not isinstance(options.get("filters"), pc.Expression)
        and not any((options.get("read") or {}).values())
        and isinstance(dataset.get("partitioning", "hive"), (str, list))
        and _is_plain(dataset.get("format", _PLAIN))
    )


_PLAIN = pa_ds.ParquetFileFormat()


def _is_plain(file_format: Any) -> bool:
    """Whether files are read as pyarrow does where it is told nothing."""
    return isinstance(file_format, pa_ds.ParquetFileFormat) and bool(
        file_format.read_options.equals(_PLAIN.read_options)
    )


def _engine_part(read: Any, piece: dict[str, Any]) -> TablePart:
    return TablePart(
        open=_OpenPath(read.fs, piece["piece"][0]),
        path=piece["piece"][0],
        row_groups=RowGroups(part_groups(piece)),
        frame=_EngineFrame(read, piece),
    )


@dataclass(frozen=True, slots=True)
class _OpenPath:
    fs: Any
    path: str

    def __call__(self) -> Any:
        return self.fs.open(self.path, "rb")


@dataclass(frozen=True, slots=True)
class RowGroups:
    """Some row groups of a file; None for all."""

    chosen: tuple[int, ...] | None

    def __call__(self) -> Sequence[int] | None:
        return self.chosen


@dataclass(frozen=True, slots=True)
class _Taken:
    """One column of a frame, as a series."""

    make: Callable[[Callable[[FileRows], pa.Table]], pd.DataFrame]
    column: Any

    def __call__(self, table: Callable[[FileRows], pa.Table]) -> Any:
        return self.make(table)[self.column]


@dataclass(frozen=True, slots=True)
class _EngineFrame:
    read: Any
    piece: dict[str, Any]

    def __call__(self, table: Callable[[FileRows], pa.Table]) -> pd.DataFrame:
        def read_table(
            path: str, fs: Any, row_groups: Any, columns: Any, schema: Any, filters: Any, partitions: Any,
            partition_keys: Any, **more: Any,
        ) -> pa.Table:  # fmt: skip
            as_fragment = _need_filtering(filters, partition_keys)
            if partitions and partition_keys is None:
                as_fragment, partition_keys = True, _hive_keys(path, fs, more.get("dataset") or {})
            return table(
                _wanted(
                    columns, schema, filters if as_fragment else None, partitions, partition_keys, as_fragment
                )
            )

        return reader_of_tables(self.read, read_table)(self.piece)


def _hive_keys(path: str, fs: Any, options: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return the values that a file's folders stand for."""
    dataset = pa_ds.dataset(path, filesystem=_wrapped_fs(fs), **_process_kwargs(**options))
    (fragment,) = dataset.get_fragments()
    return list(pa_ds.get_partition_keys(fragment.partition_expression).items())


def _wanted(
    columns: Any, schema: Any, filters: Any, partitions: Any, partition_keys: Any, as_fragment: bool
) -> FileRows:
    """Return what dask's own ``_read_table`` would read: of a fragment of a dataset, or of a file."""
    keys = dict(partition_keys or [])
    added: dict[str, Callable[[int], pa.Array]] = {
        one.name: _Constant(keys.get(one.name), one.keys) for one in partitions or []
    }
    if not as_fragment:
        return FileRows(columns=columns, added=added)
    names = [name for name in columns if name is not None]
    if len(names) < len(columns) and "__index_level_0__" in schema.names:
        names.append("__index_level_0__")
    return FileRows(
        columns=names,
        schema=schema,
        filters=_filters_to_expression(filters) if filters else None,
        filtered_by=filtered_columns(filters),
        constants={name: pa.scalar(value) for name, value in keys.items()},
        added=added,
        with_index=False,
    )


@dataclass(frozen=True, slots=True)
class _Constant:
    """A hive partition's value, as dask makes a column of it."""

    value: Any
    keys: Any

    def __call__(self, n_rows: int) -> pa.Array:
        if not len(self.keys):
            return pa.array(np.full(n_rows, self.value))
        codes = np.full(n_rows, self.keys.get_loc(self.value), dtype="i4")
        return pa.DictionaryArray.from_arrays(codes, pa.array(self.keys))
