"""Memory groups of the kernel, for holding a process to a size.

Covers: finding out whether this machine lets us make memory cgroups (version 1 or
2), making one, putting a program into it before its first instruction, reading
its peak and its kills, and removing it.
Does not cover: anything but Linux; anything but memory; what runs inside
(:mod:`benchmarks.tight`, :mod:`benchmarks.run`).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Enforcement", "Group", "Hierarchy", "find_hierarchy", "sweep"]

Enforcement = Literal["cgroup v1", "cgroup v2", "dask only"]
"""Who holds a process to its size."""

_PREFIX = "safeframe"
_REMOVE_SECONDS = 10.0
_serial = itertools.count()


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The tree in which memory groups are made."""

    root: Path
    """Where the tree is mounted."""
    version: Literal[1, 2]
    """The interface: 1 has ``memory.limit_in_bytes``, 2 has ``memory.max``."""

    @property
    def enforcement(self) -> Enforcement:
        """Its name in reports."""
        return "cgroup v1" if self.version == 1 else "cgroup v2"

    def new_prefix(self) -> str:
        """Name a family of groups that no other process, and no other call, uses."""
        return f"{_PREFIX}-{os.getpid()}-{next(_serial)}"

    def group(self, name: str, *, hard_nbytes: int | None = None) -> Group:
        """Make a group.

        Parameters
        ----------
        name
            Its name below the root.
        hard_nbytes
            What its processes may use together, in bytes, with no swap;
            None only counts.
        """
        group = Group(self.root / name, self.version)
        group.path.mkdir()
        if hard_nbytes is not None:
            for file in group.limit_files():
                file.write_text(str(hard_nbytes))
            for file in group.no_swap_files():
                file.write_text("0")
        return group

    def groups(self, prefix: str) -> list[Group]:
        """Find the groups of a family, oldest first."""
        paths = sorted(self.root.glob(f"{prefix}-*"), key=lambda path: path.stat().st_ctime_ns)
        return [Group(path, self.version) for path in paths]

    def launcher(self, prefix: str, *, hard_nbytes: int) -> str:
        """Write a shell program that starts Python in a new group of its own.

        It stands in for the Python executable in :func:`multiprocessing.set_executable`:
        a worker process is then inside its group before its first import, and so
        is the next one when a nanny replaces it. Moving a running process would
        leave what it already uses uncounted.
        """
        made = Group(self.root / f"{prefix}-$$", self.version)
        # The paths hold only "$$", which the shell must see, and names from new_prefix.
        steps = [f'mkdir "{made.path}"']
        # v1 refuses a memory+swap limit that is below the memory limit, so the order matters.
        limit, *others = made.limit_names()
        steps += [f'echo {hard_nbytes} > "{made.path / limit}"']
        steps += [
            f'{{ [ ! -e "{made.path / n}" ] || echo {hard_nbytes} > "{made.path / n}"; }}' for n in others
        ]
        steps += [
            f'{{ [ ! -e "{made.path / n}" ] || echo 0 > "{made.path / n}"; }}' for n in made.no_swap_names()
        ]
        steps += [f'echo $$ > "{made.path}/cgroup.procs"']
        return (
            "#!/bin/sh\n"
            'case "$*" in\n'
            "*--multiprocessing-fork*)\n"
            f"  {' && '.join(steps)} || exit 97 ;;\n"
            "esac\n"
            f'exec {shlex.quote(sys.executable)} "$@"\n'
        )


