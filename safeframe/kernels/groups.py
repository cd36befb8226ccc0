"""Where groups of equal keys begin, in rows whose groups are together.

Covers: adjacent rows of one or more columns of any dtype, by the rule of null keys.
Does not cover: that rule (``kernels.keys.nulls``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Marks = npt.NDArray[np.bool_]


def begins_group(columns: Sequence[pd.Series[Any]]) -> Marks:
    """Return for each row whether any of its keys differs from that of the row before it; null equals null.

    Examples
    --------
    >>> begins_group([pd.Series([1.0, 1.0, None, None]), pd.Series(["a", "b", "b", "b"])]).tolist()
    [True, True, True, False]
    """
    n_rows = len(columns[0])
    begins = np.ones(n_rows, np.bool_)
    if n_rows < 2:
        return begins
    begins[1:] = False
    for column in columns:
        begins[1:] |= _differs(column)
    return begins


def _differs(column: pd.Series[Any]) -> Marks:
    """Return for each row but the first whether it differs from the one before it."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes = column.cat.codes.to_numpy()
        return np.asarray(codes[1:] != codes[:-1], np.bool_)
    if isinstance(column.dtype, np.dtype):
        values = column.to_numpy()
        differs = np.asarray(values[1:] != values[:-1], np.bool_)
        if column.dtype.kind in "iub":
            return differs
    else:
        array = column.array
        unequal = array[1:] != array[:-1]
        differs = (
            np.asarray(unequal, np.bool_)
            if isinstance(unequal, np.ndarray)
            else unequal.to_numpy(dtype=np.bool_, na_value=True)
        ).copy()
    null = column.isna().to_numpy()
    if null.any():
        # Whatever a dtype makes of comparing what is missing.
        differs |= null[1:] != null[:-1]
        differs &= ~(null[1:] & null[:-1])
    return differs
