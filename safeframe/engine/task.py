"""What the tasks of a recipe do first, where they run on a worker."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import distributed
import pandas as pd

from safeframe import options
from safeframe.errors import MemoryBudgetError, PartitionSizeWarning, RowConservationError
from safeframe.facts.plan import Plan
from safeframe.kernels.allocator import keep_pages, trim
from safeframe.units import format_count, format_nbytes

__all__ = [
    "CellLimit",
    "announce",
    "begin",
    "conserved",
    "count_rows_out",
    "inside_worker",
    "listening",
    "rows_lost",
    "rows_out",
    "use_worker",
    "warn_user",
]


def inside_worker() -> bool:
    """Whether this code runs in a task of a distributed worker."""
    try:
        distributed.get_worker()
    except ValueError:
        return False
    return True


_lock = threading.Lock()
_phase = ""


def use_worker(phase: str = "") -> None:
    """Have a worker process keep its pages; elsewhere the process is the user's, and left alone.

    Parameters
    ----------
    phase
        What the task is one of. With the first task of another phase the pages
        that the last one needed, and kept, are given back: a worker that holds
        them looks full to dask, which then spills what tasks are about to use.
    """
    global _phase
    if not inside_worker():
        return
    keep_pages()
    with _lock:
        changed = bool(phase) and phase != _phase
        if changed:
            _phase = phase
    if changed:
        trim()


def warn_user(warning: Warning) -> None:
    """Issue a warning where the user sees it: from a worker, in the client too."""
    if inside_worker():
        distributed.warn(str(warning), type(warning))
    else:
        warnings.warn(warning, stacklevel=2)


_listeners: list[Callable[[Plan], None]] = []
_rows_out = 0


def begin(plan: Plan) -> None:
    """Check and announce a plan that is about to run.

    Raises
    ------
    MemoryBudgetError, StagingFullError
        When the plan does not fit.
    """
    plan.validate()
    announce(plan)


def announce(plan: Plan) -> None:
    """Tell listeners that a plan is about to run; the same one may be told again."""
    with _lock:
        listeners = tuple(_listeners)
    for listener in listeners:
        listener(plan)


@contextmanager
def listening(listener: Callable[[Plan], None]) -> Iterator[None]:
    """Call ``listener`` with each plan that starts within the block, in this process."""
    with _lock:
        _listeners.append(listener)
    try:
        yield
    finally:
        with _lock:
            _listeners.remove(listener)


def count_rows_out(rows: int) -> None:
    """Add the rows of an output partition; called by the task that made it."""
    global _rows_out
    with _lock:
        _rows_out += rows


def rows_out() -> int:
    """Return the rows of all output partitions that this process has made so far."""
    return _rows_out


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
                f"{format_nbytes(nbytes)} in all, but the plan promised "
                f"{format_nbytes(self.largest_nbytes)} at most."
            )
            hint = (
                "The input has changed since the plan was made, or has more keys than could be counted exactly: "
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
            f"{format_nbytes(nbytes)} of rows are staged for one output partition, and reading them needs "
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
            f"{format_nbytes(possible_nbytes)} was the most that the sampled strings allowed"
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
    "Strings or objects are longer in some partitions than in the sampled ones: request a smaller "
    "partition_size=, or spread long rows over the partitions first."
)


def conserved(rows_in: int, rows_out: int, where: str) -> None:
    """Raise unless as many rows came out as went in.

    Raises
    ------
    RowConservationError
        With both numbers.
    """
    if rows_in != rows_out:
        raise rows_lost(where, rows_in, rows_out)


def rows_lost(where: str, rows_in: int, rows_out: int) -> RowConservationError:
    """Make the error, with both numbers."""
    msg = f"{where}: {format_count(rows_in)} rows went in and {format_count(rows_out)} came out."
    hint = "This is a bug in safeframe or a fault of the disk, not of your data: please report it."
    return RowConservationError(msg, hint=hint, rows_in=rows_in, rows_out=rows_out)
