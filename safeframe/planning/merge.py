"""Chooses how a merge runs: a ladder of strategies, cheapest first.

1. ``sorted``: the partitions of both sides hold ranges of the key that do not
   overlap, so that each output partition needs a few neighbours of either side.
2. ``broadcast``: one side is small, in bytes, and no partition's result is too
   large; every worker holds the small side whole.
3. ``staged``: rows pass through a directory that the workers share.

Each rung gives a plan's steps or the reason why it cannot be taken. The first
that can is taken; a plan whose only strategy does not fit is still a plan.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

import numpy as np

from safeframe import options
from safeframe.errors import ValidationError
from safeframe.facts.layout import ShardLayout
from safeframe.facts.merge import How
from safeframe.facts.merge_facts import MergeFacts, SideFacts
from safeframe.facts.plan import Candidate, Plan, Step
from safeframe.planning.key_loads import key_loads
from safeframe.planning.memory import (
    broadcast_cell_peak_nbytes,
    cell_peak_nbytes,
    default_partition_nbytes,
    default_shard_nbytes,
    sorted_cell_peak_nbytes,
    stage_peak_nbytes,
)
from safeframe.planning.shards import LayoutFigures, lay_out
from safeframe.units import format_count, format_nbytes

__all__ = ["MERGE_STRATEGIES", "plan_merge"]

MERGE_STRATEGIES = ("sorted", "broadcast", "staged")
"""Strategies in the order in which they are tried."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Choice:
    """What a rung of the ladder would do."""

    reasons: tuple[str, ...]
    steps: tuple[Step, ...]
    output_partitions: int
    largest_rows: int
    layout: ShardLayout | None = None
    build_side: str | None = None
    staging_nbytes: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Widths:
    """Bytes per row that bound, rather than expect."""

    left: float
    right: float
    output: float


def plan_merge(facts: MergeFacts) -> Plan:
    """Choose the strategy of a merge and say what it costs.

    Parameters
    ----------
    facts
        Key statistics, sizes and budget.

    Returns
    -------
    Plan
        Always: a plan that does not fit says so in ``fits``.

    Raises
    ------
    ValidationError
        When the facts name a strategy that does not exist, or that cannot run
        on these inputs.
    """
    task_nbytes = max(facts.budget.task_nbytes, 0)
    partition_nbytes = facts.partition_nbytes or default_partition_nbytes(task_nbytes)
    widths = _widths(facts)
    figures = lay_out(
        key_loads(facts.left.keys, facts.right.keys, facts.how),
        left_row_nbytes=widths.left,
        right_row_nbytes=widths.right,
        output_row_nbytes=widths.output,
        shard_nbytes=default_shard_nbytes(task_nbytes),
        partition_nbytes=partition_nbytes,
    )
    rungs: dict[str, Callable[[], _Choice | str]] = {
        "sorted": lambda: _sorted(facts, widths, figures, partition_nbytes),
        "broadcast": lambda: _broadcast(facts, widths, partition_nbytes),
        "staged": lambda: _staged(facts, widths, figures),
    }
    if facts.strategy is not None and facts.strategy not in rungs:
        msg = f"strategy={facts.strategy!r} is not a strategy of merge."
        raise ValidationError(msg, hint=f"Leave it out, or use one of {', '.join(MERGE_STRATEGIES)}.")

    rejected = []
    taken: tuple[str, _Choice] | None = None
    for name, rung in rungs.items():
        wanted = facts.strategy in (None, name)
        if not wanted or taken is not None:
            why = (
                f"{taken[0]} comes first and fits" if taken else f"strategy={facts.strategy!r} was asked for"
            )
            rejected.append(Candidate(strategy=name, reason=why))
            continue
        choice = rung()
        if isinstance(choice, str):
            rejected.append(Candidate(strategy=name, reason=choice))
        else:
            taken = (name, choice)
    if taken is None:
        why = "; ".join(f"{candidate.strategy}: {candidate.reason}" for candidate in rejected)
        msg = f"No strategy can run this merge. {why}."
        hint = "Name a directory that all workers reach in staging=, or leave strategy= out."
        raise ValidationError(msg, hint=hint)
    strategy, choice = taken
    staged = strategy == "staged"
    return Plan(
        recipe="merge",
        strategy=strategy,
        reasons=choice.reasons,
        rejected=tuple(rejected),
        steps=choice.steps,
        budget=facts.budget,
        output_rows=facts.estimate.rows,
        output_nbytes=facts.estimate.nbytes,
        output_partitions=choice.output_partitions,
        partition_nbytes=partition_nbytes,
        largest_partition_nbytes=math.ceil(choice.largest_rows * widths.output),
        row_nbytes=widths.output,
        staging_nbytes=choice.staging_nbytes,
        staging_free_nbytes=facts.staging.free_nbytes if staged else None,
        staging_directory=facts.staging.directory if staged else None,
        layout=choice.layout,
        build_side=choice.build_side,
        merge=facts.estimate,
    )


