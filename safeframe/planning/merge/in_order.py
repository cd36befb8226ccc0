"""What the cells of a merge cost where one side, or both, stay in their partitions.

Covers: whether a side is in key order, the steps that check its partitions and
join slices of them, what a worker holds meanwhile.
"""

from __future__ import annotations

from safeframe import options
from safeframe.facts.layout import OrderedLayout, TouchedParts
from safeframe.facts.merge import MergeFacts, OrderedMerge, SideFacts
from safeframe.facts.plan import Step
from safeframe.planning.costs import cost_of
from safeframe.planning.exchange import columns_nbytes
from safeframe.planning.memory import cell_reason, sorted_cell_peak_nbytes, stage_peak_nbytes
from safeframe.planning.merge.offer import Offer, Widths
from safeframe.planning.merge.shards import LayOut
from safeframe.planning.merge.staged import side_steps, side_tasks, stage_reason
from safeframe.planning.merge.touched_parts import first_disorder, held_rows, touched_parts
from safeframe.units import format_nbytes


def not_in_order(name: str, side: SideFacts) -> str:
    """Return why a side cannot stay in its partitions; nothing when it can."""
    if not side.keys.schema.ordered:
        return f"the order of the {name} key is not known: it is not a single column of numbers or times"
    if not len(side.keys.partitions.checksums):
        return f"the {name} statistics do not say what each partition holds"
    found = first_disorder(side.keys.partitions)
    if found is not None:
        return f"the {name} partitions are not in key order (partition {found[1]} begins before partition {found[0]} ends)"
    return ""


def sides_of(facts: MergeFacts, widths: Widths) -> dict[str, tuple[SideFacts, float]]:
    """Return both sides by name, each with the bytes of its rows."""
    return {"left": (facts.left, widths.left), "right": (facts.right, widths.right)}


