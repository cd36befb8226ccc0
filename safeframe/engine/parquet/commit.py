"""The last task of ``to_parquet``: all files to their place, or none.

Covers: the check of rows, ``_metadata``, whether the dataset is the one that the write began with.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from safeframe.engine.parquet.entries import (
    METADATA_NAMES,
    Entries,
    Generation,
    entries_of,
    footer_of,
    generation_of,
)
from safeframe.engine.parquet.in_place import MARKER, NEW, finish_moves, move_inside
from safeframe.engine.parquet.owner import is_same, take_over
from safeframe.engine.parquet.swap import (
    PLAN_NAME,
    Swap,
    discard,
    exchange_directories,
    guarded,
    writes_inside,
)
from safeframe.engine.parquet.target import Dataset, ParquetTarget
from safeframe.engine.parquet.written_file import WrittenFile, disk_error
from safeframe.errors import RowConservationError, SchemaMismatchError, ValidationError

_FIXED = (errno.EBUSY, errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS)
"""Why a directory cannot be renamed, or a file have two names."""


_PARTIAL = re.compile(r"\.(.+)\.[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class Begun:
    """What a write has found at its begin."""

    inode: int = 0
    """Of the directory that is written: should the last task run twice, the second time finds it in its place."""
    generation: Generation = frozenset()
    """The files of the dataset."""


def local_entries(target: Dataset, npartitions: int, known: Collection[str]) -> Entries:
    """Return the entries at a local target, where some files are known to be of the dataset."""
    return entries_of(
        Path(target.target),
        target.name_function,
        target.first + npartitions,
        known=known,
        every=target.append,
    )


def commit(target: ParquetTarget, begun: Begun, files: Sequence[WrittenFile]) -> None:
    """Check the rows of all files, and take them to their place.

    Raises
    ------
    RowConservationError
        When a file has other rows than were written to it, or is not there.
    ValidationError
        When the dataset is no longer the one that the write began with.
    StagingError, StagingFullError
        When the files cannot be moved.
    """
    if not target.is_local:
        _check_rows(target, files)
        _write_metadata(target, files)
        return
    place, work = Path(target.target), Path(target.directory)
    try:
        with guarded(place):
            if _is_in_place(target, begun, files):
                return
            _check_rows(target, files)
            entries = local_entries(target, len(files), {name for name, *_ in begun.generation})
            _check_unchanged(target, begun, entries)
            names = [file.name for file in files] + _write_metadata(target, files)
            (work / PLAN_NAME).unlink(missing_ok=True)
            _take_place(target, entries, names)
            _sweep_partial(place, names)
            # No other write has to wait for the lock, though this process may keep it open.
            work.with_name(f"{work.name}.lock").unlink(missing_ok=True)
    except OSError as error:
        raise disk_error(error, 0, target) from error


def _sweep_partial(place: Path, names: Sequence[str]) -> None:
    """Remove what a task was writing that nobody waits for any more: it has come along with the directory."""
    new = frozenset(names)
    for path in place.glob(".*"):
        # Named as put_file does. It may be on a worker that the scheduler has given up, and that goes on.
        if (found := _PARTIAL.fullmatch(path.name)) and found[1] in new:
            path.unlink(missing_ok=True)


def _is_in_place(target: ParquetTarget, begun: Begun, files: Sequence[WrittenFile]) -> bool:
    """Return whether this task ran before, on a worker that was lost; finish what it has left."""
    place, work = Path(target.target), Path(target.directory)
    inner = _inner(target)
    if (inner / MARKER).exists():
        finish_moves(inner, place)
        return True
    if place.exists() and place.stat().st_ino == begun.inode:
        discard(work, place)
        return True
    return not work.exists() and all(
        (place / file.name).exists() and (place / file.name).stat().st_ino == file.inode for file in files
    )


def _check_unchanged(target: ParquetTarget, begun: Begun, entries: Entries) -> None:
    now = generation_of(Path(target.target), entries.data)
    if now - begun.generation or (target.append and now != begun.generation):
        changed = sorted({name for name, *_ in now ^ begun.generation})
        msg = f"{target.target!r} was changed by another process during the write: {changed[0]!r} is not the same."
        hint = "The target is as the other process left it. Check it, and write again or to another path."
        raise ValidationError(msg, hint=hint)
    if entries.strange_parquet is not None and not (target.append and not entries.directories):
        msg = f"{target.target!r} now has a parquet file that is not of the dataset: {entries.strange_parquet!r}."
        raise ValidationError(
            msg, hint="The target is unchanged. Move the file away, or write to another path."
        )


def _take_place(target: ParquetTarget, entries: Entries, new: Sequence[str]) -> None:
    place, work = Path(target.target), Path(target.directory)
    coming = frozenset(new)
    goes = [name for name in entries.data if name in coming or not target.append]
    stays = [*entries.files, *(name for name in entries.data if name not in goes)]
    if not (target.inside or writes_inside(place, entries)) and _swapped(place, work, goes, stays):
        return
    inner = _inner(target)
    if inner != work:
        inner.mkdir(mode=0o700, exist_ok=True)
        for name in new:
            _move(work / name, inner / f"{name}{NEW}")
    move_inside(inner, place, new, goes)
    discard(work, place)


def _inner(target: ParquetTarget) -> Path:
    if target.inside:
        return Path(target.directory)
    token = target.directory.rpartition("-")[2]
    return Swap(target.target, token, inside=True).directory


def _swapped(place: Path, work: Path, goes: Sequence[str], stays: Sequence[str]) -> bool:
    """Swap the directories; False where the target has to stay the directory that it is."""
    linked: list[Path] = []
    try:
        if place.is_dir():
            take_over(place, work)
            if not is_same(place, work):
                return False
            for name in stays:
                os.link(place / name, work / name, follow_symlinks=False)
                linked.append(work / name)
        exchange_directories(work, place)
    except OSError as error:
        for path in linked:
            path.unlink(missing_ok=True)
        if error.errno not in _FIXED:
            raise
        return False
    for name in (*goes, *stays):
        (work / name).unlink(missing_ok=True)
    discard(work, place)
    discard(work.with_name(f"{work.name}.old"), place)
    return True


def _move(source: Path, goal: Path) -> None:
    try:
        source.replace(goal)
    except FileNotFoundError:
        pass  # moved before, by a worker that was lost
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copyfile(source, goal)
        source.unlink()


def _check_rows(target: ParquetTarget, files: Sequence[WrittenFile]) -> None:
    for file in files:
        try:
            rows = pq.read_metadata(target.path_of(file.name), filesystem=target.fs).num_rows
        except FileNotFoundError as error:
            if file.rows:
                msg = f"{file.name} is not there, but {file.rows:,} rows were written to it."
                hint = f"The target is unchanged. Do all workers reach the directory of {target.target!r} under one path?"
                raise RowConservationError(msg, hint=hint, rows=0, expected=file.rows) from error
            rows = -1
        if rows != file.rows:
            msg = f"{file.name} has {max(rows, 0):,} rows, but {file.rows:,} were written to it."
            hint = "The target is unchanged. Write again; if the error persists, please report it."
            raise RowConservationError(msg, hint=hint, rows=rows, expected=file.rows)
    total = sum(file.rows for file in files)
    if target.rows is not None and total != target.rows:
        msg = f"The files have {total:,} rows, but the keys predicted {target.rows:,}."
        hint = "The target is unchanged. Has an input changed since the merge was planned? Call merge again."
        raise RowConservationError(msg, hint=hint, rows=total, expected=target.rows)
    if len({file.name for file in files}) != len(files):
        msg = f"{len(files)} partitions were written to fewer files."
        raise RowConservationError(msg, hint="The target is unchanged. Write again.")


def _write_metadata(target: ParquetTarget, files: Sequence[WrittenFile]) -> list[str]:
    """Write ``_metadata``, and ``_common_metadata`` of a new dataset, where requested; return their names."""
    if not target.metadata_file:
        return []
    name, common = METADATA_NAMES
    footers = list(_footers(target, files))
    schema = pq.read_schema(target.path_of(files[0].name), filesystem=target.fs)
    try:
        pq.write_metadata(schema, target.path_of(name), footers, filesystem=target.fs)
    except RuntimeError as error:
        msg = f"The files have different schemas, so that _metadata cannot be written: {error}."
        hint = "Pass one schema= for all, or leave write_metadata_file= out."
        raise SchemaMismatchError(msg, hint=hint) from error
    if target.append:
        return [name]
    pq.write_metadata(schema, target.path_of(common), filesystem=target.fs)
    return [name, common]


def _footers(target: ParquetTarget, files: Sequence[WrittenFile]) -> Iterable[Any]:
    if target.append:
        yield from _footers_there(target, {file.name for file in files})
    for file in files:
        footer = pq.read_metadata(target.path_of(file.name), filesystem=target.fs)
        footer.set_file_path(file.name)
        yield footer


def _footers_there(target: ParquetTarget, written: set[str]) -> Iterable[Any]:
    """Read what is known of the files that are there before: in one, or file by file."""
    with contextlib.suppress(FileNotFoundError):
        yield footer_of(f"{target.target}/{METADATA_NAMES[0]}", target.fs)
        return
    if target.is_local:
        there = entries_of(Path(target.target), every=True).data
    else:
        there = tuple(path.rpartition("/")[2] for path in target.fs.ls(target.target, detail=False))
    for name in there:
        if name not in written and name not in METADATA_NAMES:
            footer = footer_of(f"{target.target}/{name}", target.fs)
            footer.set_file_path(name)
            yield footer
