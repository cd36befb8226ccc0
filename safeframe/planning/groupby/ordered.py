"""Plans groups that no task can hold: rows in the order of keys and values, in parts that may cut a group."""

from __future__ import annotations

import math
from dataclasses import replace

from safeframe import options
from safeframe.facts.groupby import GroupFacts, GroupRun, OrderedFacts, OrderedGroups
from safeframe.facts.plan import Plan, Step
from safeframe.facts.sort import SortRun, StagedSort
from safeframe.planning.memory import default_partition_nbytes
from safeframe.planning.sort.plan import staged_sort
from safeframe.units import format_count, format_nbytes


def sort_of_groups(facts: OrderedFacts) -> Plan | str:
    """Plan the sort by keys and values, whose parts may cut a key; or say why there is none."""
    sort = facts.sort
    task_nbytes = max(sort.budget.task_nbytes, 0)
    return staged_sort(
        sort, sort.partition_nbytes or default_partition_nbytes(task_nbytes, sort.output_row_nbytes)
    )


def ordered_groups(facts: GroupFacts) -> Plan | str:
    """Plan groups of rows in the order of keys and values; or say why there are none."""
    if isinstance(facts.ordered, str):
        return facts.ordered
    ordered = sort_of_groups(facts.ordered)
    if isinstance(ordered, str):
        return ordered
    assert isinstance(ordered.run, SortRun), "a sort is planned"
    assert isinstance(ordered.run.way, StagedSort), "rows are staged"
    parts = ordered.output_partitions
    rows = math.ceil(ordered.largest_partition_nbytes / max(ordered.row_nbytes, 1e-9))
    results, width = facts.rows_of_group, facts.result_width
    groups = min(rows, facts.groups.upper) * results
    crossing = min(2 * parts, facts.groups.upper) * results
    output = facts.results
    return replace(
        ordered,
        recipe="groupby",
        strategy="ordered",
        reasons=(
            f"rows pass through {ordered.staging_directory} in the order of keys and values",
            f"{facts.what} is a matter of row numbers: a group may lie in several of {format_count(parts)} parts",
            *ordered.reasons[1:],
        ),
        steps=(
            *ordered.steps[:-1],
            *_steps(
                ordered,
                facts,
                rows=rows,
                made=groups * width.bounding,
                crossing=crossing * width.bounding,
            ),
        ),
        output_rows=output,
        output_nbytes=width.of_all(output),
        output_width=width,
        output_partitions=parts + 1,
        largest_partition_nbytes=math.ceil(max(groups, crossing) * width.bounding),
        row_nbytes=width.bounding,
        run=GroupRun(way=OrderedGroups(sort=ordered.run.way), input_rows=int(facts.partition_rows.sum())),
    )


def _steps(ordered: Plan, facts: GroupFacts, *, rows: int, made: float, crossing: float) -> tuple[Step, ...]:
    """Return the steps after rows are staged: parts, what is looked for in them, and groups that cross them."""
    looks_up = isinstance(facts.ordered, OrderedFacts) and facts.ordered.looks_up
    last = replace(ordered.steps[-1], written=None)
    parts = ordered.output_partitions
    more = options.GROUP_ROW_NBYTES * rows + int(options.OUTPUT_COPIES * made)
    edges = parts * (options.EDGE_NBYTES + int(options.EDGE_COPIES * ordered.row_nbytes))
    numbers = options.EDGE_ROW_NBYTES * 2 * parts * facts.rows_of_group
    joined = Step(
        kind="join groups that cross parts",
        tasks=1,
        task_peak_nbytes=edges + numbers,
        reason=(
            f"{format_nbytes(options.EDGE_NBYTES)} and the first and last rows of each of {format_count(parts)} parts, and "
            f"{format_nbytes(numbers)} of row numbers"
        ),
    )
    finished = int(options.OUTPUT_COPIES * crossing)
    again = replace(
        last,
        kind="look up row numbers",
        task_peak_nbytes=last.task_peak_nbytes + numbers,
        reason=f"{last.reason}, and {format_nbytes(numbers)} of row numbers",
    )
    return (
        replace(
            last,
            kind="group parts",
            task_peak_nbytes=last.task_peak_nbytes + more,
            reason=(
                f"{last.reason}, {options.GROUP_ROW_NBYTES} B for each of {format_count(rows)} rows that are grouped, and "
                f"a result of {format_nbytes(int(made))} × {options.OUTPUT_COPIES:g}"
            ),
        ),
        joined,
        *((again,) if looks_up else ()),
        replace(
            joined,
            kind="finish groups that cross parts",
            task_peak_nbytes=joined.task_peak_nbytes + finished,
            reason=f"{joined.reason}, and a result of {format_nbytes(int(crossing))} × {options.OUTPUT_COPIES:g}",
        ),
    )
