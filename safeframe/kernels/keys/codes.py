"""Turns key columns into one unsigned 64-bit code per row.

Covers: which type two sides' keys have in common, codes (in key order for one
column of numbers or times, hashes otherwise), and codes back to values.
"""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from safeframe.errors import SchemaMismatchError
from safeframe.facts.keys import DECIMAL_DIGITS, Codes, KeyColumn, KeySchema
from safeframe.kernels.columns.arrow_buffers import fixed_words
from safeframe.kernels.keys.arrow_values import (
    KeyValues,
    arrow_hashes,
    arrow_times,
    arrow_values,
    as_key_column,
    nulls_of,
)
from safeframe.kernels.keys.hashes import object_hashes
from safeframe.kernels.keys.levels import bytes_levels, longest_of, ranks_among
from safeframe.kernels.keys.mixing import mix64
from safeframe.kernels.keys.nulls import Nulls, as_value, if_any

_SIGN = np.uint64(1 << 63)
_FRACTION_SALT = np.uint64(0xD1B54A32D192ED03)
_CHUNK_ROWS = 2**16
"""Rows whose keys are encoded at a time: what that takes besides the codes is some MiB, and stays in the cache."""


def encode_keys(keys: Sequence[KeyValues], schema: KeySchema) -> tuple[Codes, Nulls | None]:
    """Return each row's code.

    Parameters
    ----------
    keys
        The key columns of one partition, of pandas or of Arrow.
    schema
        The common type of both sides' keys.

    Returns
    -------
    codes
        One code per row; anything where the key is null.
    null
        Which keys are null, for a key of one column that has nulls; else None.

    Examples
    --------
    >>> from safeframe.facts.keys import KeyColumn, KeySchema
    >>> schema = KeySchema(columns=(KeyColumn(kind="int"),))
    >>> codes, null = encode_keys([pd.Series([-1, 0, 1])], schema)
    >>> (codes - codes[1]).view("int64").tolist(), null
    ([-1, 0, 1], None)
    """
    columns = [as_key_column(column) for column in keys]
    rows = len(columns[0])
    if rows <= _CHUNK_ROWS or not all(_taken_in_chunks(series.dtype) for series in columns):
        return _encoded(columns, schema)
    codes, null = np.empty(rows, np.uint64), None
    for start in range(0, rows, _CHUNK_ROWS):
        chunk = slice(start, start + _CHUNK_ROWS)
        codes[chunk], some = _encoded([series.iloc[chunk] for series in columns], schema)
        if some is not None:
            null = np.zeros(rows, np.bool_) if null is None else null
            null[chunk] = some
    return codes, null


def _taken_in_chunks(dtype: Any) -> bool:
    """Return whether codes of some rows take no look at others: categories have their codes once."""
    return not pd.api.types.is_object_dtype(dtype) and not isinstance(dtype, pd.CategoricalDtype)


def _encoded(columns: Sequence[pd.Series[Any]], schema: KeySchema) -> tuple[Codes, Nulls | None]:
    if schema.injective:
        values, null = column_values(columns[0], schema.columns[0])
        return ordered_codes(values, schema.columns[0]), null
    if schema.bounds:
        return _bounded_codes(columns[0], schema)
    if len(columns) == 1:
        hashes, null = column_hashes(columns[0], schema.columns[0])
        return hashes, null
    codes = np.zeros(len(columns[0]), np.uint64)
    for series, column in zip(columns, schema.columns, strict=True):
        hashes, null = column_hashes(series, column)
        codes = mix64(codes * np.uint64(31) + as_value(hashes, null))
    return codes, None


def decode_codes(codes: Codes, schema: KeySchema) -> list[Any]:
    """Return the key values of codes, for a schema whose codes are in key order; of bounds, where there are some.

    Examples
    --------
    >>> from safeframe.facts.keys import KeyColumn, KeySchema
    >>> schema = KeySchema(columns=(KeyColumn(kind="float"),))
    >>> codes, _ = encode_keys([pd.Series([1.5, -2.0])], schema)
    >>> decode_codes(codes, schema)
    [1.5, -2.0]
    """
    column = schema.columns[0]
    codes = np.asarray(codes, np.uint64)
    if schema.bounds:
        at = (codes >> np.uint64(schema.hash_bits + 1)).astype(np.int64)
        return [schema.bounds[i] for i in np.minimum(at, len(schema.bounds) - 1).tolist()]
    match column.kind:
        case "float":
            bits = np.where(codes & _SIGN, codes ^ _SIGN, ~codes)
            return list(bits.view(np.float64).tolist())
        case "uint":
            return list(codes.tolist())
        case "bool":
            return list((codes != _SIGN).tolist())
    values = (codes ^ _SIGN).view(np.int64)
    match column.kind:
        case "int":
            return list(values.tolist())
        case "date":
            return list(pa.array(values.astype(np.int32)).cast(pa.date32()).to_pylist())
        case "decimal":
            return [decimal.Decimal(value).scaleb(-column.scale) for value in values.tolist()]
    if column.kind == "timedelta":
        return list(pd.TimedeltaIndex(values.view(f"timedelta64[{column.unit}]")))
    times = pd.DatetimeIndex(values.view(f"datetime64[{column.unit}]"))
    return list(times.tz_localize("UTC") if column.tz_aware else times)


