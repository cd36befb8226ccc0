"""Reads what the cluster, or the machine, has, and sets its workers up.

Covers: the client that a compute would use, the allocators of workers, the smallest
worker's memory and what it uses already, a directory that all workers reach.
"""

from __future__ import annotations

import gc
import os
import tempfile
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dask
import psutil

from safeframe import config, options
from safeframe._dask.cluster import client_of_compute, local_threads
from safeframe.errors import UnsupportedError, ValidationError
from safeframe.facts.budget import Budget, StagingFacts
from safeframe.kernels.allocator import keep_pages, trim
from safeframe.sizing.directory import free_nbytes
from safeframe.sizing.live_workers import ask_workers, living_workers, register_on_workers
from safeframe.sizing.machine import memory_group, resident_nbytes
from safeframe.sizing.page_return import PageReturn
from safeframe.sizing.planned_cluster import planned_cluster, spec_budget, spec_staging
from safeframe.sizing.staging_url import is_remote, staging_base

_given_back = -options.GIVE_BACK_SECONDS

_with_page_return: weakref.WeakSet[Any] = weakref.WeakSet()


def current_client() -> Any | None:
    """Return the distributed client that a compute would use now, if any.

    Raises
    ------
    UnsupportedError
        For an asynchronous client, whose answers have to be awaited.
    """
    try:
        return client_of_compute()
    except RuntimeError as error:
        msg = f"Recipes query workers and data when they are called: {error}."
        hint = "Connect a second client to the same scheduler, without asynchronous=True, and call this in a thread."
        raise UnsupportedError(msg, hint=hint) from error


def on_one_host() -> bool:
    """Whether all tasks would run on one host, and see each other's writes to a file that they map."""
    if (planned := planned_cluster()) is not None:
        return planned.hosts == 1
    client = current_client()
    return client is None or len({worker["host"] for worker in _workers(client).values()}) == 1


def set_up_workers() -> None:
    """Set the allocators of all workers up, which has to be before their first task.

    Without a client nothing is set: the process is the user's.

    Notes
    -----
    With a client, one round trip to each worker.
    """
    client = current_client()
    if client is None or client.asynchronous:
        return
    _workers(client)  # waits for the first worker
    if client not in _with_page_return:
        # Allocators that keep pages need someone who gives them back before dask pauses the worker.
        register_on_workers(client, PageReturn())
        _with_page_return.add(client)
    ask_workers(client, keep_pages)


def measure_budget(memory_nbytes: int | None = None) -> Budget:
    """Learn what one worker may use, and uses already.

    Parameters
    ----------
    memory_nbytes
        Bytes that one worker may use; None for its own limit.

    Returns
    -------
    Budget
        Of the cluster that is planned for (:mod:`safeframe.sizing.planned_cluster`), else of the smallest connected
        worker; without a client, of this process and the threads of dask's local scheduler.

    Notes
    -----
    Computed eagerly: with a client, one round trip to each worker, which
    loads the libraries that tasks need and reads the worker's resident memory.
    """
    if (planned := planned_cluster()) is not None:
        return spec_budget(planned, memory_nbytes)
    return connected_budget(memory_nbytes)


def connected_budget(memory_nbytes: int | None = None) -> Budget:
    """As :func:`measure_budget`, of what computes now, whichever cluster is planned for."""
    headroom = config.headroom()
    client = current_client()
    if client is None:
        threads = local_threads()
        allowed = memory_nbytes or _machine_nbytes()
        return Budget(
            n_workers=1,
            threads_per_worker=threads,
            allowed_nbytes=allowed,
            reserved_nbytes=loaded_resident_nbytes() + options.RESERVED_GROWTH_NBYTES,
            transport_nbytes=0,
            headroom_fraction=headroom,
            measured=True,
        )
    workers = _workers(client)
    resident: Mapping[str, int] = {}
    if not client.asynchronous:
        resident = ask_workers(client, loaded_resident_nbytes)
    limits = [int(worker["memory_limit"] or _machine_nbytes() // len(workers)) for worker in workers.values()]
    reserved = max(resident.values(), default=options.RESERVED_DEFAULT_NBYTES)
    return Budget(
        n_workers=len(workers),
        threads_per_worker=max(int(worker["nthreads"]) for worker in workers.values()),
        allowed_nbytes=memory_nbytes or min(limits),
        reserved_nbytes=reserved + options.RESERVED_GROWTH_NBYTES,
        transport_nbytes=0,
        headroom_fraction=headroom,
        measured=bool(resident),
    )


def loaded_resident_nbytes() -> int:
    """Load what tasks need, give freed pages back, and tell what this process then holds."""
    import pyarrow.parquet  # noqa: F401

    import safeframe  # noqa: F401

    _give_back()
    return resident_nbytes()


def _give_back() -> None:
    """Release freed pages, and collect garbage; that not again within seconds, since it takes tenths of one."""
    global _given_back
    if time.monotonic() - _given_back >= options.GIVE_BACK_SECONDS:
        gc.collect()
        _given_back = time.monotonic()
    trim()


def staging_facts(staging: str | None) -> StagingFacts:
    """Find a directory or object store that all workers reach, and its free bytes.

    Parameters
    ----------
    staging
        The user's directory or URL, or None for the configured one, the workers'
        own when they share a host with this process, or this machine's temporary directory.

    Raises
    ------
    ValidationError
        When a URL has credentials in it.
    """
    directory: Any = staging if staging is not None else config.staging_directory()
    if isinstance(directory, os.PathLike):
        directory = os.fspath(directory)
    if directory is not None and not (isinstance(directory, str) and directory):
        msg = f"staging={directory!r} is neither a directory nor a URL."
        raise ValidationError(
            msg, hint='Pass a string, "/scratch" or "s3://bucket/scratch", or leave it out.'
        )
    unavailable = ""
    if (planned := planned_cluster()) is not None:
        return spec_staging(planned, None if directory is None else staging_base(directory))
    if directory is None:
        client = current_client()
        if client is None:
            directory = dask.config.get("temporary-directory", None) or tempfile.gettempdir()
        else:
            workers = _workers(client).values()
            hosts = {worker["host"] for worker in workers}
            if len(hosts) > 1:
                unavailable = f"the workers are on {len(hosts)} hosts, and staging= names no directory that all of them can reach"
            elif not any(os.path.isdir(worker["local_directory"]) for worker in workers):  # noqa: PTH112  never raises
                # Their names are random: what is there under one of them is the worker's.
                unavailable = (
                    f"the workers are on {hosts.pop()}, whose directories this process does not reach, and staging= "
                    "names none that it does"
                )
            else:
                directory = str(Path(next(iter(workers))["local_directory"]).parent)
    else:
        directory = staging_base(directory)
    free = None if directory is None or is_remote(directory) else free_nbytes(directory)
    return StagingFacts(directory=directory, free_nbytes=free, unavailable=unavailable)


def _workers(client: Any) -> dict[str, Any]:
    if client.asynchronous:
        identity = (
            client.cluster.scheduler.identity(n_workers=-1) if client.cluster else client.scheduler_info()
        )
        workers: dict[str, Any] = identity["workers"]
    else:
        workers = living_workers(client)
        if not workers:
            client.wait_for_workers(1)
            workers = living_workers(client)
    return workers


def _machine_nbytes() -> int:
    """Return what the machine and this process's memory group leave, with what the process has."""
    free = int(psutil.virtual_memory().available) + resident_nbytes()
    group = memory_group()
    return free if group is None else min(free, group.limit_nbytes)
