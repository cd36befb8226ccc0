"""A plan as text. Every figure is a prime, so that each line can be traced to its term."""

from __future__ import annotations

from dataclasses import replace
from textwrap import dedent

from safeframe.facts.budget import Budget
from safeframe.facts.estimate import Estimate, Width
from safeframe.facts.merge import BroadcastMerge, KeyFanout, MergeEstimate, MergeRun
from safeframe.facts.plan import Candidate, Plan, Step
from safeframe.facts.sort import UnsortedRun

MIB = 2**20

BUDGET = Budget(
    n_workers=3,
    threads_per_worker=2,
    allowed_nbytes=997 * MIB,
    reserved_nbytes=191 * MIB,
    transport_nbytes=13 * MIB,
    headroom_fraction=0.8,
    measured=True,
)
ROWS = Estimate.computed(7_919)
PLAN = Plan(
    recipe="merge",
    strategy="staged",
    reasons=("rows pass through a directory that the workers share",),
    rejected=(Candidate(strategy="sorted", reason="the left partitions overlap in their key ranges"),),
    steps=(
        Step(
            kind="stage left partitions",
            tasks=5,
            task_peak_nbytes=71 * MIB,
            reason="a partition of 23 MiB × 3",
        ),
        Step(kind="join cells", tasks=1_009, task_peak_nbytes=101 * MIB, reason="input of 37 MiB × 2"),
    ),
    budget=BUDGET,
    output_rows=ROWS,
    output_nbytes=ROWS.scaled(41),
    output_partitions=1_009,
    partition_nbytes=61 * MIB,
    largest_partition_nbytes=59 * MIB,
    row_nbytes=41,
    staging_nbytes=313 * MIB,
    staging_free_nbytes=821 * MIB,
    staging_directory="/scratch",
    run=UnsortedRun(),
)
MERGE = MergeEstimate(
    how="left",
    on=("item",),
    rows=ROWS,
    row_nbytes=41,
    left_rows=103,
    right_rows=97,
    left_unmatched_rows=Estimate.computed(2),
    right_unmatched_rows=Estimate.computed(3),
    heaviest=(
        KeyFanout(key=17, left_rows=53, right_rows=89, output_rows=4_717),
        KeyFanout(key=None, left_rows=5, right_rows=7, output_rows=35),
    ),
)


def _text(plan: Plan) -> str:
    return plan.details() + "\n"


def test_a_plan_that_fits() -> None:
    assert _text(PLAN) == dedent("""\
        merge: FITS
          strategy    staged
                      because rows pass through a directory that the workers share
          fits        workers: fit (406 MiB of 997 MiB each)
                      staging: fits (313 MiB of 821 MiB free)
                      target: not checked; 79.3 KiB to 317 KiB on disk if written row by row
          output      exactly 7,919 rows, 317 KiB in memory (41 B a row)
          partitions  1,009, the largest at most 59 MiB (target 61 MiB)
          memory      projected 406 MiB of 997 MiB allowed per worker (41%)
                      3 workers × 2 threads; 191 MiB used before any data (measured), 13 MiB for moving rows
                      a task may use 297 MiB, the largest uses up to 101 MiB
          staging     313 MiB of 821 MiB free in /scratch
          steps       stage left partitions      5 tasks  up to   71 MiB  (a partition of 23 MiB × 3)
                      join cells             1,009 tasks  up to  101 MiB  (input of 37 MiB × 2)
          rejected    sorted: the left partitions overlap in their key ranges
        """)


def test_the_projection_in_the_text_is_the_formula() -> None:
    # reserved + transport + threads × largest task
    assert PLAN.projected_worker_nbytes == (191 + 13 + 2 * 101) * MIB


def test_an_inexact_result_prints_its_interval_and_where_it_comes_from() -> None:
    rows = Estimate(lower=7_001, expected=7_919, upper=9_973, method="sketch", exact=False)
    lines = replace(PLAN, output_rows=rows, output_nbytes=rows.scaled(41)).details().splitlines()
    assert lines[6:9] == [
        "  output      about 7,919 rows, about 317 KiB in memory (41 B a row)",
        "              between 7,001 and 9,973 rows (sketch)",
        "              between 280 KiB and 399 KiB in memory (sketch)",
    ]


