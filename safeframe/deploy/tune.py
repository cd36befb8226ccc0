"""Change the settings of a running cluster, as far as possible, to those that small workers need.

Covers: the present workers and those that join later; what was changed, and what
could not be.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import Any

import dask.config
import psutil
import pyarrow as pa
from distributed import WorkerPlugin

from safeframe import options
from safeframe._dask.cluster import memory_fractions, memory_limit_nbytes, set_memory_fraction
from safeframe._dask.p2p import p2p_limiters, p2p_runs
from safeframe.deploy.deviations import Deviation, find_deviations, observe_scheduler
from safeframe.deploy.nanny import Saturation
from safeframe.deploy.settings import Setting, configured, is_users_own, small_worker_settings
from safeframe.deploy.worker_state import (
    gather_states,
    require_synchronous,
)
from safeframe.kernels.allocator import keep_pages
from safeframe.sizing.live_workers import register_on_workers
from safeframe.sizing.page_return import PageReturn


@dataclass(frozen=True, kw_only=True, slots=True)
class Tuning:
    """Result of :func:`safeframe.tune`; prints as text."""

    workers: int
    """Number of workers."""
    changed: tuple[Deviation, ...]
    """Settings that were changed, each with its value before."""
    unchanged: tuple[Deviation, ...]
    """Settings that are still not what small workers need, with what to do instead."""

    def __str__(self) -> str:
        lines = [
            f"settings changed: {len(self.changed)}, unchanged: {len(self.unchanged)}, workers: {self.workers}"
        ]
        for one in self.changed:
            now = one.setting.text(one.setting.value)
            lines += [f"  changed    {one.name}: {one.current}, now {now}", f"             {one.reason}"]
        for one in self.unchanged:
            lines += [
                f"  unchanged  {one.name}: {one.current}, wanted {one.wanted}",
                f"             {one.reason}",
                f"             {one.instead}",
            ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain values, for JSON."""
        return {
            "workers": self.workers,
            "changed": [one.to_dict() for one in self.changed],
            "unchanged": [one.to_dict() for one in self.unchanged],
        }


def tune(client: Any) -> Tuning:
    """Change a running cluster's settings, as far as possible, to those of :class:`safeframe.LocalCluster`.

    Parameters
    ----------
    client
        A synchronous :class:`distributed.Client` of the cluster.

    Returns
    -------
    Tuning
        What was changed, and what could not be: current and required value,
        the reason, and what to do instead.

    Raises
    ------
    UnsupportedError
        For an asynchronous client.

    Notes
    -----
    Workers that join later get the same settings. Values that a user has set
    are kept. A second call changes nothing more. Only the cluster is changed:
    settings that this process needs are listed in ``unchanged``.

    Examples
    --------
    >>> import safeframe, distributed
    >>> client = distributed.Client("tcp://scheduler:8786")  # doctest: +SKIP
    >>> print(safeframe.tune(client))  # doctest: +SKIP
    """
    require_synchronous(client)
    before = find_deviations(gather_states(client), client.run_on_scheduler(observe_scheduler))
    wanted = {
        one.name: one.setting.value for one in before if one.setting.where == "scheduler" and not one.users
    }
    for value in wanted.values():
        client.register_plugin(Saturation(float(value)))
    register_on_workers(client, SmallWorkerSettings())
    register_on_workers(client, PageReturn())
    states = gather_states(client)
    after = find_deviations(states, client.run_on_scheduler(observe_scheduler))
    return Tuning(workers=len(states), changed=_gone(before, after), unchanged=after)


def _gone(before: tuple[Deviation, ...], after: tuple[Deviation, ...]) -> tuple[Deviation, ...]:
    """Return the deviations that are gone on at least one worker."""
    left = {(one.name, worker) for one in after for worker in one.workers or ("",)}
    return tuple(
        one for one in before if any((one.name, worker) not in left for worker in one.workers or ("",))
    )


class SmallWorkerSettings(WorkerPlugin):  # type: ignore[misc]  # distributed is untyped
    """Change the settings that a running worker allows to change; also on workers that join later."""

    name = "safeframe-settings"

    def __init__(self) -> None:
        self._home = (socket.gethostname(), os.getpid())

    def setup(self, worker: Any) -> None:
        """See :meth:`distributed.WorkerPlugin.setup`."""
        limit_nbytes = memory_limit_nbytes(worker) or int(psutil.virtual_memory().total)
        wanted = {
            setting.name: setting
            for setting in small_worker_settings(limit_nbytes)
            if not is_users_own(setting)
        }
        _set_buffers(worker, wanted)
        for name, fraction in memory_fractions(worker).items():
            if name in wanted and not wanted[name].is_met_by(fraction):
                set_memory_fraction(worker, name, float(wanted[name].value))
        # A worker that is a thread of the user's process: that process is left alone.
        if self._home != (socket.gethostname(), os.getpid()):
            _set_process(wanted)


def _set_buffers(worker: Any, wanted: dict[str, Setting]) -> None:
    # A smaller limit in the middle of a shuffle would stop whoever waits for room in a larger one.
    if p2p_runs(worker):
        return
    for name, limiter in p2p_limiters(worker).items():
        if name in wanted and not wanted[name].is_met_by(limiter.limit):
            limiter.limit = wanted[name].value


def _set_process(wanted: dict[str, Setting]) -> None:
    for setting in wanted.values():
        if setting.where in ("worker", "client") and not setting.is_met_by(configured(setting.name)):
            dask.config.set({setting.name: setting.value})
    # An allocator that the user has set up is kept.
    if wanted.keys() >= {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "ARROW_DEFAULT_MEMORY_POOL"}:
        keep_pages()
    if "ARROW_IO_THREADS" in wanted:
        pa.set_io_thread_count(options.ARROW_IO_THREADS)
