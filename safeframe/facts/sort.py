"""The facts that the planner of a sort, or of a shuffle, uses, and how such a plan runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.facts.budget import Budget, StagingFacts
from safeframe.facts.estimate import Width
from safeframe.facts.files import SourceFiles
from safeframe.facts.frame import FrameProfile
from safeframe.facts.keys import Codes, Counts, PartitionKeys, ShuffleKeys
from safeframe.facts.layout import ShardLayout, StageTasks
from safeframe.facts.p2p import P2PDisk, P2PFacts, P2PSettings


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
    alignment: Alignment | None
    """Which keys partitions share, where they are in order already and a key has to be in one of them; None when they
    share none, or need not be apart."""
    p2p: P2PFacts | None
    """What P2P would meet; None where it is not gathered."""
    cuts: Codes | None = None
    """Codes, or places among the sampled keys, of the user's divisions, the last one's end included."""
    sources: SourceFiles | None = None
    """The files that the keys were read from; None where there are none that can be checked for changes."""

    @property
    def in_place_partitions(self) -> int:
        """Partitions of the result where no exchange is needed."""
        return len(self.quantiles.partition_rows if self.alignment is None else self.alignment.starts)

    @property
    def held_rows(self) -> int:
        """Rows of the partitions that one output partition touches at most, where none is exchanged."""
        largest = int(self.quantiles.partition_rows.max(initial=0))
        return largest if self.alignment is None else max(self.alignment.held_rows, largest)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KeyQuantiles:
    """Rows below each sampled key, and how wrong that can be.

    Each partition's keys were put in order and every so-manieth was taken, from
    a random start. The smallest and the largest key of each are there besides.

    The sample stays in the process that took it: what is pickled of it are
    counts of rows. A plan and its router have all that a run needs.
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
    row_nbytes: float | None = None
    """Bytes that count as a row in ``rows``, ``below`` and ``below_error``, where these were weighed; None where each row
    counts as one."""

    @property
    def key_rows(self) -> int:
        """Rows that have a key."""
        return self.total_rows - self.null_rows

    @classmethod
    def of_rows(cls, partition_rows: Counts, null_rows: int = 0) -> KeyQuantiles:
        """Return the rows of partitions alone, where no keys are read."""
        nothing = np.empty(0)
        return cls(
            codes=np.empty(0, np.uint64),
            rows=nothing,
            below=nothing,
            below_error=nothing,
            total_rows=int(partition_rows.sum()),
            null_rows=null_rows,
            values=None,
            partitions=None,
            partition_rows=partition_rows,
        )

    def __reduce__(self) -> tuple[object, ...]:
        return KeyQuantiles.of_rows, (self.partition_rows, self.null_rows)

    def __dask_tokenize__(self) -> tuple[object, ...]:
        # The router that is made of the sample is next to it wherever it tells expressions apart.
        return ("KeyQuantiles", self.null_rows, self.partition_rows.tobytes())


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
    strategy: str | None
    """The user's strategy; None to choose."""
    p2p: P2PFacts | None
    """What P2P would meet; None where it is not gathered."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Alignment:
    """Output partitions of a frame that is in order, each with the input partitions it touches."""

    starts: Codes
    """First code of each output partition, ascending."""
    last: int
    """The largest code."""
    first_input: npt.NDArray[np.int64]
    """The first input partition of each output partition."""
    after_input: npt.NDArray[np.int64]
    """The first input partition behind it."""
    held_rows: int
    """Rows of all input partitions that an output partition touches, at most."""

    def moves(self, n_inputs: int) -> bool:
        """Whether any row changes its partition, or an empty partition goes."""
        return len(self.starts) != n_inputs or bool((self.after_input - self.first_input > 1).any())


@dataclass(frozen=True, kw_only=True, slots=True)
class RangeFigures:
    """Where an order is cut into ranges, and the rows of these."""

    layout: ShardLayout
    """The shards and cells."""
    first_keys: npt.NDArray[np.int64]
    """For each shard of keys, the number of the sampled key that it begins with."""
    largest_rows: int
    """Upper bound of the rows of a cell."""
    mean_rows: float
    """Rows of a cell, on average."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StagedShards:
    """Shards as they are staged where output partitions are too large to be ordered at once."""

    layout: ShardLayout
    """The shards; each lies in one of those that the partitions are cut into."""
    firsts: npt.NDArray[np.int64]
    """For each shard of the partitions, the first of these that lies in it; one more than there are such shards."""
    largest_rows: int
    """Upper bound of the rows of one that is put in order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InPlaceSort:
    """Partitions are in order, and share no key that has to be in one of them: they stay."""

    partitions: PartitionKeys
    """Rows and key range of each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AlignedSort:
    """Partitions are in order: the rows of a key that some of them share go to the first of these."""

    partitions: PartitionKeys
    """Rows and key range of each."""
    alignment: Alignment
    """Which input partitions each output partition reads."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StagedSort:
    """Rows pass through files, into ranges of the order."""

    directory: str
    """Where they are staged."""
    figures: RangeFigures
    """The ranges."""
    group: StageTasks
    """How partitions are given to stage tasks."""
    shards: StagedShards | None = None
    """Narrower ranges, in which rows are staged and put in order; None for the same."""

    @property
    def staged(self) -> ShardLayout:
        """The shards that rows are staged in."""
        return self.figures.layout if self.shards is None else self.shards.layout


@dataclass(frozen=True, kw_only=True, slots=True)
class P2PSort:
    """dask's P2P moves rows into ranges of the order."""

    figures: RangeFigures
    """The ranges."""
    settings: P2PSettings
    """Buffers that the workers are held to."""


SortWay: TypeAlias = InPlaceSort | AlignedSort | StagedSort | P2PSort
"""The ways in which rows come into an order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SortRun:
    """How a sort, or an index, runs."""

    way: SortWay
    """How rows come into their order."""


@dataclass(frozen=True, slots=True)
class UnsortedRun:
    """dask makes a column the index, of rows that stay in the order that they have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StagedShuffle:
    """Rows pass through files, into shards by the hash of their key."""

    directory: str
    """Where they are staged."""
    layout: ShardLayout
    """The shards."""
    group: StageTasks
    """How partitions are given to stage tasks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class P2PShuffle:
    """dask's P2P moves rows to shards by the hash of their key."""

    settings: P2PSettings
    """Buffers that the workers are held to."""
    disk: P2PDisk
    """The file system with the least room for what is written there."""
    oversized_key: str
    """The key that is larger than a partition was to be, in words; empty where there is none."""


ShuffleWay: TypeAlias = StagedShuffle | P2PShuffle
"""The ways in which rows of a key come together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShuffleRun:
    """How a shuffle by key runs."""

    way: ShuffleWay
    """How rows of a key come together."""
