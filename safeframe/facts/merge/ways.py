"""How a merge runs, and how its files are written: what the planner hands to the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, assert_never

import numpy as np
import numpy.typing as npt

from safeframe.facts.layout import OrderedLayout, ShardLayout, StageTasks
from safeframe.facts.merge.facts import KeyTable, MergeEstimate
from safeframe.facts.p2p import P2PSettings
from safeframe.facts.step import Cost, Step


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class WritePlan:
    """Files whose rows are never made: blocks of both sides, and where each of their rows stands."""

    reason: str
    """Why that is worth it, with figures."""
    layout: ShardLayout
    """The shards, and the files of each."""
    right_slices: npt.NDArray[np.int64]
    """Parts of the right side, for each shard, that its files have one of; 1 but for keys that fill a shard."""
    group_rows: int
    """Rows that a row group may have."""
    file_nbytes: int
    """Bytes of all files, before compression: an upper bound but for strings of unknown length."""
    steps: tuple[Step, ...]
    """Kinds of tasks, in the order in which they run."""
    staging_nbytes: int
    """Bytes that pass through the staging directory."""
    staging_directory: str
    """Where rows are staged."""
    staging_free_nbytes: int | None
    """Free bytes there; None when that cannot be known."""
    stage_tasks: tuple[StageTasks, StageTasks] = (StageTasks(), StageTasks())
    """How the partitions of the left and of the right side are given to stage tasks."""

    def __dask_tokenize__(self) -> tuple[object, ...]:
        # Without the free bytes, of which there are others at every moment: the same call is to make the same merge.
        layout = self.layout
        arrays = layout.starts, layout.single_key, layout.cells, *(layout.empty or ()), self.right_slices
        return (
            "WritePlan",
            self.reason,
            layout.null_shard,
            tuple(array.tobytes() for array in arrays),
            self.group_rows,
            self.file_nbytes,
            repr(self.steps),
            self.staging_nbytes,
            self.staging_directory,
        )

    @property
    def files(self) -> int:
        """Files in all."""
        return self.layout.n_cells

    def file_location(self, number: int) -> tuple[int, tuple[int, int], tuple[int, int]]:
        """Find a file: its shard, which part of the left side of how many, and which of the right side.

        Only shards of one key are divided by both sides; of others, the two
        numbers of the left side divide the row groups.
        """
        shard, part, parts = self.layout.cell_location(number)
        across = int(self.right_slices[shard])
        return shard, (part // across, parts // across), (part % across, across)


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderedMerge:
    """Output partitions in key order: of partitions that stay, and of staged shards of each side that does not."""

    layout: ShardLayout
    """How rows are divided."""
    ordered: OrderedLayout
    """What output partitions read of the sides that stay."""
    tasks: dict[str, StageTasks]
    """How each side that does not stay is staged, by its name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BroadcastMerge:
    """Every worker holds one side whole; the other one's partitions stay."""

    build_side: str
    """The side that is held: ``"left"`` or ``"right"``."""
    pieces: tuple[int, ...] = ()
    """Output partitions of each partition of the other side; empty where each is one."""
    again: bool = False
    """Whether a partition that is cut is made again for each of its pieces, rather than once and held for them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SlicedMerge:
    """Every worker holds one side whole; the other one's partitions are read in slices, and each becomes a file."""

    build_side: str
    """The side that is held: ``"left"`` or ``"right"``."""
    slice_nbytes: int
    """Bytes of a slice, about, and of what is written at once."""
    piece_rows: int
    """Rows of a slice that are joined at once."""
    by_columns: bool
    """Whether a few columns are read at a time."""
    directory: str | None
    """Where columns wait for others; None for the worker's own directory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyRange:
    """Keys that one task has all rows of, where both sides are in key order."""

    low: int
    """Its smallest code."""
    after: int | None
    """The code behind its largest one; None for the last range."""
    left: tuple[int, ...]
    """Partitions of the left side that hold keys of it, in order."""
    right: tuple[int, ...]
    """Partitions of the right side."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RangesMerge:
    """Both sides are in key order: each range of keys is read on both in slices, side by side, and becomes a file."""

    ranges: tuple[KeyRange, ...]
    """All keys, in order."""
    slice_nbytes: int
    """Bytes of a slice of either side, about, and of what is written at once."""
    piece_rows: int
    """Rows of the result that are made at once."""
    by_columns: tuple[bool, bool]
    """Whether a few columns are read at a time, of the left and of the right side."""
    directory: str | None
    """Where columns wait for others; None for the worker's own directory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SlicedWrite:
    """Files that are made slice by slice: of partitions joined with a side that is held, or of ranges of keys."""

    reason: str
    """Why that can be done, with figures."""
    way: SlicedMerge | RangesMerge
    """How rows of both sides come together."""
    steps: tuple[Step, ...]
    """Kinds of tasks, in the order in which they run."""
    files: int
    """Files in all."""
    largest_rows: int
    """Rows of the largest one, at most."""
    cost: Cost
    """What moves."""
    staging_nbytes: int = 0
    """Bytes of columns that wait for others in the directory of :attr:`way` while files are read."""
    staging_free_nbytes: int | None = None
    """Free bytes there; None when that is not known."""

    @property
    def strategy(self) -> str:
        """The strategy of the ladder that it is a form of."""
        return "broadcast" if isinstance(self.way, SlicedMerge) else "sorted"


@dataclass(frozen=True, kw_only=True, slots=True)
class TableMerge:
    """One side is a memory-mapped table; the other one's partitions stay."""

    table: KeyTable
    """Where the rows of each key are found."""
    tasks: StageTasks
    """How the side that it is made of is staged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StagedMerge:
    """The rows of both sides pass through files."""

    layout: ShardLayout
    """How rows are divided."""
    tasks: dict[str, StageTasks]
    """How each side is staged, by its name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class P2PMerge:
    """dask's P2P moves the rows of both sides between the workers."""

    layout: ShardLayout
    """How rows are divided."""
    settings: P2PSettings
    """Buffers that the workers are held to."""


MergeWay: TypeAlias = (
    OrderedMerge | BroadcastMerge | SlicedMerge | RangesMerge | TableMerge | StagedMerge | P2PMerge
)
"""The ways in which rows of both sides come together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeRun:
    """How a merge runs."""

    estimate: MergeEstimate
    """What the key statistics say of the result."""
    way: MergeWay
    """How rows of both sides come together."""
    write: WritePlan | str
    """How ``to_parquet`` writes the result without its rows, or why it has to make them."""
    sliced: SlicedWrite | None = None
    """How ``to_parquet`` writes its rows, where that is not partition by partition."""

    @property
    def layout(self) -> ShardLayout | None:
        """How rows are divided by their keys; None where partitions stay as they are."""
        match self.way:
            case OrderedMerge() | StagedMerge() | P2PMerge():
                return self.way.layout
            case BroadcastMerge() | SlicedMerge() | RangesMerge() | TableMerge():
                return None
            case _:
                assert_never(self.way)

    @property
    def table(self) -> KeyTable | None:
        """The table in which rows of one side are looked up; None where there is none."""
        return self.way.table if isinstance(self.way, TableMerge) else None

    @property
    def build_side(self) -> str | None:
        """The side that every worker has all of; None where there is none."""
        match self.way:
            case BroadcastMerge() | SlicedMerge():
                return self.way.build_side
            case TableMerge():
                return self.way.table.build_side
            case OrderedMerge() | RangesMerge() | StagedMerge() | P2PMerge():
                return None
            case _:
                assert_never(self.way)
