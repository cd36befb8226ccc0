"""What the doctor says of workers that were made up."""

from __future__ import annotations

from dataclasses import replace

import psutil
import pytest

from safeframe import options
from safeframe.deploy.checks import (
    Finding,
    check_disks,
    check_groups,
    check_limits,
    check_machine,
    check_settings,
    check_state,
    check_threads,
    check_workers,
)
from safeframe.deploy.deviations import SchedulerState, find_deviations
from safeframe.deploy.doctor import DoctorReport
from safeframe.deploy.settings import small_worker_settings
from safeframe.deploy.version_check import compare_versions
from safeframe.deploy.worker_state import WorkerState, own_versions
from safeframe.sizing.directory import Directory
from safeframe.sizing.machine import MemoryGroup

MIB, GIB = 2**20, 2**30

DISK = Directory(host="h", path="/scratch/w", device=1, file_system="ext4", free_nbytes=100 * GIB)

GOOD = WorkerState(
    address="tcp://h:1",
    host="h",
    threads=1,
    status="running",
    limit_nbytes=GIB,
    resident_nbytes=200 * MIB,
    machine_nbytes=16 * GIB,
    group=None,
    swapped_nbytes=0,
    directory=DISK,
    values={setting.name: setting.value for setting in small_worker_settings(GIB)},
    users=frozenset(),
    shuffling=False,
    versions=own_versions(),
)
SECOND = replace(GOOD, address="tcp://h:2")


def _worst(findings: object) -> str:
    found = [one.status for one in findings]  # type: ignore[attr-defined]
    return max(found, key=["ok", "warning", "problem"].index, default="ok")


class TestWorkers:
    def test_none(self) -> None:
        (finding,) = check_workers({})
        assert finding.status == "problem"
        assert "wait_for_workers" in finding.hint

    def test_one_without_the_library(self) -> None:
        _, finding = check_workers({"a": GOOD, "b": ModuleNotFoundError("No module named 'safeframe'")})
        assert (finding.name, finding.status) == ("worker b", "problem")
        assert "Install safeframe" in finding.hint

    def test_one_that_does_not_answer(self) -> None:
        _, finding = check_workers({"a": OSError("gone")})
        assert "does not answer" in finding.found

    def test_a_paused_one(self) -> None:
        paused = replace(GOOD, status="paused", resident_nbytes=900 * MIB)
        (finding,) = check_state([GOOD, paused])
        assert finding.status == "problem"
        assert "900 MiB" in finding.found

    def test_one_that_is_swapped_out(self) -> None:
        (finding,) = check_state([replace(GOOD, swapped_nbytes=5 * MIB)])
        assert (finding.status, finding.found) == ("warning", "5 MiB of it are in swap")

    def test_good_ones(self) -> None:
        assert list(check_state([GOOD, SECOND])) == []


class TestLimits:
    def test_good_ones(self) -> None:
        (finding,) = check_limits([GOOD, replace(SECOND, limit_nbytes=2 * GIB)])
        assert (finding.status, finding.found) == ("ok", "1 GiB to 2 GiB")

    def test_no_limit(self) -> None:
        (finding,) = check_limits([GOOD, replace(SECOND, limit_nbytes=None)])
        assert finding.status == "problem"
        assert finding.found == "1 of 2 workers have none"

    def test_a_limit_above_the_kernels(self) -> None:
        group = MemoryGroup(path="/sys/fs/cgroup/w", limit_nbytes=512 * MIB)
        (finding,) = check_limits([replace(GOOD, group=group)])
        assert finding.status == "problem"
        assert "512 MiB" in finding.limit
        assert finding.found == "1 GiB"

    def test_together_more_than_the_machine(self) -> None:
        small = [replace(one, machine_nbytes=int(1.5 * GIB)) for one in (GOOD, SECOND)]
        (finding,) = check_groups(small)
        assert finding.status == "problem"
        assert "2 GiB together" in finding.found
        assert _worst(check_groups([small[0]])) == "ok"

    def test_together_more_than_their_group(self) -> None:
        group = MemoryGroup(path="/g", limit_nbytes=int(1.5 * GIB))
        _, finding = check_groups([replace(one, group=group) for one in (GOOD, SECOND)])
        assert (finding.status, finding.limit) == ("problem", "it has 1.5 GiB")

    def test_the_same_group_on_another_host_is_another(self) -> None:
        group = MemoryGroup(path="/g", limit_nbytes=int(1.5 * GIB))
        apart = [replace(GOOD, group=group), replace(SECOND, group=group, host="other")]
        assert _worst(check_groups(apart)) == "ok"

    @pytest.mark.parametrize(("threads", "status"), [(1, "ok"), (16, "warning")])
    def test_threads_share_a_workers_memory(self, threads: int, status: str) -> None:
        (finding,) = check_threads([GOOD, replace(SECOND, threads=threads)])
        assert finding.status == status

    def test_a_worker_that_has_nothing_for_data(self) -> None:
        (finding,) = check_threads([replace(GOOD, limit_nbytes=256 * MIB)])
        assert finding.status == "problem"


