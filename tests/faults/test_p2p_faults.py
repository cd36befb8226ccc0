"""Workers that leave while, or after, rows go through P2P: the shuffle starts again and loses nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator

import dask.dataframe as dd
import numpy as np
import pandas as pd
import psutil
import pytest
from distributed import Client, Event, LocalCluster, Variable, get_client, wait

from safeframe.recipes.merge import merge
from safeframe.recipes.p2p_shuffle import p2p_shuffle

PARTITIONS, ROWS = 8, 2000


@pytest.fixture
def client() -> Iterator[Client]:
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        yield client


def rows_of(number: int) -> pd.DataFrame:
    rng = np.random.default_rng(number)
    return pd.DataFrame({"k": rng.integers(0, 100, ROWS), "v": np.arange(ROWS) + number * ROWS})


def rows_of_slowly(number: int) -> pd.DataFrame:
    """Wait before the last partition, until a worker was killed, once the statistics are there."""
    if number == PARTITIONS - 1 and os.environ.get("SAFEFRAME_TEST_STAGE") == "shuffle":
        Variable("sending", client=get_client()).set(os.getpid())
        assert Event("killed", client=get_client()).wait(60)
    return rows_of(number)


def wait_for_it() -> None:
    os.environ["SAFEFRAME_TEST_STAGE"] = "shuffle"


def kill_one_of(client: Client, spared: int = 0) -> None:
    process = psutil.Process(next(pid for pid in client.run(os.getpid).values() if pid != spared))
    process.kill()
    process.wait()


def check(found: pd.DataFrame) -> None:
    assert sorted(found["v"]) == list(range(PARTITIONS * ROWS))


def test_a_worker_that_is_lost_afterwards(client):
    frame = dd.from_map(rows_of, range(PARTITIONS), meta=rows_of(0).iloc[:0])
    shuffled = p2p_shuffle(frame, "k", npartitions=6).persist()
    wait(shuffled)
    kill_one_of(client)
    check(shuffled.compute())


def merged_with_all_keys(frame: dd.DataFrame) -> dd.DataFrame:
    keys = dd.from_pandas(pd.DataFrame({"k": np.arange(100), "w": 1.5}), npartitions=3)
    return merge(frame, keys, on="k", strategy="p2p", partition_size="64KiB")


@pytest.mark.parametrize(
    "recipe", [lambda frame: p2p_shuffle(frame, "k", npartitions=6), merged_with_all_keys]
)
def test_a_worker_that_is_lost_while_rows_are_sent(client, recipe):
    frame = dd.from_map(rows_of_slowly, range(PARTITIONS), meta=rows_of(0).iloc[:0])
    moved = recipe(frame)
    client.run(wait_for_it)
    result = client.compute(moved)
    waiting = Variable("sending", client=client).get(timeout=60)
    kill_one_of(client, spared=waiting)
    Event("killed", client=client).set()
    check(result.result(timeout=120))
