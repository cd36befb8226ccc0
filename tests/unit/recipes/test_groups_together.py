"""Rows that a recipe brought together are not moved again to be grouped."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe.errors import ValidationError

ROWS = 3_000
_NUMBERS = np.random.default_rng(5)
FRAME = pd.DataFrame(
    {
        "k": _NUMBERS.integers(0, 400, ROWS),
        "v": _NUMBERS.random(ROWS),
        "s": _NUMBERS.choice(["one", "two", "three"], ROWS),
    }
)
OTHER = pd.DataFrame({"k": np.arange(200, 600), "t": np.arange(400) % 7})


@pytest.fixture
def ddf():
    return dd.from_pandas(FRAME, npartitions=6)


@pytest.fixture
def other():
    return dd.from_pandas(OTHER, npartitions=3)


def merged(ddf, other, tmp_path, **arguments):
    return safeframe.merge(
        ddf, other, on="k", strategy="staged", npartitions=5, staging=str(tmp_path), **arguments
    )


def same_groups(found, expected):
    pd.testing.assert_series_equal(
        found.compute().sort_index(), expected.sort_index(), check_index_type=False
    )


@pytest.mark.parametrize("how", ["inner", "left", "right", "outer"])
def test_groups_of_a_merge_on_its_key(ddf, other, tmp_path, how):
    result = merged(ddf, other, tmp_path, how=how)
    expected = FRAME.merge(OTHER, on="k", how=how).groupby("k")
    groups = safeframe.groupby(result, "k")
    plan = safeframe.explain(groups.v.sum())
    assert plan.strategy == "whole"
    assert plan.staging_nbytes == 0
    assert plan.output_rows.lower <= expected.ngroups <= plan.output_rows.upper
    assert plan.output_rows.upper <= 400 + 400 * (how in ("right", "outer"))
    same_groups(groups.v.sum(), expected.v.sum())
    same_groups(groups.t.median(), expected.t.median())
    same_groups(safeframe.groupby(result[["v", "k"]], "k").v.max(), expected.v.max())
    same_groups(safeframe.groupby(result.assign(w=result.v * 2), ["k", "s"]).w.sum(), expected_by_two(how))


def expected_by_two(how):
    frame = FRAME.merge(OTHER, on="k", how=how)
    return frame.assign(w=frame.v * 2).groupby(["k", "s"]).w.sum()


def test_rows_move_once(ddf, other, tmp_path):
    """What is staged for a group-by after a merge is what the merge alone stages."""
    result = merged(ddf, other, tmp_path)
    both = safeframe.explain(safeframe.groupby(result, "k").v.sum())
    assert both.staging_nbytes == 0
    assert safeframe.explain(result).staging_nbytes > 0


def test_a_key_that_was_worked_out_since_is_another(ddf, other, tmp_path):
    result = merged(ddf, other, tmp_path)
    found = safeframe.groupby(result.assign(k=result.k % 3), "k").v.sum()
    assert safeframe.explain(found).strategy != "whole"
    frame = FRAME.merge(OTHER, on="k")
    same_groups(found, frame.assign(k=frame.k % 3).groupby("k").v.sum())


def test_other_keys_move(ddf, other, tmp_path):
    found = safeframe.groupby(merged(ddf, other, tmp_path), "t").v.sum()
    assert safeframe.explain(found).strategy == "tree"
    same_groups(found, FRAME.merge(OTHER, on="k").groupby("t").v.sum())


def test_a_key_that_the_merge_cuts_moves(other, tmp_path):
    skewed = pd.DataFrame({"k": np.r_[np.full(4000, 250), np.arange(200, 500)], "v": 1})
    ddf = dd.from_pandas(skewed, npartitions=4)
    result = safeframe.merge(
        ddf, other, on="k", strategy="staged", partition_size=8_000, staging=str(tmp_path)
    )
    found = safeframe.groupby(result, "k").v.sum()
    assert safeframe.explain(found).strategy != "whole"
    same_groups(found, skewed.merge(OTHER, on="k").groupby("k").v.sum())


@pytest.mark.parametrize("by", ["k", ["k", "s"]])
def test_groups_of_an_index_that_was_set(ddf, by, tmp_path):
    indexed = safeframe.set_index(ddf, "k", npartitions=4, staging=str(tmp_path))
    found = safeframe.groupby(indexed, by).v.sum()
    assert safeframe.explain(found).strategy == "whole"
    same_groups(found, FRAME.groupby(by).v.sum())


def test_null_keys_of_an_index_that_was_set(tmp_path):
    frame = FRAME.assign(k=FRAME.k.where(FRAME.k % 5 > 0))
    indexed = safeframe.set_index(
        dd.from_pandas(frame, npartitions=6), "k", npartitions=4, staging=str(tmp_path)
    )
    for dropna in (True, False):
        same_groups(
            safeframe.groupby(indexed, "k", dropna=dropna).v.sum(), frame.groupby("k", dropna=dropna).v.sum()
        )


def test_sorted_rows_may_be_cut_within_a_key(tmp_path):
    frame = pd.DataFrame({"k": np.r_[np.full(3000, 5), np.arange(300)], "v": 1.0})
    ordered = safeframe.sort_values(
        dd.from_pandas(frame, npartitions=5), "k", npartitions=4, staging=str(tmp_path)
    )
    same_groups(safeframe.groupby(ordered, "k").v.sum(), frame.groupby("k").v.sum())


def test_order_is_that_of_all_partitions(ddf, tmp_path):
    shuffled = safeframe.shuffle(ddf, "k", npartitions=4, staging=str(tmp_path))
    assert shuffled.npartitions == 4
    found = safeframe.groupby(shuffled, "k", sort=True).v.sum().compute()
    assert found.index.is_monotonic_increasing
    with pytest.raises(ValidationError, match="sort=True moves them"):
        safeframe.groupby(shuffled, "k", sort=True, strategy="whole").v.sum()


def test_another_number_of_partitions_is_made(ddf, tmp_path):
    shuffled = safeframe.shuffle(ddf, "k", npartitions=4, staging=str(tmp_path))
    found = safeframe.groupby(shuffled, "k", npartitions=7, staging=str(tmp_path)).v.sum()
    assert found.npartitions == 7
    same_groups(found, FRAME.groupby("k").v.sum())


def test_partitions_are_no_larger_than_requested(ddf, tmp_path):
    shuffled = safeframe.shuffle(ddf, "k", npartitions=2, staging=str(tmp_path))
    plan = safeframe.explain(
        safeframe.groupby(shuffled, "k", partition_size=1000, staging=str(tmp_path)).v.median()
    )
    assert plan.largest_partition_nbytes <= 1000


def test_partitions_that_are_too_large_to_be_grouped_as_they_are_move(tmp_path):
    frame = pd.DataFrame({"k": np.arange(300_000), "v": 1.0})
    shuffled = safeframe.shuffle(
        dd.from_pandas(frame, npartitions=8), "k", npartitions=2, staging=str(tmp_path)
    )
    plan = safeframe.explain(
        safeframe.groupby(shuffled, "k", memory="24MiB", staging=str(tmp_path)).v.median()
    )
    assert plan.strategy == "staged"


def test_large_partitions_are_grouped_in_slices(tmp_path, monkeypatch):
    monkeypatch.setattr("safeframe.planning.groupby.plan.slice_nbytes_of", lambda _: 2**20)
    frame = pd.DataFrame({"k": np.arange(400_000) % 1000, "v": np.arange(400_000) % 97, "w": 1.5})
    shuffled = safeframe.shuffle(
        dd.from_pandas(frame, npartitions=8), "k", npartitions=2, staging=str(tmp_path)
    )
    found = safeframe.groupby(shuffled, "k").agg({"v": ["sum", "first"], "w": "mean"})
    plan = safeframe.explain(found)
    assert plan.strategy == "whole"
    assert plan.run.way.slice_rows < 100_000
    pd.testing.assert_frame_equal(
        found.compute().sort_index(), frame.groupby("k").agg({"v": ["sum", "first"], "w": "mean"})
    )


def test_groups_of_several_keys_are_an_interval_where_some_may_be_null(tmp_path):
    frame = FRAME.assign(s=FRAME.s.where(FRAME.k % 3 > 0))
    ddf = dd.from_pandas(frame, npartitions=6)
    rows = safeframe.plan_groupby(ddf, ["k", "s"], "size").output_rows
    n_groups = frame.groupby(["k", "s"]).ngroups
    assert rows.lower <= n_groups <= rows.upper
    assert not rows.exact
    exact = safeframe.plan_groupby(ddf.assign(j=ddf.k % 7), ["k", "j"], "size").output_rows
    assert exact.exact
    assert int(exact) == FRAME.k.nunique()
