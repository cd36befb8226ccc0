"""safeframe.groupby_lag_transform on a real cluster, against pandas row for row, by every strategy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe._dask.expressions import Fused
from safeframe.engine.lag.nodes import LagPartitions, PartitionEdges, SafeLag
from tests.expressions import nodes_of

ROWS = 6000
LAGS = [0, 1, -3, 700]


@pytest.fixture
def table(tmp_path):
    """A table on disk in six files: one group that is half of it, and some of a few rows."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "k": np.where(rng.random(ROWS) < 0.5, 7, rng.integers(0, 60, ROWS)),
            "row": np.arange(ROWS),
            "v": rng.random(ROWS) + 1,
            "t": rng.permutation(ROWS),
        }
    )
    write(frame, tmp_path / "table")
    write(frame.sort_values("k", kind="stable"), tmp_path / "ordered")
    return tmp_path


def write(frame: pd.DataFrame, directory: Path) -> None:
    directory.mkdir()
    for number, piece in enumerate(np.array_split(np.arange(ROWS), 6)):
        frame.iloc[piece].to_parquet(directory / f"{number}.parquet", index=False)


def expected(frame: pd.DataFrame, order_by=None) -> pd.DataFrame:
    rows = frame if order_by is None else frame.sort_values(order_by, kind="stable")
    shifts = {f"v_lag_{lag}": np.log(rows.groupby("k")["v"].shift(lag)) for lag in LAGS}
    return frame.assign(**shifts).sort_values("row").reset_index(drop=True)


def check(result: dd.DataFrame, frame: pd.DataFrame, order_by=None) -> None:
    found = result.compute().reset_index(drop=result._meta.index.name is None)
    found = found[[*frame.columns, *(f"v_lag_{lag}" for lag in LAGS)]]
    pd.testing.assert_frame_equal(
        found.sort_values("row").reset_index(drop=True), expected(frame, order_by), check_index_type=False
    )


def lagged(ddf, table, **arguments):
    options = {"staging": str(table / "staging"), "transform": np.log, **arguments}
    return safeframe.groupby_lag_transform(ddf, "k", "v", LAGS, **options)


@pytest.mark.parametrize("size", [{}, {"npartitions": 3}, {"partition_size": "16KiB"}])
@pytest.mark.parametrize("order_by", [None, "t"])
def test_rows_that_move(small_cluster, table, size, order_by):
    ddf = dd.read_parquet(table / "table")
    result = lagged(ddf, table, order_by=order_by, **size)
    plan = safeframe.explain(result)
    assert (plan.recipe, plan.strategy) == ("groupby_lag_transform", "staged")
    if "partition_size" in size:
        assert plan.largest_partition_nbytes < 16 * 2**10 < 3000 * plan.row_nbytes, "the large group is cut"
    check(result, ddf.compute().reset_index(drop=True), order_by)


def test_rows_in_order_stay_and_a_file_is_read_in_the_task_that_adds_its_columns(small_cluster, table):
    ddf = dd.read_parquet(table / "ordered")
    result = lagged(ddf, table)
    plan = safeframe.explain(result)
    assert plan.strategy == "halo"
    assert plan.staging_nbytes == 0
    assert [step.kind for step in plan.steps] == ["read rows at edges", "add columns to partitions"]
    (cells,), (edges,) = nodes_of(result, LagPartitions), nodes_of(result, PartitionEdges)
    assert cells.dependencies() == [edges], "no partition waits in memory"
    assert edges.dependencies() == []
    assert list(edges.frame.columns) == ["k", "v"], "only the columns that are looked at are read for edges"
    check(result, ddf.compute().reset_index(drop=True))


def test_rows_of_a_frame_that_is_computed_first(small_cluster, table):
    read = dd.read_parquet(table / "ordered")
    made = dd.from_delayed(read.to_delayed(), meta=read._meta)
    for ddf in (made.map_partitions(pd.DataFrame.copy), made.persist()):
        result = lagged(ddf, table)
        plan = safeframe.explain(result)
        assert plan.strategy == "halo"
        waits = any("wait for their neighbours" in step.reason for step in plan.steps)
        assert waits == (ddf.expr._name.startswith("copy")), "those that were persisted are there anyway"
        check(result, ddf.compute().reset_index(drop=True))
    (narrow,) = result[["row", "v_lag_1"]].simplify().expr.find_operations(SafeLag)
    assert narrow.frame._name == ddf.expr._name, "nor are there copies of some columns, which would wait"


@pytest.mark.parametrize("steps", [False, True])
@pytest.mark.parametrize("strategy", ["staged", "p2p"])
def test_groups_that_a_shuffle_made_whole(small_cluster, table, strategy, steps):
    ddf = dd.read_parquet(table / "table")
    staging = str(table / "staging")
    together = safeframe.shuffle(ddf, "k", npartitions=4, staging=staging, strategy=strategy)
    if steps:
        together, ddf = (
            frame.assign(w=frame["v"] * 2 + frame["t"])[["w", "v", "k", "row"]] for frame in (together, ddf)
        )
    result = lagged(together, table)
    assert safeframe.explain(result).strategy == "whole"
    assert (result.npartitions, safeframe.explain(result).staging_nbytes) == (4, 0)
    assert isinstance(result.optimize(fuse=False).expr.tree, Fused), "no partition waits for its columns"
    check(result, ddf.compute().reset_index(drop=True))


