"""A plan of a merge, made of primes so that each figure can be traced, and of names that would be markup."""

from __future__ import annotations

from dataclasses import replace

from safeframe.facts.merge import BroadcastMerge, KeyFanout, MergeEstimate, MergeRun
from safeframe.facts.plan import Plan
from safeframe.facts.spread import Spread
from tests.unit.facts.plan.test_text import MERGE, MIB, PLAN

EVIL = "<script>alert('$x$')</script>"


def merge_of(key: object) -> MergeEstimate:
    fanout = KeyFanout(key=key, left_rows=53, right_rows=89, output_rows=4_717)
    return replace(MERGE, on=(EVIL,), heaviest=(fanout, *MERGE.heaviest[1:]))


def merge_plan(key: object = EVIL, **changes: object) -> Plan:
    run = MergeRun(estimate=merge_of(key), way=BroadcastMerge(build_side="right"), write="it is small")
    sizes = {
        "partitions_before": (
            Spread(name="left", partitions=5, nbytes=(2 * MIB, 3 * MIB, 5 * MIB)),
            Spread(name="right", partitions=1, nbytes=(7 * MIB,)),
        ),
        "partitions_after": Spread(name="result", partitions=1_009, nbytes=(11 * MIB, 59 * MIB)),
    }
    return replace(PLAN, run=run, reasons=(f"the column {EVIL} has few keys",), **{**sizes, **changes})  # type: ignore[arg-type]


def too_large() -> Plan:
    plan = merge_plan()
    return replace(plan, budget=replace(plan.budget, allowed_nbytes=307 * MIB))
