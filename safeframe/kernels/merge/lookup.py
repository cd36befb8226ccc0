"""A join whose one side has each key at most once: rows of the other side look theirs up.

The result has the rows of the side that looks up, in their order, each once or
not at all. Nothing is brought to key order, and that side's columns are taken
as they are.

Covers: joins that keep no unmatched row of the side that is looked up in.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.kernels.columns.frame import frame_of_columns
from safeframe.kernels.columns.values import Block
from safeframe.kernels.merge.spec import JoinSpec
from safeframe.kernels.merge.taken_rows import TakenRows
from safeframe.kernels.merge.virtual import cell_range
from safeframe.kernels.order import Positions


def lookup_join(
    left: Block,
    right: Block,
    ids: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    counts: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    spec: JoinSpec,
    part: tuple[int, int],
) -> pd.DataFrame | None:
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
    part
        Which part of the result, of how many.

    Returns
    -------
    pandas.DataFrame or None
        None where neither side can.

    Raises
    ------
    RowConservationError
        When a row has no match and each was planned to have one.

    Notes
    -----
    Memory: 8 bytes for each number and for each row that looks up, and the result.
    """
    if spec.index is not None or spec.indicator:
        return None  # whose rows are in key order, or have an indicator
    if spec.how in ("left", "inner") and counts[1].max(initial=0) <= 1:
        probe, build = 0, 1
    elif spec.how in ("right", "inner") and counts[0].max(initial=0) <= 1 and _same_keys(left, right, spec):
        probe, build = 1, 0
    else:
        return None
    sides: list[Block] = [left, right]
    if not _as_they_are(sides[probe], spec, probe):
        return None
    place = np.full(len(counts[build]), -1, np.int64)
    place[ids[build]] = np.arange(len(ids[build]))
    found = place[ids[probe]]
    rows: slice | Positions
    if spec.how == "inner" and (missed := found < 0).any():
        met = np.flatnonzero(~missed)
        rows = met[slice(*cell_range(len(met), *part))]
    else:
        rows = slice(*cell_range(len(found), *part))
    found = found[rows]
    missing = spec.right_missing if build == 1 else spec.left_missing
    taken = TakenRows(found, missing=missing, side=("left", "right")[build])
    columns = []
    for column in spec.output:
        of = (column.left, column.right)
        own, other = of[probe], of[build]
        if own is not None:
            columns.append(sides[probe][own][rows])
        else:
            assert other is not None, "a column is of one side at least"
            columns.append(taken.of(sides[build][other]))
    return frame_of_columns(columns, spec.meta.columns, len(found))


def _as_they_are(block: Block, spec: JoinSpec, number: int) -> bool:
    """Whether the columns of the side that looks up have the result's types: a key may have to be widened."""
    for column, dtype in zip(spec.output, spec.meta.dtypes, strict=True):
        own = (column.left, column.right)[number]
        if own is not None and block[own].dtype != dtype and not isinstance(dtype, pd.CategoricalDtype):
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
