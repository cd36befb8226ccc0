"""Which functions of a column's values are made of states, and the values in numbers.

Covers: families of types, plain values and which of them are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from safeframe.kernels.groupby.spec import PAIRED, Aggregation, Pair

Family = Literal["int", "uint", "float", "bool", "datetime", "timedelta", "decimal", "ordered", "other"]
"""What a column's values are, whatever they are stored in; ``ordered`` have a least and a greatest one."""
Array = npt.NDArray[Any]
Valid = npt.NDArray[np.bool_]

_ALWAYS = frozenset({"count", "size", "first", "last"})
_ORDERED = _ALWAYS | {"min", "max"}
_NUMBERS = _ORDERED | {"sum", "mean", "prod", "var", "std", "sem", "skew", "any", "all", "idxmin", "idxmax"}
_FUNCTIONS: dict[Family, frozenset[str]] = {
    "int": _NUMBERS,
    "uint": _NUMBERS,
    "float": _NUMBERS,
    "bool": _NUMBERS,
    "datetime": _ORDERED | {"mean", "idxmin", "idxmax"},
    "timedelta": _ORDERED | {"sum", "mean", "std", "sem", "idxmin", "idxmax"},
    # Their means are rounded to the digits of the column by rules of Arrow's.
    "decimal": _ORDERED | {"sum"},
    "ordered": _ORDERED,
    "other": _ALWAYS,
}
_OPTIONS = {
    "sum": ("min_count",),
    "prod": ("min_count",),
    "min": ("min_count",),
    "max": ("min_count",),
    "first": ("min_count",),
    "last": ("min_count",),
    "var": ("ddof",),
    "std": ("ddof",),
    "sem": ("ddof",),
    "cov": ("ddof", "min_periods"),
    "corr": ("min_periods",),
}
_WITHOUT_EFFECT = {
    "numeric_only": (True, False),  # which columns there are is the caller's
    "skipna": (True,),
    "engine": (None, "cython"),
    "engine_kwargs": (None,),
    "method": ("pearson",),
}


def family(dtype: Any) -> Family:
    """Return what values of a type are.

    Examples
    --------
    >>> family(np.dtype("int8")), family(pd.Float64Dtype()), family(pd.CategoricalDtype())
    ('int', 'float', 'other')
    """
    if isinstance(dtype, pd.DatetimeTZDtype):
        return "datetime"
    if isinstance(dtype, pd.CategoricalDtype):
        return "ordered" if dtype.ordered else "other"
    if isinstance(dtype, pd.StringDtype):
        return "ordered"
    if isinstance(dtype, pd.ArrowDtype):
        return _arrow_family(dtype.pyarrow_dtype)
    numpy_dtype = getattr(dtype, "numpy_dtype", dtype) if _is_masked(dtype) else dtype
    if not isinstance(numpy_dtype, np.dtype) or numpy_dtype == np.float16:
        return "other"
    kinds: dict[str, Family] = {
        "i": "int",
        "u": "uint",
        "f": "float",
        "b": "bool",
        "M": "datetime",
        "m": "timedelta",
    }
    return kinds.get(numpy_dtype.kind, "other")


def _arrow_family(kind: pa.DataType) -> Family:
    if pa.types.is_decimal(kind):
        return "decimal"
    if pa.types.is_boolean(kind):
        return "bool"
    if pa.types.is_integer(kind):
        return "int" if pa.types.is_signed_integer(kind) else "uint"
    if pa.types.is_floating(kind):
        return "other" if kind == pa.float16() else "float"
    if pa.types.is_timestamp(kind):
        return "datetime"
    if pa.types.is_duration(kind):
        return "timedelta"
    if pa.types.is_date(kind) or pa.types.is_time(kind):
        return "ordered"
    return "ordered" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else "other"


def _is_masked(dtype: Any) -> bool:
    return hasattr(dtype, "numpy_dtype") and not isinstance(dtype, (np.dtype, pd.ArrowDtype))


