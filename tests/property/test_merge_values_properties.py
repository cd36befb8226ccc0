"""Aggregations of new columns of a merge, of products and of what a filter leaves are those of pandas, without rows."""

from __future__ import annotations

import dask
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import safeframe
from safeframe.engine.merge.nodes import SafeMerge
from safeframe.engine.merge.without_rows.waiting import MergeValue
from tests.expressions import nodes_of
from tests.property.merging import HOWS, in_dask
from tests.property.strategies import key_frames, partitioned
from tests.property.test_merge_totals_properties import NATIVE, same, without_rows


def then(frame, step):
    return step(frame)


OF_ONE_SIDE = {
    "a function's mean": lambda m: np.sqrt(m["both_y"]).mean(),
    "arithmetic": lambda m: (m["both_y"] * 2 - m["r"]).sum(),
    "with the key": lambda m: (m["both_x"] * m["k"]).max(),
    "a comparison": lambda m: (m["both_y"] > 2).sum(),
    "nulls": lambda m: m["both_y"].isna().sum(),
    "filled": lambda m: m["both_x"].fillna(-1.0).min(),
    "under a name": lambda m: (m["l"] + 1).rename("z").sum(),
    "with a figure of all rows": lambda m: (m["l"] - m["l"].max()).sum(),
    "by key": lambda m: m.assign(c=m["both_y"] * 2).groupby("k")["c"].mean(),
    "several by key": lambda m: (
        m.assign(c=m["r"] * 2, d=m["l"] + 1).groupby("k").agg({"c": ["sum", "max"], "d": "min"})
    ),
    "of a filter": lambda m: m[m["l"] > 3]["both_y"].sum(),
    "of a filter of a function": lambda m: m[m["r"] * 2 > 3]["l"].count(),
    "of a filter, by key": lambda m: m[m["r"] > 3].groupby("k")["both_x"].mean(),
}
OF_BOTH = {
    "integers": lambda m: (m["l"] * m["r"]).sum(),
    "floats": lambda m: (m["both_y"] * m["both_x"]).sum(),
    "mixed": lambda m: (m["l"] * m["both_y"]).sum(),
    "of functions": lambda m: ((m["l"] * 2 + 1) * np.sqrt(m["both_y"])).sum(),
    "of a filter": lambda m: then(m[m["l"] > 2], lambda x: (x["l"] * x["both_y"]).sum()),
    "with the key": lambda m: ((m["l"] - 1) * (m["r"] * m["k"])).sum(),
}
ASKED = {**OF_ONE_SIDE, **{f"products: {name}": ask for name, ask in OF_BOTH.items()}}


def value_of(asked):
    """Compute what was asked; where rows are made and dask groups them, without its group of nulls.

    dask 2026.8 gives ``mean()`` of a group-by such a group where every key is null; pandas has none.
    """
    found = asked.compute()
    if isinstance(found, (pd.DataFrame, pd.Series)) and not without_rows(asked):
        return found[found.index.notna()]
    return found


@settings(max_examples=40)
@given(
    data=st.data(),
    kind=st.sampled_from(["int64", "float", "Int64"]),
    how=st.sampled_from(HOWS),
    name=st.sampled_from(sorted(ASKED)),
)
def test_totals_are_those_of_pandas(data, kind, how, name):
    left = data.draw(key_frames([kind], names=["k"], extra="l"))
    right = data.draw(key_frames([kind], names=["k"], extra="r"))
    with dask.config.set(NATIVE):
        sides = data.draw(partitioned(left)), data.draw(partitioned(right))
        found = value_of(ASKED[name](safeframe.merge(*sides, how=how, on="k")))
    expected = ASKED[name](left.merge(right, how=how, on="k"))
    same(np.nan if found is pd.NA else found, np.nan if expected is pd.NA else expected)


def tables():
    rng = np.random.default_rng(0)
    left = pd.DataFrame({"k": rng.integers(0, 5, 60), "l": np.arange(60), "both": rng.random(60)})
    right = pd.DataFrame({"k": rng.integers(0, 5, 30), "r": np.arange(30), "both": rng.random(30)})
    return left, right


@pytest.mark.parametrize("name", sorted(ASKED))
@pytest.mark.parametrize("how", ["inner", "left"])
def test_where_every_row_has_a_match_no_row_is_made(name, how):
    left, right = tables()
    with dask.config.set(NATIVE):
        merged = safeframe.merge(in_dask(left, 3), in_dask(right, 2), on="k", how=how)
        asked = ASKED[name](merged)
        if how == "inner" or "filter" not in name:
            assert without_rows(asked)
        same(asked.compute(), ASKED[name](left.merge(right, on="k", how=how)))


