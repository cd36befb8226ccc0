"""Aggregations of narrow and wide columns of a merge have pandas' values and types."""

from __future__ import annotations

import dask
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import safeframe
from tests.property.merging import HOWS, in_dask
from tests.property.strategies import partitioned
from tests.property.test_merge_totals_properties import NATIVE, without_rows

NUMBERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64"]
KEYS = ["bool", "int8", "uint8", "uint16", "int32", "uint64", "float32"]
FUNCTIONS = ["sum", "mean", "min", "max", "count"]
WHOLE = {
    f"{function} of {name}": (lambda merged, function=function, name=name: getattr(merged[name], function)())
    for function in FUNCTIONS
    for name in ("k", "a", "b")
}
SUMS = {"k": ["sum", "mean", "count"], "a": FUNCTIONS, "b": FUNCTIONS}
GROUPED = {
    "by key": lambda merged: merged.groupby("k").agg({"a": FUNCTIONS, "b": FUNCTIONS}),
    "by the left": lambda merged: merged.groupby("g").agg(SUMS),
    "by the right": lambda merged: merged.groupby("h").agg(SUMS),
    "by key and the right": lambda merged: merged.groupby(["k", "h"])[["a", "b"]].sum(),
    "of a new column": lambda merged: merged.assign(c=merged["a"] + merged["a"]).groupby("k")["c"].sum(),
    "of what a filter leaves": lambda merged: merged[merged["g"] > 0].groupby("g")[["k", "b"]].sum(),
}


def drawn_values(draw, kind, rows, *, few):
    """Draw values of a type: few different keys, or any values, the largest of the type among them."""
    if kind == "bool":
        numbers = st.booleans()
    elif kind.startswith("float"):
        numbers = st.sampled_from([0.5, 3.25]) if few else st.integers(-1000, 1000).map(lambda n: n / 8)
    else:
        bits = np.iinfo(kind)
        numbers = st.sampled_from([bits.max, bits.max - 1, 3])
        if not few:
            numbers = st.one_of(numbers, st.integers(int(bits.min), int(bits.max)))
    return np.array(draw(st.lists(numbers, min_size=rows, max_size=rows)), kind)


def drawn_side(draw, key, kind, name, group):
    rows = draw(st.integers(0, 10))
    groups = draw(st.lists(st.integers(0, 2), min_size=rows, max_size=rows))
    return pd.DataFrame(
        {
            "k": drawn_values(draw, key, rows, few=True),
            name: drawn_values(draw, kind, rows, few=False),
            group: np.array(groups, "int64"),
        }
    )


def same(found, expected, near):
    """Compare totals: integers to the last bit, and their types; floats nearly, as sums depend on the order."""
    if isinstance(expected, pd.DataFrame):
        pd.testing.assert_index_equal(found.columns, expected.columns)
        for at in range(expected.shape[1]):
            same(found.iloc[:, at], expected.iloc[:, at], near)
    elif isinstance(expected, pd.Series):
        if expected.dtype == "float32":
            # pandas gives a mean of 32-bit floats one or the other type, as they lie in memory; dask the wider.
            assert found.dtype.kind == "f"
            expected = expected.astype(found.dtype)
        pd.testing.assert_series_equal(found, expected, check_index_type=False, rtol=near, atol=near)
    else:
        assert found == pytest.approx(expected, rel=near, abs=near, nan_ok=True)
        if isinstance(expected, np.integer):
            assert type(found) is type(expected)
            assert found == expected


