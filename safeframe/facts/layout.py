"""How the rows of a join are divided: shards by key, cells by row number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from safeframe.facts.exchange import ExchangeSize
from safeframe.facts.keys import Codes, Counts
from safeframe.units import format_count


@dataclass(frozen=True, kw_only=True, slots=True)
class StageTasks:
    """How partitions are given to stage tasks."""

    partitions: int = 1
    """Partitions of one task, where each is made by its own task alone."""
    held_nbytes: int | None = None
    """Bytes that rows which wait to be written may take, their order included; None for no bound."""
    slice_nbytes: int | None = None
    """Bytes of a partition that are taken at a time; None for all of it."""
    by_columns: bool = False
    """Whether a few columns of a file are read at a time, since pages of all of them take too much."""
    columns_nbytes: int = 0
    """Bytes of the files in which these wait for other columns, of all tasks that run at once."""
    again_nbytes: int = 0
    """Bytes of pieces of a coarse shard that are taken at a time, where there is a second level."""
    again_held_nbytes: int = 0
    """Bytes that its rows may take while they wait to be written again."""
    size: ExchangeSize | None = None
    """Files, levels and pieces of the exchange that they are of; None where it is of one level whatever its size."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ShardLayout:
    """Shards are ranges of codes; a cell is a row range of one shard's virtual join.

    Shard ``s`` holds the codes from ``starts[s]`` on, up to ``starts[s + 1]``.
    The first start is 0 and the last shard has no end. When ``null_shard`` is
    set, one more shard, the last, holds the null keys.
    """

    starts: Codes
    """First code of each shard that has codes; ascending, the first is 0."""
    single_key: npt.NDArray[np.bool_]
    """Whether a shard (the null shard included) holds one key only, so that its rows need no order."""
    cells: npt.NDArray[np.int64]
    """Output partitions per shard (the null shard included); 0 where nothing can come out."""
    null_shard: bool
    """Whether there is a shard of null keys."""
    empty: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]] | None = None
    """Which shards the left and the right side of a join had no rows for when they were counted; None where that is
    not known."""

    @classmethod
    def of_hashes(cls, n: int) -> ShardLayout:
        """Return the layout of shards by hash, of which each is an output partition."""
        return cls(
            starts=np.arange(n, dtype=np.uint64),
            single_key=np.zeros(n, np.bool_),
            cells=np.ones(n, np.int64),
            null_shard=False,
        )

    @property
    def n_shards(self) -> int:
        """Shards, the null shard included."""
        return len(self.starts) + int(self.null_shard)

    @property
    def in_words(self) -> str:
        """How many shards there are, and how many of them one key has to itself, where one has."""
        alone = int(self.single_key.sum())
        of_one_key = f", {format_count(alone)} of them for one key alone" if alone else ""
        return f"{format_count(self.n_shards)} shards{of_one_key}"

    def holds_nulls(self, shard: int) -> bool:
        """Whether a shard is that of null keys."""
        return self.null_shard and shard == self.n_shards - 1

    @property
    def n_cells(self) -> int:
        """Output partitions of all shards."""
        return int(self.cells.sum())

    def empty_of(self, side: str) -> npt.NDArray[np.bool_] | None:
        """Return which shards the ``"left"`` or the ``"right"`` side had no rows for, or None."""
        return None if self.empty is None else self.empty[side == "right"]

    def cell_location(self, cell: int) -> tuple[int, int, int]:
        """Find a cell: its shard, its number within the shard, and the shard's cells.

        Examples
        --------
        >>> layout = ShardLayout(
        ...     starts=np.array([0, 10], "uint64"),
        ...     single_key=np.array([False, False]),
        ...     cells=np.array([2, 3]),
        ...     null_shard=False,
        ... )
        >>> layout.cell_location(4)
        (1, 2, 3)
        """
        ends = np.cumsum(self.cells)
        shard = int(np.searchsorted(ends, cell, side="right"))
        first = int(ends[shard] - self.cells[shard])
        return shard, cell - first, int(self.cells[shard])


Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TouchedParts:
    """The partitions of one side that the cells of each shard read.

    Those of shard ``s`` are entries ``offsets[s]`` to ``offsets[s + 1]`` of the
    other arrays, in the order in which their rows are joined. Which rows of them
    a cell reads follows from its number: nothing here grows with the result.
    """

    offsets: Numbers
    """Where each shard's entries begin; one more than there are shards."""
    parts: Numbers
    rows: Numbers
    """Rows of the shard's one key (or of its nulls) in the partition; -1 for a shard of several keys."""

    def of_shard(self, shard: int) -> slice:
        """Return the entries of a shard."""
        return slice(int(self.offsets[shard]), int(self.offsets[shard + 1]))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OrderedLayout:
    """What the cells of a join in key order read of either side, beyond their shards."""

    left: TouchedParts | None
    """Of the left side; None when its rows are moved."""
    right: TouchedParts | None
    """Of the right side; None when its rows are moved."""
    left_rows: Counts
    """Left rows of each shard; of use for shards of one key alone."""
    right_rows: Counts
    """Right rows of each shard."""
