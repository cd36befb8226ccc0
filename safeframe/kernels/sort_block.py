"""Puts the rows of one shard in order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from safeframe.kernels.columns import Column, as_series
from safeframe.kernels.frame_spec import FrameSpec
from safeframe.kernels.order import Positions, stable_order
from safeframe.kernels.row_order import RowOrder, sorted_keys

__all__ = ["block_order"]


def block_order(block: Sequence[Column], spec: FrameSpec, order: RowOrder) -> Positions | None:
    """Order staged rows, those of equal keys staying in their order.

    Returns
    -------
    numpy.ndarray or None
        Row numbers in the new order; None when the rows are in order.

    Notes
    -----
    Memory: 24 bytes per row for one column of numbers or times.
    """
    keys = pd.DataFrame({name: as_series(spec.column(block, name)) for name in order.by}, copy=False)
    if order.coded:
        codes, null = order.codes(keys)
        if null is not None:
            end = np.iinfo(np.uint64).max if order.na_last else 0
            codes = np.where(null, np.uint64(end), codes)
        # Small numbers can be ordered by counting; a copy, since codes may be the column itself.
        return stable_order(codes - codes.min() if len(codes) else codes)
    return sorted_keys(keys, order).index.to_numpy()
