"""Locks of processes, and the removal of what processes left that no longer live.

Where files can be locked, an owner holds a lock on a file next to what it owns;
the kernel releases the lock when the process ends, however it ends. Where they
cannot, as in an object store, an owner writes down which process it is, by its
number and the time when it started.

Covers: taking a lock, finding out whether one is held, sweeping.
Does not cover: what is removed (``engine.parquet.swap``, ``engine.storage.sessions``,
``engine.storage.remote_sessions``).
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import psutil

from safeframe.engine.storage.private_directory import is_own

logger = logging.getLogger(__name__)

LeftT = TypeVar("LeftT")
ClaimT = TypeVar("ClaimT")


class Lock:
    """A lock that this process holds on a file."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def write(self, text: bytes) -> None:
        """Write what the lock stands for, in place of what is there."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text, 0)

    def release(self, *, remove: bool = False) -> None:
        """Release the lock; with ``remove``, remove its file first, so that no other process takes it in between."""
        with contextlib.suppress(OSError):
            # Another process may have removed it, and made one of its own.
            if remove and _is_there(self.path, self._descriptor):
                self.path.unlink()
        os.close(self._descriptor)


def wait_for_lock(path: Path) -> Lock:
    """Take a lock, made if need be, once its holder releases it."""
    lock = _taken(path, fcntl.LOCK_EX)
    assert lock is not None, "waited for"
    return lock


def try_lock(path: Path) -> Lock | None:
    """Take a lock, made if need be; None where any process holds it, this one included."""
    return _taken(path, fcntl.LOCK_EX | fcntl.LOCK_NB)


def new_lock(path: Path, mark: bytes) -> Lock:
    """Make a lock of this user's alone, and mark it once it is held.

    Raises
    ------
    OSError
        When the file is there, or cannot be locked.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(descriptor, mark)
    except OSError:
        os.close(descriptor)
        raise
    return Lock(path, descriptor)


def is_held(path: Path) -> bool:
    """Return whether any process holds a lock, this one included."""
    try:
        descriptor = _opened(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def claim_marked(path: Path, mark: bytes) -> Lock | None:
    """Take the lock of an owner that is dead; None where it lives, or where this is no lock of :func:`new_lock`."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return None
    with contextlib.suppress(OSError):
        # The mark first: it was written under the lock, so that a lock that is free has been released.
        if is_own(os.fstat(descriptor)) and os.pread(descriptor, len(mark) + 1, 0) == mark:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return Lock(path, descriptor)
    os.close(descriptor)
    return None


def sweep(
    left: Iterable[LeftT], claim: Callable[[LeftT], ClaimT | None], remove: Callable[[LeftT, ClaimT], None]
) -> None:
    """Remove what dead owners left.

    Parameters
    ----------
    left
        What there is, of dead and of living owners.
    claim
        Returns what shows that its owner is dead, as a lock that could be taken; None where it lives.
    remove
        Removes it, and releases the claim.
    """
    for one in left:
        claimed = claim(one)
        if claimed is not None:
            logger.info("Removing what a process left that no longer lives: %s", one)
            remove(one, claimed)


def process_start(pid: int) -> str:
    """Return when a process started, in ticks that no change of the clock moves; empty when there is none."""
    with contextlib.suppress(OSError):
        # The second field, the program's name in brackets, may hold anything.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    if Path("/proc/self/stat").exists():
        return ""
    try:
        return str(int(psutil.Process(pid).create_time()))
    except psutil.Error:
        return ""


def _taken(path: Path, how: int) -> Lock | None:
    while True:
        descriptor = _opened(path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, how)
            # Again, should another process have removed the file in between.
            if _is_there(path, descriptor):
                return Lock(path, descriptor)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _opened(path: Path, flags: int) -> int:
    """Open a file to lock it: one that another user has left can be locked, though not written."""
    try:
        return os.open(path, flags, 0o666)
    except PermissionError:
        if not path.exists():
            raise
        return os.open(path, os.O_RDONLY)


def _is_there(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
