"""What a parquet footer says of the bytes of values, which pyarrow does not tell.

Covers: rows of each row group; values, nulls and bytes of each column chunk, before they were encoded where
the writer says so; whether a chunk's pages have nothing but numbers of its dictionary.

Writers of recent Arrow note how many bytes the strings of a chunk have once they are decoded
(``SizeStatistics.unencoded_byte_array_data_bytes`` of ``parquet.thrift``). The bytes of encoded pages bound
nothing: a dictionary has each string once.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

from safeframe.kernels.parquet.page_head import PLAIN_DICTIONARY, RLE_DICTIONARY
from safeframe.kernels.parquet.thrift import DamagedBytesError, read_struct

_ROW_GROUPS = 4
_COLUMNS, _GROUP_ROWS = 1, 3
_META_DATA = 3
_PATH, _VALUES, _UNCOMPRESSED, _STATISTICS, _SIZE_STATISTICS = 3, 5, 6, 12, 16
_PAGES = 13
_NULLS = 3
_UNENCODED = 1
_PAGE_KIND, _PAGE_ENCODING = 1, 2
_DATA_PAGES = (0, 3)


@dataclass(frozen=True, slots=True)
class ChunkSize:
    """The values of a column of a row group."""

    values: int
    """How many there are, nulls and empty lists among them."""
    nulls: int | None
    """How many of them are null; None where the footer does not say."""
    decoded_nbytes: int | None
    """Bytes of its strings, decoded, without their lengths; None where the footer does not say."""
    encoded_nbytes: int
    """Bytes of its pages before compression; with a dictionary these are any number of times fewer."""
    numbered: bool = False
    """Whether all its pages of values have numbers of a dictionary; False where the footer does not say."""


@dataclass(frozen=True, slots=True)
class GroupSize:
    """A row group."""

    rows: int
    columns: dict[str, ChunkSize]
    """Its chunks, by their path: the column, and of nested values what is inside, joined with dots."""


def group_sizes(footer: bytes, columns: Container[str] | None = None) -> list[GroupSize]:
    """Parse a footer.

    Parameters
    ----------
    footer
        The footer alone, without its length and the magic bytes behind it.
    columns
        Names of the columns that are of interest; None for all.

    Raises
    ------
    DamagedBytesError
        When it is no footer.
    """
    fields = read_struct(footer)
    try:
        return [
            GroupSize(
                _count(group[_GROUP_ROWS]),
                dict(
                    found
                    for column in group[_COLUMNS]
                    if (found := _chunk(column.get(_META_DATA), columns)) is not None
                ),
            )
            for group in fields.get(_ROW_GROUPS, ())
        ]
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        # A value that is missing, or is another thing than parquet has there.
        msg = f"the footer is not one of a parquet file: {error!r}"
        raise DamagedBytesError(msg) from error


def _chunk(meta: dict[int, Any] | None, columns: Container[str] | None) -> tuple[str, ChunkSize] | None:
    if meta is None:  # an encrypted column
        return None
    path = [part.decode() for part in meta[_PATH]]
    if columns is not None and path[0] not in columns:
        return None
    statistics, sizes = meta.get(_STATISTICS, {}), meta.get(_SIZE_STATISTICS, {})
    return ".".join(path), ChunkSize(
        _count(meta[_VALUES]),
        None if _NULLS not in statistics else _count(statistics[_NULLS]),
        None if _UNENCODED not in sizes else _count(sizes[_UNENCODED]),
        _count(meta[_UNCOMPRESSED]),
        _is_numbered(meta.get(_PAGES, ())),
    )


def _is_numbered(pages: Sequence[dict[int, Any]]) -> bool:
    """Whether of the kinds of pages that a chunk has all those of values are numbers of a dictionary."""
    encodings = [page.get(_PAGE_ENCODING) for page in pages if page.get(_PAGE_KIND) in _DATA_PAGES]
    return bool(encodings) and all(one in (PLAIN_DICTIONARY, RLE_DICTIONARY) for one in encodings)


def _count(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        msg = f"{value!r} counts nothing"
        raise DamagedBytesError(msg)
    return value
