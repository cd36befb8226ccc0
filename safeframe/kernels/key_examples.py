"""Two keys of any type, to ask pandas what it makes of them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from safeframe.facts.keys import KeyKind

__all__ = ["example_keys"]


def example_keys(dtype: Any, kind: KeyKind) -> pd.Series[Any]:
    """Give two different keys of a dtype, the same ones for all dtypes of a kind.

    Examples
    --------
    >>> example_keys("float64", "number").tolist()
    [0.0, 1.0]
    """
    if isinstance(dtype, pd.CategoricalDtype):
        return pd.Series(["a", "b"], dtype="category")
    if kind == "datetime":
        times = pd.Series(pd.to_datetime([0, 1], unit="s"))
        aware = isinstance(dtype, pd.DatetimeTZDtype) or getattr(dtype, "pyarrow_dtype", None) is not None
        return (times.dt.tz_localize("UTC") if aware else times).astype(dtype)
    if kind == "timedelta":
        return pd.Series(pd.to_timedelta([0, 1], unit="s")).astype(dtype)
    return pd.Series(["a", "b"] if kind in ("string", "object") else [0, 1]).astype(dtype)
