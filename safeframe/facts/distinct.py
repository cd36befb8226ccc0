"""The facts that the planner of distinct keys uses, and how rows whose key was met before are found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from safeframe.facts.budget import Budget, StagingFacts
from safeframe.facts.estimate import Estimate, Width
from safeframe.facts.frame import FrameProfile, FrameSource
from safeframe.facts.keys import Counts, ShuffleKeys
from safeframe.facts.layout import StageTasks

Keep = Literal["first", "last", False]
"""Which row of a key stays: its first, its last, or none of those that have a key in common."""

Wanted = Literal["rows", "marks", "count"]
"""What is made: the rows that stay, a mark for each row whether it goes, or the number of keys."""

ROW_BITS = 40
"""Low bits of the number of a row in its frame: its place in its partition. The bits above are the partition's number,
of which 63 bits have room for eight million; a partition of 2⁴⁰ rows is larger than any memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DistinctFacts:
    """Everything that decides how distinct keys are found."""

    recipe: str
    keep: Keep
    wanted: Wanted
    keys: ShuffleKeys
    """Rows per key."""
    distinct: Estimate
    """Number of distinct keys; one for all rows without a key."""
    kept: Estimate
    """Number of rows that stay."""
    partition_rows: Counts
    """Rows of each input partition."""
    key_row_nbytes: float
    """Bytes of the key columns of one row; as they bound rather than expect it."""
    source: FrameSource
    """How the key columns come about."""
    profile: FrameProfile
    """Of the frame that is filtered."""
    output_width: Width
    """Bytes of one row of the result, its index with it, and how well they are known."""
    budget: Budget
    """What one worker may use."""
    staging: StagingFacts
    """Where keys are staged."""
    strategy: str | None
    """The user's strategy; None to choose."""
    uncounted: str
    """Why the number of keys is not known yet, where that is asked for; empty where it is."""
    apart: str
    """Why the rows of a key may lie in several partitions; empty where they do not."""
    keys_alone: bool
    """Whether key columns are read alone; otherwise they come with all columns of their partition."""
    waits: bool
    """Whether partitions are made by tasks that need others, so that each waits until its rows are known."""
    unparked: str
    """Why a partition cannot wait in a file; empty where it can."""

    @property
    def rows(self) -> int:
        """Rows of the frame."""
        return int(self.partition_rows.sum())


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """All keys were counted when the plan was made, and differ where their codes do."""


@dataclass(frozen=True, slots=True)
class WholeKeys:
    """All rows of a key are in one partition: each is looked at alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyTree:
    """There are few keys: each partition's are joined with those of its neighbours, until all are in one task."""

    group: int
    """Partitions of one task, where each is made by its own task alone."""
    slice_nbytes: int
    """Bytes of a partition's keys that are taken at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StagedKeys:
    """Keys pass through files, into shards by their hash, and the numbers of rows come back."""

    directory: str
    """Where they are staged."""
    n_shards: int
    """Shards."""
    group: StageTasks
    """How partitions are given to stage tasks."""
    reduced: bool
    """Whether a stage task leaves out keys that it has met."""
    names_kept: bool
    """Whether the rows that stay are named, rather than those that go: whichever are fewer."""
    shards_at_once: int
    """Shards that a task reads, one after the other, to write the numbers of their rows into one file."""
    held_nbytes: int
    """Bytes that these numbers may take while they wait to be written."""
    parked: bool = False
    """Whether whole partitions wait in files until their rows are known."""


DistinctWay: TypeAlias = KnownKeys | WholeKeys | KeyTree | StagedKeys
"""The ways in which rows of a key are found."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputSlices:
    """How much of a partition is taken at a time, where its rows go to a file."""

    nbytes: int
    """Bytes of a slice."""
    by_columns: bool
    """Whether a few columns of a file are read at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DistinctRun:
    """How distinct keys are found."""

    way: DistinctWay
    """How rows of a key are found."""
    distinct: Estimate
    """Number of distinct keys."""
    rows: int
    """Rows of the frame."""
    slices: OutputSlices | None = None
    """How partitions are read whose rows go to files; None where they are made whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CountRun:
    """How the distinct values of columns are counted."""

    columns: tuple[DistinctRun, ...]
    """One entry per column."""
