"""What a sample of a frame's keys, evenly spaced in their order, says of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.facts.keys import Codes, Counts, PartitionKeys

__all__ = ["KeyQuantiles"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KeyQuantiles:
    """Rows below each sampled key, and how wrong that can be.

    Each partition's keys were put in order and every so-manieth was taken, so
    that a taken key stands for the rows since the one before it. A partition
    misplaces a key by less than one such step, whatever its data.
    """

    codes: Codes
    """Distinct sampled keys, ascending. Where the order has no codes of its own,
    ``2 * i + 1`` for row ``i`` of ``values``."""
    below: npt.NDArray[np.float64]
    """Rows with a smaller key than each sampled one."""
    below_error: npt.NDArray[np.float64]
    """Bound of the error of ``below``: of half a step of each partition that has keys on both
    sides, and where these are many, of what independent errors pass once in 10⁸ times."""
    own_rows: Counts
    """Rows that are certain to have this very key."""
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

    @property
    def key_rows(self) -> int:
        """Rows that have a key."""
        return self.total_rows - self.null_rows
