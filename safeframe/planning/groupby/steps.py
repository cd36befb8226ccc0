"""What group-bys read, hold and make: their steps, and how many partial states there are.

Covers: tasks that make partial states, stage rows or states, and merge the groups of a shard.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from safeframe import options
from safeframe.facts.groupby import GroupFacts
from safeframe.facts.keys import ShuffleKeys
from safeframe.facts.layout import StageTasks
from safeframe.facts.step import Step
from safeframe.planning.exchange import stage_step, stage_tasks
from safeframe.units import format_count, format_nbytes


def states_step(facts: GroupFacts, tasks: StageTasks, states_nbytes: int) -> Step:
    """Return the step that makes partial states of partitions: each slice is grouped once it is read."""
    held = replace(tasks, held_nbytes=int(options.GROUP_STATE_COPIES * 2 * states_nbytes), size=None)
    step = stage_step("make states", facts.partition_rows, facts.row_nbytes, facts.profile.source, held)
    at_once = _rows_at_once(facts, tasks)
    return replace(
        step,
        task_peak_nbytes=step.task_peak_nbytes + options.GROUP_ROW_NBYTES * at_once,
        reason=f"{step.reason}, and {options.GROUP_ROW_NBYTES} B for each of {format_count(at_once)} rows that are grouped",
    )


def tree_reasons(facts: GroupFacts, states_nbytes: int) -> tuple[str, ...]:
    """Say why partial states meet in a tree, and how it is known how many groups there are."""
    groups = format_count(facts.groups.upper)
    reason = f"partial states of {groups} groups at most take {format_nbytes(states_nbytes)}: no row moves"
    if not facts.bounded:
        return (reason,)
    how = "by dictionaries and smallest and largest values that files tell: keys are not counted"
    return reason, f"at most {groups} groups, {how}"


def group_stage_step(facts: GroupFacts, tasks: StageTasks, *, grouped: bool) -> Step:
    """Return the step that stages rows, or their partial states."""
    kind = "stage groups of partitions" if tasks.partitions > 1 else "stage partitions"
    step = stage_step(kind, facts.partition_rows, facts.row_nbytes, facts.profile.source, tasks)
    if not grouped:
        return step
    at_once = _rows_at_once(facts, tasks)
    made = int(at_once * (options.GROUP_ROW_NBYTES + (facts.state_nbytes or 0)))
    return replace(
        step,
        task_peak_nbytes=step.task_peak_nbytes + made,
        reason=f"{step.reason}, and {format_nbytes(made)} for partial states of {format_count(at_once)} rows",
    )


def group_cell_peak_nbytes(
    *, rows: int, nbytes: int, groups: int, states_nbytes: int, output_nbytes: int
) -> int:
    """Return the peak of grouping rows, and of consuming the result.

    The rows that are read at once, as they were staged and as pandas, with their groups' numbers; partial states in
    all their copies; the result in all its copies.

    Examples
    --------
    >>> group_cell_peak_nbytes(rows=1000, nbytes=24_000, groups=100, states_nbytes=4000, output_nbytes=2400)
    150400
    """
    read = int(options.FETCH_COPIES * nbytes) + options.GROUP_ROW_NBYTES * (rows + groups)
    return read + int(options.GROUP_STATE_COPIES * states_nbytes + options.OUTPUT_COPIES * output_nbytes)


def group_cell_step(
    facts: GroupFacts,
    kind: str,
    tasks: int,
    *,
    rows: int,
    groups: int,
    width: float | None = None,
    at_once: int | None = None,
) -> Step:
    """Return the step that merges the groups of a partition, of so many rows that are read at once.

    ``at_once`` is how many of them are grouped at a time; None for all.
    """
    nbytes = math.ceil(rows * (facts.row_nbytes if width is None else width))
    states = math.ceil(groups * (facts.state_nbytes or 0.0))
    output = math.ceil(groups * facts.result_nbytes)
    rows = rows if at_once is None else min(rows, at_once)
    peak = group_cell_peak_nbytes(
        rows=rows, nbytes=nbytes, groups=groups, states_nbytes=states, output_nbytes=output
    )
    waiting = (
        f"partial states of {format_nbytes(states)} × {options.GROUP_STATE_COPIES:g}, " if states else ""
    )
    return Step(
        kind=kind,
        tasks=tasks,
        task_peak_nbytes=peak,
        reason=(
            f"{format_nbytes(nbytes)} of rows at once × {options.FETCH_COPIES:g}, {waiting}{options.GROUP_ROW_NBYTES} B for "
            f"each of {format_count(rows)} rows and {format_count(groups)} groups, and a result of {format_nbytes(output)} × "
            f"{options.OUTPUT_COPIES:g}"
        ),
    )


def rows_of_states(keys: ShuffleKeys, facts: GroupFacts) -> ShuffleKeys:
    """Return keys as if each had the rows of its partial states: shards have as many of these."""
    most = facts.rows_of_state
    counts = np.minimum(keys.counts, most)
    null_rows = min(keys.null_rows, most)
    return replace(
        keys,
        counts=counts,
        rows=max(facts.states.upper, int(counts.sum()) + null_rows),
        null_rows=null_rows,
        rows_of_others=min(keys.rows_of_others, most),
    )


def rows_of(nbytes: int, width: float) -> int:
    """Return how many rows of a width have so many bytes."""
    return math.ceil(nbytes / max(width, 1.0))


def _rows_at_once(facts: GroupFacts, tasks: StageTasks) -> int:
    """Return how many rows of a partition a task groups at a time."""
    rows = int(facts.partition_rows.max(initial=0))
    return rows if tasks.slice_nbytes is None else min(rows, rows_of(tasks.slice_nbytes, facts.row_nbytes))


class Slices:
    """Slices that rows are grouped in before they are staged."""

    def __init__(self, rows: int, n: int) -> None:
        self.rows = rows
        self.n = n

    @classmethod
    def of(cls, facts: GroupFacts) -> Slices:
        """Return those of a plan."""
        tasks = stage_tasks(facts.partition_rows, facts.row_nbytes, facts.budget, facts.profile.source)
        rows = max(_rows_at_once(facts, tasks), 1)
        return cls(rows, int(np.ceil(facts.partition_rows / rows).sum()))

    def shrink(self, facts: GroupFacts) -> bool:
        """Whether states of slices are made faster than rows are moved, where they are rows that are left of groups."""
        each = options.STATE_ROWS_SHRINK * facts.rows_of_state
        return facts.rows_of_state == 1 or facts.groups.expected * each <= self.rows

    def state_rows(self, keys: ShuffleKeys, facts: GroupFacts) -> float:
        """Return how many rows of partial states there are, about, where a key may be in any slice."""
        total, most = max(keys.rows, 1), facts.rows_of_state
        known = _in_slice(keys.counts.astype(np.float64) / total, self.rows, most).sum()
        others = max(0, facts.groups.expected - len(keys.counts))
        rest = keys.rows - int(keys.counts.sum()) - keys.null_rows
        if others and rest > 0:
            known += others * float(_in_slice(np.array([rest / others / total]), self.rows, most)[0])
        return min(float(total), self.n * float(known))


def _in_slice(share: npt.NDArray[np.float64], rows: int, most: int) -> npt.NDArray[np.float64]:
    """Return the rows of partial states that a key has, which so many of all rows have, of a slice of some rows.

    One row, if it is in the slice at all; of several, no more than there are on average.
    """
    likely: npt.NDArray[np.float64] = -np.expm1(rows * np.log1p(-np.minimum(share, 1 - 1e-12)))
    return likely if most == 1 else np.minimum(rows * share, most)
