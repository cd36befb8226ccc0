"""Memory groups, swap and directories, read from made-up machines."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import dask
import psutil
import pytest

from safeframe.deploy import machine
from safeframe.deploy.machine import inspect_directory, swapped_nbytes, worker_directory
from safeframe.sizing.machine import memory_group

MIB = 2**20


def _file(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


class TestMemoryGroup:
    def test_version_2_with_a_tighter_group_around_it(self, tmp_path: Path) -> None:
        _file(tmp_path, "proc/7/cgroup", "0::/outer/inner\n")
        _file(tmp_path, "sys/fs/cgroup/outer/inner/memory.max", f"{900 * MIB}\n")
        _file(tmp_path, "sys/fs/cgroup/outer/memory.max", f"{700 * MIB}\n")
        group = memory_group("7", root=str(tmp_path))
        assert group is not None
        assert group.limit_nbytes == 700 * MIB
        assert group.path.endswith("cgroup/outer")

    def test_where_version_2_throttles_is_its_limit(self, tmp_path: Path) -> None:
        _file(tmp_path, "proc/7/cgroup", "0::/inner\n")
        _file(tmp_path, "sys/fs/cgroup/inner/memory.max", "max\n")
        _file(tmp_path, "sys/fs/cgroup/inner/memory.high", f"{800 * MIB}\n")
        group = memory_group("7", root=str(tmp_path))
        assert group is not None
        assert group.limit_nbytes == 800 * MIB

    def test_version_1_beside_other_hierarchies(self, tmp_path: Path) -> None:
        _file(tmp_path, "proc/7/cgroup", "9:cpu,cpuacct:/x\n4:memory:/inner\n0::/\n")
        _file(tmp_path, "sys/fs/cgroup/memory/inner/memory.limit_in_bytes", f"{600 * MIB}\n")
        _file(tmp_path, "sys/fs/cgroup/memory/x/memory.limit_in_bytes", f"{50 * MIB}\n")
        _file(tmp_path, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
        group = memory_group("7", root=str(tmp_path))
        assert group is not None
        assert group.limit_nbytes == 600 * MIB

    def test_in_a_container_the_group_itself_is_mounted(self, tmp_path: Path) -> None:
        _file(tmp_path, "proc/7/cgroup", "4:memory:/docker/abc\n")
        _file(tmp_path, "sys/fs/cgroup/memory/memory.limit_in_bytes", f"{600 * MIB}\n")
        group = memory_group("7", root=str(tmp_path))
        assert group is not None
        assert group.limit_nbytes == 600 * MIB

    def test_a_limit_above_the_machines_memory_is_none(self, tmp_path: Path) -> None:
        _file(tmp_path, "proc/7/cgroup", "0::/inner\n")
        _file(tmp_path, "sys/fs/cgroup/inner/memory.max", str(psutil.virtual_memory().total + 1))
        assert memory_group("7", root=str(tmp_path)) is None

    def test_another_system(self, tmp_path: Path) -> None:
        assert memory_group("7", root=str(tmp_path)) is None


def test_swap_of_a_process(tmp_path: Path) -> None:
    _file(tmp_path, "proc/7/status", "Name:\tpython\nVmRSS:\t  100 kB\nVmSwap:\t   12 kB\n")
    assert swapped_nbytes("7", root=str(tmp_path)) == 12 * 1024
    assert swapped_nbytes("8", root=str(tmp_path)) == 0


def _mounts(monkeypatch: pytest.MonkeyPatch, *mounts: tuple[str, str]) -> None:
    found = [SimpleNamespace(mountpoint=point, fstype=kind) for point, kind in mounts]
    monkeypatch.setattr(machine.psutil, "disk_partitions", lambda **asked: found if asked["all"] else [])


class TestDirectories:
    def test_the_innermost_mount_counts_and_of_two_the_later(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _mounts(monkeypatch, ("/", "ext4"), (str(tmp_path), "xfs"), (str(tmp_path), "tmpfs"))
        seen = inspect_directory(str(tmp_path / "not" / "there" / "yet"))
        assert (seen.file_system, seen.in_memory) == ("tmpfs", True)
        assert not inspect_directory("/").in_memory

    def test_a_name_that_only_begins_alike_is_another_mount(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _mounts(monkeypatch, ("/", "ext4"), (str(tmp_path / "a"), "tmpfs"))
        (tmp_path / "ab").mkdir()
        assert not inspect_directory(str(tmp_path / "ab")).in_memory

    def test_directories_of_one_file_system_have_one_device(self, tmp_path: Path) -> None:
        assert inspect_directory(str(tmp_path)).device == inspect_directory(str(tmp_path / "below")).device

    def test_a_temporary_directory_on_a_disk_is_left_to_dask(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _mounts(monkeypatch, ("/", "ext4"))
        assert worker_directory() is None

    def test_a_temporary_directory_in_memory_is_not_taken(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(machine.tempfile, "gettempdir", lambda: str(tmp_path))
        _mounts(monkeypatch, ("/", "ext4"), (str(tmp_path), "tmpfs"))
        chosen = worker_directory()
        assert chosen is not None
        assert not inspect_directory(chosen).in_memory

    def test_a_directory_that_the_user_has_named_is_left(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(machine.tempfile, "gettempdir", lambda: str(tmp_path))
        _mounts(monkeypatch, ("/", "ext4"), (str(tmp_path), "tmpfs"))
        with dask.config.set({"temporary-directory": str(tmp_path)}):
            assert worker_directory() is None

    def test_without_anything_better_it_is_left_to_dask(self, monkeypatch: pytest.MonkeyPatch) -> None:
        _mounts(monkeypatch, ("/", "tmpfs"))
        assert worker_directory() is None
