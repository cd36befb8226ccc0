"""Parts of a plan: the steps that run, what they move, and the strategies that were rejected."""

from __future__ import annotations

from dataclasses import dataclass

from safeframe.facts.frame import Page
from safeframe.units import format_count, format_nbytes


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
    page: Page | None = None
    """The largest page of the files that they read in slices, which is decoded whole; None where they read none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What a strategy moves, in bytes of memory, and what that takes.

    What all strategies do alike, such as making the values of the result, is left out.
    """

    read_nbytes: int
    """Bytes of the inputs, each partition as often as it is made."""
    staged_nbytes: int
    """Bytes that are brought into the order of shards, and written to files or sent by P2P."""
    fetched_nbytes: int
    """Bytes that are read back, each as often as an output partition needs it."""
    sent_nbytes: int
    """Bytes of rows that other workers than those which made them are sent, but for P2P's."""
    joined_nbytes: int
    """Bytes of keys that are compared, each as often as that is done."""
    tasks: int
    """Number of tasks."""
    seconds: float
    """The sum of all that, by weights of one machine and divided by the workers' threads: to compare strategies by,
    and no prediction of how long the run takes."""

    def __str__(self) -> str:
        parts = (
            (self.read_nbytes, "read"),
            (self.staged_nbytes, "staged"),
            (self.fetched_nbytes, "fetched"),
            (self.sent_nbytes, "sent to other workers"),
            (self.joined_nbytes, "of keys compared"),
        )
        moved = [f"{format_nbytes(nbytes)} {what}" for nbytes, what in parts if nbytes]
        return ", ".join([*moved, f"{format_count(self.tasks)} tasks"]) + f": cost {self.seconds:.3g} s"


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A strategy that was rejected."""

    strategy: str
    """Its name."""
    reason: str
    """Why it was rejected."""
    cost: Cost | None = None
    """What it would move; None if it cannot run, or was not weighed."""
