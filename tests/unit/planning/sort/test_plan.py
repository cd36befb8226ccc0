"""The plan of a sort from pure numbers: the ladder, groups, memory, and what is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from safeframe import options
from safeframe.errors import MemoryBudgetError, ValidationError
from safeframe.facts.budget import StagingFacts
from safeframe.facts.estimate import Estimate, Width
from safeframe.facts.frame import ColumnProfile, FrameProfile, FrameSource
from safeframe.facts.keys import PartitionKeys
from safeframe.facts.sort import Alignment, KeyQuantiles, SortFacts
from safeframe.facts.strategies import SORT_STRATEGIES
from safeframe.planning.exchange import stage_tasks
from safeframe.planning.memory import default_partition_nbytes
from safeframe.planning.sort.plan import plan_sort, staged_group
from tests.unit.planning.budgets import budget_of

MIB = 2**20
ROW = 80
SHARED = StagingFacts(directory="scratch", free_nbytes=10**12, unavailable="")
NOWHERE = StagingFacts(directory=None, free_nbytes=0, unavailable="no directory is shared")


def budget(task_mib=256, n_workers=2, threads=1):
    reserved = 200 * MIB
    allowed = int((reserved + threads * task_mib * MIB) / 0.8)
    return budget_of(allowed, reserved_nbytes=reserved, n_workers=n_workers, threads=threads)


def shared_keys(held_rows, partitions=40):
    """Partitions in order of which each ends with the key that the next one begins with."""
    numbers = np.arange(partitions)
    return Alignment(
        starts=numbers.astype("uint64"),
        last=partitions,
        first_input=numbers,
        after_input=np.minimum(numbers + 2, partitions),
        held_rows=held_rows,
    )


def facts(partitions=40, rows=100_000, keys=None, nulls=0, **changes):
    """Facts of so many equal partitions; keys are known and equal too, unless their rows are given."""
    numbers = np.arange(partitions, dtype="uint64")
    total = partitions * rows
    own = np.full(1000, (total - nulls) / 1000) if keys is None else np.asarray(keys, float)
    quantiles = KeyQuantiles(
        codes=10 * np.arange(1, len(own) + 1, dtype="uint64"),
        below=np.cumsum(own) - own,
        below_error=np.zeros(len(own)),
        rows=own,
        total_rows=total,
        null_rows=nulls,
        values=None,
        partitions=PartitionKeys(
            rows=np.full(partitions, rows),
            null_rows=np.zeros(partitions, int),
            first=numbers,
            last=numbers,
            increasing=np.ones(partitions, bool),
        ),
        partition_rows=np.full(partitions, rows),
    )
    profile = FrameProfile(
        columns=tuple(
            ColumnProfile(name=f"c{i}", dtype="int64", row_nbytes=8.0, exact=True) for i in range(10)
        ),
        index_row_nbytes=0.0,
        partitions=partitions,
        rows=Estimate.computed(total),
        largest_partition_rows=Estimate.computed(rows),
        source=FrameSource(
            self_made=changes.pop("self_made", True), fixed_width=changes.pop("fixed_width", False)
        ),
    )
    given = {
        "recipe": "set_index",
        "quantiles": quantiles,
        "profile": profile,
        "row_nbytes": float(ROW),
        "output_row_nbytes": float(ROW),
        "budget": budget(),
        "staging": SHARED,
        "partition_nbytes": None,
        "npartitions": None,
        "strategy": None,
        "split_keys": False,
        "ordered": "partitions overlap",
        "alignment": None,
        "p2p": None,
    }
    given |= changes
    return SortFacts(output_width=Width.fixed(given["output_row_nbytes"]), **given)


def plan_of(*args, **changes):
    return plan_sort(facts(*args, **changes))


def test_partitions_in_order_stay_and_nothing_is_staged():
    plan = plan_of(ordered="")
    assert (plan.strategy, plan.staging_nbytes, plan.staging_directory) == ("sorted", 0, None)
    assert plan.output_partitions == 40
    assert plan.largest_partition_nbytes == 100_000 * ROW
    assert [(step.kind, step.task_peak_nbytes) for step in plan.steps] == [
        ("take partitions as they are", 3 * 100_000 * ROW)
    ]
    assert {candidate.strategy: candidate.reason for candidate in plan.rejected} == {
        "staged": "sorted comes first and can run",
        "p2p": "sorted comes first and can run",
    }


def test_partitions_that_share_keys_are_held_together():
    plan = plan_of(ordered="", alignment=shared_keys(250_000))
    held = 250_000 * ROW
    assert plan.steps[0].kind == "move the rows of shared keys"
    assert plan.steps[0].task_peak_nbytes == held + 2 * held + 40 * 250_000 + 3 * held
    assert plan.largest_partition_nbytes == held


def test_what_is_not_in_order_is_staged_and_says_why():
    plan = plan_of()
    assert plan.strategy == "staged"
    assert plan.staging_nbytes == 40 * 100_000 * ROW
    assert plan.staging_directory == "scratch"
    assert plan.rejected[0].reason == "partitions overlap"
    assert [step.kind for step in plan.steps] == ["stage groups of partitions", "order shards"]
    assert plan.fits


def test_the_formulas_of_both_steps():
    made = facts()
    tasks = staged_group(made)
    group, held = tasks.partitions, tasks.held_nbytes
    plan = plan_of()
    partition, largest = 100_000 * ROW, plan.largest_partition_nbytes
    stage, order = plan.steps
    assert held == group * (int(options.WAITING_COLUMN_COPIES * partition) + 24 * 100_000)
    assert stage.task_peak_nbytes == 3 * partition + held
    size = plan.run.way.group.size
    assert order.task_peak_nbytes == 5 * largest + 40 * (largest // ROW) + size.worker_nbytes
    assert str(size) in stage.reason
    assert (size.files, size.shards) == (stage.tasks, order.tasks)
    assert stage.tasks == -(-40 // group)
    assert order.tasks == plan.output_partitions


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"npartitions": 39}, "there are 40 partitions, and 39 are requested"),
        ({"partition_nbytes": 5 * MIB}, "a partition can have 7.63 MiB, and 5 MiB are requested"),
        (
            {"alignment": shared_keys(10**6)},
            "a partition and those that share its last key would take a worker to",
        ),
    ],
)
def test_partitions_in_order_of_the_wrong_size_are_made_again(changes, reason):
    plan = plan_of(ordered="", **changes)
    assert plan.strategy == "staged"
    assert plan.rejected[0].reason.startswith(reason)


def test_the_number_that_there_is_may_be_requested():
    assert plan_of(ordered="", npartitions=40).strategy == "sorted"


@pytest.mark.parametrize("strategy", ["sorted", "staged"])
def test_a_strategy_that_is_requested_is_taken(strategy):
    plan = plan_of(ordered="", strategy=strategy)
    assert plan.strategy == strategy
    assert {candidate.strategy for candidate in plan.rejected} == set(SORT_STRATEGIES) - {strategy}
    assert {candidate.reason for candidate in plan.rejected} == {f"strategy='{strategy}' was requested"}


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"strategy": "magic"}, "'magic' is not a strategy of set_index", "sorted, staged, p2p"),
        (
            {"strategy": "sorted"},
            "strategy='sorted' cannot run this set_index: partitions overlap",
            "Leave strategy=",
        ),
        (
            {"strategy": "staged", "staging": NOWHERE},
            "'staged' cannot run .*: no directory is shared",
            "staging=",
        ),
    ],
)
def test_a_strategy_that_cannot_run_is_refused(changes, message, hint):
    with pytest.raises(ValidationError, match=message) as info:
        plan_of(**changes)
    assert hint in info.value.hint


def test_a_size_is_kept_with_as_few_partitions_as_keep_it():
    plan = plan_of(partition_nbytes=4 * MIB)
    assert plan.largest_partition_nbytes <= plan.partition_nbytes == 4 * MIB
    least = 40 * 100_000 * ROW / (4 * MIB)
    assert least <= plan.output_partitions <= 1.2 * least


def test_a_partition_leaves_room_to_be_widened_where_no_size_is_given():
    plan = plan_of(rows=400_000)  # partitions of 30 MiB
    assert plan.partition_nbytes == default_partition_nbytes(budget().task_nbytes, ROW) < 20 * MIB
    assert plan.largest_partition_nbytes <= plan.partition_nbytes


@pytest.mark.parametrize("split_keys", [True, False])
@pytest.mark.parametrize("nulls", [0, 1000])
@pytest.mark.parametrize(("partitions", "rows"), [(40, 60_000), (40, 100_000), (3, 10_000)])
def test_there_are_no_fewer_partitions_than_there_were(partitions, rows, nulls, split_keys):
    plan = plan_of(partitions=partitions, rows=rows, nulls=nulls, split_keys=split_keys)
    kept = rows * ROW >= options.KEPT_PARTITION_NBYTES
    assert plan.output_partitions >= (partitions if kept else 2)
    assert plan.output_partitions <= 2 * partitions


def test_the_user_s_number_and_size_stand():
    assert plan_of(npartitions=3).output_partitions == 3
    assert plan_of(partition_nbytes=100 * MIB).output_partitions <= 5


def test_a_heavy_key_stays_whole_where_it_must_and_is_said():
    keys = [4000.0] * 500 + [2_000_000.0]
    whole = plan_of(keys=keys)
    assert whole.largest_partition_nbytes >= 2_000_000 * ROW
    assert any("heaviest key has about 2,000,000 rows" in reason for reason in whole.reasons)
    assert not whole.fits
    with pytest.raises(MemoryBudgetError):
        whole.validate()
    cut = plan_of(keys=keys, split_keys=True, recipe="sort_values")
    assert cut.fits
    assert cut.largest_partition_nbytes <= cut.partition_nbytes
    assert not any("heaviest key" in reason for reason in cut.reasons)
    assert any("1 shards are for one key" in reason for reason in cut.reasons)


def test_a_plan_that_does_not_fit_is_a_plan():
    plan = plan_of(rows=400_000, budget=budget(task_mib=8))
    assert not plan.fits
    assert "stage" in plan.over_budget[0].kind


def test_a_disk_that_is_too_small_does_not_fit():
    full = StagingFacts(directory="scratch", free_nbytes=1000, unavailable="")
    assert not plan_of(staging=full).fits


def test_an_index_next_to_its_column_makes_the_result_wider():
    plan = plan_of(output_row_nbytes=ROW + 8.0, npartitions=10)
    assert plan.row_nbytes == ROW + 8
    assert plan.largest_partition_nbytes == 400_000 * (ROW + 8)
    assert plan.staging_nbytes == 40 * 100_000 * ROW


def group_of(**changes):
    return staged_group(facts(**changes)).partitions


def test_groups_are_bounded_by_the_size_of_a_file_and_idle_workers():
    partition = 100_000 * ROW
    # Eight tasks a thread at the least: 400 partitions, two workers.
    assert group_of(partitions=800, budget=budget(task_mib=4096)) == 192 * MIB // partition
    assert group_of(partitions=160, budget=budget(task_mib=4096)) == 160 // (8 * 2)
    assert group_of(partitions=160, budget=budget(task_mib=4096, n_workers=1, threads=2)) == 160 // (8 * 2)


def test_what_waits_to_be_written_is_bounded_by_memory():
    partition, one = 100_000 * ROW, int(options.WAITING_COLUMN_COPIES * 100_000 * ROW) + 24 * 100_000
    tasks = staged_group(facts(partitions=80, budget=budget(task_mib=4096)))
    assert (tasks.held_nbytes, tasks.slice_nbytes) == (tasks.partitions * one, None)
    source = facts().profile.source
    tasks = stage_tasks(np.full(800, 100_000), ROW, budget(task_mib=128), source, n_shards=1000)
    assert tasks.held_nbytes == 128 * MIB - 3 * partition < tasks.partitions * one
    tasks = staged_group(facts(partitions=800, budget=budget(task_mib=1)))
    rows = -(-tasks.slice_nbytes // ROW)
    assert tasks.held_nbytes == int(options.WAITING_COLUMN_COPIES * rows * ROW) + 24 * rows, (
        "never less than one slice"
    )


def test_rows_of_fixed_width_wait_once():
    one = 100_000 * ROW + 24 * 100_000
    tasks = staged_group(facts(partitions=80, budget=budget(task_mib=4096), fixed_width=True))
    assert tasks.held_nbytes == tasks.partitions * one


@pytest.mark.parametrize("fixed_width", [False, True])
def test_no_more_rows_wait_than_make_large_pieces(fixed_width):
    wide = budget(task_mib=4096)
    given = facts(partitions=800, budget=wide, fixed_width=fixed_width)
    assert staged_group(given).held_nbytes == options.WAITING_NBYTES
    rows = np.full(800, 100_000)
    several = stage_tasks(rows, ROW, wide, given.profile.source, n_shards=400)
    assert several.held_nbytes == 400 * options.WAITING_SHARD_NBYTES
    written = several.held_nbytes / (options.WAITING_COLUMN_COPIES + 24 / ROW)
    assert written / 400 >= options.LEAST_PIECE_NBYTES, "pieces are as large as one level of shards has them"


def test_a_group_is_one_partition_where_more_cannot_be():
    assert group_of(self_made=False) == 1
    assert group_of(rows=0, keys=[]) == 1
    assert group_of(partitions=3) == 1


def test_the_projection_grows_with_each_number():
    peaks = [plan_of(rows=rows).projected_worker_nbytes for rows in (10_000, 100_000, 400_000)]
    assert all(one < following for one, following in itertools.pairwise(peaks))
    assert plan_of(budget=budget(threads=2)).projected_worker_nbytes > plan_of().projected_worker_nbytes


@pytest.mark.parametrize("nulls", [0, 400_000])
def test_no_keys_at_all(nulls):
    plan = plan_of(partitions=4, keys=[], nulls=nulls, rows=nulls // 4)
    assert plan.output_partitions == 1
    assert plan.fits
