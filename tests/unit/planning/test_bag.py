"""How the group-by of a bag is planned."""

from __future__ import annotations

import pytest

import safeframe
from safeframe import options
from safeframe.facts.bag import BagFacts, BagRun, BagSizes
from safeframe.facts.budget import StagingFacts
from safeframe.planning.bag import plan_bag_groupby
from tests.unit.planning.budgets import budget_of

MIB = 2**20


def facts(
    n, *, items=314_572, item=40.0, staged=4.0, sampled=4, npartitions=None, allowed=598 * MIB, **given
):
    given = {"self_made": True, "split_large_groups": False, "directory": "/scratch"} | given
    directory = given.pop("directory")
    sampled = min(n, sampled)
    return BagFacts(
        sizes=BagSizes(
            partitions=n,
            sampled=sampled,
            partition_nbytes=(int(items * item),) * sampled,
            items=sampled * items,
            largest_items=items,
            item_nbytes=item,
            staged_item_nbytes=staged,
        ),
        budget=budget_of(allowed, reserved_nbytes=190 * MIB),
        staging=StagingFacts(directory=directory, free_nbytes=2**40, unavailable="nothing is shared"),
        npartitions=npartitions,
        **given,
    )


def run_of(plan) -> BagRun:
    assert isinstance(plan.run, BagRun)
    return plan.run


@pytest.mark.parametrize("n", [2, 8, 64, 512])
def test_the_report_s_bags_fit_598_mib(n):
    plan = plan_bag_groupby(facts(n))
    run = run_of(plan)
    assert plan.fits
    assert plan.projected_worker_nbytes <= 0.8 * 598 * MIB + 1
    files = -(-n // run.group)
    assert files * run.n_shards <= options.BAG_MAX_PIECES
    assert files <= max(32, n // 4), "pieces of a partition stay as many while the bag grows"


def test_figures_are_those_of_the_partitions_that_were_seen():
    plan = plan_bag_groupby(facts(512))
    assert (plan.output_rows.expected, plan.output_rows.exact) == (512 * 314_572, False)
    assert plan.output_rows.lower == 4 * 314_572
    assert plan.output_rows.upper == int(options.SAMPLE_MARGIN * 512 * 314_572)
    assert plan_bag_groupby(facts(4)).output_rows.exact


def test_sizes_before_are_those_of_the_partitions_that_were_seen():
    (before,) = plan_bag_groupby(facts(512)).partitions_before
    assert (before.count, before.nbytes) == ("512, 4 of them measured", (314_572 * 40,) * 4)
    (before,) = plan_bag_groupby(facts(4)).partitions_before
    assert before.count == "4"


def test_partitions_are_planned_half_full():
    plan = plan_bag_groupby(facts(512))
    total = int(plan.output_rows) * 40
    assert total / plan.output_partitions < plan.largest_partition_nbytes / 2
    assert plan.output_partitions * plan.partition_nbytes >= plan.output_nbytes.upper


def test_partitions_of_the_user():
    plan = plan_bag_groupby(facts(64, npartitions=100))
    run = run_of(plan)
    assert (plan.output_partitions, run.n_shards >= 100, plan.fits) == (100, True, True)
    plan = plan_bag_groupby(facts(64, npartitions=1))
    run = run_of(plan)
    assert (run.n_shards, plan.fits) == (1, False)
    with pytest.raises(safeframe.MemoryBudgetError, match=r"598 MiB is allowed.*gather groups needs") as info:
        plan.validate()
    assert "npartitions=" in info.value.hint


def test_a_partition_that_no_worker_can_hold():
    plan = plan_bag_groupby(facts(64, items=20_000_000))
    with pytest.raises(safeframe.MemoryBudgetError, match="stage partitions needs") as info:
        plan.validate()
    assert "smaller partitions" in info.value.hint


def test_large_items_are_looked_at_few_at_a_time():
    run = run_of(plan_bag_groupby(facts(8, items=1000, item=10.0 * MIB, staged=10.0 * MIB)))
    assert run.block_items == 1


def test_partitions_are_staged_together_only_where_their_tasks_make_them():
    assert run_of(plan_bag_groupby(facts(512))).group > 1
    assert run_of(plan_bag_groupby(facts(512, self_made=False))).group == 1


def test_nothing_at_all():
    plan = plan_bag_groupby(facts(3, items=0, staged=0.0, item=8.0))
    run = run_of(plan)
    assert (plan.output_partitions, run.group, plan.fits) == (3, 1, True)


def test_nowhere_to_stage():
    with pytest.raises(safeframe.ValidationError, match="nothing is shared"):
        plan_bag_groupby(facts(8, directory=None))
