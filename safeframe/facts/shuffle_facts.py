"""What the planner of a staged shuffle is told."""

from __future__ import annotations

from dataclasses import dataclass

from safeframe.facts.budget import Budget
from safeframe.facts.frame import FrameProfile
from safeframe.facts.keys import Counts
from safeframe.facts.merge_facts import StagingFacts
from safeframe.facts.shuffle_keys import ShuffleKeys
from safeframe.facts.width import Width

__all__ = ["ShuffleFacts"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ShuffleFacts:
    """Everything that decides how rows of a key are brought together."""

    keys: ShuffleKeys
    """Rows per key."""
    partition_rows: Counts
    """Rows of each input partition."""
    profile: FrameProfile
    """Rows and bytes."""
    row_nbytes: float
    """Bytes of one row as it is moved, the index with it; as they bound rather than expect it."""
    output_width: Width
    """Bytes of one row of the result, and how well they are known."""
    budget: Budget
    """What one worker may use."""
    staging: StagingFacts
    """Where rows are staged."""
    partition_nbytes: int | None
    """The user's target for an output partition in bytes; None to derive one."""
    npartitions: int | None
    """The user's number of partitions; None to derive it."""
    self_made: bool
    """Whether each partition is made by its own task alone."""
    fixed_width: bool
    """Whether all columns are numbers or times, which wait to be staged as rows side by side."""
    p2p_rejected: str
    """Why P2P does not move the rows."""
