"""``safeframe.measure`` around a merge: what ran, how many rows, and the promise kept."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import Client

import safeframe

LEFT = pd.DataFrame({"k": np.arange(3_000) % 50, "a": 1.0})
RIGHT = pd.DataFrame({"k": np.arange(200) % 40, "b": 2.0})
ROWS = len(LEFT.merge(RIGHT, on="k", how="left"))


def _merge(strategy: str) -> dd.DataFrame:
    left, right = LEFT, RIGHT
    if strategy == "sorted":
        left, right = left.sort_values("k"), right.sort_values("k")
    return safeframe.merge(
        dd.from_pandas(left, npartitions=3, sort=False),
        dd.from_pandas(right, npartitions=2, sort=False),
        on="k",
        how="left",
        strategy=strategy,
    )


@pytest.mark.parametrize("strategy", ["sorted", "broadcast", "staged"])
def test_the_plan_and_the_rows_come_from_what_ran(small_cluster: Client, strategy: str) -> None:
    merged = _merge(strategy)
    with safeframe.measure() as m:
        assert len(merged.compute()) == ROWS
    assert [plan.strategy for plan in m.plans] == [strategy]
    assert m.rows_in == len(LEFT) + len(RIGHT)
    assert m.rows_out == ROWS
    assert m.projected_worker_nbytes == safeframe.explain(merged).projected_worker_nbytes
    assert 0 < m.peak_worker_nbytes <= m.projected_worker_nbytes
    assert m.utilization_fraction is not None
    assert m.utilization_fraction <= 1


def test_two_merges_in_one_block_are_both_there(small_cluster: Client) -> None:
    with safeframe.measure() as m:
        _merge("broadcast").compute()
        _merge("staged").compute()
    assert sorted(plan.strategy for plan in m.plans) == ["broadcast", "staged"]
    assert m.rows_out == 2 * ROWS


def test_without_a_cluster_the_rows_are_this_processes() -> None:
    with dask.config.set(scheduler="threads"):
        merged = _merge("staged")
        with safeframe.measure() as m:
            merged.compute()
    assert m.rows_out == ROWS
    assert len(m.plans) == 1
