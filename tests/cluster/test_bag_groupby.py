"""Groups of a bag on a cluster: what runs, what is removed, what is made again."""

from __future__ import annotations

import os
from itertools import groupby

import dask
import dask.bag as db
import psutil
import pytest
from distributed import Client, LocalCluster, wait

import safeframe

ITEMS = [(7 * i) % 500 for i in range(20_000)]


def remainder(item):
    return item % 37


def expected():
    ordered = sorted(enumerate(ITEMS), key=lambda pair: (pair[1] % 37, pair[0]))
    return {key: [item for _, item in group] for key, group in groupby(ordered, lambda pair: pair[1] % 37)}


def bag(npartitions=8):
    return db.from_sequence(ITEMS, npartitions=npartitions)


def staged_files(tmp_path):
    return list(tmp_path.rglob("*.staged"))


@pytest.mark.usefixtures("small_cluster")
def test_computed_groups_leave_nothing_behind(tmp_path):
    result = safeframe.bag_groupby(bag(), remainder, npartitions=5, staging=str(tmp_path))
    found = result.compute()
    assert len(found) == 37
    assert dict(found) == expected()
    assert not staged_files(tmp_path)


@pytest.mark.usefixtures("small_cluster")
def test_partitions_of_few_keys_have_the_same_sizes(tmp_path):
    items = db.from_sequence(range(64_000), npartitions=8)
    result = safeframe.bag_groupby(items, lambda item: item % 64, npartitions=8, staging=str(tmp_path))
    sizes = result.map_partitions(lambda pairs: [sum(len(items) for _, items in pairs)]).compute()
    assert sum(sizes) == 64_000
    assert max(sizes) <= 1.5 * 8000, sizes


@pytest.mark.usefixtures("small_cluster")
def test_it_is_measured_and_explained(tmp_path):
    result = safeframe.bag_groupby(bag(), remainder, staging=str(tmp_path))
    with safeframe.measure() as seen:
        flat = result.map(lambda pair: pair[1]).flatten()
        assert flat.count().compute() == len(ITEMS)
    assert seen.plans == list(safeframe.explain(flat).plans)
    assert seen.rows_out == len(ITEMS)


def test_a_lost_worker_s_groups_are_made_again(tmp_path):
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        result = safeframe.bag_groupby(bag(), remainder, npartitions=5, staging=str(tmp_path)).persist()
        wait(result)
        process = psutil.Process(next(iter(client.run(os.getpid).values())))
        process.kill()
        process.wait()
        found = result.compute()
        del result
    assert dict(found) == expected()
    assert not staged_files(tmp_path)


def mostly_zeros(numbers):
    """A tenth of 400 000 zeros and of the numbers below 1000, for each number."""
    return [item for n in numbers for item in [0] * 40_000 + list(range(n * 100, n * 100 + 100))]


@pytest.mark.usefixtures("small_cluster")
def test_pieces_of_a_large_group_are_bounded(tmp_path):
    items = db.from_sequence(range(10), npartitions=10).map_partitions(mostly_zeros)
    arguments = {"memory": "340MiB", "staging": str(tmp_path)}
    most = safeframe.plan_bag_groupby(items, abs, **arguments).largest_partition_nbytes
    assert most < 40 * 400_000, "the group is larger than a partition"
    with pytest.raises(safeframe.MemoryBudgetError, match=r"The key 0 has 400,001 items, 15.3 MiB") as info:
        safeframe.bag_groupby(items, abs, **arguments).compute()
    assert "split_large_groups=True" in info.value.hint
    assert info.value.figures["group_nbytes"] > info.value.figures["planned_nbytes"]
    result = safeframe.bag_groupby(items, abs, split_large_groups=True, npartitions=8, **arguments)
    found = result.map(lambda pair: (pair[0], len(pair[1]))).compute()
    zeros = [n for key, n in found if key == 0]
    assert len(zeros) > 1
    assert sum(zeros) == 400_001
    # Of 8 partitions each may have to be larger than of as many as there would be without a request.
    assert max(zeros) * 40 <= safeframe.explain(result).largest_partition_nbytes < 40 * 400_000
    assert sorted(key for key, _ in found if key) == list(range(1, 1000))
    assert not staged_files(tmp_path)


@pytest.mark.parametrize("scheduler", ["sync", "threads", "processes"])
def test_without_a_cluster(tmp_path, scheduler):
    with dask.config.set(scheduler=scheduler, num_workers=2):
        result = safeframe.bag_groupby(bag(), remainder, npartitions=3, staging=str(tmp_path))
        assert dict(result.compute()) == expected()
    assert not staged_files(tmp_path)
