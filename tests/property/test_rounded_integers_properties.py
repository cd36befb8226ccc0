"""Integers of a merge stay exact where each row has a match; where they are rounded, a warning says so before."""

from __future__ import annotations

import warnings

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from tests.property.merging import HOWS, in_dask

LARGE = 2**53 + 1
SIDES = {
    "all match": ([1, 2, 3], [1, 2, 3]),
    "the left has more": ([1, 2, 3, 4], [1, 2, 3]),
    "the right has more": ([1, 2, 3], [1, 2, 3, 4]),
    "both have more": ([1, 2, 3, 4], [1, 2, 3, 5]),
}


def source(frame, kind, directory):
    if kind == "from_pandas":
        return in_dask(frame, 2)
    if kind == "from_map":
        halves = [frame.iloc[: len(frame) // 2], frame.iloc[len(frame) // 2 :]]
        return dd.from_map(lambda i: halves[i], range(2), meta=frame.iloc[:0])
    directory.mkdir()
    frame.to_parquet(directory / "0.parquet", index=False)
    return dd.read_parquet(directory)


@pytest.mark.parametrize("kind", ["from_pandas", "from_map", "parquet"])
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("which", SIDES)
def test_a_warning_is_given_exactly_where_integers_are_rounded(which, how, kind, tmp_path):
    left, right = (pd.DataFrame({"k": keys, "n": np.arange(len(keys))}) for keys in SIDES[which])
    left, right = (
        left.assign(a=LARGE + left["n"]),
        right.assign(b=np.uint64(2**63) + right["n"].astype("uint64")),
    )
    expected = left.merge(right, how=how, on="k")
    with dask.config.set(scheduler="sync"), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        sides = source(left, kind, tmp_path / "l"), source(right, kind, tmp_path / "r")
        merged = safeframe.merge(*sides, how=how, on="k", staging=str(tmp_path))
        found = merged.compute().sort_values("k", ignore_index=True)
    pd.testing.assert_frame_equal(found, expected.sort_values("k", ignore_index=True), check_exact=True)
    ours = [one for one in warned if one.category is safeframe.RoundedIntegersWarning]
    said = "".join(str(one.message) for one in ours)
    for name, side, hint in (("a", "left", "{'a': 'Int64'}"), ("b", "right", "{'b': 'UInt64'}")):
        rounded = expected[name].dtype == "float64"
        assert (f"{name!r} are beyond 2**53" in said) == rounded
        assert (f"{side}.astype({hint})" in said) == rounded
    assert all(one.filename == __file__ for one in ours), "it points to the call"


@pytest.mark.parametrize("strategy", ["staged", "broadcast", "sorted"])
def test_every_strategy_keeps_integers_exact_where_all_rows_match(strategy, tmp_path):
    left = pd.DataFrame({"k": np.repeat(np.arange(50), 3), "a": np.arange(150) + LARGE})
    right = pd.DataFrame({"k": np.arange(50), "b": np.arange(50) + LARGE})
    for how in HOWS[: 2 if strategy == "broadcast" else None]:
        with dask.config.set(scheduler="sync"):
            sides = [
                dd.from_pandas(one.set_index("k"), npartitions=3) if strategy == "sorted" else in_dask(one, 3)
                for one in (left, right)
            ]
            keys = {"left_index": True, "right_index": True} if strategy == "sorted" else {"on": "k"}
            merged = safeframe.merge(*sides, how=how, **keys, strategy=strategy, staging=str(tmp_path))
            found = merged.compute()
        assert found["a"].dtype == found["b"].dtype == "int64"
        assert found["a"].sort_values().tolist() == left["a"].tolist()
        assert sorted(set(found["b"])) == right["b"].tolist()


def test_what_is_small_or_narrow_or_nullable_is_not_warned_of(tmp_path):
    left = pd.DataFrame({"k": [1, 2]})
    right = pd.DataFrame({
        "k": [1], "a": [2**53], "b": np.array([2**31 - 1], "int32"), "c": pd.array([2**62 + 1], "Int64"),
    })  # fmt: skip
    with dask.config.set(scheduler="sync", **{"dataframe.convert-string": False}):
        merged = safeframe.merge(
            in_dask(left, 1), in_dask(right, 1), how="left", on="k", staging=str(tmp_path)
        )
        pd.testing.assert_frame_equal(
            merged.compute().reset_index(drop=True), left.merge(right, how="left", on="k")
        )


@pytest.mark.parametrize("null", [False, True])
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("missing", [0, 1])
def test_integers_stay_exact_where_keys_are_sampled(how, missing, null, tmp_path):
    keys = np.random.default_rng(0).permutation(3000)
    left = pd.DataFrame({"k": keys, "a": np.arange(3000) + LARGE})
    right = pd.DataFrame({"k": np.append(keys[: 3000 - missing], keys[:100])})
    right["b"] = np.arange(len(right)) + LARGE
    if null:
        left, right = (side.astype({"k": "Int64"}) for side in (left, right))
        left.loc[5, "k"] = right.loc[5, "k"] = pd.NA
    expected = left.merge(right, how=how, on="k").sort_values(["a", "b"], ignore_index=True)
    rounded = [name for name in ("a", "b") if expected[name].dtype == "float64"]
    assert not rounded or missing or null
    with dask.config.set({"scheduler": "sync", "safeframe.key-capacity": 1024}):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            merged = safeframe.merge(
                in_dask(left, 3), in_dask(right, 3), how=how, on="k", staging=str(tmp_path)
            )
        found = merged.compute().sort_values(["a", "b"], ignore_index=True)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert dict(merged.dtypes) == dict(expected.dtypes)
    assert [one.category for one in warned] == [safeframe.RoundedIntegersWarning] * len(rounded)
