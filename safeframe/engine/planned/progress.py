"""Bars for the steps of recipes whose graphs are made while a block runs.

Covers: which steps are shown, what they are called, the rows and bytes that a plan has for them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dask.utils import key_split

from safeframe.facts.plan import Plan
from safeframe.progress.bar import Bar
from safeframe.progress.board import Board, progress
from safeframe.progress.tasks import TaskBars, followed

_STEPS = ("stage", "send", "side", "table", "partition", "edges", "slice", "totals", "output", "write")
"""Words of the steps that have several tasks, in their order; others are over in a moment."""

Steps = Callable[[], list[tuple[str, int]]]
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
        Gives the name of the tasks, and how many there are, of each step before the recipe's output partitions: these
        get other names from what takes them, and are shown with that.
    plan
        The plan that it runs by, if any.
    """
    with _lock:
        listeners = tuple(_listeners)
    for listener in listeners:
        listener(recipe, steps, plan)


@contextmanager
def plan_progress(asked: bool | None) -> Iterator[None]:
    """Show how far the recipes are that run within the block; see :func:`safeframe.progress.board.progress`."""
    with progress(asked) as board:
        if not board.is_seen:
            yield
            return
        bars = _PlanBars(board)
        with _lock:
            _listeners.append(bars.add)
        try:
            with followed(bars.tasks):
                yield
        finally:
            with _lock:
                _listeners.remove(bars.add)


class _PlanBars:
    """The bars of all recipes of a block: one for each kind of step, whichever side or run its tasks are of."""

    def __init__(self, board: Board) -> None:
        self.tasks = TaskBars()
        self._board = board
        self._plans: dict[str, Plan] = {}
        self._bars: dict[str, Bar] = {}
        self._known: set[str] = set()

    def add(self, recipe: str, steps: Steps, plan: Plan | None) -> None:
        """Show the steps of a recipe, and of those before it that are not shown yet."""
        if plan is not None:
            self._plans.setdefault(recipe, plan)
        found = [(name, n_tasks, _step(key_split(name))) for name, n_tasks in steps()]
        for step in _STEPS:
            for name, n_tasks, its_step in found:
                if its_step == step and name not in self._known:
                    self._known.add(name)
                    self._show(name, n_tasks, step)

    def _show(self, name: str, n_tasks: int, step: str) -> None:
        words = key_split(name)
        recipe = words.split("-")[0]
        label = step if step == "write" else f"{recipe}: {step}"
        if label not in self._bars:
            bar = Bar(label=label, unit="files" if step == "write" else "tasks")
            bar.rows, bar.nbytes = _figures(words, recipe, self._plans.get(recipe))
            self._bars[label] = self._board.add(bar)
        bar = self._bars[label]
        # As far as is known before a scheduler has the graph: those that nobody needs are not in it.
        bar.update(0, (bar.total or 0) + n_tasks)
        self.tasks.show(name, bar)


def _step(words: str) -> str | None:
    """Return which step a name is of, the last one of those that are fused; None for one that is not shown."""
    steps = [step for step in _STEPS if step in words.split("-")]
    return steps[-1] if steps and "commit" not in words else None


def _figures(words: str, recipe: str, plan: Plan | None) -> tuple[int | None, int | None]:
    """Return the rows and the bytes that all tasks of a step stand for, where the plan tells."""
    if plan is None:
        return None, None
    if words == f"{recipe}-stage":
        # Of other strategies only some rows are staged.
        return plan.input_rows if plan.strategy == "staged" else None, plan.staging_nbytes or None
    if words == f"{recipe}-output":
        return int(plan.output_rows), int(plan.output_nbytes)
    # Of what the user does with the rows before they are written, a plan knows nothing.
    return (int(plan.output_rows) if words == f"{recipe}-output-write" else None), None
