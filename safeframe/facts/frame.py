"""What is known about the size of a frame."""

from __future__ import annotations

from dataclasses import dataclass

from safeframe.errors import UnsupportedError
from safeframe.facts.estimate import Estimate
from safeframe.facts.width import Width, added

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
    sampled: Width | None = None
    """What the sample says of a width that is not exact."""
    unwritable: str = ""
    """What was seen in it that files do not bring back as it was; empty when there was nothing."""

    @property
    def width(self) -> Width:
        """Bytes per row, and how well they are known."""
        if self.exact:
            return Width.fixed(self.row_nbytes)
        return Width.guessed(self.row_nbytes) if self.sampled is None else self.sampled


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
    index_sampled: Width | None = None
    """What the sample says of the index' width; None where that is fixed."""

    @property
    def width(self) -> Width:
        """Bytes per row in memory, all columns, index left out, and how well they are known."""
        return added(column.width for column in self.columns)

    @property
    def index_width(self) -> Width:
        """Bytes per row of the index, and how well they are known."""
        return Width.fixed(self.index_row_nbytes) if self.index_sampled is None else self.index_sampled

    @property
    def kept_index_width(self) -> Width:
        """The same once rows have moved: of a range, a number a row is left."""
        return self.index_width if self.index_row_nbytes else Width.fixed(8.0)

    @property
    def row_nbytes(self) -> float:
        """Bytes per row in memory, all columns, index left out."""
        return sum(column.row_nbytes for column in self.columns)

    @property
    def unwritable(self) -> str:
        """Say which column cannot pass through files, or P2P, and why; empty when all can."""
        return next(
            (
                f"Column {one.name!r} of dtype {one.dtype} holds {one.unwritable}"
                for one in self.columns
                if one.unwritable
            ),
            "",
        )

    def check_writable(self) -> None:
        """Refuse to move rows that would not come back as they were.

        Raises
        ------
        UnsupportedError
            With the column, and the type of the value that was seen.
        """
        if self.unwritable:
            msg = f"{self.unwritable}, which cannot be staged and brought back as it was."
            hint = "Cast the column to one type (str, float, …) before the recipe, or drop it."
            raise UnsupportedError(msg, hint=hint)

    @property
    def exact_widths(self) -> bool:
        """Whether every column has a fixed width."""
        return all(column.exact for column in self.columns)

    @property
    def nbytes(self) -> Estimate:
        """Bytes of the frame in memory."""
        return self.width.of(self.rows)

    @property
    def largest_partition_nbytes(self) -> Estimate:
        """Bytes of the largest partition in memory."""
        return self.width.of(self.largest_partition_rows)
