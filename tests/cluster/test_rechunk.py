"""Rechunking on a cluster: what runs, what is removed, what is made again."""

from __future__ import annotations

import os
import pickle
import threading

import dask
import dask.array as da
import numpy as np
import psutil
import pytest
from distributed import Client, LocalCluster, wait

import safeframe


def numbers(shape=(120, 90), chunks=(120, 7), seed=0):
    return da.random.default_rng(seed).random(shape, chunks=chunks)


def staged_files(tmp_path):
    return list(tmp_path.rglob("*.staged"))


@pytest.mark.usefixtures("small_cluster")
def test_a_computed_array_leaves_nothing_behind(tmp_path):
    array = numbers()
    result = safeframe.rechunk(array, (11, -1), staging=str(tmp_path))
    assert safeframe.explain(result).strategy == "staged"
    np.testing.assert_array_equal(result.compute(), array.compute())
    assert not staged_files(tmp_path)


@pytest.mark.usefixtures("small_cluster")
def test_parts_of_it_and_steps_after_it(tmp_path):
    array = numbers()
    result = safeframe.rechunk(array, (11, -1), staging=str(tmp_path))
    assert result[:5, 3].sum().compute() == pytest.approx(array[:5, 3].sum().compute())
    both = dask.compute((result + 1).sum(), array.sum())
    assert both[0] == pytest.approx(both[1] + array.size)
    assert safeframe.explain((result + 1).sum()).plans == (safeframe.explain(result),)
    again = safeframe.rechunk(result, (-1, 9), staging=str(tmp_path))
    np.testing.assert_array_equal(again.compute(), array.compute())
    assert not staged_files(tmp_path)


def test_a_lost_worker_s_chunks_are_made_again(tmp_path):
    array = numbers((400, 300), (400, 20))
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        result = safeframe.rechunk(array, (40, -1), staging=str(tmp_path)).persist()
        wait(result)
        process = psutil.Process(next(iter(client.run(os.getpid).values())))
        process.kill()
        process.wait()
        found = result.compute()
        del result
    np.testing.assert_array_equal(found, array.compute(scheduler="sync"))
    assert not staged_files(tmp_path)


@pytest.mark.usefixtures("small_cluster")
def test_it_is_measured_and_explained(tmp_path):
    result = safeframe.rechunk(numbers(), (11, -1), staging=str(tmp_path))
    with safeframe.measure() as seen:
        result.sum().compute()
    plan = safeframe.explain(result)
    assert seen.plans == [plan]
    assert (seen.rows_in, seen.rows_out) == (120 * 90, 120 * 90)


@pytest.mark.usefixtures("small_cluster")
def test_a_plan_that_does_not_fit_says_so_when_it_is_computed(tmp_path):
    large = da.ones((40_000, 4_000), chunks=(40_000, 400))
    result = safeframe.rechunk(large, (400, -1), memory="300MiB", staging=str(tmp_path))
    assert not safeframe.explain(result).fits
    with pytest.raises(safeframe.MemoryBudgetError, match="300 MiB is allowed") as info:
        result.sum().compute()
    assert info.value.figures["allowed_nbytes"] == 300 * 2**20


@pytest.mark.usefixtures("small_cluster")
def test_several_exchanges(tmp_path, monkeypatch):
    monkeypatch.setattr("safeframe.options.RECHUNK_PIECE_NBYTES", 2**40)
    array = numbers((500, 300), (500, 1))
    result = safeframe.rechunk(array, (1, -1), staging=str(tmp_path))
    assert "pass chunks on" in [step.kind for step in safeframe.explain(result).steps]
    np.testing.assert_array_equal(result.compute(), array.compute())
    assert not staged_files(tmp_path)


def test_a_client_that_comes_later_has_files_removed_too(tmp_path):
    array = numbers()
    result = safeframe.rechunk(array, (11, -1), staging=str(tmp_path))
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        Client(cluster),
    ):
        np.testing.assert_array_equal(result.compute(), array.compute())
        assert not staged_files(tmp_path)


@pytest.mark.parametrize("made", [True, False], ids=["self-made", "of others"])
@pytest.mark.parametrize("chunks", [(11, -1), (120, 7), (-1, -1)], ids=["staged", "untouched", "merged"])
def test_it_is_an_array_like_any_of_dask_s(made, chunks):
    array = numbers() if made else numbers().persist(scheduler="sync")
    result = safeframe.rechunk(array, chunks)
    da.utils.assert_eq(result, array.compute(scheduler="sync"), scheduler="sync")
    assert "rechunk-output" in repr(result)
    assert result._repr_html_()


@pytest.mark.parametrize("scheduler", ["sync", "threads", "processes"])
def test_without_a_cluster(tmp_path, scheduler):
    array = numbers()
    with dask.config.set(scheduler=scheduler, num_workers=2):
        result = safeframe.rechunk(array, (11, -1), staging=str(tmp_path))
        np.testing.assert_array_equal(result.compute(), array.compute(scheduler="sync"))
    assert not staged_files(tmp_path)


def test_a_pickled_array_is_the_array(tmp_path):
    array = numbers()
    result = safeframe.rechunk(array, (11, -1), staging=str(tmp_path))
    copy = pickle.loads(pickle.dumps(result))
    with dask.config.set(scheduler="sync"):
        np.testing.assert_array_equal(copy.compute(), array.compute())
    assert not staged_files(tmp_path)


def test_a_graph_is_pickled_while_the_client_s_thread_waits(small_cluster, tmp_path):
    """The client pickles a graph with a lock in its hand that its own thread may be waiting for."""
    other = str(tmp_path)
    with dask.config.set(scheduler="sync"):
        result = safeframe.rechunk(numbers(), (11, -1), staging=other)  # a scheduler that knows of no files
    started, go_on = threading.Event(), threading.Event()
    freed = []

    def wait_for_the_lock():
        started.set()
        freed.append(go_on.wait(10))

    small_cluster.loop.add_callback(wait_for_the_lock)
    assert started.wait(10)
    pickle.dumps(result)
    assert not freed, "pickled without that thread"
    go_on.set()
    np.testing.assert_array_equal(result.compute(), numbers().compute())
    assert not staged_files(tmp_path)
