"""Aggregations of a merge are those of pandas' merge, and none of its rows is made for them."""

from __future__ import annotations

import dask
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import safeframe
from safeframe.engine.merge.nodes import SafeMerge
from safeframe.engine.merge.without_rows.totals_nodes import GroupTotals, JoinTotals
from tests.expressions import nodes_of
from tests.property.merging import HOWS, in_dask
from tests.property.strategies import key_frames, partitioned

NATIVE = {"scheduler": "sync", "dataframe.convert-string": False}

GROUPED = {
    "mean of the right": lambda merged: merged.groupby("k")["both_y"].mean(),
    "mean of the left": lambda merged: merged.groupby("k")["both_x"].mean(),
    "sums": lambda merged: merged.groupby("k")[["l", "r"]].sum(),
    "nulls as a group": lambda merged: merged.groupby("k", dropna=False)[["l", "both_y"]].sum(),
    "count": lambda merged: merged.groupby("k").count(),
    "size": lambda merged: merged.groupby("k").size(),
    "least and largest": lambda merged: merged.groupby("k").agg({"l": ["min", "max"], "both_y": "min"}),
    "many of one column": lambda merged: merged.groupby("k")["both_x"].agg(["sum", "mean", "max", "count"]),
    "by new names": lambda merged: merged.groupby("k").agg(one=("l", "sum"), other=("both_y", "mean")),
    "in no order": lambda merged: merged.groupby("k", sort=False)["l"].max(),
}
WHOLE = {
    "sum": lambda merged: merged["l"].sum(),
    "sum of floats": lambda merged: merged["both_y"].sum(),
    "mean": lambda merged: merged["both_x"].mean(),
    "count": lambda merged: merged["r"].count(),
    "min": lambda merged: merged["both_x"].min(),
    "max": lambda merged: merged["r"].max(),
    "count of the key": lambda merged: merged["k"].count(),
}
KEYS = ["int64", "float", "string", "datetime", "datetime_tz", "bool", "uint16", "Int64", "timedelta"]


def without_rows(collection):
    kinds = {type(node) for node in nodes_of(collection, object)}
    return bool(kinds & {JoinTotals, GroupTotals}) and not any(issubclass(kind, SafeMerge) for kind in kinds)


def same(found, expected):
    if isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-12)
    elif isinstance(expected, pd.Series):
        pd.testing.assert_series_equal(found, expected, check_dtype=False, rtol=1e-12)
    else:
        assert found == pytest.approx(expected, rel=1e-12, nan_ok=True)


@settings(max_examples=30)
@given(data=st.data(), kind=st.sampled_from(KEYS), how=st.sampled_from(HOWS))
def test_totals_are_those_of_pandas(data, kind, how):
    left = data.draw(key_frames([kind], names=["k"], extra="l"))
    right = data.draw(key_frames([kind], names=["k"], extra="r"))
    name = data.draw(st.sampled_from([*GROUPED, *WHOLE]))
    with dask.config.set(NATIVE):
        sides = data.draw(partitioned(left)), data.draw(partitioned(right))
        merged = safeframe.merge(*sides, how=how, on="k")
        question = {**GROUPED, **WHOLE}[name]
        asked = question(merged)
        assert without_rows(asked)
        found = asked.compute()
    expected = question(left.merge(right, how=how, on="k"))
    if name == "in no order":
        found, expected = found.sort_index(), expected.sort_index()
    same(found, expected)
    if isinstance(expected, (pd.Series, pd.DataFrame)):
        assert found.index.dtype == asked._meta.index.dtype or len(found) == 0


@settings(max_examples=25)
@given(data=st.data(), how=st.sampled_from(HOWS))
def test_by_one_of_two_keys(data, how):
    left = data.draw(key_frames(["int64", "string"], names=["k", "j"], extra="l"))
    right = data.draw(key_frames(["int64", "string"], names=["k", "j"], extra="r"))
    with dask.config.set(NATIVE):
        merged = safeframe.merge(
            data.draw(partitioned(left)), data.draw(partitioned(right)), how=how, on=["k", "j"]
        )
        for by in ("k", ["j", "k"]):
            asked = merged.groupby(by)[["l", "both_y"]].sum()
            assert without_rows(asked)
            same(
                asked.compute(), left.merge(right, how=how, on=["k", "j"]).groupby(by)[["l", "both_y"]].sum()
            )


