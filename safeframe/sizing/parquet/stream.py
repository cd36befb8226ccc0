"""Streams parquet files as frames of bounded bytes.

Covers: how many rows are decoded at a time, filters, columns that a file lacks, row numbers that go on.
Does not cover: what a partition is (``_dask.parquet_tasks``), steps after the read (``sizing.partitions.slices``).

Memory: a slice, the rows decoded last, and of the columns that are read at once the pages as ``column_nbytes`` says.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from safeframe import options
from safeframe._dask.parquet_tasks import FileRows, TablePart, TableParts
from safeframe.kernels.columns.arrow_dictionaries import as_categories, is_dictionary
from safeframe.sizing.parquet.column_sets import ANY_WAY, ColumnReader, Reading
from safeframe.sizing.parquet.damaged import reading_file
from safeframe.sizing.parquet.dictionaries import kept_in_dictionaries, text_lengths_of, text_nbytes


def table_frames(parts: TableParts, slice_nbytes: int, reading: Reading = ANY_WAY) -> Iterator[Any]:
    """Return files that are read as one table, as frames of about so many bytes, in order."""
    numbers = _RowNumbers(parts)
    for part in parts.parts:
        with reading_file(part.path), part.open() as handle:
            source = _File(handle, part, reading.as_categories, slice_nbytes)
            tables: Iterator[pa.Table] | None = None

            def next_table(wanted: FileRows) -> pa.Table:
                nonlocal tables
                if tables is None:
                    tables = _tables(source, wanted, slice_nbytes, reading)  # noqa: B023  used up before the next file
                table = next(tables, None)
                if table is None:
                    raise _EndOfFileError
                return numbers.given_to(table, wanted)

            while True:
                try:
                    frame = part.frame(next_table)
                except _EndOfFileError:
                    break
                numbers.go_on(frame)
                yield _with_categories(frame, source.categories)
                del frame


def _with_categories(frame: Any, names: Collection[str]) -> Any:
    """Return a frame, or a series, with pandas' categories in columns that were read as such, whatever types it was asked for."""
    if isinstance(frame, pd.Series):
        return as_categories(frame) if frame.name in names else frame
    changed = {
        name: as_categories(frame[name])
        for name in names
        if name in frame and is_dictionary(frame.dtypes[name])
    }
    return frame.assign(**changed) if changed else frame


def rows_of(parts: Sequence[TablePart]) -> int:
    """Return the rows of the row groups of parts, before any filter."""
    rows = 0
    for part in parts:
        with reading_file(part.path), part.open() as handle:
            rows += _File(handle, part).rows
    return rows


class _EndOfFileError(Exception):
    """There are no more rows."""


class _File:
    """An open file, and the row groups of it that are read."""

    def __init__(
        self, handle: Any, part: TablePart, as_categories: frozenset[str] = frozenset(), slice_nbytes: int = 0
    ) -> None:
        chosen = part.row_groups()
        buffer = options.PARQUET_BUFFER_NBYTES
        file = pq.ParquetFile(handle, pre_buffer=False, buffer_size=buffer)
        self.handle = handle
        self.groups = list(range(file.metadata.num_row_groups) if chosen is None else chosen)
        self.categories = kept_in_dictionaries(file, self.groups, as_categories, slice_nbytes)
        """Columns that come as categories."""
        if file.metadata.num_columns > options.PARQUET_BUFFERED_COLUMNS:
            buffer = options.PARQUET_SMALL_BUFFER_NBYTES
        if buffer != options.PARQUET_BUFFER_NBYTES or self.categories:
            file = pq.ParquetFile(
                handle,
                metadata=file.metadata,
                pre_buffer=False,
                buffer_size=buffer,
                read_dictionary=sorted(self.categories),
            )
        self.file = file

    @property
    def rows(self) -> int:
        """Rows of the row groups that are read."""
        return sum(self.file.metadata.row_group(number).num_rows for number in self.groups)

    def decoded_nbytes(self, rows: pa.Table | pa.RecordBatch) -> int:
        """Return the bytes of rows, those of columns that come as categories as they would be as text, about.

        A dictionary is one for all batches of a row group, and is not counted in each.
        """
        nbytes = 0
        for name, column in zip(rows.schema.names, rows.columns, strict=True):
            if name not in self.categories:
                nbytes += column.nbytes
                continue
            for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
                nbytes += chunk.indices.nbytes + text_nbytes(chunk)
        return nbytes


