"""Moves inside of a directory, interrupted at each of their steps."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from safeframe.engine.parquet import in_place
from safeframe.engine.parquet.in_place import MARKER, finish_moves, move_inside

OLD = {"part.0.parquet": "old 0", "part.1.parquet": "old 1", "part.2.parquet": "old 2", "_metadata": "old"}
NEW = {"part.0.parquet": "new 0", "part.1.parquet": "new 1", "data-7.parquet": "new 7"}


class Killed(BaseException):
    """The process is gone: nothing is undone."""


@pytest.fixture
def place(tmp_path):
    for name, text in {**OLD, "notes.txt": "mine"}.items():
        (tmp_path / name).write_text(text)
    work = tmp_path / ".safeframe-0123456789ab"
    work.mkdir()
    for name, text in NEW.items():
        (work / f"{name}{in_place.NEW}").write_text(text)
    return tmp_path


def texts(place):
    return {path.name: path.read_text() for path in place.iterdir() if path.is_file()}


def work_of(place):
    return place / ".safeframe-0123456789ab"


def stops_at(monkeypatch, step, error):
    """Let renames before ``step`` be done, and fail at it."""
    count = iter(range(10**6))

    def stopping(one, other, rename):
        if next(count) == step:
            raise error
        rename(one, other)

    monkeypatch.setattr(Path, "rename", lambda one, other: stopping(one, other, os.rename))
    monkeypatch.setattr(Path, "replace", lambda one, other: stopping(one, other, os.replace))


@pytest.mark.parametrize("step", range(1 + len(OLD) + len(NEW) + 1))
@pytest.mark.parametrize("again", [None, 0, 1, 3])
def test_killed_at_any_step_the_rest_is_moved_by_the_next_write(place, monkeypatch, step, again):
    with monkeypatch.context() as patch:
        stops_at(patch, step, Killed())
        try:
            move_inside(work_of(place), place, [*NEW], [*OLD])
        except Killed:
            pass
        else:
            assert step == 1 + len(OLD) + len(NEW)
    decided = (work_of(place) / MARKER).exists()
    assert decided == (0 < step <= len(OLD) + len(NEW))
    if decided:
        if again is not None:
            with monkeypatch.context() as patch, contextlib.suppress(Killed):
                stops_at(patch, again, Killed())
                finish_moves(work_of(place), place)
        if work_of(place).exists():
            finish_moves(work_of(place), place)
    assert texts(place) == {**(NEW if step else OLD), "notes.txt": "mine"}
    assert work_of(place).exists() == (step == 0)


@pytest.mark.parametrize("step", range(1, 1 + len(OLD) + len(NEW)))
def test_a_step_that_fails_is_undone(place, monkeypatch, step):
    with monkeypatch.context() as patch:
        stops_at(patch, step, OSError("on purpose"))
        with pytest.raises(OSError, match="on purpose"):
            move_inside(work_of(place), place, [*NEW], [*OLD])
    assert texts(place) == {**OLD, "notes.txt": "mine"}
    assert not (work_of(place) / MARKER).exists()
    move_inside(work_of(place), place, [*NEW], [*OLD])
    assert texts(place) == {**NEW, "notes.txt": "mine"}


def test_an_undoing_that_is_interrupted_is_moved_forward(place, monkeypatch):
    with monkeypatch.context() as patch:
        stops_at(patch, 6, OSError("on purpose"))
        patch.setattr(in_place, "_undo", lambda *arguments: None)
        with pytest.raises(OSError, match="on purpose"):
            move_inside(work_of(place), place, [*NEW], [*OLD])
    with monkeypatch.context() as patch:
        stops_at(patch, 2, Killed())
        with pytest.raises(Killed):
            in_place._undo(work_of(place), place, [*NEW], [*OLD])
    finish_moves(work_of(place), place)
    assert texts(place) == {**NEW, "notes.txt": "mine"}
