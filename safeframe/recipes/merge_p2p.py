"""What P2P would meet on the two sides of a merge, where it may have to move them."""

from __future__ import annotations

from safeframe.errors import UnsupportedError
from safeframe.facts.budget import Budget
from safeframe.facts.merge_facts import StagingFacts
from safeframe.facts.p2p import P2PFacts
from safeframe.recipes.join_sizes import JoinSizes
from safeframe.sizing.p2p import p2p_facts

__all__ = ["look_at_p2p"]


def look_at_p2p(
    sizes: JoinSizes, budget: Budget, strategy: str | None, staging: StagingFacts
) -> tuple[tuple[P2PFacts, P2PFacts] | None, str]:
    """Ask the workers and both sides, where P2P was asked for or nothing else moves rows.

    Returns
    -------
    tuple or None
        The facts of the left and of the right side; None where P2P is not needed, or cannot carry a side.
    str
        Why it cannot; empty when it can.
    """
    if strategy != "p2p" and (strategy is not None or staging.directory is not None):
        return None, ""
    sides = (sizes.left, sizes.left_facts), (sizes.right, sizes.right_facts)
    try:
        left, right = (
            p2p_facts(side, budget=budget, partition_rows=facts.keys.partitions.rows) for side, facts in sides
        )
    except UnsupportedError as error:
        return None, error.message.rstrip(".")
    return (left, right), ""
