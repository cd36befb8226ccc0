"""The doctor on clusters that run, and as a command."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import distributed
import pytest
from click.testing import CliRunner
from distributed import Client, LocalCluster

from safeframe.cli.doctor import doctor as command
from safeframe.deploy import local_cluster
from safeframe.deploy.checks import Finding
from safeframe.deploy.doctor import DoctorReport, doctor
from safeframe.deploy.tune import tune
from safeframe.errors import UnsupportedError

pytestmark = pytest.mark.cluster

QUIET: dict[str, Any] = {"dashboard_address": None, "silence_logs": 50, "threads_per_worker": 1}


@pytest.fixture
def threads(tmp_path: Path) -> Iterator[Client]:
    """Two workers that are threads of this process: started at once, and within reach of a test."""
    with (
        dask.config.set({"temporary-directory": str(tmp_path)}),
        LocalCluster(n_workers=2, memory_limit="1GiB", processes=False, **QUIET) as cluster,
        Client(cluster) as client,
    ):
        yield client


def _named(report: DoctorReport, name: str) -> Finding:
    (finding,) = (one for one in report.findings if one.name.startswith(name))
    return finding


def test_our_own_cluster_is_well(tmp_path: Path) -> None:
    with (
        dask.config.set({"temporary-directory": str(tmp_path)}),
        local_cluster.LocalCluster(n_workers=2, memory_limit="1GiB", **QUIET) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        report = doctor(client)
        told = CliRunner().invoke(command, ["--scheduler", cluster.scheduler_address])
    assert report.ok, str(report)
    assert report.warnings == (), str(report)
    # dask's defaults, in this process: something to know, and nothing to change for a cluster of ours.
    assert [one.status for one in report.findings if one.name.startswith("setting ")] == ["note", "note"]
    (chunks, _) = (one for one in report.findings if one.name.startswith("setting "))
    assert 'dask.config.set({"array.chunk-size": "32 MiB"})' in chunks.hint
    # The last line is not of what the notes are of.
    assert report.findings[-1].name == "settings of workers and scheduler"
    assert _named(report, "memory of host ").found == "2 workers may use 2 GiB together"
    assert _named(report, "workers").found == "2"
    assert _named(report, "disk").found.endswith("shared by 2 workers")
    assert "read by all of 2 workers" in _named(report, "staging").found
    # The probe is gone from the directory that was tried.
    assert list(tmp_path.rglob("safeframe-doctor-*")) == []
    assert told.exit_code == 0, told.output
    assert "problems: 0, warnings: 0" in told.output


def test_a_cluster_with_dasks_defaults_is_not_until_it_is_tuned() -> None:
    with LocalCluster(n_workers=1, memory_limit="1GiB", **QUIET) as cluster, Client(cluster) as client:
        before = doctor(client)
        told = CliRunner().invoke(command, ["--scheduler", cluster.scheduler_address, "--json"])
        tune(client)
        after = doctor(client)
    assert [one.name for one in before.problems] == ["setting distributed.p2p.comm.buffer"]
    assert told.exit_code == 1
    assert json.loads(told.stdout)["ok"] is False
    assert after.ok, str(after)
    assert not [one for one in after.findings if "safeframe.tune" in one.hint]


def test_no_workers() -> None:
    with LocalCluster(n_workers=0, processes=False, **QUIET) as cluster, Client(cluster) as client:
        report = doctor(client)
    assert [one.name for one in report.problems] == ["workers"]


def test_a_paused_worker_and_one_without_a_limit(threads: Client) -> None:
    first, second = threads.cluster.workers.values()
    first.memory_manager.memory_limit = None
    second.status = distributed.core.Status.paused
    try:
        report = doctor(threads)
    finally:
        second.status = distributed.core.Status.running
    assert _named(report, "memory limit").status == "problem"
    paused = _named(report, f"worker {second.address}")
    assert (paused.status, "takes no tasks" in paused.found) == ("problem", True)


def test_a_staging_directory_that_cannot_be_written(threads: Client, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with dask.config.set({"safeframe.staging.directory": str(tmp_path / "file" / "below")}):
        report = doctor(threads)
    staging = _named(report, "staging directory")
    assert staging.status == "problem"
    assert staging.found.startswith("out of reach for")
    assert "safeframe.staging.directory" in staging.hint


def test_a_staging_directory_that_is_another_on_one_worker(
    threads: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safeframe.deploy import staging_check

    blind = list(threads.cluster.workers.values())[1].address
    read = staging_check._read

    def _read(path: str, dask_worker: Any = None) -> str:
        return "No such file" if dask_worker is not None and dask_worker.address == blind else read(path)

    monkeypatch.setattr(staging_check, "_read", _read)
    with dask.config.set({"safeframe.staging.directory": str(tmp_path / "stage")}):
        staging = _named(doctor(threads), "staging directory")
    assert staging.status == "problem"
    assert staging.found == f"out of reach for {blind}: No such file"
    assert list(tmp_path.rglob("safeframe-doctor-*")) == []


def test_a_staging_directory_that_the_scheduler_cannot_see(
    threads: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safeframe.deploy import staging_check

    def _read(path: str, dask_worker: Any = None) -> str:
        # dask hands the scheduler over by the same name.
        return "" if isinstance(dask_worker, distributed.Worker) else "No such file"

    monkeypatch.setattr(staging_check, "_read", _read)
    with dask.config.set({"safeframe.staging.directory": str(tmp_path / "stage")}):
        staging = _named(doctor(threads), "staging directory")
    assert staging.status == "problem"
    assert staging.found.startswith("out of reach for the scheduler, which removes")


def test_workers_on_several_hosts_without_a_shared_directory(
    threads: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safeframe.deploy import staging_check

    facts = staging_check.staging_facts(None)
    apart = type(facts)(directory=None, free_nbytes=0, unavailable="the workers are on 2 hosts")
    monkeypatch.setattr(staging_check, "staging_facts", lambda _: apart)
    staging = _named(doctor(threads), "staging directory")
    assert (staging.status, staging.limit) == ("warning", "the workers are on 2 hosts")


def test_workers_that_cannot_load_the_library() -> None:
    def _hide(dask_worker: Any) -> None:
        sys.modules["safeframe.deploy.worker_state"] = None  # type: ignore[assignment]

    with LocalCluster(n_workers=1, memory_limit="1GiB", **QUIET) as cluster, Client(cluster) as client:
        client.run(_hide)
        report = doctor(client)
    (problem,) = report.problems
    assert "cannot load safeframe" in problem.found


def test_an_asynchronous_client_is_refused() -> None:
    async def refused() -> None:
        async with Client(processes=False, asynchronous=True, dashboard_address=None) as client:
            with pytest.raises(UnsupportedError, match="awaited"):
                doctor(client)

    asyncio.run(refused())


class TestThisMachine:
    def test_it_is_looked_at_without_a_cluster(self, tmp_path: Path) -> None:
        with dask.config.set({"safeframe.staging.directory": str(tmp_path / "stage")}):
            told = CliRunner().invoke(command, [])
        assert told.exit_code == 0, told.output
        assert re.search(r"^  ok +versions: python 3", told.output, re.MULTILINE)
        assert f"staging directory {tmp_path / 'stage'}: this process reads and writes there" in told.output

    def test_a_staging_directory_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with dask.config.set({"safeframe.staging.directory": str(tmp_path / "file" / "below")}):
            told = CliRunner().invoke(command, [])
        assert told.exit_code == 1
        assert "out of reach for this process" in told.output

    def test_no_scheduler_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("safeframe.cli.run._CONNECT_SECONDS", 0.2)
        told = CliRunner().invoke(command, ["--scheduler", "tcp://127.0.0.1:1"])
        assert told.exit_code == 1
        assert "There is no scheduler at 'tcp://127.0.0.1:1'" in told.output
