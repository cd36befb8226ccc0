"""What a plan is made of: the tasks that run, and the strategies that do not."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Candidate", "Step"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One kind of task that a plan runs."""

    kind: str
    """What the tasks do."""
    tasks: int
    """How many there are."""
    task_peak_nbytes: int
    """Upper bound of what one task holds at its peak, in bytes."""
    reason: str
    """The formula in words, with its figures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A strategy that was looked at and not taken."""

    strategy: str
    """Its name."""
    reason: str
    """Why not."""
