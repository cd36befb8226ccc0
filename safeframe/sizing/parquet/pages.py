"""What a reader that streams a parquet file holds: a page and a dictionary of each column.

Covers: bytes of pages from their heads, of the largest columns; which page is the largest.

A footer has the bytes of a column of a row group, and not those of its pages, which their heads have.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from safeframe import options
from safeframe._dask.parquet_tasks import FileRows, TablePart
from safeframe.facts.frame import FrameSource, Page
from safeframe.progress.tasks import computed, named_tasks
from safeframe.sizing.parquet.damaged import reading_file
from safeframe.sizing.parquet.decoded import largest_group
from safeframe.sizing.parquet.page_heads import first_page_heads, page_heads
from safeframe.sizing.staging_url import without_login


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
    return column_pages(handle, footer, groups, columns)[0]


def column_pages(
    handle: Any, footer: pq.FileMetaData, groups: Sequence[int], columns: Iterable[str], path: str = ""
) -> tuple[dict[str, int], Page | None]:
    """Return what :func:`column_nbytes` does, and the largest page of what is read.

    Notes
    -----
    All pages of the largest columns of a file on a disk are looked at; of other files the first of the largest row group.
    """
    nbytes = dict.fromkeys(columns, 0)
    if not len(groups):
        return nbytes, None
    by_size = sorted(groups, key=lambda number: -footer.row_group(number).total_byte_size)
    largest = footer.row_group(by_size[0])
    leaves = [largest.column(leaf) for leaf in range(largest.num_columns)]
    chunks = [
        (name, leaf, chunk)
        for leaf, chunk in enumerate(leaves)
        for name in dict.fromkeys((chunk.path_in_schema, chunk.path_in_schema.split(".", 1)[0]))
        if name in nbytes
    ]
    chunks.sort(key=lambda found: -found[2].total_uncompressed_size)
    buffer = (
        options.PARQUET_SMALL_BUFFER_NBYTES
        if footer.num_columns > options.PARQUET_BUFFERED_COLUMNS
        else options.PARQUET_BUFFER_NBYTES
    )
    page, dictionary, largest_page = 0, 0, None
    for number, (name, leaf, chunk) in enumerate(chunks):
        whole = chunk.total_uncompressed_size
        if number < options.READER_COLUMNS:
            looked = _pages(handle, footer, by_size, leaf)
            new_page, new_dictionary, group = looked.nbytes, looked.dictionary_nbytes, looked.group
            whole = max(whole, new_page + new_dictionary)
            if largest_page is None or new_page > largest_page.nbytes:
                largest_page = Page(path=path, row_group=group, column=name, nbytes=new_page)
            page, dictionary = max(page, new_page), max(dictionary, new_dictionary)
        else:
            # Smaller columns than those that were looked at have no larger pages, but for what their writer was told.
            new_page, new_dictionary = page, dictionary
        held = options.PAGE_COPIES * new_page + options.DICTIONARY_COPIES * new_dictionary
        nbytes[name] += int(min(held, (options.PAGE_COPIES + options.DICTIONARY_COPIES) * whole))
        nbytes[name] += min(buffer, chunk.total_compressed_size)
    return nbytes, largest_page


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


@dataclass(frozen=True, slots=True)
class _Pages:
    """The largest of some pages, as they are in memory."""

    nbytes: int
    group: int
    dictionary_nbytes: int


def _pages(handle: Any, footer: pq.FileMetaData, groups: Sequence[int], leaf: int) -> _Pages:
    """Look at the pages of a column in some row groups."""
    found = []
    for group in groups:
        chunk = footer.row_group(group).column(leaf)
        heads = page_heads(handle, chunk)
        known = heads is not None
        heads = first_page_heads(handle, chunk) if heads is None else heads
        data = max((head.nbytes for head in heads if head.is_data), default=0)
        found.append(_Pages(data, group, max((head.nbytes for head in heads if not head.is_data), default=0)))
        if not known:
            break
    largest = max(found, key=lambda one: one.nbytes)
    return replace(largest, dictionary_nbytes=max(one.dictionary_nbytes for one in found))


def with_pages(source: FrameSource, files: Sequence[TablePart]) -> FrameSource:
    """Return what makes a frame, with a bound of what streaming one of its files takes besides the rows, from a few of them."""
    if not files:
        return source
    step = max(1, len(files) // options.READER_FILES)
    some = ((_Hidden(file),) for file in files[::step][: options.READER_FILES])
    looks = named_tasks("read-pages", _file_source, some)
    found: Sequence[FrameSource] = computed("reading a few files", looks, late=True)
    pages = [one.largest_page for one in found if one.largest_page is not None]
    return replace(
        source,
        reader_nbytes=max(one.reader_nbytes for one in found),
        few_columns_nbytes=max(one.few_columns_nbytes for one in found),
        largest_page=max(pages, key=lambda page: page.nbytes, default=None),
        group_rows=max(one.group_rows for one in found),
        group_nbytes=max(one.group_nbytes for one in found),
    )


class _Hidden:
    """A part that dask does not look into."""

    __slots__ = ("part",)

    def __init__(self, part: TablePart) -> None:
        self.part = part


def wanted_of(part: TablePart) -> FileRows:
    """Return what is read of a file, without reading it."""
    wanted: list[FileRows] = []

    def asked(rows: FileRows) -> pa.Table:
        wanted.append(rows)
        raise _AskedError

    with contextlib.suppress(_AskedError):
        part.frame(asked)
    return wanted[0]


def _file_source(hidden: _Hidden) -> FrameSource:
    part = hidden.part
    wanted = wanted_of(part)
    with reading_file(part.path), part.open() as handle:
        file = pq.ParquetFile(handle)
        groups = part.row_groups()
        names = [*wanted.columns, *sorted(wanted.filtered_by)]
        columns = [name for name in dict.fromkeys(names) if name in file.schema_arrow.names]
        groups = range(file.metadata.num_row_groups) if groups is None else groups
        nbytes, page = column_pages(handle, file.metadata, groups, columns, without_login(part.path))
        few = (sum(nbytes[name] for name in some) for some in column_sets(nbytes, columns))
        kinds = [(name, file.schema_arrow.field(name).type) for name in columns]
        group_rows, group_nbytes = largest_group(handle, part.path, groups, kinds)
        return FrameSource(
            reader_nbytes=sum(nbytes.values()),
            few_columns_nbytes=max(few, default=0),
            largest_page=page,
            group_rows=group_rows,
            group_nbytes=group_nbytes,
        )


class _AskedError(Exception):
    """What is wanted of the file is known."""
