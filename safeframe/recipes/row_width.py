"""How many bytes a row of a merge's result takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from safeframe.facts.frame import ColumnProfile, FrameProfile
from safeframe.facts.merge import How, MergeEstimate
from safeframe.facts.width import Width, added
from safeframe.kernels.columns import missing_dtype
from safeframe.kernels.join_output import OutputColumn
from safeframe.recipes.merge_keys import KeyedSides

__all__ = ["missing_sides", "result_row_width"]

_INDICATOR = Width.fixed(1.0)
_OBJECTS = Width(least=8, expected=36, most=40, widest=36, exact=False)
"""Of booleans, which become Python objects where some are missing."""


def missing_sides(how: How, estimate: MergeEstimate) -> tuple[bool, bool]:
    """Return whether the result may have rows without a left row, and without a right row."""
    return (
        how in ("right", "outer") and estimate.right_unmatched_rows.upper > 0,
        how in ("left", "outer") and estimate.left_unmatched_rows.upper > 0,
    )


def result_row_width(
    sides: KeyedSides, left: FrameProfile, right: FrameProfile, missing: tuple[bool, bool]
) -> Width:
    """Count the bytes of a result row, index and indicator included.

    Narrow types that cannot be missing take eight bytes where ``missing`` says that rows of
    their side may be. Of a key that is one column the wider side counts.
    """
    frames = (sides.left._meta.dtypes, left.columns), (sides.right._meta.dtypes, right.columns)
    output = sides.output
    widths = [_INDICATOR] if output.indicator is not None else []
    for column in (*output.columns, *([] if output.index is None else [output.index])):
        places = _places(column)
        shared = None not in places
        found = [
            _width(dtypes.iloc[at], profiles[at], missing=may_miss and not shared)
            for at, (dtypes, profiles), may_miss in zip(places, frames, missing, strict=True)
            if at is not None
        ]
        widths.append(max(found, key=lambda width: width.bounding))
    return added(widths)


def _places(column: OutputColumn) -> tuple[int | None, int | None]:
    return column.left, column.right


def _width(dtype: Any, profile: ColumnProfile, *, missing: bool) -> Width:
    if not missing or not isinstance(dtype, np.dtype) or pd.api.types.is_object_dtype(dtype):
        return profile.width
    turned = missing_dtype(dtype)
    return _OBJECTS if pd.api.types.is_object_dtype(turned) else Width.fixed(float(turned.itemsize))
