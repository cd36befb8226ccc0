"""A merge whose smaller side has each key once, and is a memory-mapped table.

Of such a merge every row of the other side makes one row, whatever its key: that
side's keys are not counted, and its rows stay in their partitions.
"""

from __future__ import annotations

import math

from safeframe import options
from safeframe.facts.layout import StageTasks
from safeframe.facts.merge import MergeFacts, TableFacts, TableMerge
from safeframe.facts.plan import Cost, Step
from safeframe.planning.costs import cost_of
from safeframe.planning.exchange import columns_nbytes, stage_tasks
from safeframe.planning.memory import (
    default_partition_nbytes,
    table_cell_peak_nbytes,
    table_slice_peak_nbytes,
)
from safeframe.planning.merge.offer import Offer
from safeframe.planning.merge.staged import stage_side_steps
from safeframe.units import format_count, format_nbytes


def no_room_for_table(facts: TableFacts) -> str:
    """Return why workers have no room for a table, or for partitions as they are; empty where they have."""
    largest, target = _largest_nbytes(facts), _target(facts)
    if largest > target:
        return f"a partition of the other side makes {format_nbytes(largest)} of result, above {format_nbytes(target)}"
    nbytes = format_nbytes(facts.keys.nbytes(facts.row_nbytes))
    worst = max(step.task_peak_nbytes for step in _steps(facts, _tasks(facts)))
    projected = facts.budget.projected_worker_nbytes(worst)
    allowed = options.TABLE_FRACTION * facts.budget.allowed_nbytes
    if projected > allowed:
        return f"a table of {nbytes} would take a worker to {format_nbytes(projected)}, above {format_nbytes(int(allowed))}"
    staged, free = _staged_nbytes(facts), facts.staging.free_nbytes
    if free is not None and staged > free:
        return f"a table of {nbytes} and its rows take {format_nbytes(staged)}, and {format_nbytes(free)} of disk are free"
    return ""


def by_table(facts: MergeFacts) -> Offer | str:
    """Look up the rows of one side in a table, where it has each key once and workers have room."""
    table = facts.table
    if isinstance(table, str):
        return table
    if why := no_room_for_table(table):
        return why
    keys, tasks = table.keys, _tasks(table)
    steps = _steps(table, tasks)
    other = "left" if keys.build_side == "right" else "right"
    return Offer(
        reasons=(
            (
                f"the {keys.build_side} side has each key once: a memory-mapped table of "
                f"{format_nbytes(keys.nbytes(table.row_nbytes))} in a file that all workers share"
            ),
            f"the {other} side's rows stay in their partitions, and its keys need not be counted",
        ),
        steps=steps,
        way=TableMerge(table=keys, tasks=tasks),
        output_partitions=max(1, table.probe.partitions),
        largest_rows=int(table.probe.largest_partition_rows.upper),
        partition_nbytes=_target(table),
        staging=table.staging,
        staging_nbytes=_staged_nbytes(table),
        cost=_cost(table, steps),
    )


def _tasks(facts: TableFacts) -> StageTasks:
    """Choose how the partitions of the side in the table are given to stage tasks."""
    slices = facts.keys.n_slices(facts.row_nbytes)
    return stage_tasks(facts.build_rows, facts.build.width.bounding, facts.budget, facts.build.source, slices)


def _steps(facts: TableFacts, tasks: StageTasks) -> tuple[Step, ...]:
    keys = facts.keys
    table_nbytes = keys.nbytes(facts.row_nbytes)
    width = facts.build.width.bounding
    places = min(keys.slice_places(facts.row_nbytes), keys.span)
    probe_nbytes = math.ceil(facts.probe.largest_partition_rows.upper * facts.probe.width.bounding)
    output_nbytes = _largest_nbytes(facts)
    return (
        *stage_side_steps(keys.build_side, facts.build_rows, width, facts.build.source, tasks),
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


def _cost(facts: TableFacts, steps: tuple[Step, ...]) -> Cost:
    """Weigh it. Other ways count the keys of both sides first, and are not weighed."""
    build = facts.keys.rows * facts.build.width.bounding
    probe = facts.probe.rows.expected * facts.probe.width.bounding
    return cost_of(
        facts.budget,
        tasks=sum(step.tasks for step in steps),
        read_nbytes=build + probe,
        staged_nbytes=build,
        fetched_nbytes=build,
        joined_nbytes=facts.probe.rows.expected * 8.0,
    )


def _staged_nbytes(facts: TableFacts) -> int:
    """Return the bytes of the table, and of the rows that it is made of."""
    keys, rows = facts.keys, math.ceil(facts.keys.rows * facts.build.width.bounding)
    return keys.nbytes(facts.row_nbytes) + rows + columns_nbytes([_tasks(facts)])


def _largest_nbytes(facts: TableFacts) -> int:
    return math.ceil(facts.probe.largest_partition_rows.upper * facts.output_row_nbytes)


def _target(facts: TableFacts) -> int:
    """Bytes that an output partition may have: where the user does not say, as it comes, since steps tell what it takes."""
    if facts.partition_nbytes is not None:
        return facts.partition_nbytes
    width = facts.output_row_nbytes
    return max(default_partition_nbytes(max(facts.budget.task_nbytes, 0), width), _largest_nbytes(facts))
