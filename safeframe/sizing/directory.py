"""What the machine tells of a directory: the file system that it is on, and the room there.

Covers: directories that are not there yet; whether files in one take memory; mount points.
Does not cover: memory (``machine``), URLs (``staging_url``).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True, kw_only=True, slots=True)
class Directory:
    """A directory and the file system that it is on."""

    host: str
    """The machine."""
    path: str
    """The directory."""
    device: int
    """Number of the file system's device; directories of one device share its room."""
    file_system: str
    """Its kind, as in ``ext4``; empty when unknown."""
    free_nbytes: int
    """Its free bytes."""

    @property
    def in_memory(self) -> bool:
        """Whether what is written there takes memory."""
        return self.file_system in _IN_MEMORY


def inspect_directory(path: str) -> Directory:
    """Learn what file system a directory is, or will be, on."""
    there = _existing(path)
    return Directory(
        host=socket.gethostname(),
        path=path,
        device=os.stat(there).st_dev,  # noqa: PTH116  # Path.stat is the same, in more words
        file_system=_file_system(there.resolve()),
        free_nbytes=free_nbytes(path),
    )


def _file_system(path: Path) -> str:
    mounts = [
        (len(partition.mountpoint), partition.fstype)
        for partition in psutil.disk_partitions(all=True)
        if path.is_relative_to(partition.mountpoint)
    ]
    # Of two mounts on one point the later one is on top.
    return max(reversed(mounts), key=lambda mount: mount[0], default=(0, ""))[1]


def free_nbytes(directory: str) -> int:
    """Count the free bytes of the file system that ``directory`` is, or will be, on."""
    return shutil.disk_usage(_existing(directory)).free


def _existing(directory: str) -> Path:
    path = Path(directory).expanduser().absolute()
    while not path.exists():
        path = path.parent
    return path


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
