"""A parquet file whose rows are never made: blocks of values as dictionaries, and codes that say where each stands.

A row group is given as pages, and a page as positions: of left rows that
repeat, of right rows that come round, and of keys. Every column of a side has
the same positions, so that their codes are encoded and compressed once; and
those of the right side are the same from group to group.

Covers: pages, column chunks, statistics, the footer (its schema is pyarrow's own).

Source of the format: https://parquet.apache.org/docs/file-format/, and
``parquet.thrift`` there; data pages are of version 1.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from safeframe import options
from safeframe.kernels.order import Positions
from safeframe.kernels.parquet.page import constant_steps, plain_bits, repeated_page, tiled_page
from safeframe.kernels.parquet.row_groups import Page
from safeframe.kernels.parquet.thrift import (
    BINARY,
    I32,
    I64,
    LIST,
    STRUCT,
    Field,
    binary,
    integer,
    list_of,
    split_struct,
    struct,
)
from safeframe.kernels.parquet.values import PhysicalColumn

_CODECS = {"none": 0, "snappy": 1, "gzip": 2, "brotli": 4, "zstd": 6, "lz4": 7}
_PLAIN, _RLE, _DELTA, _DICTIONARY = 0, 3, 5, 8


@dataclass(frozen=True, slots=True, eq=False)
class ColumnSource:
    """Where a column of the file comes from."""

    name: str
    side: str
    """``"left"``, ``"right"`` or ``"key"``; or ``"rows"`` for one that counts the file's rows."""
    values: PhysicalColumn | None
    """The side's block; None for a count of rows."""
    codec: str


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A page as it is in the file."""

    nbytes: int
    """Bytes of the page before compression."""
    data: bytes
    """The page, compressed."""
    n_values: int
    """Rows, or values of a dictionary."""
    nulls: int = 0
    bounds: tuple[bytes, bytes] | None = None
    encoding: int = _DICTIONARY


class GroupedFile:
    """Writes row groups to a file.

    Parameters
    ----------
    sink
        An open file.
    schema
        The file's schema, as pyarrow is to find it.
    columns
        Where each of its columns comes from, in its order.

    Notes
    -----
    Memory: the pages of one row group, encoded, and the footer: some 150 bytes
    for each column of each group.
    """

    def __init__(self, sink: IO[bytes], schema: pa.Schema, columns: Sequence[ColumnSource]) -> None:
        self.n_rows = 0
        self._sink = sink
        self._footer = _footer_of(schema)
        self._groups: list[bytes] = []
        self._kept: OrderedDict[tuple[object, ...], _Encoded] = OrderedDict()
        self._codecs = {codec: _compressor(codec) for codec in {column.codec for column in columns}}
        sink.write(b"PAR1")
        self._at = 4
        self._columns = columns

    @property
    def nbytes(self) -> int:
        """Bytes written so far, and of the footer as it is by now."""
        return self._at + sum(map(len, self._groups))

    def write_group(self, pages: Sequence[Page]) -> None:
        """Write a row group."""
        n_rows = sum(page.n_rows for page in pages)
        ranges = {side: _range(pages, side) for side in ("left", "right", "key")}
        shared: dict[tuple[object, ...], _Encoded] = {}
        chunks, out = [], []
        at, total, decoded = self._at, 0, 0
        for number, column in enumerate(self._columns):
            encoded = self._pages(number, column, pages, ranges, shared)
            pieces = [_with_header(page, is_dictionary=i == 0) for i, page in enumerate(encoded) if page]
            parts = [page for page in encoded if page]
            heads = [len(piece) for piece in pieces]
            nbytes = sum(head + page.nbytes for head, page in zip(heads, parts, strict=True))
            stored = sum(head + len(page.data) for head, page in zip(heads, parts, strict=True))
            first = encoded[0]
            decoded += _decoded_nbytes(column, first, n_rows)
            data_at = at if first is None else at + heads[0] + len(first.data)
            chunks.append(_chunk(column, encoded, n_rows, nbytes, stored, data_at, at))
            for piece, page in zip(pieces, parts, strict=True):
                out += [piece, page.data]
            at += stored
            total += nbytes
        self._sink.write(b"".join(out))
        self._groups.append(
            struct(
                [
                    (1, LIST, list_of(STRUCT, chunks)),
                    # By this readers decide how many row groups they take at once: what
                    # matters to them is what the values take that come out.
                    (2, I64, integer(max(total, decoded))),
                    (3, I64, integer(n_rows)),
                    (5, I64, integer(self._at)),
                    (6, I64, integer(at - self._at)),
                ]
            )
        )
        self._at = at
        self.n_rows += n_rows

    def close(self) -> None:
        """Write the footer."""
        own = {
            3: (3, I64, integer(self.n_rows)),
            4: (4, LIST, list_of(STRUCT, self._groups)),
        }
        fields: list[Field] = [own.get(field[0], field) for field in self._footer]
        footer = struct(fields)
        self._sink.write(footer + len(footer).to_bytes(4, "little") + b"PAR1")

    def _pages(
        self,
        number: int,
        column: ColumnSource,
        pages: Sequence[Page],
        ranges: dict[str, slice | Positions],
        shared: dict[tuple[object, ...], _Encoded],
    ) -> list[_Encoded | None]:
        """Encode a column's pages: its dictionary, or None without one, and its data."""
        compress = self._codecs[column.codec]
        values = column.values
        if values is None:
            first = self.n_rows
            counted = []
            for page in pages:
                body = constant_steps(first, page.n_rows)
                counted.append(_Encoded(len(body), compress(body), page.n_rows, encoding=_DELTA))
                first += page.n_rows
            return [None, *counted]
        rows = ranges[column.side]
        if values.is_boolean:
            return [None, *(_bit_page(values, page, column.side, compress) for page in pages)]
        if isinstance(rows, slice):
            kept = (number, rows.start, rows.stop) if column.side == "right" else None
            dictionary = self._once(kept, lambda: _dictionary(values, rows, compress), self._kept)
        else:
            dictionary = _dictionary(values, rows, compress)
        lookup = values.lookup(rows)
        encoded: list[_Encoded | None] = [dictionary]
        for at, page in enumerate(pages):
            made: Callable[[], _Encoded] = _page_maker(
                column, page, rows, lookup, dictionary.n_values, compress
            )
            key: tuple[object, ...] = (column.codec, column.side, at, -1 if lookup is None else number)
            cache: dict[tuple[object, ...], _Encoded] = shared
            if column.side == "right" and page.pattern is not None and isinstance(rows, slice):
                start, length = page.pattern
                of = (number, rows.start, rows.stop) if lookup is not None else dictionary.n_values
                key = ("pattern", column.codec, start - rows.start, length, page.times, of)
                cache = self._kept
            encoded.append(self._once(key, made, cache))
        return encoded

    def _once(
        self,
        key: tuple[object, ...] | None,
        make: Callable[[], _Encoded],
        cache: dict[tuple[object, ...], _Encoded],
    ) -> _Encoded:
        if key is None:
            return make()
        found = cache.get(key)
        if found is None:
            found = cache[key] = make()
            if cache is self._kept and len(cache) > options.JOINED_KEPT_PAGES:
                self._kept.popitem(last=False)
        return found


