"""Two keys of any type, to ask pandas what it makes of keys of two types."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from safeframe.kernels.categories import UNKNOWN

__all__ = ["example_keys", "known_categories"]

_VALUES: tuple[list[Any], ...] = (
    [0, 1],
    ["a", "b"],
    list(pd.to_datetime([0, 1], unit="D")),
    list(pd.to_datetime([0, 1], unit="D").tz_localize("UTC")),
    list(pd.to_timedelta([0, 1], unit="D")),
    [decimal.Decimal(0), decimal.Decimal(1)],
    [datetime.date(2000, 1, 1), datetime.date(2000, 1, 2)],
    [datetime.time(0), datetime.time(1)],
    [b"a", b"b"],
)


def example_keys(left: Any, right: Any) -> tuple[pd.Series[Any], pd.Series[Any]] | None:
    """Give the same two keys in two dtypes; None where no value that is tried is of both.

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
    """Give two keys of a categorical dtype, the second one of both sides' where there is one."""
    second = common[0] if len(common) else dtype.categories[-1]
    return pd.Series(pd.Categorical([dtype.categories[0], second], dtype=dtype))


def _as(values: list[Any], dtype: Any) -> pd.Series[Any]:
    """Give values a dtype, and refuse where they become others."""
    if isinstance(dtype, pd.CategoricalDtype):
        kind = dtype.categories.dtype if known_categories(dtype) else object
        return pd.Series(pd.Categorical(_as(values, kind)))
    series = pd.Series(values, dtype=object).astype(dtype)
    if not np.array_equal(series.astype(object).to_numpy(), np.array(values, object)):
        msg = f"{values} are no values of {dtype}"
        raise ValueError(msg)
    return series
