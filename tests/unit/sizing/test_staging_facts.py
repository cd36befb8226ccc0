"""Where workers stage when nobody names a directory: in their own, if one host has all of them and this process."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from safeframe.sizing import cluster
from safeframe.sizing.cluster import staging_facts


def connected(monkeypatch: pytest.MonkeyPatch, *workers: tuple[str, Path]) -> None:
    """Have workers, each with its host and local directory."""
    known = {
        f"tcp://{host}:{number}": {"host": host, "local_directory": str(directory)}
        for number, (host, directory) in enumerate(workers)
    }
    monkeypatch.setattr(cluster, "current_client", lambda: SimpleNamespace(asynchronous=False))
    monkeypatch.setattr(cluster, "living_workers", lambda client: known)


def test_workers_of_one_host_stage_where_this_process_sees_a_directory_of_theirs(monkeypatch, tmp_path):
    (tmp_path / "worker-b").mkdir()
    # The first has just ended, and its directory with it.
    connected(monkeypatch, ("10.0.0.2", tmp_path / "worker-a"), ("10.0.0.2", tmp_path / "worker-b"))
    assert staging_facts(None).directory == str(tmp_path)


def test_a_parent_of_the_same_path_on_this_machine_is_another_directory(monkeypatch, tmp_path):
    connected(monkeypatch, ("10.0.0.2", tmp_path / "worker-a"))
    facts = staging_facts(None)
    assert facts.directory is None
    assert "the workers are on 10.0.0.2, whose directories this process does not reach" in facts.unavailable


def test_hosts_have_no_directory_in_common_unless_one_is_named(monkeypatch, tmp_path):
    connected(monkeypatch, ("10.0.0.2", tmp_path), ("10.0.0.3", tmp_path))
    assert "the workers are on 2 hosts" in staging_facts(None).unavailable
    assert staging_facts(str(tmp_path)).directory == str(tmp_path)
