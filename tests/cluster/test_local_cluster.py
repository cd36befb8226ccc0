"""Our LocalCluster: what arrives on its workers, and what stays behind in the user's process (nothing)."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import distributed
import pandas as pd
import pyarrow as pa
import pytest
from dask.utils import parse_bytes

from safeframe.deploy.local_cluster import LocalCluster
from safeframe.deploy.settings import Setting, config_is_users, small_worker_settings
from safeframe.deploy.worker_state import WorkerState, gather_states
from safeframe.errors import UnsupportedError, ValidationError
from safeframe.sizing.machine import machine_limit_nbytes

pytestmark = pytest.mark.cluster

LIMIT = 1024 * 2**20
QUIET: Mapping[str, Any] = {"dashboard_address": None, "silence_logs": 50}
BUFFER = "distributed.p2p.comm.buffer"

# dask marks the process that starts workers, once and for good, and pytest its own; neither is a setting.
MARKS = {"__DASK_PARENT_PID", "PYTEST_CURRENT_TEST"}


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in MARKS}


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clusters of other tests have left variables here, as dask's nannies do."""
    for setting in small_worker_settings(LIMIT):
        if setting.where == "environment":
            monkeypatch.delenv(setting.name, raising=False)


@pytest.fixture(scope="class")
def running() -> Iterator[tuple[distributed.Client, dict[str, str], dict[str, str]]]:
    before = _environment()
    with LocalCluster(n_workers=2, memory_limit="1GiB", **QUIET) as cluster:
        after = _environment()
        with distributed.Client(cluster) as client:
            yield client, before, after


def _state(client: distributed.Client) -> WorkerState:
    state = next(iter(gather_states(client).values()))
    assert isinstance(state, WorkerState)
    return state


def _wanted() -> dict[str, Setting]:
    return {setting.name: setting for setting in small_worker_settings(LIMIT)}


def _seen_by_a_worker(dask_worker: Any) -> dict[str, Any]:
    shuffle = dask_worker.extensions["shuffle"]
    return {
        "environment": dict(os.environ),
        "config": {
            setting.name: dask.config.get(setting.name)
            for setting in small_worker_settings(LIMIT)
            if setting.where in ("worker", "client")
        },
        "comm": shuffle.memory_limiter_comms.limit,
        "storage": shuffle.memory_limiter_disk.limit,
        "pool": pa.default_memory_pool().backend_name,
        "cores": pa.cpu_count(),
        "readers": pa.io_thread_count(),
        "spill": dask_worker.memory_manager.memory_spill_fraction,
        "pause": dask_worker.memory_manager.memory_pause_fraction,
        "limit": dask_worker.memory_manager.memory_limit,
        "start": Path("/proc/self/environ").read_text(),
    }


@pytest.mark.usefixtures("running")
class TestItsWorkers:
    def test_every_setting_has_arrived_on_every_worker(self, running: Any) -> None:
        client, _, _ = running
        wanted = _wanted()
        answers = client.run(_seen_by_a_worker)
        assert len(answers) == 2
        for seen in answers.values():
            assert seen["limit"] == LIMIT
            for name, setting in wanted.items():
                if setting.where == "environment":
                    assert seen["environment"][name] == str(setting.value)
                    # What the C library and Arrow read, they read when the process starts.
                    assert f"\0{name}={setting.value}\0" in f"\0{seen['start']}"
                elif setting.where in ("worker", "client"):
                    assert seen["config"][name] == setting.value
            assert seen["comm"] == wanted[BUFFER].value
            assert seen["storage"] == wanted["distributed.p2p.storage.buffer"].value
            assert seen["spill"] == wanted["distributed.worker.memory.spill"].value
            assert seen["pause"] == wanted["distributed.worker.memory.pause"].value
            assert (seen["pool"], seen["cores"], seen["readers"]) == ("system", 1, 2)

    def test_every_worker_gives_freed_pages_back(self, running: Any) -> None:
        client, _, _ = running
        told = client.run(
            lambda dask_worker: dask_worker.plugins["safeframe-page-return"]._callback.is_running()
        )
        assert set(told.values()) == {True}

    def test_its_scheduler_hands_out_one_root_task_a_thread(self, running: Any) -> None:
        client, _, _ = running
        assert client.cluster.scheduler.WORKER_SATURATION == 1.0

    def test_nothing_stays_in_this_process(self, running: Any) -> None:
        _, before, after = running
        assert after == before
        for name, setting in _wanted().items():
            if setting.where != "environment":
                assert not config_is_users(name)
                assert not setting.is_met_by(dask.config.get(name))

    def test_it_computes(self, running: Any) -> None:
        frame = dd.from_pandas(pd.DataFrame({"k": range(100)}), npartitions=4)
        assert frame.shuffle("k").k.sum().compute() == 4950