def column_values(series: pd.Series[Any], column: KeyColumn) -> tuple[npt.NDArray[Any], Nulls | None]:
    """Return an ordered column as int64, uint64 or float64 values, and its nulls.

    Times are whole units since the epoch, in UTC where they are aware.
    """
    if isinstance(series.dtype, pd.CategoricalDtype):
        return _of_categories(series, lambda categories: column_values(categories, column))
    try:
        values, null = _converted(series, column)
    except (TypeError, ValueError, OverflowError, pa.ArrowInvalid, AttributeError) as error:
        if series.isna().all():  # a partition without any key may have any type
            empty = np.zeros(len(series), {"float": np.float64, "uint": np.uint64}.get(column.kind, np.int64))
            return empty, np.ones(len(series), np.bool_) if len(series) else None
        msg = f"The key column {series.name!r} is {series.dtype} in one partition, but {column.kind} in its frame."
        hint = f"Make the partitions agree first, as with ddf.astype({{{series.name!r}: ...}})."
        raise SchemaMismatchError(msg, hint=hint) from error
    return values, if_any(null)


def _converted(series: pd.Series[Any], column: KeyColumn) -> tuple[npt.NDArray[Any], Nulls | None]:
    if column.kind in ("date", "decimal"):
        return _from_arrow(arrow_values(series), column)
    if column.kind in ("datetime", "timedelta"):
        array = arrow_times(series)
        if array is not None:
            return _times(array, column)
        kind = "M8" if column.kind == "datetime" else "m8"
        if column.tz_aware:
            series = series.dt.tz_convert("UTC").dt.tz_localize(None)
        if isinstance(series.dtype, pd.ArrowDtype) or series.dtype == object:
            series = series.astype(np.dtype(f"{kind}[{column.unit}]"))
        elif isinstance(series.dtype, np.dtype) and series.dtype.kind in "mM":
            series = series.dt.as_unit(column.unit)  # unlike numpy's cast, this notices what overflows
        values = series.to_numpy(dtype=f"{kind}[{column.unit}]").view(np.int64)
        return values, values == np.iinfo(np.int64).min
    target = {"float": np.float64, "uint": np.uint64}.get(column.kind, np.int64)
    if series.dtype == object:  # booleans, or integers, with None
        series = series.astype(
            "boolean" if column.kind == "bool" else "Float64" if target is np.float64 else "Int64"
        )
    null: Nulls | None = None
    if isinstance(series.dtype, np.dtype):
        values = series.to_numpy()
        if values.dtype.kind == "f" and target is not np.float64:
            # A partition of integers, or of booleans, that has nulls.
            null = np.isnan(values)
            values = np.where(null, 0.0, values)
            if not (values == np.rint(values)).all():
                msg = "not whole numbers"
                raise ValueError(msg)
        values = values.astype(target, copy=False)
    else:
        null = series.isna().to_numpy()
        filled = series.array.fillna(False if column.kind == "bool" else 0) if null.any() else series.array
        values = np.asarray(filled.to_numpy(dtype=target))
    if target is np.float64 and (nan := np.isnan(values)).any():
        if column.nan_is_value and not isinstance(series.dtype, np.dtype):
            return np.where(nan, np.nan, values), null  # of which there are many
        null = nan if null is None else null | nan
    return values, null


def _times(array: pa.Array, column: KeyColumn) -> tuple[npt.NDArray[np.int64], Nulls | None]:
    """Return times in Arrow as whole units since the epoch, or in a span, zero where they are null."""
    if pa.types.is_timestamp(array.type) != (column.kind == "datetime"):
        raise TypeError(column.kind)
    zone = getattr(array.type, "tz", None)
    if (zone is not None) != column.tz_aware:
        raise TypeError(column.kind)
    array = array.cast(
        pa.timestamp(column.unit, zone) if column.kind == "datetime" else pa.duration(column.unit)
    )
    null = nulls_of(array)
    values = fixed_words(array, np.int64)
    return values if null is None else np.where(null, 0, values), null


