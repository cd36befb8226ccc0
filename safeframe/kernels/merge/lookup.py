"""A join whose one side has each key at most once: rows of the other side look theirs up.

The result has the rows of the side that looks up, in their order, each once or
not at all. Nothing is brought to key order, and that side's columns are taken
as they are.

Covers: joins that keep no unmatched row of the side that is looked up in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.kernels.columns.frame import frame_of_columns
from safeframe.kernels.columns.taking import take
from safeframe.kernels.columns.values import Block
from safeframe.kernels.merge.spec import JoinSpec
from safeframe.kernels.merge.taken_rows import TakenRows
from safeframe.kernels.merge.text import check_text
from safeframe.kernels.order import Positions


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LookedUp:
    """The result of such a join, addressed by row number."""

    sides: tuple[Block, Block]
    """The rows of both sides."""
    spec: JoinSpec
    probe: int
    """The side that looks up."""
    own: Positions | None
    """Its rows that are part of the result; None for all."""
    found: Positions
    """For each of them the row of the other side; -1 for none."""

    @property
    def n_rows(self) -> int:
        """Rows of the result."""
        return len(self.found)

    def frame(self, lo: int, hi: int, most_nbytes: int | None = None) -> pd.DataFrame:
        """Return result rows ``[lo, hi)``.

        Raises
        ------
        TextTooLargeError
            When their strings take more than ``most_nbytes``, where that is given; nothing was made of them.
        RowConservationError
            When a row has no match and each was planned to have one.
        """
        spec, probe, build = self.spec, self.probe, 1 - self.probe
        missing = spec.right_missing if build == 1 else spec.left_missing
        of_probe = self.own[lo:hi] if self.own is not None else slice(lo, hi)
        text = [
            (self.sides[probe], spec.of_sides[probe], of_probe, None),
            (self.sides[build], spec.of_sides[build], self.found[lo:hi], None),
        ]
        sides = (spec.left, spec.right)
        coded = [sides[side].coded_positions for side in (probe, build)]
        check_text(len(self.found[lo:hi]), text, most_nbytes, coded)
        taken = TakenRows(self.found[lo:hi], missing=missing, side=("left", "right")[build])
        columns = []
        for column in spec.output:
            of = (column.left, column.right)
            own, other = of[probe], of[build]
            if own is not None:
                values = self.sides[probe][own]
                columns.append(values[lo:hi] if self.own is None else take(values, self.own[lo:hi]))
            else:
                assert other is not None, "a column is of one side at least"
                columns.append(taken.of(self.sides[build][other]))
        return frame_of_columns(columns, spec.meta.columns, len(self.found[lo:hi]))


def lookup_join(
    left: Block,
    right: Block,
    ids: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    counts: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    spec: JoinSpec,
) -> LookedUp | None:
    """Join a shard, where one side can be looked up in.

    Parameters
    ----------
    left, right
        The rows of both sides.
    ids
        The number of each row's key.
    counts
        Rows of each number.
    spec
        The join.

    Returns
    -------
    LookedUp or None
        None where neither side can.

    Notes
    -----
    Memory: 8 bytes for each number and for each row that looks up.
    """
    if spec.index is not None or spec.indicator:
        return None  # whose rows are in key order, or have an indicator
    if spec.how in ("left", "inner") and counts[1].max(initial=0) <= 1:
        probe, build = 0, 1
    elif spec.how in ("right", "inner") and counts[0].max(initial=0) <= 1 and _same_keys(left, right, spec):
        probe, build = 1, 0
    else:
        return None
    sides = (left, right)
    if not _as_they_are(sides[probe], spec, probe):
        return None
    place = np.full(len(counts[build]), -1, np.int64)
    place[ids[build]] = np.arange(len(ids[build]))
    found = place[ids[probe]]
    own = None
    if spec.how == "inner" and (missed := found < 0).any():
        own = np.flatnonzero(~missed)
        found = found[own]
    return LookedUp(sides=sides, spec=spec, probe=probe, own=own, found=found)


def _as_they_are(block: Block, spec: JoinSpec, number: int) -> bool:
    """Whether the columns of the side that looks up have the result's types: a key may have to be widened."""
    side = (spec.left, spec.right)[number]
    for column, dtype in zip(spec.output, spec.meta.dtypes, strict=True):
        own = (column.left, column.right)[number]
        if own is None or isinstance(dtype, pd.CategoricalDtype) or side.names[own] in side.coded:
            continue
        if block[own].dtype != dtype:
            return False
    return True


def _same_keys(left: Block, right: Block, spec: JoinSpec) -> bool:
    """Whether a key's value is the same whichever side it is taken from."""
    pairs = zip(spec.left.key_positions, spec.right.key_positions, strict=True)
    return all(
        isinstance(left[one].dtype, np.dtype)
        and left[one].dtype == right[other].dtype
        and left[one].dtype.kind in "iub"
        for one, other in pairs
    )
