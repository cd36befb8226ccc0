"""Plans the rechunking of an array: its strategy, its grids, and what they cost.

1. ``untouched``: the chunks are as asked for, or there is no element.
2. ``merged``: each chunk of the result is made of whole chunks that its task
   makes itself; nothing is staged.
3. ``staged``: chunks pass through a place that all workers reach, in pieces.
"""

from __future__ import annotations

import math

import numpy as np

from safeframe import options
from safeframe.errors import ValidationError
from safeframe.facts.estimate import Estimate
from safeframe.facts.plan import Candidate, Plan, Step
from safeframe.facts.rechunk import RechunkFacts
from safeframe.kernels.rechunk import ChunkGrid
from safeframe.planning.memory import (
    chunk_output_peak_nbytes,
    chunk_pass_peak_nbytes,
    chunk_stage_peak_nbytes,
    largest_partition_nbytes,
)
from safeframe.planning.rechunk.stages import choose_grids, chunk_nbytes, consolidated, largest_piece_nbytes
from safeframe.units import format_nbytes

__all__ = ["plan_rechunk"]


def plan_rechunk(facts: RechunkFacts) -> tuple[Plan, tuple[ChunkGrid, ...]]:
    """Choose the strategy and say what it costs.

    Returns
    -------
    Plan
        Always, where chunks can be moved at all: one that does not fit says so in ``fits``.
    tuple of ChunkGrid
        The grids that the array passes through, that of the result last.

    Raises
    ------
    ValidationError
        When chunks have to be staged and there is no place for it.
    """
    source, target = ChunkGrid(facts.source), ChunkGrid(facts.target)
    size = math.prod(source.shape)
    refusals = {
        "untouched": ""
        if source == target or not size * facts.itemsize
        else "the chunks are not those asked for",
        "merged": _not_merged(facts, source, target),
        "staged": "" if facts.staging.directory is not None else facts.staging.unavailable,
    }
    strategy = next((name for name, why in refusals.items() if not why), None)
    if strategy is None:
        msg = f"The array cannot be rechunked: {refusals['staged']}."
        raise ValidationError(
            msg, hint="Name a directory or object store that all workers reach in staging=."
        )
    grids, steps, reasons = _ways(facts, strategy, source, target)
    rejected = (
        Candidate(strategy=name, reason=why or f"{strategy} comes first and can run")
        for name, why in refusals.items()
        if name != strategy
    )
    elements = Estimate.computed(size)
    staged = strategy == "staged"
    largest = chunk_nbytes(target, facts.itemsize)
    plan = Plan(
        recipe="rechunk",
        strategy=strategy,
        reasons=reasons,
        rejected=tuple(rejected),
        steps=steps,
        budget=facts.budget,
        output_rows=elements,
        output_nbytes=elements.scaled(facts.itemsize),
        output_partitions=target.n_chunks,
        partition_nbytes=largest,
        largest_partition_nbytes=largest,
        row_nbytes=float(facts.itemsize),
        # Pieces of an exchange are there until all of the next one are.
        staging_nbytes=size * facts.itemsize * min(len(grids) - 1, 2) if staged else 0,
        staging_free_nbytes=facts.staging.free_nbytes if staged else None,
        staging_directory=facts.staging.directory if staged else None,
        advice=_advice(facts, source, target),
    )
    return plan, grids


def _not_merged(facts: RechunkFacts, source: ChunkGrid, target: ChunkGrid) -> str:
    within = all(
        bool(np.isin(after, before).all()) for before, after in zip(source.bounds, target.bounds, strict=True)
    )
    if not within:
        return "chunks of the result have parts of chunks"
    return "" if facts.self_made else "chunks are made by tasks that need others"


