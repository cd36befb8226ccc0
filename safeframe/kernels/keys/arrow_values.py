"""Key columns as Arrow arrays of a few types, in which equal values are equal.

Strings, bytes, decimals, dates and times of day are hashed, numbered and ordered in this form,
whatever Arrow or pandas stores them in. Values that have no such form stay Python objects.

Covers: which columns have one, two columns in a common one, hashes of it.
Does not cover: numbers, timestamps and durations (``kernels.keys.codes``).
"""

from __future__ import annotations

import decimal
import functools
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from safeframe.facts.keys import Codes
from safeframe.kernels.columns.arrow_buffers import fixed_words
from safeframe.kernels.columns.values import without_index
from safeframe.kernels.keys.bytes_hash import bytes_hashes
from safeframe.kernels.keys.mixing import mix64
from safeframe.kernels.keys.nulls import Nulls

MODULUS = 2**61 - 1
"""Numbers are hashed by their residue, as Python does: equal for equal ones, whatever their type."""

KeyValues: TypeAlias = "pd.Series[Any] | pa.Array | pa.ChunkedArray"
"""The values of a key column."""

BYTES_SALT = np.uint64(0x2545F4914F6CDD1D)
NUMBER_SALT = np.uint64(0xD6E8FEB86659FD93)
DATE_SALT = np.uint64(0xA0761D6478BD642F)
TIME_SALT = np.uint64(0xE7037ED1A0B428DB)

_PRIME = np.uint64(MODULUS)
_HALF = np.uint64(2**31 - 1)
_OBJECTS = frozenset({"string", "bytes", "decimal", "date", "empty"})
"""What ``pandas.api.types.infer_dtype`` calls Python objects that have a form in Arrow."""
_UNFIT = (
    pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, UnicodeEncodeError,
    decimal.InvalidOperation,
)  # fmt: skip


def arrow_values(series: pd.Series[Any]) -> pa.Array | None:
    """Return a column's values as one Arrow array; None where they have to stay Python objects.

    Returns
    -------
    pyarrow.Array or None
        Of large strings, large binaries, decimals of 128 or 256 bits, days, nanoseconds of the day,
        or nulls alone; integers and booleans as they are.

    Examples
    --------
    >>> arrow_values(pd.Series([b"a", None], dtype=object)).type
    DataType(large_binary)
    >>> arrow_values(pd.Series([1, "a"], dtype=object)) is None
    True
    """
    if series.dtype == object and pd.api.types.infer_dtype(series, skipna=True) not in _OBJECTS:
        return None
    try:
        array = pa.array(without_index(series), from_pandas=True)
        return _plain(array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array)
    except _UNFIT:
        return None


def arrow_times(series: pd.Series[Any]) -> pa.Array | None:
    """Return timestamps or durations that are in Arrow as one array; None of other columns."""
    kind = getattr(series.dtype, "pyarrow_dtype", pa.null())
    if not (pa.types.is_timestamp(kind) or pa.types.is_duration(kind)):
        return None
    array = pa.array(without_index(series))
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def as_key_column(column: KeyValues) -> pd.Series[Any]:
    """Return a key column as a series; of Arrow's arrays those types that pandas does not have are cast.

    Examples
    --------
    >>> as_key_column(pa.array([1, None])).dtype
    int64[pyarrow]
    """
    if isinstance(column, pd.Series):
        return column
    kind = column.type
    if pa.types.is_run_end_encoded(kind):
        column = pc.run_end_decode(column)
    elif _is_any(kind, "string_view", "binary_view", "decimal32", "decimal64"):
        column = column.cast(_plain_type(kind))
    return pd.Series(pd.arrays.ArrowExtensionArray(column))


def _plain(array: pa.Array) -> pa.Array | None:
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _plain(array.dictionary_decode())
    if pa.types.is_run_end_encoded(kind):
        return _plain(pc.run_end_decode(array))
    plain = _plain_type(kind)
    return array if plain == kind else None if plain is None else array.cast(plain)


def _plain_type(kind: pa.DataType) -> pa.DataType | None:
    if _is_any(kind, "string", "large_string", "string_view"):
        return pa.large_string()
    if _is_any(kind, "binary", "large_binary", "fixed_size_binary", "binary_view"):
        return pa.large_binary()
    if _is_any(kind, "decimal32", "decimal64"):
        return pa.decimal128(kind.precision, kind.scale)
    if pa.types.is_date(kind):
        return pa.date32()
    if pa.types.is_time(kind):
        return pa.time64("ns")
    if _is_any(kind, "decimal128", "decimal256", "integer", "boolean", "null"):
        return kind
    return None


def _is_any(kind: pa.DataType, *names: str) -> bool:
    """Return whether a type is one of some, of which older versions of Arrow lack a few."""
    return any(test(kind) for name in names if (test := getattr(pa.types, f"is_{name}", None)))


