"""Finds the type in which two sides' keys are compared, or refuses."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from safeframe.errors import SchemaMismatchError, UnsupportedError
from safeframe.facts.keys import DECIMAL_DIGITS, KeyColumn, KeySchema
from safeframe.kernels.columns.categories import UNKNOWN

_UNITS = ("s", "ms", "us", "ns")


def common_schema(
    left: Sequence[pd.Series[Any]],
    right: Sequence[pd.Series[Any]],
    *,
    left_names: Sequence[Any],
    right_names: Sequence[Any],
) -> KeySchema:
    """Find the common type of each pair of key columns.

    Parameters
    ----------
    left, right
        The key columns of both sides, empty; the same twice for one frame.
    left_names, right_names
        What the user calls them.

    Raises
    ------
    SchemaMismatchError
        When two columns cannot be compared; with both names and types.
    UnsupportedError
        When one has nested values.

    Examples
    --------
    >>> left, right = pd.Series([], dtype="int32"), pd.Series([], dtype="Int64")
    >>> common_schema([left], [right], left_names=["k"], right_names=["k"]).columns[0].kind
    'int'
    """
    pairs = zip(left, right, left_names, right_names, strict=True)
    return KeySchema(columns=tuple(_common(*pair) for pair in pairs))


def _common(left: pd.Series[Any], right: pd.Series[Any], left_name: Any, right_name: Any) -> KeyColumn:
    for series, name in ((left, left_name), (right, right_name)):
        if isinstance(series.dtype, pd.ArrowDtype) and pa.types.is_nested(series.dtype.pyarrow_dtype):
            msg = f"The key column {name!r} is {series.dtype}: lists, structs and maps cannot be keys."
            raise UnsupportedError(msg, hint="Turn it into strings or into columns of its fields first.")
    one, other = _column(left), _column(right)
    if one.kind == other.kind == "decimal":
        return _common_decimal(one, other)
    if one.kind != other.kind:  # a date, or a decimal, meets Python objects alone
        one, other = (
            KeyColumn(kind="object") if side.kind in ("date", "decimal") else side for side in (one, other)
        )
    kinds = {one.kind, other.kind}
    if kinds <= {"datetime"} or kinds <= {"timedelta"}:
        if one.tz_aware != other.tz_aware:
            hint = "Give both a time zone with dt.tz_localize, or remove it from both."
            raise _mismatch(left, right, left_name, right_name, hint)
        if isinstance(left.dtype, pd.ArrowDtype) != isinstance(right.dtype, pd.ArrowDtype):
            hint = (
                "Cast one side to the other's type with astype: pandas does not compare them with each other."
            )
            raise _mismatch(left, right, left_name, right_name, hint)
        units = [column.unit or "ns" for column in (one, other)]
        return KeyColumn(kind=one.kind, unit=max(units, key=_UNITS.index), tz_aware=one.tz_aware)
    nan_is_value = _nan_is_value((left.dtype, right.dtype))
    if one.kind == other.kind:
        return KeyColumn(kind=one.kind, nan_is_value=nan_is_value)
    if kinds == {"int", "uint"}:
        if _is_uint64(left) or _is_uint64(right):
            hint = "Cast one side with astype: uint64 has values that int64 cannot hold."
            raise _mismatch(left, right, left_name, right_name, hint)
        return KeyColumn(kind="int")
    if kinds <= {"int", "uint", "float"} and not (_is_uint64(left) or _is_uint64(right)):
        return KeyColumn(kind="number", nan_is_value=nan_is_value)
    if kinds == {"bool", "object"} and not (_is_binary(left) or _is_binary(right)):
        return KeyColumn(kind="bool")  # flags with nulls are objects
    if kinds == {"string", "object"} and not (_is_binary(left) or _is_binary(right)):
        return KeyColumn(kind="string")
    hint = f"Cast one side first, as with ddf.astype({{{right_name!r}: {str(left.dtype)!r}}})."
    raise _mismatch(left, right, left_name, right_name, hint)


def without_nan(schema: KeySchema) -> KeySchema:
    """Return the schema of keys that are brought to an order, in which pandas puts NaN with the nulls, whatever holds it."""
    return replace(schema, columns=tuple(replace(column, nan_is_value=False) for column in schema.columns))


def _nan_is_value(dtypes: Sequence[Any]) -> bool:
    """Whether pandas takes NaN for a value: among Arrow's floats it does, next to its own with nulls it does not."""
    kinds = [dtype.categories.dtype if known_categories(dtype) else dtype for dtype in dtypes]
    return any(
        isinstance(dtype, pd.ArrowDtype) and pa.types.is_floating(dtype.pyarrow_dtype) for dtype in kinds
    ) and not any(isinstance(dtype, (pd.Float32Dtype, pd.Float64Dtype)) for dtype in kinds)


def _column(series: pd.Series[Any]) -> KeyColumn:
    dtype: Any = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _column(pd.Series(dtype.categories)) if known_categories(dtype) else KeyColumn(kind="string")
    if isinstance(dtype, pd.ArrowDtype):
        return _arrow_column(dtype.pyarrow_dtype)
    if pd.api.types.is_bool_dtype(dtype):
        return KeyColumn(kind="bool")
    if pd.api.types.is_unsigned_integer_dtype(dtype):
        return KeyColumn(kind="uint")
    if pd.api.types.is_integer_dtype(dtype):
        return KeyColumn(kind="int")
    if pd.api.types.is_float_dtype(dtype):
        return KeyColumn(kind="float")
    if isinstance(dtype, pd.DatetimeTZDtype):
        return KeyColumn(kind="datetime", unit=dtype.unit, tz_aware=True)
    if isinstance(dtype, np.dtype) and dtype.kind in "mM":
        unit = np.datetime_data(dtype)[0]
        return KeyColumn(kind="datetime" if dtype.kind == "M" else "timedelta", unit=unit)
    if pd.api.types.is_object_dtype(dtype):
        return KeyColumn(kind="object")
    return KeyColumn(kind="string" if pd.api.types.is_string_dtype(dtype) else "object")


