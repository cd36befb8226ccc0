"""On our own LocalCluster a run keeps to its plan, and no worker pauses or is lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from distributed import Client
from distributed.diagnostics.plugin import SchedulerPlugin

import safeframe
from benchmarks.situations import SITUATIONS
from safeframe.deploy.local_cluster import LocalCluster

pytestmark = [
    pytest.mark.memory,
    pytest.mark.cluster,
    pytest.mark.filterwarnings("ignore::safeframe.OutputExplosionWarning"),
]

LIMIT = 400 * 2**20
PARTITION_ROWS = 300_000


class Disturbances(SchedulerPlugin):  # type: ignore[misc]
    """Counts workers that pause or go."""

    name = "disturbances"

    def __init__(self) -> None:
        self.seen: list[str] = []

    def remove_worker(self, scheduler: Any, worker: str, **_: Any) -> None:
        self.seen.append(f"{worker} is gone")

    def log_event(self, topic: str, msg: Any) -> None:
        if (
            isinstance(msg, dict)
            and msg.get("action") == "worker-status-change"
            and msg["status"] == "paused"
        ):
            self.seen.append(f"{topic} paused")


@pytest.fixture
def disturbances() -> Iterator[list[str]]:
    """Two workers of 400 MiB; what happened to them."""
    with (
        LocalCluster(n_workers=2, memory_limit=LIMIT, dashboard_address=None, silence_logs=50) as cluster,
        Client(cluster),
    ):
        plugin = Disturbances()
        cluster.scheduler.add_plugin(plugin)
        yield plugin.seen


def test_a_merge_keeps_to_its_plan(disturbances: list[str], tmp_path: Any) -> None:
    data = SITUATIONS["q3"].scaled(0.1).materialise(tmp_path)
    merged = safeframe.merge(dd.read_parquet(data.left), dd.read_parquet(data.right), on="col1", how="left")
    with safeframe.measure() as m:
        merged.to_parquet(tmp_path / "out", write_index=False)
    assert disturbances == []
    assert m.projected_worker_nbytes is not None
    assert m.peak_worker_nbytes <= m.projected_worker_nbytes <= LIMIT
    rows = sum(pq.read_metadata(path).num_rows for path in (tmp_path / "out").glob("*.parquet"))
    assert rows == data.truth.rows


def some_rows(number: int) -> pd.DataFrame:
    rng = np.random.default_rng(number)
    keys = rng.integers(0, 10**6, PARTITION_ROWS)
    return pd.DataFrame({"k": keys, **{f"c{i}": rng.random(PARTITION_ROWS) for i in range(5)}})


META = some_rows(0).head(0)


def count(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"rows": [len(frame)]})


@pytest.mark.nightly
def test_dasks_own_shuffle_of_more_than_their_memory(disturbances: list[str]) -> None:
    # 50 partitions of 14 MiB are 0.7 GiB, on two workers that have 0.2 GiB each for data.
    frame = dd.from_map(some_rows, range(50), meta=META)
    with safeframe.measure() as m:
        shuffled = frame.shuffle("k", shuffle_method="p2p").map_partitions(count, meta=count(META)).compute()
    # dask promises nothing of its peak: a worker may pause, and has to go on.
    assert not [one for one in disturbances if one.endswith("is gone")]
    assert shuffled["rows"].sum() == 50 * PARTITION_ROWS
    assert m.peak_worker_nbytes <= LIMIT