@pytest.mark.parametrize("strategy", ["staged", "p2p"])
def test_an_index_is_a_key_and_stays_the_index(small_cluster, table, strategy):
    ddf = dd.read_parquet(table / "table")
    staging = str(table / "staging")
    indexed = safeframe.set_index(ddf, "k", npartitions=4, staging=staging, strategy=strategy)
    indexed, ddf = (frame.assign(w=frame["v"] * 2) for frame in (indexed, ddf))
    result = lagged(indexed, table)
    plan = safeframe.explain(result)
    assert plan.strategy == strategy
    assert any("rows move once" in reason for reason in plan.reasons)
    assert result._meta.index.name == "k"
    check(result, ddf.compute().reset_index(drop=True))


def test_a_frame_that_dask_cuts_again_each_time_is_not_taken_as_it_is(small_cluster, table):
    ddf = dd.read_parquet(table / "table")
    by_dask = ddf.set_index("k")
    result = lagged(by_dask, table, order_by="row")
    assert safeframe.explain(result).strategy == "staged"
    plan = safeframe.plan_lag(by_dask, "k", "v", LAGS, staging=str(table / "staging"))
    assert plan.strategy == "staged"
    assert any("cuts the frame differently" in one.reason for one in plan.rejected if one.strategy == "halo")
    check(result, ddf.compute().reset_index(drop=True), "row")
    kept = lagged(by_dask.persist(), table)
    assert safeframe.explain(kept).strategy == "halo"
    assert kept.divisions == by_dask.divisions
    check(kept, by_dask.compute().reset_index()[list(ddf.columns)])


@pytest.mark.parametrize("order_by", [None, "t"])
def test_through_p2p(small_cluster, table, order_by):
    ddf = dd.read_parquet(table / "table")
    result = lagged(ddf, table, strategy="p2p", order_by=order_by, npartitions=4, staging=None)
    plan = safeframe.explain(result)
    assert plan.strategy == "p2p"
    assert any("P2P" in reason for reason in plan.reasons)
    check(result, ddf.compute().reset_index(drop=True), order_by)


@pytest.mark.parametrize("source", ["table", "ordered"])
def test_columns_that_nothing_uses_are_not_moved(small_cluster, table, source):
    ddf = dd.read_parquet(table / source)
    result = lagged(ddf, table)
    expected_rows = expected(ddf.compute().reset_index(drop=True))
    narrow = result[["row", "v_lag_1"]]
    reads = nodes_of(narrow, type(ddf.expr))
    assert reads
    assert not [read for read in reads if "t" in read.columns]
    found = narrow.compute().sort_values("row").reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected_rows[["row", "v_lag_1"]])
    kept = result["row"]
    assert sorted(kept.compute()) == list(range(ROWS))
    assert not nodes_of(kept, PartitionEdges), "no row is shifted"


def test_parquet_to_parquet_and_nothing_is_left(small_cluster, table):
    ddf = dd.read_parquet(table / "table")
    result = lagged(ddf, table, names="log{lag}", ignore_index=True)
    with safeframe.measure() as seen:
        safeframe.to_parquet(result, table / "out", write_index=False)
    assert seen.rows_out == ROWS
    found = pd.read_parquet(table / "out").sort_values("row").reset_index(drop=True)
    wanted = expected(ddf.compute().reset_index(drop=True))
    pd.testing.assert_series_equal(found["log700"], wanted["v_lag_700"], check_names=False)
    del result
    assert not list((table / "staging").rglob("*.staged"))


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_other_schedulers(table, scheduler):
    with dask.config.set(scheduler=scheduler):
        for source in ("table", "ordered"):
            ddf = dd.read_parquet(table / source)
            check(lagged(ddf, table, partition_size=None), ddf.compute().reset_index(drop=True))


SCRIPT = """
import sys
from pathlib import Path
import dask
import dask.dataframe as dd
from tests.cluster.test_lag import check, lagged
if __name__ == "__main__":
    table = Path(sys.argv[1])
    with dask.config.set(scheduler="processes", num_workers=2):
        ddf = dd.read_parquet(table / "table")
        check(lagged(ddf, table), ddf.compute().reset_index(drop=True))
    print("done")
"""


@pytest.mark.nightly
def test_processes_of_dasks_own(table):
    script = table / "script.py"
    script.write_text(SCRIPT)
    root = str(Path(__file__).parents[2])
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, script, table],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        check=False,
    )
    assert done.stdout.decode().strip() == "done", done.stderr.decode()[-2000:]
    assert not list((table / "staging").rglob("*.staged")), "removed at the exit at the latest"