class _RowNumbers:
    """The index of slices, where that of the whole would be a range.

    pandas writes the range that a frame's index was into the file. It is the index again where a table has as many rows,
    and rows are numbered from 0 where it has others.
    """

    def __init__(self, parts: TableParts) -> None:
        self._parts = parts
        self._at = 0
        self._written: range | None = None
        self._given: pd.RangeIndex | None = None
        self._name: Any = None
        self._begun = False

    def given_to(self, table: pa.Table, wanted: FileRows) -> pa.Table:
        """Return a table whose metadata have the row numbers that it has in the whole."""
        metadata = table.schema.metadata or {}
        told = json.loads(metadata.get(b"pandas", b"{}"))
        index = told.get("index_columns", [])
        self._given = self._name = None
        if len(index) != 1 or not isinstance(index[0], dict) or index[0].get("kind") != "range":
            return table
        if not self._begun:
            written = range(index[0]["start"], index[0]["stop"], index[0]["step"])
            plain = written.start == 0 and written.step == 1
            self._written = None if plain or len(written) != _all_rows(self._parts, wanted) else written
            self._begun = True
        start, step = (0, 1) if self._written is None else (self._written.start, self._written.step)
        first, after = start + self._at * step, start + (self._at + len(table)) * step
        index[0].update(start=first, stop=after, step=step)
        self._given, self._name = pd.RangeIndex(first, after, step), index[0]["name"]
        return table.replace_schema_metadata({**metadata, b"pandas": json.dumps(told).encode()})

    def go_on(self, frame: Any) -> None:
        """Number the rows of a frame on, where they are numbered.

        A column that is the index, and has numbers in order, is a range in pandas 3; it has its own name.
        """
        numbered = isinstance(frame.index, pd.RangeIndex) and frame.index.name == self._name
        if numbered and not frame.index.equals(self._given):
            frame.index = pd.RangeIndex(self._at, self._at + len(frame), name=frame.index.name)
        self._at += len(frame)


def _all_rows(parts: TableParts, wanted: FileRows) -> int:
    """Count the rows that are read of all parts: by their footers, or where some are filtered out by what is looked at."""
    rows = 0
    looked_at = replace(wanted, columns=sorted(wanted.filtered_by), added={})
    for part in parts.parts:
        with reading_file(part.path), part.open() as handle:
            source = _File(handle, part)
            if wanted.filters is None:
                rows += source.rows
            else:
                rows += sum(map(len, _tables(source, looked_at, options.SLICE_NBYTES, ANY_WAY)))
    return rows


