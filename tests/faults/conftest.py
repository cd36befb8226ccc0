"""What tests of faults share."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from safeframe.engine.planned import sources as source_files
from safeframe.recipes.to_parquet import to_parquet
from tests.faults.datasets import frame


@pytest.fixture
def place(tmp_path: Path, _in_this_process: None) -> Path:
    """A dataset of 4 files, and nothing next to it."""
    path = tmp_path / "data"
    to_parquet(frame(0), path)
    return path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    directory = tmp_path / "small"
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(directory)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a file system of a given size can only be mounted by root")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


@pytest.fixture
def _files_are_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that cannot be looked at from this process: what changes in them has to show in their rows."""
    monkeypatch.setattr(source_files, "marked", lambda paths: None)
