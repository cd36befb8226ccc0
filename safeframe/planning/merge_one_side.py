"""A merge with one side in key order: only the other one moves."""

from __future__ import annotations

from safeframe.facts.merge_facts import MergeFacts
from safeframe.planning.merge_choice import Choice, Widths
from safeframe.planning.merge_ordered import LayOut, by_order, not_in_order, sides_of
from safeframe.units import format_nbytes

__all__ = ["by_one_side"]


def by_one_side(facts: MergeFacts, widths: Widths, lay_out: LayOut) -> Choice | str:
    """Stage one side by the key ranges of the other one's partitions, which stay where they are."""
    if facts.how == "cross":
        return "every row meets every row: there is no order to use"
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
            choice = by_order(
                facts,
                widths,
                lay_out,
                (name,),
                (
                    f"the {name} partitions are in key order and stay where they are: only the {moved} side's "
                    f"{format_nbytes(side.keys.rows * width)} pass through {facts.staging.directory}"
                ),
            )
            if isinstance(choice, Choice):
                return choice
            why = f"with the {name} side in place, {choice}"
        reasons.append(why)
    return "; ".join(reasons)
