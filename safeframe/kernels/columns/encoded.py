"""A column of Arrow's as plain buffers, in the form that takes the fewest bytes.

Rows that pass through files are gathered once, cut into pieces, written and
joined again. For most types that needs nothing of Arrow but its buffers: values
of one width (integers, times and decimals as narrow as their values allow, and
strings that are all of one length), strings as their lengths and bytes, strings
of few distinct values as numbers of them. Any other type goes as Arrow writes
it.

Covers: columns to buffers in an order, and slices of one column in one encoding.
Does not cover: buffers to columns (``decoded``); pandas (``values``); files (``engine.exchange``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from safeframe import options
from safeframe.kernels.columns.arrow_buffers import Bytes, fixed_words, has_bytes, large_kind, string_offsets
from safeframe.kernels.order import Positions

Flags = npt.NDArray[np.bool_]
Way = Literal["values", "strings", "numbered", "arrow"]

_SIGNED = (np.int8, np.int16, np.int32)
_UNSIGNED = (np.uint8, np.uint16, np.uint32)
_NO_BYTES = np.empty(0, np.uint8)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a column was written."""

    kind: pa.DataType
    """Its type in Arrow."""
    way: Way
    dtype: np.dtype[Any]
    """Of what is written for each row: a value, a string's length, the number of a string."""

    @property
    def n_buffers(self) -> int:
        """Buffers of a piece: which rows have a value, what is written for each row, and strings' bytes."""
        return {"values": 2, "numbered": 2, "strings": 3, "arrow": 1}[self.way]


@dataclass(slots=True)
class EncodedColumn:
    """Rows of a column."""

    encoding: Encoding
    there: Flags | None
    """Which rows have a value; None where all have."""
    values: npt.NDArray[Any]
    """What is written for each row."""
    data: Bytes | None = None
    """The bytes of strings, one after the other."""
    ends: Positions | None = None
    """Where each string begins among them, and where the last one ends."""
    distinct: pa.Array | None = None
    """The strings that are numbered."""
    array: pa.Array | None = None
    """The rows in Arrow, where they are written as that."""

    @property
    def nbytes(self) -> int:
        """Bytes of what is kept of the rows."""
        arrays = (self.there, self.values, self.data, self.ends, self.array)
        return sum(int(array.nbytes) for array in arrays if array is not None)


def encode(
    array: pa.Array, order: Positions | None = None, *, numbered: bool = False, plain: bool = False
) -> EncodedColumn:
    """Return rows of a column in an order.

    Parameters
    ----------
    array
        The column; a dictionary of strings is a column of strings.
    order
        Numbers of the rows that are wanted, in their order; None for all as they are.
    numbered
        Whether strings are numbered, where they have few distinct values (:func:`has_few_values`).
    plain
        Whether the encoding depends on the type alone, but for the width of integers and lengths.

    Notes
    -----
    Memory: the rows that are returned, and once more as they are narrowed or, strings of several lengths, as Arrow
    gathers them.
    """
    kind = array.type
    if pa.types.is_dictionary(kind):
        found = None if plain else _numbered(array, order)
        return found or encode(array.dictionary_decode(), order, plain=plain)
    if has_bytes(kind):
        found = _numbered(array, order) if numbered else None
        return found or _strings(array, order, plain=plain)
    if not _has_one_width(kind):
        taken = array if order is None else array.take(pa.array(order))
        return EncodedColumn(Encoding(kind, "arrow", np.dtype("V1")), None, _NO_BYTES, array=taken)
    there = _there(array)
    values = _narrowed(_values(array), there, plain=plain)
    if order is not None:
        values = values.take(order)
        there = None if there is None else there.take(order)
    return EncodedColumn(Encoding(kind, "values", values.dtype), there, values)


