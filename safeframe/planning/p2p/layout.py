"""Buffers for frames that go through P2P, and what that costs.

P2P bounds its memory softly: a buffer overflows by one hand-over of each
task, messages are in memory at both ends, and a worker takes as many messages
from every other one as these send at a time. The formula here adds all of that
up, for hand-overs and messages whose size is chosen so that the sum keeps to a
share of the worker.

Covers: buffers, the peak of tasks that send and receive, bytes on each disk.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from safeframe import options
from safeframe.errors import UnsupportedError
from safeframe.facts.budget import Budget
from safeframe.facts.p2p import P2PDisk, P2PFacts, P2PSettings
from safeframe.facts.plan import Step
from safeframe.units import format_count, format_nbytes


@dataclass(frozen=True, kw_only=True, slots=True)
class P2PLayout:
    """How an exchange goes through P2P, and what it costs."""

    settings: P2PSettings
    """Buffers that the workers are to be held to."""
    budget: Budget
    """The budget, with what P2P itself takes in ``transport_nbytes``."""
    steps: tuple[Step, ...]
    """The tasks that send, and those that receive."""
    disk_nbytes: int
    """Bytes that all workers write."""
    disk: P2PDisk
    """The tightest file system."""
    tightest_nbytes: int
    """Bytes that are written to that one."""
    held_nbytes: int
    """Bytes that P2P's buffers and messages take on one worker."""
    reasons: tuple[str, ...]
    """What was chosen, in words."""


def transport_nbytes(
    settings: P2PSettings,
    *,
    n_workers: int,
    threads: int,
    n_shards: int,
    header_nbytes: int,
    even: bool,
    frames: int = 1,
) -> int:
    """Bound what P2P itself holds on one worker, besides its tasks.

    Parameters
    ----------
    settings
        The buffers.
    n_workers, threads
        The cluster.
    n_shards
        Output partitions.
    header_nbytes
        Bytes that Arrow adds to each piece.
    even
        Whether the rows of a hand-over spread evenly over the workers; if not,
        all of them may go to one.
    frames
        Frames that are moved at the same time. A worker's buffers are for all of
        them together, and each sends messages of its own.

    Notes
    -----
    The sum of: rows that wait to be sent, over their limit by one hand-over
    for each thread; messages on their way, once more as they are sent; messages
    that arrive, from every worker at once; pieces that wait to be written.

    Examples
    --------
    >>> settings = P2PSettings(
    ...     comm_nbytes=1000,
    ...     storage_nbytes=2000,
    ...     message_nbytes=100,
    ...     concurrency=2,
    ...     slice_nbytes=100,
    ... )
    >>> transport_nbytes(settings, n_workers=2, threads=1, n_shards=4, header_nbytes=0, even=False)
    5900
    """
    per_worker = settings.slice_nbytes
    if even:
        per_worker = min(per_worker, int(2 * settings.slice_nbytes / n_workers))
    shard = per_worker + header_nbytes
    message = settings.message_nbytes + shard
    pieces = math.ceil(n_shards / n_workers) * header_nbytes
    hand_over = settings.slice_nbytes + n_workers * header_nbytes
    waiting = settings.comm_nbytes + threads * hand_over
    sending = settings.concurrency * message
    arriving = settings.concurrency * n_workers * (int(options.P2P_MESSAGE_COPIES * message) + pieces)
    return waiting + frames * (sending + arriving) + settings.storage_nbytes


def lay_out_p2p(facts: P2PFacts, *, n_shards: int, largest_rows: int, even: bool) -> P2PLayout:
    """Choose buffers for an exchange and say what it costs.

    Parameters
    ----------
    facts
        What the workers and the frame are like.
    n_shards
        Output partitions.
    largest_rows
        Rows of the largest of them.
    even
        Whether rows spread evenly over the workers from each partition, as
        those of hashed keys do.

    Raises
    ------
    UnsupportedError
        When P2P cannot run at all.
    """
    layout = lay_out_sends({"send partitions": facts}, n_shards=n_shards, even=even)
    largest_nbytes = math.ceil(largest_rows * bounding_row_nbytes(facts))
    receive = Step(
        kind="receive partitions",
        tasks=n_shards,
        task_peak_nbytes=int(options.P2P_RECEIVE_COPIES * largest_nbytes)
        + options.POSITION_NBYTES * largest_rows,
        reason=(
            f"a partition of {format_nbytes(largest_nbytes)} × {options.P2P_RECEIVE_COPIES:g}, "
            f"{options.POSITION_NBYTES} B for each of its {format_count(largest_rows)} rows"
            f"{transport_reason(layout.held_nbytes)}"
        ),
    )
    return replace(layout, steps=(*layout.steps, receive))


