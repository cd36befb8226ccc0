"""Frames to group, and what pandas makes of them."""

from __future__ import annotations

import datetime
import decimal
import itertools

import numpy as np
import pandas as pd
import pyarrow as pa

from safeframe.kernels.groupby.families import family, plain
from safeframe.kernels.groupby.spec import DECOMPOSABLE, Aggregation
from safeframe.kernels.groupby.states import GroupStates, decomposable

_STRING = "str" if pd.__version__ >= "3" else "string[pyarrow]"
_TIMES = pd.DatetimeIndex(
    [
        pd.Timestamp(text).as_unit("ns")
        for text in (
            "1969-12-31 23:59:59.999999999",
            "2024-03-31 01:30:00.123456789",
            "2262-04-01",
            "1700-01-01",
        )
    ]
)
_INTEGERS = [2**62, -(2**62), 2**53 + 1, 5, -5, 0, 2**62 + 3, 17]


def _picked(values, codes, dtype, *, null):
    return pd.Series([null if c == 0 else values[c % len(values)] for c in codes], dtype=dtype)


VALUE_KINDS = {
    "int64": lambda codes: pd.Series([_INTEGERS[c] for c in codes], dtype="int64"),
    "int8": lambda codes: pd.Series([(-128, 127, 100, 5, 0, -1, 3, 64)[c] for c in codes], dtype="int8"),
    "int32": lambda codes: pd.Series(codes, dtype="int32") * 1000 - 3,
    "uint64": lambda codes: pd.Series([2**64 - 1 - c if c % 2 else c for c in codes], dtype="uint64"),
    "uint8": lambda codes: pd.Series([c * 31 for c in codes], dtype="uint8"),
    "float64": lambda codes: _picked([0.1, -0.0, 1e9 + 0.25, 3.0, -7.5], codes, "float64", null=np.nan),
    "float32": lambda codes: _picked([0.5, -0.0, 1024.25, 3.0, -7.5], codes, "float32", null=np.nan),
    "infinite": lambda codes: _picked([np.inf, 1.0, -np.inf, 0.0], codes, "float64", null=np.nan),
    "bool": lambda codes: pd.Series([c % 3 == 0 for c in codes], dtype="bool"),
    "Int64": lambda codes: _picked(_INTEGERS, codes, "Int64", null=pd.NA),
    "UInt8": lambda codes: _picked([255, 1, 7], codes, "UInt8", null=pd.NA),
    "Float64": lambda codes: _picked([0.1, -0.0, 2.5], codes, "Float64", null=pd.NA),
    "Float32": lambda codes: _picked([0.5, -0.0, 2.5], codes, "Float32", null=pd.NA),
    "boolean": lambda codes: _picked([True, False], codes, "boolean", null=pd.NA),
    "int64[pyarrow]": lambda codes: _picked(_INTEGERS, codes, "int64[pyarrow]", null=pd.NA),
    "int16[pyarrow]": lambda codes: _picked([32767, -4, 9], codes, "int16[pyarrow]", null=pd.NA),
    "double[pyarrow]": lambda codes: _picked([0.1, -0.0, 2.5], codes, "double[pyarrow]", null=pd.NA),
    "bool[pyarrow]": lambda codes: _picked([True, False], codes, "bool[pyarrow]", null=pd.NA),
    "decimal": lambda codes: _picked(
        [decimal.Decimal("1.25"), decimal.Decimal("-99999.75")],
        codes,
        pd.ArrowDtype(pa.decimal128(9, 3)),
        null=None,
    ),
    "date": lambda codes: _picked(
        [datetime.date(1969, 1, 1), datetime.date(2024, 2, 29)], codes, pd.ArrowDtype(pa.date32()), null=None
    ),
    "timestamp[pyarrow]": lambda codes: _picked(
        list(_TIMES), codes, pd.ArrowDtype(pa.timestamp("ns")), null=None
    ),
    "duration[pyarrow]": lambda codes: _picked(
        [pd.Timedelta(7), pd.Timedelta(-1000)], codes, pd.ArrowDtype(pa.duration("us")), null=None
    ),
    "string": lambda codes: _picked(["b", "", "é", "ab"], codes, _STRING, null=None),
    "string[python]": lambda codes: _picked(["b", "", "é", "ab"], codes, "string[python]", null=None),
    "string[pyarrow type]": lambda codes: _picked(
        ["b", "", "é"], codes, pd.ArrowDtype(pa.string()), null=None
    ),
    "datetime": lambda codes: _picked(list(_TIMES), codes, "datetime64[ns]", null=pd.NaT),
    "datetime[s]": lambda codes: _picked(list(_TIMES.floor("s")), codes, "datetime64[s]", null=pd.NaT),
    "datetime_tz": lambda codes: (
        _picked(list(_TIMES.floor("us")), codes, "datetime64[us]", null=pd.NaT)
        .dt.tz_localize("UTC")
        .dt.tz_convert("Europe/Berlin")
    ),
    "timedelta": lambda codes: _picked(
        [pd.Timedelta(7), pd.Timedelta(-(10**15))], codes, "timedelta64[ns]", null=pd.NaT
    ),
    "category": lambda codes: _picked(["b", "a"], codes, pd.CategoricalDtype(["a", "b", "c"]), null=None),
    "ordered": lambda codes: _picked(
        ["b", "a"], codes, pd.CategoricalDtype(["c", "b", "a"], ordered=True), null=None
    ),
    "object": lambda codes: _picked([1, "a", (2, 3)], codes, object, null=None),
}
"""A column of values of each kind, from codes below eight; code 0 is the null where there is one."""


