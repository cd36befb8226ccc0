"""A worker that is lost takes its results with it, and nothing else."""

from __future__ import annotations

import os

import dask.dataframe as dd
import numpy as np
import pandas as pd
import psutil
import pytest
from distributed import Client, LocalCluster, wait

import safeframe


@pytest.mark.parametrize("strategy", ["staged", "p2p"])
def test_a_lost_worker_s_cells_are_made_again(tmp_path, strategy):
    rng = np.random.default_rng(0)
    left = pd.DataFrame({"k": rng.integers(0, 100, 20_000), "l": np.arange(20_000)})
    right = pd.DataFrame({"k": rng.integers(0, 100, 1000), "r": np.arange(1000)})
    expected = left.merge(right, on="k")
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        merged = safeframe.merge(
            dd.from_pandas(left, npartitions=4, sort=False),
            dd.from_pandas(right, npartitions=2, sort=False),
            on="k",
            strategy=strategy,
            partition_size="512KiB",
            staging=str(tmp_path),
        ).persist()
        wait(merged)
        # By now the run's files are gone: what was lost has to be staged again.
        lost = next(iter(client.run(os.getpid).values()))
        process = psutil.Process(lost)
        process.kill()
        process.wait()
        found = merged.compute()
        del merged
    assert len(found) == len(expected)
    assert found.l.sum() == expected.l.sum()
    assert found.r.sum() == expected.r.sum()
    assert not list(tmp_path.rglob("*.staged"))
