"""Where trials happen: clusters that several of them use, and the directories of one.

Clusters are kept until a fault breaks them; a worker that is lost is replaced by its nanny, and waited for.

Covers: clusters of this process and of a process of its own, which workers there are, disks of a trial.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
from distributed import Client, LocalCluster
from distributed.core import Status

from tests.faults.machine.phases import Moment, PhaseWatch, SelfKill
from tests.faults.machine.processes import forking, forks
from tests.faults.machine.stores import ObjectStore

__all__ = ["N_WORKERS", "Pool", "Scene", "new_cluster"]

N_WORKERS = 3
_JOIN_SECONDS = 15.0
_LOOK_SECONDS = 0.1
_DISK = "size=64m"


def new_cluster() -> LocalCluster:
    """Start a cluster of worker processes."""
    return LocalCluster(
        n_workers=N_WORKERS,
        threads_per_worker=1,
        memory_limit="1GiB",
        dashboard_address=None,
        silence_logs=60,
    )


class Pool:
    """The clusters, and the object store, that trials use one after the other."""

    def __init__(self) -> None:
        self._store: ObjectStore | None = None
        # Before any worker is started, which inherits where it may look for credentials.
        self._store = ObjectStore()
        forks()
        self._open = contextlib.ExitStack()
        self._open.enter_context(forking())
        self._cluster: LocalCluster | None = None
        self._client: Client | None = None
        self.watch = PhaseWatch()
        self.pids: dict[str, int] = {}
        """Processes of the workers that there were when the trial began."""

    @property
    def store(self) -> ObjectStore:
        """The object store."""
        assert self._store is not None
        return self._store

    def ready(self) -> tuple[LocalCluster, Client]:
        """Return a cluster that has all its workers and nothing to do, and its client."""
        if self._cluster is None:
            self._cluster = new_cluster()
            self._client = Client(self._cluster)
            self.watch = PhaseWatch()
            # As a plugin that comes by the client: so it is told of the scheduler.
            self._cluster.sync(self.watch.start, self._cluster.scheduler)
            self._cluster.scheduler.add_plugin(self.watch)
            self._client.register_plugin(SelfKill())
        assert self._client is not None
        deadline = time.monotonic() + _JOIN_SECONDS
        while time.monotonic() < deadline:
            # Nannies come and go without an event of their own: so it is looked at again in between.
            if self.watch.wait_for(self._is_complete, _LOOK_SECONDS):
                # One that has just been killed may still be listed, and does not answer.
                found = self._client.run(os.getpid, on_error="ignore")
                if len(found) == N_WORKERS:
                    self.pids = found
                    return self._cluster, self._client
        self.break_up()
        return self.ready()

    def _is_complete(self) -> bool:
        """Return whether all workers are there; if not, and nobody else will, see to it that they come."""
        cluster = self._cluster
        assert cluster is not None
        gone = [
            name
            for name, nanny in list(cluster.workers.items())
            if nanny.status in (Status.closed, Status.failed)
        ]
        for name in gone:
            # Also here, for another one takes its name.
            cluster.workers.pop(name, None)
            cluster.worker_spec.pop(name, None)
        if gone or len(cluster.worker_spec) != N_WORKERS:
            cluster.scale(N_WORKERS)
        return len(cluster.scheduler.workers) == len(cluster.workers) == N_WORKERS and not gone

    def forget_sessions(self) -> None:
        """Let the scheduler know no longer of the sessions of a trial that is over: each is asked about every run."""
        cluster = self._cluster
        if cluster is None:
            return

        async def forget() -> None:
            for name in [name for name in cluster.scheduler.plugins if name.startswith("safeframe-staging-")]:
                await cluster.scheduler.unregister_scheduler_plugin(name=name)

        cluster.sync(forget)

    def processes(self) -> set[int]:
        """Return the processes that are meant to be there."""
        own = {self.store.process.pid}
        if self._cluster is not None:
            own |= {nanny.pid for nanny in self._cluster.workers.values() if nanny.pid}
        return own

    def break_up(self) -> None:
        """End the cluster; the next trial has another."""
        client, cluster, self._client, self._cluster = self._client, self._cluster, None, None
        if client is not None:
            with contextlib.suppress(Exception):
                client.close(timeout=5)
        if cluster is not None:
            pids = [nanny.pid for nanny in cluster.workers.values() if nanny.pid]
            with contextlib.suppress(Exception):
                cluster.close(timeout=20)
            for pid in pids:
                with contextlib.suppress(psutil.Error):
                    psutil.Process(pid).kill()

    def close(self) -> None:
        """End everything."""
        self.break_up()
        self.store.close()
        self._open.close()


class Host:
    """A cluster whose scheduler and nannies have a process of their own."""

    def __init__(self) -> None:
        from tests.faults.machine.host import serve

        context = forks()
        self._connection, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other,))
        self.process.start()
        other.close()
        self.address = self._connection.recv()
        self.client = Client(self.address)
        self.workers = list(self.client.run(os.getpid).values())

    def arm(self, moment: Moment) -> None:
        """Have it killed at a moment."""
        self.client.run_on_scheduler(_die_at, moment)

    def has_died(self) -> bool:
        """Return whether its process has ended, which may take a moment."""
        self.process.join(1)
        return self.process.exitcode is not None

    def close(self) -> list[int]:
        """End it, and return which workers live on regardless."""
        with contextlib.suppress(Exception):
            self.client.close(timeout=5)
        self.process.kill()
        self.process.join()
        self._connection.close()
        workers = [psutil.Process(pid) for pid in self.workers if psutil.pid_exists(pid)]
        _, alive = psutil.wait_procs(workers, timeout=20)
        for process in alive:
            process.kill()
        return [process.pid for process in alive]


def _die_at(moment: Moment, dask_scheduler: Any) -> None:
    dask_scheduler.plugins[PhaseWatch.name].begin(moment, lambda worker: os.kill(os.getpid(), signal.SIGKILL))


class Scene:
    """What a trial's fault may act on."""

    def __init__(self, pool: Pool, directory: Path, cluster: LocalCluster | None) -> None:
        self.pool = pool
        self.directory = directory
        self.cluster: Any = cluster
        self.stopped: list[int] = []
        """Processes that stand still."""
        self.interrupted = False
        self.client_pid = 0
        self.takes_order = False
        """Whether the input has to stay in order."""
        self.done = True
        """Whether the fault, at its moment, found what it acts on."""
        self._mounted: list[Path] = []
        for name in ("staging", "output"):
            (directory / name).mkdir(parents=True)

    @property
    def store(self) -> ObjectStore:
        """The object store."""
        return self.pool.store

    def workers(self) -> list[str]:
        """Return the addresses of the workers."""
        return sorted(self.cluster.scheduler.workers)

    def pid_of(self, worker: str) -> int | None:
        """Return a worker's process; None for one that has come since the trial began."""
        return self.pool.pids.get(worker)

    def kill_worker(self, worker: str) -> None:
        """Kill a worker's process."""
        pid = self.pid_of(worker)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def go_on(self) -> None:
        """Let processes go on that stand still."""
        while self.stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.stopped.pop(), signal.SIGCONT)

    def mount(self, name: str) -> None:
        """Give one of the trial's directories a small disk of its own."""
        path = self.directory / name
        subprocess.run(["mount", "-t", "tmpfs", "-o", _DISK, "tmpfs", str(path)], check=True)
        self._mounted.append(path)

    def close(self) -> None:
        """Remove the directories."""
        self.go_on()
        for path in self._mounted:
            subprocess.run(["umount", "--lazy", str(path)], check=True)
        shutil.rmtree(self.directory, ignore_errors=True)
