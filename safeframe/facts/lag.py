"""The facts that the planner of lag features uses, the neighbouring rows that partitions read, and how a plan runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from safeframe.facts.keys import Counts
from safeframe.facts.layout import StageTasks
from safeframe.facts.p2p import P2PSettings
from safeframe.facts.sort import RangeFigures, SortFacts


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GroupEdges:
    """How the groups of a frame lie over its partitions."""

    rows: Counts
    """Rows of each partition."""
    out_of_order: str
    """Why groups are not together, in order, from partition to partition; empty when they are."""
    head_rows: Counts
    """Rows of each partition's first group there."""
    tail_rows: Counts
    """Rows of its last group there."""
    goes_on: npt.NDArray[np.bool_]
    """Whether a partition's first group is the last one of the partition with rows before it."""


@dataclass(frozen=True, slots=True)
class HaloPiece:
    """Rows at an edge of a neighbouring partition."""

    partition: int
    rows: int
    """How many rows of its last, or first, ones."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Halo:
    """The neighbouring rows that each partition's shifted columns come from."""

    before: tuple[tuple[HaloPiece, ...], ...]
    """For each partition, pieces before it, in the order of the frame."""
    after: tuple[tuple[HaloPiece, ...], ...]
    """For each partition, pieces behind it."""
    tails: Counts
    """Last rows of each partition that some other one needs."""
    heads: Counts
    """First rows of each partition that some other one needs."""
    rows: Counts
    """Rows of each partition when it was planned."""

    def of_no_rows(self) -> Halo:
        """Return the same partitions, none of which needs rows of another one."""
        nothing = np.zeros(len(self.rows), np.int64)
        none: tuple[tuple[HaloPiece, ...], ...] = ((),) * len(self.rows)
        return Halo(before=none, after=none, tails=nothing, heads=nothing, rows=self.rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class LagFacts:
    """Everything that decides how lag features are made."""

    sort: SortFacts
    """Keys, sizes and budget of the exchange that brings groups together, where there is one."""
    before: int
    """Rows before a row that are read."""
    after: int
    """Rows behind a row that are read."""
    lags: int
    """Columns that are made."""
    needed_row_nbytes: float
    """Bytes of one row of the columns that are read."""
    apart: str
    """Why partitions cannot stay as those of whole groups; empty when they can."""
    edges: GroupEdges | None
    """How groups lie over partitions; None where it was not gathered, since they can stay whole."""
    across: bool
    """Whether an exchange cuts groups by the order of their rows, so that they go over several shards."""
    waits: bool
    """Whether partitions are made by tasks that need others, so that each waits in memory for rows of its neighbours."""
    by_p2p: bool
    """Whether partitions that hold whole groups come by P2P."""
    why: str
    """What else was found out of the frame, for the plan's reasons; empty when nothing was."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WholeGroups:
    """Groups are whole within partitions, which stay."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HaloGroups:
    """Rows are in the order of the groups: partitions stay, and read rows of their neighbours."""

    halo: Halo
    """Those rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StagedGroups:
    """Rows pass through files, into ranges of the order of the groups."""

    directory: str
    """Where they are staged."""
    figures: RangeFigures
    """The ranges."""
    group: StageTasks
    """How partitions are given to stage tasks."""
    across: bool
    """Whether groups are cut by the order of their rows, so that they go over several shards."""


@dataclass(frozen=True, kw_only=True, slots=True)
class P2PGroups:
    """dask's P2P moves rows into ranges of the order of the groups, each group whole."""

    figures: RangeFigures
    """The ranges."""
    settings: P2PSettings
    """Buffers that the workers are held to."""


LagWay: TypeAlias = WholeGroups | HaloGroups | StagedGroups | P2PGroups
"""The ways in which rows come to lie next to those of their group."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LagRun:
    """How columns are shifted within groups."""

    way: LagWay
    """How rows come to lie next to those of their group."""
