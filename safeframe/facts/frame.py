"""What is known about the size of a frame."""

from __future__ import annotations

from dataclasses import dataclass

from safeframe.facts.estimate import Estimate

__all__ = ["ColumnProfile", "FrameProfile"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnProfile:
    """Bytes that one row of a column takes."""

    name: str
    """The column."""
    dtype: str
    """Its pandas dtype, as text."""
    row_nbytes: float
    """Mean bytes per row in memory, deep."""
    exact: bool
    """Whether every row takes just that (fixed-width types), or it was sampled."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameProfile:
    """Rows and bytes of a frame and of its partitions."""

    columns: tuple[ColumnProfile, ...]
    """Columns in frame order; the index is not among them."""
    index_row_nbytes: float
    """Bytes per row of the index; 0 for a plain range."""
    partitions: int
    """Number of partitions."""
    rows: Estimate
    """Rows of the frame."""
    largest_partition_rows: Estimate
    """Rows of the largest partition."""

    @property
    def row_nbytes(self) -> float:
        """Bytes per row in memory, all columns, index left out."""
        return sum(column.row_nbytes for column in self.columns)

    @property
    def exact_widths(self) -> bool:
        """Whether every column has a fixed width."""
        return all(column.exact for column in self.columns)

    @property
    def nbytes(self) -> Estimate:
        """Bytes of the frame in memory."""
        return self.rows.scaled(self.row_nbytes)

    @property
    def largest_partition_nbytes(self) -> Estimate:
        """Bytes of the largest partition in memory."""
        return self.largest_partition_rows.scaled(self.row_nbytes)