def _ways(
    facts: RechunkFacts, strategy: str, source: ChunkGrid, target: ChunkGrid
) -> tuple[tuple[ChunkGrid, ...], tuple[Step, ...], tuple[str, ...]]:
    one = chunk_nbytes(source, facts.itemsize)
    if strategy == "untouched":
        step = Step(
            kind="take chunks as they are",
            tasks=target.n_chunks,
            task_peak_nbytes=int(options.CHUNK_COPIES * one),
            reason=f"a chunk of {format_nbytes(one)} × {options.CHUNK_COPIES:g}",
        )
        return (target,), (step,), ("the chunks are as asked for: nothing moves",)
    if strategy == "merged":
        grids: tuple[ChunkGrid, ...] = (source, target)
        reason = "each chunk of the result is joined from whole chunks, made one after the other: nothing is staged"
        return grids, (_output(facts, source, target, made_nbytes=one),), (reason,)
    read = _read(facts, source, target, one)
    most = max(facts.budget.task_nbytes, 0) // 2
    grids, way = choose_grids(
        read, target, facts.itemsize, max(most, one, chunk_nbytes(target, facts.itemsize))
    )
    piece = largest_piece_nbytes(grids[0], grids[1], facts.itemsize)
    joined = 0 if read == source else chunk_nbytes(read, facts.itemsize)
    steps = [
        Step(
            kind="stage groups of chunks" if joined else "stage chunks",
            tasks=read.n_chunks,
            task_peak_nbytes=chunk_stage_peak_nbytes(
                chunk_nbytes=one, joined_nbytes=joined, piece_nbytes=piece
            ),
            reason=(
                f"a chunk of {format_nbytes(one)} × {options.CHUNK_COPIES:g}"
                + (f", those joined to {format_nbytes(joined)}" if joined else "")
                + f", a piece of {format_nbytes(piece)}, and {format_nbytes(options.CHUNK_BUFFER_NBYTES)} to write by"
            ),
        )
    ]
    for before, grid, after in zip(grids, grids[1:-1], grids[2:], strict=False):
        nbytes = chunk_nbytes(grid, facts.itemsize)
        pieces = largest_piece_nbytes(before, grid, facts.itemsize) + largest_piece_nbytes(
            grid, after, facts.itemsize
        )
        steps.append(
            Step(
                kind="pass chunks on",
                tasks=grid.n_chunks,
                task_peak_nbytes=chunk_pass_peak_nbytes(chunk_nbytes=nbytes, pieces_nbytes=pieces),
                reason=f"a chunk of {format_nbytes(nbytes)} and a piece of either kind, {format_nbytes(pieces)}",
            )
        )
    steps.append(_output(facts, grids[-2], target))
    where = f"chunks pass through {facts.staging.directory} in pieces: {way}"
    return grids, tuple(steps), (where,)


def _read(facts: RechunkFacts, source: ChunkGrid, target: ChunkGrid, one: int) -> ChunkGrid:
    """Choose which chunks are staged as one."""
    if not facts.self_made:
        return source
    budget = facts.budget
    room = min(options.RECHUNK_GROUP_NBYTES, max(budget.task_nbytes, 0) // 3)
    busy = options.GROUP_ROUNDS * budget.n_workers * budget.threads_per_worker
    return consolidated(source, target, min(room // max(one, 1), source.n_chunks // busy))


def _output(facts: RechunkFacts, before: ChunkGrid, target: ChunkGrid, made_nbytes: int = 0) -> Step:
    nbytes = chunk_nbytes(target, facts.itemsize)
    piece = largest_piece_nbytes(before, target, facts.itemsize)
    made = int(options.CHUNK_COPIES * made_nbytes)
    return Step(
        kind="join chunks" if made else "join pieces",
        tasks=target.n_chunks,
        task_peak_nbytes=chunk_output_peak_nbytes(chunk_nbytes=nbytes, piece_nbytes=made or piece),
        reason=(
            f"a chunk of {format_nbytes(nbytes)} × {options.CHUNK_COPIES:g}, and "
            + (f"a chunk to join of {format_nbytes(made)}" if made else f"a piece of {format_nbytes(piece)}")
        ),
    )


def _advice(facts: RechunkFacts, source: ChunkGrid, target: ChunkGrid) -> str:
    largest = max(chunk_nbytes(source, facts.itemsize), chunk_nbytes(target, facts.itemsize))
    fitting = format_nbytes(largest_partition_nbytes(max(facts.budget.task_nbytes, 0)))
    return (
        f"Ask for chunks of some {fitting}: the largest here has {format_nbytes(largest)}."
        if chunk_nbytes(target, facts.itemsize) == largest
        else f"Make the array in chunks of some {fitting}: the largest has {format_nbytes(largest)}."
    )
