"""Output partitions whose rows are addressed by number, so that whoever writes them need not hold them whole.

A task that makes an output partition of a recipe first has what its rows are
made of: a shard's rows and how they join, or their order. From there it makes
the partition, or, for a file, one stretch of rows after the other.

Covers: the rows of a cell, whole and in stretches; the limit that the tasks which make them hold partitions to.
Does not cover: how large partitions are planned to be (``planning``), groups of a bag (``engine.bag.cells``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe import options
from safeframe.engine.exchange.runs import run_of_task
from safeframe.engine.task import count_rows_out, warn_user
from safeframe.errors import MemoryBudgetError, PartitionSizeWarning
from safeframe.facts.layout import ShardLayout
from safeframe.facts.plan import Plan
from safeframe.kernels.columns.coded_text import as_text_nbytes
from safeframe.kernels.merge.text import TextTooLargeError
from safeframe.kernels.merge.virtual import cell_range
from safeframe.planning.parquet import stretch_nbytes
from safeframe.units import format_count, format_nbytes

_lock = threading.Lock()
_warned: set[PartitionLimit] = set()

_OTHER_ROWS = (
    "The input has changed since the plan was made, or has more keys than could be counted exactly: "
    "make the collection again, or raise the configuration value safeframe.key-capacity."
)
_LARGER_ROWS = (
    "The input has larger rows than when the plan was made: persist it, or write it to parquet, "
    "before it is rebalanced."
)
_LONGER_VALUES = (
    "Strings or objects are longer in some partitions than in the sampled ones: request a smaller "
    "partition_size=, or spread long rows over the partitions first."
)


def rows_nbytes(frame: pd.DataFrame, coded: Collection[Any] = ()) -> int:
    """Return the bytes of a frame's rows: strings and objects deep, and the index unless that is a range.

    Columns of text that came as categories, ``coded``, count as text: they may have to be made that.
    """
    with_index = not isinstance(frame.index, pd.RangeIndex)
    nbytes = int(frame.memory_usage(index=with_index, deep=True).sum())
    return nbytes + sum(as_text_nbytes(frame[name].array) for name in coded)


@dataclass(frozen=True, slots=True)
class PartitionLimit:
    """What a plan promises of each output partition."""

    largest_nbytes: int
    """Bytes of the largest one."""
    row_nbytes: float | None = None
    """Bytes that the plan takes a row for; None where it has measured rows, and partitions are measured."""
    possible_nbytes: int | None = None
    """Bytes of the largest one if its rows are as wide as the sample allows; None where widths are known."""
    task_nbytes: int = 0
    """What a task may use before a worker is above its limit."""
    stretch_nbytes: int = 0
    """Bytes of strings that rows may have which are made at once for a file; none are held to it where all widths are known."""
    whole: bool = True
    """Whether partitions are made whole, rather than in stretches."""

    @classmethod
    def of(cls, plan: Plan) -> PartitionLimit:
        """Return what a plan promises that knows the width of a row."""
        width, budget = plan.output_width, plan.budget
        free = budget.allowed_nbytes - budget.projected_worker_nbytes(0)
        # As a plan takes a stretch for, but a row group of the least size that is worth one.
        stretch = stretch_nbytes(plan.largest_possible_nbytes, max(0, budget.task_nbytes))
        return cls(
            plan.largest_partition_nbytes,
            # Where rows differ much, partitions are cut by bytes: those of narrow rows have many of them.
            plan.row_nbytes
            if width is None or not width.may_be_weighed
            else min(plan.row_nbytes, width.least),
            None if width is None or width.exact else plan.largest_possible_nbytes,
            max(0, free) // budget.threads_per_worker,
            max(stretch, options.ROW_GROUP_MIN_NBYTES),
            any(step.written is not None for step in plan.steps),
        )

    def passed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a finished partition, its rows counted, or refuse it for its size.

        Raises
        ------
        MemoryBudgetError
            When it is larger than promised, or, where widths were sampled, has more bytes than a task
            may use.

        Warns
        -----
        PartitionSizeWarning
            When it has more bytes than the sample allows, once a process.
        """
        if self.row_nbytes is None:
            self._check(len(frame), int(frame.memory_usage(index=True, deep=True).sum()))
        if self.possible_nbytes is not None:
            self._check_rows(len(frame))
            nbytes = self.values_nbytes(frame)
            self.pass_values(len(frame), nbytes, held_nbytes=nbytes)
        self.pass_rows(len(frame))
        return frame

    def pass_rows(self, rows: int) -> None:
        """Count the rows of a finished partition, or refuse it for their number; see :meth:`passed`."""
        self._check_rows(rows)
        count_rows_out(rows)

    def _check_rows(self, rows: int) -> None:
        if self.row_nbytes is not None:
            self._check(rows, int(rows * self.row_nbytes), self.row_nbytes)

    def _check(self, rows: int, nbytes: int, slack: float = 0.0) -> None:
        if nbytes <= self.largest_nbytes + slack:
            return
        msg = (
            f"An output partition of {format_count(rows)} rows has {format_nbytes(nbytes)}, but the "
            f"plan promised {format_nbytes(self.largest_nbytes)} at most."
        )
        hint = _LARGER_ROWS if self.row_nbytes is None else _OTHER_ROWS
        raise MemoryBudgetError(msg, hint=hint, output_nbytes=nbytes, planned_nbytes=self.largest_nbytes)

    def may_read_shards(self, nbytes: npt.NDArray[np.int64], layout: ShardLayout, *, in_ranges: bool) -> None:
        """Refuse, when rows are sealed, to read what no task can hold: before any task has begun to.

        Parameters
        ----------
        nbytes
            Bytes that are staged of each shard.
        layout
            The shards, and the output partitions that each of them makes.
        in_ranges
            Whether an output partition reads its own rows of each shard, rather than all of it; of a shard of one key it
            always does.

        Raises
        ------
        MemoryBudgetError
            See :meth:`may_read`.
        """
        apart = layout.single_key | in_ranges
        # Stretches of such a partition are looked at one by one, when they are read.
        shares = np.where(apart, np.maximum(layout.cells, 1) if self.whole else np.inf, 1)
        self.may_read(int((nbytes / shares).max(initial=0)))

    def may_read(self, nbytes: int) -> None:
        """Refuse to read staged rows that take more than a task may use, before any of them is read.

        Raises
        ------
        MemoryBudgetError
            With both numbers.
        """
        needed = int(options.FETCH_COPIES * nbytes)
        if self.possible_nbytes is None or needed <= self.task_nbytes:
            return
        msg = (
            f"{format_nbytes(nbytes)} of rows are staged for one output partition, and reading them needs "
            f"{format_nbytes(needed)}: a task may use {format_nbytes(self.task_nbytes)}."
        )
        raise MemoryBudgetError(
            msg, hint=_LONGER_VALUES, needed_nbytes=needed, allowed_nbytes=self.task_nbytes
        )

    @property
    def text_nbytes(self) -> int | None:
        """Bytes of strings that rows may have which are made at once; None where all widths are known."""
        if self.possible_nbytes is None:
            return None
        return max(self.possible_nbytes, int(self.task_nbytes / options.TEXT_COPIES))

    def made(self, make: Callable[[int | None], pd.DataFrame]) -> pd.DataFrame:
        """Make a partition, given what its strings may take, and hold it to the limit; see :meth:`passed`."""
        with self.refusing_text():
            return self.passed(make(self.text_nbytes))

    @contextmanager
    def refusing_text(self) -> Iterator[None]:
        """Turn what says that strings are too large into what the user is told."""
        try:
            yield
        except TextTooLargeError as error:
            msg = (
                f"Strings of {format_count(error.rows)} rows of an output partition take {format_nbytes(error.nbytes)}, and "
                f"{format_nbytes(self.text_nbytes or 0)} is what a task has room for."
            )
            raise MemoryBudgetError(
                msg, hint=_LONGER_VALUES, output_nbytes=error.nbytes, planned_nbytes=self.possible_nbytes or 0
            ) from None

    def values_nbytes(self, frame: pd.DataFrame) -> int:
        """Count the bytes that are held against the sample; 0 where widths are known, and nothing is."""
        if self.possible_nbytes is None:
            return 0
        nbytes = int(frame.memory_usage(index=False, deep=True).sum())
        for at, dtype in enumerate(frame.dtypes):
            if isinstance(dtype, pd.CategoricalDtype):
                # Every partition has them all, however few its rows.
                nbytes -= int(frame.iloc[:, at].cat.categories.memory_usage(deep=True))
        return nbytes

    def pass_values(self, rows: int, nbytes: int, *, held_nbytes: int) -> None:
        """Refuse rows whose values are more than a task may hold at once, and warn where all have more than the sample allows."""
        if self.possible_nbytes is None or nbytes <= max(
            self.possible_nbytes, options.NOTED_PARTITION_NBYTES
        ):
            return
        msg = (
            f"An output partition of {format_count(rows)} rows has {format_nbytes(nbytes)}, and "
            f"{format_nbytes(self.possible_nbytes)} was the most that the sampled strings allowed"
        )
        if held_nbytes > self.task_nbytes:
            msg += f"; a task may use {format_nbytes(self.task_nbytes)}."
            raise MemoryBudgetError(
                msg, hint=_LONGER_VALUES, output_nbytes=nbytes, planned_nbytes=self.possible_nbytes
            )
        with _lock:
            if self in _warned:
                return
            _warned.add(self)
        warn_user(PartitionSizeWarning(f"{msg}.\n\nHint: {_LONGER_VALUES}"))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CellRows:
    """The rows of one output partition, not made yet."""

    n_rows: int
    """How many there are."""
    make: Callable[..., pd.DataFrame]
    """Makes rows ``[lo, hi)`` of them; where they are weighed, it takes the bytes of their strings, too, beyond which
    it raises ``TextTooLargeError``."""
    limit: PartitionLimit
    """What the partition may not exceed."""
    directory: str = ""
    """The run that is over, should they not be made; empty where that is nobody's business."""
    weighed: bool = False
    """Whether strings are counted before they are made."""
    coded: frozenset[Any] = frozenset()
    """See :class:`RowsToMake`."""

    @classmethod
    def part(
        cls,
        n_rows: int,
        number: int,
        cells: int,
        make: Callable[..., pd.DataFrame],
        limit: PartitionLimit,
        directory: str = "",
        *,
        weighed: bool = False,
        coded: frozenset[Any] = frozenset(),
    ) -> CellRows:
        """Return the rows of one of ``cells`` equal parts of a shard's result, of which ``make`` makes any rows."""
        first, end = cell_range(n_rows, number, cells)
        return cls(
            n_rows=end - first,
            make=lambda lo, hi, *most: make(first + lo, first + hi, *most),
            limit=limit,
            directory=directory,
            weighed=weighed,
            coded=coded,
        )

    def whole(self) -> pd.DataFrame:
        """Make the partition.

        Raises
        ------
        MemoryBudgetError
            When it is larger than was planned.
        """
        with run_of_task(self.directory):
            return self.limit.made(lambda most_nbytes: self._frame(0, self.n_rows, most_nbytes))

    def stretches(self, rows_of: Callable[[float], int]) -> Iterator[pd.DataFrame]:
        """Make the partition in stretches of rows, one after the other; there is one at least.

        Parameters
        ----------
        rows_of
            Gives the rows of a stretch, from the bytes of a row.

        Raises
        ------
        MemoryBudgetError
            When the partition is larger than was planned.
        """
        with run_of_task(self.directory), self.limit.refusing_text():
            self.limit.pass_rows(self.n_rows)
            width = self.limit.row_nbytes
            rows = self.n_rows if width is None else rows_of(width)
            if width is not None and rows < self.n_rows:
                rows = rows_of(self._sampled_width())
            made = largest = lo = 0
            most = rows
            while True:
                frame, rows = self._stretch(lo, rows)
                nbytes = self.limit.values_nbytes(frame)
                made, largest, lo = made + nbytes, max(largest, nbytes), lo + len(frame)
                self.limit.pass_values(lo, made, held_nbytes=largest)
                yield frame
                length = len(frame)
                del frame  # before the next one is made
                if lo >= self.n_rows:
                    return
                if rows == most:
                    rows = most = min(most, rows_of(nbytes / max(length, 1) / options.STRETCH_MARGIN))
                else:
                    # Strings were too large there; what comes after them need not be.
                    rows = min(most, 2 * rows)

    def _sampled_width(self) -> float:
        """Measure rows from all over the partition."""
        rows = options.ROW_GROUP_WIDTH_ROWS // options.STRETCH_SAMPLES
        starts = [
            self.n_rows * number // options.STRETCH_SAMPLES for number in range(options.STRETCH_SAMPLES)
        ]
        samples = [self._stretch(start, rows)[0] for start in starts]
        nbytes = sum(rows_nbytes(sample, self.coded) for sample in samples)
        return nbytes / max(sum(map(len, samples)), 1)

    def _stretch(self, lo: int, rows: int) -> tuple[pd.DataFrame, int]:
        """Make so many rows, or fewer where their strings are too large; return the number that was tried, too."""
        most = None if self.limit.possible_nbytes is None else self.limit.stretch_nbytes
        while True:
            try:
                return self._frame(lo, min(lo + rows, self.n_rows), most), rows
            except TextTooLargeError as error:
                if error.rows <= 1:
                    most = self.limit.text_nbytes  # a single row may take as much as a partition
                    if error.nbytes > (most or 0):
                        raise
                rows = max(1, int(error.rows * self.limit.stretch_nbytes / error.nbytes / 2))

    def _frame(self, lo: int, hi: int, most_nbytes: int | None) -> pd.DataFrame:
        frame = self.make(lo, hi, most_nbytes) if self.weighed else self.make(lo, hi)
        if isinstance(frame.index, pd.RangeIndex):
            # An index that counts rows goes on counting.
            frame.index = pd.RangeIndex(lo, lo + len(frame), name=frame.index.name)
        return frame


class RowsToMake(Protocol):
    """Rows of an output partition, or of a file, that are not made yet: :class:`CellRows` are, whose number is known."""

    @property
    def n_rows(self) -> int | None:
        """How many there are; None where that is known once they are made."""

    @property
    def coded(self) -> frozenset[Any]:
        """Columns of text that may come as categories."""

    def whole(self) -> pd.DataFrame:
        """Make all of them."""

    def stretches(self, rows_of: Callable[[float], int]) -> Iterator[pd.DataFrame]:
        """Make them in stretches, one after the other."""


@dataclass(frozen=True, slots=True)
class CellMaker:
    """What makes output partitions of rows that are made in stretches: a function of the cell's task."""

    rows: Callable[..., RowsToMake]
    """Returns the rows of a cell from the arguments of its task."""
    coded_rows: Callable[..., RowsToMake] | None = None
    """The same for a file, whose text may come as categories; None where there is no other way."""

    def __call__(self, *arguments: Any) -> pd.DataFrame:
        """Make an output partition."""
        return self.rows(*arguments).whole()
