"""When a merge looks up in a table, and what its plan says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from safeframe.facts.budget import StagingFacts
from safeframe.facts.estimate import Estimate
from safeframe.facts.frame import ColumnProfile, FrameProfile
from safeframe.facts.merge import KeyTable, MergeEstimate
from safeframe.planning.merge.table import TableFacts, can_be_mapped, plan_table_merge
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


def planned(one):
    estimate = MergeEstimate(
        how="left",
        on=("k",),
        rows=Estimate.computed(100_000_000, method="footer"),
        row_nbytes=40.0,
        left_rows=100_000_000,
        right_rows=10_000_000,
        left_unmatched_rows=Estimate(lower=0, expected=0, upper=10**8, method="footer", exact=False),
        right_unmatched_rows=Estimate(lower=0, expected=0, upper=10**7, method="footer", exact=False),
        heaviest=(),
    )
    return plan_table_merge(one, table(11_000_000), estimate)


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
    text = str(plan)
    assert (
        "because the right side has each key once, and is a table of 168 MiB in a file that all workers map"
        in text
    )
    assert "because the left side's rows stay in their partitions, and its keys need not be counted" in text
    assert "exactly 100,000,000 rows" in text
    assert "staged: broadcast comes first and fits" in text


def test_room_decides():
    one = facts()
    assert can_be_mapped(one, table(11_000_000))
    assert not can_be_mapped(one, table(30_000_000)), "the table"
    assert not can_be_mapped(replace(one, partition_nbytes=39_000_000), table(11_000_000)), (
        "a partition of the result"
    )
    assert can_be_mapped(replace(one, partition_nbytes=40_000_000), table(11_000_000))
    small = StagingFacts(directory="/scratch", free_nbytes=416_000_015, unavailable="")
    assert not can_be_mapped(replace(one, staging=small), table(11_000_000)), "the disk"
    assert can_be_mapped(replace(one, staging=replace(small, free_nbytes=416_000_016)), table(11_000_000))
    assert can_be_mapped(replace(one, staging=replace(small, free_nbytes=None)), table(11_000_000))
    wide = profile(100_000_000, 100, 64, exact=False)
    known = replace(one, probe=profile(100_000_000, 100, 64))
    assert planned(replace(one, probe=wide)).task_peak_nbytes > planned(known).task_peak_nbytes, (
        "sampled widths are bounded"
    )
