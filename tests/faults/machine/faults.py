"""What can go wrong with processes: of workers, of the client, of the scheduler.

Each fault is a class of its own: the moments at which it can strike, what it does there, what it puts right
afterwards, and what is promised of a run that met it.

Covers: the base of all faults; workers that are killed, stopped, added, retired, lost to a neighbour; clients; schedulers.
Does not cover: files and disks (``files``), object stores (``stores``).
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from distributed import Client

from tests.faults.machine.phases import AT_THE_SCHEDULER, IN_A_WORKER, PHASES
from tests.faults.machine.recipes import Recipe

if TYPE_CHECKING:
    from tests.faults.machine.scene import Scene

__all__ = ["PROCESS_FAULTS", "Fault"]

_STOPPED_SECONDS = 2.0


class Fault:
    """One way in which a run can go wrong.

    Parameters
    ----------
    scene
        Where it happens.
    rng
        Decides what is left open.
    """

    name: ClassVar[str]
    must_succeed: ClassVar[bool] = False
    """Whether the result has to be that of pandas; otherwise a typed error will do as well."""
    allowed_errors: ClassVar[tuple[str, ...]] = ("SafeframeError",)
    """Names of errors, or of their bases, that a run may end in."""
    moments: ClassVar[tuple[str, ...]] = AT_THE_SCHEDULER
    """Kinds of moments at which it can strike; empty for one that strikes between planning and running."""
    phases: ClassVar[tuple[str, ...]] = PHASES
    client: ClassVar[str] = "here"
    """Where the client runs: in this process (``here``), or in one of its own (``process``)."""
    store: ClassVar[bool] = False
    """Whether rows are staged in an object store."""
    source: ClassVar[bool] = False
    """Whether the datasets are read from an object store."""
    mounts: ClassVar[bool] = False
    """Whether it needs a disk of its own, which only root can make."""
    wears: ClassVar[bool] = False
    """Whether processes are not as new after it: Arrow's S3 has a number of retries, which answers without an error fill again."""
    host: ClassVar[bool] = False
    """Whether the scheduler has a process of its own."""

    def __init__(self, scene: Scene, rng: np.random.Generator) -> None:
        self.scene = scene
        self.rng = rng

    @staticmethod
    def applies(recipe: Recipe) -> bool:
        """Return whether a recipe can meet it."""
        return True

    def prepare(self) -> None:
        """Set up, before anything is planned."""

    def between(self) -> None:
        """Strike between planning and running."""

    def strike(self, worker: str) -> None:
        """Strike at the moment, in the scheduler's thread; ``worker`` is the address of the task's worker."""

    def repair(self) -> None:
        """Put right what lasts, before the next run."""


class WorkerKilled(Fault):
    """SIGKILL of a worker."""

    name = "a worker is killed"
    must_succeed = True
    moments = (*AT_THE_SCHEDULER, *IN_A_WORKER)

    def strike(self, worker: str) -> None:
        self.scene.kill_worker(worker)


class TwoWorkersKilled(Fault):
    """SIGKILL of two of three workers at once."""

    name = "two workers are killed"
    must_succeed = True

    def strike(self, worker: str) -> None:
        others = [address for address in self.scene.workers() if address != worker]
        self.scene.kill_worker(worker)
        self.scene.kill_worker(others[int(self.rng.integers(len(others)))])


class WorkerStopped(Fault):
    """SIGSTOP of a worker, and SIGCONT seconds later."""

    name = "a worker stops for seconds"
    must_succeed = True

    def strike(self, worker: str) -> None:
        pid = self.scene.pid_of(worker)
        if pid is not None:
            os.kill(pid, signal.SIGSTOP)
            self.scene.stopped.append(pid)
            self.scene.cluster.scheduler.loop.call_later(_STOPPED_SECONDS, self.scene.go_on)


class WorkerGivenUp(Fault):
    """A worker that stops, is given up by the scheduler, and then goes on with what it was at."""

    name = "a worker stops, is given up, goes on"
    must_succeed = True

    def strike(self, worker: str) -> None:
        pid = self.scene.pid_of(worker)
        if pid is None:
            return
        scheduler = self.scene.cluster.scheduler
        os.kill(pid, signal.SIGSTOP)
        self.scene.stopped.append(pid)

        async def give_up() -> None:
            await scheduler.remove_worker(worker, stimulus_id="fault-machine-gives-up")
            # Work of its own while the others do the same again.
            scheduler.loop.call_later(float(self.rng.uniform(0, 0.5)), self.scene.go_on)

        scheduler.loop.add_callback(give_up)


class WorkerAdded(Fault):
    """A worker joins."""

    name = "a worker is added"
    must_succeed = True

    def strike(self, worker: str) -> None:
        cluster = self.scene.cluster
        cluster.loop.add_callback(cluster.scale, len(cluster.worker_spec) + 1)


class WorkerRetired(Fault):
    """A worker is retired, and hands over what it has."""

    name = "a worker is retired"
    must_succeed = True

    def strike(self, worker: str) -> None:
        scheduler = self.scene.cluster.scheduler

        async def retire() -> None:
            await scheduler.retire_workers([worker], close_workers=True)

        scheduler.loop.add_callback(retire)


class Neighbour(Fault):
    """Somebody else's task ends the process of the worker that both use; its nanny starts another."""

    name = "a neighbour's task kills a worker"
    must_succeed = True

    def prepare(self) -> None:
        self.neighbour = Client(self.scene.cluster.scheduler_address, set_as_default=False)
        self.tasks: list[Any] = []

    def strike(self, worker: str) -> None:
        self.tasks.append(
            self.neighbour.submit(os._exit, 1, workers=[worker], pure=False, priority=100, key="neighbour")
        )

    def repair(self) -> None:
        for task in self.tasks:
            task.release()
        self.neighbour.close()


class ClientInterrupted(Fault):
    """Ctrl-C."""

    name = "the client is interrupted"
    allowed_errors = ("SafeframeError", "KeyboardInterrupt")

    def strike(self, worker: str) -> None:
        self.scene.interrupted = True
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


class ClientKilled(Fault):
    """SIGKILL of the process that computes."""

    name = "the client is killed"
    allowed_errors = ("KilledError",)
    client = "process"

    def strike(self, worker: str) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.scene.client_pid, signal.SIGKILL)


class SchedulerKilled(Fault):
    """SIGKILL of the scheduler's process, which has the nannies too."""

    name = "the scheduler is killed"
    allowed_errors = ("SafeframeError", "CommClosedError", "CancelledError", "TimeoutError", "OSError")
    host = True


PROCESS_FAULTS: tuple[type[Fault], ...] = (
    WorkerKilled, TwoWorkersKilled, WorkerStopped, WorkerGivenUp, WorkerAdded, WorkerRetired, Neighbour,
    ClientInterrupted, ClientKilled, SchedulerKilled,
)  # fmt: skip
