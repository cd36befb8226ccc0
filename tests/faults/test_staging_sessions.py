"""Sessions in a staging directory: private, whoever else is there, and removed only by those that may."""

from __future__ import annotations

import os
import subprocess
import sys

import dask
import dask.bag as db
import dask.dataframe as dd
import pandas as pd
import pytest

import safeframe
from safeframe.engine.exchange.stage import write_file
from safeframe.engine.storage import private_directory
from safeframe.engine.storage.janitor import StagingJanitor
from safeframe.engine.storage.private_directory import user_name
from safeframe.engine.storage.sessions import Session


def staged_files(directory):
    return list(directory.rglob("*.staged"))


def run(script, *arguments):
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], check=False, capture_output=True, text=True
    )


CRASH = (
    "import os, sys; from safeframe.engine.storage.sessions import Session; "
    "session = Session(sys.argv[1]); "
    "os.makedirs(session.run_directory('run')); "
    "open(session.run_directory('run') + '/rows.staged', 'w').close(); "
    "os._exit(1)"
)


def test_a_session_is_private_and_goes_when_it_is_closed(tmp_path):
    session = Session(str(tmp_path))
    assert session.directory.stat().st_mode & 0o777 == 0o700
    assert session.directory.parent.stat().st_mode & 0o777 == 0o700
    session.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("recipe", ["frame", "bag"])
def test_staged_files_are_private_whatever_the_umask(tmp_path, recipe):
    before = os.umask(0)
    try:
        if recipe == "frame":
            frame = dd.from_pandas(pd.DataFrame({"k": range(100)}), npartitions=3)
            result = safeframe.shuffle(frame, "k", npartitions=4, staging=str(tmp_path), memory="2GiB")
        else:
            result = safeframe.bag_groupby(
                db.from_sequence([(i, None) for i in range(100)], npartitions=3),
                lambda x: x[0] % 7,
                staging=str(tmp_path),
                memory="2GiB",
            )
        with dask.config.set(scheduler="sync"):
            kept = result.persist()
        found = [*tmp_path.rglob("*")]
    finally:
        os.umask(before)
    assert any(path.is_file() for path in found)
    for path in found:
        assert path.stat().st_mode & 0o077 == 0, path
    del kept


def test_the_next_session_removes_what_a_crash_left_and_nothing_else(tmp_path):
    run(CRASH, tmp_path)
    assert len(staged_files(tmp_path)) == 1
    living = Session(str(tmp_path))
    assert staged_files(tmp_path) == []
    other = Session(str(tmp_path))
    assert living.directory.exists(), "a session whose process lives is left alone"
    other.close()
    living.close()
    assert list(tmp_path.iterdir()) == []


def identity(path):
    found = path.lstat()
    return found.st_ino, found.st_uid, found.st_mode


def open_to_others(path, tmp_path):
    path.mkdir()
    path.chmod(0o777)


def of_another_user(path, tmp_path):
    path.mkdir(mode=0o700)
    if os.geteuid() != 0:
        pytest.skip("only root gives directories away")
    os.chown(path, 65534, 65534)


