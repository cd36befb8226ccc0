"""A merge with a side that every worker holds whole."""

from __future__ import annotations

import numpy as np

from safeframe import options
from safeframe.facts.merge import BroadcastMerge, How, MergeFacts
from safeframe.facts.plan import Step
from safeframe.planning.memory import broadcast_cell_peak_nbytes, cell_reason, largest_partition_nbytes
from safeframe.planning.merge.key_loads import key_loads
from safeframe.planning.merge.offer import Offer, Widths
from safeframe.units import format_count, format_nbytes


def by_broadcast(facts: MergeFacts, widths: Widths, partition_nbytes: int) -> Offer | str:
    """Hold one side whole on each worker, where it is small and no partition's result is too large."""
    if not facts.may_broadcast:
        return "broadcast=False was given"
    reasons = []
    for build in _build_sides(facts.how):
        offer = _broadcast_of(build, facts, widths, partition_nbytes)
        if isinstance(offer, Offer):
            return offer
        reasons.append(offer)
    return "; ".join(reasons) or f"neither side of an {facts.how} merge may be held whole on each worker"


def _build_sides(how: How) -> tuple[str, ...]:
    """Name the sides that may be broadcast: never one whose unmatched rows stay."""
    if how in ("inner", "cross"):
        return ("right", "left")
    if how in ("left", "leftsemi", "leftanti"):
        return ("right",)
    return ("left",) if how == "right" else ()


def _broadcast_of(build: str, facts: MergeFacts, widths: Widths, partition_nbytes: int) -> Offer | str:
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
    partitions = len(probe_side.keys.partitions.rows)
    if facts.npartitions not in (None, partitions) and facts.strategy is None:
        return (
            f"with the {build} side whole there are {format_count(partitions)} partitions, and "
            f"{format_count(facts.npartitions or 0)} are requested"
        )
    most = partition_nbytes
    if facts.partition_nbytes is None:
        # Partitions that stay are as large as they came, and may become somewhat wider; where the other ways
        # would bring all rows to one task, as wide as a task can make them.
        sixth = largest_partition_nbytes(max(facts.budget.task_nbytes, 0))
        alone = facts.how == "cross" or facts.staging.directory is None
        most = max(
            most, sixth if alone else min(int(options.STAYING_WIDENING * largest * probe_width), sixth)
        )
    if output_nbytes > most:
        return (
            f"one partition of the other side can make {format_nbytes(output_nbytes)} of result with the "
            f"{build} side, above {format_nbytes(most)}"
        )
    partition_nbytes_read = int(largest * probe_width)
    cell = cell_reason(
        input_rows=largest + build_side.keys.rows,
        input_nbytes=partition_nbytes_read + build_nbytes,
        output_rows=output_rows,
        output_nbytes=output_nbytes,
        copies=options.FETCH_COPIES,
    )
    peak = broadcast_cell_peak_nbytes(
        partition_rows=largest,
        partition_nbytes=partition_nbytes_read,
        build_rows=build_side.keys.rows,
        build_nbytes=build_nbytes,
        output_rows=output_rows,
        output_nbytes=output_nbytes,
    )
    projected = facts.budget.projected_worker_nbytes(max(peak, 3 * build_nbytes))
    if projected > facts.budget.usable_nbytes and facts.strategy is None:
        return (
            f"a partition, the {build} side and their result would take a worker to {format_nbytes(projected)}, "
            f"above {format_nbytes(facts.budget.usable_nbytes)}"
        )
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
            reason=f"the {build} side of {format_nbytes(build_nbytes)}, and with a partition of the other one {cell}",
        ),
    )
    return Offer(
        reasons=(f"the {build} side takes {format_nbytes(build_nbytes)}: each worker can hold all of it",),
        steps=steps,
        output_partitions=max(1, partitions),
        largest_rows=output_rows,
        partition_nbytes=most,
        way=BroadcastMerge(build_side=build),
    )


def _largest_partition_output(facts: MergeFacts, build: str, partition_rows: int) -> int:
    """Bound the result rows of one probe partition: as if it held the keys that multiply most."""
    if facts.how in ("leftsemi", "leftanti"):
        return partition_rows
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
