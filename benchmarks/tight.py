"""A dask cluster whose workers the kernel holds to a size.

Covers: worker processes in a memory group each (cgroup version 1 or 2) from their
first instruction on, restarted ones too; how much each held, how many the kernel
killed, how many the nannies replaced, how many tasks ran again; nothing left behind.
Does not cover: a limit for the scheduler and client, which are in the calling
process and so in no worker's group. Without the right to make groups dask's own
``memory_limit`` stands in, and the report says ``dask only``.
"""

from __future__ import annotations

import contextlib
import multiprocessing.spawn
import os
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
from dask.utils import parse_bytes
from distributed import Client, LocalCluster
from distributed.diagnostics.plugin import SchedulerPlugin

from benchmarks.groups import find_hierarchy, sweep
from benchmarks.watch import Watcher, read_resident

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.groups import Enforcement, Hierarchy

__all__ = ["TightCluster", "TightReport", "tight_cluster"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TightReport:
    """What was seen of a tight cluster."""

    enforced_by: Enforcement
    """Who held the workers to their size."""
    n_workers: int
    """Workers."""
    hard_nbytes: int
    """What the kernel let a worker use, in bytes; meaningless under ``dask only``."""
    limit_nbytes: int
    """What dask was told a worker may use, in bytes."""
    resident_peak_nbytes: dict[str, int]
    """Per worker, the most resident memory that any of its processes held, in bytes."""
    anonymous_peak_nbytes: dict[str, int]
    """Per worker, the most of that which was not a file's pages, sampled, in bytes."""
    cgroup_peak_nbytes: int
    """Most that any worker's group held, page cache included, in bytes; 0 when unknown."""
    scheduler_peak_nbytes: int
    """Most resident memory of the process with scheduler and client, in bytes."""
    oom_kills: int
    """Workers that the kernel killed."""
    restarts: int
    """Worker processes started beyond the first of each worker."""
    workers_lost: int
    """Workers that the scheduler lost."""
    reruns: int
    """Tasks that had finished and were run again, for their result was lost."""
    pauses: int
    """Times a worker stopped taking tasks because its memory was full."""
    kept_nbytes: int = 0
    """What a worker held already, of earlier work, when it was last counted from, in bytes."""

    @property
    def largest_resident_nbytes(self) -> int:
        """The largest worker's peak."""
        return max(self.resident_peak_nbytes.values(), default=0)

    @property
    def charged_nbytes(self) -> int:
        """The peak to hold against a plan: a plan counts as idle what a worker held of earlier work."""
        return self.largest_resident_nbytes + self.kept_nbytes

    @property
    def undisturbed(self) -> bool:
        """Whether nothing was killed, restarted or run twice."""
        return not (self.oom_kills or self.restarts or self.workers_lost or self.reruns)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return asdict(self)


class TightCluster:
    """A running cluster with its figures; made by :func:`tight_cluster`."""

    def __init__(
        self,
        cluster: LocalCluster,
        client: Client,
        *,
        hierarchy: Hierarchy | None,
        prefix: str,
        n_workers: int,
        hard_nbytes: int,
        limit_nbytes: int,
    ) -> None:
        self.cluster = cluster
        self.client = client
        self._hierarchy = hierarchy
        self._prefix = prefix
        self._n_workers = n_workers
        self._hard_nbytes = hard_nbytes
        self._limit_nbytes = limit_nbytes
        self._events = _Events()
        cluster.scheduler.add_plugin(self._events, name="tight-cluster-events")
        self._watcher = Watcher(self._worker_pids)
        self._watcher.start()
        self._kept_nbytes = 0
        self._final: TightReport | None = None

    def report(self) -> TightReport:
        """Return what was seen until now, or until the cluster closed."""
        return self._final or self._snapshot()

    def count_again(self, kept_nbytes: int = 0) -> bool:
        """Forget what was seen, so that the report is of what runs from now on.

        Parameters
        ----------
        kept_nbytes
            What the workers hold of earlier work, in bytes; the report gives it back.

        Returns
        -------
        bool
            False where that is not possible: a worker was lost, killed or
            replaced, a task ran twice, or the kernel keeps its high-water marks.
            The peak of the workers' groups stays that of the whole run.
        """
        if not self._snapshot().undisturbed or not self._watcher.forget():
            return False
        self._events.pauses = 0
        self._kept_nbytes = kept_nbytes
        return True

    def processes_and_groups(self) -> set[str]:
        """Name the processes and memory groups that its workers have now."""
        groups = self._hierarchy.groups(self._prefix) if self._hierarchy else []
        return {f"process {pid}" for pid in self._worker_pids().values()} | {
            f"group {group.path}" for group in groups
        }

    def finish(self) -> None:
        """Take the last figures; workers may go after this."""
        self._watcher.stop()
        self._final = self._snapshot()

    def _worker_pids(self) -> dict[str, int | None]:
        # The nannies live in this process; one that is replacing its worker has no process id.
        return {str(name): getattr(nanny, "pid", None) for name, nanny in list(self.cluster.workers.items())}

    def _snapshot(self) -> TightReport:
        if not self._watcher.stopped:
            self._watcher.look()
        groups = self._hierarchy.groups(self._prefix) if self._hierarchy else []
        started = max(len(groups), sum(len(pids) for pids in self._watcher.pids.values()))
        scheduler = read_resident(os.getpid())
        return TightReport(
            enforced_by=self._hierarchy.enforcement if self._hierarchy else "dask only",
            n_workers=self._n_workers,
            hard_nbytes=self._hard_nbytes,
            limit_nbytes=self._limit_nbytes,
            resident_peak_nbytes=dict(sorted(self._watcher.peak_nbytes.items())),
            anonymous_peak_nbytes=dict(sorted(self._watcher.anonymous_peak_nbytes.items())),
            cgroup_peak_nbytes=max((group.peak_nbytes() for group in groups), default=0),
            scheduler_peak_nbytes=scheduler.peak_nbytes if scheduler else 0,
            oom_kills=sum(group.oom_kills() for group in groups),
            restarts=max(0, started - self._n_workers),
            workers_lost=self._events.workers_lost,
            reruns=self._events.reruns,
            pauses=self._events.pauses,
            kept_nbytes=self._kept_nbytes,
        )


@contextlib.contextmanager
def tight_cluster(
    *,
    n_workers: int = 4,
    threads: int = 1,
    hard: str | int = "1GiB",
    limit: str | int = "598MiB",
    cluster_class: type[LocalCluster] = LocalCluster,
    config: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    kernel: bool = True,
) -> Iterator[TightCluster]:
    """Run a cluster of worker processes, each held to a size.

    Parameters
    ----------
    n_workers
        Worker processes.
    threads
        Threads of each.
    hard
        What the kernel lets each use, with no swap.
    limit
        What dask is told each may use.
    cluster_class
        dask's cluster, or one that is derived from it.
    config
        dask settings that scheduler, client and workers have while the cluster runs.
    env
        Environment variables that workers are started with, next to dask's own.
    kernel
        Whether to use memory groups where the machine lets us.

    Yields
    ------
    TightCluster
        With ``client``, ``cluster`` and ``report()``.
    """
    hierarchy = find_hierarchy() if kernel else None
    hard_nbytes, limit_nbytes = parse_bytes(hard), parse_bytes(limit)
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="safeframe-tight-"))
        prefix = ""
        if hierarchy is not None:
            sweep(hierarchy)
            prefix = hierarchy.new_prefix()
            stack.callback(_remove_groups, hierarchy, prefix)
            launcher = Path(scratch, "python")
            launcher.write_text(hierarchy.launcher(prefix, hard_nbytes=hard_nbytes))
            launcher.chmod(0o700)
            stack.enter_context(_started_by(str(launcher)))
        stack.enter_context(_environment_kept())
        stack.enter_context(dask.config.set({"temporary-directory": scratch, **(config or {})}))
        if env:
            spawn_env = {**dask.config.get("distributed.nanny.pre-spawn-environ"), **env}
            stack.enter_context(dask.config.set({"distributed.nanny.pre-spawn-environ": spawn_env}))
        cluster = stack.enter_context(
            cluster_class(
                n_workers=n_workers,
                threads_per_worker=threads,
                processes=True,
                memory_limit=limit_nbytes,
                dashboard_address=None,
                local_directory=scratch,
                silence_logs=50,
            )
        )
        client = stack.enter_context(Client(cluster))
        tight = TightCluster(
            cluster,
            client,
            hierarchy=hierarchy,
            prefix=prefix,
            n_workers=n_workers,
            hard_nbytes=hard_nbytes,
            limit_nbytes=limit_nbytes,
        )
        # The last figures are taken while the groups still are, before cluster and client close.
        stack.callback(tight.finish)
        yield tight