def a_link(path, tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    path.symlink_to(tmp_path / "elsewhere")


def a_file(path, tmp_path):
    path.touch(mode=0o600)


@pytest.mark.parametrize("take", [open_to_others, of_another_user, a_link, a_file])
def test_who_takes_the_usual_name_neither_gets_rows_nor_keeps_anyone_from_working(tmp_path, take):
    base, usual = tmp_path / "base", tmp_path / "base" / f"safeframe-{user_name()}"
    base.mkdir()
    take(usual, tmp_path)
    before = identity(usual)
    run(CRASH, base)
    (left,) = staged_files(base)
    session, other = Session(str(base)), Session(str(base))
    assert not left.exists(), "the other name is known to those that come later"
    assert session.directory.parent == other.directory.parent
    for directory in (session.directory, session.directory.parent):
        assert directory.lstat().st_uid == os.geteuid()
        assert directory.lstat().st_mode & 0o777 == 0o700
    assert session.directory.parent.name != usual.name
    with dask.config.set(scheduler="synchronous"):
        pairs = db.from_sequence([(1, "a"), (2, "b"), (1, "c")], npartitions=2)
        grouped = safeframe.bag_groupby(pairs, lambda pair: pair[0], staging=str(base))
        assert sorted(grouped.compute()) == [(1, [(1, "a"), (1, "c")]), (2, [(2, "b")])]
    assert not usual.is_dir() or list(usual.iterdir()) == []
    session.close()
    other.close()
    assert identity(usual) == before


def test_a_session_whose_lock_was_removed_goes_when_it_is_closed(tmp_path):
    """As where somebody removes the directory while a task makes a file in it."""
    session = Session(str(tmp_path))
    (session.directory / "lock").unlink()
    session.close()
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_permissions_is_refused(tmp_path, monkeypatch):
    made = private_directory.Path.mkdir

    def mkdir(path, mode=0o777, **arguments):
        made(path, mode, **arguments)
        path.chmod(0o755)

    monkeypatch.setattr(private_directory.Path, "mkdir", mkdir)
    with pytest.raises(
        safeframe.StagingError, match=r"cannot keep files private: .* has mode 0755(.|\n)*Hint: "
    ):
        Session(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def plain(directory):
    directory.mkdir(mode=0o700)
    (directory / "lock").touch(mode=0o600)


def other_content(directory):
    directory.mkdir(mode=0o700)
    (directory / "lock").write_text("Mine.\n")
    (directory / "lock").chmod(0o600)


def no_lock(directory):
    directory.mkdir(mode=0o700)


def link_to_a_dead_session(directory):
    target = directory.parent.parent / "target"
    target.mkdir(mode=0o700)
    directory.symlink_to(target)
    other_content(target / "below")


@pytest.mark.parametrize("make", [plain, other_content, no_lock, link_to_a_dead_session])
def test_only_what_has_our_marker_is_swept(tmp_path, make):
    first = Session(str(tmp_path))
    theirs = first.directory.parent / "results"
    make(theirs)
    (theirs / "thesis.csv").write_text("x")
    Session(str(tmp_path)).close()
    first.close()
    Session(str(tmp_path)).close()
    assert (theirs / "thesis.csv").read_text() == "x"


def test_a_link_to_a_dead_session_is_left_alone(tmp_path):
    run(CRASH, tmp_path / "dead")
    (left,) = staged_files(tmp_path / "dead")
    living = Session(str(tmp_path / "base"))
    (living.directory.parent / "link").symlink_to(left.parent.parent)
    Session(str(tmp_path / "base")).close()
    assert left.exists()
    living.close()


def test_a_fork_that_ends_leaves_the_session_alone(tmp_path):
    script = (
        "import os, sys; from safeframe.engine.storage.sessions import Session; "
        "session = Session(sys.argv[1]); child = os.fork(); "
        "sys.exit(0) if not child else os.waitpid(child, 0); "
        "print(session.directory.exists())"
    )
    done = run(script, tmp_path)
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_sessions_that_start_and_end_side_by_side(tmp_path):
    script = (
        "import sys; from safeframe.engine.storage.sessions import Session\n"
        "for _ in range(200):\n"
        "    session = Session(sys.argv[1])\n"
        "    assert (session.directory / 'lock').exists(), 'swept while its owner lives'\n"
        "    session.close()\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    errors = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], errors
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_written_late_brings_no_directory_back(tmp_path):
    session = Session(str(tmp_path))
    run_directory = session.run_directory("run")
    session.close()
    with pytest.raises(safeframe.StagingError, match="is not there on the host"):
        write_file(run_directory, 1, lambda sink: sink.write(b"x"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("event", ["the next run ends", "a worker joins"])
def test_what_a_task_writes_after_its_run_is_over_is_swept(tmp_path, event):
    """A worker that was given up, or whose task was cancelled, goes on and makes the run's directory again."""
    runs = [f"merge-{number:032x}" for number in range(2)]
    seals = [f"merge-seal-{number:032x}" for number in range(2)]
    janitor = StagingJanitor(str(tmp_path))

    def write(run):
        (tmp_path / run).mkdir(exist_ok=True)
        (tmp_path / run / "rows.staged").touch()

    def ends(number):
        janitor.transition(seals[number], "released", "waiting")
        write(runs[number])
        janitor.transition(seals[number], "released", "forgotten")
        assert not (tmp_path / runs[number]).exists()

    ends(0)
    write(runs[0])
    if event == "the next run ends":
        ends(1)
    else:
        janitor.add_worker(None, "tcp://")
    assert staged_files(tmp_path) == []
    # Run once more, it is left alone until it ends again.
    janitor.transition(seals[0], "released", "waiting")
    write(runs[0])
    ends(1)
    assert len(staged_files(tmp_path)) == 1
    ends(0)
    assert list(tmp_path.iterdir()) == []
