"""How many bytes a row of a merge's result takes."""

from __future__ import annotations

from dataclasses import replace
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


_OFFSET_NBYTES = 4.0
"""Bytes of a missing string or object, at the least."""


def missing_sides(how: How, estimate: MergeEstimate) -> tuple[float, float]:
    """Return the largest share of rows that the result may have without a left row, and without a right row."""
    rows = max(estimate.rows.lower, 1)
    return (
        min(estimate.right_unmatched_rows.upper / rows, 1.0) if how in ("right", "outer") else 0.0,
        min(estimate.left_unmatched_rows.upper / rows, 1.0) if how in ("left", "outer") else 0.0,
    )


def result_row_width(
    sides: KeyedSides, left: FrameProfile, right: FrameProfile, missing: tuple[float, float]
) -> Width:
    """Count the bytes of a result row, index and indicator included.

    Narrow types that cannot be missing take eight bytes where ``missing`` says that a share of the rows
    of their side may be, and strings are then shorter at the least. Of a key that is one column the wider side counts.
    """
    frames = (sides.left._meta.dtypes, left.columns), (sides.right._meta.dtypes, right.columns)
    output = sides.output
    widths = [_INDICATOR] if output.indicator is not None else []
    for column in (*output.columns, *([] if output.index is None else [output.index])):
        places = _places(column)
        shared = None not in places
        found = [
            _width(dtypes.iloc[at], profiles[at], missing=0.0 if shared else may_miss)
            for at, (dtypes, profiles), may_miss in zip(places, frames, missing, strict=True)
            if at is not None
        ]
        widths.append(max(found, key=lambda width: width.bounding))
    return added(widths)


def _places(column: OutputColumn) -> tuple[int | None, int | None]:
    return column.left, column.right


def _width(dtype: Any, profile: ColumnProfile, *, missing: float) -> Width:
    width = profile.width
    if not missing:
        return width
    if not width.exact:
        least = width.least * (1.0 - missing) + min(width.least, _OFFSET_NBYTES) * missing
        return replace(width, least=least)
    turned = missing_dtype(dtype)
    if isinstance(turned, pd.IntervalDtype) and turned.subtype is not None and turned != dtype:
        return Width.fixed(2.0 * turned.subtype.itemsize)
    if not isinstance(dtype, np.dtype) or pd.api.types.is_object_dtype(dtype):
        return width
    return _OBJECTS if pd.api.types.is_object_dtype(turned) else Width.fixed(float(turned.itemsize))