def _widths(facts: MergeFacts) -> _Widths:
    def bound(row_nbytes: float, exact: bool) -> float:
        return row_nbytes if exact else row_nbytes * options.WIDTH_MARGIN

    left, right = facts.left.profile, facts.right.profile
    return _Widths(
        left=bound(left.row_nbytes, left.exact_widths),
        right=bound(right.row_nbytes, right.exact_widths),
        output=bound(facts.estimate.row_nbytes, left.exact_widths and right.exact_widths),
    )


# 1 ---------------------------------------------------------------------------


def _sorted(
    facts: MergeFacts, widths: _Widths, figures: LayoutFigures, partition_nbytes: int
) -> _Choice | str:
    for name, side in (("left", facts.left), ("right", facts.right)):
        why = _not_in_order(name, side)
        if why:
            return why
    layout = figures.layout
    left_held, left_overlap = _overlap(facts.left, layout)
    right_held, right_overlap = _overlap(facts.right, layout)
    held = int(left_held * widths.left + right_held * widths.right)
    peak = sorted_cell_peak_nbytes(
        held_nbytes=held,
        input_rows=figures.input_rows,
        input_nbytes=figures.input_nbytes,
        output_rows=figures.cell_rows,
        output_nbytes=int(figures.cell_rows * widths.output),
    )
    if facts.budget.projected_worker_nbytes(peak) > facts.budget.usable_nbytes and facts.strategy is None:
        projected = format_nbytes(facts.budget.projected_worker_nbytes(peak))
        return (
            f"a cell touches up to {left_overlap} + {right_overlap} whole partitions, which takes a worker to "
            f"{projected}, above {format_nbytes(facts.budget.usable_nbytes)}"
        )
    step = Step(
        kind="join cells of sorted partitions",
        tasks=layout.n_cells,
        task_peak_nbytes=peak,
        reason=(
            f"{format_nbytes(held)} in up to {left_overlap} + {right_overlap} partitions, slices of "
            f"{format_nbytes(figures.input_nbytes)}, result of "
            f"{format_nbytes(figures.cell_rows * widths.output)} × {options.OUTPUT_COPIES:g}"
        ),
    )
    return _Choice(
        reasons=("the partitions of both sides are in key order and do not overlap: no rows move",),
        steps=(step,),
        output_partitions=layout.n_cells,
        largest_rows=figures.cell_rows,
        layout=layout,
    )


def _not_in_order(name: str, side: SideFacts) -> str:
    keys = side.keys
    if not keys.schema.injective:
        return f"the {name} key is not of one ordered type"
    if keys.null_rows:
        return f"the {name} key has {format_count(keys.null_rows)} nulls, which have no place in the order"
    parts = keys.partitions
    full = parts.rows > 0
    first, last = parts.first[full], parts.last[full]
    touching = np.flatnonzero(first[1:] < last[:-1])
    if len(touching):
        return f"the {name} partitions overlap in their key ranges (after {int(touching[0]) + 1} of them)"
    return ""


def _overlap(side: SideFacts, layout: ShardLayout) -> tuple[int, int]:
    """Count rows and partitions of one side that a cell can touch, at most."""
    parts = side.keys.partitions
    full = parts.rows > 0
    rows, first, last = parts.rows[full], parts.first[full], parts.last[full]
    used = layout.cells[: len(layout.starts)] > 0
    starts = layout.starts[used]
    after = np.append(layout.starts[1:], np.uint64(2**64 - 1))[used]
    low = np.searchsorted(last, starts, side="left")
    high = np.searchsorted(first, after, side="left")
    ends = np.concatenate([[0], np.cumsum(rows)])
    high = np.maximum(high, low)
    held = (ends[high] - ends[low]).max(initial=0)
    return int(held), int((high - low).max(initial=0))


# 2 ---------------------------------------------------------------------------


def _broadcast(facts: MergeFacts, widths: _Widths, partition_nbytes: int) -> _Choice | str:
    reasons = []
    for build in _build_sides(facts.how):
        choice = _broadcast_of(build, facts, widths, partition_nbytes)
        if isinstance(choice, _Choice):
            return choice
        reasons.append(choice)
    return "; ".join(reasons) or f"neither side of an {facts.how} merge may be held whole on each worker"


def _build_sides(how: How) -> tuple[str, ...]:
    """Name the sides that may be broadcast: never one whose unmatched rows stay."""
    match how:
        case "inner":
            return ("right", "left")
        case "left":
            return ("right",)
        case "right":
            return ("left",)
        case "outer":
            return ()
        case _:
            assert_never(how)


