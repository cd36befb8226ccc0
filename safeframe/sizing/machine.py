"""The memory group that the kernel holds a process to: cgroup version 1 and 2, with the groups around it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

_LIMIT_FILES = ("memory.max", "memory.high", "memory.limit_in_bytes")
_USAGE_FILES = ("memory.current", "memory.usage_in_bytes")


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryGroup:
    """The tightest of the memory groups that a process is in."""

    path: str
    limit_nbytes: int
    """What its processes may use together, in bytes."""

    def used_nbytes(self) -> int:
        """Return what its processes hold now, pages of the page cache among it; 0 when that cannot be read."""
        for name in _USAGE_FILES:
            try:
                return int((Path(self.path) / name).read_text())
            except (OSError, ValueError):
                continue
        return 0


def memory_group(process: str = "self", *, root: str = "/") -> MemoryGroup | None:
    """Find the tightest limit among a process's memory group and the groups around it.

    Parameters
    ----------
    process
        The process's number.
    root
        Where the system's ``proc`` and ``sys`` are; another one in tests.

    Returns
    -------
    MemoryGroup or None
        None without a limit below the machine's memory, and on other systems than Linux.
    """
    found = [
        MemoryGroup(path=str(path), limit_nbytes=limit)
        for path in _groups(Path(root), process)
        if (limit := _limit(path)) is not None
    ]
    total = int(psutil.virtual_memory().total)
    tightest = min(found, key=lambda group: group.limit_nbytes, default=None)
    return tightest if tightest is not None and tightest.limit_nbytes < total else None


def machine_limit_nbytes() -> int:
    """Return what this process may use of the machine: its memory, or the limit of its memory group."""
    group = memory_group()
    return int(psutil.virtual_memory().total) if group is None else group.limit_nbytes


def resident_nbytes() -> int:
    """Return the resident memory of this process."""
    return int(psutil.Process().memory_info().rss)


def swapped_nbytes(process: str = "self", *, root: str = "/") -> int:
    """Count what of a process's memory is in swap; 0 where the system does not tell."""
    try:
        lines = (Path(root) / "proc" / process / "status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmSwap:")), 0)


def _groups(root: Path, process: str) -> Iterator[Path]:
    """Name the directories of a process's memory groups, those around it included."""
    try:
        lines = (root / "proc" / process / "cgroup").read_text().splitlines()
    except OSError:
        return
    mounted = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers == "":
            top = mounted
        elif "memory" in controllers.split(","):
            top = mounted / "memory"
        else:
            continue
        group = top / name.lstrip("/")
        # In a container the group's name may be the host's, and what is mounted the group itself.
        yield from (path for path in (group, *group.parents) if path.is_relative_to(top))


def _limit(path: Path) -> int | None:
    limits = []
    for name in _LIMIT_FILES:
        try:
            text = (path / name).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            limits.append(int(text))
    return min(limits, default=None)
