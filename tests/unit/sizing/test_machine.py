"""Memory groups and swap, read from made-up machines."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from safeframe.sizing import cluster
from safeframe.sizing.machine import MemoryGroup, memory_group, swapped_nbytes

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

    def test_version_1_next_to_other_hierarchies(self, tmp_path: Path) -> None:
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


def test_without_a_cluster_a_group_limits_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    group = MemoryGroup(path="/sys/fs/cgroup/outer", limit_nbytes=300 * MIB)
    monkeypatch.setattr(cluster, "memory_group", lambda: group)
    assert cluster.measure_budget().allowed_nbytes == 300 * MIB
