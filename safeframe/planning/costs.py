"""What a strategy moves, weighed by what that takes.

Covers: the weights, put to numbers of bytes. What moves is known by each strategy (``planning.merge``).
"""

from __future__ import annotations

from safeframe import options
from safeframe.facts.budget import Budget
from safeframe.facts.step import Cost


def cost_of(
    budget: Budget,
    *,
    tasks: int,
    read_nbytes: float,
    staged_nbytes: float = 0.0,
    fetched_nbytes: float = 0.0,
    sent_nbytes: float = 0.0,
    joined_nbytes: float = 0.0,
    collected_nbytes: float = 0.0,
    by_p2p: bool = False,
    share: float = 0.0,
) -> Cost:
    """Weigh what a strategy moves; see :class:`~safeframe.facts.step.Cost`.

    Parameters
    ----------
    budget
        The workers.
    tasks, read_nbytes, staged_nbytes, fetched_nbytes, sent_nbytes, joined_nbytes
        What moves, in all.
    collected_nbytes
        What one worker joins to one frame and sends to each other, while these wait for it.
    by_p2p
        Whether what is staged, and fetched, passes through P2P.
    share
        The part of all this that one task does, if that is more than a thread's share.

    Examples
    --------
    >>> budget = Budget(
    ...     n_workers=4,
    ...     threads_per_worker=1,
    ...     allowed_nbytes=1000,
    ...     reserved_nbytes=300,
    ...     transport_nbytes=0,
    ...     headroom_fraction=0.8,
    ...     measured=True,
    ... )
    >>> one = cost_of(budget, tasks=1, read_nbytes=2**20)
    >>> one.seconds < cost_of(budget, tasks=1, read_nbytes=2**20, staged_nbytes=2**20).seconds
    True
    """
    threads = budget.n_workers * budget.threads_per_worker
    moved = (
        max(staged_nbytes, fetched_nbytes) / options.P2P_NBYTES_PER_SECOND
        if by_p2p
        else staged_nbytes / options.STAGE_NBYTES_PER_SECOND
        + fetched_nbytes / options.FETCH_NBYTES_PER_SECOND
    )
    spread = (
        read_nbytes / options.READ_NBYTES_PER_SECOND
        + moved
        + sent_nbytes / options.SEND_NBYTES_PER_SECOND
        + joined_nbytes / options.JOIN_NBYTES_PER_SECOND
        + tasks * options.TASK_SECONDS
    )
    waited = collected_nbytes / options.SEND_NBYTES_PER_SECOND
    return Cost(
        read_nbytes=int(read_nbytes),
        staged_nbytes=int(staged_nbytes),
        fetched_nbytes=int(fetched_nbytes),
        sent_nbytes=int(sent_nbytes + (budget.n_workers - 1) * collected_nbytes),
        joined_nbytes=int(joined_nbytes),
        tasks=tasks,
        seconds=float(spread * max(share, 1 / threads) + waited),
    )


def is_tie(seconds: float, least: float) -> bool:
    """Whether a cost counts as no higher than the least one."""
    return seconds <= least * (1.0 + options.COST_TIE_FRACTION) + options.COST_TIE_SECONDS
