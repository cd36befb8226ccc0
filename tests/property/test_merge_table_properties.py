"""A merge that looks up in a table gives the rows of pandas, in the order of the side that looks up."""

from __future__ import annotations

import functools
import itertools
import tempfile
import warnings
from pathlib import Path

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import safeframe
from safeframe import options
from safeframe.facts.merge import KeyTable
from safeframe.sizing.keys import table as key_table
from tests.property.merging import merged_collection
from tests.property.strategies import KEY_KINDS

KINDS = ["int64", "int8", "uint16", "bool", "datetime", "datetime_tz", "Int64", "timedelta"]


@pytest.fixture(autouse=True)
def _tables_of_any_size(monkeypatch):
    monkeypatch.setattr(options, "TABLE_MIN_ROWS", 1)
    monkeypatch.setattr(key_table, "KeyTable", functools.partial(KeyTable, slice_nbytes=64))


def in_files(frame: pd.DataFrame, cuts: list[int], directory: Path) -> dd.DataFrame:
    """Write a frame to a file for each partition, and read it back as it is."""
    directory.mkdir()
    for number, (lo, hi) in enumerate(itertools.pairwise([0, *sorted(cuts), len(frame)])):
        frame.iloc[lo:hi].to_parquet(directory / f"{number}.parquet", index=False)
    return dd.read_parquet(directory)


@st.composite
def build_sides(draw, kind):
    """Draw a side whose keys are mostly unique, with columns of several types."""
    codes = draw(st.lists(st.integers(0, 7), max_size=9, unique=draw(st.integers(0, 4)) > 0))
    n = len(codes)
    floats = st.floats(allow_nan=True, width=32)
    return pd.DataFrame(
        {
            "k": KEY_KINDS[kind](codes),
            "i": draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=n, max_size=n)),
            "f": np.array(draw(st.lists(floats, min_size=n, max_size=n)), "float32"),
            "t": pd.Series(np.arange(n), dtype="int64").astype("datetime64[us]").dt.tz_localize("UTC"),
            "both": np.arange(n) / 2,
        }
    ).astype({"i": "int64"})


@settings(max_examples=30)
@given(data=st.data(), kind=st.sampled_from(KINDS), how=st.sampled_from(["left", "right"]))
def test_rows_of_pandas(data, kind, how):
    build = data.draw(build_sides(kind))
    codes = data.draw(st.lists(st.integers(0, 7), max_size=20))
    probe = pd.DataFrame(
        {"k": KEY_KINDS[kind](codes), "n": np.arange(len(codes)), "both": np.arange(len(codes)) * 1.5}
    )
    cuts = [data.draw(st.lists(st.integers(0, len(side)), max_size=3)) for side in (probe, build)]
    with tempfile.TemporaryDirectory() as directory:
        frames = [
            in_files(side, cut, Path(directory) / name)
            for side, cut, name in zip((probe, build), cuts, ("probe", "build"), strict=True)
        ]
        # What pandas reads: an empty column of integers comes back as one of objects, say.
        with dask.config.set(scheduler="sync"):
            read = [frame.compute().reset_index(drop=True) for frame in frames]
        if how == "right":
            frames, read = frames[::-1], read[::-1]
        expected = read[0].merge(read[1], how=how, on="k")
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            _, plan, found = merged_collection(*frames, how=how, on="k", staging=directory)
        rounded = expected["i"].dtype == "float64" and bool((build["i"].astype(object).abs() > 2**53).any())
        assert any(one.category is safeframe.RoundedIntegersWarning for one in warned) == rounded
        keys = build["k"]
        if plan.run.table is not None:
            assert keys.is_unique
            assert keys.notna().all()
            assert plan.output_rows.exact
            assert plan.strategy == "broadcast"
            pd.testing.assert_frame_equal(found, expected, check_exact=True)
        else:
            order = ["n", "i", "f"]
            found, expected = (frame.sort_values(order, ignore_index=True) for frame in (found, expected))
            pd.testing.assert_frame_equal(found, expected, check_exact=True, check_dtype=False)
        if kind == "int64" and 0 < len(keys) <= len(codes) and keys.is_unique:
            narrow = 4 * len(keys) >= int(keys.max() - keys.min()) + 1
            assert (plan.run.table is not None) == narrow, "a table is taken where it can be"


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_less_of_it(tmp_path, scheduler):
    rng = np.random.default_rng(0)
    left = pd.DataFrame({"k": rng.integers(-5, 300, 1000), "a": rng.integers(0, 9, 1000)})
    right = pd.DataFrame({"k": rng.permutation(250), "b": rng.random(250), "c": np.arange(250)})
    one, other = in_files(left, [100, 100, 600], tmp_path / "l"), in_files(right, [90], tmp_path / "r")
    expected = left.merge(right, how="left", on="k")
    with dask.config.set(scheduler=scheduler):
        merged = safeframe.merge(one, other, on="k", how="left", staging=str(tmp_path / "staging"))
        assert safeframe.explain(merged).run.table is not None
        assert len(merged) == 1000
        found = merged[["a", "c"]].compute()
        assert found.reset_index(drop=True).equals(expected[["a", "c"]])
        assert merged["a"].compute().tolist() == expected["a"].tolist()
        assert merged[merged["a"] > 5]["b"].sum().compute() == pytest.approx(
            expected[expected["a"] > 5]["b"].sum()
        )
        assert merged.groupby("a")["b"].count().compute().sort_index().tolist() == (
            expected.groupby("a")["b"].count().tolist()
        )
        means = merged.groupby("k")["b"].mean().compute().sort_index()
        pd.testing.assert_series_equal(means, expected.groupby("k")["b"].mean())
        assert (merged["a"] * merged["c"]).sum().compute() == (expected["a"] * expected["c"]).sum()
        assert merged["c"].sum().compute() == expected["c"].sum()
        assert len(merged[merged["a"] > 5]) == (expected["a"] > 5).sum()
        assert len(merged.assign(d=merged["c"] * 2).compute()) == 1000
        assert merged.partitions[[3, 1]].compute()["k"].tolist() == left["k"][600:].tolist()
        again = safeframe.merge(merged, other, on="k", how="left", staging=str(tmp_path / "staging"))
        assert len(again.compute()) == 1000
    assert not list((tmp_path / "staging").rglob("table*"))
