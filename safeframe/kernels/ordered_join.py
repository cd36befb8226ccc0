"""One output partition of a join in key order, from rows whose codes are known.

Covers: rows per key by the runs of codes that are in order, which costs less
than numbering them by hashing; the result in the order of its keys.
Does not cover: keys whose codes are hashes; where the rows come from (``engine``).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.facts.keys import Codes, Counts
from safeframe.kernels.join_cell import Block, join_counted
from safeframe.kernels.join_spec import JoinSpec
from safeframe.kernels.key_counts import count_ordered
from safeframe.kernels.order import Positions, stable_order

__all__ = ["code_order", "ordered_join"]


def ordered_join(
    left: tuple[Block, Codes], right: tuple[Block, Codes], spec: JoinSpec, number: int, cells: int
) -> pd.DataFrame:
    """Join a shard and give one of ``cells`` equal parts of the result, in key order.

    Parameters
    ----------
    left, right
        Rows of each side and their codes: different ones for different keys, in
        the order of the keys. No key is null.
    spec, number, cells
        As for :func:`safeframe.kernels.join_cell.join_cell`.

    Notes
    -----
    Memory: the two blocks, 24 bytes per row of them, the touched rows in key
    order where they were not, 16 bytes of positions per result row, and the result.
    """
    orders: list[Positions | None] = []
    found: list[tuple[Codes, Counts]] = []
    for _, codes in (left, right):
        order = code_order(codes)
        orders.append(order)
        found.append(count_ordered(codes if order is None else codes[order]))
    keys = np.union1d(found[0][0], found[1][0])
    left_counts, right_counts = (_among(keys, *side) for side in found)
    return join_counted(
        (left[0], orders[0], left_counts), (right[0], orders[1], right_counts), spec, number, cells
    )


def code_order(codes: Codes) -> Positions | None:
    """Order rows by code, rows of equal code staying in their order; None when they are in order.

    Examples
    --------
    >>> code_order(np.array([9, 7, 9], np.uint64))
    array([1, 0, 2])
    """
    # Small numbers can be ordered by counting.
    return stable_order(codes - codes.min()) if len(codes) else None


def _among(keys: Codes, codes: Codes, counts: Counts) -> npt.NDArray[np.int64]:
    rows = np.zeros(len(keys), np.int64)
    rows[np.searchsorted(keys, codes)] = counts
    return rows
