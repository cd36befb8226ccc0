"""A merge of sides that are in key order already: no row moves."""

from __future__ import annotations

from safeframe.facts.merge_facts import MergeFacts
from safeframe.planning.merge_choice import Choice, Widths
from safeframe.planning.merge_ordered import LayOut, by_order, not_in_order, sides_of

__all__ = ["by_sorted"]


def by_sorted(facts: MergeFacts, widths: Widths, lay_out: LayOut) -> Choice | str:
    """Join neighbouring partitions, where both sides are in key order, whatever their divisions."""
    if facts.how == "cross":
        return "every row meets every row: there is no order to use"
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
