"""Each recipe sets the workers up, before it measures them and before they run its first task."""

from __future__ import annotations

import contextlib

import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import pandas as pd
import pytest
from distributed import Client

import safeframe
from safeframe.sizing.live_workers import unregister_on_workers
from safeframe.sizing.page_return import PageReturn

RECIPES = {
    "merge": lambda frame, path: safeframe.merge(frame, frame, on="k"),
    "sorted_merge": lambda frame, path: safeframe.sorted_merge(frame, frame, on="k"),
    "set_index": lambda frame, path: safeframe.set_index(frame, "k"),
    "sort_values": lambda frame, path: safeframe.sort_values(frame, "k"),
    "shuffle": lambda frame, path: safeframe.shuffle(frame, "k"),
    "p2p_shuffle": lambda frame, path: safeframe.p2p_shuffle(frame, "k"),
    "groupby_lag_transform": lambda frame, path: safeframe.groupby_lag_transform(frame, "k", "a", [1]),
    "rebalance_partitions": lambda frame, path: safeframe.rebalance_partitions(frame, npartitions=1),
    "rechunk": lambda frame, path: safeframe.rechunk(da.ones((8, 8), chunks=(8, 1)), (1, 8)),
    "bag_groupby": lambda frame, path: safeframe.bag_groupby(db.from_sequence(range(4)), bool),
    "to_parquet": lambda frame, path: safeframe.to_parquet(frame, path, compute=False),
}


def _is_set_up(dask_worker):
    from safeframe.kernels.allocator import keep_pages

    return PageReturn.name in dask_worker.plugins and keep_pages.cache_info().currsize == 1


def _forget():
    from safeframe.kernels.allocator import keep_pages

    keep_pages.cache_clear()


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_sets_workers_up_first(name, small_cluster: Client, monkeypatch, tmp_path):
    frame = dd.from_pandas(pd.DataFrame({"k": [2, 1, 2], "a": [1, 2, 3]}), npartitions=2)
    with contextlib.suppress(ValueError):  # there is none before the first test
        unregister_on_workers(small_cluster, PageReturn.name)
    small_cluster.run(_forget)
    set_up = []
    measure = safeframe.sizing.cluster.measure_budget
    monkeypatch.setattr(
        "safeframe.prepare.arguments.measure_budget",
        lambda nbytes: set_up.extend(small_cluster.run(_is_set_up).values()) or measure(nbytes),
    )
    RECIPES[name](frame, tmp_path / "out")
    assert set_up
    assert all(set_up)