class _Events(SchedulerPlugin):  # type: ignore[misc]
    """Counts, in the scheduler, what a run that went well has none of."""

    def __init__(self) -> None:
        self.workers_lost = 0
        self.pauses = 0
        self.reruns = 0
        self._finished: set[Any] = set()

    def remove_worker(self, scheduler: Any, worker: str, **_: Any) -> None:
        self.workers_lost += 1

    def transition(self, key: Any, start: str, finish: str, *_: Any, **__: Any) -> None:
        # Being given to a worker twice is no sign: P2P sends tasks back to be placed elsewhere.
        if finish == "memory":
            self._finished.add(key)
        elif finish == "processing" and key in self._finished:
            self._finished.discard(key)
            self.reruns += 1
        elif finish == "forgotten":
            # The same work requested again is not a repetition.
            self._finished.discard(key)

    def update_graph(self, scheduler: Any, *, tasks: Any, **_: Any) -> None:
        # A later graph may request again what the one before computed and let go, not yet forgotten.
        gone = {key for key in tasks if key in scheduler.tasks and scheduler.tasks[key].state != "memory"}
        self._finished -= gone

    def log_event(self, topic: str, msg: Any) -> None:
        if isinstance(msg, dict) and msg.get("action") == "worker-status-change":
            self.pauses += msg.get("status") == "paused"


@contextlib.contextmanager
def _started_by(executable: str) -> Iterator[None]:
    before = multiprocessing.spawn.get_executable()
    multiprocessing.spawn.set_executable(executable)
    try:
        yield
    finally:
        multiprocessing.spawn.set_executable(os.fsdecode(before) if before else sys.executable)


@contextlib.contextmanager
def _environment_kept() -> Iterator[None]:
    # Nannies write their workers' variables into the environment of this process and leave them.
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def _remove_groups(hierarchy: Hierarchy, prefix: str) -> None:
    for group in hierarchy.groups(prefix):
        group.remove()
