"""Reads row groups of many columns a few columns at a time, as batches of all of them.

A column that is streamed holds a page and a dictionary: of 200 columns, more than a small worker has. Columns are decoded
set after set into files without names, each in batches of the same rows, and are read back side by side.

Covers: which columns are read at once; the files, which nothing is left of when the reader is done with or ends.
Does not cover: how many rows a slice has (``sizing.parquet.stream``), what pages take (``sizing.parquet.pages``).
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import pyarrow as pa
import pyarrow.parquet as pq
from distributed import get_worker

from safeframe import options
from safeframe.sizing.directory import inspect_directory
from safeframe.sizing.parquet.batch_rows import BatchRows, batch_rows
from safeframe.sizing.parquet.pages import column_nbytes, column_sets
from safeframe.sizing.staging_url import is_remote


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How files are streamed."""

    by_columns: bool | None = None
    """Whether a few columns are read at a time; None for where all of them would take much."""
    first_rows: bool = False
    """Whether only the first few rows of each row group are of interest."""
    directory: str | None = None
    """Where columns wait for others; None for the worker's own directory."""
    as_categories: frozenset[str] = frozenset()
    """Columns of text that may come as categories, where files keep them in small dictionaries: each value is decoded once."""


def planned_reading(
    directory: str | None, *, by_columns: bool, as_categories: frozenset[str] = frozenset()
) -> Reading:
    """Read as a plan has counted it, on the disk whose room it has looked at, unless that is an object store."""
    return Reading(
        by_columns=by_columns,
        directory=None if directory is None or is_remote(directory) else directory,
        as_categories=as_categories,
    )


ANY_WAY = Reading()
"""As files themselves suggest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnReader:
    """An open file, of which columns are read."""

    handle: Any
    """What is read from."""
    file: pq.ParquetFile
    columns: list[str]
    with_index: bool
    """Whether pandas' index columns come along."""

    def sets(self, groups: Sequence[int], reading: Reading) -> list[list[str]]:
        """Choose which columns are read at once."""
        if reading.by_columns is False or not len(groups):
            return [self.columns]
        if reading.by_columns is None and len(self.columns) <= options.PARQUET_BUFFERED_COLUMNS:
            return [self.columns]
        nbytes = column_nbytes(self.handle, self.file.metadata, groups, self.columns)
        if reading.by_columns is None and sum(nbytes.values()) <= options.READER_NBYTES:
            return [self.columns]
        return column_sets(nbytes, self.columns)

    def batches(
        self, groups: Sequence[int], rows: int, columns: list[str] | None = None, *, first: bool = True
    ) -> Iterator[pa.RecordBatch]:
        """Decode all columns, or some, so many rows at a time; the index comes along with the first of them."""
        return self.file.iter_batches(  # type: ignore[no-any-return]
            batch_size=rows,
            row_groups=list(groups),
            columns=self.columns if columns is None else columns,
            use_threads=False,
            use_pandas_metadata=self.with_index and first,
        )

    def batch_rows(self, group: int, nbytes: int, rows: int) -> BatchRows:
        """Bound the rows of a row group that are decoded at a time; see :func:`~safeframe.sizing.parquet.batch_rows.batch_rows`."""
        return batch_rows(self.handle, self.file, group, self._schema, nbytes, rows)

    @property
    def _schema(self) -> pa.Schema:
        return self.file.read_row_groups([], columns=self.columns, use_pandas_metadata=self.with_index).schema

    def joined_batches(
        self, group: int, sets: Sequence[list[str]], batch_nbytes: int, reading: Reading
    ) -> Iterator[pa.RecordBatch]:
        """Decode a row group one set of columns after the other, and return batches of about so many bytes.

        Notes
        -----
        Memory: pages and dictionaries of one set of columns, and a batch. Disk: the row group, decoded.
        """
        schema = self._schema
        bound = self.batch_rows(group, batch_nbytes, options.SLICE_MOST_ROWS)
        made = [self._of_set(group, number, some) for number, some in enumerate(sets)]
        looked = [next(make(min(options.SLICE_FIRST_ROWS, bound.most))) for make in made]
        if reading.first_rows:
            yield _side_by_side(looked, schema)
            return
        row_nbytes = sum(batch.nbytes for batch in looked) / max(1, len(looked[0]))
        del looked
        rows = max(1, min(int(batch_nbytes / max(1.0, row_nbytes)), bound.after(row_nbytes)))
        directory = reading.directory
        if directory is None or not Path(directory).is_dir():
            directory = scratch_directory()
        with contextlib.ExitStack() as open_files:
            streams = [_stored(make(rows), directory, open_files) for make in made]
            for batches in zip(*streams, strict=True):
                yield _side_by_side(batches, schema)
                del batches

    def _of_set(
        self, group: int, number: int, columns: list[str]
    ) -> Callable[[int], Iterator[pa.RecordBatch]]:
        return lambda rows: self.batches([group], rows, columns, first=number == 0)


def _stored(
    batches: Iterator[pa.RecordBatch], directory: str, open_files: contextlib.ExitStack
) -> pa.RecordBatchStreamReader:
    """Write batches to a file that has no name any more, and return what reads them."""
    handle, path = tempfile.mkstemp(prefix="columns-", dir=directory)
    os.close(handle)
    try:
        raw = open_files.enter_context(pa.OSFile(path, "rb"))
        sink = pa.BufferedOutputStream(pa.OSFile(path, "wb"), options.STAGE_WRITE_NBYTES)
    finally:
        Path(path).unlink()
    with sink:
        writer: pa.RecordBatchStreamWriter | None = None
        for batch in batches:
            if writer is None:
                writer = pa.ipc.new_stream(sink, batch.schema)
            writer.write_batch(batch)
            del batch
        if writer is not None:
            writer.close()
    return pa.ipc.open_stream(raw)


def _side_by_side(batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    """Join batches of the same rows, of columns in the order of a schema."""
    found = {name: batch.column(at) for batch in batches for at, name in enumerate(batch.schema.names)}
    return pa.RecordBatch.from_arrays([found[name] for name in schema.names], schema=schema)


def scratch_directory() -> str:
    """Return a directory for files that are gone with what they are for: the worker's own, or a temporary one on a disk."""
    with contextlib.suppress(ValueError):
        return str(get_worker().local_directory)
    temporary = dask.config.get("temporary-directory", None) or tempfile.gettempdir()
    other = "/var/tmp"
    if inspect_directory(temporary).in_memory and os.access(other, os.W_OK):
        return temporary if inspect_directory(other).in_memory else other
    return str(temporary)
