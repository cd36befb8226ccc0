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

    Each partition's keys were put in order and every so-manieth was taken, from
    a random start. The smallest and the largest key of each are there besides.
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

    @property
    def key_rows(self) -> int:
        """Rows that have a key."""
        return self.total_rows - self.null_rows
