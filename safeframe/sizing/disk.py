"""Asks a file system how much room it has, and where it begins."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path

__all__ = ["free_nbytes", "is_mount_point"]

_MOUNTS = Path("/proc/self/mountinfo")


def free_nbytes(directory: str) -> int:
    """Count the free bytes of the file system that ``directory`` is, or will be, on."""
    path = Path(directory).expanduser().absolute()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def is_mount_point(path: Path) -> bool:
    """Return whether something is mounted at a path, be it a directory of the same disk.

    Notes
    -----
    ``os.path.ismount`` compares devices, which are the same where a directory is mounted elsewhere
    (``docker -v``, ``mount --bind``). Linux lists those, too.
    """
    if path.is_mount():
        return True
    with contextlib.suppress(OSError):
        named = os.fsencode(path)
        return any(_plain(line.split(b" ")[4]) == named for line in _MOUNTS.read_bytes().splitlines())
    return False


def _plain(escaped: bytes) -> bytes:
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), escaped)
