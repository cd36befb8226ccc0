"""A directory that takes the place of another in one step.

::

    <parent>/NAME                              the dataset
    <parent>/.NAME.safeframe-<token>           what is being written; after the swap, what was there before
    <parent>/.NAME.safeframe-<token>.lock      held while the process that writes lives
    <parent>/.NAME.safeframe-<token>.old       only where the file system cannot exchange two names
    <parent>/.NAME.safeframe.lock              held for the moments in which a write begins, and ends

Killed at any moment, NAME is all of the old or all of the new; what else lies
there is removed by the next write to NAME, which can take the lock.

Where two names cannot be exchanged in one step there is a moment without NAME,
between two renames. A process that is killed right there leaves the old rows in
``.old``, and the next write puts them back first.

A directory that cannot be renamed (a mount point, one whose parent may not be
written, somebody else's, the working directory), or that has directories which are not ours, is
written from inside: ``NAME/.safeframe-<token>`` and its lock, and moves at the end (``engine.parquet.in_place``).

Of two writes to one target at once the second is refused when it begins. One
that began with ``compute=False`` may begin at any time, and never end; it is
no reason to refuse another. Each write therefore looks again, at its end, whether the
dataset's files are those that were there when it began.

Covers: local directories, whose turn it is, what dead processes left.
Does not cover: what the files are, object stores. Nothing is flushed to the
disk (fsync): it outlives the process, not a power cut.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from safeframe.engine.parquet.entries import METADATA_NAMES, PARQUET_SUFFIXES, WORK_NAME, Entries
from safeframe.engine.parquet.in_place import MARKER, finish_moves
from safeframe.engine.parquet.owner import can_be_kept, take_over
from safeframe.engine.storage.lock import Lock, is_held, sweep, try_lock, wait_for_lock
from safeframe.errors import StagingError, ValidationError
from safeframe.sizing.directory import is_mount_point

PLAN_NAME = ".division.json"
"""How files are divided that a later run may go on from; no part of the dataset."""

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_NOT_THERE = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM)
_MARK = ".safeframe-"
_RUNNING, _LATER = b"running", b"later"


def writes_inside(target: Path, entries: Entries) -> bool:
    """Return whether a directory has to stay the one that it is."""
    return target.is_dir() and (
        bool(entries.directories)
        or _is_fixed(target)
        or target in (Path.cwd(), *Path.cwd().parents)
        or not can_be_kept(target)
    )


def _is_fixed(target: Path) -> bool:
    return target.is_dir() and (not _is_writable(target.parent) or is_mount_point(target))


def _is_writable(directory: Path) -> bool:
    effective = os.access in os.supports_effective_ids
    return os.access(directory, os.W_OK | os.X_OK, effective_ids=effective)


class Swap:
    """A directory next to its target, or in it, and how it gets there.

    Parameters
    ----------
    target
        The dataset.
    token
        The write's name among others: 12 hexadecimal digits.
    inside
        Whether it is in the target.
    keep
        Whether to go on with what an earlier write of that token left, and to
        leave what there is when this one ends.
    later
        Whether the write is one that may end at any time.
    """

    def __init__(
        self, target: str, token: str = "", *, inside: bool = False, keep: bool = False, later: bool = False
    ) -> None:
        self.target = Path(target)
        self.keep = keep
        self.later = later
        self.token = token or uuid.uuid4().hex[:12]
        self.directory = (
            self.target / f"{_MARK}{self.token}"
            if inside
            else self.target.with_name(f".{self.target.name}{_MARK}{self.token}")
        )
        self._lock: Lock | None = None

    def open(self) -> None:
        """Repair and remove what dead processes left, and make the directory.

        Raises
        ------
        StagingError
            When it cannot be made.
        ValidationError
            When another write to the target runs.
        """
        try:
            if self.target.is_dir() and not _is_writable(self.target):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self.target))
            self.target.parent.mkdir(parents=True, exist_ok=True)
            with guarded(self.target):
                _refuse_running(self.target)
                _recover(self.target)
                _sweep(self.target, but=self.directory if self.keep else None)
                self._lock = try_lock(_lock_of(self.directory))
                if self._lock is None:
                    raise _running(self.target)
                self._lock.write(_LATER if self.later else _RUNNING)
                self._make()
        except BaseException as error:
            self.close()
            if not isinstance(error, OSError) or isinstance(error, StagingError):
                raise
            msg = f"Nothing can be written next to or in {str(self.target)!r}: {error.strerror or error}."
            hint = "Name a path that you and every worker can write, or whose parent directory is writable."
            raise StagingError(msg, hint=hint, directory=str(self.target)) from error

    def _make(self) -> None:
        if self.target.is_dir() and not self.directory.exists():
            # New rows may be read only by users who may read the old ones.
            self.directory.mkdir(mode=0o700)
            take_over(self.target, self.directory)
        self.directory.mkdir(exist_ok=True)
        for partial in self.directory.glob(".*"):
            if partial.name != PLAN_NAME:
                partial.unlink()

    @property
    def busy(self) -> bool:
        """Whether another process, or another write of this one, holds the lock."""
        return is_held(_lock_of(self.directory))

    def close(self) -> None:
        """Remove the directory, whichever rows it has by now, and release the lock."""
        lock, self._lock = self._lock, None
        if lock is None:
            return
        kept = True
        with contextlib.suppress(OSError):
            # What could not be moved, nor moved back, waits for the next write.
            kept = (self.directory / MARKER).exists() or (self.keep and self.directory.exists())
            if not kept:
                discard(self.directory, self.target)
        # By its lock the next write finds a directory that nobody writes.
        lock.release(remove=not kept)


@contextlib.contextmanager
def guarded(target: Path) -> Iterator[None]:
    """Keep other writes to a target from beginning, and from ending, while the block runs."""
    lock = wait_for_lock(
        target / ".safeframe.lock"
        if _is_fixed(target)
        else target.with_name(f".{target.name}.safeframe.lock")
    )
    try:
        yield
    finally:
        lock.release(remove=True)


def exchange_directories(directory: Path, target: Path) -> None:
    """Put ``directory`` in the place of ``target``; what was there takes its name.

    Raises
    ------
    OSError
        When the system cannot rename ``target``, which then is where it was.
    """
    try:
        directory.rename(target)  # nothing there, or an empty directory
        return
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    if not _exchanged(directory, target):
        old = directory.with_name(f"{directory.name}.old")
        target.rename(old)
        try:
            directory.rename(target)
        except OSError:
            old.rename(target)
            raise
        old.rename(directory)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two names in one step, where the system can."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NOT_THERE:
        return False
    raise OSError(number, os.strerror(number), str(other))


def discard(directory: Path, target: Path) -> None:
    """Remove a directory that was written, or swapped out; what is not ours in it goes to the target.

    A file that another user put into the dataset at the moment of the swap is one such.
    """
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for entry in list(os.scandir(directory)):
            with contextlib.suppress(OSError):
                if not entry.is_dir(follow_symlinks=False) and (
                    _is_ours(entry.name) or _is_same(entry.path, target / entry.name)
                ):
                    Path(entry.path).unlink()
                elif target.is_dir() and not os.path.lexists(target / entry.name):
                    Path(entry.path).rename(target / entry.name)
        with contextlib.suppress(OSError):
            directory.rmdir()


def _is_ours(name: str) -> bool:
    # Inside of a target files have names of their own while they wait.
    plain = name.removesuffix(".new").removesuffix(".old")
    half = plain.rpartition(".")[0] if plain.startswith(".") else plain
    return (
        plain.endswith(PARQUET_SUFFIXES)
        or plain in (*METADATA_NAMES, MARKER, f"{MARKER}.partial")
        or plain.startswith(PLAN_NAME)
        or (plain.startswith(".") and half.endswith((*PARQUET_SUFFIXES, *METADATA_NAMES)))
    )


def _is_same(one: str, other: Path) -> bool:
    return other.exists() and other.samefile(one)


def recover(target: Path) -> None:
    """Finish the swap, or the moves, in which a process was killed.

    Raises
    ------
    StagingError
        When it cannot be finished.
    """
    if not (
        any((directory / MARKER).exists() for directory in _inside(target))
        or any(old.suffix == ".old" for old in _beside(target))
    ):
        return
    try:
        with guarded(target):
            _recover(target)
    except OSError as error:
        msg = (
            f"A write to {str(target)!r} was interrupted, and cannot be finished: {error.strerror or error}."
        )
        hint = "Make the directory writable. It has all old and new files, some in a hidden directory."
        raise StagingError(msg, hint=hint, directory=str(target)) from error


def _recover(target: Path) -> None:
    for directory in _inside(target):
        if (directory / MARKER).exists():
            finish_moves(directory, target)
    for old in _beside(target):
        if old.suffix == ".old" and not target.exists():
            old.rename(target)


def _sweep(target: Path, but: Path | None = None) -> None:
    """Remove what dead writes left, while none can begin: their locks need not be taken for it."""

    def claim(directory: Path) -> Path | None:
        lock = _lock_of(directory)
        return None if is_held(lock) else lock

    def remove(directory: Path, lock: Path) -> None:
        discard(directory.with_name(f"{directory.name}.old"), target)
        discard(directory, target)
        with contextlib.suppress(OSError):
            lock.unlink()

    left = {path.with_suffix("") if path.suffix in (".lock", ".old") else path for path in _left(target)}
    sweep(left - {but}, claim, remove)


def _refuse_running(target: Path) -> None:
    for lock in _left(target):
        if lock.suffix == ".lock" and is_held(lock) and lock.read_bytes() == _RUNNING:
            raise _running(target)


def _running(target: Path) -> ValidationError:
    msg = f"Another write to {str(target)!r} is running, in this process or another one."
    return ValidationError(msg, hint="Wait for it to end, or write to another path.")


def _left(target: Path) -> list[Path]:
    return [*_beside(target), *_inside(target)]


def _beside(target: Path) -> list[Path]:
    return _named(target.parent, f".{target.name}")


def _inside(target: Path) -> list[Path]:
    return _named(target, "")


def _named(directory: Path, prefix: str) -> list[Path]:
    """List what carries our mark in a directory."""
    try:
        names = [path.name for path in directory.iterdir()]
    except OSError:
        return []
    marked = (name for name in names if name.startswith(f"{prefix}{_MARK}"))
    return [
        directory / name
        for name in marked
        if WORK_NAME.fullmatch(name.removeprefix(prefix).removesuffix(".old"))
    ]


def _lock_of(directory: Path) -> Path:
    return directory.with_name(f"{directory.name}.lock")
