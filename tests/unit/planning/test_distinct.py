"""Which way distinct keys are found, what is reduced, and which rows are named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import safeframe
from safeframe.facts.budget import StagingFacts
from safeframe.facts.distinct import DistinctFacts, KeyTree, StagedKeys, WholeKeys
from safeframe.facts.estimate import Estimate, Width
from safeframe.facts.frame import ColumnProfile, FrameProfile, FrameSource
from safeframe.facts.keys import ShuffleKeys
from safeframe.planning.distinct.plan import plan_distinct
from tests.unit.planning.budgets import budget_of

MIB = 2**20


def facts(*, counts, partitions=20, exact=True, **changed):
    counts = np.asarray(counts, np.int64)
    rows = int(counts.sum())
    source = FrameSource(self_made=True, whole="", reader_nbytes=4 * MIB, few_columns_nbytes=2 * MIB)
    column = ColumnProfile(name="k", dtype="int64", row_nbytes=88.0, exact=True)
    distinct = Estimate.computed(len(counts))
    part = rows // partitions
    made = DistinctFacts(
        recipe="drop_duplicates",
        keep="first",
        wanted="rows",
        keys=ShuffleKeys(
            codes=np.arange(len(counts), dtype=np.uint64),
            counts=counts,
            exact=exact,
            rows=rows,
            null_rows=0,
            heaviest_key="",
        ),
        distinct=distinct,
        kept=distinct,
        partition_rows=np.full(partitions, part, np.int64),
        key_row_nbytes=24.0,
        source=source,
        profile=FrameProfile(
            columns=(column,),
            index_row_nbytes=0.0,
            partitions=partitions,
            rows=Estimate.computed(rows),
            largest_partition_rows=Estimate.computed(part),
            source=source,
        ),
        output_width=Width.fixed(96.0),
        budget=budget_of(598 * MIB, reserved_nbytes=190 * MIB),
        staging=StagingFacts(directory="/scratch", free_nbytes=2**40, unavailable=""),
        strategy=None,
        uncounted="",
        apart="rows of a key may be apart",
        keys_alone=True,
        waits=False,
        unparked="",
    )
    return replace(made, **changed)


FEW = np.full(1000, 5000)
MANY = np.r_[np.full(4_000_000, 1), np.full(500_000, 2)]
HEAVY = np.r_[3_000_000, np.full(2_000_000, 1)]


def test_no_key_moves_where_partitions_share_none():
    plan = plan_distinct(facts(counts=FEW, apart=""))
    assert isinstance(plan.run.way, WholeKeys)
    assert plan.staging_nbytes == 0


def test_few_keys_are_joined_in_a_tree():
    plan = plan_distinct(facts(counts=FEW))
    assert isinstance(plan.run.way, KeyTree)
    assert plan.staging_directory is None


@pytest.mark.parametrize(
    ("changed", "why"),
    [({"exact": False}, "too many keys"), ({"waits": True}, "would wait in memory")],
)
def test_a_tree_is_not_taken(changed, why):
    plan = plan_distinct(facts(counts=FEW, **changed))
    assert isinstance(plan.run.way, StagedKeys)
    assert any(why in other.reason for other in plan.rejected if other.strategy == "tree")


def test_the_fewer_rows_are_named():
    few_go = plan_distinct(facts(counts=MANY)).run.way
    assert not few_go.names_kept
    assert not few_go.reduced
    few_stay = plan_distinct(facts(counts=np.full(500_000, 10))).run.way
    assert few_stay.names_kept
    assert few_stay.reduced


@pytest.mark.parametrize("keep", ["first", False])
def test_a_heavy_key_is_reduced_before_it_fills_a_shard(keep):
    plan = plan_distinct(facts(counts=HEAVY, keep=keep))
    assert plan.run.way.reduced
    assert plan.fits, plan.details()
    find = next(step for step in plan.steps if step.kind == "find rows in shards")
    assert find.task_peak_nbytes < 3_000_000 * 104, "numbering all of its rows would take more"


def test_partitions_that_other_tasks_make_wait_in_files():
    read, made = (
        plan_distinct(facts(counts=MANY, waits=waits, keys_alone=not waits)) for waits in (False, True)
    )
    assert made.run.way.parked
    assert made.staging_nbytes - read.staging_nbytes == pytest.approx(5_000_000 * 88, rel=0.01)


def test_rows_that_cannot_be_written_wait_in_memory():
    plan = plan_distinct(facts(counts=MANY, waits=True, keys_alone=False, unparked="the index has 2 levels"))
    assert not plan.run.way.parked
    assert not plan.fits


def test_a_partition_that_fits_no_task_is_written_in_slices():
    plan = plan_distinct(facts(counts=MANY, partitions=1))
    assert not plan.fits
    assert plan.streamed.fits, plan.streamed.details()
    with pytest.raises(safeframe.MemoryBudgetError, match=r"safeframe\.to_parquet"):
        plan.validate()


def test_no_partition_is_larger_than_all_rows_that_stay():
    plan = plan_distinct(facts(counts=FEW))
    assert int(plan.output_rows) == 1000
    assert plan.largest_partition_nbytes == plan.output_nbytes.upper == 96_000
    # Of a number that is not known, a partition may have all of its rows.
    kept = replace(Estimate.computed(1000), exact=False)
    assert plan_distinct(facts(counts=FEW, kept=kept)).largest_partition_nbytes == 250_000 * 96
