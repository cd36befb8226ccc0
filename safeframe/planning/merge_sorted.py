"""A merge of sides that are in key order already: no row moves."""

from __future__ import annotations

import numpy as np

from safeframe import options
from safeframe.facts.layout import ShardLayout
from safeframe.facts.merge_facts import MergeFacts, SideFacts
from safeframe.facts.plan import Step
from safeframe.planning.memory import (
    sorted_cell_peak_nbytes,
)
from safeframe.planning.merge_choice import Choice, Widths
from safeframe.planning.shards import LayoutFigures
from safeframe.units import format_count, format_nbytes

__all__ = ["by_sorted"]


def by_sorted(
    facts: MergeFacts, widths: Widths, figures: LayoutFigures, partition_nbytes: int
) -> Choice | str:
    """Join neighbouring partitions, where both sides are in key order."""
    if facts.how == "cross":
        return "every row meets every row: there is no order to use"
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
    return Choice(
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
