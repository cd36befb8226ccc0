"""File systems of directories, read from made-up machines."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from safeframe.sizing.directory import inspect_directory


def _mounts(monkeypatch: pytest.MonkeyPatch, *mounts: tuple[str, str]) -> None:
    found = [SimpleNamespace(mountpoint=point, fstype=kind) for point, kind in mounts]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **asked: found if asked["all"] else [])


def test_the_innermost_mount_counts_and_of_two_the_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _mounts(monkeypatch, ("/", "ext4"), (str(tmp_path), "xfs"), (str(tmp_path), "tmpfs"))
    seen = inspect_directory(str(tmp_path / "not" / "there" / "yet"))
    assert (seen.file_system, seen.in_memory) == ("tmpfs", True)
    assert not inspect_directory("/").in_memory


def test_a_name_that_only_begins_the_same_is_another_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _mounts(monkeypatch, ("/", "ext4"), (str(tmp_path / "a"), "tmpfs"))
    (tmp_path / "ab").mkdir()
    assert not inspect_directory(str(tmp_path / "ab")).in_memory


def test_directories_of_one_file_system_have_one_device(tmp_path: Path) -> None:
    assert inspect_directory(str(tmp_path)).device == inspect_directory(str(tmp_path / "below")).device


def test_a_directory_in_memory_is_distinguished_from_one_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = [("/", "ext4"), (str(tmp_path), "tmpfs"), (str(tmp_path / "deep"), "xfs")]

    _mounts(monkeypatch, *mounts)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deeper").mkdir()
    assert inspect_directory(str(tmp_path / "deeper")).in_memory
    assert not inspect_directory(str(tmp_path / "deep")).in_memory
    assert not inspect_directory("/").in_memory
