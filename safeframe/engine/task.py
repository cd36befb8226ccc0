"""What the tasks of a recipe do first, where they run on a worker."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import distributed

from safeframe._dask.cluster import inside_worker
from safeframe.engine.announced import log_plan, tell_scheduler
from safeframe.errors import RowConservationError
from safeframe.facts.plan import Plan
from safeframe.kernels.allocator import keep_pages, trim
from safeframe.units import format_count

_lock = threading.Lock()
_phase = ""


def use_worker(phase: str = "") -> None:
    """Make a worker process keep its pages; elsewhere the process is the user's, and left alone.

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
    """Tell the log, the scheduler and the listeners of a plan that is about to run; the same one may be announced again."""
    log_plan(plan)
    tell_scheduler(plan)
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
