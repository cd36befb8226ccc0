"""What a plan promised of output partitions, held to while they are made.

Rows are counted before a run, and a partition with more of them than were
planned is refused. Bytes per row of strings and objects are known from a
sample: a partition that is larger than the sample allows is told of while a
worker can hold it, and refused where it cannot, before its rows are read
where staged files say so.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from safeframe import options
from safeframe.engine.tally import count_rows_out
from safeframe.engine.worker import warn_user
from safeframe.errors import MemoryBudgetError, PartitionSizeWarning
from safeframe.units import format_count, format_nbytes

if TYPE_CHECKING:
    from safeframe.facts.plan import Plan

__all__ = ["CellLimit"]

_lock = threading.Lock()
_told: set[CellLimit] = set()


@dataclass(frozen=True, slots=True)
class CellLimit:
    """What the plan promised of output partitions, and every cell is held to."""

    largest_nbytes: int
    """Bytes of the largest one."""
    row_nbytes: float
    """Bytes of one result row."""
    possible_nbytes: int | None = None
    """Bytes of the largest one if its rows are as wide as the sample allows; None where widths are known."""
    task_nbytes: int = 0
    """What a task may use before a worker is above its limit."""

    @classmethod
    def of(cls, plan: Plan) -> CellLimit:
        """Return what a plan promises."""
        width, budget = plan.output_width, plan.budget
        free = budget.allowed_nbytes - budget.projected_worker_nbytes(0)
        return cls(
            plan.largest_partition_nbytes,
            plan.row_nbytes,
            None if width is None or width.exact else plan.largest_possible_nbytes,
            max(0, free) // budget.threads_per_worker,
        )

    def passed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a finished cell, its rows counted, or refuse it for its size.

        Raises
        ------
        MemoryBudgetError
            When it has more rows than were planned, or, where widths were
            sampled, more bytes than a task may use.

        Warns
        -----
        PartitionSizeWarning
            When it has more bytes than the sample allows, once a process.
        """
        nbytes = int(len(frame) * self.row_nbytes)
        if nbytes > self.largest_nbytes + self.row_nbytes:
            msg = (
                f"An output partition has {format_count(len(frame))} rows of {self.row_nbytes:.0f} B, "
                f"{format_nbytes(nbytes)} in all, and the plan promised "
                f"{format_nbytes(self.largest_nbytes)} at most."
            )
            hint = (
                "The input has other rows than when the plan was made, or more keys than could be counted exactly: "
                "make the collection again, or raise the configuration value safeframe.key-capacity."
            )
            raise MemoryBudgetError(msg, hint=hint, output_nbytes=nbytes, planned_nbytes=self.largest_nbytes)
        if self.possible_nbytes is not None:
            self._look_at(frame, self.possible_nbytes)
        count_rows_out(len(frame))
        return frame

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
            f"{format_nbytes(nbytes)} of rows are staged for one output partition, and reading them takes "
            f"{format_nbytes(needed)}: a task may use {format_nbytes(self.task_nbytes)}."
        )
        raise MemoryBudgetError(msg, hint=_HINT, needed_nbytes=needed, allowed_nbytes=self.task_nbytes)

    def _look_at(self, frame: pd.DataFrame, possible_nbytes: int) -> None:
        nbytes = int(frame.memory_usage(index=False, deep=True).sum())
        for at, dtype in enumerate(frame.dtypes):
            if isinstance(dtype, pd.CategoricalDtype):
                # Every partition has them all, however few its rows.
                nbytes -= int(frame.iloc[:, at].cat.categories.memory_usage(deep=True))
        if nbytes <= max(possible_nbytes, options.NOTED_PARTITION_NBYTES):
            return
        msg = (
            f"An output partition of {format_count(len(frame))} rows has {format_nbytes(nbytes)}, and "
            f"{format_nbytes(possible_nbytes)} were possible by the strings that were looked at"
        )
        if nbytes > self.task_nbytes:
            msg += f"; a task may use {format_nbytes(self.task_nbytes)}."
            raise MemoryBudgetError(msg, hint=_HINT, output_nbytes=nbytes, planned_nbytes=possible_nbytes)
        with _lock:
            if self in _told:
                return
            _told.add(self)
        warn_user(PartitionSizeWarning(f"{msg}.\n\nHint: {_HINT}"))


_HINT = (
    "Strings or objects are longer in some partitions than in those that were looked at: ask for a smaller "
    "partition_size=, or spread long rows over the partitions first."
)
