"""What a reader that streams a parquet file holds: a page and a dictionary of each column.

Covers: bytes of pages from their heads, of the largest columns of the largest row group.

A footer has the bytes of a column of a row group, and not those of its pages. A page's head begins with three numbers
in Thrift's compact form: its kind, its bytes before and after compression.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from safeframe import options
from safeframe._dask.parquet_tasks import FileRows, TablePart
from safeframe.kernels.parquet.thrift import read_varint, signed
from safeframe.progress.tasks import computed, named_tasks


def column_nbytes(
    handle: Any, footer: pq.FileMetaData, groups: Sequence[int], columns: Iterable[str]
) -> dict[str, int]:
    """Bound the bytes that streaming each column of a file takes, besides the rows.

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
    nbytes = dict.fromkeys(columns, 0)
    if not len(groups):
        return nbytes
    largest = footer.row_group(max(groups, key=lambda number: footer.row_group(number).total_byte_size))
    leaves = [largest.column(leaf) for leaf in range(largest.num_columns)]
    chunks = [
        (name, chunk)
        for chunk in leaves
        for name in dict.fromkeys((chunk.path_in_schema, chunk.path_in_schema.split(".", 1)[0]))
        if name in nbytes
    ]
    chunks.sort(key=lambda found: -found[1].total_uncompressed_size)
    buffer = (
        options.PARQUET_SMALL_BUFFER_NBYTES
        if footer.num_columns > options.PARQUET_BUFFERED_COLUMNS
        else options.PARQUET_BUFFER_NBYTES
    )
    page, dictionary = 0, 0
    for number, (name, chunk) in enumerate(chunks):
        whole = chunk.total_uncompressed_size
        if number < options.READER_COLUMNS:
            new_page, new_dictionary = _pages(handle, chunk)
            page, dictionary = max(page, new_page), max(dictionary, new_dictionary)
        else:
            # Smaller columns than those that were looked at have no larger pages, but for what their writer was told.
            new_page, new_dictionary = page, dictionary
        held = options.PAGE_COPIES * new_page + options.DICTIONARY_COPIES * new_dictionary
        nbytes[name] += int(min(held, (options.PAGE_COPIES + options.DICTIONARY_COPIES) * whole))
        nbytes[name] += min(buffer, chunk.total_compressed_size)
    return nbytes


def column_sets(nbytes: Mapping[str, int], columns: Sequence[str]) -> list[list[str]]:
    """Divide columns, in order, into sets that take little while they are read, each of one at the least."""
    sets: list[list[str]] = []
    held = 0
    for name in columns:
        if not sets or held + nbytes[name] > options.READER_SET_NBYTES:
            sets.append([])
            held = 0
        sets[-1].append(name)
        held += nbytes[name]
    return sets


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
    _, at = read_varint(head, at)
    uncompressed, at = read_varint(head, at + 1)
    compressed, _ = read_varint(head, at + 1)
    return signed(max(uncompressed, compressed))


def files_nbytes(files: Sequence[TablePart]) -> tuple[int, int]:
    """Bound what streaming one of a source's files takes, besides the rows, from a few of them.

    Returns
    -------
    tuple of int
        Where all of its columns are read at once, and where a few are.
    """
    if not files:
        return 0, 0
    step = max(1, len(files) // options.READER_FILES)
    some = ((_Hidden(file),) for file in files[::step][: options.READER_FILES])
    looks = named_tasks("read-pages", _file_nbytes, some)
    found: Sequence[tuple[int, int]] = computed("reading a few files", looks, late=True)
    return max(at_once for at_once, _ in found), max(few for _, few in found)


class _Hidden:
    """A part that dask does not look into."""

    __slots__ = ("part",)

    def __init__(self, part: TablePart) -> None:
        self.part = part


def _file_nbytes(hidden: _Hidden) -> tuple[int, int]:
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
        names = [*wanted[0].columns, *sorted(wanted[0].filtered_by)]
        columns = [name for name in dict.fromkeys(names) if name in file.schema_arrow.names]
        groups = range(file.metadata.num_row_groups) if groups is None else groups
        nbytes = column_nbytes(handle, file.metadata, groups, columns)
        few = (sum(nbytes[name] for name in some) for some in column_sets(nbytes, columns))
        return sum(nbytes.values()), max(few, default=0)


class _AskedError(Exception):
    """What is wanted of the file is known."""
