"""How large a frame and each of its partitions are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from safeframe.facts.estimate import Estimate
from safeframe.facts.frame import FrameProfile
from safeframe.facts.keys import Counts
from safeframe.units import format_count, format_nbytes

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
    def nbytes(self) -> Estimate:
        """Bytes of the frame in memory; an estimate where a column's width was sampled."""
        nbytes = int(self.rows.expected * self.row_nbytes)
        if self.profile.exact_widths:
            return Estimate.computed(nbytes)
        fixed = self.profile.index_row_nbytes + sum(c.row_nbytes for c in self.profile.columns if c.exact)
        return Estimate(
            lower=int(self.rows.expected * fixed),
            expected=nbytes,
            upper=2 * nbytes,
            method="sample",
            exact=False,
        )

    @property
    def partition_nbytes(self) -> npt.NDArray[np.int64]:
        """Bytes of each partition in memory, in partition order."""
        return (self.partition_rows * self.row_nbytes).astype(np.int64)

    @property
    def largest_partition_nbytes(self) -> int:
        """Bytes of the largest partition in memory."""
        return int(self.partition_nbytes.max(initial=0))

    @property
    def skew(self) -> float:
        """Rows of the largest partition for each row of a mean one; 1.0 when all are alike."""
        mean = self.rows.expected / max(1, len(self.partition_rows))
        return float(self.partition_rows.max(initial=0)) / mean if mean else 1.0

    def __str__(self) -> str:
        about = "" if self.profile.exact_widths else "about "
        empty = int((self.partition_rows == 0).sum())
        return (
            f"{format_count(self.rows.expected)} rows, {about}{format_nbytes(self.nbytes.expected)} in memory "
            f"({self.row_nbytes:.4g} B a row)\n"
            f"  {format_count(len(self.partition_rows))} partitions, {format_count(empty)} of them empty; the largest "
            f"has {format_count(self.partition_rows.max(initial=0))} rows, {about}"
            f"{format_nbytes(self.largest_partition_nbytes)}: {self.skew:.3g} times the mean"
        )