def has_few_values(array: pa.Array) -> bool:
    """Return whether a sample of a column says that its strings are better numbered.

    Examples
    --------
    >>> [has_few_values(pa.array([f"word {i % n}" for i in range(1000)])) for n in (8, 1000)]
    [True, False]
    """
    if pa.types.is_dictionary(array.type):
        return True
    if not has_bytes(array.type) or len(array) == 0:
        return False
    step = max(1, len(array) // options.ENCODING_SAMPLE)
    sample = array.take(pa.array(np.arange(0, len(array), step)))
    nbytes = pc.sum(pc.binary_length(sample)).as_py() or 0
    if nbytes <= options.NUMBERED_LEAST_NBYTES * len(sample):
        return False
    return bool(len(sample.unique()) * options.NUMBERED_REPEATS <= len(sample))


def alike(columns: Sequence[EncodedColumn]) -> list[EncodedColumn]:
    """Return slices of one column, of one type, in one encoding.

    Examples
    --------
    >>> slices = [encode(pa.array(rows)) for rows in ([1, 2], [300, None])]
    >>> [str(column.encoding.dtype) for column in alike(slices)]
    ['int16', 'int16']
    """
    ways = {column.encoding.way for column in columns}
    dtypes = {column.encoding.dtype for column in columns}
    numbers = all(dtype.kind in "iu" for dtype in dtypes)
    if ways == {"numbered"}:
        return _numbered_alike(columns)
    if len(ways) == 1 and len(dtypes) == 1:
        return list(columns)
    if len(ways) == 1 and numbers:
        widest = np.result_type(*dtypes)
    else:
        columns = [encode(as_arrow(column), plain=True) for column in columns]
        widest = np.result_type(*(column.encoding.dtype for column in columns))
    encoding = Encoding(columns[0].encoding.kind, columns[0].encoding.way, widest)
    for column in columns:
        column.values = column.values.astype(widest, copy=False)
        column.encoding = encoding
    return list(columns)


def as_arrow(column: EncodedColumn) -> pa.Array:
    """Return a column in Arrow again."""
    from safeframe.kernels.columns.decoded import join

    if column.array is not None:
        return column.array
    n = len(column.values)
    buffers = [np.concatenate([_NO_BYTES, *parts]) for parts in buffers_of([column], [(0, 0, n)])]
    # The offsets of one slice reach: it was one array before.
    return join(column.encoding, [buffers], [n], [column.distinct])[0]


def buffers_of(columns: Sequence[EncodedColumn], runs: Sequence[tuple[int, int, int]]) -> list[list[Bytes]]:
    """Return the buffers of rows of slices in one encoding, each in parts that follow one another.

    Parameters
    ----------
    columns
        The slices.
    runs
        The number of a slice, and rows ``[first, after)`` of it.
    """
    way = columns[0].encoding.way
    if way == "arrow":
        arrays = [columns[number].array.slice(first, after - first) for number, first, after in runs]  # type: ignore[union-attr]
        batch = pa.RecordBatch.from_arrays([pa.concat_arrays(arrays)], ["0"])
        return [[np.frombuffer(batch.serialize(), np.uint8)]]
    found = [_flags(columns, runs)]
    found.append([columns[number].values[first:after].view(np.uint8) for number, first, after in runs])
    if way == "strings":
        found.append([_bytes_of(columns[number], first, after) for number, first, after in runs])
    return found


def _bytes_of(column: EncodedColumn, first: int, after: int) -> Bytes:
    assert column.data is not None, "strings have both"
    assert column.ends is not None, "strings have both"
    return column.data[column.ends[first] : column.ends[after]]


def _flags(columns: Sequence[EncodedColumn], runs: Sequence[tuple[int, int, int]]) -> list[Bytes]:
    """Return which rows have a value: nothing where all have."""
    if all(column.there is None for column in columns):
        return []
    parts = []
    every = True
    for number, first, after in runs:
        there = columns[number].there
        part = np.ones(after - first, np.bool_) if there is None else there[first:after]
        every = every and (there is None or bool(part.all()))
        parts.append(part.view(np.uint8))
    return [] if every else parts


def number_dtype(kind: pa.DataType) -> np.dtype[Any] | None:
    """Return the type of values of one width as numpy has them; None for those that are bytes to it."""
    types = pa.types
    width = kind.bit_width // 8
    if types.is_fixed_size_binary(kind) or types.is_interval(kind) or types.is_decimal256(kind):
        return None
    if types.is_unsigned_integer(kind):
        return np.dtype(f"u{width}")
    if types.is_floating(kind):
        return np.dtype(f"f{width}")
    return None if width > 8 else np.dtype(f"i{width}")


def _has_one_width(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_boolean(kind)
        or types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_temporal(kind)
        or types.is_decimal(kind)
        or (types.is_fixed_size_binary(kind) and kind.byte_width > 0)
    )


def _there(array: pa.Array) -> Flags | None:
    if array.null_count == 0:
        return None
    there: Flags = pc.is_valid(array).to_numpy(zero_copy_only=False)
    return there


def _values(array: pa.Array) -> npt.NDArray[Any]:
    """Return values of one width as numbers, or as bytes."""
    kind = array.type
    if pa.types.is_boolean(kind):
        known = array.fill_null(pa.scalar(value=False)) if array.null_count else array
        flags: npt.NDArray[Any] = known.cast(pa.uint8()).to_numpy()
        return flags
    width = kind.bit_width // 8
    dtype = number_dtype(kind) or np.dtype(f"V{width}")
    values = fixed_words(array, dtype)
    # Its second word says no more than the sign of most decimals.
    return values.view(np.int64).reshape(-1, 2) if pa.types.is_decimal128(kind) else values


def _narrowed(values: npt.NDArray[Any], there: Flags | None, *, plain: bool) -> npt.NDArray[Any]:
    if values.ndim == 2:
        fits = (values[:, 1] == values[:, 0] >> 63) | (False if there is None else ~there)
        if plain or not fits.all():
            return np.ascontiguousarray(values).reshape(-1).view("V16")
        values = values[:, 0]
    if values.dtype.kind in "iu" and values.dtype.itemsize > 1:
        known = values if there is None else values[there]
        least, most = (int(known.min()), int(known.max())) if len(known) else (0, 0)
        for narrow in _UNSIGNED if values.dtype.kind == "u" else _SIGNED:
            info = np.iinfo(narrow)
            if info.bits < values.dtype.itemsize * 8 and info.min <= least and most <= info.max:
                return values.astype(narrow)
    return np.ascontiguousarray(values)


def _strings(array: pa.Array, order: Positions | None, *, plain: bool) -> EncodedColumn:
    kind = array.type
    there = _there(array)
    ends, data = string_offsets(array)
    lengths = np.diff(ends)
    length = int(lengths[0]) if len(lengths) else 0
    if (
        not plain
        and there is None
        and 0 < length <= options.ONE_LENGTH_NBYTES
        and bool((lengths == length).all())
    ):
        # Gathered like numbers, in a fifth of the time.
        values = data[ends[0] : ends[-1]].view(f"V{length}")
        values = values if order is None else values.take(order)
        return EncodedColumn(Encoding(kind, "values", values.dtype), None, values)
    if order is not None:
        ends, data = string_offsets(array.cast(large_kind(kind)).take(pa.array(order)))
        there = None if there is None else there.take(order)
        lengths = np.diff(ends)
    most = int(lengths.max()) if len(lengths) else 0
    dtype = np.dtype(next((width for width in _UNSIGNED if most <= np.iinfo(width).max), np.int64))
    return EncodedColumn(Encoding(kind, "strings", dtype), there, lengths.astype(dtype), data=data, ends=ends)


def _numbered(array: pa.Array, order: Positions | None) -> EncodedColumn | None:
    """Number strings, which may be numbered already; None where they have too many distinct values, or bytes."""
    coded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    distinct = coded.dictionary
    if _too_many(distinct):
        return None
    there = _there(coded.indices)
    numbers = coded.indices.fill_null(0).to_numpy().astype(_number_width(distinct))
    if order is not None:
        numbers = numbers.take(order)
        there = None if there is None else there.take(order)
    return EncodedColumn(
        Encoding(distinct.type, "numbered", numbers.dtype), there, numbers, distinct=distinct
    )


def _numbered_alike(columns: Sequence[EncodedColumn]) -> list[EncodedColumn]:
    """Number the strings of all slices by one list of them."""
    distinct = pa.chunked_array([column.distinct for column in columns]).unique()
    if _too_many(distinct):
        return alike([encode(as_arrow(column), plain=True) for column in columns])
    dtype = _number_width(distinct)
    encoding = Encoding(columns[0].encoding.kind, "numbered", dtype)
    for column in columns:
        # A missing string has the number 0, which there may be no string for.
        numbers = pc.index_in(column.distinct, distinct).to_numpy().astype(dtype)
        numbers = np.append(numbers, dtype.type(0))
        column.values = numbers.take(column.values)
        column.encoding, column.distinct = encoding, distinct
    return list(columns)


def _too_many(distinct: pa.Array) -> bool:
    return bool(len(distinct) > options.NUMBERED_VALUES or distinct.nbytes > options.NUMBERED_NBYTES)


def _number_width(distinct: pa.Array) -> np.dtype[Any]:
    return np.dtype(np.uint8 if len(distinct) <= 2**8 else np.uint16)
