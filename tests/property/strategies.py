"""Hypothesis strategies: frames with keys of every kind, and partitionings."""

from __future__ import annotations

import datetime
import decimal
from itertools import pairwise

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st

__all__ = ["KEY_KINDS", "key_frames", "partitioned"]

_STRING = "str" if pd.__version__ >= "3" else "string[pyarrow]"
_TIMES = pd.date_range("2024-03-30 22:00", periods=8, freq="45min")

KEY_KINDS = {
    "int64": lambda codes: pd.Series(codes, dtype="int64") - 3,
    "int8": lambda codes: pd.Series(codes, dtype="int8"),
    "uint16": lambda codes: pd.Series(codes, dtype="uint16"),
    "float": lambda codes: pd.Series([np.nan if c == 0 else c / 4 - 1 for c in codes], dtype="float64"),
    "bool": lambda codes: pd.Series([c % 2 == 0 for c in codes], dtype="bool"),
    "string": lambda codes: pd.Series([None if c == 0 else "k" * c for c in codes], dtype=_STRING),
    "datetime": lambda codes: pd.Series(
        [pd.NaT if c == 0 else _TIMES[c] for c in codes], dtype="datetime64[ns]"
    ),
    "datetime_tz": lambda codes: (
        pd.Series([pd.NaT if c == 0 else _TIMES[c] for c in codes], dtype="datetime64[ns]")
        .dt.tz_localize("UTC")
        .dt.tz_convert("Europe/Berlin")
    ),
    "category": lambda codes: pd.Series(
        pd.Categorical(
            [None if c == 0 else f"c{c}" for c in codes], categories=[f"c{i}" for i in range(1, 8)]
        )
    ),
    "Int64": lambda codes: pd.Series([pd.NA if c == 0 else c for c in codes], dtype="Int64"),
    "date": lambda codes: pd.Series(
        [None if c == 0 else datetime.date(1969, 12, 28 + c % 4) for c in codes],
        dtype=pd.ArrowDtype(pa.date32()),
    ),
    "decimal": lambda codes: pd.Series(
        [None if c == 0 else decimal.Decimal(c - 3) / 4 for c in codes],
        dtype=pd.ArrowDtype(pa.decimal128(9, 3)),
    ),
    "timedelta": lambda codes: pd.Series([pd.Timedelta(minutes=c) for c in codes], dtype="timedelta64[ns]"),
}
"""A key column of each kind, from small codes; code 0 is the null where there is one."""


@st.composite
def key_frames(draw, kinds, *, names, extra, max_rows=24):
    """Draw a frame with one key column of each kind, and a column that numbers the rows."""
    shape = draw(st.sampled_from(["spread", "one key", "mostly one key"]))
    # Rows of one key multiply: of half as many a join still fills many small partitions.
    n_rows = draw(st.integers(0, max_rows if shape == "spread" else max_rows // 2))
    codes = {
        "spread": st.integers(0, 7),
        "one key": st.just(draw(st.integers(0, 7))),
        "mostly one key": st.one_of(st.just(3), st.just(3), st.integers(0, 7)),
    }[shape]
    columns = {
        name: KEY_KINDS[kind](draw(st.lists(codes, min_size=n_rows, max_size=n_rows)))
        for name, kind in zip(names, kinds, strict=True)
    }
    return pd.DataFrame({**columns, extra: np.arange(n_rows, dtype="int64"), "both": np.arange(n_rows) / 2})


@st.composite
def partitioned(draw, frame, *, index=False):
    """Draw a way to cut a frame into partitions, empty ones among them; with ``index`` they keep theirs."""
    n_rows = len(frame)
    cuts = sorted(draw(st.lists(st.integers(0, n_rows), max_size=4)))
    bounds = [0, *cuts, n_rows]
    pieces = [frame.iloc[lo:hi] for lo, hi in pairwise(bounds)]
    if not index:
        pieces = [piece.reset_index(drop=True) for piece in pieces]
    with dask.config.set({"dataframe.convert-string": False}):  # pandas is to judge the frame's own types
        return dd.from_map(lambda i: pieces[i], range(len(pieces)), meta=frame.iloc[:0])


class Reversed:
    """A value in the reversed order."""

    def __init__(self, value):
        self.value = value

    def __lt__(self, other):
        return other.value < self.value

    def __eq__(self, other):
        return self.value == other.value