def lay_out_sends(frames: Mapping[str, P2PFacts], *, n_shards: int, even: bool) -> P2PLayout:
    """Choose buffers for frames that go through P2P at the same time, and say what sending them costs.

    Parameters
    ----------
    frames
        What each frame is like, and the workers, by the name of the step that sends it.
    n_shards
        Output partitions.
    even
        As for :func:`lay_out_p2p`.

    Returns
    -------
    P2PLayout
        With a step for each frame; tasks that receive are the caller's.

    Raises
    ------
    UnsupportedError
        When P2P cannot run at all.
    """
    facts = next(iter(frames.values()))
    refuse_unavailable(facts)
    settings, held = _settings(frames.values(), n_shards, even)
    disk_nbytes = sum(_disk_nbytes(frame, n_shards, settings.slice_nbytes) for frame in frames.values())
    in_memory = any(disk.in_memory for disk in facts.disks)
    memory_nbytes = math.ceil(disk_nbytes / facts.budget.n_workers) if in_memory else 0
    disk, tightest_nbytes = _tightest(facts, disk_nbytes)
    return P2PLayout(
        settings=settings,
        budget=replace(facts.budget, transport_nbytes=held + memory_nbytes),
        steps=tuple(_sending(kind, frame, settings, held) for kind, frame in frames.items()),
        disk_nbytes=disk_nbytes,
        disk=disk,
        tightest_nbytes=tightest_nbytes,
        held_nbytes=held,
        reasons=_reasons(facts, settings, disk_nbytes, memory_nbytes),
    )


def _sending(kind: str, facts: P2PFacts, settings: P2PSettings, held_nbytes: int) -> Step:
    rows = max(facts.partition_rows, default=0)
    partition_nbytes = math.ceil(rows * bounding_row_nbytes(facts))
    return Step(
        kind=kind,
        tasks=len(facts.partition_rows),
        task_peak_nbytes=int(options.P2P_SEND_COPIES * partition_nbytes)
        + options.ROW_INDEX_NBYTES * rows
        + int(options.P2P_SLICE_COPIES * settings.slice_nbytes),
        reason=(
            f"a partition of {format_nbytes(partition_nbytes)} × {options.P2P_SEND_COPIES:g}, a slice of "
            f"{format_nbytes(settings.slice_nbytes)} × {options.P2P_SLICE_COPIES:g}, "
            f"{options.ROW_INDEX_NBYTES} B for each of its {format_count(rows)} rows{transport_reason(held_nbytes)}"
        ),
    )


def transport_reason(held_nbytes: int) -> str:
    """Return in words that what P2P itself holds comes on top of a task: it is the budget's share for moving rows."""
    return f"; P2P's buffers and messages come on top, with {format_nbytes(held_nbytes)}"


