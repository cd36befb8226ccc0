"""Staged recipes on workers that have a client of their own, or that share their process with one."""

from __future__ import annotations

import asyncio

import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster, get_client, worker_client

import safeframe

LEFT = pd.DataFrame({"k": np.arange(2000) % 500, "a": np.arange(2000)})
RIGHT = pd.DataFrame({"k": np.arange(500), "b": np.arange(500)})
SECONDS = 60


def asks_for_a_client(number):
    return get_client().scheduler.address


def works_as_a_client(number):
    with worker_client() as client:
        return client.submit(abs, number, pure=False).result()


def merge(staging):
    left, right = dd.from_pandas(LEFT, npartitions=8), dd.from_pandas(RIGHT, npartitions=4)
    return safeframe.merge(left, right, on="k", strategy="staged", staging=staging, partition_size="4KiB")


def rechunk(staging):
    return safeframe.rechunk(da.ones((400, 50), chunks=(50, 50)), (400, 10), staging=staging)


def bag(staging):
    pairs = db.from_sequence(range(2000), npartitions=4)
    return safeframe.bag_groupby(pairs, lambda number: number % 500, npartitions=2, staging=staging)


LENGTHS = {merge: 2000, rechunk: 400, bag: 500}


def check(client, tmp_path):
    # That nothing is left behind is looked at after every test.
    for recipe, length in LENGTHS.items():
        # With a bound: what is tested for is waiting for ever.
        assert len(client.compute(recipe(str(tmp_path))).result(timeout=SECONDS)) == length


@pytest.mark.parametrize("task", [asks_for_a_client, works_as_a_client])
def test_after_a_task_that_used_a_client(tmp_path, task):
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        workers = list(client.scheduler_info(n_workers=-1)["workers"])
        client.gather([client.submit(task, i, pure=False, workers=[at]) for i, at in enumerate(workers)])
        check(client, tmp_path)


@pytest.mark.parametrize("protocol", ["tcp", "inproc"])
def test_workers_in_the_client_s_process(tmp_path, protocol):
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, protocol=protocol, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        check(client, tmp_path)


def test_an_asynchronous_client_is_refused_in_words():
    async def plan():
        async with Client(processes=False, asynchronous=True, n_workers=1, dashboard_address=None):
            left, right = dd.from_pandas(LEFT, npartitions=2), dd.from_pandas(RIGHT, npartitions=2)
            with pytest.raises(safeframe.UnsupportedError, match="asynchronous Client"):
                safeframe.merge(left, right, on="k", strategy="staged")
            with pytest.raises(safeframe.UnsupportedError, match="asynchronous Client"):
                safeframe.set_index(right, "k")

    asyncio.run(plan())
