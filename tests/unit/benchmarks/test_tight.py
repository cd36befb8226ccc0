from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from distributed import KilledWorker

from benchmarks.groups import Group, find_hierarchy, sweep
from benchmarks.tight import _Events, tight_cluster
from benchmarks.watch import Watcher, read_resident

needs_groups = pytest.mark.skipif(find_hierarchy() is None, reason="no right to make memory groups here")

ALLOCATE = "import sys; block = bytearray(b'x') * (int(sys.argv[1]) << 20); print(len(block) >> 20)"


@pytest.fixture
def hierarchy():
    found = find_hierarchy()
    assert found is not None
    return found


def own_groups(hierarchy) -> list[str]:
    return [path.name for path in hierarchy.root.glob(f"safeframe-{os.getpid()}-*")]


def allocate(mebibytes: int) -> int:
    return len(bytearray(b"x") * (mebibytes << 20)) >> 20


def group_of_this_process() -> str:
    with open("/proc/self/cgroup") as file:  # noqa: PTH123
        return file.read()


@needs_groups
class TestGroup:
    def run(self, group: Group, mebibytes: int) -> subprocess.CompletedProcess[str]:
        command = group.command([sys.executable, "-c", ALLOCATE, str(mebibytes)])
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def test_kills_what_takes_too_much_and_counts_it_once(self, hierarchy):
        group = hierarchy.group(f"{hierarchy.new_prefix()}-child", hard_nbytes=64 << 20)
        try:
            assert self.run(group, 200).returncode == -signal.SIGKILL
            assert group.oom_kills() == 1
            assert group.peak_nbytes() <= 64 << 20
        finally:
            group.remove()
        assert own_groups(hierarchy) == []

    def test_lets_pass_what_keeps_to_it(self, hierarchy):
        group = hierarchy.group(f"{hierarchy.new_prefix()}-child", hard_nbytes=64 << 20)
        try:
            done = self.run(group, 20)
            assert (done.returncode, done.stdout.strip()) == (0, "20")
            assert group.oom_kills() == 0
            assert 20 << 20 <= group.peak_nbytes() <= 64 << 20
        finally:
            group.remove()

    def test_removal_ends_what_still_runs(self, hierarchy):
        group = hierarchy.group(f"{hierarchy.new_prefix()}-child")
        child = subprocess.Popen(
            group.command([sys.executable, "-c", "print(flush=True); input()"]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with child:
            child.stdout.readline()
            assert group.pids() == [child.pid]
            group.remove()
        assert child.returncode == -signal.SIGKILL
        assert not group.path.exists()

    def test_sweep_takes_dead_owners_only(self, hierarchy):
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        dead = hierarchy.group(f"safeframe-{ended.pid}-0-x")
        living = hierarchy.group(f"{hierarchy.new_prefix()}-x")
        sweep(hierarchy)
        assert not dead.path.exists()
        assert living.path.exists()
        living.remove()


class TestHierarchy:
    @pytest.mark.parametrize(
        "mounts",
        [
            pytest.param("", id="nothing-mounted"),
            pytest.param("cgroup /nowhere/cpu cgroup rw,cpu 0 0", id="another-controller"),
            pytest.param("cgroup /nowhere/memory cgroup rw,memory 0 0", id="cannot-be-written"),
            pytest.param("cgroup2 /nowhere cgroup2 rw 0 0", id="version-2-without-files"),
        ],
    )
    def test_none_where_groups_cannot_be_made(self, mounts):
        assert find_hierarchy(mounts) is None

    def test_version_2_without_its_memory_controller_is_not_taken(self, tmp_path):
        (tmp_path / "cgroup.controllers").write_text("cpu io")
        assert find_hierarchy(f"cgroup2 {tmp_path} cgroup2 rw 0 0") is None

    def test_version_2_files_are_read(self, tmp_path):
        (tmp_path / "memory.peak").write_text("4096\n")
        (tmp_path / "memory.events").write_text(
            "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 1\n"
        )
        group = Group(tmp_path, 2)
        assert (group.peak_nbytes(), group.oom_kills()) == (4096, 2)

    def test_figures_of_a_kernel_that_does_not_keep_them_are_zero(self, tmp_path):
        group = Group(tmp_path, 2)
        assert (group.peak_nbytes(), group.oom_kills(), group.pids()) == (0, 0, [])


class TestWatcher:
    def test_sees_a_peak_that_is_over(self):
        code = ALLOCATE + "; del block; print(flush=True); input()"
        command = [sys.executable, "-c", code, "80"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            child.stdout.readline()
            child.stdout.readline()
            watcher = Watcher(lambda: {"child": child.pid, "not-started": None})
            watcher.start()
            watcher.stop()
            child.kill()
        assert watcher.peak_nbytes.keys() == {"child"}
        assert watcher.peak_nbytes["child"] >= 80 << 20
        assert watcher.anonymous_peak_nbytes["child"] < 80 << 20

    def test_a_process_that_is_gone_is_none(self):
        child = subprocess.Popen([sys.executable, "-c", ""])
        child.wait()
        assert read_resident(child.pid) is None


class TestReruns:
    def counted(self, *, state: str, requested_again: bool) -> int:
        events = _Events()
        events.transition("a", "processing", "memory")
        if requested_again:
            scheduler = SimpleNamespace(tasks={"a": SimpleNamespace(state=state)})
            events.update_graph(scheduler, tasks=["a", "b"], client="c")
        events.transition("a", "waiting", "processing")
        return events.reruns

    def test_a_lost_result_made_again_is_one(self):
        assert self.counted(state="released", requested_again=False) == 1
        assert self.counted(state="memory", requested_again=True) == 1

    def test_what_a_later_graph_requests_again_is_none(self):
        assert self.counted(state="released", requested_again=True) == 0


@pytest.mark.cluster
@pytest.mark.memory
class TestTightCluster:
    @needs_groups
    def test_each_worker_is_in_a_group_of_its_own_and_this_process_in_none(self, hierarchy):
        with tight_cluster(n_workers=2, hard="500MiB", limit="400MiB") as tight:
            places = tight.client.run(group_of_this_process)
            names = own_groups(hierarchy)
            assert len(names) == 2
            assert all(sum(name in place for name in names) == 1 for place in places.values())
            assert len(set(places.values())) == 2
            assert not any(name in group_of_this_process() for name in names)
            for name in names:
                assert (hierarchy.root / name / hierarchy_limit(hierarchy)).read_text().strip() == str(
                    500 << 20
                )
        assert own_groups(hierarchy) == []

    def test_work_that_fits_is_undisturbed_and_measured(self):
        with tight_cluster(n_workers=2, hard="500MiB", limit="400MiB") as tight:
            assert tight.client.submit(allocate, 100).result() == 100
            during = tight.report()
            assert tight.count_again(kept_nbytes=7)
            again = tight.report()
            assert again.largest_resident_nbytes < during.largest_resident_nbytes - (60 << 20)
            assert again.charged_nbytes == again.largest_resident_nbytes + 7
            assert tight.client.submit(allocate, 101).result() == 101
        report = tight.report()
        assert report.undisturbed
        assert report.resident_peak_nbytes.keys() == {"0", "1"}
        assert 100 << 20 <= during.largest_resident_nbytes <= report.largest_resident_nbytes <= 400 << 20
        assert report.enforced_by == (
            hierarchy.enforcement if (hierarchy := find_hierarchy()) else "dask only"
        )

    @needs_groups
    @pytest.mark.timeout(120)
    def test_kernel_kill_is_seen_and_the_next_worker_is_held_too(self, hierarchy):
        config = {
            # Only the kernel is to stop it, and the first death is to end it.
            "distributed.worker.memory.terminate": False,
            "distributed.worker.memory.pause": False,
            "distributed.scheduler.allowed-failures": 0,
        }
        with tight_cluster(n_workers=1, hard="300MiB", limit="300MiB", config=config) as tight:
            with pytest.raises(KilledWorker):
                tight.client.submit(allocate, 800, pure=False).result()
            # Runs on the worker that took its place.
            assert tight.client.submit(allocate, 20).result() == 20
            (place,) = tight.client.run(group_of_this_process).values()
            assert any(name in place for name in own_groups(hierarchy))
            assert not tight.count_again(), "a worker was killed"
        report = tight.report()
        assert (report.oom_kills, report.restarts, report.workers_lost) == (1, 1, 1)
        assert not report.undisturbed
        assert own_groups(hierarchy) == []

    def test_without_groups_the_report_says_so(self):
        with tight_cluster(n_workers=1, hard="500MiB", limit="400MiB", kernel=False) as tight:
            tight.client.submit(allocate, 10).result()
        report = tight.report()
        assert (report.enforced_by, report.cgroup_peak_nbytes) == ("dask only", 0)
        assert report.largest_resident_nbytes > 10 << 20

    def test_environment_and_configuration_reach_workers_and_do_not_stay(self):
        import dask

        config = {"distributed.p2p.comm.buffer": "32MiB"}
        with tight_cluster(
            n_workers=1, hard="500MiB", limit="400MiB", config=config, env={"SAFEFRAME_TRIAL": "1"}
        ) as tight:
            assert list(tight.client.run(os.getenv, "SAFEFRAME_TRIAL").values()) == ["1"]
            assert list(tight.client.run(os.getenv, "MALLOC_TRIM_THRESHOLD_").values()) == ["65536"]
            (seen,) = tight.client.run(dask.config.get, "distributed.p2p.comm.buffer").values()
            assert seen == "32MiB"
        assert "SAFEFRAME_TRIAL" not in os.environ
        assert dask.config.get("distributed.p2p.comm.buffer") != "32MiB"

    @needs_groups
    def test_groups_go_when_the_body_raises(self, hierarchy):
        with pytest.raises(ZeroDivisionError), tight_cluster(n_workers=1, hard="500MiB", limit="400MiB"):
            raise ZeroDivisionError
        assert own_groups(hierarchy) == []


def hierarchy_limit(hierarchy) -> str:
    return Group(hierarchy.root, hierarchy.version).limit_names()[0]
