"""What is known about the size of a frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from safeframe.errors import UnsupportedError
from safeframe.facts.estimate import Estimate, Width, about, added, format_interval
from safeframe.facts.keys import Counts
from safeframe.facts.notebook import frame_html
from safeframe.units import format_count, format_nbytes


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnProfile:
    """Bytes that one row of a column takes."""

    name: str
    """The column."""
    dtype: str
    """Its pandas dtype, as text."""
    row_nbytes: float
    """Mean bytes per row in memory, with strings and objects counted deep."""
    exact: bool
    """Whether every row has exactly this size (types of fixed width); otherwise it was sampled."""
    sampled: Width | None = None
    """The sampled width, if it is not exact."""
    unwritable: str = ""
    """What was found in it that cannot be restored from a file; empty when there was nothing."""

    @property
    def width(self) -> Width:
        """Bytes per row, and how well they are known."""
        if self.exact:
            return Width.fixed(self.row_nbytes)
        return Width.guessed(self.row_nbytes) if self.sampled is None else self.sampled


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A page of a parquet file."""

    path: str
    """The file."""
    row_group: int
    """The number of its row group in the file."""
    column: str
    """Its column."""
    nbytes: int
    """Its bytes before compression."""

    def __str__(self) -> str:
        return f"a page of {format_nbytes(self.nbytes)} of column {self.column!r} in row group {self.row_group} of {self.path}"


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameSource:
    """How the partitions of a frame come about, as far as it decides what staging them takes."""

    self_made: bool = False
    """Whether each partition is made by its own task alone, so that a stage task can make several."""
    fixed_width: bool = False
    """Whether all columns are numbers or times, which wait to be staged as rows side by side."""
    whole: str = "it is not known what makes it"
    """Why a partition has to be made whole; empty where it is read in slices."""
    reader_nbytes: int = 0
    """Bytes of pages, dictionaries and buffers while files are read in slices, all columns at once."""
    few_columns_nbytes: int = 0
    """The same where a few columns are read at a time."""
    largest_page: Page | None = None
    """The largest page of the files that were looked at."""
    group_rows: int = 0
    """Rows of their largest row group."""
    group_nbytes: int = 0
    """Bytes of the largest one once it is decoded, as far as footers tell."""


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
    source: FrameSource = FrameSource()
    """What makes its partitions."""

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
        """Return which column cannot pass through files, or P2P, and why; empty when all can."""
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
            msg = f"{self.unwritable}, which cannot be staged and restored unchanged."
            hint = "Cast the column to one type (str, float, …) before the recipe, or drop it."
            raise UnsupportedError(msg, hint=hint)

    @property
    def nbytes(self) -> Estimate:
        """Bytes of the frame in memory."""
        return self.width.of_all(self.rows)

    @property
    def largest_partition_nbytes(self) -> Estimate:
        """Bytes of the largest partition in memory."""
        return self.width.of(self.largest_partition_rows)


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
        return self.width.of_all(self.rows)

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
        """Rows of the largest partition for each row of a mean one; 1.0 when all are the same."""
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

    def __repr__(self) -> str:
        return (
            f"<FrameEstimate: {about(self.rows)}{format_count(self.rows.expected)} rows, "
            f"{format_nbytes(self.nbytes.expected)} in {format_count(len(self.partition_rows))} partitions, the largest "
            f"{self.skew:.3g} times the mean>"
        )

    def _repr_html_(self) -> str:
        return frame_html(self)