GROUPS = [
    "l",
    "r",
    "both_x",
    "both_y",
    ["k", "l"],
    ["both_y", "k"],
    ["r", "both_y"],
    ["l", "r"],
    ["k", "both_x"],
]


@settings(max_examples=40)
@given(
    data=st.data(),
    kind=st.sampled_from(KEYS),
    how=st.sampled_from(HOWS),
    by=st.sampled_from(GROUPS),
    dropna=st.booleans(),
)
def test_by_columns_of_one_side(data, kind, how, by, dropna):
    left = data.draw(key_frames([kind], names=["k"], extra="l"))
    right = data.draw(key_frames([kind], names=["k"], extra="r"))
    # Few groups, some of them null, that keys share.
    left = left.assign(l=left["l"] % 3, both=left["both"].where(left["both"] % 2 < 1) % 3)
    right = right.assign(r=right["r"] % 4, both=right["both"].where(right["both"] % 2 < 1) % 3)

    def question(merged):
        grouped = merged.assign(x=merged["both_x"], y=merged["both_y"]).groupby(by, dropna=dropna)
        return grouped.agg({"x": ["sum", "mean", "min"], "y": ["count", "max", "mean", "sum"]})

    with dask.config.set(NATIVE):
        sides = data.draw(partitioned(left)), data.draw(partitioned(right))
        asked = question(safeframe.merge(*sides, how=how, on="k"))
        found = asked.compute()
    named = {*([by] if isinstance(by, str) else by)} - {"k"}
    of_left, of_right = bool(named & {"l", "both_x"}), bool(named & {"r", "both_y"})
    rows_of_others = how == "outer" or how == ("right" if of_left else "left")
    if not (of_left and of_right) and (dropna or not rows_of_others):
        assert without_rows(asked)
    same(found.sort_index(), question(left.merge(right, how=how, on="k")).sort_index())


def test_groups_of_categories_and_words_and_times():
    rng = np.random.default_rng(0)
    left = pd.DataFrame(
        {
            "k": rng.integers(0, 5, 60),
            "word": rng.choice(["a", "b", None], 60),
            "kind": pd.Categorical(rng.choice(["x", "y"], 60), ["x", "y", "z"]),
            "at": pd.Timestamp("2026", tz="Europe/Vienna") + pd.to_timedelta(rng.integers(0, 3, 60), "h"),
        }
    )
    right = pd.DataFrame({"k": rng.integers(2, 7, 30), "r": np.arange(30)})
    expected = left.merge(right, on="k")
    for settings_ in (NATIVE, {"scheduler": "sync"}):
        with dask.config.set(settings_):
            merged = safeframe.merge(in_dask(left, 3), in_dask(right, 2), on="k")
            for by in ("word", "at", ["at", "word"], ["word", "k"]):
                asked = merged.groupby(by)["r"].mean()
                assert without_rows(asked)
                found = asked.compute()
                pd.testing.assert_series_equal(
                    found, expected.groupby(by)["r"].mean(), check_index_type=settings_ is NATIVE
                )
                assert found.index.dtype == asked._meta.index.dtype
            by_kind = merged.groupby("kind", observed=False)["r"].sum()
            assert not without_rows(by_kind)
            same(by_kind.compute(), expected.groupby("kind", observed=False)["r"].sum())


