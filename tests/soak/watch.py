"""What a cluster and its client hold when nothing runs: handles, threads, tasks, staged bytes, memory.

Covers: one look, after collections are gone; whether a series of looks grows.
Does not cover: what runs in between (:mod:`tests.soak.work`).
"""

from __future__ import annotations

import gc
import os
import stat
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
from dask.utils import key_split
from distributed import Client

__all__ = ["FIRST", "Look", "growth_per_hundred", "look", "warm_looks"]

FIRST = 20
"""Runs after which everything is loaded that will be."""

_SETTLED_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What is held."""

    runs: int
    """Runs that came before."""
    client_handles: int
    """Open files, pipes and the like; not connections."""
    client_connections: int
    """Of which dask opens another one where two messages to a process are on their way, and keeps it."""
    client_threads: int
    worker_handles: int
    """The most of any worker."""
    worker_threads: int
    scheduler_tasks: int
    staged_nbytes: int
    staged_files: int
    client_nbytes: int
    """Resident."""
    worker_nbytes: int
    """Resident, the mean of all workers."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def look(client: Client, staging: Path, runs: int) -> Look:
    """Look at a cluster at which nothing runs any more, once it has forgotten what ran."""
    gc.collect()
    client.run(_without_metrics)
    client.run(_trimmed)
    _trimmed()
    deadline = time.monotonic() + _SETTLED_SECONDS
    while _tasks(client) and time.monotonic() < deadline:
        time.sleep(0.05)
    seen = list(client.run(_held).values())
    handles, connections, threads, nbytes = _held()
    # A session, which lasts as long as its process, has a lock.
    sizes = [size for path in staging.rglob("*") if path.name != "lock" and (size := _file_nbytes(path)) >= 0]
    return Look(
        runs=runs,
        client_handles=handles,
        client_connections=connections,
        client_threads=threads,
        worker_handles=max(one[0] for one in seen),
        worker_threads=max(one[2] for one in seen),
        scheduler_tasks=_tasks(client),
        staged_nbytes=sum(sizes),
        staged_files=len(sizes),
        client_nbytes=nbytes,
        worker_nbytes=int(np.mean([one[3] for one in seen])),
    )


def warm_looks(looks: list[Look]) -> list[Look]:
    """Return the looks that are compared."""
    return [one for one in looks if one.runs >= FIRST]


def growth_per_hundred(looks: list[Look], name: str) -> float:
    """Return by how much a figure grows in a hundred runs, by the median slope of all pairs (Theil and Sen)."""
    pairs = [
        (getattr(later, name) - getattr(one, name)) / (later.runs - one.runs)
        for place, one in enumerate(looks)
        for later in looks[place + 1 :]
    ]
    return 100.0 * float(np.median(pairs)) if pairs else 0.0


def _tasks(client: Client) -> int:
    return int(client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)))


def _without_metrics(dask_worker: Any) -> None:
    """Forget what dask itself keeps of each graph: how long its tasks took, for good, and names, a hundred thousand."""
    dask_worker.digests_total.clear()
    dask_worker.digests_max.clear()
    key_split.cache_clear()


def _trimmed() -> None:
    """Give free memory back, so that what is left is held."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    try:
        import ctypes

        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):
        pass


def _file_nbytes(path: Path) -> int:
    """Return the bytes of a file; -1 where there is none, or none any more."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return -1
    return found.st_size if stat.S_ISREG(found.st_mode) else -1


def _held() -> tuple[int, int, int, int]:
    process = psutil.Process(os.getpid())
    kinds = []
    for handle in Path("/proc/self/fd").iterdir():
        try:
            kinds.append(str(handle.readlink()))
        except FileNotFoundError:
            continue
    connections = sum(kind.startswith("socket:") for kind in kinds)
    return len(kinds) - connections, connections, threading.active_count(), process.memory_info().rss