def _arrow_column(dtype: pa.DataType) -> KeyColumn:
    if pa.types.is_boolean(dtype):
        return KeyColumn(kind="bool")
    if pa.types.is_unsigned_integer(dtype):
        return KeyColumn(kind="uint")
    if pa.types.is_signed_integer(dtype):
        return KeyColumn(kind="int")
    if pa.types.is_floating(dtype):
        return KeyColumn(kind="float")
    if pa.types.is_timestamp(dtype):
        return KeyColumn(kind="datetime", unit=dtype.unit, tz_aware=dtype.tz is not None)
    if pa.types.is_duration(dtype):
        return KeyColumn(kind="timedelta", unit=dtype.unit)
    if pa.types.is_string(dtype) or pa.types.is_large_string(dtype) or pa.types.is_string_view(dtype):
        return KeyColumn(kind="string")
    if pa.types.is_date(dtype):
        return KeyColumn(kind="date")
    if pa.types.is_decimal(dtype):
        return KeyColumn(kind="decimal", digits=dtype.precision, scale=dtype.scale)
    return KeyColumn(kind="object")


def _common_decimal(one: KeyColumn, other: KeyColumn) -> KeyColumn:
    """Return what holds decimals of both; Python objects where 64 bits have no room for them."""
    scale = max(one.scale, other.scale)
    digits = max(one.digits - one.scale, other.digits - other.scale) + scale
    if digits > DECIMAL_DIGITS or scale < 0:
        return KeyColumn(kind="object")
    return KeyColumn(kind="decimal", digits=digits, scale=scale)


def _is_uint64(series: pd.Series[Any]) -> bool:
    """Whether values may be beyond int64, in whatever storage, categories included."""
    dtype: Any = series.dtype
    if known_categories(dtype):
        dtype = dtype.categories.dtype
    return str(dtype).lower().startswith("uint64")


def _is_binary(series: pd.Series[Any]) -> bool:
    return "binary" in str(series.dtype)


def _mismatch(
    left: pd.Series[Any], right: pd.Series[Any], left_name: Any, right_name: Any, hint: str
) -> SchemaMismatchError:
    msg = f"The keys cannot be compared: left {left_name!r} is {left.dtype} and right {right_name!r} is {right.dtype}."
    return SchemaMismatchError(msg, hint=hint, left_dtype=str(left.dtype), right_dtype=str(right.dtype))


_VALUES: tuple[list[Any], ...] = (
    [0, 1],
    list(pd.to_datetime([0, 1], unit="D")),
    list(pd.to_datetime([0, 1], unit="D").tz_localize("UTC")),
    list(pd.to_timedelta([0, 1], unit="D")),
    [decimal.Decimal(0), decimal.Decimal(1)],
    [datetime.date(2000, 1, 1), datetime.date(2000, 1, 2)],
    [datetime.time(0), datetime.time(1)],
    [b"a", b"b"],
    ["a", "b"],  # last, since pandas 2 warns where it takes them for times
)


def example_keys(left: Any, right: Any) -> tuple[pd.Series[Any], pd.Series[Any]] | None:
    """Return the same two keys in two dtypes; None where no value that is tried is of both.

    Two categorical dtypes have keys of their own categories each, one of them in common where there is one.

    Examples
    --------
    >>> [keys.tolist() for keys in example_keys(np.dtype("int64"), np.dtype("float64"))]
    [[0, 1], [0.0, 1.0]]
    """
    if known_categories(left) and known_categories(right):
        common = left.categories.intersection(right.categories)
        return _of_categories(left, common), _of_categories(right, common)
    for values in _VALUES:
        try:
            one, other = (_as(values, dtype) for dtype in (left, right))
        except (TypeError, ValueError, OverflowError, pa.ArrowException, decimal.InvalidOperation):
            continue
        return one, other
    return None


def known_categories(dtype: Any) -> bool:
    """Whether a dtype is categorical, and says of which categories."""
    if not isinstance(dtype, pd.CategoricalDtype):
        return False
    categories: Any = dtype.categories  # None while there are none, whatever its type says
    return categories is not None and len(categories) > 0 and UNKNOWN not in categories


def _of_categories(dtype: pd.CategoricalDtype, common: pd.Index[Any]) -> pd.Series[Any]:
    """Return two keys of a categorical dtype, the second one of both sides' where there is one."""
    second = common[0] if len(common) else dtype.categories[-1]
    return pd.Series(pd.Categorical([dtype.categories[0], second], dtype=dtype))


def _as(values: list[Any], dtype: Any) -> pd.Series[Any]:
    """Return values a dtype, and refuse where they become others."""
    if isinstance(dtype, pd.CategoricalDtype):
        kind = dtype.categories.dtype if known_categories(dtype) else object
        return pd.Series(pd.Categorical(_as(values, kind)))
    series = pd.Series(values, dtype=object).astype(dtype)
    if not np.array_equal(series.astype(object).to_numpy(), np.array(values, object)):
        msg = f"{values} are no values of {dtype}"
        raise ValueError(msg)
    return series
