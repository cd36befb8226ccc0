"""The facts that the planner of a group-by uses, and how such a plan runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from safeframe.facts.budget import Budget, StagingFacts
from safeframe.facts.estimate import Estimate, Width
from safeframe.facts.frame import FrameProfile
from safeframe.facts.keys import Counts, ShuffleKeys
from safeframe.facts.layout import ShardLayout, StageTasks
from safeframe.facts.p2p import P2PFacts, P2PSettings
from safeframe.facts.sort import SortFacts, StagedSort


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupFacts:
    """Everything that decides how groups are made."""

    what: str
    """What is done with groups, in words."""
    keys: ShuffleKeys | None
    """Rows per key; None where rows of a key are together, and nobody counted them."""
    groups: Estimate
    """Number of groups."""
    partition_rows: Counts
    """Rows of each input partition."""
    profile: FrameProfile
    """Of the columns that are needed."""
    row_nbytes: float
    """Bytes of one row of these columns, the index with it where it is needed."""
    state_nbytes: float | None
    """Bytes of one row of partial states; None where groups are needed whole."""
    result_width: Width
    """Bytes of one row of the result."""
    rows_of_group: int
    """Rows of the result for each group."""
    rows_of_input: bool
    """Whether the result has rows of the input, or as many as a function of the user's makes, rather than one for each group."""
    together: str
    """Why rows of a key are in one partition already; empty where they are not known to be."""
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
    p2p: P2PFacts | None
    """What P2P would meet; None where it is not gathered."""
    keeps_rows: bool = False
    """Whether each row of the input has one in the result."""
    rows_of_state: int = 1
    """Rows of partial states for each group, at most; where they are several, they are rows of the group."""
    bounded: bool = False
    """Whether the number of groups is a bound by what files say of keys, which nobody counted."""
    fewer_rows: bool = False
    """Whether a filter may leave fewer rows than partitions are said to have."""
    ordered: OrderedFacts | str = "groups need not cross partitions"
    """What a sort by keys and values would meet; or why there is none."""

    @property
    def result_nbytes(self) -> float:
        """Bytes of the result for each group, or for each row where it has rows of the input, as they bound rather than expect it."""
        of_rows = self.rows_of_input or self.rows_of_state > 1
        return self.result_width.bounding * (1 if of_rows else self.rows_of_group)

    @property
    def states(self) -> Estimate:
        """Rows of partial states, each group's together; of the result, as well, where these are rows of the group."""
        return self.groups if self.rows_of_state == 1 else self._rows_each(self.rows_of_state)

    @property
    def results(self) -> Estimate:
        """Rows of the result."""
        if self.rows_of_input:
            rows = int(self.partition_rows.sum())
            lower = rows if self.keeps_rows else 0
            return Estimate(lower=lower, expected=rows, upper=rows, method="computed", exact=self.keeps_rows)
        if self.rows_of_state > 1:
            return self._rows_each(self.rows_of_group)
        return self.groups if self.rows_of_group == 1 else self.groups.scaled(self.rows_of_group)

    def _rows_each(self, rows: int) -> Estimate:
        """Return the rows of all groups where each has so many, if it has them."""
        most, groups = int(self.partition_rows.sum()), self.groups
        return Estimate(
            lower=groups.lower,
            expected=min(groups.expected * rows, most),
            upper=min(groups.upper * rows, most),
            method=groups.method,
            exact=groups.exact and rows == 1,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderedFacts:
    """What decides how rows come into the order of keys and values."""

    sort: SortFacts
    """Of that order."""
    looks_up: bool
    """Whether parts are made again to take values out of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupsInPlace:
    """Rows of a key are in one partition: each partition is grouped by itself."""

    slice_rows: int | None = None
    """Rows that are grouped at a time, into partial states; None for all of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupTree:
    """Partial states of all groups, joined some at a time until one partition is left."""

    group: StageTasks
    """How partitions are given to tasks that make states."""
    fan_in: int
    """States that one task joins."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StagedGroups:
    """Rows, or partial states, pass through files, into shards by the hash of their key."""

    directory: str
    """Where they are staged."""
    layout: ShardLayout
    """The shards."""
    group: StageTasks
    """How partitions are given to stage tasks."""
    states: bool
    """Whether partial states are staged, rather than rows."""
    slice_nbytes: int | None
    """Bytes of a shard that are read at a time; None where groups are needed whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderedGroups:
    """Rows pass through files, into ranges of the order of keys and values, which may cut a group."""

    sort: StagedSort
    """How rows come into that order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class P2PGroups:
    """dask's P2P moves rows to shards by the hash of their key."""

    settings: P2PSettings
    """Buffers that the workers are held to."""


GroupWay: TypeAlias = GroupsInPlace | GroupTree | StagedGroups | OrderedGroups | P2PGroups
"""The ways in which rows of a group come together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupRun:
    """How a group-by runs."""

    way: GroupWay
    """How rows of a group come together."""
    input_rows: int
    """Rows of the frame."""
    fewer_rows: bool = False
    """Whether a filter may leave fewer."""
