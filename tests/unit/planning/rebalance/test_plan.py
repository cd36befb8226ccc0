"""Which strategy rebalances a frame, and where it is cut."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from safeframe import options
from safeframe.errors import MemoryBudgetError, ValidationError
from safeframe.facts.budget import StagingFacts
from safeframe.facts.rebalance import PartitionSizes, RebalanceFacts
from safeframe.planning.rebalance.plan import plan_rebalance, reads_in_slices
from tests.unit.planning.budgets import budget_of

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


def test_the_ladder():
    assert plan_rebalance(facts_of([15] * 5))[0].strategy == "untouched"
    assert plan_rebalance(facts_of([1] * 50))[0].strategy == "merged"
    assert plan_rebalance(facts_of([60] * 5, npartitions=6))[0].strategy == "sliced"
    assert plan_rebalance(facts_of([100, 40], partition_nbytes=10 * MIB))[0].strategy == "staged"
    nowhere = StagingFacts(directory=None, free_nbytes=0, unavailable="no directory")
    plan, _ = plan_rebalance(facts_of([100, 40], partition_nbytes=10 * MIB, staging=nowhere))
    assert plan.strategy == "sliced"
    plan, _ = plan_rebalance(facts_of([100, 40], partition_nbytes=10 * MIB, unstageable="objects"))
    assert plan.strategy == "sliced"


def test_each_other_strategy_says_why_not():
    plan, _ = plan_rebalance(facts_of([100, 40], partition_nbytes=10 * MIB))
    assert {candidate.strategy: candidate.reason for candidate in plan.rejected} == {
        "untouched": "the largest partition has 100 MiB, above 10 MiB",
        "merged": "a partition has 100 MiB, above 10 MiB",
        "sliced": "each input partition would be made 9.29 times",
    }
    for strategy in ("merged", "sliced", "staged"):
        plan, _ = plan_rebalance(facts_of([1] * 50, strategy=strategy))
        assert plan.strategy == strategy
        assert {c.reason for c in plan.rejected} == {f"strategy={strategy!r} was asked for"}


def test_sizes_before_and_after_are_told():
    plan, _ = plan_rebalance(facts_of([1] * 40 + [9], partition_nbytes=10 * MIB))
    before, after = plan.reasons[-2:]
    assert before == ("before: 41 partitions, the largest 9 MiB, the smallest 1 MiB, the mean 1.2 MiB"), (
        plan.reasons
    )
    assert after.startswith("after: 6 partitions, the largest 9")
    assert plan.to_dict()["reasons"]
    assert "41 partitions" in str(plan)
    assert pickle.loads(pickle.dumps(plan)) == plan


@pytest.mark.parametrize("limit", [3, 10, 64])
@pytest.mark.parametrize("uniform", [True, False])
def test_the_bound_holds(limit, uniform):
    rng = np.random.default_rng(limit)
    mib = [0, *rng.uniform(0, 90, 30), 0]
    sizes = sizes_of(mib, row_nbytes=float(ROW) if uniform else None)
    plan, layout = plan_rebalance(facts_of(mib, sizes=sizes, partition_nbytes=limit * MIB))
    rows = np.diff(layout.cuts)
    assert rows.sum() == sizes.total_rows
    assert (rows * ROW).max() <= plan.largest_partition_nbytes <= limit * MIB
    assert plan.output_partitions == layout.n_partitions == len(rows)
    assert (rows * ROW).max() <= 1.1 * (rows * ROW).mean()


@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_a_number_of_partitions(n):
    mib = list(np.random.default_rng(n).uniform(0, 90, 30))
    plan, layout = plan_rebalance(facts_of(mib, npartitions=n))
    rows = np.diff(layout.cuts)
    assert len(rows) == n
    assert rows.max() <= 1.1 * rows.mean()
    assert plan.partition_nbytes == plan.largest_partition_nbytes >= rows.max() * ROW


def test_a_number_that_is_met_is_left_alone():
    assert plan_rebalance(facts_of([40] * 5, npartitions=5))[0].strategy == "untouched"
    assert plan_rebalance(facts_of([40] * 4 + [70], npartitions=5))[0].strategy == "sliced"
    assert plan_rebalance(facts_of([40] * 10, npartitions=5))[0].strategy == "merged"
    assert plan_rebalance(facts_of([40] * 4, npartitions=5))[0].strategy == "sliced"


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
    plan, layout = plan_rebalance(facts)
    assert "divisions stay known: cuts lie between index values" in plan.reasons
    assert set(layout.cuts[1:-1].tolist()) <= set(starts)
    assert layout.divisions == (
        "k000000", *(f"k{row:06d}" for row in layout.cuts[1:-1].tolist()), "z",
    )  # fmt: skip
    plan, layout = plan_rebalance(replace(facts, partition_nbytes=None, npartitions=9))
    assert layout.divisions[1] is not None
    assert np.diff(layout.cuts).max() <= 1.1 * np.diff(layout.cuts).mean()


@pytest.mark.parametrize("goal", [{"partition_nbytes": 3 * MIB}, {"npartitions": 12}])
def test_a_value_with_too_many_rows_costs_the_divisions(goal):
    total = 40 * MIB // ROW
    starts = [0, *range(8_000, total, 96)]
    sizes = sizes_of([20, 20], keys=keyed(starts, total))
    plan, layout = plan_rebalance(facts_of([], sizes=sizes, divisions=("k000000", "k020480", "z"), **goal))
    assert set(layout.divisions) == {None}
    assert any("divisions become unknown" in reason for reason in plan.reasons)
    assert (np.diff(layout.cuts) * ROW).max() <= (3.4 * MIB * 1.1 if "npartitions" in goal else 3 * MIB)


def test_whole_partitions_keep_their_divisions():
    sizes = sizes_of([1] * 6, keys=keyed([0], 6 * MIB // ROW))
    facts = facts_of([], sizes=sizes, divisions=tuple("abcdefg"), partition_nbytes=2 * MIB + 200)
    assert plan_rebalance(facts)[1].divisions == ("a", "c", "e", "g")
    assert plan_rebalance(replace(facts, strategy="untouched"))[1].divisions == tuple("abcdefg")


def test_what_does_not_fit_a_task_is_read_in_slices_or_refused():
    facts = facts_of([400, 10])
    assert reads_in_slices(facts).tolist() == [False, False]
    plan, _ = plan_rebalance(facts)
    assert not plan.fits
    with pytest.raises(MemoryBudgetError, match=r"projected to need .*600 MiB is allowed(.|\n)*Hint: "):
        plan.validate()
    facts = replace(facts, in_slices=True)
    assert reads_in_slices(facts).tolist() == [True, False]
    plan, _ = plan_rebalance(facts)
    assert plan.strategy == "staged"
    assert plan.fits
    assert [(step.kind, step.tasks) for step in plan.steps[:2]] == [
        ("stage slices of large partitions", 1),
        ("stage partitions", 1),
    ]


def test_input_that_other_tasks_make_waits_in_memory():
    alone, _ = plan_rebalance(facts_of([60] * 5, strategy="sliced"))
    waits, _ = plan_rebalance(facts_of([60] * 5, strategy="sliced", own_tasks=False))
    assert waits.task_peak_nbytes - alone.task_peak_nbytes == 300 * MIB
    assert "of input that waits" in waits.steps[0].reason
    assert plan_rebalance(facts_of([60] * 5, own_tasks=False))[0].strategy == "staged"


def test_a_slice_s_peak_has_its_pages():
    plan, _ = plan_rebalance(facts_of([400], in_slices=True))
    assert plan.steps[0].task_peak_nbytes >= 3 * options.SLICE_NBYTES + options.SLICE_READ_NBYTES


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "magic"}, r"strategy='magic' is not(.|\n)*untouched, merged, sliced, staged"),
        ({"partition_nbytes": 500}, r"partition_size=500 B is less than a partition of one row, 1\.1 KiB"),
        ({"strategy": "merged", "npartitions": 9}, "merged: there are only 2 partitions to join"),
        ({"strategy": "untouched", "npartitions": 9}, "there are 2 partitions, and 9 were asked for"),
        ({"strategy": "staged", "unstageable": "column 'x' is odd"}, "staged: column 'x' is odd"),
    ],
)
def test_what_cannot_be(changes, message):
    with pytest.raises(ValidationError, match=message):
        plan_rebalance(facts_of([40, 40], **changes))