def nulls_of(array: pa.Array) -> Nulls | None:
    """Return which values of an Arrow array are null; None where none is.

    Examples
    --------
    >>> nulls_of(pa.array(["a", None])).tolist()
    [False, True]
    """
    if array.null_count == 0:
        return None
    null: Nulls = array.is_null().to_numpy(zero_copy_only=False)
    return null


def in_one_type(arrays: Sequence[pa.Array | None]) -> list[pa.Array] | None:
    """Return arrays as one type; None where there is none in which equal values are equal.

    Examples
    --------
    >>> both = [pa.array([decimal.Decimal("1.5")], pa.decimal128(5, scale)) for scale in (1, 3)]
    >>> [str(array.type) for array in in_one_type(both)]
    ['decimal128(7, 3)', 'decimal128(7, 3)']
    """
    there = [array for array in arrays if array is not None]
    if len(there) < len(arrays):
        return None
    kind = functools.reduce(_common_type, [array.type for array in there])
    return None if kind is None else [array.cast(kind) for array in there]


def _common_type(left: pa.DataType | None, right: pa.DataType) -> pa.DataType | None:
    if left is None or left == right or pa.types.is_null(right):
        return left
    if pa.types.is_null(left):
        return right
    if pa.types.is_decimal(left) and pa.types.is_decimal(right):
        scale = max(left.scale, right.scale)
        digits = max(left.precision - left.scale, right.precision - right.scale) + scale
        if digits <= 76:
            return pa.decimal128(digits, scale) if digits <= 38 else pa.decimal256(digits, scale)
    return None


def arrow_hashes(array: pa.Array) -> Codes:
    """Hash what :func:`arrow_values` returns; anything where it is null.

    Examples
    --------
    >>> one, other = (pa.array([decimal.Decimal(text)]) for text in ("2.50", "2.5"))
    >>> arrow_hashes(one) == arrow_hashes(other)
    array([ True])
    """
    kind = array.type
    if pa.types.is_large_string(kind):
        return bytes_hashes(array)
    if pa.types.is_large_binary(kind):
        return bytes_hashes(array) ^ BYTES_SALT
    if pa.types.is_null(kind):
        return np.zeros(len(array), np.uint64)
    if pa.types.is_decimal(kind):
        return number_hashes(_decimal_residues(array))
    if pa.types.is_date(kind):
        return mix64(fixed_words(array, np.int32).astype(np.int64).view(np.uint64) ^ DATE_SALT)
    if pa.types.is_time(kind):
        return mix64(fixed_words(array, np.uint64) ^ TIME_SALT)
    if pa.types.is_boolean(kind):
        array = array.cast(pa.uint8())
    values = fixed_words(array, array.type.to_pandas_dtype())
    if array.type == pa.uint64():
        return number_hashes(_folded(values))
    return number_hashes(_signed_residues(values.astype(np.int64, copy=False).view(np.uint64)))


def number_hashes(residues: Codes) -> Codes:
    """Hash numbers by their residues."""
    return mix64(residues ^ NUMBER_SALT)


def _decimal_residues(array: pa.Array) -> Codes:
    words = fixed_words(array, np.dtype("<u8"), array.type.bit_width // 64)
    residues = _signed_residues(words[:, -1])
    for at in range(words.shape[1] - 2, -1, -1):
        # 2⁶⁴ leaves 8.
        residues = _folded(_folded(residues * np.uint64(8)) + _folded(words[:, at]))
    factor = pow(10, -array.type.scale, MODULUS)
    return residues if factor == 1 else _multiplied(residues, factor)


def _folded(values: Codes) -> Codes:
    """Return numbers modulo 2⁶¹ − 1."""
    folded = (values & _PRIME) + (values >> np.uint64(61))
    return np.where(folded >= _PRIME, folded - _PRIME, folded)


def _signed_residues(values: Codes) -> Codes:
    """Return signed numbers, as two's complement, modulo 2⁶¹ − 1."""
    negative = values >> np.uint64(63)
    # As unsigned they are 2⁶⁴ too large where they are negative.
    return _folded(_folded(values) + (_PRIME - np.uint64(8) * negative))


def _multiplied(residues: Codes, factor: int) -> Codes:
    """Multiply modulo 2⁶¹ − 1, in halves of 31 bits."""
    high, low = residues >> np.uint64(31), residues & _HALF
    factor_high, factor_low = np.uint64(factor >> 31), np.uint64(factor & (2**31 - 1))
    middle = _folded(high * factor_low + low * factor_high)
    total = _folded(high * factor_high * np.uint64(2))  # 2⁶² leaves 2
    total += (middle >> np.uint64(30)) + ((middle & np.uint64(2**30 - 1)) << np.uint64(31))
    return _folded(_folded(total) + _folded(low * factor_low))