def _broadcast_of(build: str, facts: MergeFacts, widths: _Widths, partition_nbytes: int) -> _Choice | str:
    build_side, probe_side = (facts.right, facts.left) if build == "right" else (facts.left, facts.right)
    build_width, probe_width = (
        (widths.right, widths.left) if build == "right" else (widths.left, widths.right)
    )
    build_nbytes = int(build_side.keys.rows * build_width)
    cap = int(max(facts.budget.task_nbytes, 0) * options.BROADCAST_FRACTION)
    if build_nbytes > cap and facts.strategy is None:
        return (
            f"the {build} side takes {format_nbytes(build_nbytes)} in memory, and each worker has "
            f"{format_nbytes(cap)} for a copy"
        )
    largest = int(probe_side.keys.partitions.rows.max(initial=0))
    output_rows = _largest_partition_output(facts, build, largest)
    output_nbytes = int(output_rows * widths.output)
    if output_nbytes > partition_nbytes:
        return (
            f"one partition of the other side can make {format_nbytes(output_nbytes)} of result with the "
            f"{build} side, above the target of {format_nbytes(partition_nbytes)}"
        )
    peak = broadcast_cell_peak_nbytes(
        partition_rows=largest,
        partition_nbytes=int(largest * probe_width),
        build_rows=build_side.keys.rows,
        build_nbytes=build_nbytes,
        output_rows=output_rows,
        output_nbytes=output_nbytes,
    )
    partitions = len(probe_side.keys.partitions.rows)
    steps = (
        Step(
            kind=f"collect the {build} side",
            tasks=1,
            task_peak_nbytes=3 * build_nbytes,
            reason=f"{format_nbytes(build_nbytes)} × 3: its partitions, and joined into one",
        ),
        Step(
            kind="join each partition",
            tasks=partitions,
            task_peak_nbytes=peak,
            reason=(
                f"a partition of {format_nbytes(largest * probe_width)}, the {build} side of "
                f"{format_nbytes(build_nbytes)}, result of {format_nbytes(output_nbytes)} × "
                f"{options.OUTPUT_COPIES:g}"
            ),
        ),
    )
    return _Choice(
        reasons=(f"the {build} side takes {format_nbytes(build_nbytes)}: each worker can hold all of it",),
        steps=steps,
        output_partitions=max(1, partitions),
        largest_rows=output_rows,
        build_side=build,
    )


def _largest_partition_output(facts: MergeFacts, build: str, partition_rows: int) -> int:
    """Bound the result rows of one probe partition: as if it held the keys that multiply most."""
    loads = key_loads(facts.left.keys, facts.right.keys, facts.how)
    probe, other = (loads.left, loads.right) if build == "right" else (loads.right, loads.left)
    factor = np.maximum(other / loads.weight, 1.0)
    null_probe = loads.null_left if build == "right" else loads.null_right
    null_other = loads.null_right if build == "right" else loads.null_left
    factor = np.append(factor, max(1, null_other))
    rows = np.append(probe, null_probe)
    heaviest = np.argsort(-factor, kind="stable")
    filled = np.minimum(np.cumsum(rows[heaviest]), partition_rows)
    taken = np.diff(np.concatenate([[0.0], filled]))
    margin = 1.0 if loads.exact else options.SAMPLE_MARGIN
    return int(np.ceil((taken * factor[heaviest]).sum() * margin))


# 3 ---------------------------------------------------------------------------


def _staged(facts: MergeFacts, widths: _Widths, figures: LayoutFigures) -> _Choice | str:
    if facts.staging.directory is None:
        return facts.staging.unavailable
    layout = figures.layout
    steps = []
    for name, side, width in (("left", facts.left, widths.left), ("right", facts.right, widths.right)):
        rows = int(side.keys.partitions.rows.max(initial=0))
        steps.append(
            Step(
                kind=f"stage {name} partitions",
                tasks=len(side.keys.partitions.rows),
                task_peak_nbytes=stage_peak_nbytes(partition_rows=rows, partition_nbytes=int(rows * width)),
                reason=(
                    f"a partition of {format_nbytes(rows * width)} × {options.STAGE_COPIES:g}, and "
                    f"{options.ROW_INDEX_NBYTES} B for each of its {format_count(rows)} rows"
                ),
            )
        )
    output_nbytes = int(figures.cell_rows * widths.output)
    steps.append(
        Step(
            kind="join cells of staged shards",
            tasks=layout.n_cells,
            task_peak_nbytes=cell_peak_nbytes(
                input_rows=figures.input_rows,
                input_nbytes=figures.input_nbytes,
                output_rows=figures.cell_rows,
                output_nbytes=output_nbytes,
            ),
            reason=(
                f"input of {format_nbytes(figures.input_nbytes)} × {options.FETCH_COPIES:g}, result of "
                f"{format_nbytes(output_nbytes)} × {options.OUTPUT_COPIES:g}, and "
                f"{options.POSITION_NBYTES} B for each of its {format_count(figures.cell_rows)} rows"
            ),
        )
    )
    return _Choice(
        reasons=(
            (
                f"rows of both sides pass through {facts.staging.directory} into {layout.n_shards} shards, "
                f"{int(layout.single_key.sum())} of them for one key alone"
            ),
        ),
        steps=tuple(steps),
        output_partitions=layout.n_cells,
        largest_rows=figures.cell_rows,
        layout=layout,
        staging_nbytes=int(facts.left.keys.rows * widths.left + facts.right.keys.rows * widths.right),
    )
