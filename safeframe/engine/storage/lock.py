"""Locks on files that are made for it, which the kernel lets go of when their process ends.

Covers: taking one, waiting for one, seeing whether somebody has one.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from safeframe.errors import ValidationError

__all__ = ["is_held", "locked"]


def is_held(path: Path) -> bool:
    """Return whether somebody holds a lock, this process included."""
    try:
        with _opened(path, "r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _opened(path: Path, mode: str) -> IO[str]:
    """Open a file to lock it: one that another user has left can be locked, though not written."""
    try:
        return path.open(mode)
    except PermissionError:
        if not path.exists():
            raise
        return path.open("r")


def locked(path: Path, *, wait: bool = True) -> IO[str]:
    """Open and lock a file; again, should somebody remove it in between.

    Raises
    ------
    ValidationError
        When somebody holds it and this is not to wait.
    """
    while True:
        lock = _opened(path, "a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                if lock.writable():
                    lock.truncate(0)
                return lock
        except FileNotFoundError:
            pass
        except BlockingIOError:
            lock.close()
            msg = f"Another write of the same rows to {path.name!r} is running."
            raise ValidationError(msg, hint="Wait for it to end, or write to another path.") from None
        lock.close()
