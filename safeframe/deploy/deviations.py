"""Where a running cluster's settings are not those that small workers need.

Covers: comparing workers, scheduler and this process with ``settings``, and
saying what to do about each difference.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import psutil

from safeframe._dask.cluster import root_tasks_per_thread
from safeframe.deploy.settings import Setting, configured, is_users_own, small_worker_settings
from safeframe.deploy.worker_state import WorkerState

SATURATION = "distributed.scheduler.worker-saturation"


@dataclass(frozen=True, kw_only=True, slots=True)
class SchedulerState:
    """The scheduler, observed."""

    saturation: float
    """Root tasks that it hands out per thread."""
    users: bool
    """Whether somebody has set that on purpose."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Deviation:
    """A setting that has another value than small workers need."""

    setting: Setting
    """The setting, with the value wanted."""
    current: str
    """The value that is there."""
    workers: tuple[str, ...]
    """Addresses of the workers that have it; empty for the scheduler and for this process."""
    users: bool = False
    """Whether somebody has set it on purpose."""
    shuffling: bool = False
    """Whether a P2P shuffle keeps it from being changed now."""

    @property
    def name(self) -> str:
        """The setting's name."""
        return self.setting.name

    @property
    def wanted(self) -> str:
        """The value wanted, with how it compares."""
        text = self.setting.text(self.setting.value)
        return text if self.setting.rule == "equal" else f"{self.setting.rule} {text}"

    @property
    def reason(self) -> str:
        """What the wanted value is for."""
        return self.setting.reason

    @property
    def tunable(self) -> bool:
        """Whether :func:`safeframe.tune` changes it."""
        return self.setting.live and not self.users and not self.shuffling

    @property
    def instead(self) -> str:
        """What to do where :func:`safeframe.tune` does not change it."""
        value = self.setting.written
        if self.users:
            return f"it was set by the user, and is kept: remove that setting, or set it to {value!r}"
        if self.shuffling:
            return "a P2P shuffle is running: call safeframe.tune again when it has finished"
        if self.setting.where == "environment":
            return (
                f"read when a process starts: start the workers with {self.name}={value} in their environment "
                "(dask's distributed.nanny.pre-spawn-environ), or use safeframe.LocalCluster"
            )
        if self.setting.where == "client":
            there = json.dumps({self.name: value})
            return f"read by the program that builds the graphs, where safeframe does not change it: dask.config.set({there})"
        who = "scheduler" if self.setting.where == "scheduler" else "workers"
        return f"start the {who} with the dask setting {self.name}: {value}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return {
            "name": self.name,
            "where": self.setting.where,
            "current": self.current,
            "wanted": self.wanted,
            "reason": self.reason,
            "workers": list(self.workers),
            "instead": self.instead,
        }


def find_deviations(
    states: Mapping[str, WorkerState | BaseException], scheduler: SchedulerState | None
) -> tuple[Deviation, ...]:
    """Compare a cluster, and this process, with what its workers need.

    Parameters
    ----------
    states
        Its workers; those that did not answer are left out.
    scheduler
        Its scheduler; None when it did not answer.
    """
    seen = [state for state in states.values() if isinstance(state, WorkerState)]
    limits = [state.limit_nbytes or state.machine_nbytes for state in seen]
    found = list(_of_workers(seen))
    if scheduler is not None and limits:
        (setting,) = (one for one in small_worker_settings(min(limits)) if one.name == SATURATION)
        if not setting.is_met_by(scheduler.saturation):
            found.append(
                Deviation(
                    setting=setting, current=f"{scheduler.saturation:g}", workers=(), users=scheduler.users
                )
            )
    return (*found, *client_deviations(min(limits, default=None)))


def client_deviations(limit_nbytes: int | None = None) -> Iterable[Deviation]:
    """Compare this process with what workers of a size need of the graphs that it builds."""
    for setting in small_worker_settings(limit_nbytes or int(psutil.virtual_memory().total)):
        current = configured(setting.name)
        if setting.where == "client" and not setting.is_met_by(current):
            # Setting it is the user's to do in any case, so that whose it is does not matter.
            yield Deviation(setting=setting, current=setting.text(current), workers=())


def _of_workers(states: Iterable[WorkerState]) -> Iterable[Deviation]:
    by_kind: dict[tuple[Setting, str, bool, bool], list[str]] = {}
    for state in states:
        for setting in small_worker_settings(state.limit_nbytes or state.machine_nbytes):
            current = state.values.get(setting.name)
            if setting.where not in ("environment", "worker") or setting.is_met_by(current):
                continue
            shuffling = state.shuffling and ".p2p." in setting.name
            kind = (setting, setting.text(current), setting.name in state.users, shuffling)
            by_kind.setdefault(kind, []).append(state.address)
    for (setting, current, users, shuffling), addresses in by_kind.items():
        yield Deviation(
            setting=setting, current=current, workers=tuple(addresses), users=users, shuffling=shuffling
        )


def observe_scheduler(dask_scheduler: Any) -> SchedulerState:
    """Observe the scheduler that this runs in."""
    (setting,) = (one for one in small_worker_settings(1) if one.name == SATURATION)
    return SchedulerState(saturation=root_tasks_per_thread(dask_scheduler), users=is_users_own(setting))
