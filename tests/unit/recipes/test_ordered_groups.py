"""Plans of groups that no task can hold."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe

ROWS = 2_400_000
SMALL = safeframe.ClusterSpec(n_workers=2, memory="384MiB", disk="10GiB")


@pytest.fixture(scope="module")
def mostly_one():
    k = np.where(np.arange(ROWS) % 4 > 0, 7, np.arange(ROWS) % 1000)
    return dd.from_pandas(pd.DataFrame({"k": k, "v": np.arange(ROWS) * 0.5, "w": 1}), npartitions=12)


def plan_of(frame, spec, columns="v", **given):
    return safeframe.plan_groupby(frame, "k", spec, columns=columns, cluster=SMALL, **given)


@pytest.mark.parametrize("spec", ["median", "nunique", "quantile"])
def test_a_heavy_group_is_brought_into_order(mostly_one, spec, tmp_path):
    whole = plan_of(mostly_one, spec, staging=str(tmp_path), strategy="staged")
    plan = plan_of(mostly_one, spec, staging=str(tmp_path))
    assert not whole.fits
    assert plan.fits, plan.details()
    assert plan.strategy == "ordered"
    assert "would need" in next(one.reason for one in plan.rejected if one.strategy == "staged")
    kinds = [step.kind for step in plan.steps]
    assert ("look up row numbers" in kinds) == (spec != "nunique")


def test_groups_that_fit_stay_whole(mostly_one, tmp_path):
    plan = safeframe.plan_groupby(
        mostly_one, "k", "median", columns="v", staging=str(tmp_path), memory="8GiB"
    )
    assert plan.strategy == "staged"


def test_partial_states_need_no_order(mostly_one, tmp_path):
    assert plan_of(mostly_one, "mean", staging=str(tmp_path)).strategy == "tree"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"columns": ["v", "w"]}, "pick it"),
        ({"sort": True}, "comes last"),
        ({"npartitions": 1}, "one is requested"),
    ],
)
def test_what_stays_whole_says_why(mostly_one, given, why, tmp_path):
    with pytest.raises(safeframe.ValidationError, match=why):
        plan_of(mostly_one, "median", staging=str(tmp_path), strategy="ordered", **given)


def test_partitions_do_not_grow_with_the_heavy_group(mostly_one, tmp_path):
    plan = plan_of(mostly_one, "median", staging=str(tmp_path), partition_size="1MiB")
    assert plan.output_partitions > ROWS * 16 / 2**20


def test_who_asks_for_two_columns_learns_that_one_would_do(mostly_one, tmp_path):
    lazy = safeframe.groupby(mostly_one, "k", memory="300MiB", staging=str(tmp_path)).median()
    with pytest.raises(safeframe.MemoryBudgetError, match="of one column of values at a time"):
        lazy.compute()
