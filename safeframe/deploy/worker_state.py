"""What a worker is, and what is in force on it, as seen from inside.

Covers: one frozen record per worker, and gathering those of a cluster.
"""

from __future__ import annotations

import os
import platform
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dask
import distributed
import pandas as pd
import psutil
import pyarrow as pa
from distributed import Client

from safeframe import options
from safeframe._dask.cluster import memory_fractions, memory_limit_nbytes
from safeframe._dask.p2p import p2p_limiters, p2p_runs
from safeframe.deploy.settings import configured, is_users_own, small_worker_settings
from safeframe.distribution import foreign_distribution
from safeframe.errors import UnsupportedError, ValidationError
from safeframe.kernels.allocator import keep_pages
from safeframe.sizing.directory import Directory, inspect_directory
from safeframe.sizing.machine import MemoryGroup, memory_group, resident_nbytes, swapped_nbytes


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerState:
    """One worker, observed."""

    address: str
    """Where it listens."""
    host: str
    """The machine that it is on."""
    threads: int
    """Tasks that it runs at the same time."""
    status: str
    """dask's word for it, as in ``running`` or ``paused``."""
    limit_nbytes: int | None
    """Its memory limit; None when it has none."""
    resident_nbytes: int
    """What it holds now."""
    machine_nbytes: int
    """The memory of its machine."""
    group: MemoryGroup | None
    """The tightest memory group that holds it."""
    swapped_nbytes: int
    """What of it the machine has moved to swap."""
    directory: Directory
    """Its local directory, where it spills and P2P writes."""
    values: Mapping[str, Any]
    """The settings in force, by name; of a variable, what the process was started with or uses."""
    users: frozenset[str]
    """Names of the settings that somebody has set to another value, on purpose."""
    shuffling: bool
    """Whether a P2P shuffle runs."""
    versions: Mapping[str, str]
    """What it has loaded, by package."""
    foreign: str | None = None
    """Another project's distribution of the name ``safeframe`` that is installed there; None where there is none."""


def gather_states(client: Any) -> dict[str, WorkerState | BaseException]:
    """Observe every worker of a cluster.

    Returns
    -------
    dict
        By address; the error of a worker that did not answer.
    """
    require_synchronous(client)
    states: dict[str, WorkerState | BaseException] = client.run(observe_worker, on_error="return")
    return dict(sorted(states.items()))


def require_synchronous(client: Any) -> None:
    """Refuse what is no client, and a client whose answers have to be awaited.

    Raises
    ------
    ValidationError
        When it is no client.
    UnsupportedError
        When the client is asynchronous.
    """
    if not isinstance(client, Client):
        msg = f"client={client!r} is not a distributed.Client."
        raise ValidationError(msg, hint="Connect one to the cluster: distributed.Client(address).")
    if client.asynchronous:
        msg = "An asynchronous client cannot be queried from here, because its answers have to be awaited."
        raise UnsupportedError(
            msg, hint="Connect a second client to the same scheduler, without asynchronous=True."
        )


def observe_worker(dask_worker: Any) -> WorkerState:
    """Observe the worker that this runs on."""
    limit_nbytes = memory_limit_nbytes(dask_worker)
    machine_nbytes = int(psutil.virtual_memory().total)
    settings = small_worker_settings(limit_nbytes or machine_nbytes)
    values = {
        setting.name: _variable(setting.name) if setting.where == "environment" else configured(setting.name)
        for setting in settings
    }
    if keep_pages.cache_info().currsize and keep_pages():
        values["MALLOC_MMAP_THRESHOLD_"] = options.MMAP_THRESHOLD_NBYTES
        values["MALLOC_TRIM_THRESHOLD_"] = options.TRIM_THRESHOLD_NBYTES
    live = memory_fractions(dask_worker)
    live.update({name: limiter.limit for name, limiter in p2p_limiters(dask_worker).items()})
    return WorkerState(
        address=dask_worker.address,
        host=socket.gethostname(),
        threads=int(dask_worker.state.nthreads),
        status=str(dask_worker.status.name),
        limit_nbytes=limit_nbytes,
        resident_nbytes=resident_nbytes(),
        machine_nbytes=machine_nbytes,
        group=memory_group(),
        swapped_nbytes=swapped_nbytes(),
        directory=inspect_directory(dask_worker.local_directory),
        values={**values, **live},
        users=frozenset(setting.name for setting in settings if is_users_own(setting)),
        shuffling=p2p_runs(dask_worker),
        versions=own_versions(),
        foreign=foreign_distribution(),
    )


def own_versions() -> dict[str, str]:
    """Name the versions that this process has loaded, by package."""
    return {
        "python": platform.python_version(),
        "dask": dask.__version__,
        "distributed": distributed.__version__,
        "pandas": pd.__version__,
        "pyarrow": pa.__version__,
        # The package itself imports all layers, this one too.
        "safeframe": str(sys.modules["safeframe"].__version__),
    }


def _variable(name: str) -> str | None:
    """Return a variable of the environment, or what is in force instead of it."""
    if name == "ARROW_DEFAULT_MEMORY_POOL":
        return str(pa.default_memory_pool().backend_name)
    if name == "ARROW_IO_THREADS":
        return str(pa.io_thread_count())
    return os.environ.get(name)