def decomposable(meta: pd.DataFrame, aggs: Sequence[Aggregation]) -> bool | None:
    """Return True where states give what pandas gives, to the type; None where groups have to be whole.

    Examples
    --------
    >>> meta = pd.DataFrame({"v": pd.Series(dtype="str")})
    >>> decomposable(meta, [Aggregation("v", "max", "v")]), decomposable(meta, [Aggregation("v", "sum", "v")])
    (True, None)
    """
    fits = meta.columns.is_unique and meta.columns.nlevels == 1
    return True if fits and all(_takes(meta, one) for one in aggs) else None


def _takes(meta: pd.DataFrame, agg: Aggregation) -> bool:
    """Whether states give an aggregation."""
    for name, value in agg.options:
        if name in _WITHOUT_EFFECT:
            if not any(value is known or value == known for known in _WITHOUT_EFFECT[name]):
                return False
        elif name not in _OPTIONS.get(agg.function, ()) or not isinstance(
            value, (int, np.integer, type(None))
        ):
            return False
    if agg.column is None:
        return agg.function == "size"
    if isinstance(agg.column, Pair):
        # pandas knows no other ddof of a group that has nulls.
        numbers = all(
            family(meta[name].dtype) in ("int", "uint", "float", "bool")
            for name in (agg.column.one, agg.column.two)
        )
        return numbers and agg.function in PAIRED and agg.option("ddof", 1) == 1
    dtype = meta[agg.column].dtype
    if pd.api.types.is_object_dtype(dtype) and agg.function in ("first", "last"):
        return False  # which of the values that mean nothing stands for a group of them, pandas alone knows
    if agg.option("min_count", 0) > 1 and isinstance(dtype, np.dtype) and dtype.kind in "iub":
        return False  # integers, or floats if any group of the whole is too small
    return agg.function in _FUNCTIONS[family(dtype)]


@dataclass(frozen=True, slots=True, eq=False)
class Plain:
    """A column's values as numpy has them; times are their units since the epoch."""

    values: Array
    """Zero where there is none."""
    valid: Valid | None
    """Which are there; None where all are."""

    @property
    def floats(self) -> npt.NDArray[np.float64]:
        """The values as 64-bit floats."""
        return np.asarray(self.values, np.float64)

    @property
    def totals(self) -> Array:
        """The values in the type that sums and products of them are made in."""
        kind = self.values.dtype.kind
        return np.asarray(self.values, np.float64 if kind == "f" else np.uint64 if kind == "u" else np.int64)


def plain(series: pd.Series[Any]) -> Plain:
    """Return the values of a column of numbers or times.

    Examples
    --------
    >>> plain(pd.Series([3, None], dtype="Int8"))
    Plain(values=array([3, 0], dtype=int8), valid=array([ True, False]))
    """
    dtype: Any = series.dtype
    if isinstance(dtype, pd.ArrowDtype):
        return _of_arrow(pa.array(series.array, from_pandas=True))
    if _is_masked(dtype):
        null = series.isna().to_numpy()
        values = series.array.to_numpy(dtype=dtype.numpy_dtype, na_value=dtype.numpy_dtype.type(0))
        return Plain(values, ~null if null.any() else None)
    if isinstance(dtype, pd.DatetimeTZDtype):
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    values = series.to_numpy()
    if values.dtype.kind in "mM":
        values = values.view(np.int64)
        null = values == np.iinfo(np.int64).min
    elif values.dtype.kind == "f":
        null = np.isnan(values)
    else:
        return Plain(values, None)
    return Plain(np.where(null, values.dtype.type(0), values), ~null) if null.any() else Plain(values, None)


def _of_arrow(array: pa.Array | pa.ChunkedArray) -> Plain:
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    valid = np.asarray(array.is_valid()) if array.null_count else None
    if pa.types.is_timestamp(array.type) or pa.types.is_duration(array.type):
        array = array.cast(pa.int64())
    if array.null_count:
        array = array.fill_null(False if pa.types.is_boolean(array.type) else 0)
    return Plain(np.asarray(array.to_numpy(zero_copy_only=False)), valid)
