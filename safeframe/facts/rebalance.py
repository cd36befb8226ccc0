"""What is known of a frame's partitions before they are rebalanced, and how they are rebalanced."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from safeframe import options
from safeframe.facts.budget import Budget, StagingFacts
from safeframe.facts.estimate import Estimate, Method
from safeframe.facts.frame import FrameSource
from safeframe.facts.keys import Counts


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PartitionSizes:
    """Rows and bytes of each partition, and places where the frame may be cut.

    Rows are numbered through the whole frame. Bytes are upper bounds, and
    exact but for what a joined index and Arrow's padding add.
    """

    rows: Counts
    """Rows of each partition."""
    nbytes: Counts
    """Bytes of each partition in memory, strings and objects deep, index included."""
    row_nbytes: float | None
    """Bytes of every row, index included; None where rows differ."""
    frame_nbytes: int
    """Bytes of an output partition that no row accounts for (an index's own, categories)."""
    piece_nbytes: int
    """Bytes that each input partition adds to an output that has rows of it (Arrow's padding)."""
    place_rows: Counts
    """Row numbers of the places, ascending; every partition's start and the frame's end are among them."""
    place_nbytes: Counts
    """Bytes of all rows before each place, with ``piece_nbytes`` for each partition begun."""
    keys: tuple[Any, ...] | None
    """The index value that begins at each place, None inside a value; None when not requested."""
    method: Method
    """Where the figures come from."""

    @property
    def total_rows(self) -> int:
        """Rows of the frame."""
        return int(self.rows.sum())

    @property
    def output_nbytes(self) -> Estimate:
        """Bytes of all partitions once rows are cut and joined: exact where all rows take the same."""
        total = self.total_nbytes
        if self.row_nbytes is not None and float(self.row_nbytes).is_integer():
            return Estimate.computed(total, method=self.method)
        # A row's null bits count as bytes, up to one of nine, and each piece with all that it may add.
        least = int(total * options.REBALANCE_LEAST_FRACTION) - self.piece_nbytes * len(self.rows)
        return Estimate(lower=max(0, least), expected=total, upper=total, method=self.method, exact=False)

    @property
    def total_nbytes(self) -> int:
        """Bytes of the frame."""
        return int(self.place_nbytes[-1])

    @property
    def bounds(self) -> Counts:
        """The row number at which each partition begins, and the number of rows."""
        return np.concatenate([[0], np.cumsum(self.rows)]).astype(np.int64)


@dataclass(frozen=True, slots=True)
class UntouchedPartitions:
    """The input partitions are the output."""


@dataclass(frozen=True, slots=True)
class JoinedPartitions:
    """Each output partition is joined from input partitions, or slices of them, by its own task."""


@dataclass(frozen=True, slots=True)
class StagedPartitions:
    """Rows pass through files."""

    directory: str
    """Where they are staged."""
    in_slices: tuple[int, ...]
    """Numbers of the input partitions that are read in slices, because a task cannot hold them."""
    by_columns: bool = False
    """Whether a few of their columns are read at a time."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RebalanceLayout:
    """Where the input partitions were cut, and where the output partitions begin."""

    bounds: Counts
    """Row numbers: the first row of each input partition, and the number of rows."""
    cuts: Counts
    """Row numbers: the first row of each output partition, and the number of rows."""
    divisions: tuple[Any, ...]
    """dask's divisions of the result; all None when they are not known."""

    @property
    def n_partitions(self) -> int:
        """Output partitions."""
        return len(self.cuts) - 1

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, RebalanceLayout)
            and np.array_equal(self.bounds, other.bounds)
            and np.array_equal(self.cuts, other.cuts)
            and self.divisions == other.divisions
        )


RebalanceWay: TypeAlias = UntouchedPartitions | JoinedPartitions | StagedPartitions


@dataclass(frozen=True, kw_only=True, slots=True)
class RebalanceRun:
    """What the engine does to rebalance a frame."""

    layout: RebalanceLayout
    """Where the frame is cut."""
    way: RebalanceWay
    """How rows get to their output partitions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RebalanceFacts:
    """Everything that decides how a frame is rebalanced."""

    sizes: PartitionSizes
    budget: Budget
    """What one worker may use."""
    staging: StagingFacts
    """Where rows may be staged."""
    partition_nbytes: int | None
    """The user's bound for an output partition in bytes; None to derive one, or with ``npartitions``."""
    npartitions: int | None
    """The user's number of output partitions; None to go by bytes."""
    strategy: str | None
    """The user's strategy; None to choose."""
    divisions: tuple[Any, ...] | None
    """The input's divisions where they are known."""
    own_tasks: bool
    """Whether each input partition is made by a task that needs no other (a file to read)."""
    in_slices: bool
    """Whether an input partition can be read in slices (of parquet files, with steps that look at a row alone)."""
    source: FrameSource = field(default_factory=FrameSource)
    """What makes its partitions."""
    unstageable: str
    """Why rows cannot pass through files; empty when they can."""