# Values are the largest of their types; what pandas rounds is rounded here as well.
@pytest.mark.filterwarnings("ignore::safeframe.RoundedIntegersWarning")
@settings(max_examples=30)
@given(
    data=st.data(),
    key=st.sampled_from(KEYS),
    kinds=st.tuples(st.sampled_from(NUMBERS), st.sampled_from(NUMBERS)),
    how=st.sampled_from(HOWS),
    name=st.sampled_from([*WHOLE, *GROUPED]),
)
def test_totals_of_any_width_are_those_of_pandas(data, key, kinds, how, name):
    left, right = (
        drawn_side(data.draw, key, kind, *names)
        for kind, names in zip(kinds, (("a", "g"), ("b", "h")), strict=True)
    )
    question = {**WHOLE, **GROUPED}[name]
    if key == "bool" and name in ("min of k", "max of k"):
        return  # of booleans neither is answered without rows
    with dask.config.set(NATIVE):
        merged = safeframe.merge(data.draw(partitioned(left)), data.draw(partitioned(right)), how=how, on="k")
        asked = question(merged)
        assert without_rows(asked) or "filter" in name
        found = asked.compute()
    expected = question(left.merge(right, how=how, on="k"))
    if isinstance(expected, (pd.Series, pd.DataFrame)):
        found, expected = found.sort_index(), expected.sort_index()
    same(found, expected, 1e-5 if "float32" in (key, *kinds) else 1e-12)


@pytest.mark.parametrize(
    "kind", ["Int8", "UInt32", "Float32", "boolean", "int16[pyarrow]", "bool[pyarrow]", "bool"]
)
@pytest.mark.parametrize("how", HOWS)
def test_nullable_columns_are_summed_as_pandas_does(kind, how):
    given_values = [True, False, True, True] if "bool" in kind else [100, 100, 3, 100]
    left = pd.DataFrame({"k": [1, 1, 2, 3], "a": pd.Series(given_values).astype(kind), "g": [0, 0, 1, 1]})
    if kind not in ("bool", "int16[pyarrow]", "bool[pyarrow]"):
        left.loc[2, "a"] = pd.NA
    right = pd.DataFrame({"k": [1, 1, 2, 4] if kind != "bool" else [1, 1, 2, 3], "b": [1, 2, 3, 4]})
    expected = left.merge(right, how=how, on="k")
    with dask.config.set(NATIVE):
        merged = safeframe.merge(in_dask(left, 2), in_dask(right, 2), how=how, on="k")
        for function in ("sum", "count"):
            for by in ("k", "g", "b"):
                found = getattr(merged.groupby(by)["a"], function)().compute().sort_index()
                known = getattr(expected.groupby(by)["a"], function)()
                pd.testing.assert_series_equal(found, known, check_dtype=False, check_index_type=False)
            assert getattr(merged["a"], function)().compute() == getattr(expected["a"], function)()


@pytest.mark.filterwarnings("ignore::safeframe.RoundedIntegersWarning")
def test_means_of_large_integers_do_not_wrap():
    left = pd.DataFrame({"k": [0] * 4, "a": [1_700_000_000_000_000_000] * 4})
    right = pd.DataFrame({"k": [0, 0, 0, 1], "b": [1, 2, 3, 4]})
    for how in HOWS:
        with dask.config.set(NATIVE):
            merged = safeframe.merge(in_dask(left, 2), in_dask(right, 2), how=how, on="k")
            assert merged["a"].mean().compute() == pytest.approx(1.7e18, rel=1e-15)
            assert merged.groupby("k")["a"].mean().compute().loc[0] == pytest.approx(1.7e18, rel=1e-15)


@pytest.mark.parametrize("by", ["k", ["k", "j"], "g"])
def test_infinities_of_both_signs_make_no_number(by):
    left = pd.DataFrame(
        {"k": [1, 1, 1, 2], "j": [1, 2, 2, 1], "a": [np.inf, -np.inf, 1.0, 2.0], "g": [1, 1, 1, 2]}
    )
    right = pd.DataFrame({"k": [1, 1, 2], "j": [1, 2, 1], "b": [1, 2, 3]})
    expected = left.merge(right, on=["k", "j"])
    for partitions in (1, 4):
        with dask.config.set(NATIVE):
            merged = safeframe.merge(in_dask(left, partitions), in_dask(right, 2), on=["k", "j"])
            found = merged.groupby(by).agg({"a": ["sum", "mean"]}).compute()
            with np.errstate(invalid="ignore"):
                known = expected.groupby(by).agg({"a": ["sum", "mean"]})
            pd.testing.assert_frame_equal(found, known)
            assert np.isnan(merged["a"].sum().compute())
