"""Files that take the place of others in a directory which cannot be renamed.

A mount point is one, and so is a directory whose parent may not be written.
What is written lies in a hidden directory inside it, and is moved at the end::

    NAME/.safeframe-<token>/part.0.parquet.new     complete, not yet of the dataset
    NAME/.safeframe-<token>/part.0.parquet.old     of the dataset before, set aside
    NAME/.safeframe-<token>/moves.json             the marker: which files come, and which go

The marker is the moment of decision. Killed before it is there, the dataset is
the old one, and the next write removes the directory. Killed with it, the
dataset has files of both, and the next write moves the rest: all that is
needed is on the disk, and of each step it can be seen whether it is done:

1. a file of the old dataset is set aside, where one of the new takes its name only as long as that
   one waits;
2. a file of the new dataset takes its place;
3. the directory is removed, with what was set aside.

A step that fails without the process being killed is undone: what came goes
back, and what was set aside returns, before the marker is removed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from safeframe.errors import ValidationError

MARKER = "moves.json"
NEW = ".new"
_OLD = ".old"


def move_inside(work: Path, place: Path, new: Sequence[str], old: Sequence[str]) -> None:
    """Move complete files into the directory around theirs, and others away.

    Parameters
    ----------
    work
        The hidden directory, with each new file as ``<name>.new``.
    place
        The dataset.
    new
        Names of the files that come.
    old
        Names of the files that go.
    """
    partial = work / f"{MARKER}.partial"
    partial.write_text(json.dumps({"new": list(new), "old": list(old)}))
    partial.rename(work / MARKER)
    try:
        _move(work, place, new, old)
    except OSError:
        _undo(work, place, new, old)
        raise
    shutil.rmtree(work, ignore_errors=True)


def finish_moves(work: Path, place: Path) -> None:
    """Move what a process that was killed has not moved, and remove the directory.

    Raises
    ------
    ValidationError
        When the marker does not say which files these are; none is moved.
    """
    _move(work, place, *_moves(work / MARKER))
    shutil.rmtree(work, ignore_errors=True)


def _moves(marker: Path) -> tuple[list[str], list[str]]:
    try:
        moves = json.loads(marker.read_text())
        new, old = moves["new"], moves["old"]
        # A name with a path in it would move files of other directories.
        if all(isinstance(name, str) and name == Path(name).name for name in [*new, *old]):
            return list(new), list(old)
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    msg = f"A write was interrupted while files took their places, and {str(marker)!r}, which names them, is damaged."
    hint = (
        f"Files that end in {NEW!r} next to it are new, those in {_OLD!r} were replaced. Move those that you need, "
        "remove the directory, and write again."
    )
    raise ValidationError(msg, hint=hint)


def _move(work: Path, place: Path, new: Sequence[str], old: Sequence[str]) -> None:
    coming = frozenset(new)
    for name in old:
        is_old = name not in coming or (work / f"{name}{NEW}").exists()
        aside = work / f"{name}{_OLD}"
        if is_old and not os.path.lexists(aside) and os.path.lexists(place / name):
            (place / name).rename(aside)
    for name in new:
        waiting = work / f"{name}{NEW}"
        if waiting.exists():
            waiting.replace(place / name)


def _undo(work: Path, place: Path, new: Sequence[str], old: Sequence[str]) -> None:
    for name in new:
        waiting = work / f"{name}{NEW}"
        if not waiting.exists() and os.path.lexists(place / name):
            (place / name).rename(waiting)
    for name in old:
        aside = work / f"{name}{_OLD}"
        if os.path.lexists(aside):
            aside.rename(place / name)
    (work / MARKER).unlink()
