"""How many bytes a row of a merge's result takes."""

from __future__ import annotations

from typing import Any

import dask.dataframe as dd
import numpy as np

from safeframe.facts.frame import FrameProfile
from safeframe.kernels.columns import missing_dtype

__all__ = ["result_row_nbytes"]


def result_row_nbytes(
    left: dd.DataFrame,
    right: dd.DataFrame,
    left_on: tuple[Any, ...],
    right_on: tuple[Any, ...],
    left_profile: FrameProfile,
    right_profile: FrameProfile,
) -> float:
    """Count the bytes of a result row; narrow types that cannot be missing take eight bytes."""
    shared = {name for name, other in zip(left_on, right_on, strict=True) if name == other}
    widths = list(zip(left._meta.columns, left._meta.dtypes, left_profile.columns, strict=True))
    widths += [
        (name, dtype, column)
        for name, dtype, column in zip(
            right._meta.columns, right._meta.dtypes, right_profile.columns, strict=True
        )
        if name not in shared
    ]
    return sum(
        max(column.row_nbytes, np.dtype(missing_dtype(dtype)).itemsize)
        if isinstance(dtype, np.dtype)
        else column.row_nbytes
        for _, dtype, column in widths
    )
