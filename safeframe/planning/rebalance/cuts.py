"""Cuts a frame for a goal: between index values where divisions can be kept, else between rows.

Covers: the cuts and the divisions that follow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from safeframe import options
from safeframe.errors import ValidationError
from safeframe.facts.keys import Counts
from safeframe.facts.rebalance import RebalanceFacts, RebalanceLayout
from safeframe.kernels.cuts import EvenRows, Line, Places, bounded_cuts
from safeframe.units import format_nbytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """What the output partitions are to be."""

    limit_nbytes: int | None
    """Bytes that none may exceed; None where their number is given."""
    n: int | None
    """How many; None where they are bounded."""
    least: int = 1
    """Smallest number of them, where they are bounded and there are enough places to cut at."""

    def bounded(self, line: Line) -> Counts:
        """Cut under the bound: into as few parts as there can be, but for ``least``."""
        assert self.limit_nbytes is not None, "a goal is a number or a bound"
        cuts = bounded_cuts(line, self.limit_nbytes)
        if len(cuts) - 1 >= self.least:
            return cuts
        more = np.unique(line.even(self.least))
        return more if len(more) > len(cuts) and line.sizes(more).max() <= self.limit_nbytes else cuts


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Cut:
    """A frame that is cut."""

    layout: RebalanceLayout
    """Where."""
    sizes: Counts
    """Bytes of each output partition."""
    unknown: str = ""
    """Why divisions become unknown; empty where they stay known, or were not known before."""


def similar(nbytes: Counts) -> bool:
    """Whether the largest of some partitions is near their mean."""
    return bool(nbytes.max(initial=0) <= options.REBALANCE_EVEN_FACTOR * nbytes.mean())


def cut(facts: RebalanceFacts, goal: Goal) -> Cut:
    """Cut between index values if divisions are known and that can be, else between rows.

    Raises
    ------
    ValidationError
        When a row is larger than the bound.
    """
    sizes = facts.sizes
    anywhere: Line = (
        Places(sizes.place_rows, sizes.place_nbytes, sizes.frame_nbytes)
        if sizes.row_nbytes is None
        else EvenRows(sizes.total_rows, sizes.row_nbytes, sizes.frame_nbytes)
    )
    cuts = _goal_cuts(anywhere, goal)
    after = anywhere.sizes(cuts)
    if goal.limit_nbytes is not None and after.max(initial=0) > goal.limit_nbytes and sizes.total_rows:
        msg = (
            f"partition_size={format_nbytes(goal.limit_nbytes)} is less than a partition of one row, "
            f"{format_nbytes(after.max())}."
        )
        raise ValidationError(msg, hint="Request a larger partition_size=.")
    kept = _between_values(facts, goal, even=similar(after))
    if isinstance(kept, Cut):
        return kept
    layout = RebalanceLayout(bounds=sizes.bounds, cuts=cuts, divisions=(None,) * len(cuts))
    return Cut(layout=layout, sizes=after, unknown=kept)


def _between_values(facts: RebalanceFacts, goal: Goal, *, even: bool) -> Cut | str:
    """Cut so that divisions stay known, or return why they do not: it would cost the bound, or even sizes."""
    sizes = facts.sizes
    if facts.divisions is None:
        return ""
    if sizes.keys is None:
        return "index values were not read"
    begins = np.array([key is not None for key in sizes.keys])
    begins[[0, -1]] = True
    line = Places(sizes.place_rows[begins], sizes.place_nbytes[begins], sizes.frame_nbytes)
    cuts = _goal_cuts(line, goal)
    after = line.sizes(cuts)
    if len(np.unique(cuts)) < len(cuts):
        return "there are fewer index values than partitions"
    if goal.limit_nbytes is None:
        if even and not similar(after):
            return "cuts between index values would make partitions of uneven sizes"
    elif after.max() > goal.limit_nbytes:
        return "an index value has more rows than fit a partition"
    keys = dict(zip(sizes.place_rows.tolist(), sizes.keys, strict=True))
    inner = tuple(keys[row] for row in cuts[1:-1].tolist())
    divisions = (facts.divisions[0], *inner, facts.divisions[-1])
    return Cut(layout=RebalanceLayout(bounds=sizes.bounds, cuts=cuts, divisions=divisions), sizes=after)


def _goal_cuts(line: Line, goal: Goal) -> Counts:
    if goal.n is not None:
        return line.even(goal.n)
    return goal.bounded(line)
