"""How many bytes a row of a merge's result takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from safeframe.facts.frame import ColumnProfile, FrameProfile
from safeframe.kernels.columns import missing_dtype
from safeframe.kernels.join_output import OutputColumn
from safeframe.recipes.merge_keys import KeyedSides

__all__ = ["result_row_nbytes"]

_INDICATOR_NBYTES = 1.0


def result_row_nbytes(sides: KeyedSides, left: FrameProfile, right: FrameProfile) -> float:
    """Count the bytes of a result row, index and indicator included.

    Narrow types that cannot be missing take eight bytes. Of a key that is one
    column the wider side counts.
    """
    frames = (sides.left._meta.dtypes, left.columns), (sides.right._meta.dtypes, right.columns)
    output = sides.output
    total = _INDICATOR_NBYTES if output.indicator is not None else 0.0
    for column in (*output.columns, *([] if output.index is None else [output.index])):
        total += max(
            _width(dtypes.iloc[at], profiles[at])
            for at, (dtypes, profiles) in zip(_places(column), frames, strict=True)
            if at is not None
        )
    return total


def _places(column: OutputColumn) -> tuple[int | None, int | None]:
    return column.left, column.right


def _width(dtype: Any, profile: ColumnProfile) -> float:
    if isinstance(dtype, np.dtype):
        return float(max(profile.row_nbytes, np.dtype(missing_dtype(dtype)).itemsize))
    return profile.row_nbytes
