"""Awaits a moment of a run as an event: the n-th task of a phase is given away, begins, opens or renames a file, ends.

The scheduler sees when tasks are given to a worker and when they have ended; only
the worker itself sees when one begins, and which files it opens and renames. What
it does then has to happen in that moment, so a worker can be told to kill itself.

Covers: the phase of a task, the plugins of scheduler and worker, the count of tasks and of those run again.
Does not cover: what happens at the moment (``faults``).
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dask.utils import key_split
from distributed import WorkerPlugin
from distributed.diagnostics.plugin import SchedulerPlugin

__all__ = [
    "AT_THE_SCHEDULER",
    "IN_A_WORKER",
    "PHASES",
    "STAGED_FILES",
    "Moment",
    "PhaseWatch",
    "SelfKill",
    "phase_of",
    "tell",
]

PHASES = ("statistics", "stage", "seal", "fetch", "write", "commit")
AT_THE_SCHEDULER = ("given", "ends")
"""Moments of tasks that the scheduler sees."""
IN_A_WORKER = ("begins", "opens", "renames")
"""Moments that only the worker itself sees."""

_STEPS = (
    ("commit", ("write-commit",)),
    ("write", ("-write", "write-files")),
    ("seal", ("-seal", "-barrier", "-keys", "-facts", "-side")),
    ("stage", ("-stage", "-send", "-partition", "-part")),
    ("fetch", ("-output", "-find", "-count", "-cell", "-edge", "-join", "-value", "-totals")),
)
_RECIPES = ("bag", "distinct", "groupby", "lag", "merge", "rebalance", "rechunk", "shuffle", "sort", "write")


def phase_of(key: Any, *, planning: bool) -> str:
    """Return the phase that a task is of; empty for dask's own tasks.

    Parameters
    ----------
    key
        The task's key.
    planning
        Whether the plan is not made yet, so that all tasks count and sample keys.
    """
    if planning:
        return "statistics"
    name = key_split(key)
    if name.partition("-")[0] not in _RECIPES:
        return ""
    return next((phase for phase, words in _STEPS if any(word in name for word in words)), "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """When something happens."""

    phase: str
    kind: str
    """``given`` or ``ends``, which the scheduler sees; ``begins``, ``opens`` or ``renames``, which a worker sees."""
    number: int
    """Which task of the phase, from 1 on; on a worker, of its own ones."""

    def __str__(self) -> str:
        return f"{self.phase} {self.kind} {self.number}"


class PhaseWatch(SchedulerPlugin):
    """Sees tasks come and go in the scheduler, calls back at a moment, and counts."""

    name = "fault-machine"

    def __init__(self) -> None:
        self.planning = True
        self.tasks = 0
        """Tasks that ended."""
        self.again = 0
        """Of those, tasks that had ended before, and were needed once more."""
        self.struck = ""
        """Address of the worker of the task at whose moment the call came; empty before."""
        self.lost_results = 0
        """Results that only a worker had that went."""
        self._finished: set[Any] = set()
        self._moment: Moment | None = None
        self._strike: Callable[[str], None] | None = None
        self._met = 0
        self._changed = threading.Condition()
        self._released: Counter[Any] = Counter()
        """Results that were let go, by what caused it."""

    def begin(self, moment: Moment | None, strike: Callable[[str], None] | None) -> None:
        """Count from zero, and call ``strike`` with a worker's address at a moment."""
        self.planning = True
        self.tasks = self.again = self._met = self.lost_results = 0
        self.struck = ""
        self._finished.clear()
        self._released.clear()
        self._moment, self._strike = moment, strike

    def disarm(self) -> None:
        """Call back no more."""
        self._moment = self._strike = None

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """See :meth:`distributed.SchedulerPlugin.transition`."""
        if finish == "memory":
            self.tasks += 1
            self.again += key in self._finished
            self._finished.add(key)
        if start == "memory" and finish == "released":
            self._released[kwargs.get("stimulus_id")] += 1
        if finish == "forgotten":
            self._finished.discard(key)
            # A moment later: it is among the scheduler's tasks until this returns.
            self.scheduler.loop.add_callback(self._tell)
        moment, strike = self._moment, self._strike
        if (
            moment is None
            or strike is None
            or {"processing": "given", "memory": "ends"}.get(finish) != moment.kind
        ):
            return
        if phase_of(key, planning=self.planning) != moment.phase:
            return
        self._met += 1
        if self._met == moment.number:
            worker = self._worker_of(key, finish)
            self.struck = worker or "nowhere"
            self.disarm()
            strike(worker)

    def update_graph(self, scheduler: Any, *, tasks: Any, **kwargs: Any) -> None:
        """See :meth:`distributed.SchedulerPlugin.update_graph`."""
        # A later graph may request again what the one before computed and let go, not yet forgotten.
        self._finished -= {
            key for key in tasks if key in scheduler.tasks and scheduler.tasks[key].state != "memory"
        }

    async def start(self, scheduler: Any) -> None:
        """See :meth:`distributed.SchedulerPlugin.start`."""
        self.scheduler = scheduler

    def remove_worker(self, scheduler: Any, worker: str, *, stimulus_id: str, **kwargs: Any) -> None:
        """See :meth:`distributed.SchedulerPlugin.remove_worker`."""
        self.lost_results += self._released.pop(stimulus_id, 0)
        self._tell()

    def add_worker(self, scheduler: Any, worker: str) -> None:
        """See :meth:`distributed.SchedulerPlugin.add_worker`."""
        scheduler.loop.add_callback(self._tell)

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait for what tasks that are forgotten, and workers that come and go, may bring about."""
        with self._changed:
            return self._changed.wait_for(condition, seconds)

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _worker_of(self, key: Any, finish: str) -> str:
        task = self.scheduler.tasks.get(key)
        if task is None:
            return ""
        if finish == "processing":
            return str(task.processing_on.address) if task.processing_on else ""
        return next((str(worker.address) for worker in task.who_has or ()), "")


class SelfKill(WorkerPlugin):
    """Lets a worker kill its own process at a moment; until it is told which, it does nothing."""

    name = "fault-machine"
    idempotent = True

    def __init__(self) -> None:
        self.moment: Moment | None = None
        self.planning = True
        self.directory = ""
        self.met = 0

    def setup(self, worker: Any) -> None:
        """See :meth:`distributed.WorkerPlugin.setup`."""
        self.worker = worker
        _watched.append(self)
        if len(_watched) == 1:
            sys.addaudithook(_audit)

    def transition(self, key: Any, start: str, finish: str, **kwargs: Any) -> None:
        """See :meth:`distributed.WorkerPlugin.transition`."""
        if finish == "executing" and self.moment is not None and self.moment.kind == "begins":
            self.meet(phase_of(key, planning=self.planning))

    def meet(self, phase: str) -> None:
        """Count what was met, and go at the moment."""
        if self.moment is None or phase != self.moment.phase:
            return
        self.met += 1
        if self.met == self.moment.number:
            self.moment = None
            with contextlib.suppress(FileExistsError):
                # One of the workers only.
                os.close(os.open(f"{self.directory}/killed", os.O_CREAT | os.O_EXCL))
                os.kill(os.getpid(), signal.SIGKILL)


_watched: list[SelfKill] = []


def tell(dask_worker: Any, moment: Moment | None, directory: str, planning: bool) -> None:
    """Tell a worker its moment; to be called on it by ``Client.run``."""
    plugin = dask_worker.plugins["fault-machine"]
    if moment != plugin.moment:
        plugin.met = 0
    plugin.moment, plugin.directory, plugin.planning = moment, directory, planning


STAGED_FILES = "staged-files"
"""Next to a trial's staging directory: a byte for each file that was finished there."""


def _count_staged(path: Any) -> None:
    path = os.fspath(path) if isinstance(path, str | os.PathLike) else ""
    trial, _, rest = path.partition("/staging/")
    if rest and path.endswith(".staged"):
        with contextlib.suppress(OSError):
            file = os.open(f"{trial}/{STAGED_FILES}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(file, b".")
            os.close(file)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    """See files being opened and renamed by Python, in the worker's process."""
    if event not in ("open", "os.rename"):
        return
    if event == "os.rename":
        _count_staged(arguments[1])
    plugin = _watched[-1]
    moment = plugin.moment
    if moment is None or moment.kind != ("opens" if event == "open" else "renames"):
        return
    path = arguments[0] if event == "open" else arguments[1]
    if not isinstance(path, str | bytes | os.PathLike):
        return
    path = os.fsdecode(path)
    if path.startswith(plugin.directory):
        staged = path.endswith(".staged")
        if staged == (moment.phase in ("stage", "seal", "fetch")):
            plugin.meet(moment.phase)
