"""How the rechunking of an array is planned."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import safeframe
from safeframe import options
from safeframe.facts.budget import StagingFacts
from safeframe.facts.rechunk import RechunkFacts, RechunkRun, StagedChunks
from safeframe.kernels.rechunk import MARK_NBYTES, ChunkGrid, count_pieces
from safeframe.planning.rechunk.plan import plan_rechunk
from safeframe.planning.rechunk.stages import choose_grids, chunk_nbytes, consolidated
from tests.unit.planning.budgets import budget_of
from tests.unit.planning.true_reasons import check_reasons

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


def grids_of(plan):
    """Return the grids that a staged array passes through, that of the result last."""
    run = plan.run
    assert isinstance(run, RechunkRun)
    assert isinstance(run.way, StagedChunks)
    return [ChunkGrid(chunks) for chunks in (*run.way.grids, run.target)]


def square(s, **given):
    return facts(((s * s,), regular(s * s, s)), (regular(s * s, s), (s * s,)), **given)


@pytest.mark.parametrize("s", [64, 112, 128, 160, 256])
def test_the_report_s_squares_fit_598_mib(s):
    plan = plan_rechunk(square(s))
    grids = grids_of(plan)
    assert plan.strategy == "staged"
    assert plan.fits
    assert len(grids) == 2, "pieces of whole kilobytes need no grid between"
    assert plan.staging_nbytes == s**4 * 8 + MARK_NBYTES * count_pieces(*grids)


def test_steps_are_what_they_say():
    plan = plan_rechunk(square(256))
    stage, join = plan.steps
    chunk, piece = 128 * MIB, MIB // 2
    assert stage.task_peak_nbytes == 2 * chunk + piece + options.CHUNK_BUFFER_NBYTES
    assert join.task_peak_nbytes == 2 * chunk + piece
    assert plan.projected_worker_nbytes == 190 * MIB + stage.task_peak_nbytes


def test_sizes_of_chunks_before_and_after_are_those_of_each():
    plan = plan_rechunk(facts(((3, 5, 5), (7, 2)), ((13,), (9,))))
    (before,) = plan.partitions_before
    assert (before.name, before.nbytes) == ("array", tuple(8 * n for n in (6, 10, 10, 21, 35, 35)))
    assert (plan.partitions_after.name, plan.partitions_after.nbytes) == ("result", (8 * 13 * 9,))
    # However many there are.
    (many,) = plan_rechunk(facts(((1,) * 4000,) * 2, ((4000,),) * 2)).partitions_before
    assert (many.partitions, set(many.nbytes)) == (16_000_000, {8})


def test_a_chunk_that_no_worker_can_hold():
    plan = plan_rechunk(square(256, allowed=400 * MIB))
    assert not plan.fits
    with pytest.raises(
        safeframe.MemoryBudgetError, match=r"projected to need 452 MiB.* 400 MiB is allowed"
    ) as info:
        plan.validate()
    assert "chunks of some" in info.value.hint


def test_small_chunks_are_staged_together():
    source, target = (regular(20_000, 20_000), regular(20_000, 4)), (regular(20_000, 100), (20_000,))
    plan = plan_rechunk(facts(source, target))
    grids = grids_of(plan)
    assert plan.steps[0].kind == "stage groups of chunks"
    assert grids[0].n_chunks < 5000 / 50
    assert chunk_nbytes(grids[0], 8) <= options.RECHUNK_GROUP_NBYTES
    alone = plan_rechunk(facts(source, target, self_made=False))
    grids = grids_of(alone)
    assert (alone.steps[0].kind, grids[0].n_chunks) == ("stage chunks", 5000)


def test_many_small_pieces_go_through_grids_between():
    source, target = ((40_000,), regular(40_000, 20)), (regular(40_000, 20), (40_000,))
    plan = plan_rechunk(facts(source, target, self_made=False))
    grids = grids_of(plan)
    assert len(grids) > 2
    assert sum(count_pieces(a, b) for a, b in pairwise(grids)) < 2000 * 2000
    marks = MARK_NBYTES * sum(count_pieces(a, b) for a, b in pairwise(grids))
    assert plan.staging_nbytes == 2 * 40_000**2 * 8 + marks, "two exchanges are on the disk at a time"
    assert [step.kind for step in plan.steps[1:-1]] == ["pass chunks on"] * (len(grids) - 2)


def test_strategies():
    chunks = (regular(100, 10), (50,))
    assert plan_rechunk(facts(chunks, chunks)).strategy == "untouched"
    assert plan_rechunk(facts(((0,),), ((0, 0),))).strategy == "untouched"
    whole = (regular(100, 50), (50,))
    plan = plan_rechunk(facts(chunks, whole, directory=None))
    assert (plan.strategy, plan.staging_nbytes) == ("merged", 0)
    plan = plan_rechunk(facts(chunks, whole, self_made=False))
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
        plan_rechunk(square(128, free=MIB)).validate()


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


@given(
    st.lists(st.tuples(st.integers(0, 300), lengths, lengths), min_size=1, max_size=3),
    st.integers(190, 800),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_every_reason_is_the_one(axes, allowed, self_made, shared, whole):
    source = tuple(regular(length, min(size, max(length, 1))) or (0,) for length, size, _ in axes)
    target = tuple(
        (length,) if whole else regular(length, min(size, max(length, 1))) or (0,) for length, _, size in axes
    )
    given_facts = facts(
        source, target, allowed=allowed * MIB, self_made=self_made, directory="/scratch" if shared else None
    )
    try:
        plan = plan_rechunk(given_facts)
    except safeframe.ValidationError:
        assert not shared
        return
    check_reasons(plan, ["untouched", "merged", "staged"], None)


def test_what_does_not_fit_when_merged_is_staged() -> None:
    """Merging holds two chunks of either kind at once, staging one kind at a time."""
    length = 20 * MIB
    source, target = (regular(length, length // 4),), (regular(length, length // 2),)
    merged = plan_rechunk(facts(source, target, allowed=2048 * MIB))
    assert merged.strategy == "merged"
    allowed = int((merged.projected_worker_nbytes - 50 * MIB) / 0.8)
    staged = plan_rechunk(facts(source, target, allowed=allowed))
    assert (staged.strategy, staged.fits) == ("staged", True)
    assert staged.rejected[1].reason.startswith("a task would need 240 MiB, and it may use")
    tight = plan_rechunk(facts(source, target, allowed=allowed, directory=None))
    assert tight.strategy == "merged"
