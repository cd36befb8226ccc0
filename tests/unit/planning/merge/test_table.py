"""When a merge looks up in a table, and what its plan says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from safeframe.facts.budget import StagingFacts
from safeframe.facts.estimate import Estimate, Width
from safeframe.facts.frame import ColumnProfile, FrameProfile
from safeframe.facts.keys import KeyColumn, KeySchema, KeyStatistics
from safeframe.facts.merge import KeyTable, MergeEstimate, MergeFacts, SideFacts, TableFacts
from safeframe.planning.merge.plan import plan_merge
from safeframe.planning.merge.table import no_room_for_table
from tests.unit.planning.budgets import budget_of

MIB = 2**20


def profile(rows, partitions, width, *, exact=True):
    column = ColumnProfile(name="k", dtype="int64", row_nbytes=float(width), exact=exact)
    return FrameProfile(
        columns=(column,),
        index_row_nbytes=0.0,
        partitions=partitions,
        rows=Estimate.computed(rows),
        largest_partition_rows=Estimate.computed(rows // partitions),
    )


def facts(**given):
    budget = budget_of(598 * MIB, reserved_nbytes=190 * MIB)
    known = {
        "keys": table(11_000_000),
        "build": profile(10_000_000, 10, 24),
        "build_rows": np.full(10, 1_000_000),
        "probe": profile(100_000_000, 100, 24),
        "row_nbytes": 16,
        "output_row_nbytes": 40.0,
        "budget": budget,
        "staging": StagingFacts(directory="/scratch", free_nbytes=2**40, unavailable=""),
        "partition_nbytes": None,
    }
    return TableFacts(**{**known, **given})


def table(span):
    return KeyTable(base=0, span=span, rows=10_000_000, build_side="right")


def merge_facts(one):
    estimate = MergeEstimate(
        how="left",
        on=("k",),
        rows=Estimate.computed(100_000_000, method="footer"),
        row_nbytes=40.0,
        row_width=Width.fixed(one.output_row_nbytes),
        left_rows=100_000_000,
        right_rows=10_000_000,
        left_unmatched_rows=Estimate(lower=0, expected=0, upper=10**8, method="footer", exact=False),
        right_unmatched_rows=Estimate(lower=0, expected=0, upper=10**7, method="footer", exact=False),
        heaviest=(),
    )
    return MergeFacts(
        how="left",
        left=uncounted(one.probe),
        right=uncounted(one.build),
        estimate=estimate,
        budget=one.budget,
        staging=one.staging,
        partition_nbytes=one.partition_nbytes,
        strategy=None,
        table=one,
    )


def planned(one):
    return plan_merge(merge_facts(one))


def uncounted(side):
    rows = np.full(side.partitions, int(side.rows) // side.partitions)
    schema = KeySchema(columns=(KeyColumn(kind="int"),))
    return SideFacts(keys=KeyStatistics.uncounted(on=("k",), schema=schema, rows=rows), profile=side)


def test_the_plan_says_what_it_does():
    plan = planned(facts())
    assert plan.fits
    assert plan.strategy == "broadcast"
    assert plan.output_partitions == 100
    assert plan.largest_partition_nbytes == 40_000_000
    stage, write, look_up = plan.steps
    assert (stage.tasks, write.tasks, look_up.tasks) == (10, 11, 100)
    assert look_up.task_peak_nbytes == 11_000_001 * 16 + 3 * 40_000_000
    assert plan.staging_nbytes == 11_000_001 * 16 + 240_000_000
    text = plan.details()
    assert (
        "because the right side has each key once: a memory-mapped table of 168 MiB in a file that all workers share"
        in text
    )
    assert "because the left side's rows stay in their partitions, and its keys need not be counted" in text
    assert "exactly 100,000,000 rows" in text
    assert "staged: table comes first and fits" in text
    assert [other.strategy for other in plan.rejected] == ["sorted", "sorted-one-side", "staged", "p2p"]


def test_room_decides():
    one = facts()
    assert no_room_for_table(one) == ""
    large = no_room_for_table(replace(one, keys=table(30_000_000)))
    assert large == "a table of 458 MiB would take a worker to 762 MiB, above 538 MiB"
    small = no_room_for_table(replace(one, partition_nbytes=39_000_000))
    assert small == "a partition of the other side makes 38.1 MiB of result, above 37.2 MiB"
    assert no_room_for_table(replace(one, partition_nbytes=40_000_000)) == ""
    disk = StagingFacts(directory="/scratch", free_nbytes=416_000_015, unavailable="")
    full = no_room_for_table(replace(one, staging=disk))
    assert full == "a table of 168 MiB and its rows take 397 MiB, and 397 MiB of disk are free"
    assert no_room_for_table(replace(one, staging=replace(disk, free_nbytes=416_000_016))) == ""
    assert no_room_for_table(replace(one, staging=replace(disk, free_nbytes=None))) == ""
    wide = profile(100_000_000, 100, 64, exact=False)
    known = replace(one, probe=profile(100_000_000, 100, 64))
    assert planned(replace(one, probe=wide)).task_peak_nbytes > planned(known).task_peak_nbytes, (
        "sampled widths are bounded"
    )
