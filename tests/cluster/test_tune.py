"""Bringing a running cluster near to what small workers need, and saying what could not be."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Iterator
from typing import Any

import dask
import distributed
import pytest
from distributed import Client, LocalCluster

from safeframe.deploy.settings import small_worker_settings
from safeframe.deploy.tune import SmallWorkerSettings, Tuning, tune
from safeframe.deploy.worker_state import WorkerState, gather_states
from safeframe.errors import UnsupportedError

pytestmark = pytest.mark.cluster

COMM, STORAGE = "distributed.p2p.comm.buffer", "distributed.p2p.storage.buffer"
PAUSE = "distributed.worker.memory.pause"
QUIET: dict[str, Any] = {"dashboard_address": None, "silence_logs": 50, "threads_per_worker": 1}
LIVE = {
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TRIM_THRESHOLD_",
    "ARROW_DEFAULT_MEMORY_POOL",
    "ARROW_IO_THREADS",
    COMM,
    STORAGE,
    "distributed.p2p.comm.concurrency",
    "distributed.worker.memory.spill",
    PAUSE,
    "distributed.scheduler.worker-saturation",
}
FIXED = {"MALLOC_ARENA_MAX", "array.chunk-size", "dataframe.parquet.minimum-partition-size"}


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in small_worker_settings(1):
        if setting.where == "environment":
            monkeypatch.delenv(setting.name, raising=False)


@pytest.fixture
def plain() -> Iterator[Client]:
    with LocalCluster(n_workers=1, memory_limit="1GiB", **QUIET) as cluster, Client(cluster) as client:
        yield client


@pytest.fixture
def threads() -> Iterator[Client]:
    """A worker that is a thread of this process."""
    with (
        LocalCluster(n_workers=1, memory_limit="1GiB", processes=False, **QUIET) as cluster,
        Client(cluster) as client,
    ):
        yield client


def _values(client: Client, name: str) -> list[Any]:
    states = gather_states(client).values()
    return [state.values[name] for state in states if isinstance(state, WorkerState)]


def _names(changes: tuple[Any, ...]) -> set[str]:
    return {one.name for one in changes}


def test_it_changes_what_it_can_and_names_the_rest_once_and_later(plain: Client) -> None:
    before = dask.config.get(COMM), dask.config.get("array.chunk-size")
    first = tune(plain)
    assert (_names(first.changed), _names(first.unchanged)) == (LIVE, FIXED)
    wanted = {setting.name: setting.value for setting in small_worker_settings(2**30)}
    for name in (COMM, STORAGE, PAUSE):
        assert _values(plain, name) == [wanted[name]]
    assert plain.run_on_scheduler(lambda dask_scheduler: dask_scheduler.WORKER_SATURATION) == 1.0

    told = plain.run(lambda dask_worker: dask_worker.plugins["safeframe-page-return"]._callback.is_running())
    assert set(told.values()) == {True}

    # A second time there is nothing more to do.
    second = tune(plain)
    assert second.changed == ()
    assert second.unchanged == first.unchanged

    # Workers that join later get the same.
    plain.cluster.scale(2)
    plain.wait_for_workers(2)
    assert _values(plain, COMM) == [wanted[COMM]] * 2
    assert tune(plain).changed == ()

    # This process is not a worker.
    assert (dask.config.get(COMM), dask.config.get("array.chunk-size")) == before

    _it_says_what_it_did(first)


def _it_says_what_it_did(tuning: Tuning) -> None:
    text = str(tuning)
    assert text.startswith("settings changed: 10, unchanged: 3, workers: 1\n")
    assert "changed    distributed.p2p.comm.buffer: 1 GiB, now 32 MiB" in text
    assert "unchanged  MALLOC_ARENA_MAX: not set, wanted at most 1" in text
    assert "MALLOC_ARENA_MAX=1 in their environment" in text
    assert 'dask.config.set({"array.chunk-size": "32 MiB"})' in text
    assert all(one.reason for one in (*tuning.changed, *tuning.unchanged))
    plain = tuning.to_dict()
    assert {one["name"] for one in plain["changed"]} == LIVE
    assert plain["unchanged"][0]["instead"]
    assert pickle.loads(pickle.dumps(tuning)) == tuning


def test_it_leaves_what_somebody_has_set_on_purpose() -> None:
    mine = {PAUSE: 0.7, "distributed.scheduler.worker-saturation": 1.5, COMM: "300 MiB"}
    with (
        dask.config.set(mine),
        LocalCluster(n_workers=1, memory_limit="1GiB", **QUIET) as cluster,
        Client(cluster) as client,
    ):
        tuning = tune(client)
        assert _values(client, PAUSE) == [0.7]
        assert _values(client, COMM) == [300 * 2**20]
    assert mine.keys() <= _names(tuning.unchanged)
    assert not mine.keys() & _names(tuning.changed)
    assert all("by the user" in one.instead for one in tuning.unchanged if one.name in mine)


def test_it_leaves_the_buffers_of_a_shuffle_that_runs(
    threads: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    (worker,) = threads.cluster.workers.values()
    shuffle = worker.extensions["shuffle"]
    with monkeypatch.context() as patched:
        patched.setattr(shuffle, "heartbeat", lambda: {"a shuffle": {}})
        during = tune(threads)
        assert shuffle.memory_limiter_comms.limit == 2**30
        assert {COMM, STORAGE} <= _names(during.unchanged)
        assert all(
            "when it has finished" in one.instead for one in during.unchanged if one.name in (COMM, STORAGE)
        )
    # Once it is done they are set: that the worker's settings say so already does not matter.
    after = tune(threads)
    assert {COMM, STORAGE} <= _names(after.changed)
    assert shuffle.memory_limiter_comms.limit == 32 * 2**20


def test_workers_in_this_process_leave_it_alone(threads: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def _never() -> bool:
        msg = "the allocator of the user's process was set up"
        raise AssertionError(msg)

    monkeypatch.setattr("safeframe.deploy.tune.keep_pages", _never)
    before = dict(dask.config.config["distributed"]["p2p"]["comm"])
    tuning = tune(threads)
    assert {COMM, STORAGE, PAUSE} <= _names(tuning.changed)
    assert dask.config.config["distributed"]["p2p"]["comm"] == before


def test_thresholds_that_are_switched_off_stay_so() -> None:
    with (
        dask.config.set({PAUSE: False}),
        LocalCluster(n_workers=1, memory_limit="1GiB", processes=False, **QUIET) as cluster,
        Client(cluster) as client,
    ):
        assert PAUSE not in _names(tune(client).changed)
        assert _values(client, PAUSE) == [False]


def test_an_asynchronous_client_is_refused() -> None:
    async def refused() -> None:
        async with Client(processes=False, asynchronous=True, dashboard_address=None) as client:
            with pytest.raises(UnsupportedError, match=r"awaited[\s\S]*Hint: Connect a second client"):
                tune(client)

    asyncio.run(refused())


def test_the_plugin_travels() -> None:
    assert isinstance(pickle.loads(pickle.dumps(SmallWorkerSettings())), distributed.WorkerPlugin)
