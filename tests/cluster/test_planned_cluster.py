"""A plan for a cluster of some shape is the one that a real cluster of that shape gets."""

from __future__ import annotations

import json

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe import options
from safeframe.sizing.remembered import STORE

N = 40_000


def frames():
    rng = np.random.default_rng(3)
    left = pd.DataFrame({"k": rng.integers(0, 5000, N), "v": rng.random(N), "s": ["word"] * N})
    right = pd.DataFrame({"k": rng.integers(0, 5000, N), "w": rng.random(N)})
    return (
        dd.from_pandas(left, npartitions=6, sort=False),
        dd.from_pandas(right, npartitions=4, sort=False),
    )


PLANS = {
    "merge": lambda **c: safeframe.plan_merge(*frames(), on="k", **c),
    "staged merge": lambda **c: safeframe.plan_merge(*frames(), on="k", strategy="staged", **c),
    "merge through p2p": lambda **c: safeframe.plan_merge(*frames(), on="k", strategy="p2p", **c),
    "sorted merge": lambda **c: safeframe.plan_sorted_merge(*frames(), on="k", sort=True, **c),
    "index": lambda **c: safeframe.plan_set_index(frames()[0], "k", **c),
    "sort": lambda **c: safeframe.plan_sort_values(frames()[0], "k", **c),
    "sort through p2p": lambda **c: safeframe.plan_sort_values(frames()[0], "k", strategy="p2p", **c),
    "shuffle": lambda **c: safeframe.plan_shuffle(frames()[0], "k", **c),
    "shuffle through p2p": lambda **c: safeframe.plan_p2p_shuffle(frames()[0], "k", **c),
    "rebalance": lambda **c: safeframe.plan_rebalance(frames()[0], npartitions=9, **c),
    "lag": lambda **c: safeframe.plan_lag(frames()[0], "k", "v", 1, order_by="v", **c),
}


@pytest.fixture(scope="module")
def real():
    """Plans of a real cluster of two workers, with what its workers use before any data."""
    with (
        safeframe.LocalCluster(n_workers=2, threads_per_worker=1, memory_limit="1GiB") as cluster,
        cluster.get_client(),
    ):
        made = {}
        for name, plan in PLANS.items():
            STORE.clear()
            made[name] = plan()
    return made


def plain(plan):
    """Return all that is alike: not what was measured, and not the name and the room of a directory."""
    values = plan.to_dict()
    values["budget"].pop("measured")
    text = json.dumps(values, default=str)
    if plan.staging_directory is not None:
        text = text.replace(json.dumps(plan.staging_directory)[1:-1], "<directory>")
    return json.loads(text)


@pytest.mark.parametrize("name", PLANS)
def test_it_is_the_same_plan(name, real, monkeypatch):
    there = real[name]
    # Workers that are there are asked what they use: that is what a plan cannot know of others.
    monkeypatch.setattr(
        options, "RESERVED_DEFAULT_NBYTES", there.budget.reserved_nbytes - options.RESERVED_GROWTH_NBYTES
    )
    free = there.staging_free_nbytes
    spec = safeframe.ClusterSpec(n_workers=2, threads=1, memory="1GiB", disk=2**40 if free is None else free)
    planned = PLANS[name](cluster=spec)
    assert plain(planned) == plain(there)
    assert (planned.budget.measured, there.budget.measured) == (False, True)
