"""Checks, without reading them, that files are those that they were.

A file that is written again, or that another takes the place of, has another
size, time of its last write, or inode.

Covers: one ``stat`` for each file.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np
import numpy.typing as npt

from safeframe.facts.files import SourceFiles

_MISSING = (-1, -1, -1)

_PASSING_INODES = ("fuse", "cifs", "smb")
"""File systems that may number a file again each time that it is looked up."""


def marked(paths: Sequence[str]) -> SourceFiles | None:
    """Return files with their marks; None when none can be seen from here.

    Parameters
    ----------
    paths
        Local files.
    """
    marks = _marks(paths)
    seen = marks[:, 0] >= 0
    if not seen.any():
        return None
    kept = tuple(path for path, here in zip(paths, seen, strict=True) if here)
    return SourceFiles(kept, marks[seen].tobytes())


def changed_files(sources: SourceFiles) -> list[str]:
    """Return those files that are no longer what they were.

    There are none where the files cannot be seen at all: not each process that
    makes a graph is on a machine that has the workers' file systems.
    """
    found = _marks(sources.paths)
    known = np.frombuffer(sources.marks, np.int64).reshape(-1, 3)
    changed = np.flatnonzero((found != known).any(axis=1))
    if not len(changed) or ((found[:, 0] < 0).all() and not _any_directory(sources.paths)):
        return []
    return [sources.paths[number] for number in changed]


def _marks(paths: Sequence[str]) -> npt.NDArray[np.int64]:
    found = np.empty((len(paths), 3), np.int64)
    passing = _devices_of(_PASSING_INODES)
    for number, path in enumerate(paths):
        try:
            stat = os.stat(path)  # noqa: PTH116  # a Path for each of thousands of files takes as long again
        except (OSError, ValueError):  # gone, not to be seen, or no path
            found[number] = _MISSING
        else:
            inode = (
                0 if stat.st_dev in passing else stat.st_ino & 0x7FFF_FFFF_FFFF_FFFF
            )  # it may have 64 bits
            found[number] = stat.st_size, stat.st_mtime_ns, inode
    return found


def _devices_of(kinds: tuple[str, ...], mounts: Path = Path("/proc/self/mountinfo")) -> frozenset[int]:
    """Return the devices of mounted file systems of some kinds; none where the system does not list them."""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return frozenset()
    found = set()
    for line in lines:
        before, _, after = line.partition(" - ")
        if after.startswith(kinds):
            major, minor = before.split()[2].split(":")
            found.add(os.makedev(int(major), int(minor)))
    return frozenset(found)


def _any_directory(paths: Sequence[str]) -> bool:
    return any(Path(directory).is_dir() for directory in {str(PurePath(path).parent) for path in paths})