def asked(frame, column, functions=None, **options):
    """Return those aggregations of a column that states give."""
    found = [
        Aggregation(None if one == "size" else column, one, one, tuple(options.items()))
        for one in functions or sorted(DECOMPOSABLE)
    ]
    return [one for one in found if decomposable(frame[:0], [one])]


def of_pandas(frame, by, aggs, **keywords):
    """Return what pandas gives, functions of one column side by side."""
    grouped = frame.groupby(list(by), sort=False, **keywords)
    columns = {}
    for agg in aggs:
        if agg.column is None:
            columns[agg.label] = grouped.size()
        else:
            with np.errstate(invalid="ignore", over="ignore"):
                columns[agg.label] = getattr(grouped[agg.column], agg.function)(**dict(agg.options))
    return pd.DataFrame(columns)


def by_states(frame, cuts, by, aggs, expected, *, dropna=True, observed=True):
    """Return what states of pieces give, merged in two steps."""
    states = GroupStates.of(frame[:0], by, aggs, dropna=dropna, observed=observed, sort=False)
    bounds = [0, *sorted(cuts), len(frame)]
    pieces = []
    for lo, hi in itertools.pairwise(bounds):
        pieces.append(states.states(frame.iloc[lo:hi]))
        pd.testing.assert_series_equal(pieces[-1].dtypes, states.meta.dtypes)
    half = len(pieces) // 2
    halves = [states.merged(pd.concat(part)) for part in (pieces[:half], pieces[half:]) if part]
    if states.calls_for_groups:
        halves.append(states.unobserved())
    for part in halves:
        pd.testing.assert_series_equal(part.dtypes, states.meta.dtypes)
    return states.finished(states.merged(pd.concat(halves)), expected.iloc[:0])


def assert_same(found, expected):
    """Compare with pandas: floats to the digits that an order of adding leaves."""
    assert found.dtypes.to_list() == expected.dtypes.to_list()
    narrow = [name for name, dtype in expected.dtypes.items() if "32" in str(dtype) or "float[" in str(dtype)]
    # pandas makes these in 32 bits.
    pd.testing.assert_frame_equal(found[narrow], expected[narrow], rtol=1e-5)
    times = [name for name in expected if name == "mean" and _is_time(expected[name].dtype)]
    for name in times:
        # pandas makes the means of times of floats, which tell apart every 256th nanosecond of today.
        assert found[name].isna().to_list() == expected[name].isna().to_list()
        own, theirs = plain(found[name]).values, plain(expected[name]).values
        assert (np.abs(own - theirs) <= np.maximum(1, np.abs(theirs) // 2**52)).all()
    others = [name for name in expected if name not in (*narrow, *times)]
    pd.testing.assert_frame_equal(found[others], expected[others], rtol=1e-9, atol=1e-12)


def _is_time(dtype):
    return family(dtype) in ("datetime", "timedelta")
