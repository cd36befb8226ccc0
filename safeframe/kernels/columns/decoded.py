"""Columns of Arrow's from the plain buffers that they were written as (``encoded``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from safeframe.kernels.columns.arrow_buffers import Bytes, has_bytes, large_kind, string_offsets
from safeframe.kernels.columns.encoded import Encoding, Flags, number_dtype
from safeframe.kernels.order import Positions

Buffers = Sequence[Bytes]
"""Those of one column in a piece."""


def values_of(encoding: Encoding, piece: Buffers) -> npt.NDArray[Any]:
    """Return what is written for each row of a piece."""
    values: npt.NDArray[Any] = piece[1].view(encoding.dtype)
    return values


def join(
    encoding: Encoding, pieces: Sequence[Buffers], rows: Sequence[int], distinct: Sequence[pa.Array | None]
) -> list[pa.Array]:
    """Return pieces of one encoding as arrays, as few as their type allows.

    Parameters
    ----------
    encoding
        How they were written.
    pieces
        The buffers of each; there is at least one.
    rows
        The rows of each.
    distinct
        The strings that are numbered, of each piece.
    """
    kind = encoding.kind
    if encoding.way == "arrow":
        schema = pa.schema([("0", kind)])
        return [pa.ipc.read_record_batch(pa.py_buffer(piece[0]), schema).column(0) for piece in pieces]
    there = _there(pieces, rows)
    if encoding.way == "numbered":
        strings = _by_number(encoding, pieces, distinct, there)
        return [strings] if kind == strings.type else _strings(kind, *string_offsets(strings), there)
    values: npt.NDArray[Any] = np.concatenate([piece[1] for piece in pieces]).view(encoding.dtype)
    if encoding.way == "strings":
        ends = np.zeros(len(values) + 1, np.int64)
        np.cumsum(values, out=ends[1:])
        return _strings(kind, ends, np.concatenate([piece[2] for piece in pieces]), there)
    if has_bytes(kind):
        ends = np.arange(len(values) + 1, dtype=np.int64) * encoding.dtype.itemsize
        return _strings(kind, ends, values.view(np.uint8), there)
    return [_from_buffers(kind, len(values), there, _widened(values, kind))]


def numbered_text(
    encoding: Encoding, pieces: Sequence[Buffers], rows: Sequence[int], distinct: Sequence[pa.Array | None]
) -> pd.Categorical:
    """Return pieces of numbered strings as categories; see :func:`join`."""
    there = _there(pieces, rows)
    every, numbers = _numbers(encoding, pieces, distinct)
    categories = pd.CategoricalDtype(pd.Index(every.to_pandas()))
    codes = numbers if there is None else np.where(there, numbers, np.int32(-1))
    return pd.Categorical.from_codes(codes, dtype=categories, validate=False)


def _by_number(
    encoding: Encoding, pieces: Sequence[Buffers], distinct: Sequence[pa.Array | None], there: Flags | None
) -> pa.Array:
    """Return numbered strings, in the type whose offsets reach."""
    every, numbers = _numbers(encoding, pieces, distinct)
    return every.cast(large_kind(encoding.kind)).take(
        pa.array(numbers, mask=None if there is None else ~there)
    )


def _numbers(
    encoding: Encoding, pieces: Sequence[Buffers], distinct: Sequence[pa.Array | None]
) -> tuple[pa.Array, npt.NDArray[np.int32]]:
    """Return one list of the strings of all pieces, and the number of each row in it; any number where a row has none."""
    lists = {id(strings): strings for strings in distinct}
    every = pa.chunked_array(lists.values()).unique()
    places = {}
    for name, strings in lists.items():
        # Every number is in its list but that of a missing string, where no string is known.
        places[name] = np.append(pc.index_in(strings, every).to_numpy(), np.int32(0))
    numbers = np.concatenate(
        [
            places[id(strings)].take(values_of(encoding, piece))
            for piece, strings in zip(pieces, distinct, strict=True)
        ]
    )
    return every, numbers


def _there(pieces: Sequence[Buffers], rows: Sequence[int]) -> Flags | None:
    if not any(len(piece[0]) for piece in pieces):
        return None
    there = np.ones(sum(rows), np.bool_)
    at = 0
    for piece, n in zip(pieces, rows, strict=True):
        if len(piece[0]):
            there[at : at + n] = piece[0].view(np.bool_)
        at += n
    return there


def _widened(values: npt.NDArray[Any], kind: pa.DataType) -> npt.NDArray[Any]:
    if pa.types.is_boolean(kind):
        return np.packbits(values, bitorder="little")
    if pa.types.is_decimal128(kind) and values.dtype.kind != "V":
        both = np.empty((len(values), 2), np.int64)
        both[:, 0] = values
        np.right_shift(both[:, 0], 63, out=both[:, 1])
        return both
    number = number_dtype(kind)
    return values if number is None else values.astype(number, copy=False)


def _strings(kind: pa.DataType, ends: Positions, data: Bytes, there: Flags | None) -> list[pa.Array]:
    """Return strings, in several arrays where the offsets of one do not reach."""
    if kind == large_kind(kind):
        return [_from_buffers(kind, len(ends) - 1, there, ends, data)]
    arrays: list[pa.Array] = []
    first, n = 0, len(ends) - 1
    while first < n or not arrays:
        after = int(np.searchsorted(ends, ends[first] + 2**31 - 1, side="right")) - 1
        offsets = (ends[first : after + 1] - ends[first]).astype(np.int32)
        known = None if there is None else there[first:after]
        arrays.append(_from_buffers(kind, after - first, known, offsets, data[ends[first] : ends[after]]))
        first = after
    return arrays


def _from_buffers(kind: pa.DataType, n: int, there: Flags | None, *buffers: npt.NDArray[Any]) -> pa.Array:
    validity = None if there is None else pa.py_buffer(np.packbits(there, bitorder="little"))
    plain = [pa.py_buffer(np.ascontiguousarray(buffer).reshape(-1).view(np.uint8)) for buffer in buffers]
    return pa.Array.from_buffers(kind, n, [validity, *plain])
