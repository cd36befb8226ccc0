"""Which strategy rebalances a frame, and where it is cut."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safeframe import options
from safeframe.errors import MemoryBudgetError, ValidationError
from safeframe.facts.budget import StagingFacts
from safeframe.facts.rebalance import PartitionSizes, RebalanceFacts, RebalanceRun, StagedPartitions
from safeframe.planning.rebalance.plan import plan_rebalance
from tests.unit.planning.budgets import budget_of
from tests.unit.planning.true_reasons import check_reasons

MIB = 2**20
ROW = 1024


def sizes_of(mib, *, row_nbytes=float(ROW), keys=None):
    """Partitions of so many MiB each, of rows of 1 KiB; a place in every 64 rows."""
    rows = np.array([int(m * MIB / ROW) for m in mib], np.int64)
    bounds = np.concatenate([[0], np.cumsum(rows)])
    places = np.unique(np.concatenate([bounds, np.arange(0, bounds[-1], 64)])) if keys is None else keys[0]
    return PartitionSizes(
        rows=rows,
        nbytes=rows * ROW,
        row_nbytes=row_nbytes,
        frame_nbytes=100,
        piece_nbytes=0,
        place_rows=places,
        place_nbytes=places * ROW,
        keys=None if keys is None else keys[1],
        method="computed",
    )


def facts_of(mib, **changes):
    sizes = changes.pop("sizes", None) or sizes_of(mib)
    return RebalanceFacts(
        **{
            "sizes": sizes,
            "budget": budget_of(600 * MIB, reserved_nbytes=180 * MIB, n_workers=2),
            "staging": StagingFacts(directory="/scratch", free_nbytes=2**40, unavailable=""),
            "partition_nbytes": None,
            "npartitions": None,
            "strategy": None,
            "divisions": None,
            "own_tasks": True,
            "in_slices": False,
            "unstageable": "",
            **changes,
        }
    )


def run_of(plan) -> RebalanceRun:
    assert isinstance(plan.run, RebalanceRun)
    return plan.run


def layout_of(facts):
    return run_of(plan_rebalance(facts)).layout


def test_the_ladder():
    assert plan_rebalance(facts_of([15] * 5)).strategy == "untouched"
    assert plan_rebalance(facts_of([1] * 50)).strategy == "merged"
    assert plan_rebalance(facts_of([60] * 5, npartitions=6)).strategy == "sliced"
    assert plan_rebalance(facts_of([100, 40], partition_nbytes=10 * MIB)).strategy == "staged"
    nowhere = StagingFacts(directory=None, free_nbytes=0, unavailable="no directory")
    plan = plan_rebalance(facts_of([100, 40], partition_nbytes=10 * MIB, staging=nowhere))
    assert plan.strategy == "sliced"
    plan = plan_rebalance(facts_of([100, 40], partition_nbytes=10 * MIB, unstageable="objects"))
    assert plan.strategy == "sliced"


def test_each_other_strategy_says_why_not():
    plan = plan_rebalance(facts_of([100, 40], partition_nbytes=10 * MIB))
    assert {candidate.strategy: candidate.reason for candidate in plan.rejected} == {
        "untouched": "the largest partition has 100 MiB, above 10 MiB",
        "merged": "a partition has 100 MiB, above 10 MiB",
        "sliced": "each input partition would be made 9.29 times",
    }
    for strategy in ("merged", "sliced", "staged"):
        plan = plan_rebalance(facts_of([1] * 50, strategy=strategy))
        assert plan.strategy == strategy
        assert {c.reason for c in plan.rejected} == {f"strategy={strategy!r} was requested"}


def test_sizes_before_and_after_are_in_the_reasons():
    plan = plan_rebalance(facts_of([1] * 40 + [9], partition_nbytes=10 * MIB))
    before, after = plan.reasons[-2:]
    assert before == ("before: 41 partitions, the largest 9 MiB, the smallest 1 MiB, the mean 1.2 MiB"), (
        plan.reasons
    )
    assert after.startswith("after: 6 partitions, the largest 9")
    assert plan.to_dict()["reasons"]
    assert "41 partitions" in plan.details()
    assert pickle.loads(pickle.dumps(plan)) == plan


@pytest.mark.parametrize("limit", [3, 10, 64])
@pytest.mark.parametrize("uniform", [True, False])
def test_the_bound_holds(limit, uniform):
    rng = np.random.default_rng(limit)
    mib = [0, *rng.uniform(0, 90, 30), 0]
    sizes = sizes_of(mib, row_nbytes=float(ROW) if uniform else None)
    plan = plan_rebalance(facts_of(mib, sizes=sizes, partition_nbytes=limit * MIB))
    layout = run_of(plan).layout
    rows = np.diff(layout.cuts)
    assert rows.sum() == sizes.total_rows
    assert (rows * ROW).max() <= plan.largest_partition_nbytes <= limit * MIB
    assert plan.output_partitions == layout.n_partitions == len(rows)
    assert (rows * ROW).max() <= 1.1 * (rows * ROW).mean()


@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_a_number_of_partitions(n):
    mib = list(np.random.default_rng(n).uniform(0, 90, 30))
    plan = plan_rebalance(facts_of(mib, npartitions=n))
    layout = run_of(plan).layout
    rows = np.diff(layout.cuts)
    assert len(rows) == n
    assert rows.max() <= 1.1 * rows.mean()
    assert plan.partition_nbytes == plan.largest_partition_nbytes >= rows.max() * ROW


def test_a_number_that_is_met_is_left_alone():
    assert plan_rebalance(facts_of([40] * 5, npartitions=5)).strategy == "untouched"
    assert plan_rebalance(facts_of([40] * 4 + [70], npartitions=5)).strategy == "sliced"
    assert plan_rebalance(facts_of([40] * 10, npartitions=5)).strategy == "merged"
    assert plan_rebalance(facts_of([40] * 4, npartitions=5)).strategy == "sliced"


def keyed(starts, total, every=16):
    """Places of a frame whose index values begin at rows ``starts``."""
    places = np.union1d(np.append(starts, total), np.arange(0, total, every))
    begins = set(starts)
    return places, tuple(f"k{row:06d}" if row in begins else None for row in places.tolist())


def test_divisions_stay_known_where_values_are_small():
    total = 40 * MIB // ROW
    starts = list(range(0, total, 96))
    sizes = sizes_of([20, 20], keys=keyed(starts, total))
    facts = facts_of([], sizes=sizes, divisions=("k000000", "k020480", "z"), partition_nbytes=3 * MIB)
    plan = plan_rebalance(facts)
    layout = run_of(plan).layout
    assert "divisions stay known: cuts lie between index values" in plan.reasons
    assert set(layout.cuts[1:-1].tolist()) <= set(starts)
    assert layout.divisions == (
        "k000000", *(f"k{row:06d}" for row in layout.cuts[1:-1].tolist()), "z",
    )  # fmt: skip
    plan = plan_rebalance(replace(facts, partition_nbytes=None, npartitions=9))
    layout = run_of(plan).layout
    assert layout.divisions[1] is not None
    assert np.diff(layout.cuts).max() <= 1.1 * np.diff(layout.cuts).mean()


@pytest.mark.parametrize("goal", [{"partition_nbytes": 3 * MIB}, {"npartitions": 12}])
def test_a_value_with_too_many_rows_costs_the_divisions(goal):
    total = 40 * MIB // ROW
    starts = [0, *range(8_000, total, 96)]
    sizes = sizes_of([20, 20], keys=keyed(starts, total))
    plan = plan_rebalance(facts_of([], sizes=sizes, divisions=("k000000", "k020480", "z"), **goal))
    layout = run_of(plan).layout
    assert set(layout.divisions) == {None}
    why = (
        "there are fewer index values than partitions"
        if "npartitions" in goal
        else "an index value has more rows than fit a partition"
    )
    assert f"divisions become unknown: {why}" in plan.reasons
    assert (np.diff(layout.cuts) * ROW).max() <= (3.4 * MIB * 1.1 if "npartitions" in goal else 3 * MIB)


def test_whole_partitions_keep_their_divisions():
    sizes = sizes_of([1] * 6, keys=keyed([0], 6 * MIB // ROW))
    facts = facts_of([], sizes=sizes, divisions=tuple("abcdefg"), partition_nbytes=2 * MIB + 200)
    assert layout_of(facts).divisions == ("a", "c", "e", "g")
    assert layout_of(replace(facts, strategy="untouched")).divisions == tuple("abcdefg")


def test_what_does_not_fit_a_task_is_read_in_slices_or_refused():
    facts = facts_of([400, 10])
    plan = plan_rebalance(facts)
    assert not plan.fits
    with pytest.raises(MemoryBudgetError, match=r"projected to need .*600 MiB is allowed(.|\n)*Hint: "):
        plan.validate()
    facts = replace(facts, in_slices=True)
    plan = plan_rebalance(facts)
    assert run_of(plan).way == StagedPartitions("/scratch", in_slices=(0,))
    assert plan.strategy == "staged"
    assert plan.fits
    assert [(step.kind, step.tasks) for step in plan.steps[:2]] == [
        ("stage slices of large partitions", 1),
        ("stage partitions", 1),
    ]


def test_input_that_other_tasks_make_waits_in_memory():
    alone = plan_rebalance(facts_of([60] * 5, strategy="sliced"))
    waits = plan_rebalance(facts_of([60] * 5, strategy="sliced", own_tasks=False))
    assert waits.task_peak_nbytes - alone.task_peak_nbytes == 300 * MIB
    assert "of input that waits" in waits.steps[0].reason
    assert plan_rebalance(facts_of([60] * 5, own_tasks=False)).strategy == "staged"


def test_a_slice_s_peak_has_its_pages():
    plan = plan_rebalance(facts_of([400], in_slices=True))
    assert plan.steps[0].task_peak_nbytes >= 3 * options.SLICE_NBYTES + options.SLICE_READ_NBYTES


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "magic"}, r"strategy='magic' is not(.|\n)*untouched, merged, sliced, staged"),
        ({"partition_nbytes": 500}, r"partition_size=500 B is less than a partition of one row, 1\.1 KiB"),
        ({"strategy": "merged", "npartitions": 9}, "there are only 2 partitions to join"),
        ({"strategy": "untouched", "npartitions": 9}, "there are 2 partitions, and 9 were requested"),
        ({"strategy": "staged", "unstageable": "column 'x' is odd"}, "column 'x' is odd"),
    ],
)
def test_what_cannot_be(changes, message):
    with pytest.raises(ValidationError, match=message):
        plan_rebalance(facts_of([40, 40], **changes))


@given(
    st.lists(st.floats(0, 200), min_size=1, max_size=12),
    st.one_of(
        st.integers(1, 20).map(lambda n: {"npartitions": n}),
        st.integers(1, 300).map(lambda mib: {"partition_nbytes": mib * MIB}),
        st.just({}),
    ),
    st.sampled_from([None, "untouched", "merged", "sliced", "staged"]),
    st.integers(250, 1200),
    *[st.booleans()] * 4,
)
def test_every_reason_is_the_one(mib, goal, strategy, allowed, own_tasks, in_slices, stageable, shared):
    facts = facts_of(
        mib,
        budget=budget_of(allowed * MIB, reserved_nbytes=180 * MIB, n_workers=2),
        strategy=strategy,
        own_tasks=own_tasks,
        in_slices=in_slices,
        unstageable="" if stageable else "an odd column",
        staging=StagingFacts(directory="/scratch" if shared else None, free_nbytes=2**40, unavailable="nothing is shared"),
        **goal,
    )  # fmt: skip
    try:
        plan = plan_rebalance(facts)
    except ValidationError:
        assert strategy is not None
        return
    check_reasons(
        plan,
        ["untouched", "merged", "sliced", "staged"],
        strategy,
        lambda name: plan_rebalance(replace(facts, strategy=name)),
    )
    sizes = facts.sizes.nbytes + facts.sizes.frame_nbytes
    if "of about the same size" in plan.reasons[0]:
        assert sizes.max() <= options.REBALANCE_EVEN_FACTOR * sizes.mean()
    assert (plan.strategy == "staged") == isinstance(run_of(plan).way, StagedPartitions)
    assert (plan.strategy == "staged") == (plan.staging_directory is not None)
