"""A directory that takes the place of another in one step.

::

    <parent>/NAME                              the dataset
    <parent>/.NAME.safeframe-<token>           what is being written; after the swap, what was there before
    <parent>/.NAME.safeframe-<token>.lock      held while the process that writes lives
    <parent>/.NAME.safeframe-<token>.old       only where the file system cannot exchange two names

Killed at any moment, NAME is all of the old or all of the new; what else lies
there is removed by the next write to NAME, which can take the lock.

Where two names cannot be exchanged in one step there is a moment without NAME,
between two renames. A process that is killed right there leaves the old rows in
``.old``, and the next write puts them back first.

Covers: local directories.
Does not cover: what the files are, object stores. Nothing is flushed to the
disk (fsync): it outlives the process, not a power cut.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import shutil
import uuid
from pathlib import Path
from typing import IO

from safeframe.errors import StagingError, ValidationError

__all__ = ["PLAN_NAME", "Swap", "exchange_directories", "sweep"]

PLAN_NAME = ".division.json"
"""How files are divided that a later run may go on from; no part of the dataset."""

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_NOT_THERE = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM)
_MARK = ".safeframe-"


class Swap:
    """A directory beside its target, and how it gets there.

    Parameters
    ----------
    target
        The dataset.
    token
        What tells this write from others.
    keep
        Whether to go on with what an earlier write of that token left, and to
        leave what there is when this one ends.
    """

    def __init__(self, target: str, token: str = "", *, keep: bool = False) -> None:
        self.target = Path(target)
        self.keep = keep
        self.token = token or uuid.uuid4().hex[:12]
        self.directory = self.target.with_name(f".{self.target.name}{_MARK}{self.token}")
        self._lock: IO[str] | None = None

    def open(self) -> None:
        """Remove what dead processes left, and make the directory.

        Raises
        ------
        StagingError
            When it cannot be made.
        """
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            sweep(self.target, but=self.directory if self.keep else None)
            self._lock = _locked(self.directory.with_name(f"{self.directory.name}.lock"))
            self.directory.mkdir(exist_ok=True)
            for partial in self.directory.glob(".*"):
                if partial.name != PLAN_NAME:
                    partial.unlink()
        except OSError as error:
            self.close()
            msg = f"Nothing can be written beside {str(self.target)!r}: {error.strerror or error}."
            hint = "Name a path whose parent directory you and every worker may write."
            raise StagingError(msg, hint=hint, directory=str(self.target)) from error

    @property
    def busy(self) -> bool:
        """Whether another process, or another write of this one, holds the lock."""
        path = self.directory.with_name(f"{self.directory.name}.lock")
        try:
            with path.open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def close(self) -> None:
        """Remove the directory, whichever rows it has by now, and let go of the lock."""
        kept = self.keep and self.directory.exists()
        if not kept:
            shutil.rmtree(self.directory, ignore_errors=True)
        if self._lock is not None:
            if not kept:  # by its lock the next write finds a directory that nobody writes
                Path(self._lock.name).unlink(missing_ok=True)
            self._lock.close()
            self._lock = None


def exchange_directories(directory: Path, target: Path, *, overwrite: bool) -> None:
    """Put ``directory`` in the place of ``target``; what was there takes its name.

    Raises
    ------
    ValidationError
        When ``target`` has files and may not be overwritten.
    """
    try:
        directory.rename(target)  # nothing there, or an empty directory
        return
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    if not overwrite:
        msg = f"{str(target)!r} came into being, with files, while the new one was written."
        raise ValidationError(msg, hint="Write to another path, or say overwrite=True.")
    if not _exchanged(directory, target):
        old = directory.with_name(f"{directory.name}.old")
        target.rename(old)
        directory.rename(target)
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


def sweep(target: Path, but: Path | None = None) -> None:
    """Remove what writes to ``target`` left whose processes no longer live, but for one directory."""
    for path in target.parent.glob(f".{_escaped(target.name)}{_MARK}*.lock"):
        if path.with_suffix("") == but:
            continue
        with contextlib.suppress(OSError), path.open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            directory = path.with_suffix("")
            old = directory.with_name(f"{directory.name}.old")
            if old.exists() and not target.exists():
                old.rename(target)
            shutil.rmtree(old, ignore_errors=True)
            shutil.rmtree(directory, ignore_errors=True)
            path.unlink(missing_ok=True)


def _locked(path: Path) -> IO[str]:
    """Open and lock a file; again, should somebody sweep it in between."""
    while True:
        lock = path.open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                return lock
        except (BlockingIOError, FileNotFoundError):
            pass
        lock.close()


def _escaped(name: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)