def p2p_task_nbytes(budget: Budget) -> int:
    """Return what is left for a task next to the share of a worker that P2P may take; never negative."""
    free = budget.usable_nbytes - budget.reserved_nbytes
    return max(int(free * (1 - options.P2P_TRANSPORT_FRACTION)) // budget.threads_per_worker, 0)


def refuse_unavailable(facts: P2PFacts) -> None:
    """Raise when P2P cannot run at all.

    Raises
    ------
    UnsupportedError
        In words.
    """
    if facts.unavailable:
        msg = f"P2P cannot run: {facts.unavailable}."
        hint = "Connect a distributed.Client, or use strategy='staged', which runs on any scheduler."
        raise UnsupportedError(msg, hint=hint)


def bounding_row_nbytes(facts: P2PFacts) -> float:
    """Return the bytes that P2P moves for a row, as they bound rather than expect it."""
    width = facts.profile.width
    return facts.row_nbytes if width.exact else facts.row_nbytes * width.bounding / max(width.expected, 1.0)


def _settings(frames: Collection[P2PFacts], n_shards: int, even: bool) -> tuple[P2PSettings, int]:
    """Choose the largest hand-over whose buffers keep to P2P's share, and the smallest otherwise."""
    facts = next(iter(frames))
    budget = facts.budget
    share = (budget.usable_nbytes - budget.reserved_nbytes) * options.P2P_TRANSPORT_FRACTION
    size = options.P2P_MAX_HAND_OVER_NBYTES
    while True:
        settings = P2PSettings(
            comm_nbytes=options.P2P_COMM_SLICES * size,
            storage_nbytes=options.P2P_STORAGE_SLICES * size,
            message_nbytes=min(size, options.P2P_MAX_MESSAGE_NBYTES),
            concurrency=options.P2P_CONCURRENCY,
            slice_nbytes=size,
        )
        settings = _at_most(settings, facts.live)
        held = transport_nbytes(
            settings,
            n_workers=budget.n_workers,
            threads=budget.threads_per_worker,
            n_shards=n_shards,
            header_nbytes=max(frame.piece_header_nbytes for frame in frames),
            even=even,
            frames=len(frames),
        )
        if held <= share or size <= options.P2P_MIN_HAND_OVER_NBYTES:
            return settings, held
        size //= 2


def _at_most(settings: P2PSettings, live: P2PSettings | None) -> P2PSettings:
    """Return the settings, with what the workers have where that is less: only what is too large is changed."""
    if live is None:
        return settings
    return P2PSettings(
        comm_nbytes=min(settings.comm_nbytes, live.comm_nbytes),
        storage_nbytes=min(settings.storage_nbytes, live.storage_nbytes),
        message_nbytes=min(settings.message_nbytes, live.message_nbytes),
        concurrency=min(settings.concurrency, live.concurrency),
        slice_nbytes=settings.slice_nbytes,
    )


def _disk_nbytes(facts: P2PFacts, n_shards: int, slice_nbytes: int) -> int:
    """Bound what P2P writes: every row, and a header for each piece.

    Pieces are counted as if each hand-over were cut into all partitions, and
    none were joined with others in a message.
    """
    width = bounding_row_nbytes(facts)
    rows = np.array(facts.partition_rows, np.float64)
    hand_overs = float(np.ceil(rows * width / slice_nbytes).sum())
    pieces = min(float(rows.sum()), hand_overs * n_shards)
    return math.ceil(float(rows.sum()) * width + pieces * facts.piece_header_nbytes)


def _tightest(facts: P2PFacts, disk_nbytes: int) -> tuple[P2PDisk, int]:
    shares = [math.ceil(disk_nbytes * disk.workers / facts.budget.n_workers) for disk in facts.disks]
    at = min(range(len(shares)), key=lambda i: facts.disks[i].free_nbytes - shares[i])
    return facts.disks[at], shares[at]


def _reasons(facts: P2PFacts, settings: P2PSettings, disk_nbytes: int, memory_nbytes: int) -> tuple[str, ...]:
    live = facts.live
    assert live is not None, "P2P can run"
    reasons = []
    if settings.comm_nbytes < live.comm_nbytes or settings.storage_nbytes < live.storage_nbytes:
        reasons.append(
            f"the workers' P2P buffers of {format_nbytes(live.comm_nbytes)} and "
            f"{format_nbytes(live.storage_nbytes)} (distributed.p2p.comm.buffer and storage.buffer) are set to "
            f"{format_nbytes(settings.comm_nbytes)} and {format_nbytes(settings.storage_nbytes)}"
        )
    disks = "disk" if len(facts.disks) == 1 else f"{len(facts.disks)} disks"
    reasons.append(f"the workers write {format_nbytes(disk_nbytes)} at most to their {disks}")
    if memory_nbytes:
        where = next(disk.directory for disk in facts.disks if disk.in_memory)
        reasons.append(
            f"{where} is in memory (tmpfs): {format_nbytes(memory_nbytes)} per worker count as memory"
        )
    return tuple(reasons)
