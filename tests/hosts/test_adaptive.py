"""Hosts that join while a recipe runs: they take part where they reach the staged rows, and say so where they do not."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pandas as pd
import pyarrow.parquet as pq
import pytest
from distributed import Client

import safeframe
from safeframe.sizing.staging_url import staging_base
from tests.faults.machine.leftovers import close_sessions, wait_until_gone
from tests.hosts.cluster import HostCluster, host_cluster
from tests.hosts.work import LONG_PARTS, long_left, long_right, long_tables

pytestmark = pytest.mark.cluster


@pytest.fixture
def home(_namespaces: None) -> Iterator[HostCluster]:
    """Hosts of which the first has the directories of this process, and the others have their own."""
    with host_cluster(home=True) as made:
        yield made
        close_sessions(str(made.scratch))


def expected(rows: int) -> pd.DataFrame:
    left = pd.concat([long_left(part, rows) for part in range(LONG_PARTS)])
    return left.merge(pd.concat([long_right(part) for part in range(4)]), on="k")


def same(found: pd.DataFrame, wanted: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(
        found.sort_values("n", ignore_index=True), wanted.sort_values("n", ignore_index=True)
    )


@pytest.mark.nightly
def test_a_merge_goes_on_while_a_cluster_grows_from_one_host_to_three(hosts: HostCluster) -> None:
    rows, target = 200_000, f"{hosts.store.bucket}/grown"
    with Client(hosts.cluster):
        hosts.scale(1)
        (first,) = hosts.watch.workers
        merged = safeframe.merge(
            *long_tables(rows), on="k", strategy="staged", partition_size="1MiB", staging=hosts.staging
        )
        assert safeframe.explain(merged).staging_directory == staging_base(hosts.staging)
        hosts.watch.tasks.clear()
        # More hosts as soon as there is more than a moment's work, and none is let go.
        hosts.cluster.adapt(minimum=1, maximum=3, interval="100ms", target_duration="1s", wait_count=10_000)
        try:
            safeframe.to_parquet(merged, target, filesystem=hosts.files, write_index=False)
        finally:
            hosts.cluster.adapt(minimum=3, maximum=3).stop()
    same(pq.read_table(target, filesystem=hosts.files).to_pandas(), expected(rows))
    later = {worker: tasks for worker, tasks in hosts.watch.tasks.items() if worker != first}
    assert len(later) == 2, hosts.watch.tasks
    del merged
    gc.collect()
    assert wait_until_gone(hosts.staged, 20.0) == []


def test_a_host_that_joins_later_says_that_it_does_not_reach_the_staged_rows(home: HostCluster) -> None:
    with Client(home.cluster) as client:
        home.scale(1)
        # The directory of the only host, which this process reaches.
        merged = safeframe.merge(*long_tables(5_000), on="k", strategy="staged", partition_size="64KiB")
        assert safeframe.explain(merged).staging_directory == str(home.scratch / "dask-scratch-space")
        same(merged.compute(), expected(5_000))
        home.scale(3)
        with pytest.raises(safeframe.StagingError, match=r"is not there on the host 'host-[12]'") as info:
            merged.compute()
        assert "name a directory in staging= that all hosts reach" in info.value.hint
        # One that is called now is refused at once.
        with pytest.raises(safeframe.ValidationError, match="the workers are on 3 hosts"):
            safeframe.merge(*long_tables(5_000), on="k", strategy="staged")
        assert client.status == "running"
