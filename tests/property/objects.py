"""Hypothesis strategies of Python values of many types, and whether two of them are the same."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

__all__ = ["columns", "identical", "scalars", "values"]

_ZONES = st.sampled_from(
    [None, dt.UTC, zoneinfo.ZoneInfo("Europe/Berlin"), dt.timezone(dt.timedelta(hours=-3), "X")]
)
_NUMPY = (np.int8, np.uint64, np.int64, np.float32, np.float64, np.bool_)

scalars = st.one_of(
    st.sampled_from([None, np.nan, pd.NaT, pd.NA, True, False, -0.0, float("inf")]),
    st.integers(),
    st.floats(),
    st.decimals(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.dates(),
    st.datetimes(timezones=_ZONES),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.complex_numbers(),
    st.builds(lambda kind, value: kind(value), st.sampled_from(_NUMPY), st.integers(0, 100)),
    st.builds(pd.Timestamp, st.integers(0, 2**60), unit=st.just("ns"), tz=st.sampled_from([None, "UTC"])),
    st.builds(pd.Timedelta, st.integers(-(2**60), 2**60), unit=st.just("ns")),
    st.builds(np.datetime64, st.integers(0, 10**6), st.sampled_from(["D", "s", "ns"])),
)
"""Single values."""

_KEYS = st.one_of(st.text(max_size=3), st.integers(), st.booleans())

values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(_KEYS, inner, max_size=3),
        st.sets(_KEYS, max_size=3),
        st.frozensets(_KEYS, max_size=3),
        st.lists(st.integers(0, 9), max_size=3).map(lambda items: np.array(items, np.int16)),
    ),
    max_leaves=6,
)
"""Single values, and values within values."""

columns = st.one_of(
    st.lists(st.one_of(st.text(max_size=5), st.none()), max_size=12),
    st.lists(st.one_of(st.text(max_size=5), st.none(), st.just(np.nan)), max_size=12),
    st.lists(st.one_of(st.integers(), st.none()), max_size=12),
    st.lists(values, max_size=12),
).map(lambda items: pd.Series([*items, None], dtype=object).iloc[:-1])
"""Columns of dtype object."""


def identical(one: Any, other: Any) -> bool:
    """Whether two values are of one type and the same, NaN and NaT included, as are all values in them."""
    if type(one) is not type(other):
        return False
    if one is None or one is pd.NaT or one is pd.NA:
        return one is other
    if isinstance(one, np.ndarray):
        same_form = one.dtype == other.dtype and one.shape == other.shape
        return same_form and all(map(identical, one.ravel().tolist(), other.ravel().tolist()))
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(identical, one, other))
    if isinstance(one, dict):
        return identical(list(one.items()), list(other.items()))
    if isinstance(one, (set, frozenset)):
        return one == other
    if isinstance(one, (pd.Timestamp, pd.Timedelta)):
        zones = getattr(one, "tzinfo", None), getattr(other, "tzinfo", None)
        return one == other and one.unit == other.unit and str(zones[0]) == str(zones[1])
    if isinstance(one, dt.datetime):
        return repr(one) == repr(other) and one.tzinfo == other.tzinfo
    if isinstance(one, np.generic):
        return one.dtype == other.dtype and repr(one) == repr(other)
    return repr(one) == repr(other)  # which tells -0.0 from 0.0 and knows NaN
