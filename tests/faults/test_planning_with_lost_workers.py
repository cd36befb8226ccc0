"""Planning while workers die and others join."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from distributed.comm import CommClosedError

import safeframe
from safeframe.sizing.page_return import PageReturn

LEFT = pd.DataFrame({"k": np.arange(2000) % 500, "a": np.arange(2000)})
RIGHT = pd.DataFrame({"k": np.arange(500), "b": np.arange(500)})


def frames():
    return dd.from_pandas(LEFT, npartitions=8), dd.from_pandas(RIGHT, npartitions=4)


PLANS = {
    "merge": lambda: safeframe.plan_merge(*frames(), on="k"),
    "shuffle": lambda: safeframe.plan_shuffle(frames()[0], "k", strategy="p2p", npartitions=4),
    "set_index": lambda: safeframe.plan_set_index(frames()[0], "k"),
}


@pytest.fixture
def client():
    with (
        LocalCluster(
            n_workers=3,
            threads_per_worker=1,
            memory_limit="1GiB",
            processes=True,
            dashboard_address=None,
            silence_logs=60,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def kill_one(client, number):
    nannies = list(client.cluster.workers.values())
    nannies[number % len(nannies)].process.process._process.kill()


def has_page_return(dask_worker):
    return PageReturn.name in dask_worker.plugins


def test_workers_that_are_killed_in_the_middle_of_planning(client):
    for number in range(3):
        kill_one(client, number)
        # Not waited for: the scheduler may or may not know of it yet.
        name = sorted(PLANS)[number % len(PLANS)]
        assert PLANS[name]().budget.n_workers >= 1
    client.wait_for_workers(3, timeout=60)
    left, right = frames()
    assert len(safeframe.merge(left, right, on="k")) == 2000
    assert set(client.run(has_page_return).values()) == {True}, "those that joined are set up too"


@pytest.mark.parametrize("broadcast", ["run", "register_plugin"])
def test_a_broadcast_that_meets_a_dead_worker_is_repeated(client, monkeypatch, broadcast):
    asked, sent = [], getattr(client, broadcast)

    def fails_once(*args, **kwargs):
        asked.append(args)
        if len(asked) == 1:
            raise CommClosedError
        return sent(*args, **kwargs)

    monkeypatch.setattr(client, broadcast, fails_once)
    assert PLANS["merge"]().budget.n_workers == 3
    assert len(asked) >= 2
    if broadcast == "run":
        with safeframe.measure() as measured:
            frames()[0].sum().compute()
        assert measured.peak_worker_nbytes > 0


def test_a_cluster_that_is_gone_is_said_in_words(client):
    left, right = frames()
    client.cluster.close()
    with pytest.raises(safeframe.ClusterError, match=r"(.|\n)*Hint: "):
        safeframe.plan_merge(left, right, on="k")
