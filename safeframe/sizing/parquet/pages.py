"""What a reader that streams a parquet file holds: a page and a dictionary of each column.

Covers: bytes of pages from their heads, of the largest columns of the largest row group.

A footer has the bytes of a column of a row group, and not those of its pages. A page's head begins with three numbers
in Thrift's compact form: its kind, its bytes before and after compression.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

import dask
import pyarrow as pa
import pyarrow.parquet as pq
from dask.delayed import delayed

from safeframe import options
from safeframe._dask.parquet_tasks import FileRows, TablePart


def reader_nbytes(handle: Any, footer: pq.FileMetaData, groups: Sequence[int], columns: Iterable[str]) -> int:
    """Bound the bytes that streaming columns of a file takes, besides the rows.

    Parameters
    ----------
    handle
        The open file.
    footer
        Its footer.
    groups
        The row groups that are read.
    columns
        The columns that are read.
    """
    if not len(groups):
        return 0
    largest = footer.row_group(max(groups, key=lambda number: footer.row_group(number).total_byte_size))
    wanted = set(columns)
    chunks = [
        chunk
        for chunk in (largest.column(leaf) for leaf in range(largest.num_columns))
        if chunk.path_in_schema in wanted or chunk.path_in_schema.split(".", 1)[0] in wanted
    ]
    chunks.sort(key=lambda chunk: -chunk.total_uncompressed_size)
    buffer = (
        options.PARQUET_SMALL_BUFFER_NBYTES
        if footer.num_columns > options.PARQUET_BUFFERED_COLUMNS
        else options.PARQUET_BUFFER_NBYTES
    )
    total, page, dictionary = 0, 0, 0
    for number, chunk in enumerate(chunks):
        whole = chunk.total_uncompressed_size
        if number < options.READER_COLUMNS:
            new_page, new_dictionary = _pages(handle, chunk)
            page, dictionary = max(page, new_page), max(dictionary, new_dictionary)
        else:
            # Smaller columns than those that were looked at have no larger pages, but for what their writer was told.
            new_page, new_dictionary = page, dictionary
        held = options.PAGE_COPIES * new_page + options.DICTIONARY_COPIES * new_dictionary
        total += int(min(held, (options.PAGE_COPIES + options.DICTIONARY_COPIES) * whole))
        total += min(buffer, chunk.total_compressed_size)
    return total


def _pages(handle: Any, chunk: pq.ColumnChunkMetaData) -> tuple[int, int]:
    """Return the bytes of a column's first page of data, and of its dictionary, as they are in memory."""
    first = _page_nbytes(handle, chunk.data_page_offset)
    if chunk.has_dictionary_page and chunk.dictionary_page_offset:
        return first, _page_nbytes(handle, chunk.dictionary_page_offset)
    return first, 0


def _page_nbytes(handle: Any, offset: int) -> int:
    """Return the bytes of the page that begins at an offset, before compression."""
    handle.seek(offset)
    head = handle.read(32)
    # Field 1 of type i32, then field 2: each one byte ahead of its number.
    at = 1
    _, at = _number(head, at)
    uncompressed, at = _number(head, at + 1)
    compressed, _ = _number(head, at + 1)
    return max(uncompressed, compressed)


def _number(head: bytes, at: int) -> tuple[int, int]:
    """Read a zigzag varint; return it and where the next byte is."""
    value, shift = 0, 0
    while True:
        byte = head[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at


def files_nbytes(files: Sequence[TablePart]) -> int:
    """Bound what streaming one of a source's files takes, besides the rows, from a few of them."""
    if not files:
        return 0
    step = max(1, len(files) // options.READER_FILES)
    look = delayed(_file_nbytes, pure=False)
    found: Sequence[int] = dask.compute(
        *(look(_Hidden(file)) for file in files[::step][: options.READER_FILES])
    )
    return max(found)


class _Hidden:
    """A part that dask does not look into."""

    __slots__ = ("part",)

    def __init__(self, part: TablePart) -> None:
        self.part = part

    def __getstate__(self) -> Any:
        return self.part

    def __setstate__(self, state: Any) -> None:
        self.part = state


def _file_nbytes(hidden: _Hidden) -> int:
    part = hidden.part
    wanted: list[FileRows] = []

    def asked(rows: FileRows) -> pa.Table:
        wanted.append(rows)
        raise _AskedError

    with contextlib.suppress(_AskedError):
        part.frame(asked)
    with part.open() as handle:
        file = pq.ParquetFile(handle)
        groups = part.row_groups()
        columns = {*wanted[0].columns, *wanted[0].filtered_by}
        return reader_nbytes(
            handle, file.metadata, range(file.metadata.num_row_groups) if groups is None else groups, columns
        )


class _AskedError(Exception):
    """What is wanted of the file is known."""
