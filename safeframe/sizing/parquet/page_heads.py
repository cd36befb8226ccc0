"""Reads the heads of the pages of a column of a row group, one after the other.

Covers: the pages of files on a disk; of others, whose heads are a request each, none.
Does not cover: how heads are written (``kernels.parquet.page_head``), what follows from them (``pages``, ``batch_rows``).
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from safeframe import options
from safeframe.kernels.parquet.page_head import PageHead, read_page_head
from safeframe.kernels.parquet.thrift import DamagedBytesError


def page_head(handle: Any, offset: int) -> PageHead:
    """Read the head of the page that begins at an offset."""
    length = options.PAGE_HEAD_NBYTES
    while True:
        handle.seek(offset)
        buffer = handle.read(length)
        head = read_page_head(buffer)
        if head is not None:
            return head
        if len(buffer) < length or length > options.PAGE_HEAD_MOST_NBYTES:
            msg = f"a page's head at byte {offset} has no end"
            raise DamagedBytesError(msg)
        length *= 8  # statistics of long strings are part of it


def page_heads(handle: Any, chunk: pq.ColumnChunkMetaData) -> list[PageHead] | None:
    """Read the heads of all pages; None where that takes more than it is worth."""
    if not _is_on_disk(handle):
        return None
    at = _start(chunk)
    end = at + chunk.total_compressed_size
    heads: list[PageHead] = []
    while at < end:
        if len(heads) == options.PAGE_HEADS:
            return None
        heads.append(page_head(handle, at))
        at += heads[-1].length
    return heads


def first_page_heads(handle: Any, chunk: pq.ColumnChunkMetaData) -> list[PageHead]:
    """Read the heads of the dictionary, if there is one, and of the first page of data."""
    return [page_head(handle, at) for at in sorted({_start(chunk), chunk.data_page_offset})]


def _start(chunk: pq.ColumnChunkMetaData) -> int:
    """Return where the first page begins; writers that have no dictionary may write 0 for its place."""
    dictionary = chunk.dictionary_page_offset if chunk.has_dictionary_page else None
    return int(dictionary or chunk.data_page_offset)


def _is_on_disk(handle: Any) -> bool:
    if isinstance(handle, pa.OSFile):
        return True  # its number is told by new releases of pyarrow alone
    try:
        handle.fileno()
    except (AttributeError, OSError):
        return False
    return True
