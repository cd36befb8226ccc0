"""Plans for a cluster that is not there: its workers decide, wherever the statistics are computed."""

from __future__ import annotations

from dataclasses import replace

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe import options
from safeframe.sizing.cluster import connected_budget, measure_budget
from safeframe.sizing.planned_cluster import planned_cluster, planned_for

SPEC = safeframe.ClusterSpec(n_workers=7, threads=3, memory="4GiB", disk="123GiB")
ROWS = pd.DataFrame({"k": np.arange(5000) % 700, "v": np.arange(5000.0)}, index=np.arange(5000)[::-1])


@pytest.fixture(autouse=True)
def _synchronous():
    with dask.config.set(scheduler="synchronous"):
        yield


def plans(**more):
    frame = dd.from_pandas(ROWS, npartitions=5, sort=False)
    right = dd.from_pandas(ROWS.rename(columns={"v": "w"})[:3000], npartitions=3, sort=False)
    return {
        "plan_merge": lambda **cluster: safeframe.plan_merge(frame, right, on="k", **more, **cluster),
        "plan_sorted_merge": lambda **cluster: safeframe.plan_sorted_merge(
            frame, right, on="k", sort=True, **more, **cluster
        ),
        "plan_set_index": lambda **cluster: safeframe.plan_set_index(frame, "k", **more, **cluster),
        "plan_sort_values": lambda **cluster: safeframe.plan_sort_values(frame, "k", **more, **cluster),
        "plan_shuffle": lambda **cluster: safeframe.plan_shuffle(frame, "k", **more, **cluster),
        "plan_rebalance": lambda **cluster: safeframe.plan_rebalance(frame, npartitions=2, **more, **cluster),
        "plan_lag": lambda **cluster: safeframe.plan_lag(frame, "k", "v", 1, order_by="v", **more, **cluster),
        "plan_groupby": lambda **cluster: safeframe.plan_groupby(frame, "k", "median", **more, **cluster),
        "plan_value_counts": lambda **cluster: safeframe.plan_value_counts(frame, "k", **more, **cluster),
        "plan_drop_duplicates": lambda **cluster: safeframe.plan_drop_duplicates(
            frame, "k", **more, **cluster
        ),
        "plan_duplicated": lambda **cluster: safeframe.plan_duplicated(frame, "k", **more, **cluster),
        "plan_unique": lambda **cluster: safeframe.plan_unique(frame, "v", **more, **cluster),
        "plan_nunique": lambda **cluster: safeframe.plan_nunique(frame, "k", **more, **cluster),
        "plan_rechunk": lambda **cluster: safeframe.plan_rechunk(
            da.ones((60, 40), chunks=(60, 5)), (10, 40), **more, **cluster
        ),
        "plan_bag_groupby": lambda **cluster: safeframe.plan_bag_groupby(
            db.from_sequence(range(100), npartitions=4), abs, **more, **cluster
        ),
    }


def test_these_are_all_plans_but_one_that_needs_workers():
    assert {*plans(), "plan_p2p_shuffle"} == {name for name in safeframe.__all__ if name.startswith("plan_")}


@pytest.mark.parametrize("name", plans())
def test_a_plan_has_the_budget_of_the_cluster(name):
    budget = plans()[name](cluster=SPEC).budget
    assert (budget.n_workers, budget.threads_per_worker, budget.allowed_nbytes) == (7, 3, 4 * 2**30)
    assert budget.reserved_nbytes == options.RESERVED_DEFAULT_NBYTES + options.RESERVED_GROWTH_NBYTES
    assert not budget.measured
    assert planned_cluster() is None


@pytest.mark.parametrize("name", plans())
def test_staging_has_the_room_of_the_cluster(name, tmp_path):
    named = plans(staging=str(tmp_path))[name](cluster=SPEC)
    own = plans()[name](cluster=SPEC)
    for plan, where in ((named, str(tmp_path)), (own, "the workers' local directory")):
        assert plan.staging_directory in (where, None)
        if plan.staging_directory is not None:
            assert plan.staging_free_nbytes == 123 * 2**30