@dataclass(frozen=True, slots=True)
class Group:
    """One memory group."""

    path: Path
    """Its directory."""
    version: Literal[1, 2]
    """The interface it speaks."""

    def limit_names(self) -> tuple[str, ...]:
        """Files that take the limit, in the order in which to write them."""
        if self.version == 1:
            return ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
        return ("memory.max",)

    def no_swap_names(self) -> tuple[str, ...]:
        """Files that forbid swap by a zero."""
        return () if self.version == 1 else ("memory.swap.max",)

    def limit_files(self) -> list[Path]:
        """Those of :meth:`limit_names` that this kernel has."""
        return [self.path / name for name in self.limit_names() if (self.path / name).exists()]

    def no_swap_files(self) -> list[Path]:
        """Those of :meth:`no_swap_names` that this kernel has."""
        return [self.path / name for name in self.no_swap_names() if (self.path / name).exists()]

    def command(self, argv: list[str]) -> list[str]:
        """Wrap a command so that it runs in this group from its start."""
        procs = shlex.quote(str(self.path / "cgroup.procs"))
        return ["/bin/sh", "-c", f'echo $$ > {procs} && exec "$0" "$@"', *argv]

    def pids(self) -> list[int]:
        """Processes that are in it now."""
        try:
            return [int(pid) for pid in (self.path / "cgroup.procs").read_text().split()]
        except OSError:
            return []

    def peak_nbytes(self) -> int:
        """Most bytes it ever held, page cache included; 0 where the kernel does not say."""
        name = "memory.max_usage_in_bytes" if self.version == 1 else "memory.peak"
        try:
            return int((self.path / name).read_text())
        except OSError:  # memory.peak is in Linux 5.19 and later
            return 0

    def oom_kills(self) -> int:
        """Processes that the kernel killed in it for want of memory."""
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        try:
            lines = (self.path / name).read_text().splitlines()
        except OSError:
            return 0
        return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))

    def remove(self) -> None:
        """End what still runs in it, and remove it.

        Raises
        ------
        TimeoutError
            When it cannot be removed.
        """
        deadline = time.monotonic() + _REMOVE_SECONDS
        while self.path.exists():
            for pid in self.pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            try:
                self.path.rmdir()
            except OSError as err:
                if time.monotonic() > deadline:
                    msg = f"The memory group {self.path} cannot be removed; processes in it: {self.pids()}."
                    raise TimeoutError(msg) from err
                # An exiting process leaves its group a moment after it is gone for its parent.
                time.sleep(0.02)


def find_hierarchy(mounts: str | None = None) -> Hierarchy | None:
    """Find a tree in which this process can make memory groups.

    Parameters
    ----------
    mounts
        Text in the form of ``/proc/mounts``; None reads that.

    Returns
    -------
    Hierarchy or None
        None where groups cannot be made: not Linux, or not the right to.
    """
    if mounts is None:
        try:
            mounts = Path("/proc/mounts").read_text()
        except OSError:
            return None
    for hierarchy in _candidates(mounts):
        if _usable(hierarchy):
            return hierarchy
    return None


def sweep(hierarchy: Hierarchy) -> None:
    """Remove the empty groups of runs that died."""
    for group in hierarchy.groups(_PREFIX):
        owner = group.path.name.split("-")[1]
        if owner.isdigit() and not Path("/proc", owner).exists() and not group.pids():
            group.remove()


def _candidates(mounts: str) -> Iterator[Hierarchy]:
    for line in mounts.splitlines():
        _, point, kind, options, *_ = line.split()
        root = Path(point)
        if kind == "cgroup" and "memory" in options.split(","):
            yield Hierarchy(root, 1)
        elif kind == "cgroup2":
            yield Hierarchy(root, 2)


def _usable(hierarchy: Hierarchy) -> bool:
    if hierarchy.version == 2:
        try:
            if "memory" not in (hierarchy.root / "cgroup.controllers").read_text().split():
                return False
            subtree = hierarchy.root / "cgroup.subtree_control"
            if "memory" not in subtree.read_text().split():
                subtree.write_text("+memory")
        except OSError:
            return False
    try:
        probe = hierarchy.group(f"{hierarchy.new_prefix()}-probe")
    except OSError:
        return False
    usable = bool(probe.limit_files())
    probe.remove()
    return usable
