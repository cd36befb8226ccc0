"""How large a frame and each of its partitions are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from safeframe.facts.estimate import Estimate
from safeframe.facts.frame import FrameProfile
from safeframe.facts.interval_text import format_interval
from safeframe.facts.keys import Counts
from safeframe.facts.width import Width
from safeframe.units import format_count

__all__ = ["FrameEstimate"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FrameEstimate:
    """Rows and bytes of a frame, and how evenly its partitions share them.

    Examples
    --------
    >>> from safeframe.facts.frame import ColumnProfile
    >>> column = ColumnProfile(name="a", dtype="int64", row_nbytes=8.0, exact=True)
    >>> profile = FrameProfile(
    ...     columns=(column,),
    ...     index_row_nbytes=0,
    ...     partitions=2,
    ...     rows=Estimate.computed(40),
    ...     largest_partition_rows=Estimate.computed(30),
    ... )
    >>> estimate = FrameEstimate(profile=profile, partition_rows=np.array([10, 30]))
    >>> int(estimate.nbytes), estimate.partition_nbytes.tolist(), estimate.skew
    (320, [80, 240], 1.5)
    """

    profile: FrameProfile
    """Columns, and bytes per row."""
    partition_rows: Counts
    """Rows of each partition, in partition order."""

    @property
    def rows(self) -> Estimate:
        """Rows of the frame."""
        return self.profile.rows

    @property
    def row_nbytes(self) -> float:
        """Bytes of one row in memory, with its index."""
        return self.profile.row_nbytes + self.profile.index_row_nbytes

    @property
    def width(self) -> Width:
        """Bytes of one row in memory, with its index, and how well they are known."""
        return self.profile.width + self.profile.index_width

    @property
    def nbytes(self) -> Estimate:
        """Bytes of the frame in memory: an interval where a column's width, or the index', was sampled."""
        return self.width.of(self.rows)

    @property
    def partition_nbytes(self) -> npt.NDArray[np.int64]:
        """Bytes of each partition in memory, in partition order."""
        return (self.partition_rows * self.row_nbytes).astype(np.int64)

    @property
    def largest_partition_nbytes(self) -> int:
        """Bytes of the largest partition in memory."""
        return int(self.partition_nbytes.max(initial=0))

    @property
    def largest_partition(self) -> Estimate:
        """Bytes of the partition with the most rows, as :attr:`nbytes`."""
        return self.width.of(self.profile.largest_partition_rows)

    @property
    def skew(self) -> float:
        """Rows of the largest partition for each row of a mean one; 1.0 when all are alike."""
        mean = self.rows.expected / max(1, len(self.partition_rows))
        return float(self.partition_rows.max(initial=0)) / mean if mean else 1.0

    def __str__(self) -> str:
        empty = int((self.partition_rows == 0).sum())
        return (
            f"{format_count(self.rows.expected)} rows, {format_interval(self.nbytes)} in memory "
            f"({self.row_nbytes:.4g} B a row)\n"
            f"  {format_count(len(self.partition_rows))} partitions, {format_count(empty)} of them empty; the largest "
            f"has {format_count(self.partition_rows.max(initial=0))} rows, "
            f"{format_interval(self.largest_partition)}: {self.skew:.3g} times the mean"
        )
