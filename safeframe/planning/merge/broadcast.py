"""A merge with a side that every worker holds whole.

The other side, the probe, stays in its partitions. Where one of them could make more
rows than an output partition may have, it is cut: each of its pieces is an output
partition, of as many rows as can make that much in the worst case.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from safeframe import options
from safeframe.facts.keys import Counts
from safeframe.facts.merge import BroadcastMerge, MergeFacts
from safeframe.facts.plan import Step
from safeframe.planning.costs import cost_of, is_tie
from safeframe.planning.memory import (
    broadcast_cell_peak_nbytes,
    cell_reason,
    largest_partition_nbytes,
)
from safeframe.planning.merge.build_side import (
    BroadcastSides,
    MostOutput,
    build_side,
    build_sides,
    collect_step,
    most_output,
)
from safeframe.planning.merge.offer import Offer, Widths
from safeframe.planning.parquet import stretch_nbytes
from safeframe.units import format_count, format_nbytes


def by_broadcast(facts: MergeFacts, widths: Widths, partition_nbytes: int) -> Offer | str:
    """Hold one side whole on each worker, where it is small; large results become several partitions."""
    if not facts.may_broadcast:
        return "broadcast=False was given"
    offers, reasons = [], []
    for build in build_sides(facts.how):
        offer = _broadcast_of(build, facts, widths, partition_nbytes)
        if isinstance(offer, Offer):
            offers.append(offer)
        else:
            reasons.append(offer)
    if offers:
        # A side that is requested may be too large.
        room = facts.budget.usable_nbytes
        offers = [one for one in offers if _projected_nbytes(facts, one.steps) <= room] or offers[:1]
        least = min(offer.cost.seconds for offer in offers)
        return next(offer for offer in offers if is_tie(offer.cost.seconds, least))
    return "; ".join(reasons) or f"neither side of an {facts.how} merge may be held whole on each worker"


def _broadcast_of(build: str, facts: MergeFacts, widths: Widths, partition_nbytes: int) -> Offer | str:
    sides = build_side(build, facts, widths)
    if isinstance(sides, str):
        return sides
    output = most_output(facts, build)
    most = _most_nbytes(facts, sides, partition_nbytes)
    pieces = _pieces(facts, sides, output, most, widths.output)
    if isinstance(pieces, str):
        return pieces
    partitions = int(pieces.sum())
    if facts.npartitions not in (None, partitions) and facts.strategy is None:
        return (
            f"with the {build} side whole there are {format_count(partitions)} partitions, and "
            f"{format_count(facts.npartitions or 0)} are requested"
        )
    read_rows = sides.rows.sum()
    task_nbytes = max(facts.budget.task_nbytes, 0)
    steps = _steps(sides, output, pieces, widths.output, task_nbytes, again=False)
    again = False
    if (pieces > 1).any() and sides.probe.profile.source.self_made:
        reads = float((sides.rows * pieces).sum() / max(1, read_rows))
        if (
            _projected_nbytes(facts, steps) > facts.budget.usable_nbytes
            and reads <= options.REBALANCE_REREADS
        ):
            again, read_rows = True, (sides.rows * pieces).sum()
            steps = _steps(sides, output, pieces, widths.output, task_nbytes, again=True)
    projected = _projected_nbytes(facts, steps)
    if projected > facts.budget.usable_nbytes and facts.strategy is None:
        return (
            f"a partition, the {build} side and their result would take a worker to {format_nbytes(projected)}, "
            f"above {format_nbytes(facts.budget.usable_nbytes)}"
        )
    reasons = [f"the {build} side takes {format_nbytes(sides.build_nbytes)}: each worker can hold all of it"]
    cut = pieces > 1
    if cut.any():
        reasons.append(
            f"{format_count(int(cut.sum()))} of {format_count(len(pieces))} partitions of the other side are cut, in up to "
            f"{format_count(int(pieces.max()))} pieces each, so that none makes more than {format_nbytes(most)}"
        )
    return Offer(
        reasons=tuple(reasons),
        steps=steps,
        output_partitions=max(1, partitions),
        largest_rows=output.of(int(_piece_rows(sides.rows, pieces).max(initial=0))),
        partition_nbytes=most,
        way=BroadcastMerge(build_side=build, pieces=tuple(pieces.tolist()) if cut.any() else (), again=again),
        cost=cost_of(
            facts.budget,
            tasks=sum(step.tasks for step in steps),
            read_nbytes=sides.nbytes(int(read_rows)) + sides.build_nbytes,
            collected_nbytes=sides.build_nbytes,
            # Every task numbers the keys of the side that is held.
            joined_nbytes=widths.keys_nbytes(
                (sides.rows.sum(), partitions * sides.build_rows)
                if build == "right"
                else (partitions * sides.build_rows, sides.rows.sum())
            ),
        ),
    )


def _projected_nbytes(facts: MergeFacts, steps: tuple[Step, ...]) -> int:
    return facts.budget.projected_worker_nbytes(max(step.task_peak_nbytes for step in steps))


def _most_nbytes(facts: MergeFacts, sides: BroadcastSides, partition_nbytes: int) -> int:
    """Return what an output partition may have."""
    if facts.partition_nbytes is not None:
        return partition_nbytes
    # Partitions that stay are as large as they came, and may become somewhat wider; where the other ways
    # would bring all rows to one task, as wide as a task can make them.
    sixth = largest_partition_nbytes(max(facts.budget.task_nbytes, 0))
    if facts.how == "cross" or facts.staging.directory is None:
        return max(partition_nbytes, sixth)
    wider = int(options.STAYING_WIDENING * sides.nbytes(int(sides.rows.max(initial=0))))
    return max(partition_nbytes, min(wider, sixth))


def _pieces(
    facts: MergeFacts, sides: BroadcastSides, output: MostOutput, most_nbytes: int, output_width: float
) -> Counts | str:
    """Return in how many pieces each partition of the probe is cut, or why cutting does not help."""
    rows = output.most_rows(most_nbytes // max(output_width, 1e-9))
    if rows < 1:
        return (
            f"one row of the other side can make {format_nbytes(int(output.of(1) * output_width))} of result with the "
            f"{sides.build} side, above {format_nbytes(most_nbytes)}"
        )
    pieces = np.maximum(-(-sides.rows // rows), 1).astype(np.int64)
    partitions = int(pieces.sum())
    if partitions > max(options.MAX_OUTPUT_PARTITIONS, len(pieces)) and facts.strategy is None:
        return (
            f"one partition of the other side can make {format_nbytes(int(output.of(int(sides.rows.max())) * output_width))} "
            f"of result with the {sides.build} side, and there would be {format_count(partitions)} pieces of up to "
            f"{format_nbytes(most_nbytes)}"
        )
    return pieces


def _piece_rows(rows: Counts, pieces: Counts) -> Counts:
    """Return the rows of the largest piece of each partition."""
    return -(-rows // pieces)


def _steps(
    sides: BroadcastSides,
    output: MostOutput,
    pieces: Counts,
    output_width: float,
    task_nbytes: int,
    *,
    again: bool,
) -> tuple[Step, ...]:
    build, build_nbytes = sides.build, sides.build_nbytes
    steps = [collect_step(sides)]
    cut = pieces > 1
    rows = int(_piece_rows(sides.rows, pieces).max(initial=0))
    largest = sides.nbytes(int(sides.rows[cut].max(initial=0)))
    held = 0 if again else int(options.ORDERED_WAITING * largest)
    if again:
        piece = sides.nbytes(int(_piece_rows(sides.rows, pieces)[cut].max()))
        steps.append(
            Step(
                kind="make partitions that are cut, again for each piece",
                tasks=0,
                task_peak_nbytes=build_nbytes + int(options.FETCH_COPIES * largest) + piece,
                reason=(
                    f"the {build} side of {format_nbytes(build_nbytes)}, a partition of {format_nbytes(largest)} × "
                    f"{options.FETCH_COPIES:g}, and a piece of {format_nbytes(piece)}: in the tasks that join"
                ),
            )
        )
    elif cut.any():
        steps.append(
            Step(
                kind="make partitions that are cut",
                tasks=int(cut.sum()),
                task_peak_nbytes=build_nbytes + held,
                reason=(
                    f"the {build} side of {format_nbytes(build_nbytes)}, and a partition of {format_nbytes(largest)} × "
                    f"{options.ORDERED_WAITING:g}: as it is made, and as others wait"
                ),
            )
        )
    waiting = f"{format_nbytes(held)} of partitions that are cut, " if held else ""

    def cell_step(output_rows: int, output_nbytes: int) -> Step:
        reason = cell_reason(
            input_rows=rows + sides.build_rows,
            input_nbytes=sides.nbytes(rows) + build_nbytes,
            output_rows=output_rows,
            output_nbytes=output_nbytes,
            copies=options.FETCH_COPIES,
        )
        return Step(
            kind="join each piece" if cut.any() else "join each partition",
            tasks=int(pieces.sum()),
            task_peak_nbytes=held
            + broadcast_cell_peak_nbytes(
                partition_rows=rows,
                partition_nbytes=sides.nbytes(rows),
                build_rows=sides.build_rows,
                build_nbytes=build_nbytes,
                output_rows=output_rows,
                output_nbytes=output_nbytes,
            ),
            reason=(
                f"the {build} side of {format_nbytes(build_nbytes)}, {waiting}and with a "
                f"{'piece' if cut.any() else 'partition'} of the other one {reason}"
            ),
        )

    output_rows = output.of(rows)
    output_nbytes = int(output_rows * output_width)
    step = cell_step(output_rows, output_nbytes)
    # Written, rows are made a stretch at a time, and where each of them comes from is known all the while.
    stretch = stretch_nbytes(output_nbytes, task_nbytes)
    if stretch < output_nbytes:
        step = replace(step, written=cell_step(output_rows, stretch))
    return (*steps, step)
