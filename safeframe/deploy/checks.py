"""The single checks of the doctor, as functions of what was observed.

Covers: workers, their limits against those of the kernel, threads, disks,
settings, and the same for this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import psutil

from safeframe import options
from safeframe.deploy.deviations import Deviation
from safeframe.deploy.worker_state import WorkerState
from safeframe.facts.budget import Budget
from safeframe.facts.plan.text import plural
from safeframe.sizing.directory import Directory
from safeframe.sizing.machine import memory_group, swapped_nbytes
from safeframe.units import format_nbytes

Status = Literal["ok", "note", "warning", "problem"]
"""How bad a finding is; a note is something to know, whatever the cluster."""

_T = TypeVar("_T")
_P2P_BUFFERS = ("distributed.p2p.comm.buffer", "distributed.p2p.storage.buffer")
_SHARE_OF_BUFFER = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The result of one check."""

    name: str
    """What."""
    status: Status
    """How bad it is."""
    found: str
    """What was found."""
    limit: str = ""
    """What it is held against."""
    hint: str = ""
    """What can be done."""


def check_workers(states: Mapping[str, WorkerState | BaseException]) -> Iterable[Finding]:
    """Return how many workers there are, and name those that did not answer."""
    if not states:
        hint = "Start some, or wait for them: client.wait_for_workers(1)."
        yield Finding(name="workers", status="problem", found="none", limit="at least 1", hint=hint)
        return
    yield Finding(name="workers", status="ok", found=f"{len(states)}")
    for address, state in states.items():
        if isinstance(state, BaseException):
            # What a worker could not unpickle comes back as an error that only names the one it was.
            lost = isinstance(state, ImportError) or "ModuleNotFoundError" in str(state)
            yield Finding(
                name=f"worker {address}",
                status="problem",
                found=f"cannot load safeframe: {state}" if lost else f"does not answer: {state!r}",
                hint="Install safeframe where the workers run." if lost else "Check its log.",
            )


def check_state(states: Sequence[WorkerState]) -> Iterable[Finding]:
    """Name workers that take no tasks, and those that are swapped out."""
    for state in states:
        if state.status != "running":
            limit = format_nbytes(state.limit_nbytes) if state.limit_nbytes else "no limit"
            yield Finding(
                name=f"worker {state.address}",
                status="problem",
                found=f"{state.status}, and takes no tasks; it holds {format_nbytes(state.resident_nbytes)}",
                limit=limit,
                hint="Release its data (del, client.cancel), or restart it: client.restart_workers([...]).",
            )
        if state.swapped_nbytes:
            yield Finding(
                name=f"worker {state.address}",
                status="warning",
                found=f"{format_nbytes(state.swapped_nbytes)} of it are in swap",
                limit="memory limits do not count swap",
                hint="Lower the workers' limits so that their sum fits the machine, or turn swap off for them.",
            )


def check_limits(states: Sequence[WorkerState]) -> Iterable[Finding]:
    """Hold each worker's limit against what the kernel gives it."""
    unlimited = [state for state in states if not state.limit_nbytes]
    if unlimited:
        yield Finding(
            name="memory limit",
            status="problem",
            found=f"{len(unlimited)} of {len(states)} workers have none",
            limit=f"the machine has {format_nbytes(unlimited[0].machine_nbytes)}",
            hint='Start workers with a limit, as memory_limit="1GiB" or --memory-limit 1GiB.',
        )
    over = [
        state
        for state in states
        if state.limit_nbytes and state.group is not None and state.limit_nbytes > state.group.limit_nbytes
    ]
    for state in over:
        assert state.group is not None  # for the type checker; the line above looked
        yield Finding(
            name=f"memory limit of {state.address}",
            status="problem",
            found=format_nbytes(state.limit_nbytes or 0),
            limit=f"the kernel kills at {format_nbytes(state.group.limit_nbytes)} ({state.group.path})",
            hint="Give the worker a limit that is no larger than the kernel's.",
        )
    if not unlimited and not over:
        limits = [state.limit_nbytes or 0 for state in states]
        found = format_nbytes(min(limits))
        if max(limits) != min(limits):
            found = f"{found} to {format_nbytes(max(limits))}"
        yield Finding(name="memory limit", status="ok", found=found)


def check_groups(states: Sequence[WorkerState]) -> Iterable[Finding]:
    """Hold the limits of workers that share a machine, or a memory group, against what they share."""
    sharing = [
        (f"memory of host {host}", members, members[0].machine_nbytes)
        for host, members in _by(states, lambda state: state.host).items()
    ]
    grouped = [state for state in states if state.group is not None]
    for (host, path), members in _by(
        grouped, lambda state: (state.host, state.group and state.group.path)
    ).items():
        limit = members[0].group.limit_nbytes if members[0].group else 0
        # A group for each worker is held against that worker's own limit.
        if len(members) > 1:
            sharing.append((f"memory group {path} on host {host}", members, limit))
    for name, members, shared_nbytes in sharing:
        total_nbytes = sum(state.limit_nbytes or 0 for state in members)
        yield Finding(
            name=name,
            status="problem" if total_nbytes > shared_nbytes else "ok",
            found=f"{len(members)} workers may use {format_nbytes(total_nbytes)} together",
            limit=f"it has {format_nbytes(shared_nbytes)}",
            hint="Start fewer workers there, or give each a smaller limit.",
        )


