"""What the planner of a merge is told."""

from __future__ import annotations

from dataclasses import dataclass

from safeframe.facts.budget import Budget
from safeframe.facts.frame import FrameProfile
from safeframe.facts.keys import KeyStatistics
from safeframe.facts.merge import How, MergeEstimate
from safeframe.facts.p2p import P2PFacts

__all__ = ["MergeFacts", "SideFacts", "StagingFacts"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SideFacts:
    """One side of a merge."""

    keys: KeyStatistics
    """Rows per key, and each partition's key range."""
    profile: FrameProfile
    """Rows and bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StagingFacts:
    """Where an exchange may stage its rows."""

    directory: str | None
    """A directory or URL that all workers reach; None when there is none."""
    free_nbytes: int | None
    """Free bytes there; None when that cannot be known, as of an object store."""
    unavailable: str
    """Why there is none; empty when there is one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeFacts:
    """Everything that decides how a merge runs."""

    how: How
    """Which rows stay."""
    left: SideFacts
    """The left side."""
    right: SideFacts
    """The right side."""
    estimate: MergeEstimate
    """Rows and bytes of the result."""
    budget: Budget
    """What one worker may use."""
    staging: StagingFacts
    """Where rows may be staged."""
    partition_nbytes: int | None
    """The user's target for an output partition in bytes; None to derive one."""
    strategy: str | None
    """The user's strategy; None to choose."""
    npartitions: int | None = None
    """Partitions that the user wants of the result, about; None to derive them."""
    may_broadcast: bool = True
    """Whether a side may be held whole by each worker."""
    ordered: bool = False
    """Whether the result has to be in key order, keys whole where they fit a partition."""
    p2p: tuple[P2PFacts, P2PFacts] | None = None
    """What P2P would meet on either side; None where it was not looked at."""
    p2p_refused: str = ""
    """Why P2P cannot carry a side; empty when it can."""

    def __dask_tokenize__(self) -> tuple[object, ...]:
        # They stand beside the plan that was made of them, which says what they are.
        return ("MergeFacts", self.how, self.left.keys.rows, self.right.keys.rows)
