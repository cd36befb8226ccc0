"""Lag features on workers that the kernel holds: measured is at most projected, and projected at most allowed."""

from __future__ import annotations

from pathlib import Path

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import safeframe
from benchmarks.tight import TightCluster

pytestmark = pytest.mark.tight(n_workers=2, limit="598MiB", hard="1GiB")

ROWS = 500_000
FILES = 40


def held(tight: TightCluster, plan: safeframe.Plan) -> None:
    """Hold the workers to what was projected."""
    seen = tight.report()
    assert seen.undisturbed, seen
    assert seen.pauses == 0, seen
    assert seen.charged_nbytes <= plan.projected_worker_nbytes, (plan.details(), seen)
    assert plan.projected_worker_nbytes <= seen.limit_nbytes


def rows_of(number: int, one_group: bool) -> pd.DataFrame:
    """Rows whose value is their number, so that any lag of any row is known from the row alone."""
    row = np.arange(number * ROWS, (number + 1) * ROWS)
    # Every 500th row is of another group: those of a group are 500 rows, and those of small ones 50,000, apart.
    key = np.where(row % 500 == 0, row // 500 % 100, 1000) if one_group else row % 1000
    return pd.DataFrame({"k": key, "row": row, "v": row.astype("float64"), "w": row % 7, "x": row / 2})


def in_order(number: int) -> pd.DataFrame:
    frame = rows_of(number // 2, one_group=False).iloc[number % 2 * ROWS // 2 :].iloc[: ROWS // 2]
    return frame.reset_index(drop=True).assign(k=lambda rows: (rows["row"] + 100_000) // 3_000_000)


def wrong_rows(part: pd.DataFrame, apart: str) -> pd.DataFrame:
    """Count the rows whose lagged value is not that of the row so far before."""
    row = part["row"].to_numpy()
    wrong = 0
    for lag in (1, 3, -2):
        if apart == "one group":
            # Before row r of the large group lies r - 1, but for rows of the small ones between.
            large = row - row // 500 - 1
            place = large - lag
            expected = np.where(part["k"] == 1000, place + place // 499 + 1, row - 50_000 * lag)
        elif apart == "in order":
            expected = np.where(
                (row + 100_000) // 3_000_000 == (row - lag + 100_000) // 3_000_000, row - lag, -1
            )
        else:
            expected = row - 1000 * lag
        there = (expected >= 0) & (expected < ROWS * FILES)
        found = part[f"v_lag_{lag}"].to_numpy()
        wrong += int((np.isnan(found) == there).sum()) + int((found[there] != expected[there]).sum())
    return pd.DataFrame({"rows": [len(part)], "sum": [int(row.sum())], "wrong": [wrong]})


def exact(result: dd.DataFrame, apart: str) -> None:
    meta = {"rows": "int64", "sum": "int64", "wrong": "int64"}
    seen = result.map_partitions(wrong_rows, apart, meta=meta).compute()
    n = ROWS * FILES
    assert seen["rows"].sum() == n
    assert seen["sum"].sum() == n * (n - 1) // 2
    assert seen["wrong"].sum() == 0


def made(apart: str) -> dd.DataFrame:
    meta = rows_of(0, one_group=False).iloc[:0]
    if apart == "in order":
        return dd.from_map(in_order, range(2 * FILES), meta=meta)
    return dd.from_map(rows_of, range(FILES), one_group=apart == "one group", meta=meta)


@pytest.mark.parametrize("apart", ["many groups", "one group"])
def test_rows_that_move(tight, apart):
    result = safeframe.groupby_lag_transform(made(apart), "k", "v", [1, 3, -2])
    plan = safeframe.explain(result)
    assert plan.strategy == "staged"
    assert int(plan.output_nbytes) > 1.3 * 2**30
    if apart == "one group":
        assert plan.output_partitions * 0.9 < plan.run.way.figures.layout.cells.max(), (
            "it fills nearly all partitions"
        )
        assert ROWS * FILES * plan.row_nbytes * 0.99 > plan.budget.allowed_nbytes, (
            "and no worker has room for it"
        )
    exact(result, apart)
    held(tight, plan)


@pytest.mark.nightly
def test_rows_in_order_stay(tight):
    result = safeframe.groupby_lag_transform(made("in order"), "k", "v", [1, 3, -2])
    plan = safeframe.explain(result)
    assert plan.strategy == "halo"
    exact(result, "in order")
    held(tight, plan)


@pytest.mark.nightly
def test_a_large_group_by_another_order(tight):
    """Cut by the order of its rows, of which partitions and their neighbours are read."""
    frame = made("one group").partitions[:16]
    result = safeframe.groupby_lag_transform(frame, "k", "v", [1], order_by="x", partition_size="24MiB")
    plan = safeframe.explain(result)
    assert plan.strategy == "staged"
    assert any("cut by the order" in reason for reason in plan.reasons)
    sums = result.map_partitions(
        lambda part: pd.DataFrame({"rows": [len(part)], "apart": [(part["v"] - part["v_lag_1"]).max()]}),
        meta={"rows": "int64", "apart": "float64"},
    ).compute()
    assert sums["rows"].sum() == ROWS * 16
    assert sums["apart"].max() == 50_000
    held(tight, plan)


@pytest.mark.nightly
def test_parquet_to_parquet(tight, tmp_path: Path):
    (tmp_path / "in").mkdir()
    for number in range(20):
        rows_of(number, one_group=False).to_parquet(tmp_path / "in" / f"{number:02d}.parquet", index=False)
    result = safeframe.groupby_lag_transform(
        dd.read_parquet(tmp_path / "in"), "k", "v", range(4), transform=np.log1p, ignore_index=True
    )
    plan = safeframe.explain(result)
    safeframe.to_parquet(result, tmp_path / "out", write_index=False)
    held(tight, plan)
    table = pq.read_table(tmp_path / "out", columns=["row", "v_lag_3"])
    assert table.num_rows == 20 * ROWS
    row, found = table["row"].to_numpy(), table["v_lag_3"].to_numpy()
    there = row >= 3000
    assert (np.isnan(found) == ~there).all()
    np.testing.assert_array_equal(found[there], np.log1p(row[there] - 3000.0))
