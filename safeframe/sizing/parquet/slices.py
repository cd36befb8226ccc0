"""Reads partitions of a parquet source in slices of bounded size.

Covers: frames that come straight from ``dask.dataframe.read_parquet`` (a
projection may have been pushed in, a filter not), one reader for each row group.
Does not cover: sources read through pyarrow's own filesystems, hive partitions,
``_metadata`` files: those are read whole.

A slice is made by dask's own reader, which is handed a record batch in place
of the file, so that its columns, index and dtypes are those that dask gives.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dask.dataframe as dd
import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from safeframe import options
from safeframe._dask.parquet import parquet_source, part_groups, reader_of_tables, source_rows
from safeframe.errors import RowConservationError
from safeframe.facts.keys import Counts
from safeframe.progress.tasks import computed, named_tasks
from safeframe.sizing.columns.fixed_widths import fixed_nbytes
from safeframe.sizing.parquet.column_sets import ANY_WAY, ColumnReader, Reading
from safeframe.units import format_count


@dataclass(frozen=True, kw_only=True, slots=True)
class PartReader:
    """Reads some row groups of a file, a slice at a time."""

    read: Any
    """dask's function that reads a part."""
    part: dict[str, Any]
    """What it is called with."""
    path: str
    row_groups: tuple[int, ...]
    """Which of its row groups."""
    rows: int
    """Rows in them."""
    first: int
    """Rows of the same partition before them."""
    row_nbytes: float
    """Bytes of a row in memory, about."""

    def frames(self, slice_nbytes: int, reading: Reading = ANY_WAY) -> Iterator[pd.DataFrame]:
        """Read slices of about ``slice_nbytes``, in order.

        Notes
        -----
        Memory: a slice in Arrow and in pandas, and the pages that it lies in.
        """
        if self.rows == 0:
            return
        batch_rows = int(np.clip(slice_nbytes / max(1.0, self.row_nbytes), 1, self.rows))
        with self.read.fs.open(self.path, "rb") as handle:
            file = pq.ParquetFile(handle, pre_buffer=False, buffer_size=options.PARQUET_BUFFER_NBYTES)
            self._check(file.metadata)
            batches = _Batches(handle, file, self.row_groups, batch_rows, slice_nbytes, reading)
            reader = reader_of_tables(self.read, batches.next_table)
            at = self.first
            # Files of columns go with the last rows, and not once they are collected.
            with contextlib.closing(batches):
                while at < self.first + self.rows:
                    frame: pd.DataFrame = reader(self.part)
                    if isinstance(frame.index, pd.RangeIndex):
                        # In the whole partition it goes on from slice to slice.
                        frame.index = pd.RangeIndex(at, at + len(frame), name=frame.index.name)
                    at += len(frame)
                    yield frame
                    del frame

    def _check(self, footer: pq.FileMetaData) -> None:
        known = [number for number in self.row_groups if number < footer.num_row_groups]
        found = sum(footer.row_group(number).num_rows for number in known)
        if found != self.rows:
            msg = (
                f"The row groups of {self.path!r} to be read had {format_count(self.rows)} rows when the "
                f"plan was made, and have {format_count(found)} now."
            )
            hint = "The file was written again in between: make the collection again."
            raise RowConservationError(msg, hint=hint, rows_in=found, rows_out=self.rows)


class _Batches:
    """Stands in for a file: each time it is read, the next batch comes."""

    def __init__(
        self,
        handle: Any,
        file: pq.ParquetFile,
        row_groups: tuple[int, ...],
        batch_rows: int,
        batch_nbytes: int,
        reading: Reading,
    ) -> None:
        self._file = handle, file
        self._row_groups = row_groups
        self._size = batch_rows, batch_nbytes
        self._reading = reading
        self._batches: Generator[pa.RecordBatch, None, None] | None = None

    def close(self) -> None:
        """Let go of what is read from."""
        if self._batches is not None:
            self._batches.close()

    def next_table(self, path: Any, fs: Any, row_groups: Any, columns: Any, *_: Any, **__: Any) -> pa.Table:
        """Return the next batch of the columns that are wanted."""
        if self._batches is None:
            handle, file = self._file
            reader = ColumnReader(
                handle=handle,
                file=file,
                columns=[name for name in columns if name is not None],
                with_index=True,
            )
            self._batches = self._of_groups(reader)
        return pa.Table.from_batches([next(self._batches)])

    def _of_groups(self, reader: ColumnReader) -> Generator[pa.RecordBatch, None, None]:
        rows, nbytes = self._size
        sets = reader.sets(self._row_groups, self._reading)
        if len(sets) == 1:
            bounds = (_rows_at_once(reader, group, nbytes, rows) for group in self._row_groups)
            yield from reader.batches(self._row_groups, min(bounds, default=rows))
            return
        for group in self._row_groups:
            if reader.file.metadata.row_group(group).num_rows:
                yield from reader.joined_batches(group, sets, nbytes, self._reading)


