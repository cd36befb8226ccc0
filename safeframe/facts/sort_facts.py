"""What the planner of a sort, or of a shuffle, is told."""

from __future__ import annotations

from dataclasses import dataclass

from safeframe.facts.budget import Budget
from safeframe.facts.frame import FrameProfile
from safeframe.facts.keys import Codes
from safeframe.facts.merge_facts import StagingFacts
from safeframe.facts.p2p import P2PFacts
from safeframe.facts.quantiles import KeyQuantiles
from safeframe.facts.width import Width

__all__ = ["SortFacts"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SortFacts:
    """Everything that decides how rows are brought to an order."""

    recipe: str
    """The recipe's name."""
    quantiles: KeyQuantiles
    """The sampled keys."""
    profile: FrameProfile
    """Rows and bytes."""
    row_nbytes: float
    """Bytes of one row as it is moved, the index with it where it is kept."""
    output_row_nbytes: float
    """Bytes of one row of the result, as they bound rather than expect it."""
    output_width: Width
    """Bytes of one row of the result, and how well they are known."""
    budget: Budget
    """What one worker may use."""
    staging: StagingFacts
    """Where rows may be staged."""
    partition_nbytes: int | None
    """The user's bound of an output partition in bytes; None to derive one."""
    npartitions: int | None
    """The user's number of partitions; None to derive it."""
    strategy: str | None
    """The user's strategy; None to choose."""
    split_keys: bool
    """Whether one key may fill several partitions."""
    ordered: str
    """Empty when the frame's partitions are in order already; otherwise why they cannot be taken as they are."""
    held_rows: int
    """Rows of the partitions that one partition touches at most, where the order is there already; 0 when no row
    changes its partition."""
    p2p: P2PFacts | None
    """What P2P would meet; None where it is not looked at."""
    self_made: bool
    """Whether each partition is made by its own task alone, so that a stage task can make several."""
    cuts: Codes | None = None
    """Codes, or places among the sampled keys, of the user's divisions, the last one's end included."""
    fixed_width: bool
    """Whether all columns are numbers or times, which wait to be staged as rows side by side."""