def test_workers_that_are_started_again_or_later_have_them_too() -> None:
    before = _environment()
    with LocalCluster(n_workers=1, **QUIET) as cluster, distributed.Client(cluster) as client:
        first = _state(client).address
        cluster.scale(2)
        client.wait_for_workers(2)
        client.restart_workers([first])
        client.wait_for_workers(2)
        seen = client.run(_seen_by_a_worker)
    assert [one["comm"] for one in seen.values()] == [_wanted()[BUFFER].value] * 2
    assert [one["pool"] for one in seen.values()] == ["system"] * 2
    assert all("\0MALLOC_ARENA_MAX=1\0" in one["start"] for one in seen.values())
    assert _environment() == before


class TestWhatTheUserHasSet:
    def test_stays(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MALLOC_ARENA_MAX", "3")
        mine = {
            BUFFER: "24 MiB",
            "distributed.scheduler.worker-saturation": 2.0,
            "distributed.nanny.pre-spawn-environ.OMP_NUM_THREADS": 2,
        }
        with (
            dask.config.set(mine),
            LocalCluster(
                n_workers=1,
                env={"ARROW_IO_THREADS": 5},
                config={"distributed": {"worker": {"memory": {"pause": 0.7}}}, "array.chunk-size": "5 MiB"},
                **QUIET,
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            (seen,) = client.run(_seen_by_a_worker).values()
            assert cluster.scheduler.WORKER_SATURATION == 2.0
        assert seen["environment"]["MALLOC_ARENA_MAX"] == "3"
        assert seen["environment"]["OMP_NUM_THREADS"] == "2"
        assert seen["readers"] == 5
        assert seen["comm"] == parse_bytes("24 MiB")
        assert seen["pause"] == 0.7
        assert seen["config"]["array.chunk-size"] == "5 MiB"
        # What they have not set is ours.
        assert seen["storage"] == _wanted()["distributed.p2p.storage.buffer"].value
        assert seen["pool"] == "system"
        assert os.environ["MALLOC_ARENA_MAX"] == "3"
        assert "ARROW_IO_THREADS" not in os.environ

    def test_what_dasks_nannies_have_left_here_is_not_taken_for_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("safeframe.deploy.settings._started_with", dict)
        monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "65536")
        with LocalCluster(n_workers=1, **QUIET) as cluster, distributed.Client(cluster) as client:
            assert _state(client).values["MALLOC_TRIM_THRESHOLD_"] == str(
                _wanted()["MALLOC_TRIM_THRESHOLD_"].value
            )
        assert os.environ["MALLOC_TRIM_THRESHOLD_"] == "65536"

    def test_plugins_of_the_scheduler_are_kept(self) -> None:
        class Mine(distributed.SchedulerPlugin):  # type: ignore[misc]
            name = "mine"

        with LocalCluster(n_workers=1, scheduler_kwargs={"plugins": [Mine()]}, **QUIET) as cluster:
            assert {"mine", "safeframe-saturation"} <= cluster.scheduler.plugins.keys()


def test_a_temporary_directory_in_memory_is_left_for_a_disk(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("safeframe.deploy.nanny.worker_directory", lambda: str(tmp_path))
    with LocalCluster(n_workers=1, **QUIET) as cluster, distributed.Client(cluster) as client:
        assert _state(client).directory.path.startswith(str(tmp_path))


def test_it_can_be_awaited() -> None:
    async def look() -> int:
        async with (
            LocalCluster(n_workers=1, asynchronous=True, **QUIET) as cluster,
            distributed.Client(cluster, asynchronous=True) as client,
        ):
            (seen,) = (await client.run(_seen_by_a_worker)).values()
            return int(seen["comm"])

    before = _environment()
    assert asyncio.run(look()) == _wanted()[BUFFER].value
    assert _environment() == before


@pytest.mark.parametrize("limit", [None, 0])
def test_no_limit_is_refused(limit: int | None) -> None:
    with pytest.raises(
        ValidationError, match=r"lets each worker use all[\s\S]*Hint: Give each worker a size"
    ):
        LocalCluster(n_workers=1, memory_limit=limit, **QUIET)


def test_a_limit_may_be_a_share_of_the_machine() -> None:
    with (
        LocalCluster(n_workers=1, memory_limit=0.05, **QUIET) as cluster,
        distributed.Client(cluster) as client,
    ):
        (seen,) = client.run(_seen_by_a_worker).values()
    assert seen["limit"] == int(machine_limit_nbytes() * 0.05)


@pytest.mark.parametrize("options", [{"processes": False}, {"worker_class": distributed.Worker}])
def test_workers_in_this_process_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match=r"settings of their own[\s\S]*distributed\.LocalCluster"):
        LocalCluster(n_workers=1, **options, **QUIET)


def test_without_a_dashboard_its_port_is_not_asked_for() -> None:
    """dask serves metrics there all the same, and warns where somebody has the port."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with LocalCluster(n_workers=0, **QUIET) as cluster:
            assert cluster.scheduler.http_server.port != 8787
    assert not [one for one in caught if "8787" in str(one.message)]
