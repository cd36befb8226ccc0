"""Who is told that a recipe's graph is made: the block that waits for it, or what follows a call of the user's.

Covers: the progress of what safeframe computes itself.
Does not cover: which bars there are (``bars``), calls of dask's that a user makes (``followed_calls``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from safeframe.engine.planned.bars import PlanBars, Steps
from safeframe.engine.planned.followed_calls import follow_call
from safeframe.facts.plan import Plan
from safeframe.progress.board import progress
from safeframe.progress.tasks import followed

Listener = Callable[[str, Steps, Plan | None], None]

_lock = threading.Lock()
_listeners: list[Listener] = []


def graph_made(recipe: str, steps: Steps, plan: Plan | None) -> None:
    """Tell who waits for it that a recipe has been made concrete, for a graph.

    Parameters
    ----------
    recipe
        The first word of its tasks' names.
    steps
        Gives the steps before the recipe's output partitions: these get other names from what takes them, and are
        shown with that.
    plan
        The plan that it runs by, if any.
    """
    with _lock:
        listeners = tuple(_listeners)
    for listener in listeners:
        listener(recipe, steps, plan)
    if not listeners:
        follow_call(recipe, steps, plan)


def output_made(recipe: str, steps: Steps, plan: Plan | None) -> None:
    """As :func:`graph_made`, of output partitions under one of the names that they may run by."""
    with _lock:
        waited_for = bool(_listeners)
    if not waited_for:
        follow_call(recipe, steps, plan)


@contextmanager
def plan_progress(asked: bool | None) -> Iterator[None]:
    """Show how far the recipes are that run within the block; see :func:`safeframe.progress.board.progress`."""
    with progress(asked) as board:
        if not board.is_seen:
            yield
            return
        bars = PlanBars(board)
        with _lock:
            _listeners.append(bars.add)
        try:
            with followed(bars.tasks):
                yield
        finally:
            with _lock:
                _listeners.remove(bars.add)
