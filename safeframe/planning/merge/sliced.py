"""Writing a merge whose one side is small: partitions of the other one go to files slice by slice.

A result that is written need not be cut to partitions that a task can hold, so that no row has to move: each
partition of the large side is read in slices, each is joined with the side that the worker holds, and their
rows are a file. What is there at once depends on the slice, whatever the partition has.

Covers: when that is cheaper than writing the partitions of the plan, and what its tasks take.
Does not cover: a merge without its rows (``without_rows``), partitions that are made whole (``broadcast``).
"""

from __future__ import annotations

import math

from safeframe import options
from safeframe.facts.budget import Budget
from safeframe.facts.frame import FrameSource
from safeframe.facts.merge import (
    BroadcastMerge,
    MergeFacts,
    OrderedMerge,
    SlicedMerge,
    SlicedWrite,
    TableMerge,
)
from safeframe.facts.plan import Step
from safeframe.planning.costs import cost_of, is_tie
from safeframe.planning.exchange import (
    needs_few_columns,
    pages_reason,
    slice_nbytes_of,
    waiting_columns_nbytes,
)
from safeframe.planning.memory import sliced_cell_peak_nbytes
from safeframe.planning.merge.build_side import (
    BroadcastSides,
    build_side,
    build_sides,
    collect_step,
    most_output,
)
from safeframe.planning.merge.offer import Offer, Widths
from safeframe.units import format_count, format_nbytes


def plan_sliced(facts: MergeFacts, widths: Widths, offer: Offer) -> SlicedWrite | None:
    """Plan the files of a merge that the large side's partitions become; None where another way is as good.

    Parameters
    ----------
    facts
        What the merge's plan is made of.
    widths
        Bytes per row.
    offer
        The way that was chosen for its partitions.
    """
    if not facts.may_broadcast or facts.strategy not in (None, "broadcast"):
        return None
    budget = offer.budget or facts.budget
    found = [_of_build(build, facts, widths, budget) for build in build_sides(facts.how)]
    writes = [one for one in found if one is not None]
    best = min(writes, key=lambda write: write.cost.seconds, default=None)
    if best is None:
        return None
    if isinstance(offer.way, BroadcastMerge) and not offer.way.pieces:
        # The same, of partitions that are made whole: slices of them take less memory.
        smaller = _peak_nbytes(best.steps) < _peak_nbytes(offer.steps)
        return best if smaller and is_tie(best.cost.seconds, offer.cost.seconds) else None
    return best if best.cost.seconds < offer.cost.seconds else None


def files_are_free(facts: MergeFacts, offer: Offer) -> bool:
    """Whether files need not be the partitions of the plan: none were asked for, and moving none is no way of it."""
    if facts.ordered or facts.index_is_key:
        return False
    if facts.partition_nbytes is not None or facts.npartitions is not None:
        return False  # files are as large as partitions that were requested
    if isinstance(offer.way, TableMerge):
        return False
    return not isinstance(offer.way, OrderedMerge) or bool(offer.moved)


def _peak_nbytes(steps: tuple[Step, ...]) -> int:
    return max((step.written or step).task_peak_nbytes for step in steps)


def _of_build(build: str, facts: MergeFacts, widths: Widths, budget: Budget) -> SlicedWrite | None:
    sides = build_side(build, facts, widths)
    if isinstance(sides, str) or sides.probe.profile.source.whole:
        return None
    source, output = sides.probe.profile.source, most_output(facts, build)
    task_nbytes = max(budget.task_nbytes, 0)
    slice_nbytes = slice_nbytes_of(task_nbytes)
    slice_rows = math.ceil(slice_nbytes / max(sides.probe_width, 1.0))
    piece_rows = min(slice_rows, output.most_rows(slice_nbytes // max(widths.output, 1e-9)))
    if piece_rows < 1:
        return None
    by_columns = needs_few_columns(source.reader_nbytes, task_nbytes)
    waiting = waiting_columns_nbytes(source, sides.probe_width, len(sides.rows), budget) if by_columns else 0
    step = _step(
        sides,
        source,
        slice_rows,
        piece_rows,
        output.of(piece_rows),
        widths.output,
        slice_nbytes,
        by_columns,
        waiting,
    )
    steps = (collect_step(sides), step)
    if budget.projected_worker_nbytes(_peak_nbytes(steps)) > budget.usable_nbytes:
        return None
    rows, largest = int(sides.rows.sum()), int(sides.rows.max(initial=0))
    joins = math.ceil(rows / piece_rows) + len(sides.rows)
    cost = cost_of(
        budget,
        tasks=1 + len(sides.rows),
        read_nbytes=sides.nbytes(rows) + sides.build_nbytes,
        collected_nbytes=sides.build_nbytes,
        # The keys of the side that is held are numbered again with each slice.
        joined_nbytes=widths.keys_nbytes(
            (rows, joins * sides.build_rows) if build == "right" else (joins * sides.build_rows, rows)
        ),
        # A partition is one task: others wait for the largest.
        share=largest / max(rows, 1),
    )
    other = "left" if build == "right" else "right"
    return SlicedWrite(
        reason=(
            f"the {build} side takes {format_nbytes(sides.build_nbytes)}: each worker holds all of it, and the "
            f"{other} side's partitions are read in slices of {format_nbytes(slice_nbytes)}, and become files"
        ),
        way=SlicedMerge(
            build_side=build,
            slice_nbytes=slice_nbytes,
            piece_rows=piece_rows,
            by_columns=by_columns,
            directory=facts.staging.directory,
        ),
        steps=steps,
        files=max(1, len(sides.rows)),
        largest_rows=output.of(largest),
        cost=cost,
        staging_nbytes=waiting,
        staging_free_nbytes=facts.staging.free_nbytes,
    )


def _step(
    sides: BroadcastSides,
    source: FrameSource,
    slice_rows: int,
    piece_rows: int,
    output_rows: int,
    output_width: float,
    slice_nbytes: int,
    by_columns: bool,
    waiting_nbytes: int,
) -> Step:
    pages = source.few_columns_nbytes if by_columns else source.reader_nbytes
    output_nbytes = int(output_rows * output_width)
    return Step(
        kind=f"join each slice of the {'left' if sides.build == 'right' else 'right'} side, and write files",
        tasks=len(sides.rows),
        task_peak_nbytes=sliced_cell_peak_nbytes(
            pages_nbytes=pages,
            slice_rows=slice_rows,
            slice_nbytes=slice_nbytes,
            piece_nbytes=sides.nbytes(piece_rows),
            build_rows=sides.build_rows,
            build_nbytes=sides.build_nbytes,
            output_rows=output_rows,
            output_nbytes=output_nbytes,
        ),
        reason=(
            f"{pages_reason(source, waiting_nbytes, by_columns=by_columns)}, a slice of {format_nbytes(slice_nbytes)} × "
            f"{options.STAGE_COPIES:g}, the {sides.build} side of {format_nbytes(sides.build_nbytes)}, and it and "
            f"{format_nbytes(sides.nbytes(piece_rows))} of the slice × {options.FETCH_COPIES:g}, result of "
            f"{format_nbytes(output_nbytes)}, and {format_nbytes(slice_nbytes)} of it that is written × "
            f"{options.OUTPUT_COPIES:g}, {options.ROW_INDEX_NBYTES} B for each of "
            f"{format_count(slice_rows + sides.build_rows)} input rows and {options.POSITION_NBYTES} B for each of "
            f"{format_count(output_rows)} result rows"
        ),
        page=source.largest_page,
    )
