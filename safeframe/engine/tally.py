"""What runs and how much came out of it, for whoever measures.

Covers: plans as they start, told to listeners in the process that computes; rows
of output partitions, counted in the process that made them.
Does not cover: memory (:mod:`safeframe.report.sampler`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from safeframe.facts.plan import Plan

__all__ = ["announce", "count_rows_out", "listening", "rows_out"]

_lock = threading.Lock()
_listeners: list[Callable[[Plan], None]] = []
_rows_out = 0


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
    """Give the rows of all output partitions that this process has made so far."""
    return _rows_out