class TestDisks:
    def test_workers_that_share_one_are_counted_together(self) -> None:
        (finding,) = check_disks([(DISK, GIB), (replace(DISK, path="/scratch/v"), GIB)])
        assert "shared by 2 workers" in finding.found
        assert "2 GiB" in finding.limit

    def test_two_hosts_have_two(self) -> None:
        assert len(list(check_disks([(DISK, GIB), (replace(DISK, host="i"), GIB)]))) == 2

    def test_one_made_of_memory(self) -> None:
        (finding,) = check_disks([(replace(DISK, file_system="tmpfs"), GIB)])
        assert finding.status == "problem"
        assert "tmpfs: memory" in finding.found

    @pytest.mark.parametrize(
        ("free", "status"),
        [(GIB - 1, "problem"), (2 * GIB, "warning"), (options.DOCTOR_DISK_FACTOR * GIB, "ok")],
    )
    def test_little_room(self, free: int, status: str) -> None:
        (finding,) = check_disks([(replace(DISK, free_nbytes=free), GIB)])
        assert finding.status == status


class TestSettings:
    def _check(self, *states: WorkerState, saturation: float = 1.0) -> list[Finding]:
        scheduler = SchedulerState(saturation=saturation, users=False)
        found = find_deviations({state.address: state for state in states}, scheduler)
        of_cluster = tuple(one for one in found if one.setting.where != "client")
        return list(check_settings(of_cluster, states))

    def _with(self, state: WorkerState, **values: object) -> WorkerState:
        changed = {name.replace("__", "."): value for name, value in values.items()}
        return replace(state, values={**state.values, **changed})

    def test_good_ones(self) -> None:
        (finding,) = self._check(GOOD, SECOND)
        assert (finding.name, finding.status) == ("settings", "ok")

    @pytest.mark.parametrize(("buffer", "status"), [(GIB, "problem"), (64 * MIB, "warning")])
    def test_p2p_buffers_against_the_limit(self, buffer: int, status: str) -> None:
        (finding,) = self._check(GOOD, self._with(SECOND, distributed__p2p__comm__buffer=buffer))
        assert finding.status == status
        assert "safeframe.tune" in finding.hint

    def test_what_is_read_at_start_cannot_be_tuned(self) -> None:
        (finding,) = self._check(self._with(GOOD, MALLOC_ARENA_MAX=None))
        assert finding.found == "not set"
        assert "MALLOC_ARENA_MAX=1" in finding.hint
        assert "safeframe.tune" not in finding.hint

    def test_what_somebody_has_set_is_not_offered_to_be_changed(self) -> None:
        paused = self._with(GOOD, distributed__worker__memory__pause=0.5)
        (finding,) = self._check(replace(paused, users=frozenset({"distributed.worker.memory.pause"})))
        assert "by the user" in finding.hint

    def test_a_shuffle_that_runs_keeps_its_buffers(self) -> None:
        buffers = self._with(GOOD, distributed__p2p__comm__buffer=GIB)
        (finding,) = self._check(replace(buffers, shuffling=True))
        assert "when it has finished" in finding.hint

    def test_workers_with_the_same_settings_are_named_once(self) -> None:
        states = [self._with(one, ARROW_DEFAULT_MEMORY_POOL="mimalloc") for one in (GOOD, SECOND)]
        found = find_deviations({one.address: one for one in states}, None)
        (deviation,) = (one for one in found if one.name == "ARROW_DEFAULT_MEMORY_POOL")
        assert deviation.workers == ("tcp://h:1", "tcp://h:2")

    def test_the_scheduler(self) -> None:
        (finding,) = self._check(GOOD, saturation=1.1)
        assert finding.name == "setting distributed.scheduler.worker-saturation"
        assert finding.found == "1.1"


class TestVersions:
    def test_the_same_on_all(self) -> None:
        (finding,) = compare_versions({"this process": own_versions(), "a": own_versions()})
        assert finding.status == "ok"

    def test_two_of_one_package(self) -> None:
        (finding,) = compare_versions(
            {"this process": own_versions(), "a": {**own_versions(), "pandas": "2.9.9"}}
        )
        assert finding.status == "problem"
        assert "2.9.9 in a" in finding.found

    def test_patches_of_python_may_differ(self) -> None:
        (finding,) = compare_versions({"x": {"python": "3.12.1"}, "y": {"python": "3.12.9.final.0"}})
        assert finding.status == "ok"

    def test_a_dask_that_loses_rows(self) -> None:
        (finding,) = compare_versions({"x": {"dask": "2026.5.1"}})
        assert finding.status == "problem"
        assert "12427" in finding.limit

    def test_a_development_version_counts_by_its_release(self) -> None:
        (finding,) = compare_versions({"x": {"dask": "2026.7.0+12.gabc"}})
        assert finding.status == "ok"


def test_this_machine_names_its_memory() -> None:
    memory, swap = check_machine()
    assert "free" in memory.found
    assert swap.name == "swap"


def test_a_machine_that_is_swapping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("safeframe.deploy.checks.swapped_nbytes", lambda: psutil.swap_memory().total or 1)
    assert _worst(check_machine()) == "warning"


def test_a_report_is_as_bad_as_its_worst_finding() -> None:
    fine = Finding(name="a", status="ok", found="x")
    odd = Finding(name="b", status="warning", found="y", limit="z", hint="do it")
    bad = replace(odd, name="c", status="problem")
    assert DoctorReport(subject="s", findings=(fine, odd)).ok
    report = DoctorReport(subject="s", findings=(fine, odd, bad))
    assert not report.ok
    assert [one.name for one in (*report.problems, *report.warnings)] == ["c", "b"]
    assert str(report).splitlines() == [
        "s: problems: 1, warnings: 1",
        "  ok       a: x",
        "  warning  b: y (z)",
        "           do it",
        "  PROBLEM  c: y (z)",
        "           do it",
    ]
    assert report.to_dict()["findings"][2]["status"] == "problem"
