"""How the rechunking of an array is planned."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import safeframe
from safeframe import options
from safeframe.facts.budget import StagingFacts
from safeframe.facts.rechunk import RechunkFacts
from safeframe.kernels.rechunk import ChunkGrid, count_pieces
from safeframe.planning.rechunk.plan import plan_rechunk
from safeframe.planning.rechunk.stages import choose_grids, chunk_nbytes, consolidated
from tests.unit.planning.budgets import budget_of

MIB = 2**20


def regular(length, size):
    whole, rest = divmod(length, size)
    return (size,) * whole + ((rest,) if rest else ())


def facts(source, target, *, itemsize=8, allowed=598 * MIB, self_made=True, directory="/scratch", free=2**40):
    return RechunkFacts(
        source=source,
        target=target,
        itemsize=itemsize,
        budget=budget_of(allowed, reserved_nbytes=190 * MIB),
        staging=StagingFacts(
            directory=directory, free_nbytes=free, unavailable="" if directory else "nothing is shared"
        ),
        self_made=self_made,
    )


def square(s, **given):
    return facts(((s * s,), regular(s * s, s)), (regular(s * s, s), (s * s,)), **given)


@pytest.mark.parametrize("s", [64, 112, 128, 160, 256])
def test_the_report_s_squares_fit_598_mib(s):
    plan, grids = plan_rechunk(square(s))
    assert plan.strategy == "staged"
    assert plan.fits
    assert len(grids) == 2, "pieces of whole kilobytes need no grid between"
    assert plan.staging_nbytes == s**4 * 8


def test_steps_are_what_they_say():
    plan, _ = plan_rechunk(square(256))
    stage, join = plan.steps
    chunk, piece = 128 * MIB, MIB // 2
    assert stage.task_peak_nbytes == 2 * chunk + piece + options.CHUNK_BUFFER_NBYTES
    assert join.task_peak_nbytes == 2 * chunk + piece
    assert plan.projected_worker_nbytes == 190 * MIB + stage.task_peak_nbytes


def test_a_chunk_that_no_worker_can_hold():
    plan, _ = plan_rechunk(square(256, allowed=400 * MIB))
    assert not plan.fits
    with pytest.raises(
        safeframe.MemoryBudgetError, match=r"projected to need 452 MiB.* 400 MiB is allowed"
    ) as info:
        plan.validate()
    assert "chunks of some" in info.value.hint


def test_small_chunks_are_staged_together():
    source, target = (regular(20_000, 20_000), regular(20_000, 4)), (regular(20_000, 100), (20_000,))
    plan, grids = plan_rechunk(facts(source, target))
    assert plan.steps[0].kind == "stage groups of chunks"
    assert grids[0].n_chunks < 5000 / 50
    assert chunk_nbytes(grids[0], 8) <= options.RECHUNK_GROUP_NBYTES
    alone, grids = plan_rechunk(facts(source, target, self_made=False))
    assert (alone.steps[0].kind, grids[0].n_chunks) == ("stage chunks", 5000)


def test_many_small_pieces_go_through_grids_between():
    source, target = ((40_000,), regular(40_000, 20)), (regular(40_000, 20), (40_000,))
    plan, grids = plan_rechunk(facts(source, target, self_made=False))
    assert len(grids) > 2
    assert sum(count_pieces(a, b) for a, b in pairwise(grids)) < 2000 * 2000
    assert plan.staging_nbytes == 2 * 40_000**2 * 8, "two exchanges are on the disk at a time"
    assert [step.kind for step in plan.steps[1:-1]] == ["pass chunks on"] * (len(grids) - 2)


def test_strategies():
    chunks = (regular(100, 10), (50,))
    assert plan_rechunk(facts(chunks, chunks))[0].strategy == "untouched"
    assert plan_rechunk(facts(((0,),), ((0, 0),)))[0].strategy == "untouched"
    whole = (regular(100, 50), (50,))
    plan = plan_rechunk(facts(chunks, whole, directory=None))[0]
    assert (plan.strategy, plan.staging_nbytes) == ("merged", 0)
    plan = plan_rechunk(facts(chunks, whole, self_made=False))[0]
    assert plan.strategy == "staged"
    assert ("merged", "chunks are made by tasks that need others") in {
        (candidate.strategy, candidate.reason) for candidate in plan.rejected
    }


def test_nowhere_to_stage():
    with pytest.raises(safeframe.ValidationError, match="nothing is shared") as info:
        plan_rechunk(square(16, directory=None))
    assert "staging=" in info.value.hint


def test_a_full_disk():
    with pytest.raises(safeframe.StagingFullError, match="stages 2 GiB"):
        plan_rechunk(square(128, free=MIB))[0].validate()


lengths = st.integers(1, 10_000)


@given(
    st.lists(st.tuples(lengths, lengths, lengths), min_size=1, max_size=3),
    st.sampled_from([1, 8, 16]),
    st.integers(1, 64),
)
def test_every_plan_keeps_to_its_bounds(axes, itemsize, most_chunks):
    source = ChunkGrid(tuple(regular(length, min(size, length)) for length, size, _ in axes))
    target = ChunkGrid(tuple(regular(length, min(size, length)) for length, _, size in axes))
    read = consolidated(source, target, most_chunks)
    assert read.shape == source.shape
    assert source.n_chunks <= read.n_chunks * most_chunks
    for bounds, inner in zip(source.bounds, read.bounds, strict=True):
        assert set(inner.tolist()) <= set(bounds.tolist())
    most = max(chunk_nbytes(read, itemsize), chunk_nbytes(target, itemsize))
    grids, _ = choose_grids(read, target, itemsize, most)
    assert (grids[0], grids[-1]) == (read, target)
    for grid in grids:
        assert grid.shape == source.shape
        assert chunk_nbytes(grid, itemsize) <= most
