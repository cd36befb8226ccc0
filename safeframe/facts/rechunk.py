"""What the planner of a rechunking is told."""

from __future__ import annotations

from dataclasses import dataclass

from safeframe.facts.budget import Budget, StagingFacts

__all__ = ["RechunkFacts"]

Chunks = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RechunkFacts:
    """Everything that decides how an array is cut anew."""

    source: Chunks
    """Its chunks."""
    target: Chunks
    """The chunks that are asked for."""
    itemsize: int
    """Bytes of one element."""
    budget: Budget
    """What one worker may use."""
    staging: StagingFacts
    """Where chunks are staged."""
    self_made: bool
    """Whether each chunk is made by its own task alone."""
