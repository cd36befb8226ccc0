"""What is known of a bag before its items are grouped, and how they are grouped."""

from __future__ import annotations

from dataclasses import dataclass

from safeframe.facts.budget import Budget, StagingFacts


@dataclass(frozen=True, kw_only=True, slots=True)
class BagSizes:
    """How large a bag is, by some of its partitions."""

    partitions: int
    """Partitions of the bag."""
    sampled: int
    """Partitions that were measured."""
    partition_nbytes: tuple[int, ...]
    """Bytes of each of them, as Python objects."""
    items: int
    largest_items: int
    """Items of the one with the most."""
    item_nbytes: float
    """Bytes of one item as a Python object in a list."""
    staged_item_nbytes: float
    """Bytes of one item as it is staged."""

    @property
    def exact(self) -> bool:
        """Whether all partitions were measured."""
        return self.sampled == self.partitions


@dataclass(frozen=True, kw_only=True, slots=True)
class BagFacts:
    """Everything that decides how items are grouped by key."""

    sizes: BagSizes
    """How large the bag is."""
    budget: Budget
    """What one worker may use."""
    staging: StagingFacts
    """Where items are staged."""
    npartitions: int | None
    """The user's number of partitions; None to derive it."""
    self_made: bool
    """Whether each partition is made by its own task alone."""
    split_large_groups: bool
    """Whether a group that is too large for a partition is returned in several pieces."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BagLimit:
    """What a plan promises of output partitions."""

    partitions: int
    """How many there are."""
    nbytes: int
    """Bytes of the largest one, as Python objects."""
    split_large_groups: bool
    """Whether a group that is larger is returned in pieces."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BagRun:
    """What the engine does to group a bag."""

    directory: str
    """Where items are staged."""
    n_shards: int
    """Shards by the hash of a key."""
    group: int
    """Partitions of one stage task, where they have tasks of their own."""
    block_items: int
    """Items that are processed at once."""
    held_nbytes: int
    """What blocks that wait to be written may take."""
    limit: BagLimit
    """What output partitions may have."""
