"""What the machine gives this process: swap, and room in directories.

Covers: swap, and whether a directory lies on a disk or in memory.
"""

from __future__ import annotations

import os
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

import dask.config
import psutil

from safeframe.sizing.machine import free_nbytes

__all__ = [
    "Directory",
    "inspect_directory",
    "swapped_nbytes",
    "worker_directory",
]

_IN_MEMORY = frozenset({"tmpfs", "ramfs"})


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


def swapped_nbytes(process: str = "self", *, root: str = "/") -> int:
    """Count what of a process's memory is in swap; 0 where the system does not tell."""
    try:
        lines = (Path(root) / "proc" / process / "status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmSwap:")), 0)


def inspect_directory(path: str) -> Directory:
    """Learn what file system a directory is, or will be, on."""
    there = Path(path).expanduser().absolute()
    while not there.exists():
        there = there.parent
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


def worker_directory() -> str | None:
    """Choose where workers of this machine keep what is not in memory.

    Returns
    -------
    str or None
        None to leave it to dask: where the user has named a directory, and where
        the temporary directory is on a disk, or nothing better is there.
    """
    temporary = tempfile.gettempdir()
    if dask.config.get("temporary-directory", None) or not inspect_directory(temporary).in_memory:
        return None
    for candidate in ("/var/tmp", Path.cwd()):  # a directory of dask's own is made below it
        if os.access(candidate, os.W_OK | os.X_OK) and not inspect_directory(str(candidate)).in_memory:
            return str(candidate)
    return None
