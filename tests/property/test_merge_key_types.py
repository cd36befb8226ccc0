"""Keys of two types: merged as pandas merges them, or refused with both types named."""

from __future__ import annotations

import datetime
import decimal
import itertools

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from packaging.version import Version

import safeframe
from tests.property.merging import HOWS, in_dask, merged, same_rows

ARROW = pd.ArrowDtype
NUMBERS = ["int8", "int64", "uint8", "Int64", "float64", "Float64", ARROW(pa.float64())]
STRINGS = [
    "object",
    "str",
    "string[python]",
    ARROW(pa.large_string()),
    "category",
    pd.CategoricalDtype(list("xbac")),
]
TIMES = ["datetime64[ns]", "datetime64[us]", "datetime64[ms]", "datetime64[s]"]
AWARE = ["datetime64[ns, UTC]", "datetime64[us, Europe/Berlin]", "datetime64[s, US/Pacific]"]
ARROW_TIMES = [ARROW(pa.timestamp("us")), ARROW(pa.timestamp("ns"))]
SPANS = ["timedelta64[ns]", "timedelta64[ms]", "timedelta64[s]"]
DAYS = pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-02", "2020-01-03"])
VALUES = {
    "numbers": (NUMBERS, [0, 1, 1, 3], [1, 0, 1, 5]),
    "booleans": (["bool", "boolean", ARROW(pa.bool_())], [True, False, False], [False, True]),
    "strings": (STRINGS, ["a", "b", "b", "c"], ["b", "a", "b", "x"]),
    "times": (TIMES, list(DAYS), [DAYS[1], pd.Timestamp("2021-01-01"), DAYS[1]]),
    "aware times": (AWARE, list(DAYS.tz_localize("UTC")), list(DAYS[1:3].tz_localize("UTC"))),
    "arrow times": (ARROW_TIMES, list(DAYS), list(DAYS[1:3])),
    "spans": (SPANS, list(pd.to_timedelta([1, 2, 2, 3], unit="D")), list(pd.to_timedelta([2, 5], unit="D"))),
    "decimals": (
        [ARROW(pa.decimal128(10, 2)), ARROW(pa.decimal128(12, 4))],
        [decimal.Decimal(n) / 4 for n in (1, 2, 2, 3)],
        [decimal.Decimal(n) / 4 for n in (2, 7)],
    ),
    "dates": (
        [ARROW(pa.date32()), ARROW(pa.date64())],
        [datetime.date(2020, 1, day) for day in (1, 2, 2, 3)],
        [datetime.date(2020, 1, day) for day in (2, 9)],
    ),
    "bytes": ([ARROW(pa.binary()), "object"], [b"a", b"b", b"b"], [b"b", b"c"]),
}
# Each pair of types both ways round, and each of the four joins of every other pair.
PAIRS = [
    pytest.param(name, left, right, HOWS[number % 2 :: 2], id=f"{name}-{left}-{right}")
    for name, (dtypes, _, _) in VALUES.items()
    for number, (left, right) in enumerate(itertools.permutations(dtypes, 2))
]


def keys(name, dtype, side):
    values = pd.Series(VALUES[name][side], dtype=object)
    return values.astype(dtype)


@pytest.mark.parametrize(("name", "left_type", "right_type", "hows"), PAIRS)
def test_two_types_that_pandas_compares(name, left_type, right_type, hows, tmp_path):
    left, right = (
        pd.DataFrame({"k": key, label: np.arange(len(key))})
        for key, label in ((keys(name, left_type, 1), "l"), (keys(name, right_type, 2), "r"))
    )
    for how in hows:
        try:
            expected = left.merge(right, how=how, on="k")
        except (TypeError, ValueError) as error:
            if Version(pd.__version__) >= Version("2.3"):
                raise
            pytest.skip(f"this pandas does not merge them: {error}")
        result, _ = merged(
            in_dask(left, 2), in_dask(right, 1), how=how, on="k", strategy="staged", staging=str(tmp_path)
        )
        assert len(expected) > 0
        same_rows(result, expected, ["l", "r"])


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("empty", [0, 1])
@pytest.mark.parametrize(
    ("name", "types"),
    [
        ("dates", (ARROW(pa.date32()), ARROW(pa.date64()))),
        ("dates", (ARROW(pa.date64()), ARROW(pa.date32()))),
        ("dates", (ARROW(pa.date64()), ARROW(pa.date64()))),
        ("numbers", ("int64", "float64")),
        ("times", ("datetime64[ns]", "datetime64[s]")),
        ("decimals", (ARROW(pa.decimal128(10, 2)), ARROW(pa.decimal128(12, 4)))),
    ],
    ids=str,
)
def test_two_types_of_which_one_side_has_no_rows(name, types, empty, how, tmp_path):
    frames = [
        pd.DataFrame({"k": keys(name, kind, 1 + side), "lr"[side]: np.arange(len(VALUES[name][1 + side]))})
        for side, kind in enumerate(types)
    ]
    frames[empty] = frames[empty].iloc[:0]
    result, _ = merged(
        in_dask(frames[0], 2),
        in_dask(frames[1], 1),
        how=how,
        on="k",
        strategy="staged",
        staging=str(tmp_path),
    )
    same_rows(result, frames[0].merge(frames[1], how=how, on="k"), ["l", "r"])


