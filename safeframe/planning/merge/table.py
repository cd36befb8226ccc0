"""A merge whose smaller side has each key once, and is a table that all workers map.

Of such a merge every row of the other side makes one row, whatever its key: that
side's keys are not counted, and its rows stay in their partitions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from safeframe import options
from safeframe.facts.budget import Budget, StagingFacts
from safeframe.facts.frame import FrameProfile
from safeframe.facts.keys import Counts
from safeframe.facts.merge import KeyTable, MergeEstimate
from safeframe.facts.plan import Candidate, Plan, Step
from safeframe.planning.memory import (
    default_partition_nbytes,
    table_cell_peak_nbytes,
    table_slice_peak_nbytes,
)
from safeframe.planning.merge.plan import MERGE_STRATEGIES
from safeframe.planning.merge.staged import stage_step
from safeframe.units import format_count, format_nbytes

__all__ = ["TableFacts", "can_be_mapped", "plan_table_merge"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TableFacts:
    """What decides whether a merge looks up in a table."""

    build: FrameProfile
    """The side that would be in the table."""
    build_rows: Counts
    """Rows of each of its partitions."""
    probe: FrameProfile
    """The other side."""
    row_nbytes: int
    """Bytes of a row of the table."""
    output_row_nbytes: float
    """Bytes of a row of the result, as they bound rather than expect it."""
    budget: Budget
    """What one worker may use."""
    staging: StagingFacts
    """Where the table would be."""
    partition_nbytes: int | None
    """The user's target for an output partition in bytes; None to derive one."""


def can_be_mapped(facts: TableFacts, keys: KeyTable) -> bool:
    """Whether workers have room for a table, and tasks for partitions as they are."""
    worst = max(step.task_peak_nbytes for step in _steps(facts, keys))
    return (
        _largest_nbytes(facts) <= _target(facts)
        and facts.budget.projected_worker_nbytes(worst)
        <= options.TABLE_FRACTION * facts.budget.allowed_nbytes
        and (facts.staging.free_nbytes is None or _staged_nbytes(facts, keys) <= facts.staging.free_nbytes)
    )


def plan_table_merge(facts: TableFacts, keys: KeyTable, estimate: MergeEstimate) -> Plan:
    """Plan a merge that looks up in a table.

    Parameters
    ----------
    facts
        Sizes and budget, with which the table can be mapped.
    keys
        The table.
    estimate
        Rows of the result.
    """
    nbytes = keys.nbytes(facts.row_nbytes)
    other = "left" if keys.build_side == "right" else "right"
    reasons = (
        (
            f"the {keys.build_side} side has each key once, and is a table of {format_nbytes(nbytes)} in a file that "
            "all workers map"
        ),
        f"the {other} side's rows stay in their partitions, and its keys need not be counted",
    )
    rejected = [
        Candidate(strategy=name, reason="broadcast comes first and fits")
        for name in MERGE_STRATEGIES
        if name != "broadcast"
    ]
    return Plan(
        recipe="merge",
        strategy="broadcast",
        reasons=reasons,
        rejected=tuple(rejected),
        steps=_steps(facts, keys),
        budget=facts.budget,
        output_rows=estimate.rows,
        output_nbytes=estimate.nbytes,
        output_width=estimate.width,
        output_partitions=max(1, facts.probe.partitions),
        partition_nbytes=_target(facts),
        largest_partition_nbytes=_largest_nbytes(facts),
        row_nbytes=facts.output_row_nbytes,
        staging_nbytes=_staged_nbytes(facts, keys),
        staging_free_nbytes=facts.staging.free_nbytes,
        staging_directory=facts.staging.directory,
        build_side=keys.build_side,
        table=keys,
        merge=estimate,
        write_refused="a merge with keys that come once repeats no row of the other side",
    )


def _steps(facts: TableFacts, keys: KeyTable) -> tuple[Step, ...]:
    table_nbytes = keys.nbytes(facts.row_nbytes)
    width = facts.build.width.bounding
    places = min(keys.slice_places(facts.row_nbytes), keys.span)
    probe_nbytes = math.ceil(facts.probe.largest_partition_rows.upper * facts.probe.width.bounding)
    output_nbytes = _largest_nbytes(facts)
    return (
        stage_step(keys.build_side, facts.build_rows, width),
        Step(
            kind=f"write a slice of the {keys.build_side} side's table",
            tasks=keys.n_slices(facts.row_nbytes),
            task_peak_nbytes=table_slice_peak_nbytes(
                places=places, row_nbytes=facts.row_nbytes, input_row_nbytes=width
            ),
            reason=(
                f"{table_slice_peak_nbytes(places=1, row_nbytes=facts.row_nbytes, input_row_nbytes=width)} B for each of "
                f"{format_count(places)} places: a row of {width:g} B × {options.FETCH_COPIES:g}, one of "
                f"{facts.row_nbytes} B × 2, and {options.ROW_INDEX_NBYTES} B"
            ),
        ),
        Step(
            kind="look up each partition",
            tasks=max(1, facts.probe.partitions),
            task_peak_nbytes=table_cell_peak_nbytes(
                partition_nbytes=probe_nbytes, table_nbytes=table_nbytes, output_nbytes=output_nbytes
            ),
            reason=(
                f"the table of {format_nbytes(table_nbytes)}, and the larger of a partition of "
                f"{format_nbytes(probe_nbytes)} × {options.FETCH_COPIES:g} or its result of "
                f"{format_nbytes(output_nbytes)} × {options.OUTPUT_COPIES:g}"
            ),
        ),
    )


def _staged_nbytes(facts: TableFacts, keys: KeyTable) -> int:
    """Bytes of the table, and of the rows that it is made of."""
    return keys.nbytes(facts.row_nbytes) + math.ceil(keys.rows * facts.build.width.bounding)


def _largest_nbytes(facts: TableFacts) -> int:
    return math.ceil(facts.probe.largest_partition_rows.upper * facts.output_row_nbytes)


def _target(facts: TableFacts) -> int:
    """Bytes that an output partition may have: where the user does not say, as it comes, since steps tell what it takes."""
    if facts.partition_nbytes is not None:
        return facts.partition_nbytes
    width = facts.output_row_nbytes
    return max(default_partition_nbytes(max(facts.budget.task_nbytes, 0), width), _largest_nbytes(facts))
