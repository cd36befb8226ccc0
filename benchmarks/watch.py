"""Resident memory of running processes, sampled.

Covers: the largest resident (and anonymous) size of named processes, from a
thread that looks every 50 ms; the kernel's own high-water mark where there is
``/proc``, so that a peak between two looks is seen too.
Does not cover: page cache, which belongs to a group and not to a process
(:mod:`benchmarks.groups`).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Resident", "Watcher", "read_resident"]

_INTERVAL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Resident:
    """What a process holds in memory, in bytes."""

    peak_nbytes: int
    """Most it ever held; what it holds now where the kernel keeps no high-water mark."""
    anonymous_nbytes: int
    """Of what it holds now, that which is not a file's pages; 0 where the kernel does not say."""


class Watcher:
    """Look at processes from a thread until stopped.

    Parameters
    ----------
    processes
        Says which processes there are now, name to process id; called at every look.
    """

    def __init__(self, processes: Callable[[], Mapping[str, int | None]]) -> None:
        self.peak_nbytes: dict[str, int] = {}
        self.anonymous_peak_nbytes: dict[str, int] = {}
        self.pids: dict[str, set[int]] = {}
        self._processes = processes
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="resident-watcher", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Look a last time and end the thread."""
        self.look()
        self._stop.set()
        self._thread.join()

    @property
    def stopped(self) -> bool:
        """Whether it has ended."""
        return self._stop.is_set()

    def look(self) -> None:
        """Take one sample of every process."""
        with self._lock:
            for name, pid in self._processes().items():
                resident = read_resident(pid) if pid else None
                if pid is None or resident is None:
                    continue
                self.pids.setdefault(name, set()).add(pid)
                self.peak_nbytes[name] = max(self.peak_nbytes.get(name, 0), resident.peak_nbytes)
                self.anonymous_peak_nbytes[name] = max(
                    self.anonymous_peak_nbytes.get(name, 0), resident.anonymous_nbytes
                )

    def forget(self) -> bool:
        """Begin again with the processes that there are; False where the kernel keeps their high-water marks."""
        with self._lock:
            pids = {name: pid for name, pid in self._processes().items() if pid}
            try:
                for pid in pids.values():
                    Path("/proc", str(pid), "clear_refs").write_text("5")
            except OSError:
                return False
            self.peak_nbytes.clear()
            self.anonymous_peak_nbytes.clear()
            self.pids = {name: {pid} for name, pid in pids.items()}
        return True

    def _run(self) -> None:
        while not self._stop.wait(_INTERVAL_SECONDS):
            self.look()


def read_resident(pid: int) -> Resident | None:
    """Look at one process; None when it is gone.

    Examples
    --------
    >>> import os
    >>> read_resident(os.getpid()).peak_nbytes > 1_000_000
    True
    """
    try:
        status = Path("/proc", str(pid), "status").read_text()
    except OSError:
        try:
            return Resident(int(psutil.Process(pid).memory_info().rss), 0)
        except psutil.Error:
            return None
    kib = {
        name: int(value.split()[0])
        for name, _, value in (line.partition(":") for line in status.splitlines())
        if name in ("VmHWM", "RssAnon")
    }
    # A zombie has a status file without sizes.
    return Resident(kib["VmHWM"] * 1024, kib.get("RssAnon", 0) * 1024) if "VmHWM" in kib else None
