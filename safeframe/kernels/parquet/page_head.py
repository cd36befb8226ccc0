"""The head of a parquet page: what kind it is, its bytes and its values.

A footer has the bytes of a column of a row group, and not those of its pages; each page has a head of its own in
Thrift's compact form, and the next page begins where it ends.

Covers: heads of pages of data, of both versions, and of dictionaries.
Does not cover: what is in a page (pyarrow decodes it).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from safeframe.kernels.parquet.thrift import DamagedBytesError, EndOfBytesError, read_fields

_KIND, _UNCOMPRESSED, _COMPRESSED, _DATA, _DICTIONARY, _DATA_V2 = 1, 2, 3, 5, 7, 8
_VALUES = 1
_ENCODING = {_DATA: 2, _DICTIONARY: 2, _DATA_V2: 4}

PLAIN, PLAIN_DICTIONARY, DELTA_LENGTHS, RLE_DICTIONARY = 0, 2, 6, 8
"""Encodings of values."""


@dataclass(frozen=True, slots=True)
class PageHead:
    """A page, by its head."""

    nbytes: int
    """Bytes before compression, or after it where these are more."""
    values: int
    """Values, nulls among them; entries of a dictionary."""
    encoding: int
    """How they are encoded."""
    is_data: bool
    """Whether it is a page of values, and no dictionary and no index."""
    length: int
    """Bytes of head and page in the file."""

    @property
    def is_numbered(self) -> bool:
        """Whether its values are numbers of a dictionary."""
        return self.encoding in (PLAIN_DICTIONARY, RLE_DICTIONARY)


def read_page_head(buffer: bytes) -> PageHead | None:
    r"""Parse the head that a buffer begins with; None where the buffer ends before it does.

    Raises
    ------
    DamagedBytesError
        When it begins with no head of a page.

    Examples
    --------
    >>> head = bytes.fromhex("1500152c151c2c15040000") + bytes(2)
    >>> read_page_head(head)
    PageHead(nbytes=22, values=2, encoding=0, is_data=True, length=25)
    >>> read_page_head(head[:5]) is None
    True
    """
    try:
        fields, at = read_fields(buffer, 0)
    except EndOfBytesError:
        return None
    kind = next((kind for kind in _ENCODING if kind in fields), None)
    inner = {} if kind is None else fields[kind]
    uncompressed, compressed = fields.get(_UNCOMPRESSED, -1), fields.get(_COMPRESSED, -1)
    values, encoding = (
        (inner.get(_VALUES, 0), inner.get(_ENCODING[kind], PLAIN))
        if kind is not None and isinstance(inner, dict)
        else (0, PLAIN)
    )
    if not all(map(_is_size, (uncompressed, compressed, values, encoding))):
        msg = "bytes where a page begins are no head of one"
        raise DamagedBytesError(msg)
    return PageHead(
        nbytes=max(uncompressed, compressed),
        values=values,
        encoding=encoding,
        is_data=kind in (_DATA, _DATA_V2),
        length=at + compressed,
    )


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and value >= 0