def test_memory_is_held_to_what_is_given():
    assert plans(memory="2GiB")["plan_set_index"](cluster=SPEC).budget.allowed_nbytes == 2 * 2**30


def test_a_disk_that_is_too_small_does_not_fit_and_an_unknown_one_is_not_checked():
    small = safeframe.ClusterSpec(n_workers=2, memory="4GiB", disk=10)
    unknown = safeframe.ClusterSpec(n_workers=2, memory="4GiB")
    plan = plans(strategy="staged")["plan_set_index"](cluster=small)
    assert not plan.fits
    with pytest.raises(safeframe.StagingFullError, match="10 B free"):
        plan.validate()
    assert plans(strategy="staged")["plan_set_index"](cluster=unknown).fits


def test_a_worker_that_is_too_small_does_not_fit():
    tiny = safeframe.ClusterSpec(n_workers=2, memory="100MiB", disk="1GiB")
    plan = plans()["plan_set_index"](cluster=tiny)
    assert not plan.fits
    with pytest.raises(safeframe.MemoryBudgetError):
        plan.validate()


def test_workers_of_several_hosts_send_rows_through_p2p_unless_they_share_a_directory(tmp_path):
    spread = safeframe.ClusterSpec(n_workers=5, memory="4GiB", disk="123GiB", hosts=2)
    shuffle = plans()["plan_shuffle"]
    plan = shuffle(cluster=spread)
    assert plan.strategy == "p2p"
    assert plan.staging_free_nbytes == 123 * 2**30
    assert (plan.run.way.disk.host, plan.run.way.disk.workers) == ("host 1 of 2", 3)
    assert plans(staging=str(tmp_path))["plan_shuffle"](cluster=spread).strategy == "staged"
    assert shuffle(cluster=SPEC).strategy == "staged"
    with pytest.raises(safeframe.ValidationError, match="2 hosts"):
        plans(strategy="staged")["plan_shuffle"](cluster=spread)


def test_p2p_needs_a_disk_and_no_client():
    frame = dd.from_pandas(ROWS, npartitions=5, sort=False)
    with pytest.raises(safeframe.UnsupportedError, match="no distributed client"):
        safeframe.plan_p2p_shuffle(frame, "k")
    plan = safeframe.plan_p2p_shuffle(frame, "k", cluster=SPEC)
    assert (plan.strategy, plan.budget.n_workers) == ("p2p", 7)
    with pytest.raises(safeframe.UnsupportedError, match="no disk="):
        safeframe.plan_p2p_shuffle(frame, "k", cluster=safeframe.ClusterSpec(n_workers=2, memory="4GiB"))


def test_keys_are_counted_in_the_room_that_there_is():
    huge = safeframe.ClusterSpec(n_workers=2, memory="100TiB", disk="1PiB")
    with planned_for(huge):
        assert measure_budget().task_nbytes > connected_budget().task_nbytes
    frame = dd.from_pandas(pd.DataFrame({"k": np.arange(200_000)}), npartitions=1)
    with dask.config.set({"safeframe.headroom": 0.9}):
        here = safeframe.plan_shuffle(frame, "k")
        there = safeframe.plan_shuffle(frame, "k", cluster=huge)
    assert there.counting.task_peak_nbytes <= max(here.counting.task_peak_nbytes, here.budget.task_nbytes)


def test_nothing_of_the_cluster_is_left_after_an_error():
    frame = dd.from_pandas(ROWS, npartitions=2, sort=False)
    with pytest.raises(safeframe.KeyNotFoundError):
        safeframe.plan_set_index(frame, "nothing", cluster=SPEC)
    assert planned_cluster() is None


@pytest.mark.parametrize("cluster", [4, "4", {"n_workers": 2}, replace, False])
def test_anything_else_is_refused(cluster):
    with pytest.raises(safeframe.SchemaMismatchError, match=r"cluster= is a(.|\n)*Hint: .*ClusterSpec"):
        plans()["plan_set_index"](cluster=cluster)
