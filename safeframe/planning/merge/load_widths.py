"""Bytes of rows by their key, where those of some ranges of keys are much wider than others.

A row counts ``options.WEIGHED_ROW_NBYTES`` more than it has, so that many narrow ones do not fit one partition.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from safeframe import options
from safeframe.facts.merge import MergeFacts
from safeframe.planning.merge.key_loads import KeyLoads, Loads
from safeframe.planning.merge.offer import Widths


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LoadWidths:
    """Bytes of a row of each key, and of one without a key, which is the last."""

    left: Loads
    right: Loads
    output: Loads
    """Of a result row."""


def load_widths(facts: MergeFacts, loads: KeyLoads, widths: Widths) -> LoadWidths:
    """Return the bytes of a row of each key: those of its range where they were measured, else what bounds all of them."""
    left, right = (
        np.full(len(loads.codes) + 1, bounding)
        if side.widths is None
        else np.append(side.widths.of(loads.codes), side.widths.null_nbytes) + options.WEIGHED_ROW_NBYTES
        for side, bounding in ((facts.left, widths.left), (facts.right, widths.right))
    )
    measured = [
        (side, own) for side, own in ((facts.left, left), (facts.right, right)) if side.widths is not None
    ]
    if not measured:
        return LoadWidths(left=left, right=right, output=np.full(len(left), widths.output))
    # What of a result row no range of keys tells: columns of the other side, an indicator.
    others = facts.estimate.width.expected - sum(side.profile.width.expected for side, _ in measured)
    output = np.full(len(left), max(0.0, others) * options.WIDTH_MARGIN)
    for _, own in measured:
        output += own
    # Categories are a partition's, and of no row: partitions of few rows are held to a row that has its share of them.
    np.maximum(output, facts.estimate.width.least, out=output)
    return LoadWidths(left=left, right=right, output=output)
