"""What is known of a join before it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from safeframe.facts.budget import Budget, StagingFacts
from safeframe.facts.estimate import Estimate, Width, about, format_interval
from safeframe.facts.files import SourceFiles
from safeframe.facts.frame import FrameProfile
from safeframe.facts.keys import Codes, Counts, KeyStatistics
from safeframe.facts.notebook import merge_html
from safeframe.facts.p2p import P2PFacts
from safeframe.units import format_count, format_key, format_nbytes, shortened

How = Literal["inner", "left", "right", "outer", "leftsemi", "leftanti", "cross"]
"""Which rows of a join stay: ``leftsemi`` keeps left rows that have a match, once each, and ``leftanti`` those
that have none; ``cross`` pairs every row with every row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyFanout:
    """Rows of one key on both sides and in the result."""

    key: Any
    """The key's value; a tuple for several columns; None for null."""
    left_rows: int
    """Rows with that key on the left."""
    right_rows: int
    """Rows with that key on the right."""
    output_rows: int
    """Rows with that key in the result."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeEstimate:
    """Rows and bytes of a join, predicted from the keys alone."""

    how: How
    """Which rows are kept."""
    on: tuple[Any, ...]
    """The key names of the left side: None for an index without a name, empty for a cross join."""
    rows: Estimate
    """Rows of the result."""
    row_nbytes: float
    """Bytes of one result row in memory."""
    left_rows: int
    """Rows of the left side."""
    right_rows: int
    """Rows of the right side."""
    left_unmatched_rows: Estimate
    """Left rows whose key the right side lacks."""
    right_unmatched_rows: Estimate
    """Right rows whose key the left side lacks."""
    heaviest: tuple[KeyFanout, ...]
    """The keys with most rows in the result, heaviest first."""
    row_width: Width | None = None
    """How well ``row_nbytes`` is known; None where it is of fixed-width types alone."""
    keys: int | None = None
    """Different keys of both sides, at most; None where that was not computed."""

    @property
    def nbytes(self) -> Estimate:
        """Bytes of the result in memory: an interval if rows or bytes per row come from a sample."""
        return self.width.of(self.rows)

    @property
    def width(self) -> Width:
        """Bytes of a result row, with their interval."""
        return Width.fixed(self.row_nbytes) if self.row_width is None else self.row_width

    @property
    def left_missing(self) -> bool:
        """Whether the result may have rows without a left row."""
        return self.how in ("right", "outer") and self.right_unmatched_rows.upper > 0

    @property
    def right_missing(self) -> bool:
        """Whether the result may have rows without a right row."""
        return self.how in ("left", "outer") and self.left_unmatched_rows.upper > 0

    @property
    def fanout(self) -> float:
        """Result rows per row of the larger side."""
        return self.rows.expected / max(1, self.left_rows, self.right_rows)

    def __repr__(self) -> str:
        return (
            f"<MergeEstimate: {self.how} merge{shortened(_on(self.on), 80)}, {about(self.rows)}{format_count(self.rows.expected)} rows, "
            f"{format_nbytes(self.nbytes.expected)}, {self.fanout:,.1f} for each row of the larger side>"
        )

    def _repr_html_(self) -> str:
        return merge_html(self)

    def __str__(self) -> str:
        lines = [
            (
                f"{self.how} merge{_on(self.on)}: {about(self.rows)}{format_count(self.rows.expected)} rows, "
                f"{format_interval(self.nbytes)} in memory"
            ),
        ]
        if not self.rows.exact:
            lines.append(
                f"  between {format_count(self.rows.lower)} and {format_count(self.rows.upper)} rows"
            )
        lines.append(
            f"  from {format_count(self.left_rows)} left and {format_count(self.right_rows)} right rows: "
            f"{self.fanout:,.1f} rows out for each row of the larger side"
        )
        lines.extend(
            f"  key {format_key(key.key)}: {format_count(key.left_rows)} × {format_count(key.right_rows)} "
            f"→ {format_count(key.output_rows)} rows"
            for key in self.heaviest[:3]
        )
        return "\n".join(lines)


def _on(names: tuple[Any, ...]) -> str:
    return f" on {', '.join('the index' if name is None else str(name) for name in names)}" if names else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SideFacts:
    """One side of a merge."""

    keys: KeyStatistics
    """Rows per key, and each partition's key range."""
    profile: FrameProfile
    widths: RangeWidths | None = None
    """Bytes of a row by ranges of keys; None where rows are about as wide everywhere."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RangeWidths:
    """The mean bytes of a row in ranges of key codes."""

    starts: Codes
    """First code of each range, ascending, the first of them 0."""
    nbytes: npt.NDArray[np.float64]
    """Bytes of a row in each."""
    null_nbytes: float
    """Bytes of a row without a key."""

    def of(self, codes: Codes) -> npt.NDArray[np.float64]:
        """Return the bytes of a row of each of some codes."""
        return self.nbytes[np.searchsorted(self.starts, codes, side="right") - 1]


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyTable:
    """A table with a place for every code from the smallest key's to the largest key's, each key's once."""

    base: int
    """Code of the smallest key."""
    span: int
    """Places, from the smallest key's to the largest key's."""
    rows: int
    """Rows of the side: each has a place of its own."""
    build_side: str
    """The side: ``"left"`` or ``"right"``."""
    slice_nbytes: int = 2**24
    """Bytes that one task writes: few to hold, and enough to read their rows in few pieces."""

    def nbytes(self, row_nbytes: int) -> int:
        """Bytes of the table, with one more row, for keys that are missing."""
        return (self.span + 1) * row_nbytes

    def slice_places(self, row_nbytes: int) -> int:
        """Places of a slice, of which each is written by one task."""
        return max(1, self.slice_nbytes // row_nbytes)

    def n_slices(self, row_nbytes: int) -> int:
        """Slices of the table."""
        return -(-self.span // self.slice_places(row_nbytes))


@dataclass(frozen=True, kw_only=True, slots=True)
class TableFacts:
    """What decides whether rows of one side are looked up in a table."""

    keys: KeyTable
    """The table; the smallest that there can be, before keys are read."""
    build: FrameProfile
    """The side that would be in the table."""
    build_rows: Counts
    """Rows of each of its partitions."""
    probe: FrameProfile
    """The other one."""
    row_nbytes: int
    """Bytes of a row of the table."""
    output_row_nbytes: float
    """Bytes of a row of the result, as they bound rather than expect it."""
    budget: Budget
    """What one worker may use."""
    staging: StagingFacts
    """Where the table would be."""
    partition_nbytes: int | None
    """The user's target for an output partition in bytes; None to derive one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeFacts:
    """Everything that decides how a merge runs."""

    how: How
    left: SideFacts
    right: SideFacts
    estimate: MergeEstimate
    """Rows and bytes of the result."""
    budget: Budget
    """What one worker may use."""
    staging: StagingFacts
    """Where rows may be staged."""
    partition_nbytes: int | None
    """The user's target for an output partition in bytes; None to derive one."""
    strategy: str | None
    """The user's strategy; None to choose."""
    npartitions: int | None = None
    """Partitions that the user wants of the result, about; None to derive them."""
    may_broadcast: bool = True
    """Whether a side may be held whole by each worker."""
    ordered: bool = False
    """Whether the result has to be in key order, keys whole where they fit a partition."""
    index_is_key: bool = False
    """Whether the index of the result is the key: of partitions that rows are moved to, each is then a range of it."""
    p2p: tuple[P2PFacts, P2PFacts] | None = None
    """What P2P would meet on either side; None where it was not gathered."""
    p2p_refused: str = ""
    """Why P2P cannot carry a side; empty when it can."""
    table: TableFacts | str = "nobody looked whether one side has each key once"
    """A side that can be looked up in a table, in which case no keys are counted; or why none can."""
    sources: SourceFiles | None = None
    """The files that all this was read from; None where it was read from none that can be checked."""

    def __dask_tokenize__(self) -> tuple[object, ...]:
        # They are next to the plan that was made from them, whose token identifies them.
        return ("MergeFacts", self.how, self.left.keys.rows, self.right.keys.rows)