def _range(pages: Sequence[Page], side: str) -> slice | Positions:
    """Return the rows of a block that pages use: from the first to the last, or those of the keys."""
    if side == "key":
        used: Positions = np.unique(np.concatenate([page.keys for page in pages]))
        return used[used >= 0]
    positions = [page.left if side == "left" else page.right for page in pages]
    reached = [found[found >= 0] for found in positions if len(found)]
    reached = [found for found in reached if len(found)]
    if not reached:
        return slice(0, 0)
    return slice(min(int(found.min()) for found in reached), max(int(found.max()) for found in reached) + 1)


def _page_maker(
    column: ColumnSource,
    page: Page,
    rows: slice | Positions,
    lookup: Positions | None,
    n_codes: int,
    compress: Callable[[bytes], bytes],
) -> Callable[[], _Encoded]:
    def make() -> _Encoded:
        positions = {"left": page.left, "right": page.right, "key": page.keys}[column.side]
        if isinstance(rows, slice):
            codes = np.where(positions >= 0, positions - rows.start, -1)
        else:
            codes = np.searchsorted(rows, positions)
        if lookup is not None and len(lookup):  # none of a row group whose rows have no match at all
            codes = np.where(codes >= 0, lookup[np.maximum(codes, 0)], -1)
        if column.side == "right":
            body, nulls = tiled_page(codes, page.times, n_codes=n_codes)
        else:
            repeats = page.repeats if column.side == "left" else page.key_repeats
            body, nulls = repeated_page(codes, repeats, n_codes=n_codes)
        return _Encoded(len(body), compress(body), page.n_rows, nulls)

    return make


