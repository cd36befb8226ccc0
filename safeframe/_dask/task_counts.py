"""How many tasks a scheduler has, and has done, by the groups that it keeps count of.

Covers: asking a scheduler, within it.

``distributed.progress``, which is public, counts the tasks of futures that one has;
those of ``dask.compute`` nobody has. A task group is in no public method.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

__all__ = ["group_counts"]

_DONE = ("memory", "released", "erred", "forgotten")
"""A task that waits for its turn is in none of these: it leaves ``released`` when its graph comes."""


def group_counts(names: Collection[str], dask_scheduler: Any) -> dict[str, tuple[int, int]]:
    """Return the tasks that are done and all tasks of the groups that a scheduler knows; run on it."""
    known = dask_scheduler.task_groups
    return {name: _counts(known[name].states) for name in names if name in known}


def _counts(states: dict[str, int]) -> tuple[int, int]:
    return sum(states.get(state, 0) for state in _DONE), sum(states.values())
