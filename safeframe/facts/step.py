"""Parts of a plan: the steps that run, and the strategies that were rejected."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One kind of task that a plan runs."""

    kind: str
    """What the tasks do."""
    tasks: int
    """Number of tasks."""
    task_peak_nbytes: int
    """Upper bound of the peak memory of one task, in bytes."""
    reason: str
    """The formula in words, with its figures."""
    written: Step | None = None
    """The same tasks where ``safeframe.to_parquet`` writes what they make, in stretches; None where that is no less."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A strategy that was rejected."""

    strategy: str
    """Its name."""
    reason: str
    """Why it was rejected."""
