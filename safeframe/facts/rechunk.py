"""What is known of an array before it is rechunked, and how it is rechunked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from safeframe.facts.budget import Budget, StagingFacts

Chunks: TypeAlias = tuple[tuple[int, ...], ...]
"""Sizes of chunks along each axis, as dask has them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RechunkFacts:
    """Everything that decides how an array is rechunked."""

    source: Chunks
    target: Chunks
    itemsize: int
    """Bytes of one element."""
    budget: Budget
    """What one worker may use."""
    staging: StagingFacts
    """Where chunks are staged."""
    self_made: bool
    """Whether each chunk is made by its own task alone."""


@dataclass(frozen=True, slots=True)
class UntouchedChunks:
    """The array's chunks are the result's."""


@dataclass(frozen=True, slots=True)
class EmptyChunks:
    """The array has no bytes."""


@dataclass(frozen=True, slots=True)
class MergedChunks:
    """Each chunk of the result is joined from whole chunks, which its own task makes."""


@dataclass(frozen=True, slots=True)
class StagedChunks:
    """Chunks pass through files in pieces."""

    directory: str
    """Where they are staged."""
    grids: tuple[Chunks, ...]
    """Chunks as they are staged, first those that are made, each cut by the next; the result's are not among them."""


RechunkWay: TypeAlias = UntouchedChunks | EmptyChunks | MergedChunks | StagedChunks


@dataclass(frozen=True, kw_only=True, slots=True)
class RechunkRun:
    """What the engine does to rechunk an array."""

    source: Chunks
    target: Chunks
    way: RechunkWay
    """How elements get to their chunk."""