def _tables(source: _File, wanted: FileRows, slice_nbytes: int, reading: Reading) -> Iterator[pa.Table]:
    """Gather batches until they have about so many bytes."""
    waiting: list[pa.Table] = []
    waiting_nbytes = 0
    for batch in _batches(source, wanted, max(1, slice_nbytes // options.SLICE_BATCHES), reading):
        table = _conformed(batch, wanted, source.categories)
        if not len(table):
            continue
        nbytes = source.decoded_nbytes(table)
        if waiting and waiting_nbytes + nbytes > slice_nbytes:
            yield _one_table(waiting)
            waiting_nbytes = 0
        if nbytes > slice_nbytes and source.categories:
            yield from _pieces(table, source.categories, slice_nbytes)
            continue
        waiting.append(table)
        waiting_nbytes += nbytes
        del table, batch
    if waiting:
        yield _one_table(waiting)


def _pieces(table: pa.Table, categories: frozenset[str], nbytes: int) -> Iterator[pa.Table]:
    """Cut numbered text that is long: how many rows of it are decoded at once, its numbers alone decide."""
    ends = np.cumsum(text_lengths_of(table, categories))
    start, before = 0, 0
    while start < len(table):
        stop = max(start + 1, int(np.searchsorted(ends, before + nbytes, side="right")))
        yield table.slice(start, stop - start)
        start, before = stop, int(ends[stop - 1])


def _one_table(waiting: list[pa.Table]) -> pa.Table:
    """Join tables, and leave the list empty."""
    table = waiting[0] if len(waiting) == 1 else pa.concat_tables(waiting)
    waiting.clear()
    return table


def _batches(
    source: _File, wanted: FileRows, batch_nbytes: int, reading: Reading
) -> Iterator[pa.RecordBatch]:
    """Decode one row group after the other, so many rows at a time as have about so many bytes.

    How wide rows are is seen on the first few, and how wide they become is known by the heads of pages; a row group is begun
    again, and what was returned of it is skipped, where rows turn out to be much wider or narrower than they were taken for.
    """
    file = source.file
    present = file.schema_arrow.names
    columns = _read_columns(wanted, present) or present[:1]  # to know how many rows there are
    reader = ColumnReader(handle=source.handle, file=file, columns=columns, with_index=wanted.with_index)
    sets = reader.sets(source.groups, reading)
    rows = options.SLICE_FIRST_ROWS
    for group in source.groups:
        if len(sets) > 1 and file.metadata.row_group(group).num_rows:
            yield from reader.joined_batches(group, sets, batch_nbytes, reading)
            continue
        left = file.metadata.row_group(group).num_rows
        bound = reader.batch_rows(group, batch_nbytes, options.SLICE_MOST_ROWS)
        most, rows = bound.most, min(rows, bound.most)
        done = 0
        while left:
            skip, wider = done, None
            for batch in reader.batches([group], rows):
                if skip >= len(batch):
                    skip -= len(batch)
                    continue
                new = batch.slice(skip) if skip else batch
                skip = 0
                width = max(1, source.decoded_nbytes(new)) / len(new)
                if not done:
                    most = bound.after(width)
                done += len(new)
                left -= len(new)
                fitting = max(1, min(int(batch_nbytes / width), most))
                yield new
                del batch, new
                # Not for a few rows more, which would be decoded twice.
                if left > rows and not rows / 2 <= fitting <= rows * 2:
                    wider = fitting
                    break
            if wider is None:
                break
            rows = wider


def _read_columns(wanted: FileRows, present: list[str]) -> list[str]:
    """Return the columns of a file that have to be read."""
    return [
        *(name for name in wanted.columns if name in present),
        *sorted(wanted.filtered_by.intersection(present).difference(wanted.columns)),
    ]


def _conformed(batch: pa.RecordBatch, wanted: FileRows, categories: frozenset[str] = frozenset()) -> pa.Table:
    """Return the rows of a batch that are wanted, with the columns and types that they are to have, but for categories."""
    table = pa.Table.from_batches([batch])
    if wanted.schema is None and not _read_columns(wanted, table.column_names):
        return pa.table({name: values(len(table)) for name, values in wanted.added.items()})
    if wanted.schema is not None:
        needed = [*wanted.columns, *sorted(wanted.filtered_by.difference(wanted.columns))]
        fields = [wanted.schema.field(name) for name in needed if name in wanted.schema.names]
        fields = [
            one.with_type(table.field(one.name).type) if one.name in categories else one for one in fields
        ]
        arrays = [_column(table, one, wanted) for one in fields]
        table = pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=wanted.schema.metadata))
        if wanted.filters is not None:
            table = table.filter(wanted.filters).select([one.name for one in fields[: len(wanted.columns)]])
    for name, values in wanted.added.items():
        if name not in table.column_names:
            table = table.append_column(name, values(len(table)))
    return table


def _column(table: pa.Table, field: pa.Field, wanted: FileRows) -> pa.ChunkedArray | pa.Array:
    if field.name in table.column_names:
        column = table.column(field.name)
        return column if column.type == field.type else column.cast(field.type)
    if field.name not in wanted.constants:
        return pa.nulls(len(table), field.type)
    value = wanted.constants[field.name]
    if pa.types.is_dictionary(field.type):
        return pa.repeat(value.cast(field.type.value_type), len(table)).dictionary_encode().cast(field.type)
    return pa.repeat(value.cast(field.type), len(table))
