"""A merge whose rows dask's P2P moves, where the workers share no place for files.

Both sides go through P2P at the same time into the same shards; a cell reads
the two halves of its shard from its worker's disk. P2P brings all rows of a
shard to one worker and gives them back whole, so that a key cannot be cut: the
cells of a heavy key each read all of its rows, and a key whose rows do not fit
a worker cannot be merged this way.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from safeframe import options
from safeframe.facts.budget import StagingFacts
from safeframe.facts.merge import MergeFacts, P2PMerge
from safeframe.facts.plan import Step
from safeframe.planning.costs import cost_of
from safeframe.planning.memory import cell_reason, default_shard_nbytes, p2p_cell_peak_nbytes
from safeframe.planning.merge.key_loads import KeyLoads
from safeframe.planning.merge.offer import Offer, Widths, output_target
from safeframe.planning.merge.shards import LayoutFigures, lay_out
from safeframe.planning.p2p.layout import (
    bounding_row_nbytes,
    lay_out_sends,
    p2p_task_nbytes,
    transport_reason,
)
from safeframe.units import format_count, format_nbytes


def by_p2p(facts: MergeFacts, widths: Widths, loads: KeyLoads) -> Offer | str:
    """Move both sides between the workers, where there are such workers and P2P can carry the rows."""
    if facts.p2p_refused:
        return facts.p2p_refused
    if facts.p2p is None:
        return "it is not needed: the workers share a place for staged files"
    left, right = facts.p2p
    if left.unavailable:
        return left.unavailable
    task_nbytes = p2p_task_nbytes(facts.budget)
    target = output_target(facts, widths, task_nbytes)
    left_width, right_width = bounding_row_nbytes(left), bounding_row_nbytes(right)
    figures = lay_out(
        loads,
        left_row_nbytes=left_width,
        right_row_nbytes=right_width,
        output_row_nbytes=widths.output,
        shard_nbytes=default_shard_nbytes(task_nbytes),
        partition_nbytes=target.partition_nbytes,
        packed_nbytes=target.packed_nbytes,
    )
    layout = figures.layout
    sides = {"send left partitions": left, "send right partitions": right}
    p2p = lay_out_sends(sides, n_shards=layout.n_shards, even=False)
    # Rows of several keys that were sampled are expected, and a bound is wanted; shards without a cell stay away.
    margin = np.where(layout.single_key, 1.0, figures.margin) * (layout.cells > 0)
    shard_nbytes = margin * (figures.left_rows * left_width + figures.right_rows * right_width)
    largest = int(np.argmax(shard_nbytes))
    input_nbytes = math.ceil(shard_nbytes[largest])
    input_rows = math.ceil((margin * (figures.left_rows + figures.right_rows)).max())
    output_nbytes = int(figures.cell_rows * widths.output)
    cell = {
        "input_rows": input_rows,
        "input_nbytes": input_nbytes,
        "output_rows": figures.cell_rows,
        "output_nbytes": output_nbytes,
    }
    peak = p2p_cell_peak_nbytes(**cell)
    cells = Step(
        kind="join output partitions from moved shards",
        tasks=layout.n_cells,
        task_peak_nbytes=peak,
        reason=(cell_reason(**cell, copies=options.P2P_RECEIVE_COPIES) + transport_reason(p2p.held_nbytes)),
    )
    reasons = [
        f"dask's P2P moves the rows of both sides between the workers, into {layout.in_words}",
        *p2p.reasons,
    ]
    advice = ""
    if layout.single_key[largest] and p2p.budget.projected_worker_nbytes(peak) > facts.budget.allowed_nbytes:
        heavy = _heavy_key(facts, figures, largest, input_nbytes)
        room = format_nbytes(max(0, int(p2p.budget.task_nbytes / options.P2P_RECEIVE_COPIES)))
        reasons.append(f"{heavy}, and a task has room for {room}: P2P cannot cut a key")
        advice = (
            f"{heavy[0].upper()}{heavy[1:]}, and P2P sends all of them to one task, which has room for {room}. Name a directory in staging= that all "
            "workers can reach, so that the key can be cut, or choose another strategy=."
        )
    moved = int(facts.left.keys.rows * left_width + facts.right.keys.rows * right_width)
    return Offer(
        reasons=tuple(reasons),
        steps=(*p2p.steps, cells),
        output_partitions=layout.n_cells,
        largest_rows=figures.cell_rows,
        way=P2PMerge(layout=layout, settings=p2p.settings),
        partition_nbytes=target.partition_nbytes,
        moved=("left", "right"),
        staging=StagingFacts(directory=p2p.disk.directory, free_nbytes=p2p.disk.free_nbytes, unavailable=""),
        staging_nbytes=p2p.tightest_nbytes,
        budget=p2p.budget,
        advice=advice,
        cost=cost_of(
            facts.budget,
            tasks=sum(step.tasks for step in p2p.steps) + layout.n_cells,
            read_nbytes=moved,
            staged_nbytes=moved,
            # P2P gives a shard back whole, to each of its cells.
            joined_nbytes=widths.keys_nbytes(
                ((figures.left_rows * layout.cells).sum(), (figures.right_rows * layout.cells).sum())
            ),
            fetched_nbytes=float((shard_nbytes * layout.cells).sum()),
            by_p2p=True,
        ),
    )


def _heavy_key(facts: MergeFacts, figures: LayoutFigures, shard: int, nbytes: int) -> str:
    rows = f"{format_count(figures.left_rows[shard])} + {format_count(figures.right_rows[shard])} rows"
    if facts.how == "cross":
        return f"the sides of a cross merge are as one key of {rows}, {format_nbytes(nbytes)}"
    return f"the key {_key_of(facts, figures, shard)} has {rows}, {format_nbytes(nbytes)}"


def _key_of(facts: MergeFacts, figures: LayoutFigures, shard: int) -> str:
    layout = figures.layout
    if layout.holds_nulls(shard):
        return "null"
    code = int(layout.starts[shard])
    labels: dict[int, Any] = {**facts.left.keys.labels, **facts.right.keys.labels}
    return repr(labels[code]) if code in labels else "of most rows"
