"""How a merge is written to parquet without its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from safeframe.facts.layout import ShardLayout

if TYPE_CHECKING:
    from safeframe.facts.plan.plan import Step

__all__ = ["WritePlan"]


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

    def __dask_tokenize__(self) -> tuple[object, ...]:
        return (
            "WritePlan",
            self.layout.__dask_tokenize__(),
            self.right_slices.tobytes(),
            self.group_rows,
            self.staging_directory,
        )