def by_order(
    facts: MergeFacts, widths: Widths, lay_out: LayOut, staying: tuple[str, ...], reason: str
) -> Offer | str:
    """Join cells of slices of the partitions of the sides that stay, and of staged shards of the other.

    Parameters
    ----------
    facts, widths
        The merge.
    lay_out
        Cuts the keys.
    staying
        The sides that stay where they are, largest first: shards end with its partitions.
    reason
        Why this can be done.
    """
    sides = sides_of(facts, widths)
    parts = sides[staying[0]][0].keys.partitions
    figures = lay_out(parts.first[parts.full])
    touched: dict[str, TouchedParts] = {}
    steps: list[Step] = []
    held, checked_peak, most = 0, 0, []
    largest_rows, checked = 0, ""
    for name in staying:
        side, width = sides[name]
        touched[name] = touched_parts(side.keys.partitions, figures, facts.how, name)
        rows, n_parts = held_rows(side.keys.partitions, touched[name], figures, name)
        held += int(rows * width)
        most.append(str(n_parts))
        largest = int(side.keys.partitions.rows.max(initial=0))
        largest_rows = max(largest_rows, largest)
        peak = stage_peak_nbytes(partition_rows=largest, partition_nbytes=int(largest * width))
        if peak >= checked_peak:
            checked_peak, checked = peak, stage_reason(largest, int(largest * width))
    held_nbytes = int(held * options.ORDERED_WAITING)
    moved = [name for name in sides if name not in staying]
    tasks = {name: side_tasks(facts, name, figures.layout.n_shards) for name in moved}
    for name in moved:
        steps += side_steps(facts, name, tasks[name])
    steps.append(
        Step(
            kind=f"check the {' and '.join(sorted(staying))} partitions",
            tasks=sum(len(sides[name][0].keys.partitions.rows) for name in staying),
            task_peak_nbytes=held_nbytes + checked_peak,
            reason=f"{format_nbytes(held_nbytes)} that wait for their output partitions, {checked}",
        )
    )
    cell = {
        "input_rows": figures.input_rows + largest_rows,
        "input_nbytes": figures.input_nbytes,
        "output_rows": figures.cell_rows,
        "output_nbytes": int(figures.cell_rows * widths.output),
    }
    steps.append(
        Step(
            kind="join output partitions from sorted partitions" + (" and staged shards" if moved else ""),
            tasks=figures.layout.n_cells,
            task_peak_nbytes=sorted_cell_peak_nbytes(held_nbytes=held_nbytes, **cell),
            reason=(
                f"up to {' + '.join(most)} partitions of {format_nbytes(held)} × {options.ORDERED_WAITING:g}, "
                f"{cell_reason(**cell, copies=options.FETCH_COPIES)}"
            ),
        )
    )
    projected = facts.budget.projected_worker_nbytes(max(step.task_peak_nbytes for step in steps))
    if projected > facts.budget.usable_nbytes and facts.strategy is None:
        return (
            f"an output partition touches up to {' + '.join(most)} whole partitions, which takes a worker to "
            f"{format_nbytes(projected)}, above {format_nbytes(facts.budget.usable_nbytes)}"
        )
    whole = {name: int(side.keys.rows * width) for name, (side, width) in sides.items()}
    nbytes = {
        "staged": sum(whole[name] for name in moved),
        "stays": sum(whole[name] for name in staying),
        "largest": max(whole[name] for name in staying),
    }
    return Offer(
        reasons=(reason,),
        steps=tuple(steps),
        output_partitions=figures.layout.n_cells,
        sizes=figures.sizes,
        largest_rows=figures.cell_rows,
        way=OrderedMerge(
            layout=figures.layout,
            ordered=OrderedLayout(
                left=touched.get("left"),
                right=touched.get("right"),
                left_rows=figures.left_rows,
                right_rows=figures.right_rows,
            ),
            tasks=tasks,
        ),
        moved=tuple(moved),
        staging=facts.staging if moved else None,
        staging_nbytes=nbytes["staged"] + columns_nbytes(tasks.values()),
        cost=cost_of(
            facts.budget,
            tasks=sum(step.tasks for step in steps),
            read_nbytes=nbytes["staged"] + nbytes["stays"],
            staged_nbytes=nbytes["staged"],
            fetched_nbytes=sum(
                rows * sides[name][1]
                for name, rows in zip(sides, figures.read_rows, strict=True)
                if name in moved
            ),
            # Cells run where most of what they touch is: what comes from elsewhere is of the smaller sides.
            sent_nbytes=nbytes["stays"] - nbytes["largest"],
            # Partitions that stay are checked, and their keys numbered again by each cell.
            joined_nbytes=widths.keys_nbytes(figures.read_rows)
            + widths.keys_nbytes(
                (
                    facts.left.keys.rows if "left" in staying else 0,
                    facts.right.keys.rows if "right" in staying else 0,
                )
            ),
        ),
    )


def by_one_side(facts: MergeFacts, widths: Widths, lay_out: LayOut) -> Offer | str:
    """Stage one side by the key ranges of the other one's partitions, which stay where they are."""
    if facts.how == "cross":
        return "every row is paired with every row: no order helps"
    if facts.staging.directory is None:
        return facts.staging.unavailable
    sides = sides_of(facts, widths)
    reasons = []
    # The larger side stays where it can: the smaller one is written to files.
    for name in sorted(sides, key=lambda name: -sides[name][0].keys.rows * sides[name][1]):
        why = not_in_order(name, sides[name][0])
        if not why:
            moved = "right" if name == "left" else "left"
            side, width = sides[moved]
            offer = by_order(
                facts,
                widths,
                lay_out,
                (name,),
                (
                    f"the {name} partitions are in key order and stay where they are: only the {moved} side's "
                    f"{format_nbytes(side.keys.rows * width)} pass through {facts.staging.directory}"
                ),
            )
            if isinstance(offer, Offer):
                return offer
            why = f"with the {name} side in place, {offer}"
        reasons.append(why)
    return "; ".join(reasons)


def by_sorted(facts: MergeFacts, widths: Widths, lay_out: LayOut) -> Offer | str:
    """Join neighbouring partitions, where both sides are in key order, whatever their divisions."""
    if facts.how == "cross":
        return "every row is paired with every row: no order helps"
    sides = sides_of(facts, widths)
    for name, (side, _) in sides.items():
        why = not_in_order(name, side)
        if why:
            return why
    largest_first = sorted(sides, key=lambda name: -sides[name][0].keys.rows * sides[name][1])
    return by_order(
        facts,
        widths,
        lay_out,
        tuple(largest_first),
        "the partitions of both sides are in key order and do not overlap: no rows move",
    )
