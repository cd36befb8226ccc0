"""Results of states: one column of what pandas gives, in the type that it has there.

Covers: functions of merged parts, types of results, the index that keys make.
Does not cover: parts (``kernels.groupby.parts``).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from safeframe.errors import ValidationError
from safeframe.kernels.groupby.families import Array, family
from safeframe.kernels.groupby.parts import ROWS, Columns, Part
from safeframe.kernels.groupby.spec import Aggregation
from safeframe.kernels.keys.schema import known_categories

Null = npt.NDArray[np.bool_]

_SCALE = np.int64(2**32)


def result(agg: Aggregation, parts: Mapping[Part, Columns], dtype: Any, promised: Any) -> Any:
    """Return a column of the result.

    Parameters
    ----------
    agg
        Which one.
    parts
        Parts of the groups.
    dtype
        The type of its column of values.
    promised
        The type that the result has in pandas. Integers that do not fit it, or that some group has none of, are of a wider one,
        as in pandas.
    """
    function, column = agg.function, agg.column
    if function == "size":
        return _as_dtype(parts[ROWS][0], None, promised)
    counts = parts[column, "count"][0] if (column, "count") in parts else None
    if function == "count":
        return _as_dtype(parts[column, "count"][0], None, promised)
    if function in ("any", "all"):
        return _as_dtype(parts[column, function][0], None, promised)
    if function in ("idxmin", "idxmax"):
        return _labels(function, parts[column, function][1], counts, promised)
    if function in ("sum", "prod", "min", "max", "first", "last"):
        few = max(agg.option("min_count", 0), 0)
        null = counts < few if counts is not None and few > 0 else None
        values = parts[column, function][0]
        if function in ("sum", "prod") and isinstance(values, np.ndarray):
            return _as_dtype(values, null, promised)
        picked = pd.Series(values, copy=False)
        if null is not None and null.any():
            picked = picked.where(~null)
        return _fitting(picked, promised)
    assert counts is not None  # parts_of has them
    if function == "mean":
        return _as_dtype(*_means(column, parts, counts, family(dtype)), promised)
    return _as_dtype(*_spread(agg, parts, counts), promised)


def _means(column: Any, parts: Mapping[Part, Columns], counts: Array, kind: str) -> tuple[Array, Null]:
    null = counts == 0
    n = np.maximum(counts, 1)
    if kind in ("datetime", "timedelta"):
        high, low = parts[column, "wide sum"]
        units, rest = high // n, high % n
        rest = rest * _SCALE + low
        means = units * _SCALE + rest // n
        # Towards zero, as a float becomes an integer.
        return means + ((means < 0) & (rest % n != 0)), null
    sums = parts[column, "sum" if kind == "float" else "float sum"][0]
    return sums / n, null


def _spread(agg: Aggregation, parts: Mapping[Part, Columns], counts: Array) -> tuple[Array, Null]:
    """Return variances, what is made of them, and skews."""
    moments = parts.get((agg.column, "moments"), parts.get((agg.column, "third moments"), ()))
    n = counts.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        if agg.function == "skew":
            second, third = moments[1], moments[2]
            skews = n * np.sqrt(np.maximum(n - 1, 0)) / (n - 2) * (third / second**1.5)
            return np.where(second == 0, _skew_of_equals(), skews), counts < 3
        ddof = agg.option("ddof", 1)
        spread = moments[1] / (n - ddof)
        if agg.function == "sem":
            spread = spread / n  # before the root, as pandas has it: times are cut off to whole units
        if agg.function != "var":
            spread = np.sqrt(spread)
        return spread, counts <= ddof


@functools.cache
def _skew_of_equals() -> float:
    """Return what pandas takes for the skew of equal values: zero, or nothing from 3.1 on."""
    return float(pd.Series([1.0, 1.0, 1.0]).groupby([0, 0, 0]).skew().iloc[0])


def _labels(function: str, labels: Any, counts: Array | None, promised: Any) -> Any:
    if counts is not None and (counts == 0).any():
        msg = f"{function} of a group that has no values ({int((counts == 0).sum())} groups)."
        hint = "pandas refuses it too: leave out rows that are null first, as with ddf.dropna(subset=...)."
        raise ValidationError(msg, hint=hint)
    return _fitting(pd.Series(labels, copy=False), promised)


def _fitting(series: pd.Series[Any], dtype: Any) -> Any:
    """Return values in a type, if it holds them."""
    # Categories that are not known are those that values have.
    unknown = isinstance(dtype, pd.CategoricalDtype) and not known_categories(dtype)
    if series.dtype != dtype and not unknown:
        null = series.isna()
        whole = isinstance(dtype, np.dtype) and dtype.kind in "iub"
        if not (whole and null.any()):
            series = series.astype(dtype)
    return series.array if not isinstance(series.dtype, np.dtype) else series.to_numpy()


def _as_dtype(values: Array, null: Null | None, dtype: Any) -> Any:
    """Return numbers in the type of the result; times are their units."""
    if null is not None and not null.any():
        null = None
    if isinstance(dtype, pd.ArrowDtype):
        return _as_arrow(values, null, dtype.pyarrow_dtype)
    if isinstance(dtype, pd.DatetimeTZDtype):
        times = pd.DatetimeIndex(_as_times(values, null, np.dtype(f"M8[{dtype.unit}]")))
        return times.tz_localize("UTC").tz_convert(dtype.tz).array
    if isinstance(dtype, np.dtype):
        return _as_numpy(values, null, dtype)
    values = _narrowed(values, dtype.numpy_dtype)
    mask = np.zeros(len(values), np.bool_) if null is None else null
    if values.dtype.kind == "f":
        return pd.arrays.FloatingArray(values, mask | np.isnan(values))
    if values.dtype.kind == "b":
        return pd.arrays.BooleanArray(values, mask)
    return pd.arrays.IntegerArray(values, mask)


def _as_numpy(values: Array, null: Null | None, dtype: np.dtype[Any]) -> Array:
    if dtype.kind in "mM":
        return _as_times(values, null, dtype)
    if null is not None:
        return np.where(null, np.nan, values).astype(dtype if dtype.kind == "f" else np.float64)
    return _narrowed(values, dtype)


def _as_times(values: Array, null: Null | None, dtype: np.dtype[Any]) -> Array:
    units = _whole(values)
    if null is not None:
        units = np.where(null, np.iinfo(np.int64).min, units)
    return units.view(dtype)


def _whole(values: Array) -> npt.NDArray[np.int64]:
    with np.errstate(invalid="ignore"):
        return np.asarray(values.astype(np.int64))


def _as_arrow(values: Array, null: Null | None, kind: pa.DataType) -> Any:
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        array = pa.array(_whole(values), mask=null).cast(kind)
    else:
        target = np.dtype(kind.to_pandas_dtype())
        if values.dtype.kind == "f":
            null = np.isnan(values) if null is None else null | np.isnan(values)
        array = pa.array(_narrowed(values, target), mask=null)
    return pd.array(array, dtype=pd.ArrowDtype(array.type))


def _narrowed(values: Array, dtype: np.dtype[Any]) -> Array:
    """Return numbers in a type, or as they are where it does not hold them."""
    if values.dtype == dtype:
        return values
    with np.errstate(invalid="ignore"):
        narrow = values.astype(dtype)
    return narrow if dtype.kind == "f" or bool((narrow == values).all()) else values


def key_index(keys: Sequence[pd.Series[Any]], promised: pd.Index[Any]) -> pd.Index[Any]:
    """Return the index of the result, keys of which no two are the same, as one like ``promised``.

    Examples
    --------
    >>> promised = pd.MultiIndex.from_arrays([[1], ["b"]], names=["k", "s"])
    >>> key_index([pd.Series([7, 5]), pd.Series(["a", None])], promised).to_list()
    [(7, 'a'), (5, nan)]
    """
    if len(keys) == 1:
        index: pd.Index[Any] = _level(keys[0].array, keys[0].dtype, promised.dtype)
        return index.rename(promised.name)
    levels: list[Any] = []
    codes: list[Any] = []
    for place, key in enumerate(keys):
        dtype = promised.get_level_values(place).dtype
        # Not MultiIndex.from_arrays, which sorts each level.
        if isinstance(key.dtype, pd.CategoricalDtype):
            numbers = key.cat.codes.to_numpy()
            level = pd.Index(pd.Categorical(key.cat.categories, dtype=key.dtype))
        else:
            # What means nothing is a value among objects, and no value among others, as in pandas.
            numbers, uniques = pd.factorize(key, use_na_sentinel=not pd.api.types.is_object_dtype(key.dtype))
            level = _level(uniques, key.dtype, dtype)
        levels.append(level)
        codes.append(numbers)
    return pd.MultiIndex(levels=levels, codes=codes, names=promised.names, verify_integrity=False)


def _level(values: Any, dtype: Any, promised: Any) -> Any:
    """Return values of an index; objects in the type that pandas takes them for."""
    index = pd.Index(values, dtype=dtype)
    return index.astype(promised) if pd.api.types.is_object_dtype(dtype) else index


def keys_as_columns(made: pd.DataFrame, *, but_values: bool) -> pd.DataFrame:
    """Make columns of the keys in an index; of those that have the name of a value not with ``but_values``, as pandas does.

    Examples
    --------
    >>> made = pd.DataFrame({"v": [3]}, index=pd.MultiIndex.from_tuples([(1, 2)], names=["k", "v"]))
    >>> list(keys_as_columns(made, but_values=True)), list(keys_as_columns(made, but_values=False))
    (['k', 'v'], ['k', 'v', 'v'])
    """
    gone: Any = [place for place, name in enumerate(made.index.names) if but_values and name in made.columns]
    if len(gone) == made.index.nlevels:
        return made.reset_index(drop=True)
    return (made.droplevel(gone) if gone else made).reset_index(allow_duplicates=True)
