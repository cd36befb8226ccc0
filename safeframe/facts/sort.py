"""The facts that the planner of a sort, or of a shuffle, uses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.facts.budget import Budget, StagingFacts
from safeframe.facts.estimate import Width
from safeframe.facts.frame import FrameProfile
from safeframe.facts.keys import Codes, Counts, PartitionKeys, ShuffleKeys
from safeframe.facts.p2p import P2PFacts

__all__ = ["KeyQuantiles", "ShuffleFacts", "SortFacts"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SortFacts:
    """Everything that decides how rows are sorted."""

    recipe: str
    quantiles: KeyQuantiles
    profile: FrameProfile
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


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KeyQuantiles:
    """Rows below each sampled key, and how wrong that can be.

    Each partition's keys were put in order and every so-manieth was taken, from
    a random start. The smallest and the largest key of each are there besides.
    """

    codes: Codes
    """Distinct sampled keys, ascending. Where the order has no codes of its own,
    ``2 * i + 1`` for row ``i`` of ``values``."""
    rows: npt.NDArray[np.float64]
    """Rows that each sampled key stands for; a key is heavy when these are many."""
    below: npt.NDArray[np.float64]
    """Rows with a smaller key than each sampled one, estimated without bias."""
    below_error: npt.NDArray[np.float64]
    """Bound of the error of ``below``, passed once in some 30 million times at the most."""
    total_rows: int
    """Rows of the frame, null keys included."""
    null_rows: int
    """Rows whose (single) key is null."""
    values: pd.DataFrame | None
    """The sampled keys themselves, where they have no codes of their own."""
    partitions: PartitionKeys | None
    """Rows and range of each partition, where keys have codes."""
    partition_rows: Counts
    """Rows of each partition."""

    @property
    def key_rows(self) -> int:
        """Rows that have a key."""
        return self.total_rows - self.null_rows


@dataclass(frozen=True, kw_only=True, slots=True)
class ShuffleFacts:
    """Everything that decides how rows are shuffled by key."""

    keys: ShuffleKeys
    """Rows per key."""
    partition_rows: Counts
    """Rows of each input partition."""
    profile: FrameProfile
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
