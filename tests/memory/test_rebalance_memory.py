"""Rebalancing on workers that the kernel holds: measured is at most projected."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import safeframe
from benchmarks.tight import TightCluster
from safeframe.recipes.rebalance import rebalance_partitions

pytestmark = pytest.mark.tight(n_workers=2, limit="598MiB", hard="1GiB")


def run(tight: TightCluster, result: dd.DataFrame, out) -> safeframe.Plan:
    """Write a rebalanced frame and hold it to its plan."""
    plan = safeframe.explain(result)
    assert plan.fits, plan
    result.to_parquet(out)
    seen = tight.report()
    assert seen.undisturbed, seen
    assert seen.charged_nbytes <= plan.projected_worker_nbytes, (plan.details(), seen)
    assert plan.projected_worker_nbytes <= seen.limit_nbytes
    footers = [pq.read_metadata(path) for path in sorted(out.glob("*.parquet"))]
    assert len(footers) == plan.output_partitions
    assert sum(footer.num_rows for footer in footers) == int(plan.output_rows)
    return plan


def one_row_group(path, rows: int) -> None:
    """Write a file of one row group, without ever holding more than a part of it."""
    rng = np.random.default_rng(0)
    numbers = np.arange(rows)
    table = pa.table(
        {
            "id": numbers,
            "value": rng.random(rows),
            "name": pa.array(numbers).cast(pa.string()),
            "code": rng.integers(0, 9, rows),
        }
    )
    pq.write_table(table, path, row_group_size=rows)


@pytest.mark.slow
def test_a_row_group_that_no_task_can_hold(tight, tmp_path):
    path = tmp_path / "big.parquet"
    one_row_group(path, 11_000_000)
    ddf = dd.read_parquet(path)
    result = rebalance_partitions(ddf)
    plan = run(tight, result, tmp_path / "out")
    assert plan.strategy == "staged"
    assert plan.steps[0].kind == "stage slices of large partitions"
    assert int(plan.output_nbytes) > 400 * 2**20
    first = pd.read_parquet(tmp_path / "out" / "part.0.parquet")
    assert first["id"].tolist() == list(range(len(first)))


def made(number: int, rows: int) -> pd.DataFrame:
    start = number * 10_000_000
    return pd.DataFrame({"a": np.arange(start, start + rows), "b": 0.5, "c": 7})


@pytest.mark.parametrize("strategy", ["sliced", "staged"])
def test_uneven_partitions(tight, tmp_path, strategy):
    rows = [1, 3_000_000, 10, 1_500_000, 0, 2_000_000, 500_000, 1]
    ddf = dd.from_map(made, range(len(rows)), rows)
    plan = run(tight, rebalance_partitions(ddf, partition_size="30MiB", strategy=strategy), tmp_path / "out")
    assert plan.strategy == strategy


def test_partitions_that_are_right_already(tight, tmp_path):
    ddf = dd.from_map(made, range(80), [300_000] * 80)
    assert run(tight, rebalance_partitions(ddf), tmp_path / "out").strategy == "untouched"


def test_many_small_partitions(tight, tmp_path):
    ddf = dd.from_map(made, range(60), [60_000] * 60)
    plan = run(tight, rebalance_partitions(ddf), tmp_path / "out")
    assert plan.strategy == "merged"
    assert plan.output_partitions <= 12


def test_strings_in_memory(tight, tmp_path):
    ddf = dd.from_map(named, range(5)).persist()
    plan = run(tight, rebalance_partitions(ddf, npartitions=11), tmp_path / "out")
    assert plan.largest_partition_nbytes <= 1.1 * int(plan.output_nbytes) / 11


def named(number: int) -> pd.DataFrame:
    rows = 100_000 * (number + 1)
    return pd.DataFrame({"n": np.arange(rows), "s": [f"{i:0{10 * number + 8}d}" for i in range(rows)]})