def _from_arrow(array: pa.Array | None, column: KeyColumn) -> tuple[npt.NDArray[np.int64], Nulls | None]:
    """Return the days of dates, or the units of the last digit of decimals."""
    of_kind = pa.types.is_date if column.kind == "date" else pa.types.is_decimal
    if array is None or not (of_kind(array.type) or pa.types.is_null(array.type)):
        raise TypeError(column.kind)
    if column.kind == "date":
        values = fixed_words(array.cast(pa.date32()), np.int32).astype(np.int64)
    else:
        # A cast looks at every value, and refuses those that have no room.
        if (
            array.type.bit_width != 128
            or array.type.precision > DECIMAL_DIGITS
            or array.type.scale != column.scale
        ):
            array = array.cast(pa.decimal128(DECIMAL_DIGITS, column.scale))
        values = fixed_words(array, np.dtype("<i8"), 2)[:, 0].copy()
    null = nulls_of(array)
    if null is not None:
        values[null] = 0
    return values, null


def column_hashes(series: pd.Series[Any], column: KeyColumn) -> tuple[Codes, Nulls | None]:
    """Return a column's hashes: equal for equal values, whatever pandas stores them in."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        return _of_categories(series, lambda categories: column_hashes(categories, column))
    if column.kind == "number":
        return _number_hashes(series, column)
    if column.kind in ("string", "object"):
        array = arrow_values(series)
        return object_hashes(series) if array is None else (arrow_hashes(array), nulls_of(array))
    values, null = column_values(series, column)
    return mix64(ordered_codes(values, column)), null


def ordered_codes(values: npt.NDArray[Any], column: KeyColumn) -> Codes:
    """Return the codes of an ordered column's values, in the order of the values."""
    if column.kind == "uint":
        return values
    if column.kind == "float":
        bits = (values + 0.0).view(np.uint64)  # adding zero makes -0.0 the same key as 0.0
        flipped = (bits.view(np.int64) >> 63).view(np.uint64)  # all bits of the negative ones
        flipped |= _SIGN
        bits ^= flipped
        return bits
    return values.view(np.uint64) ^ _SIGN


def _bounded_codes(series: pd.Series[Any], schema: KeySchema) -> tuple[Codes, Nulls | None]:
    """Return strings their place among the bounds, and a hash in the low bits where they lie between two."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        return _of_categories(series, lambda categories: _bounded_codes(categories, schema))
    array = arrow_values(series)
    if array is None or array.type != pa.large_string():
        if series.isna().all():
            return np.zeros(len(series), np.uint64), np.ones(len(series), np.bool_) if len(series) else None
        msg = f"The key column {series.name!r} is {series.dtype} in one partition, but holds strings in its frame."
        hint = f"Make the partitions agree first, as with ddf.astype({{{series.name!r}: 'str'}})."
        raise SchemaMismatchError(msg, hint=hint)
    bounds = pa.array(schema.bounds, pa.large_string())
    ranks = ranks_among(
        bytes_levels(array, longest_of(bounds)), len(array), bytes_levels(bounds), len(bounds)
    )
    low = np.where(ranks & 1, np.uint64(0), arrow_hashes(array) >> np.uint64(64 - schema.hash_bits))
    return (ranks.astype(np.uint64) << np.uint64(schema.hash_bits)) | low, nulls_of(array)


def _number_hashes(series: pd.Series[Any], column: KeyColumn) -> tuple[Codes, Nulls | None]:
    """Hash whole numbers as integers, so that an integer meets an equal float and no other."""
    integral, fraction, null = number_parts(series, column)
    hashes = mix64(integral.view(np.uint64))
    if fraction is not None:
        bits = mix64(fraction.view(np.uint64) ^ _FRACTION_SALT)
        hashes = np.where(fraction == 0.0, hashes, bits)
    return hashes, null


def number_parts(
    series: pd.Series[Any], column: KeyColumn
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64] | None, Nulls | None]:
    """Split numbers into what is an int64 and what is not.

    Returns
    -------
    integral
        The value as int64 where it is a whole number of that range, else 0.
    other
        The value where it is not, else 0.0; None for integer columns.
    null
        Nulls, or None.
    """
    if pd.api.types.is_integer_dtype(series.dtype):
        values, null = column_values(series, KeyColumn(kind="int"))
        return values, None, null
    values, null = column_values(series, replace(column, kind="float"))
    if null is not None:
        values = np.where(null, 0.0, values)
    whole = (np.floor(values) == values) & (values >= -(2.0**63)) & (values < 2.0**63)
    integral = np.where(whole, values, 0.0).astype(np.int64)
    return integral, np.where(whole, 0.0, values), null


def _of_categories(series: pd.Series[Any], function: Any) -> tuple[npt.NDArray[Any], Nulls | None]:
    categories = pd.Series(series.cat.categories)
    values, _ = function(categories)
    codes = series.cat.codes.to_numpy()
    null = codes < 0
    if len(values) == 0:
        return np.zeros(len(codes), values.dtype), if_any(null)
    taken = values[np.where(null, 0, codes)]
    return taken, if_any(null)
