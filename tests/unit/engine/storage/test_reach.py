"""What tasks say of a staging directory that their host does not have; hosts themselves are in tests/hosts."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from safeframe.engine.exchange.reading import unreadable
from safeframe.engine.exchange.stage import staging_error
from safeframe.engine.storage.reach import check_reach, not_there


def test_a_directory_that_is_there_is_no_error(tmp_path: Path) -> None:
    assert not_there(str(tmp_path)) is None
    read = unreadable(f"{tmp_path}/run/a.staged", FileNotFoundError(2, "No such file"))
    assert "cannot be read: No such file" in str(read)
    written = staging_error(PermissionError(13, "Permission denied"), 1, f"{tmp_path}/run")
    assert "cannot be written: Permission denied" in str(written)


@pytest.mark.parametrize("task", ["reads", "writes"])
def test_a_session_that_is_not_there_is_named_with_the_host(tmp_path: Path, task: str) -> None:
    session = f"{tmp_path}/session"
    missing = FileNotFoundError(2, "No such file")
    error = (
        unreadable(f"{session}/run/a.staged", missing)
        if task == "reads"
        else staging_error(missing, 1, f"{session}/run")
    )
    assert f"{session} is not there on the host {socket.gethostname()!r}" in str(error)
    assert "an object store" in error.hint
    assert error.figures["host"] == socket.gethostname()


def test_urls_are_looked_for_nowhere() -> None:
    missing = FileNotFoundError(2, "No such file")
    assert "cannot be read" in str(unreadable("s3://bucket/session/run/a.staged", missing))
    assert "cannot be written" in str(staging_error(missing, 1, "s3://bucket/session/run"))


def test_workers_of_this_machine_reach_what_is_made_here(small_cluster: object, tmp_path: Path) -> None:
    check_reach(str(tmp_path), name="directory", hint="")
    assert list(tmp_path.iterdir()) == []
