"""Starts worker processes that have the settings of small workers.

Covers: environment and dask settings of each worker that a nanny starts, the
first time and again; what the user has set stays; the process that runs the
nanny gets its environment back.
Does not cover: which settings, and why (``settings``).
"""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dask.config
from distributed import Nanny, SchedulerPlugin

from safeframe._dask.cluster import memory_limit_nbytes, root_tasks_per_thread, set_root_tasks_per_thread
from safeframe.deploy.settings import (
    config_is_users,
    configured,
    environment_is_users,
    small_worker_settings,
)
from safeframe.sizing.directory import inspect_directory
from safeframe.sizing.machine import machine_limit_nbytes
from safeframe.sizing.page_return import PageReturn

_SATURATION = "distributed.scheduler.worker-saturation"


class SmallWorkerNanny(Nanny):  # type: ignore[misc]  # distributed is untyped
    """A nanny whose workers have the settings of small workers.

    Parameters
    ----------
    env, config
        As for :class:`distributed.Nanny`; what they name goes before anything of ours.
    local_directory
        As for :class:`distributed.Nanny`; None takes a directory that is not made of memory.
    """

    pre_spawn_env: dict[str, str]
    env: dict[str, str]
    config: dict[str, Any]

    def __init__(
        self,
        *args: Any,
        env: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        local_directory: str | None = None,
        **kwargs: Any,
    ) -> None:
        # One for each process that is started; what the user has given comes with it.
        kwargs["plugins"] = (*kwargs.get("plugins", ()), PageReturn())
        super().__init__(
            *args, env=env, config=config, local_directory=local_directory or worker_directory(), **kwargs
        )
        given: dict[str, Any] = {}
        dask.config.set(config or {}, config=given)
        limit_nbytes = memory_limit_nbytes(self) or machine_limit_nbytes()
        wanted = small_worker_settings(limit_nbytes)
        ours = _environment(
            {setting.name: setting.value for setting in wanted if setting.where == "environment"}
        )
        # What is read when a process starts is of use only if it is there before the process is.
        ours.update({name: str(value) for name, value in (env or {}).items() if name in ours})
        self.pre_spawn_env = {**self.pre_spawn_env, **ours}
        self.env = {**self.env, **ours}
        settings: dict[str, Any] = {}
        for setting in wanted:
            if setting.where in ("worker", "client") and not config_is_users(setting.name):
                dask.config.set({setting.name: setting.value}, config=settings)
        self.config = dask.config.merge(dask.config.config, settings, given)

    async def instantiate(self) -> Any:
        """See :meth:`distributed.Nanny.instantiate`."""
        with _environment_lent(self.pre_spawn_env):
            return await super().instantiate()


class Saturation(SchedulerPlugin):  # type: ignore[misc]  # distributed is untyped
    """Has a scheduler hand out no more root tasks than there are threads.

    Parameters
    ----------
    value
        Root tasks per thread.
    """

    name = "safeframe-saturation"

    def __init__(self, value: float) -> None:
        self.value = value
        # A second client of the same cluster registers it again.
        self.idempotent = True

    async def start(self, scheduler: Any) -> None:
        """See :meth:`distributed.SchedulerPlugin.start`."""
        # An infinite one turns queueing off, and tasks that are under way are counted otherwise then.
        if not math.isinf(current := root_tasks_per_thread(scheduler)):
            set_root_tasks_per_thread(scheduler, min(current, self.value))


def saturation() -> list[SchedulerPlugin]:
    """Return the plugin for a scheduler of this process; none when the user has set the value."""
    if config_is_users(_SATURATION):
        return []
    (setting,) = (
        setting for setting in small_worker_settings(machine_limit_nbytes()) if setting.name == _SATURATION
    )
    return [Saturation(float(setting.value))]


def worker_directory() -> str | None:
    """Choose where workers of this machine keep what is not in memory.

    Returns
    -------
    str or None
        None to leave it to dask: where the user has named a directory, and where
        the temporary directory is on a disk, or nothing better is there.
    """
    temporary = tempfile.gettempdir()
    if dask.config.get("temporary-directory", None) or not inspect_directory(temporary).in_memory:
        return None
    for candidate in ("/var/tmp", Path.cwd()):  # a directory of dask's own is made below it
        if os.access(candidate, os.W_OK | os.X_OK) and not inspect_directory(str(candidate)).in_memory:
            return str(candidate)
    return None


def _environment(wanted: Mapping[str, object]) -> dict[str, str]:
    """Return the variables that a worker is to start with, the user's own before ours."""
    named = {
        **(configured("distributed.nanny.environ") or {}),
        **(configured("distributed.nanny.pre-spawn-environ") or {}),
    }
    chosen = {}
    for name, value in wanted.items():
        own = _own(name)
        if environment_is_users(name, own):
            chosen[name] = str(own)
        elif named.get(name) is not None and config_is_users(f"distributed.nanny.pre-spawn-environ.{name}"):
            chosen[name] = str(named[name])
        else:
            chosen[name] = str(value)
    return chosen


_lent: dict[str, str | None] = {}
"""What the variables that are lent were before."""
_borrowers = 0
_lent_lock = threading.Lock()


def _own(name: str) -> str | None:
    """Return a variable of this process as it is when nothing is lent."""
    with _lent_lock:
        return _lent[name] if name in _lent else os.environ.get(name)


@contextlib.contextmanager
def _environment_lent(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables in this process while a worker starts, which inherits them.

    dask's nannies write them and leave them there. Workers start side by side,
    so that the last one to have started gives them back.
    """
    global _borrowers
    with _lent_lock:
        _borrowers += 1
        for name in variables.keys() - _lent.keys():
            _lent[name] = os.environ.get(name)
        os.environ.update(variables)
    try:
        yield
    finally:
        with _lent_lock:
            _borrowers -= 1
            if not _borrowers:
                for name, value in _lent.items():
                    if value is None:
                        os.environ.pop(name, None)
                    else:
                        os.environ[name] = value
                _lent.clear()
