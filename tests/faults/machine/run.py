"""Runs a trial, and says what came of it.

A trial ends well where its result is that of pandas, or where it was allowed to end in the error that it
ended in; and where, in either case, nothing is left and the next run in the same place is that of pandas.

Covers: one trial from its directories to its outcome.
Does not cover: which trials (``plan``), many of them (``table``).
"""

from __future__ import annotations

import gc
import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safeframe.engine.storage.remote import _stores
from safeframe.sizing.remembered import STORE
from safeframe.sizing.staging_url import staging_base
from tests.faults.machine import leftovers
from tests.faults.machine.computing import computed, computed_elsewhere, read_local, set_running
from tests.faults.machine.faults import Fault
from tests.faults.machine.phases import AT_THE_SCHEDULER, STAGED_FILES, tell
from tests.faults.machine.plan import Trial
from tests.faults.machine.recipes import RECIPES, Recipe, Tables, read_tables, same_rows, write_tables
from tests.faults.machine.scene import Host, Pool, Scene

__all__ = ["HangError", "Outcome", "run_trial"]

HANG_SECONDS = 60
_GONE_SECONDS = 10.0


class HangError(BaseException):
    """A trial took longer than any should."""


@dataclass(kw_only=True, slots=True)
class Outcome:
    """What came of a trial."""

    seed: int
    what: str
    """The trial in words."""
    fault: str
    met: bool = False
    """Whether the fault struck."""
    ended: str = ""
    """``equal``, or the name of the error."""
    failures: list[str] = field(default_factory=list)
    """What should not have been; empty where all is well."""
    tasks: int = 0
    """Tasks that ended while it ran."""
    lost: int = 0
    """Results that went with a worker."""
    again: int = 0
    """Tasks that were run again."""
    files: int = 0
    """Files that were staged on disk while it ran."""
    files_again: int = 0
    """How many more those are than the next run stages, which meets no fault; where the result was that of pandas."""
    seconds: float = 0.0
    detail: str = ""
    """The traceback of its error."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def run_trial(trial: Trial, pool: Pool, root: Path) -> Outcome:
    """Run a trial below a directory."""
    outcome = Outcome(seed=trial.seed, what=str(trial), fault=trial.fault.name)
    begun = time.monotonic()
    others = leftovers.pids() - pool.processes()  # of tests before, in the same process
    cluster, client = pool.ready()
    host = Host() if trial.fault.host else None
    scene = Scene(pool, root / str(trial.seed), cluster)
    try:
        _Run(trial, scene, client, host, outcome, others).run()
    except HangError:
        outcome.failures.append("hangs")
        outcome.detail = traceback.format_exc()
    finally:
        if host is not None and (lives := host.close()):
            outcome.failures.append(f"workers outlive their scheduler: {lives}")
        if outcome.failures or trial.fault.wears:
            pool.break_up()
            _stores.cache_clear()
        pool.forget_sessions()
        scene.close()
        leftovers.close_sessions(str(scene.directory))
    outcome.seconds = round(time.monotonic() - begun, 2)
    return outcome


class _Run:
    """One trial under way."""

    def __init__(
        self, trial: Trial, scene: Scene, client: Any, host: Host | None, outcome: Outcome, others: set[int]
    ) -> None:
        self.others = others
        self.trial, self.scene, self.client, self.host, self.outcome = trial, scene, client, host, outcome
        self.watch = scene.pool.watch
        self.recipe: Recipe = RECIPES[trial.recipe]
        scene.takes_order = self.recipe.takes_order
        self.fault: Fault = trial.fault(scene, trial.rng())
        self.staging = (
            scene.store.staging(str(trial.seed)) if self.fault.store else str(scene.directory / "staging")
        )

    def run(self) -> None:
        """Run it, look at what it left, and run once more."""
        STORE.clear()
        directory = self.scene.directory
        before = write_tables(self.trial.shape, self.trial.seed, directory)
        if self.fault.source:
            self.scene.store.upload(directory, f"{self.trial.seed}-input")
        self.fault.prepare()
        found, error = self._met_by_the_fault()
        self._look_at(found, error, before)
        del found, error
        gc.collect()
        self._after(None if self.host is not None else self.client)

    def _met_by_the_fault(self) -> tuple[Any, BaseException | None]:
        moment, watch = self.trial.moment, self.watch
        seen_there = moment is not None and moment.kind in AT_THE_SCHEDULER
        if self.host is not None and moment is not None:
            self.host.arm(moment)
        else:
            watch.begin(moment if seen_there else None, self._strike if seen_there else None)
        if moment is not None and not seen_there:
            self._tell_workers(planning=True)
        found: Any = None
        error: BaseException | None = None
        try:
            with _limited(HANG_SECONDS):
                try:
                    found = self._computed()
                except HangError:
                    raise
                except KeyboardInterrupt as caught:
                    if not self.scene.interrupted:
                        raise  # of who runs the trials
                    error = caught
                except Exception as caught:  # noqa: BLE001  # any is looked at
                    error = caught
                    self.outcome.detail = traceback.format_exc()
        finally:
            watch.disarm()
            self.scene.go_on()
            self.outcome.met = self._has_struck()
            if self.host is None:
                self.outcome.tasks, self.outcome.again = watch.tasks, watch.again
        return found, error

    def _computed(self) -> Any:
        name, directory = self.trial.recipe, self.scene.directory
        if self.fault.client == "process":
            return computed_elsewhere(
                self.scene.cluster.scheduler_address, name, directory, self.staging, self._client_started
            )
        client = self.host.client if self.host is not None else self.client
        with client.as_current():
            return computed(name, directory, self.staging, self._planned, self._read)

    def _read(self, directory: Path) -> tuple[Any, Any]:
        return (
            self.scene.store.read(f"{self.trial.seed}-input") if self.fault.source else read_local(directory)
        )

    def _client_started(self, pid: int) -> None:
        self.scene.client_pid = pid

    def _planned(self) -> None:
        client = self.host.client if self.host is not None else self.client
        client.run_on_scheduler(set_running)
        moment = self.trial.moment
        if moment is None:
            self.fault.between()
            self.scene.pool.watch.struck = "here"
        elif moment.kind not in AT_THE_SCHEDULER:
            self._tell_workers(planning=False)

    def _strike(self, worker: str) -> None:
        self.fault.strike(worker)

    def _tell_workers(self, *, planning: bool) -> None:
        self.client.run(
            tell, moment=self.trial.moment, directory=str(self.scene.directory), planning=planning
        )

    def _has_struck(self) -> bool:
        if self.host is not None:
            return self.host.has_died()
        killed = (self.scene.directory / "killed").exists()
        return killed or (bool(self.watch.struck) and self.scene.done)

    def _look_at(self, found: Any, error: BaseException | None, before: Tables) -> None:
        outcome = self.outcome
        if error is None:
            outcome.ended = "equal"
            wanted = [self.recipe.expected(before)]
            if not any(same_rows(self.recipe, found, one) for one in wanted):
                # Files that changed may be read as they are by then.
                now = read_tables(self.scene.directory)
                if not same_rows(self.recipe, found, self.recipe.expected(now)):
                    outcome.ended = "other rows"
                    outcome.failures.append("rows are not those of pandas")
            return
        names = [one.__name__ for one in type(error).__mro__]
        outcome.ended = names[0]
        if self.fault.must_succeed or not set(names) & set(self.fault.allowed_errors):
            text = str(error).splitlines()
            outcome.failures.append(f"{names[0]}: {text[0] if text else ''}"[:300])

    def _after(self, client: Any) -> None:
        """Look at what is left, and run once more without a fault."""
        outcome, staging, output = (
            self.outcome,
            self.scene.directory / "staging",
            self.scene.directory / "output",
        )
        self.fault.repair()
        if client is not None:
            tasks = self.scene.cluster.scheduler.tasks
            if not self.watch.wait_for(lambda: not tasks, _GONE_SECONDS):
                outcome.failures.append(f"tasks are left: {sorted(map(str, tasks))[:5]}")
            outcome.lost = self.watch.lost_results
            outcome.files = self._staged_files()
            self._next_run(output)
            if outcome.ended == "equal":
                outcome.files_again = max(0, 2 * outcome.files - self._staged_files())
            if not self.watch.wait_for(lambda: not tasks, _GONE_SECONDS):
                outcome.failures.append("tasks of the next run are left")
            # What a task wrote that nobody waited for any more is swept by then.
            self._none("staged rows are left", lambda: leftovers.staged_rows(staging))
        leftovers.close_sessions(str(self.scene.directory))
        leftovers.swept(str(staging))
        self._none("left after the next run", lambda: leftovers.sessions_left(staging))
        if self.fault.store:
            leftovers.close_sessions(staging_base(self.staging))
            leftovers.close_sessions(self.staging)
            prefix = f"{self.trial.seed}/"
            self._none("left in the store", lambda: [k for k in self.scene.store.keys(prefix) if k != prefix])
        if self.host is None:
            self._none(
                "processes are left", lambda: leftovers.processes(self.scene.pool.processes() | self.others)
            )

    def _staged_files(self) -> int:
        counted = self.scene.directory / STAGED_FILES
        return counted.stat().st_size if counted.exists() else 0

    def _next_run(self, output: Path) -> None:
        """Run once more, as the next user of the same directories does."""
        with _limited(HANG_SECONDS):
            try:
                now = read_tables(self.scene.directory)
                with self.client.as_current():
                    found = computed(self.trial.recipe, self.scene.directory, self.staging, lambda: None)
                if not same_rows(self.recipe, found, self.recipe.expected(now)):
                    self.outcome.failures.append("the next run's rows are not those of pandas")
                del found
            except Exception as error:  # noqa: BLE001  # any is a failure
                self.outcome.failures.append(
                    f"the next run ends in {type(error).__name__}: {str(error)[:200]}"
                )
                self.outcome.detail += traceback.format_exc()
        gc.collect()
        if self.recipe.written:
            self._none("left beside the output", lambda: leftovers.beside_output(output))

    def _none(self, what: str, look: Any) -> None:
        left = leftovers.wait_until_gone(look, _GONE_SECONDS)
        if left:
            self.outcome.failures.append(f"{what}: {left[:5]}")


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise HangError in this, the main thread, when the block takes longer; a timer that runs already goes on after."""

    def hang(*_: Any) -> None:
        raise HangError

    handler = signal.signal(signal.SIGALRM, hang)
    rest, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    begun = time.monotonic()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if rest:
            signal.setitimer(signal.ITIMER_REAL, max(1.0, rest - (time.monotonic() - begun)), interval)
