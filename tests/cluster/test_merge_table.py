"""A merge that looks up in a table, on a real cluster, and what it leaves there."""

from __future__ import annotations

import functools
import os

import dask.dataframe as dd
import numpy as np
import pandas as pd
import psutil
import pytest
from distributed import Client, LocalCluster, wait

import safeframe
from safeframe import options
from safeframe.facts.merge import KeyTable
from safeframe.sizing.keys import table as key_table


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """Orders in four files, and what is known of each item, once, in three."""
    monkeypatch.setattr(options, "TABLE_MIN_ROWS", 0)
    monkeypatch.setattr(key_table, "KeyTable", functools.partial(KeyTable, slice_nbytes=2000))
    rng = np.random.default_rng(1)
    left = pd.DataFrame({"k": rng.integers(0, 2500, 8000), "l": range(8000), "word": ["w"] * 8000})
    right = pd.DataFrame({"k": rng.permutation(2000), "r": range(2000), "price": rng.random(2000)})
    for name, frame, files in (("left", left, 4), ("right", right, 3)):
        (tmp_path / name).mkdir()
        for number, piece in enumerate(np.array_split(np.arange(len(frame)), files)):
            frame.iloc[piece].to_parquet(tmp_path / name / f"{number}.parquet", index=False)
    return tmp_path


def merge_of(tables, **arguments):
    left, right = (dd.read_parquet(tables / name) for name in ("left", "right"))
    return safeframe.merge(left, right, on="k", how="left", staging=str(tables / "staging"), **arguments)


def expected_of(tables):
    left, right = (dd.read_parquet(tables / name).compute() for name in ("left", "right"))
    return left.merge(right, on="k", how="left").reset_index(drop=True)


def test_parquet_to_parquet(small_cluster, tables):
    merged = merge_of(tables)
    plan = safeframe.explain(merged)
    assert plan.run.table is not None
    safeframe.to_parquet(merged, tables / "out", write_index=False)
    written = dd.read_parquet(tables / "out").compute().reset_index(drop=True)
    pd.testing.assert_frame_equal(written, expected_of(tables), check_dtype=False)


def test_cells_are_one_task_with_their_read_and_what_takes_them(small_cluster, tables):
    merged = merge_of(tables)
    graph = dict(merged.map_partitions(len).optimize().__dask_graph__())
    slices = safeframe.explain(merged).run.table.n_slices(16)
    assert slices == 16
    # Three tasks that stage, their manifest, slices, that of the table, four cells, and the key that is in no order.
    assert len(graph) == 3 + 1 + slices + 1 + 4 + 1


def test_the_table_goes_with_what_needs_it(small_cluster, tables):
    merged = merge_of(tables)
    kept = merged.persist()
    wait(kept)
    pd.testing.assert_frame_equal(
        kept.compute().reset_index(drop=True), expected_of(tables), check_dtype=False
    )
    assert len(merged.compute()) == 8000
    del kept
    assert not list((tables / "staging").rglob("table*"))


def test_a_lost_worker_s_cells_are_made_again(tables):
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        merged = merge_of(tables).persist()
        wait(merged)
        process = psutil.Process(next(iter(client.run(os.getpid).values())))
        process.kill()
        process.wait()
        found = merged.compute().reset_index(drop=True)
        del merged
    pd.testing.assert_frame_equal(found, expected_of(tables), check_dtype=False)
    assert not list((tables / "staging").rglob("table*"))
