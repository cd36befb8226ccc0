"""What a worker may use, where the user may have said so."""

from __future__ import annotations

from safeframe.facts.budget import Budget
from safeframe.sizing.cluster import measure_budget
from safeframe.units import parse_nbytes

__all__ = ["given_budget"]


def given_budget(memory: str | int | None) -> Budget:
    """Measure the workers, and hold them to ``memory=`` where that is given.

    Recipes do this first of all: a worker's allocators are set up before its first task,
    and workers that have just read keys seem to hold more.
    """
    return measure_budget(None if memory is None else parse_nbytes(memory, argument="memory"))
