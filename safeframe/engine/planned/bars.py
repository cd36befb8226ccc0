"""The bars of recipes that run: which steps are shown, what they are called, the rows and bytes that a plan has for them."""

from __future__ import annotations

from collections.abc import Callable

from dask.utils import key_split

from safeframe.facts.plan import Plan
from safeframe.progress.bar import Bar
from safeframe.progress.board import Board
from safeframe.progress.tasks import TaskBars

_STEPS = ("stage", "send", "side", "table", "partition", "edges", "slice", "totals", "output", "write")
"""Words of the steps that have several tasks, in their order; others are over in a moment."""

Steps = Callable[[], list[tuple[str, int]]]
"""Gives the name of the tasks, and how many there are, of each of some steps."""


class PlanBars:
    """The bars of all recipes of a block: one for each kind of step, whichever side or run its tasks are of.

    Parameters
    ----------
    board
        Where they are shown.
    once_seen
        Whether only those are that turn out to have tasks; otherwise all, from the beginning.
    """

    def __init__(self, board: Board, *, once_seen: bool = False) -> None:
        self._once_seen = once_seen
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
        figures = _figures(words, step, n_tasks, self._plans.get(recipe))
        if label not in self._bars:
            unit = "files" if step == "write" else "tasks"
            bar = Bar(label=label, unit=unit, once_seen=self._once_seen)
            bar.rows, bar.nbytes = figures
            self._bars[label] = self._board.add(bar)
        bar = self._bars[label]
        if self._once_seen:
            # Under which of several names the tasks run is not known: what is not the same for all is not, either.
            bar.rows = bar.rows if bar.rows == figures[0] else None
            bar.nbytes = bar.nbytes if bar.nbytes == figures[1] else None
        else:
            # As far as is known before a scheduler has the graph: those that nobody needs are not in it.
            bar.update(0, (bar.total or 0) + n_tasks)
        self.tasks.show(name, bar)


def _step(words: str) -> str | None:
    """Return which step a name is of, the last one of those that are fused; None for one that is not shown."""
    steps = [step for step in _STEPS if step in words.split("-")]
    return steps[-1] if steps and "commit" not in words else None


def _figures(words: str, step: str, n_tasks: int, plan: Plan | None) -> tuple[int | None, int | None]:
    """Return the rows and the bytes that all tasks of a step stand for, where the plan tells."""
    if plan is None:
        return None, None
    recipe = words.split("-")[0]
    if words == f"{recipe}-stage":
        # Of other strategies only some rows are staged.
        return plan.input_rows if plan.strategy == "staged" else None, plan.staging_nbytes or None
    # Of some partitions, or of what the user does with the rows, a plan knows nothing.
    if step == "output" and n_tasks == plan.output_partitions:
        return int(plan.output_rows), int(plan.output_nbytes) if words == f"{recipe}-output" else None
    return (int(plan.output_rows) if words == f"{recipe}-output-write" else None), None
