"""Plans the rechunking of an array: its strategy, its grids, and what they cost.

1. ``untouched``: the chunks are as requested, or there are no bytes.
2. ``merged``: each chunk of the result is joined from whole chunks that its own
   task makes; nothing is staged.
3. ``staged``: chunks pass through a place that all workers reach, in pieces.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from safeframe import options
from safeframe.facts.estimate import Estimate
from safeframe.facts.plan import Plan, Step
from safeframe.facts.rechunk import (
    EmptyChunks,
    MergedChunks,
    RechunkFacts,
    RechunkRun,
    RechunkWay,
    StagedChunks,
    UntouchedChunks,
)
from safeframe.facts.spread import Spread
from safeframe.kernels.rechunk import MARK_NBYTES, ChunkGrid, count_pieces
from safeframe.planning.ladder import Rung, climb, task_fits
from safeframe.planning.memory import (
    chunk_output_peak_nbytes,
    chunk_pass_peak_nbytes,
    chunk_stage_peak_nbytes,
    largest_partition_nbytes,
)
from safeframe.planning.rechunk.stages import choose_grids, chunk_nbytes, consolidated, largest_piece_nbytes
from safeframe.units import format_nbytes


@dataclass(frozen=True, kw_only=True, slots=True)
class _Offer:
    """What a strategy would do."""

    way: RechunkWay
    steps: tuple[Step, ...]
    reason: str

    @property
    def peak_nbytes(self) -> int:
        return max(step.task_peak_nbytes for step in self.steps)


def plan_rechunk(facts: RechunkFacts) -> Plan:
    """Choose the strategy and say what it costs.

    Returns
    -------
    Plan
        Always, where chunks can be moved at all: one that does not fit says so in ``fits``.

    Raises
    ------
    ValidationError
        When chunks have to be staged and there is no place for it.
    """
    source, target = ChunkGrid(facts.source), ChunkGrid(facts.target)
    rungs: dict[str, Rung[_Offer]] = {
        "untouched": lambda: _untouched(facts, source, target),
        "merged": lambda: _merged(facts, source, target),
        "staged": lambda: _staged(facts, source, target),
    }
    decision = climb(
        rungs,
        recipe="rechunk",
        unfit=lambda offer: task_fits(offer.peak_nbytes, facts.budget),
        needs=lambda offer: offer.peak_nbytes,
    )
    way = decision.offer.way
    elements = Estimate.computed(math.prod(source.shape))
    staged = isinstance(way, StagedChunks)
    grids = [*map(ChunkGrid, way.grids), target] if isinstance(way, StagedChunks) else [target]
    exchanges = len(grids) - 1
    marks_nbytes = MARK_NBYTES * sum(count_pieces(*pair) for pair in pairwise(grids))
    largest = chunk_nbytes(target, facts.itemsize)
    return Plan(
        recipe="rechunk",
        strategy=decision.strategy,
        reasons=(decision.offer.reason,),
        rejected=decision.rejected,
        steps=decision.offer.steps,
        budget=facts.budget,
        output_rows=elements,
        output_nbytes=elements.scaled(facts.itemsize),
        output_partitions=target.n_chunks,
        partition_nbytes=largest,
        largest_partition_nbytes=largest,
        row_nbytes=float(facts.itemsize),
        run=RechunkRun(source=facts.source, target=facts.target, way=way),
        # Pieces of an exchange are there until all of the next one are.
        staging_nbytes=elements.expected * facts.itemsize * min(exchanges, 2) + marks_nbytes,
        staging_free_nbytes=facts.staging.free_nbytes if staged else None,
        staging_directory=facts.staging.directory if staged else None,
        advice=_advice(facts, source, target),
        partitions_before=(_spread("array", source, facts.itemsize),),
        partitions_after=_spread("result", target, facts.itemsize),
    )


def _spread(name: str, grid: ChunkGrid, itemsize: int) -> Spread:
    lengths, chunks = grid.lengths()
    return Spread.of(name, lengths * itemsize, chunks)


def _untouched(facts: RechunkFacts, source: ChunkGrid, target: ChunkGrid) -> _Offer | str:
    if source != target and math.prod(source.shape) * facts.itemsize:
        return "the chunks are not those that were requested"
    one = chunk_nbytes(source, facts.itemsize)
    step = Step(
        kind="take chunks as they are",
        tasks=target.n_chunks,
        task_peak_nbytes=int(options.CHUNK_COPIES * one),
        reason=f"a chunk of {format_nbytes(one)} × {options.CHUNK_COPIES:g}",
    )
    if source == target:
        return _Offer(
            way=UntouchedChunks(), steps=(step,), reason="the chunks are as requested: nothing moves"
        )
    return _Offer(way=EmptyChunks(), steps=(step,), reason="the array has no bytes: nothing moves")


def _merged(facts: RechunkFacts, source: ChunkGrid, target: ChunkGrid) -> _Offer | str:
    pairs = zip(source.bounds, target.bounds, strict=True)
    if not all(bool(np.isin(after, before).all()) for before, after in pairs):
        return "chunks of the result have parts of chunks"
    if not facts.self_made:
        return "chunks are made by tasks that need others"
    step = _output(facts, source, target, made_nbytes=chunk_nbytes(source, facts.itemsize))
    reason = (
        "each chunk of the result is joined from whole chunks, made one after the other: nothing is staged"
    )
    return _Offer(way=MergedChunks(), steps=(step,), reason=reason)


def _staged(facts: RechunkFacts, source: ChunkGrid, target: ChunkGrid) -> _Offer | str:
    if facts.staging.directory is None:
        return facts.staging.unavailable
    one = chunk_nbytes(source, facts.itemsize)
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
    return _Offer(
        way=StagedChunks(facts.staging.directory, tuple(grid.chunks for grid in grids[:-1])),
        steps=tuple(steps),
        reason=f"chunks pass through {facts.staging.directory} in pieces: {way}",
    )


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
        f"Request chunks of some {fitting}: the largest here has {format_nbytes(largest)}."
        if chunk_nbytes(target, facts.itemsize) == largest
        else f"Make the array with chunks of some {fitting}: the largest has {format_nbytes(largest)}."
    )
