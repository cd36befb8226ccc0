"""A merge whose rows pass through files."""

from __future__ import annotations

from dataclasses import replace

from safeframe import options
from safeframe.facts.frame import FrameSource
from safeframe.facts.keys import Counts
from safeframe.facts.layout import OrderedLayout, StageTasks
from safeframe.facts.merge import MergeFacts, MergeWay, OrderedMerge, SideFacts, StagedMerge
from safeframe.facts.plan import Step
from safeframe.planning.costs import cost_of
from safeframe.planning.exchange import (
    again_steps,
    columns_nbytes,
    stage_step,
    stage_tasks,
    staged_nbytes,
    with_manifests,
)
from safeframe.planning.memory import cell_peak_nbytes, cell_reason
from safeframe.planning.merge.offer import Offer, Widths
from safeframe.planning.merge.shards import LayOut, LayoutFigures
from safeframe.planning.parquet import stretch_nbytes
from safeframe.units import format_count, format_nbytes


def stage_side_steps(
    name: str, partition_rows: Counts, width: float, source: FrameSource, tasks: StageTasks
) -> tuple[Step, ...]:
    """Describe the staging of one side, of ``width`` bytes a row."""
    return (
        stage_step(f"stage {name} partitions", partition_rows, width, source, tasks),
        *again_steps(f"stage {name} coarse shards again", width, tasks),
    )


def side_steps(facts: MergeFacts, name: str, tasks: StageTasks) -> tuple[Step, ...]:
    """Describe the staging of the side of a name."""
    side, width = _side(facts, name)
    return stage_side_steps(name, side.keys.partitions.rows, width, side.profile.source, tasks)


def side_tasks(facts: MergeFacts, name: str, n_shards: int) -> StageTasks:
    """Choose how the partitions of the side of a name are given to stage tasks."""
    side, width = _side(facts, name)
    return stage_tasks(side.keys.partitions.rows, width, facts.budget, side.profile.source, n_shards)


def _side(facts: MergeFacts, name: str) -> tuple[SideFacts, float]:
    side = facts.left if name == "left" else facts.right
    return side, side.profile.width.bounding


def stage_reason(rows: int, nbytes: int) -> str:
    """Return the terms of staging one partition in words."""
    return (
        f"a partition of {format_nbytes(nbytes)} × {options.STAGE_COPIES:g}, and "
        f"{options.ROW_INDEX_NBYTES} B for each of its {format_count(rows)} rows"
    )


def _cell_step(figures: LayoutFigures, rows: int, nbytes: int) -> Step:
    """Describe the making of output partitions, of so many rows at once."""
    cell = {
        "input_rows": figures.input_rows,
        "input_nbytes": figures.input_nbytes,
        "output_rows": rows,
        "output_nbytes": nbytes,
    }
    return Step(
        kind="join output partitions from staged shards",
        tasks=figures.layout.n_cells,
        task_peak_nbytes=cell_peak_nbytes(**cell),
        reason=cell_reason(**cell, copies=options.FETCH_COPIES),
    )


def by_staged(facts: MergeFacts, widths: Widths, lay_out: LayOut) -> Offer | str:
    """Pass both sides through files, where the workers share a place for them."""
    if facts.staging.directory is None:
        return facts.staging.unavailable
    figures = lay_out(None)
    layout = figures.layout
    tasks = {name: side_tasks(facts, name, layout.n_shards) for name in ("left", "right")}
    steps = [step for name in tasks for step in side_steps(facts, name, tasks[name])]
    sizes = [chosen.size for chosen in tasks.values()]
    output_nbytes = int(figures.cell_rows * widths.output)
    step = _cell_step(figures, figures.cell_rows, output_nbytes)
    stretch = stretch_nbytes(output_nbytes, max(facts.budget.task_nbytes, 0))
    if stretch < output_nbytes:
        rows = int(figures.cell_rows * stretch / output_nbytes)
        step = replace(step, written=_cell_step(figures, rows, stretch))
    steps.append(with_manifests(step, *sizes))
    way: MergeWay = StagedMerge(layout=layout, tasks=tasks)
    if facts.ordered:
        moved = OrderedLayout(
            left=None, right=None, left_rows=figures.left_rows, right_rows=figures.right_rows
        )
        way = OrderedMerge(layout=layout, ordered=moved, tasks=tasks)
    nbytes = facts.left.keys.rows * widths.left, facts.right.keys.rows * widths.right
    staged = staged_nbytes(*zip(nbytes, sizes, strict=True))
    return Offer(
        reasons=(f"rows of both sides pass through {facts.staging.directory} into {layout.in_words}",),
        steps=tuple(steps),
        output_partitions=layout.n_cells,
        sizes=figures.sizes,
        largest_rows=figures.cell_rows,
        way=way,
        moved=("left", "right"),
        staging=facts.staging,
        staging_nbytes=staged + columns_nbytes(tasks.values()),
        cost=cost_of(
            facts.budget,
            tasks=sum(step.tasks for step in steps),
            read_nbytes=sum(nbytes),
            staged_nbytes=staged,
            fetched_nbytes=figures.read_rows[0] * widths.left + figures.read_rows[1] * widths.right,
            joined_nbytes=widths.keys_nbytes(figures.read_rows),
        ),
    )