def test_products_of_integers_overflow_as_in_pandas():
    left = pd.DataFrame({"k": [1, 1, 2], "a": [2**62, 2**61 + 3, 5]})
    right = pd.DataFrame({"k": [1, 1, 2], "b": [7, 2**40 + 1, 2**60]})
    with dask.config.set(NATIVE):
        merged = safeframe.merge(in_dask(left, 2), in_dask(right, 2), on="k")
        asked = (merged["a"] * merged["b"]).sum()
        assert without_rows(asked)
        found = asked.compute()
    expected = left.merge(right, on="k")
    assert found == (expected["a"] * expected["b"]).sum()
    assert found != (expected["a"].astype(object) * expected["b"].astype(object)).sum()


@pytest.mark.parametrize(
    "types", [("int8", "int8"), ("uint8", "uint8"), ("int32", "int16"), ("float32", "float32")]
)
def test_products_of_narrow_numbers_are_left_to_rows(types):
    left = pd.DataFrame({"k": [1, 1, 2], "a": np.array([100, 90, 5], types[0])})
    right = pd.DataFrame({"k": [1, 1, 2], "b": np.array([100, 7, 9], types[1])})
    with dask.config.set(NATIVE):
        merged = safeframe.merge(in_dask(left, 2), in_dask(right, 2), on="k")
        asked = (merged["a"] * merged["b"]).sum()
        assert not without_rows(asked)
        expected = left.merge(right, on="k")
        assert asked.compute() == (expected["a"] * expected["b"]).sum()


INFINITE = st.lists(st.sampled_from([np.inf, -np.inf, 0.0, -0.0, 1.5, -2.0, np.nan]), max_size=4)


@settings(max_examples=30)
@given(left=st.tuples(INFINITE, INFINITE), right=st.tuples(INFINITE, INFINITE))
def test_products_of_infinite_numbers(left, right):
    sides = [
        pd.DataFrame(
            {"k": np.repeat([0, 1], [len(one), len(other)]), name: np.array([*one, *other], "float64")}
        )
        for name, (one, other) in (("a", left), ("b", right))
    ]
    with dask.config.set(NATIVE):
        merged = safeframe.merge(in_dask(sides[0], 1), in_dask(sides[1], 1), on="k", how="left")
        asked = (merged["a"] * merged["b"]).sum()
        assert without_rows(asked)
        found = asked.compute()
    expected = sides[0].merge(sides[1], on="k", how="left")
    with np.errstate(invalid="ignore"):
        np.testing.assert_equal(found, (expected["a"] * expected["b"]).sum())


def test_finite_numbers_whose_sum_is_infinite_are_multiplied_as_they_are():
    left = pd.DataFrame({"k": [1, 1, 2, 2, 3], "a": [1e308, 1e308, 1e308, 1e308, np.inf]})
    right = pd.DataFrame({"k": [2, 3], "b": [0.0, 0.25]})
    with dask.config.set(NATIVE):
        merged = safeframe.merge(in_dask(left, 1), in_dask(right, 1), on="k", how="left")
        asked = (merged["a"] * merged["b"]).sum()
        assert without_rows(asked)
        assert asked.compute() == np.inf


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", ["l", "r", "k"])
def test_rows_that_a_filter_leaves_are_counted(how, name):
    left, right = tables()
    right = right[right["k"] != 3]
    with dask.config.set(NATIVE):
        merged = safeframe.merge(in_dask(left, 3), in_dask(right, 2), on="k", how=how)
        filtered = merged[merged[name] > 2]
        expected = left.merge(right, on="k", how=how)
        assert len(filtered) == (expected[name] > 2).sum()


def test_a_count_of_what_a_filter_leaves_makes_no_row():
    left, right = tables()
    with dask.config.set(NATIVE):
        merged = safeframe.merge(in_dask(left, 3), in_dask(right, 2), on="k")
        expected = left.merge(right, on="k")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SafeMerge, "_lower", None)
            assert len(merged[merged["l"] > 20]) == (expected["l"] > 20).sum()
            assert (
                len(merged[(merged["l"] > 20) & (merged["r"] * 2 > 9)]["k"])
                == ((expected["l"] > 20) & (expected["r"] * 2 > 9)).sum()
            )


def test_what_is_wanted_next_to_its_total_is_made_once():
    left, right = tables()
    with dask.config.set(NATIVE):
        merged = safeframe.merge(in_dask(left, 3), in_dask(right, 2), on="k")
        made = merged["l"] * 2
        total, values = dask.compute(made.sum(), made)
        kinds = [type(node) for node in nodes_of(made, object)]
    assert total == values.sum()
    assert MergeValue not in kinds


def test_columns_that_wait_in_vain_are_what_they_were():
    left, right = tables()
    with dask.config.set(NATIVE):
        merged = safeframe.merge(in_dask(left, 3), in_dask(right, 2), on="k")
        expected = left.merge(right, on="k")
        made = (merged["l"] + merged["r"]).rename("z")
        same(made.max().compute(), (expected["l"] + expected["r"]).max())
        by_side = merged.assign(c=merged["l"] + 1).groupby("l")["c"].sum()
        same(
            by_side.compute().sort_index(),
            expected.assign(c=expected["l"] + 1).groupby("l")["c"].sum(),
        )
