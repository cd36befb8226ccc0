"""Files that are written again, replaced or removed are told from those that are not."""

from __future__ import annotations

import os

import pytest
from dask.tokenize import tokenize

from safeframe.sizing import files as file_marks
from safeframe.sizing.files import changed_files, marked


@pytest.fixture
def paths(tmp_path):
    found = [tmp_path / "data" / name for name in ("a", "b", "c")]
    found[0].parent.mkdir()
    for path in found:
        path.write_bytes(b"12345")
        os.utime(path, ns=(10**18, 10**18))
    return found


def test_files_that_stay_are_not_changed(paths):
    sources = marked([str(path) for path in paths])
    paths[0].read_bytes()
    paths[0].chmod(0o600)
    (paths[0].parent / "another").write_bytes(b"1")
    assert changed_files(sources) == []
    assert sources == marked([str(path) for path in paths])
    assert tokenize(sources) == tokenize(marked([str(path) for path in paths]))


def replaced(path):
    """Put another file in the place of one, of its size and time."""
    other = path.with_name("other")
    other.write_bytes(b"54321")
    os.utime(other, ns=(10**18, 10**18))
    other.rename(path)


CHANGES = {
    "written": lambda path: path.write_bytes(b"54321"),
    "longer": lambda path: path.write_bytes(b"123456"),
    "touched": lambda path: os.utime(path, ns=(10**18, 10**18 + 1)),
    "replaced": replaced,
    "removed": lambda path: path.unlink(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_files_that_change_are_named(paths, change):
    sources = marked([str(path) for path in paths])
    change(paths[1])
    assert changed_files(sources) == [str(paths[1])]
    assert tokenize(sources) != tokenize(marked([str(path) for path in paths]))


def test_all_files_of_a_directory_that_is_there_are_removed(paths):
    sources = marked([str(path) for path in paths])
    for path in paths:
        path.unlink()
    assert changed_files(sources) == [str(path) for path in paths]


def test_files_that_cannot_be_seen_are_not_looked_at(paths, tmp_path):
    assert marked([str(tmp_path / "nowhere" / "a"), "\0"]) is None
    some = marked([str(paths[0]), str(tmp_path / "nowhere" / "a")])
    assert some.paths == (str(paths[0]),)
    sources = marked([str(path) for path in paths])
    paths[0].parent.rename(tmp_path / "elsewhere")  # as on a machine without that file system
    assert changed_files(sources) == []


def test_inodes_count_only_where_they_last(paths, tmp_path, monkeypatch):
    device = paths[0].stat().st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 0:99999 / /other rw - ext4 /dev/x rw\n"
        f"36 35 {os.major(device)}:{os.minor(device)} / /data rw,noatime shared:1 - fuse.gcsfuse bucket rw\n"
    )
    devices = file_marks._devices_of(("fuse",), mounts)
    assert devices == {device}
    assert file_marks._devices_of(("fuse",), tmp_path / "none") == frozenset()
    monkeypatch.setattr(file_marks, "_devices_of", lambda _: devices)
    sources = marked([str(path) for path in paths])
    replaced(paths[0])
    assert changed_files(sources) == []
    paths[0].write_bytes(b"1")
    assert changed_files(sources) == [str(paths[0])]