@pytest.mark.parametrize("left_type", ["int64", "Int64"])
@pytest.mark.parametrize("right_type", ["float64", "Float64", "int32"])
@pytest.mark.parametrize("how", HOWS)
def test_two_types_of_indexes(left_type, right_type, how, tmp_path):
    left = pd.DataFrame({"l": range(4)}, index=pd.Index([0, 1, 1, 3], dtype=left_type, name="k"))
    right = pd.DataFrame({"r": range(3)}, index=pd.Index([1, 5, 1], dtype=right_type, name="k"))
    result, _ = merged(
        in_dask(left, 2),
        in_dask(right, 1),
        how=how,
        left_index=True,
        right_index=True,
        strategy="staged",
        staging=str(tmp_path),
    )
    expected = left.merge(right, how=how, left_index=True, right_index=True)
    same_rows(result, expected, ["l", "r"], index=True)
    assert result.index.dtype == expected.index.dtype


@pytest.mark.parametrize(
    ("left_type", "right_type"),
    [
        ("int64", "string[python]"),
        ("int64", "bool"),
        ("uint64", "int64"),
        ("UInt64", "float64"),
        ("datetime64[ns]", "datetime64[ns, UTC]"),
        ("datetime64[ns]", "int64"),
        ("datetime64[us]", ARROW(pa.timestamp("us"))),
        (ARROW(pa.binary()), "string[python]"),
        (ARROW(pa.decimal128(10, 2)), "int64"),
    ],
)
@pytest.mark.parametrize("index", [False, True])
def test_other_pairs_are_refused_with_both_types_named(left_type, right_type, index):
    left, right = (pd.DataFrame({"k": pd.Series([], dtype=dtype)}) for dtype in (left_type, right_type))
    arguments = {"on": "k"}
    if index:
        left, right = (frame.set_index(pd.Index(frame["k"].array, name="i")) for frame in (left, right))
        arguments = {"left_index": True, "right_index": True}
    with pytest.raises(safeframe.SchemaMismatchError) as caught:
        safeframe.plan_merge(in_dask(left, 1), in_dask(right, 1), **arguments)
    for frame in (left, right):
        assert str(frame["k"].dtype) in caught.value.message


@pytest.mark.parametrize("how", HOWS)
def test_large_integers_meet_floats_exactly_or_not_at_all(how, tmp_path):
    left = in_dask(pd.DataFrame({"k": [2**53, 2**53 + 1, 4], "l": range(3)}), 1)
    right = in_dask(pd.DataFrame({"k": [float(2**53), 5.0], "r": range(2)}), 1)
    arguments = {"how": how, "on": "k", "strategy": "staged", "staging": str(tmp_path)}
    if how == "outer":
        # The result's key would be floats, and one of the integers in it is none.
        with pytest.raises(safeframe.SchemaMismatchError, match=str(2**53 + 1)) as caught:
            safeframe.merge(left, right, **arguments).compute()
        assert caught.value.figures["result_dtype"] == "float64"
        return
    result, plan = merged(left, right, **arguments)
    both = result.dropna()
    assert both["k"].tolist() == [2**53]
    assert len(result) == int(plan.output_rows) == {"inner": 1, "left": 3, "right": 2}[how]
