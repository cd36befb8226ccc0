"""Targets that are not simply a directory of ours: mounts, owners, other people's files, other writers."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe.engine.parquet import commit as parquet_commit
from safeframe.engine.parquet import nodes as parquet_nodes
from safeframe.engine.parquet import swap as atomic_swap
from safeframe.recipes.to_parquet import to_parquet
from tests.faults.datasets import PARTS, frame, names, rows

pytestmark = pytest.mark.usefixtures("_in_this_process")


@pytest.fixture(params=["another disk", "the same disk"])
def mounted(tmp_path, request):
    """A directory at which something is mounted."""
    place, other = tmp_path / "mounted here", tmp_path / "elsewhere"
    place.mkdir()
    other.mkdir()
    how = ["-t", "tmpfs", "tmpfs"] if request.param == "another disk" else ["--bind", str(other)]
    if subprocess.run(["mount", *how, str(place)], check=False, capture_output=True).returncode:
        pytest.skip("only root can mount")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_mount_point_is_written_from_inside(mounted, monkeypatch):
    seen = []
    write = parquet_nodes.write_file

    def looking(*arguments):
        seen.append(names(mounted.parent))
        return write(*arguments)

    monkeypatch.setattr(parquet_nodes, "write_file", looking)
    to_parquet(frame(0, npartitions=6), mounted)
    assert rows(mounted) == [*range(100)]
    to_parquet(dd.read_parquet(str(mounted)) + 1000, mounted, overwrite=True)
    assert rows(mounted) == [*range(1000, 1100)]
    to_parquet(frame(5), mounted, overwrite=True)
    assert names(mounted) == PARTS
    assert rows(mounted) == [*range(5, 105)]
    assert {name for there in seen for name in there} == {"mounted here", "elsewhere"}
    with pytest.raises(safeframe.ValidationError, match="has 4 entries"):
        to_parquet(frame(0), mounted)


def test_what_is_written_inside_is_not_read_before_it_is_complete(mounted, monkeypatch):
    to_parquet(frame(0), mounted)
    seen = []
    commit = parquet_nodes.commit

    def looking(*arguments):
        seen.append((rows(mounted), len(pd.read_parquet(mounted))))
        return commit(*arguments)

    monkeypatch.setattr(parquet_nodes, "commit", looking)
    to_parquet(frame(7), mounted, overwrite=True)
    assert seen == [([*range(100)], 100)]


@pytest.mark.parametrize("number", [16, 18])
def test_a_directory_that_turns_out_to_be_fixed(place, monkeypatch, number):
    """EBUSY and EXDEV: as of a mount that is not listed, or a directory of an image's layer."""

    def fixed(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(parquet_commit, "exchange_directories", fixed)
    inode = place.stat().st_ino
    to_parquet(dd.read_parquet(place) + 1, place, overwrite=True)
    assert rows(place) == [*range(1, 101)]
    assert place.stat().st_ino == inode
    assert (names(place), names(place.parent)) == (PARTS, ["data"])


CHILD = """
import os, signal, sys
from pathlib import Path
import dask, dask.dataframe as dd
from safeframe.engine.parquet import commit as parquet_commit
from safeframe.recipes.to_parquet import to_parquet

place, moment = sys.argv[1:]

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

if moment == "before the moves":
    parquet_commit.move_inside = die
elif moment == "between old and new":
    replace, left = Path.replace, iter(range(1))
    Path.replace = lambda one, other: replace(one, other) if next(left, None) is not None else die()
with dask.config.set(scheduler="sync"):
    to_parquet(dd.read_parquet(place) + 1000, place, overwrite=True, memory="1GiB")
"""


@pytest.mark.parametrize(
    ("moment", "new"),
    [
        ("before the moves", False),
        ("between old and new", True),
    ],
)
def test_killed_while_it_writes_from_inside(place, moment, new):
    (place / ".git").mkdir()
    (place / ".git" / "HEAD").write_text("ref")
    command = [sys.executable, "-c", CHILD, str(place), moment]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    with pytest.raises(safeframe.ValidationError, match="has 4 entries"):
        to_parquet(frame(0), place)  # which repairs, though it may not write
    assert rows(place) == [x + 1000 * new for x in range(100)]
    to_parquet(dd.read_parquet(place) + 5, place, overwrite=True)
    assert rows(place) == [x + 1000 * new + 5 for x in range(100)]
    assert names(place) == [".git", *PARTS]
    assert names(place.parent) == ["data"]


@pytest.mark.parametrize("mode", [0o700, 0o2770, 0o1777, 0o750])
@pytest.mark.parametrize("full", [False, True])
def test_an_existing_directory_keeps_mode_and_owner(tmp_path, monkeypatch, mode, full):
    place = tmp_path / "data"
    place.mkdir()
    if full:
        to_parquet(frame(0), place)
    if os.geteuid() == 0:
        os.chown(place, 1234, 5678)
    place.chmod(mode)
    owner = place.stat().st_uid, place.stat().st_gid
    commit = parquet_nodes.commit

    def looking(target, *rest):
        working = Path(target.directory).stat()
        assert stat.S_IMODE(working.st_mode) == mode
        return commit(target, *rest)

    monkeypatch.setattr(parquet_nodes, "commit", looking)
    to_parquet(frame(9), place, overwrite=full)
    assert stat.S_IMODE(place.stat().st_mode) == mode
    assert (place.stat().st_uid, place.stat().st_gid) == owner
    assert rows(place) == [*range(9, 109)]


def test_a_new_directory_has_the_mode_of_any_other(tmp_path):
    parent = tmp_path / "parent"
    parent.mkdir()
    parent.chmod(0o2775)
    before = os.umask(0o027)
    try:
        to_parquet(frame(0), parent / "data")
        (parent / "other").mkdir()
    finally:
        os.umask(before)
    assert (parent / "data").stat().st_mode == (parent / "other").stat().st_mode


@contextlib.contextmanager
def as_nobody():
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture
def closed(place):
    """A directory of root's that nobody may write, whose own directory nobody may not."""
    assert rows(place)  # what is imported late is imported
    if os.geteuid():
        pytest.skip("only root can be another user")
    groups = os.getgroups()
    with tempfile.TemporaryDirectory() as directory:
        os.setgroups([])
        Path(directory).chmod(0o711)
        path = Path(directory, "data")
        path.mkdir()
        os.chown(path, 0, 65534)
        path.chmod(0o770)
        yield path
        os.setgroups(groups)


def test_a_directory_whose_parent_may_not_be_written(closed):
    inode = closed.stat().st_ino
    with as_nobody():
        to_parquet(frame(0), closed)
        to_parquet(frame(3), closed, overwrite=True)
        to_parquet(frame(103), closed, append=True)
        assert len(rows(closed)) == 200
        to_parquet(frame(3), closed, overwrite=True)
    there = closed.stat()
    assert (there.st_ino, there.st_uid, there.st_gid, stat.S_IMODE(there.st_mode)) == (inode, 0, 65534, 0o770)
    assert rows(closed) == [*range(3, 103)]
    assert names(closed) == PARTS
    assert names(closed.parent) == ["data"]


def test_somebody_elses_directory_stays_his(closed):
    closed.parent.chmod(0o777)
    inode = closed.stat().st_ino
    with as_nobody():
        to_parquet(frame(0), closed)
        to_parquet(frame(3), closed, overwrite=True)
    assert (closed.stat().st_ino, closed.stat().st_uid) == (inode, 0)
    assert rows(closed) == [*range(3, 103)]
    assert names(closed.parent) == ["data"]


def test_what_another_user_left_holds_nobody_up(closed):
    closed.parent.chmod(0o1777)
    place = closed.parent / "other"
    left = closed.parent / ".other.safeframe-0123456789ab"
    left.mkdir()
    for lock in (closed.parent / ".other.safeframe.lock", left.with_name(f"{left.name}.lock")):
        lock.write_text("running")
        lock.chmod(0o644)
    with as_nobody():
        to_parquet(frame(0), place)
        to_parquet(frame(1), place, overwrite=True)
    assert rows(place) == [*range(1, 101)]


def test_a_directory_that_may_not_be_written(closed):
    closed.chmod(0o750)
    ran = []
    ddf = dd.from_map(ran.append, [1], meta=pd.DataFrame({"x": [1]}))
    with as_nobody():
        for how in ({}, {"overwrite": True}, {"append": True}):
            with pytest.raises(safeframe.StagingError, match="Nothing can be written"):
                to_parquet(ddf, closed, **how)
        with pytest.raises(safeframe.StagingError, match=r"Nothing can be written .* Permission denied"):
            to_parquet(ddf, closed.parent / "new")
    assert ran == []
    assert names(closed) == []


def test_a_link_stays_a_link(tmp_path, place):
    link = tmp_path / "link"
    link.symlink_to("data")
    to_parquet(frame(3), link, overwrite=True)
    assert link.is_symlink()
    assert rows(place) == rows(link) == [*range(3, 103)]
    dangling = tmp_path / "dangling"
    dangling.symlink_to("new")
    to_parquet(frame(4), dangling)
    assert dangling.is_symlink()
    assert rows(tmp_path / "new") == [*range(4, 104)]


@pytest.mark.parametrize("how", ["overwrite", "append"])
@pytest.mark.parametrize("directory", [False, True])
def test_what_is_not_ours_stays(place, how, directory):
    for name in ("notes.txt", ".hidden", "_SUCCESS", ".part.0.parquet.crc"):
        (place / name).write_text(name)
    (place / "link").symlink_to("nowhere")
    (place / "_metadata").write_text("of the old files")
    if how == "append":
        (place / "_metadata").unlink()
    if directory:
        (place / ".git").mkdir()
        (place / ".git" / "HEAD").write_text("ref")
    to_parquet(frame(100, npartitions=2), place, **{how: True})
    assert (place / ".hidden").read_text() == ".hidden"
    assert (place / "link").is_symlink()
    parts = [f"part.{n}.parquet" for n in range(2 if how == "overwrite" else 6)]
    git = [".git"] if directory else []
    assert names(place) == sorted(
        [*git, ".hidden", ".part.0.parquet.crc", "_SUCCESS", "link", "notes.txt", *parts]
    )
    assert names(place.parent) == ["data"]
    assert rows(place) == [*range(0 if how == "append" else 100, 200)]


def test_a_directory_with_nothing_of_a_dataset_is_written_by_default(tmp_path):
    place = tmp_path / "disk"
    (place / "lost+found").mkdir(parents=True)
    (place / ".keep").touch()
    to_parquet(frame(0), place)
    assert names(place) == [".keep", "lost+found", *PARTS]


@pytest.mark.parametrize("name", ["year=2020/x.parquet", "0.parquet", ".x.parq"])
def test_a_parquet_file_that_would_be_read_along_is_no_ours(place, name):
    (place / name).parent.mkdir(exist_ok=True)
    (place / name).write_text("not looked at")
    with pytest.raises(safeframe.ValidationError, match=name):
        to_parquet(frame(0), place, overwrite=True)
    assert (place / name).read_text() == "not looked at"
    assert len(names(place)) == 5


def test_a_directory_that_is_called_as_a_file_of_ours(place):
    (place / "part.7.parquet").mkdir()
    for how in ("overwrite", "append"):
        with pytest.raises(safeframe.SafeframeError, match=r"part\.7\.parquet"):
            to_parquet(frame(100), place, **{how: True})
    assert names(place) == [*PARTS, "part.7.parquet"]


def test_a_mounted_disk_that_fills_up(small_disk):
    to_parquet(frame(0), small_disk)
    values = pd.DataFrame({"x": np.random.default_rng(0).random(400_000)})
    with pytest.raises(safeframe.StagingFullError, match="is full"):
        to_parquet(dd.from_pandas(values, npartitions=4), small_disk, overwrite=True)
    assert names(small_disk) == PARTS
    assert rows(small_disk) == [*range(100)]


def test_the_files_that_a_frame_is_read_from_are_of_the_dataset(tmp_path):
    place = tmp_path / "by pandas"
    place.mkdir()
    for number in range(3):
        pd.DataFrame({"x": [number]}).to_parquet(place / f"{number}.snappy.parquet")
    for filesystem in ("fsspec", "arrow"):
        ddf = dd.read_parquet(place, filesystem=filesystem)
        with pytest.raises(safeframe.ValidationError, match=r"parquet file that is not of the dataset"):
            to_parquet(frame(0), place, overwrite=True)
        to_parquet(ddf[ddf["x"] > 0] + 1, place, overwrite=True, name_function="{}.snappy.parquet".format)
        assert len(names(place)) == 3
    assert rows(place) == [3, 4]
    pd.DataFrame({"x": [99]}).to_parquet(place / "other.parquet")
    with pytest.raises(safeframe.ValidationError, match=r"other\.parquet"):
        to_parquet(ddf, place, overwrite=True)


def test_files_that_come_while_it_writes(place, monkeypatch):
    """Other people's stay; rows that another one wrote are no reason to write over them."""
    commit = parquet_nodes.commit

    def late(*arguments):
        (place / "notes.txt").write_text("mine")
        (place / "folder").mkdir()
        return commit(*arguments)

    monkeypatch.setattr(parquet_nodes, "commit", late)
    to_parquet(frame(1), place, overwrite=True)
    assert names(place) == ["folder", "notes.txt", *PARTS]
    assert rows(place) == [*range(1, 101)]

    def written(*arguments):
        frame(70, npartitions=1).to_parquet(place)
        return commit(*arguments)

    monkeypatch.setattr(parquet_nodes, "commit", written)
    with pytest.raises(safeframe.ValidationError, match=r"'part\.0\.parquet' is not the same"):
        to_parquet(frame(2), place, overwrite=True)
    assert len(rows(place)) == 175
    assert names(place) == ["folder", "notes.txt", *PARTS]


BEGUN, REFUSED = threading.Event(), threading.Event()


def waits(number):
    BEGUN.set()
    assert REFUSED.wait(60)
    return pd.DataFrame({"x": range(25 * number, 25 * number + 25)})


@pytest.mark.parametrize("full", [False, True])
def test_of_two_threads_one_is_refused(tmp_path, full):
    place = tmp_path / "data"
    if full:
        to_parquet(frame(500), place)
    BEGUN.clear()
    REFUSED.clear()
    ddf = dd.from_map(waits, range(4), meta=pd.DataFrame({"x": [1]}))
    thread = threading.Thread(target=to_parquet, args=(ddf, place), kwargs={"overwrite": full})
    with dask.config.set(scheduler="sync"):
        thread.start()
        try:
            assert BEGUN.wait(60)
            for later in (False, True):
                with pytest.raises(safeframe.ValidationError, match=r"Another write to .* is running"):
                    dask.compute(to_parquet(frame(900), place, overwrite=True, compute=not later))
        finally:
            REFUSED.set()
            thread.join()
    assert rows(place) == [*range(100)]
    assert names(tmp_path) == ["data"]


def test_many_threads_at_once_leave_the_rows_of_one(tmp_path):
    place, results = tmp_path / "data", []
    barrier = threading.Barrier(6)

    def write(start):
        barrier.wait(60)
        try:
            to_parquet(frame(start), place, overwrite=True)
            results.append(start)
        except safeframe.ValidationError:
            pass

    threads = [threading.Thread(target=write, args=(1000 * n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results
    assert rows(place)[0] in results
    assert rows(place) == [*range(rows(place)[0], rows(place)[0] + 100)]
    assert names(tmp_path) == ["data"]


PROCESS = """
import sys, dask, dask.dataframe as dd, pandas as pd
from safeframe.recipes.to_parquet import to_parquet
from safeframe.errors import ValidationError

def part(number):
    if number == 0:
        print("begun", flush=True)
        sys.stdin.readline()
    return pd.DataFrame({"x": range(25 * number, 25 * number + 25)})

ddf = dd.from_map(part, range(4), meta=pd.DataFrame({"x": [1]}))
with dask.config.set(scheduler="sync"):
    to_parquet(ddf, sys.argv[1], overwrite=True, memory="1GiB")
"""


@pytest.mark.parametrize("ending", ["ends", "killed"])
def test_of_two_processes_one_is_refused(place, ending):
    other = subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdin is not None
    assert other.stdout is not None
    with other:
        assert other.stdout.readline() == "begun\n"
        with pytest.raises(safeframe.ValidationError, match=r"Another write to .* is running"):
            to_parquet(frame(900), place, overwrite=True)
        if ending == "killed":
            other.kill()
        else:
            other.stdin.write("\n")
            other.stdin.flush()
    assert (other.returncode == 0) == (ending == "ends")
    assert rows(place) == [*range(100)]
    to_parquet(frame(900), place, overwrite=True)
    assert rows(place) == [*range(900, 1000)]
    assert names(place.parent) == ["data"]


@pytest.mark.parametrize("error", [PermissionError, KeyboardInterrupt])
@pytest.mark.parametrize("step", ["local_entries", "generation_of", "Swap._make"])
def test_a_write_that_fails_while_it_begins_is_no_hindrance(place, monkeypatch, step, error):
    def failing(*arguments):
        raise error

    with monkeypatch.context() as patch:
        if step == "Swap._make":
            patch.setattr(atomic_swap.Swap, "_make", failing)
        else:
            patch.setattr(parquet_nodes, step, failing)
        with pytest.raises(error if error is KeyboardInterrupt else OSError):
            to_parquet(frame(5), place, overwrite=True)
    assert names(place.parent) == [place.name]
    to_parquet(frame(7), place, overwrite=True)
    assert rows(place) == [*range(7, 107)]


def test_a_write_for_later_is_no_hindrance_and_does_not_write_over_others(place):
    later = to_parquet(frame(10), place, overwrite=True, compute=False)
    parquet_nodes.opened_target(later.expr.target, later.expr.token, 4, ())  # it begins
    to_parquet(frame(20), place, overwrite=True)
    with pytest.raises(safeframe.ValidationError, match="is not the same"):
        dask.compute(later)
    assert rows(place) == [*range(20, 120)]
    parquet_nodes.close_target(later.expr.token)
    dask.compute(later)
    assert rows(place) == [*range(10, 110)]
    assert names(place.parent) == ["data"]


def failing(number):
    if number == 2:
        raise RuntimeError("on purpose")  # noqa: EM101
    return pd.DataFrame({"x": [number]})


def test_a_write_for_later_that_failed_is_no_hindrance(place):
    ddf = dd.from_map(failing, range(4), meta=pd.DataFrame({"x": [0]}))
    later = to_parquet(ddf, place, overwrite=True, compute=False)
    with pytest.raises(RuntimeError, match="on purpose"):
        dask.compute(later)
    assert rows(place) == [*range(100)]
    to_parquet(frame(20), place, overwrite=True)
    assert rows(place) == [*range(20, 120)]
    parquet_nodes.close_target(later.expr.token)
    assert names(place.parent) == ["data"]


def test_a_commit_that_runs_twice(place, monkeypatch):
    """A worker is lost after the last task, and another one repeats it."""
    commit = parquet_nodes.commit
    monkeypatch.setattr(
        parquet_nodes, "commit", lambda *arguments: (commit(*arguments), commit(*arguments))[0]
    )
    to_parquet(frame(1), place, overwrite=True)
    assert rows(place) == [*range(1, 101)]
    (place / "folder").mkdir()
    to_parquet(frame(2), place, overwrite=True)
    assert rows(place) == [*range(2, 102)]
    to_parquet(frame(102), place, append=True)
    assert rows(place) == [*range(2, 202)]


@pytest.mark.parametrize("killed_at", [1, 3, 6])
def test_a_worker_that_is_lost_while_it_moves(place, monkeypatch, killed_at):
    (place / "folder").mkdir()
    commit, left = parquet_nodes.commit, iter(range(killed_at))

    class Lost(BaseException):
        pass

    def twice(*arguments):
        with monkeypatch.context() as patch:
            rename, replace = Path.rename, Path.replace

            def limited(way):
                def moved(one, other):
                    if next(left, None) is None:
                        raise Lost
                    return way(one, other)

                return moved

            patch.setattr(Path, "rename", limited(rename))
            patch.setattr(Path, "replace", limited(replace))
            with pytest.raises(Lost):
                commit(*arguments)
        return commit(*arguments)

    monkeypatch.setattr(parquet_nodes, "commit", twice)
    to_parquet(frame(1), place, overwrite=True)
    assert rows(place) == [*range(1, 101)]
    assert names(place) == ["folder", *PARTS]


def test_a_user_directory_that_looks_like_ours_is_not_swept(place):
    strange = place.with_name(".data.safeframe-backup")
    strange.mkdir()
    (strange / "part.0.parquet").write_text("mine")
    to_parquet(frame(1), place, overwrite=True)
    assert (strange / "part.0.parquet").read_text() == "mine"
    assert atomic_swap._beside(place) == []