def _rows_at_once(reader: ColumnReader, group: int, nbytes: int, rows: int) -> int:
    """Bound the rows of a row group that are decoded at a time, by the first of them where pages do not tell."""
    bound = reader.batch_rows(group, nbytes, rows)
    if not bound.blind or not reader.file.metadata.row_group(group).num_rows:
        return bound.most
    first = next(reader.batches([group], min(options.SLICE_FIRST_ROWS, bound.most)))
    return bound.after(first.nbytes / len(first))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SlicedParquet:
    """A parquet source whose partitions can be read in slices."""

    read: Any
    """dask's function that reads a part."""
    parts: tuple[dict[str, Any], ...]
    """What makes each partition."""
    footers: tuple[tuple[int, ...], ...]
    """Rows of each row group of each partition."""
    groups: tuple[tuple[int, ...], ...]
    """The numbers of those row groups in their file."""
    meta: pd.DataFrame
    """What dask promises of a partition."""
    variable: list[Any]
    """Columns whose values differ in width."""

    @property
    def rows(self) -> Counts:
        """Rows of each partition."""
        return np.array([sum(rows) for rows in self.footers], np.int64)

    def __dask_tokenize__(self) -> tuple[object, ...]:
        return "SlicedParquet", [str(part) for part in self.parts], self.footers, [str(c) for c in self.meta]

    def projected(self, columns: Sequence[Any]) -> SlicedParquet:
        """Leave only some columns."""
        return replace(self, read=self.read.project_columns(list(columns)), meta=self.meta[list(columns)])

    def readers(self) -> list[PartReader]:
        """Return a reader for each partition."""
        return [self._reader(number, slice(None), 0) for number in range(len(self.parts))]

    def split(self, number: int) -> list[PartReader]:
        """Return a reader for each row group of a partition."""
        rows = self.footers[number]
        starts = np.cumsum([0, *rows]).tolist()
        return [self._reader(number, slice(i, i + 1), starts[i]) for i in range(len(rows))]

    def _reader(self, number: int, which: slice, first: int) -> PartReader:
        part = self.parts[number]
        widths = [fixed_nbytes(dtype) for dtype in self.meta.dtypes]
        return PartReader(
            read=self.read,
            part=part,
            path=part["piece"][0],
            row_groups=self.groups[number][which],
            rows=sum(self.footers[number][which]),
            first=first,
            row_nbytes=sum(options.VARIABLE_NBYTES if width is None else width for width in widths),
        )


def sliced_parquet(ddf: dd.DataFrame) -> SlicedParquet | None:
    """Return the parquet source of a frame that is nothing but that, or None."""
    source = parquet_source(ddf)
    if source is None:
        return None
    read, parts = source.read, source.parts
    # A footer is read once for each file; a part without row groups has all of its file.
    paths = sorted({part["piece"][0] for part in parts})
    step = max(1, -(-len(paths) // options.KEY_MIN_TASKS))
    some = ((read.fs, paths[at : at + step]) for at in range(0, len(paths), step))
    found = computed("reading footers", named_tasks("read-footers", _group_rows, some), late=True)
    of_file = dict(zip(paths, [rows for some in found for rows in some], strict=True))
    groups = tuple(
        tuple(range(len(of_file[part["piece"][0]]))) if chosen is None else chosen
        for part in parts
        for chosen in [part_groups(part)]
    )
    return SlicedParquet(
        read=read,
        parts=parts,
        footers=tuple(
            tuple(of_file[part["piece"][0]][number] for number in numbers)
            for part, numbers in zip(parts, groups, strict=True)
        ),
        groups=groups,
        meta=ddf._meta,
        variable=[name for name, dtype in ddf._meta.dtypes.items() if fixed_nbytes(dtype) is None],
    )


def footer_rows(ddf: dd.DataFrame) -> Counts | None:
    """Return the rows of each partition by parquet footers alone, or None where those do not tell."""
    lengths = source_rows(ddf)
    if not lengths or len(lengths) != ddf.npartitions:
        return None
    return np.array(lengths, np.int64)


def _group_rows(fs: fsspec.AbstractFileSystem, paths: Sequence[str]) -> list[tuple[int, ...]]:
    found = []
    for path in paths:
        with fs.open(path, "rb") as handle:
            footer = pq.ParquetFile(handle).metadata
        found.append(tuple(footer.row_group(i).num_rows for i in range(footer.num_row_groups)))
    return found
