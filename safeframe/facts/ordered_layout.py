"""Which rows of which partitions the cells of a join read, where a side is in key order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from safeframe.facts.keys import Counts

__all__ = ["OrderedLayout", "TouchedParts"]

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
    """Partition numbers."""
    rows: Numbers
    """Rows of the shard's one key (or of its nulls) in the partition; -1 for a shard of several keys."""

    def of_shard(self, shard: int) -> slice:
        """Return the entries of a shard."""
        return slice(int(self.offsets[shard]), int(self.offsets[shard + 1]))

    def __dask_tokenize__(self) -> tuple[object, ...]:
        arrays = (self.offsets, self.parts, self.rows)
        return ("TouchedParts", *(array.tobytes() for array in arrays))


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

    def __dask_tokenize__(self) -> tuple[object, ...]:
        sides = (None if side is None else side.__dask_tokenize__() for side in (self.left, self.right))
        return ("OrderedLayout", *sides, self.left_rows.tobytes(), self.right_rows.tobytes())