def test_new_columns_and_filters_of_a_side_are_grouped_by():
    rng = np.random.default_rng(0)
    left = pd.DataFrame({"k": rng.integers(0, 5, 60), "l": np.arange(60)})
    right = pd.DataFrame({"k": rng.integers(2, 7, 30), "r": np.arange(30)})

    def question(merged):
        made = merged.assign(hour=merged["l"] % 24)
        return made[made["hour"] > 3].groupby("hour")["r"].sum()

    with dask.config.set(NATIVE):
        merged = safeframe.merge(in_dask(left, 3), in_dask(right, 2), on="k")
        asked = question(merged)
        assert without_rows(asked)
        same(asked.compute(), question(left.merge(right, on="k")))


def test_sums_of_integers_are_exact():
    left = pd.DataFrame({"k": [1, 1, 2], "a": [2**60, -(2**60) + 1, 3]})
    right = pd.DataFrame({"k": [1] * 3 + [2], "b": [1, 2, 2**52 + 1, 7]})
    with dask.config.set(NATIVE):
        merged = safeframe.merge(in_dask(left, 2), in_dask(right, 2), on="k")
        by_key = merged.groupby("k")[["a", "b"]].sum()
        assert without_rows(by_key)
        expected = left.merge(right, on="k")
        pd.testing.assert_frame_equal(by_key.compute(), expected.groupby("k")[["a", "b"]].sum())
        assert merged["a"].sum().compute() == expected["a"].sum() == 6


FALLS_BACK = {
    "by columns of both sides": lambda merged: merged.groupby(["l", "r"])["k"].sum(),
    "a median": lambda merged: merged.groupby("k")["l"].median(),
    "a product's mean": lambda merged: (merged["l"] * merged["r"]).mean(),
    "a product by key": lambda merged: merged.assign(c=merged["l"] * merged["r"]).groupby("k")["c"].sum(),
    "a sum of both sides": lambda merged: (merged["l"] + merged["r"]).sum(),
    "running sums": lambda merged: merged["l"].cumsum().max(),
    "after a filter of both sides": lambda merged: merged[merged["l"] < merged["r"]]["l"].sum(),
    "sums with a least count": lambda merged: merged.groupby("k")["l"].sum(min_count=3),
    "several columns at once": lambda merged: merged[["l", "r"]].sum(),
}


@pytest.mark.parametrize("name", FALLS_BACK)
def test_what_needs_rows_gets_them(name):
    rng = np.random.default_rng(0)
    left = pd.DataFrame({"k": rng.integers(0, 5, 60), "l": np.arange(60)})
    right = pd.DataFrame({"k": rng.integers(2, 7, 30), "r": np.arange(30)})
    with dask.config.set(NATIVE):
        merged = safeframe.merge(in_dask(left, 3), in_dask(right, 2), on="k")
        found = FALLS_BACK[name](merged).compute()
    expected = FALLS_BACK[name](left.merge(right, on="k"))
    found = found.sort_index() if hasattr(found, "sort_index") else found
    same(found, expected)


def test_a_filter_of_one_side_goes_along():
    rng = np.random.default_rng(0)
    left = pd.DataFrame({"k": rng.integers(0, 5, 60), "l": np.arange(60)})
    right = pd.DataFrame({"k": rng.integers(2, 7, 30), "r": np.arange(30)})
    with dask.config.set(NATIVE):
        merged = safeframe.merge(in_dask(left, 3), in_dask(right, 2), on="k")
        asked = merged[merged["l"] > 20].groupby("k")["r"].sum()
        assert without_rows(asked)
        expected = left.merge(right, on="k")
        same(asked.compute(), expected[expected["l"] > 20].groupby("k")["r"].sum())


def test_more_keys_than_a_task_holds_are_left_to_rows():
    frame = pd.DataFrame({"k": np.arange(2000), "a": np.arange(2000)})
    with dask.config.set(NATIVE):
        few = safeframe.merge(in_dask(frame, 2), in_dask(frame, 2), on="k")
        plan = safeframe.explain(few)
        assert without_rows(few["a_x"].sum())
        small = safeframe.merge(
            in_dask(frame, 2), in_dask(frame, 2), on="k", memory=plan.budget.reserved_nbytes + 2**20
        )
        assert not without_rows(small["a_x"].sum())
