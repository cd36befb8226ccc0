"""What workers, nannies and schedulers hold, where distributed documents no name for it.

Covers: memory limits and fractions of a worker, its plugins, root tasks of a
scheduler, its pages, its counts of tasks and what it knows of workers' memory; the
client, or the threads, that a compute would use; whether a result is waited for; whether this
is a task on a worker, and which, which is public, and asked at this one place.
Does not cover: what the values should be (``deploy.settings``), P2P (``p2p``).

``Client.scheduler_info``, which is public, has a worker's memory limit and threads,
and nothing of the rest; settings are read when a process starts, so that a
running one has them in these attributes only. ``distributed.progress``, which is public,
counts the tasks of futures that one has; those of ``dask.compute`` nobody has.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import dask
from dask.base import get_scheduler

# What dask's local scheduler starts without num_workers: os.cpu_count does not know of containers.
from dask.system import CPU_COUNT
from distributed import Client, get_worker

__all__ = [
    "client_of_compute",
    "current_task",
    "failed_groups",
    "group_counts",
    "has_plugin",
    "inside_worker",
    "is_awaited",
    "is_wanted",
    "local_threads",
    "memory_fractions",
    "memory_limit_nbytes",
    "remove_plugin",
    "resident_nbytes_of_workers",
    "root_tasks_per_thread",
    "serve_page",
    "set_memory_fraction",
    "set_root_tasks_per_thread",
]

_FRACTIONS = {
    "distributed.worker.memory.spill": "memory_spill_fraction",
    "distributed.worker.memory.pause": "memory_pause_fraction",
}


def inside_worker() -> bool:
    """Whether this code runs in a task of a distributed worker."""
    try:
        get_worker()
    except ValueError:
        return False
    return True


def current_task() -> Any:
    """Return the key of the task of a distributed worker that this code runs in; None outside of one."""
    try:
        return get_worker().get_current_task()
    except (ValueError, AttributeError):  # no worker, or a thread of its that runs no task
        return None


def is_wanted() -> bool:
    """Whether the scheduler wants the result of the task that this code runs in, as far as its worker knows; also outside of one."""
    key = current_task()
    if key is None:
        return True
    task = get_worker().state.tasks.get(key)
    return task is not None and task.state != "cancelled"


def is_awaited(scheduler: Any, key: Any) -> bool:
    """Whether a scheduler will make a task's result again, should it be lost: a client or another task waits for it."""
    task = scheduler.tasks.get(key)
    return task is not None and bool(task.who_wants or task.waiters)


def memory_limit_nbytes(server: Any) -> int | None:
    """Return the memory limit of a worker, or of the worker that a nanny starts; None without one."""
    return server.memory_manager.memory_limit or None


def memory_fractions(worker: Any) -> dict[str, Any]:
    """Return the shares of its limit at which a worker acts, by setting."""
    return {setting: getattr(worker.memory_manager, name) for setting, name in _FRACTIONS.items()}


def set_memory_fraction(worker: Any, setting: str, fraction: float) -> None:
    """Set one of them on a worker that runs."""
    setattr(worker.memory_manager, _FRACTIONS[setting], fraction)


async def remove_plugin(name: str, dask_worker: Any) -> None:
    """Remove a plugin from one worker; the public call removes it from all, and fails when one is lost."""
    if name in dask_worker.plugins:
        await dask_worker.plugin_remove(name=name)


def root_tasks_per_thread(scheduler: Any) -> float:
    """Return how many root tasks a scheduler hands out per thread; infinite where it does not hold them back."""
    return float(scheduler.WORKER_SATURATION)


def set_root_tasks_per_thread(scheduler: Any, value: float) -> None:
    """Set that on a scheduler that runs; not to or from infinity, which it counts tasks by."""
    scheduler.WORKER_SATURATION = value


def has_plugin(scheduler: Any, name: str) -> bool:
    """Whether a scheduler has a plugin of that name."""
    return name in scheduler.plugins


def resident_nbytes_of_workers(scheduler: Any) -> dict[str, tuple[str, int, int]]:
    """Return each worker's name, its limit, 0 for none, and its resident memory, by its address."""
    return {
        address: (str(worker.name), worker.memory_limit or 0, int(worker.memory.process))
        for address, worker in scheduler.workers.items()
    }


_DONE = ("memory", "released", "erred", "forgotten")
"""A task that waits for its turn is in none of these: it leaves ``released`` when its graph comes."""


def group_counts(names: Collection[str], dask_scheduler: Any) -> dict[str, tuple[int, int]]:
    """Return the tasks that are done and all tasks of the groups that a scheduler knows; run on it."""
    known = dask_scheduler.task_groups
    states = {name: known[name].states for name in names if name in known}
    return {name: (sum(of.get(state, 0) for state in _DONE), sum(of.values())) for name, of in states.items()}


def failed_groups(names: Collection[str], dask_scheduler: Any) -> list[str]:
    """Return those of the groups that a scheduler knows which have tasks that failed; run on it."""
    known = dask_scheduler.task_groups
    return [name for name in names if name in known and known[name].states.get("erred", 0)]


def serve_page(scheduler: Any, path: str, handler: type, arguments: dict[str, Any]) -> None:
    """Have a scheduler that runs serve one more page beside its dashboard."""
    scheduler.http_application.add_handlers(".*$", [(path, handler, arguments)])


def client_of_compute() -> Client | None:
    """Return the client whose scheduler a compute would use now; None for a local one.

    ``distributed.default_client`` does not know of ``scheduler=`` in the configuration.

    Raises
    ------
    RuntimeError
        For a client that is asynchronous and of another thread.
    """
    owner = getattr(get_scheduler(), "__self__", None)
    return owner if isinstance(owner, Client) else None


def local_threads() -> int:
    """Return the threads of the local scheduler that a compute would use now."""
    if get_scheduler() is dask.get:
        return 1
    return int(dask.config.get("num_workers", None) or CPU_COUNT)
