"""What tasks say of a staging directory that their host does not have; hosts themselves are in tests/hosts."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest
from distributed import Client

from safeframe.engine.exchange.reading import unreadable
from safeframe.engine.exchange.stage import staging_error
from safeframe.engine.storage import reach
from safeframe.engine.storage.reach import check_reach, not_there
from safeframe.errors import StagingError, StagingFullError


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


def test_a_worker_that_does_not_find_it_is_named(
    small_cluster: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = small_cluster.scheduler_info()["workers"]
    monkeypatch.setattr(reach, "ask_workers", lambda client, function, path: {first: True, second: False})
    with pytest.raises(
        StagingError, match=r"The directory is not .*: 1 of 2, on 127\.0\.0\.1, without"
    ) as info:
        check_reach(str(tmp_path), name="directory", hint="what to do")
    assert info.value.hint == "what to do"
    assert info.value.figures == {"directory": str(tmp_path), "hosts": ("127.0.0.1",)}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, StagingFullError), (errno.EACCES, StagingError)])
def test_a_directory_that_cannot_be_written(
    small_cluster: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    kind: type[StagingError],
) -> None:
    def refuse(path: Path, **given: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(StagingError, match="cannot be written") as info:
        check_reach(str(tmp_path), name="directory", hint="")
    assert type(info.value) is kind


def test_workers_of_this_machine_reach_what_is_made_here(small_cluster: Client, tmp_path: Path) -> None:
    check_reach(str(tmp_path), name="directory", hint="")
    assert list(tmp_path.iterdir()) == []