def test_widths_of_a_sample_print_what_they_allow() -> None:
    width = Width(least=29, expected=31, most=82, widest=37, exact=False)
    plan = replace(PLAN, output_width=width, output_nbytes=width.of(ROWS))
    assert plan.largest_possible_nbytes == 118 * MIB
    assert plan.details().splitlines()[6:10] == [
        "  output      exactly 7,919 rows, about 240 KiB in memory (31 B a row; planned with 41 B)",
        "              between 224 KiB and 634 KiB in memory (sample)",
        "  partitions  1,009, the largest at most 59 MiB (target 61 MiB)",
        "              widths are sampled: with rows as wide as the sample allows, 118 MiB",
    ]


def test_a_merge_prints_its_fan_out_and_heaviest_keys() -> None:
    run = MergeRun(estimate=MERGE, way=BroadcastMerge(build_side="right"), write="there are few of them")
    lines = replace(PLAN, run=run).details().splitlines()
    assert lines[7:10] == [
        "              left merge on item of 103 left and 97 right rows: 76.9 rows out for each row of the larger side",
        "              heaviest key 17: 53 × 89 → 4,717 rows",
        "              heaviest key None: 5 × 7 → 35 rows",
    ]


def test_what_does_not_fit_is_named_worst_first() -> None:
    steps = (
        Step(kind="stage left partitions", tasks=5, task_peak_nbytes=409 * MIB, reason="large"),
        Step(kind="join cells", tasks=1, task_peak_nbytes=419 * MIB, reason="larger"),
    )
    lines = replace(PLAN, steps=steps, staging_free_nbytes=311 * MIB).details().splitlines()
    assert lines[0] == "merge: DOES NOT FIT"
    assert lines[-3:] == [
        "  too large   join cells: a worker would reach 1.02 GiB, and 997 MiB is allowed",
        "              stage left partitions: a worker would reach 1022 MiB, and 997 MiB is allowed",
        "              staging: 313 MiB needed, and 311 MiB is free in /scratch",
    ]


def test_a_plan_that_stages_nothing_says_so() -> None:
    plan = replace(PLAN, staging_nbytes=0, staging_free_nbytes=None, staging_directory=None, rejected=())
    text = plan.details()
    assert "  staging     nothing is staged\n" in text
    assert "rejected" not in text


def test_one_worker_and_an_assumed_reserve_read_well() -> None:
    budget = replace(BUDGET, n_workers=1, threads_per_worker=1, measured=False)
    assert (
        "1 worker × 1 thread; 191 MiB used before any data (assumed)"
        in replace(PLAN, budget=budget).details()
    )


def test_what_has_to_have_room_is_listed_one_by_one() -> None:
    rows = Estimate.computed(2**40)
    huge = replace(PLAN, output_rows=rows, output_nbytes=rows.scaled(8))
    assert huge.details().splitlines()[0] == "merge: FITS"
    assert huge.details().splitlines()[3:6] == [
        "  fits        workers: fit (406 MiB of 997 MiB each)",
        "              staging: fits (313 MiB of 821 MiB free)",
        "              target: not checked; 2 TiB to 8 TiB on disk if written row by row",
    ]
    full = replace(PLAN, staging_free_nbytes=11 * MIB)
    assert "staging: does not fit (313 MiB of 11 MiB free)" in full.details()
    assert "staging: not needed" in replace(PLAN, staging_directory=None, staging_free_nbytes=None).details()
    store = replace(PLAN, staging_directory="s3://bucket", staging_free_nbytes=None)
    assert "staging: 313 MiB needed; its free space is not known" in store.details()
    small = replace(PLAN, budget=replace(BUDGET, allowed_nbytes=400 * MIB))
    assert "workers: do not fit (406 MiB of 400 MiB each)" in small.details()


def test_a_worker_that_is_full_before_any_data_is_said_to_be() -> None:
    budget = replace(BUDGET, allowed_nbytes=100 * MIB, transport_nbytes=0)
    text = replace(PLAN, budget=budget).details()
    assert "nothing is left for a task: all allowed memory is used before any data" in text