def check_threads(states: Sequence[WorkerState]) -> Iterable[Finding]:
    """Return what a task may use where it has least."""
    budgets = [
        Budget(
            n_workers=len(states),
            threads_per_worker=state.threads,
            allowed_nbytes=state.limit_nbytes or state.machine_nbytes,
            reserved_nbytes=options.RESERVED_DEFAULT_NBYTES + options.RESERVED_GROWTH_NBYTES,
            transport_nbytes=0,
            headroom_fraction=options.HEADROOM_FRACTION,
            measured=False,
        )
        for state in states
    ]
    least = min(budgets, key=lambda budget: budget.task_nbytes)
    room = max(least.task_nbytes, 0)
    yield Finding(
        name="memory of a task",
        status="problem" if not room else "warning" if room < options.DOCTOR_TASK_NBYTES else "ok",
        found=f"{format_nbytes(room)} with {plural(least.threads_per_worker, 'thread')} a worker",
        limit=f"at least {format_nbytes(options.DOCTOR_TASK_NBYTES)}",
        hint="Give workers fewer threads or more memory: threads share what a worker has.",
    )


def check_disks(directories: Sequence[tuple[Directory, int]]) -> Iterable[Finding]:
    """Check each file system that workers write to, once.

    Parameters
    ----------
    directories
        Directories, and the memory limit in bytes of the worker that writes there; 0 when unknown.
    """
    for (host, _), shared in _by(directories, lambda one: (one[0].host, one[0].device)).items():
        directory = shared[0][0]
        limits = sum(limit for _, limit in shared)
        free = directory.free_nbytes
        writers = f", shared by {len(shared)} workers" if len(shared) > 1 else ""
        status: Status = "ok"
        hint = (
            "Free some disk, or name a directory with more room in local_directory= or temporary-directory."
        )
        if directory.in_memory:
            status = "problem"
            hint = (
                "What is spilled or staged there takes memory that nothing counts. Name a directory on a disk "
                "in local_directory=, or in dask's setting temporary-directory."
            )
        elif free < limits or not free:
            status = "problem"
        elif free < options.DOCTOR_DISK_FACTOR * limits:
            status = "warning"
        kind = f"{directory.file_system}: memory" if directory.in_memory else directory.file_system
        yield Finding(
            name=f"disk of {directory.path} on host {host}",
            status=status,
            found=f"{format_nbytes(free)} free{f' ({kind})' if kind else ''}{writers}",
            limit=f"the workers' memory is {format_nbytes(limits)}" if limits else "",
            hint=hint,
        )


def check_settings(deviations: Sequence[Deviation], states: Sequence[WorkerState]) -> Iterable[Finding]:
    """Return each setting that is not what small workers need.

    Those that dask reads in this process are notes: recipes do without them, and a cluster cannot have them.
    """
    limits = {state.address: state.limit_nbytes or state.machine_nbytes for state in states}
    for one in deviations:
        buffers = [
            share
            for state in states
            if one.name in _P2P_BUFFERS and state.address in one.workers
            for share in [int(state.values[one.name]) / limits[state.address]]
        ]
        where = {"environment": "of workers", "client": "of this process"}.get(one.setting.where, "")
        status: Status = "note" if one.setting.where == "client" else "warning"
        yield Finding(
            name=f"setting {one.name} {where}".rstrip(),
            status="problem" if max(buffers, default=0) > _SHARE_OF_BUFFER else status,
            found=one.current,
            limit=f"wanted {one.wanted}: {one.reason}",
            hint="safeframe.tune(client) changes it." if one.tunable else f"{one.instead}.",
        )
    if all(one.setting.where == "client" for one in deviations):
        # Not of this process, where it has a note above.
        name = "settings of workers and scheduler" if deviations else "settings"
        yield Finding(name=name, status="ok", found="as small workers need them")


def check_machine() -> Iterable[Finding]:
    """Check the memory of this machine, and of the group that this process is in."""
    total, group = int(psutil.virtual_memory().total), memory_group()
    limit = "" if group is None else f"the kernel kills at {format_nbytes(group.limit_nbytes)} ({group.path})"
    available = format_nbytes(psutil.virtual_memory().available)
    yield Finding(
        name="memory", status="ok", found=f"{available} of {format_nbytes(total)} free", limit=limit
    )
    swapped = swapped_nbytes()
    yield Finding(
        name="swap",
        status="warning" if swapped else "ok",
        found=f"{format_nbytes(swapped)} of this process",
        limit=f"the machine has {format_nbytes(psutil.swap_memory().total)}",
        hint="Memory is short: close what is not needed.",
    )


def _by(things: Iterable[_T], key: Callable[[_T], Hashable]) -> dict[tuple[str, str], list[_T]]:
    """Group things by a key, in the order in which keys come."""
    found: dict[tuple[str, str], list[_T]] = {}
    for thing in things:
        found.setdefault(key(thing), []).append(thing)  # type: ignore[arg-type]
    return found
