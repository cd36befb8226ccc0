"""Where workers of this machine write."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace

import dask
import psutil
import pytest

from safeframe.deploy.nanny import worker_directory
from safeframe.sizing.directory import inspect_directory


def _mounts(monkeypatch: pytest.MonkeyPatch, *mounts: tuple[str, str]) -> None:
    found = [SimpleNamespace(mountpoint=point, fstype=kind) for point, kind in mounts]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **asked: found if asked["all"] else [])


def test_a_temporary_directory_on_a_disk_is_left_to_dask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _mounts(monkeypatch, ("/", "ext4"))
    assert worker_directory() is None


def test_a_temporary_directory_in_memory_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    _mounts(monkeypatch, ("/", "ext4"), (str(tmp_path), "tmpfs"))
    chosen = worker_directory()
    assert chosen is not None
    assert not inspect_directory(chosen).in_memory


def test_a_directory_that_the_user_has_named_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    _mounts(monkeypatch, ("/", "ext4"), (str(tmp_path), "tmpfs"))
    with dask.config.set({"temporary-directory": str(tmp_path)}):
        assert worker_directory() is None


def test_without_anything_better_it_is_left_to_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    _mounts(monkeypatch, ("/", "tmpfs"))
    assert worker_directory() is None