def _dictionary(
    values: PhysicalColumn, rows: slice | Positions, compress: Callable[[bytes], bytes]
) -> _Encoded:
    n_values, body, bounds = values.plain(rows)
    return _Encoded(len(body), compress(body), n_values, bounds=bounds, encoding=_PLAIN)


def _bit_page(values: PhysicalColumn, page: Page, side: str, compress: Callable[[bytes], bytes]) -> _Encoded:
    if side == "right":
        rows = np.tile(page.right, page.times)
    else:
        rows = np.repeat(*((page.left, page.repeats) if side == "left" else (page.keys, page.key_repeats)))
    there = rows >= 0
    if values.valid is not None:
        there &= values.valid[np.maximum(rows, 0)]
    bits = np.zeros(len(rows), np.bool_)
    bits[there] = np.asarray(values.values)[rows[there]]
    body, nulls = plain_bits(bits, there)
    return _Encoded(len(body), compress(body), page.n_rows, nulls, encoding=_PLAIN)


def _decoded_nbytes(column: ColumnSource, dictionary: _Encoded | None, n_rows: int) -> int:
    """Return the bytes of a column's rows, each with a value of its own."""
    if column.values is None:
        return 8 * n_rows
    if dictionary is None:
        return n_rows
    return n_rows * dictionary.nbytes // max(dictionary.n_values, 1)


def _with_header(page: _Encoded, *, is_dictionary: bool) -> bytes:
    if is_dictionary:
        own: Field = (7, STRUCT, struct([(1, I32, integer(page.n_values)), (2, I32, integer(_PLAIN))]))
    else:
        coded = [(2, I32, integer(page.encoding)), (3, I32, integer(_RLE)), (4, I32, integer(_RLE))]
        own = (5, STRUCT, struct([(1, I32, integer(page.n_values)), *coded]))
    sizes = [(2, I32, integer(page.nbytes)), (3, I32, integer(len(page.data)))]
    return struct([(1, I32, integer(2 if is_dictionary else 0)), *sizes, own])


def _chunk(
    column: ColumnSource,
    encoded: Sequence[_Encoded | None],
    n_rows: int,
    nbytes: int,
    stored: int,
    data_at: int,
    at: int,
) -> bytes:
    dictionary, pages = encoded[0], [page for page in encoded[1:] if page]
    encodings = sorted({_RLE, *(page.encoding for page in encoded if page)})
    bounds = dictionary.bounds if dictionary is not None else None
    nulls = sum(page.nulls for page in pages)
    statistics: list[Field] = [(3, I64, integer(nulls))]
    if bounds is not None:
        statistics += [(5, BINARY, binary(bounds[1])), (6, BINARY, binary(bounds[0]))]
    fields: list[Field] = [
        (1, I32, integer(2 if column.values is None else column.values.kind)),
        (2, LIST, list_of(I32, [integer(encoding) for encoding in encodings])),
        (3, LIST, list_of(BINARY, [binary(column.name.encode())])),
        (4, I32, integer(_CODECS[column.codec])),
        (5, I64, integer(n_rows)),
        (6, I64, integer(nbytes)),
        (7, I64, integer(stored)),
        (9, I64, integer(data_at)),
    ]
    if dictionary is not None:
        fields.append((11, I64, integer(at)))
    fields.append((12, STRUCT, struct(statistics)))
    return struct([(2, I64, integer(0)), (3, STRUCT, struct(fields))])


def _compressor(codec: str) -> Callable[[bytes], bytes]:
    if codec == "none":
        return bytes
    if codec == "zstd":
        made: Any = pa.Codec("zstd", compression_level=1)
    else:
        made = pa.Codec("lz4_raw" if codec == "lz4" else codec)
    return lambda data: made.compress(data, asbytes=True) if data else b""


def _footer_of(schema: pa.Schema) -> list[Field]:
    """Return the fields of the footer of a file without rows."""
    sink = io.BytesIO()
    pq.write_table(schema.empty_table(), sink)
    file = sink.getvalue()
    length = int.from_bytes(file[-8:-4], "little")
    return split_struct(file[-8 - length : -8])
