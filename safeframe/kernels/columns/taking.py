"""Rows of a column taken by position: in one step, and in Arrow where that is what the column is made of.

pandas' own ``take`` looks at its positions several times and takes a chunk at a
time; ``repeat`` makes positions anew for every column.

Covers: rows that are there, rows that may be missing, rows of two columns as of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from safeframe.kernels.columns.values import Column, as_column, as_missing, as_series
from safeframe.kernels.order import Positions


def take(column: Column, positions: Positions) -> Column:
    """Return rows of a column; every position is one of it.

    Examples
    --------
    >>> import numpy as np
    >>> take(pd.array(["a", "b"], dtype="string"), np.array([1, 1, 0])).tolist()
    ['b', 'b', 'a']
    """
    values = _arrow(column)
    if values is None:
        taken: Column = column.take(positions)
        return taken
    return _restored(pc.take(values, pa.array(positions), boundscheck=False), column)


def take_or_missing(column: Column, positions: Positions) -> Column:
    """Return rows of a column, a missing value for position -1, as the dtype that can hold one.

    Examples
    --------
    >>> import numpy as np
    >>> take_or_missing(np.array([5, 6]), np.array([1, -1]))
    array([ 6., nan])
    """
    values = _arrow(column)
    if values is None:
        taken: Column = pd.api.extensions.take(as_missing(column), positions, allow_fill=True)
        return taken
    return _restored(pc.take(values, pa.array(positions, mask=positions < 0), boundscheck=False), column)


def join_and_take(columns: Sequence[Column], positions: Positions) -> Column:
    """Return rows of several columns of one dtype, numbered on from each to the next.

    Examples
    --------
    >>> import numpy as np
    >>> join_and_take([np.array([5, 6]), np.array([7])], np.array([2, 0]))
    array([7, 5])
    """
    values = [_arrow(column) for column in columns]
    chunks = [value for value in values if value is not None]
    if len(chunks) == len(columns) and len({chunk.type for chunk in chunks}) == 1:
        joined = pa.concat_arrays(chunks)
        return _restored(pc.take(joined, pa.array(positions), boundscheck=False), columns[0])
    return take(as_column(pd.concat([as_series(column) for column in columns], ignore_index=True)), positions)


def in_arrow(dtype: Any) -> bool:
    """Whether columns of a dtype are made of Arrow's arrays."""
    return isinstance(dtype, pd.ArrowDtype) or (
        isinstance(dtype, pd.StringDtype) and dtype.storage == "pyarrow"
    )


def _arrow(column: Column) -> pa.Array | None:
    """Return a column's values in one Arrow array, without a copy where they are in one; None for other columns."""
    if not in_arrow(column.dtype):
        return None
    values = pa.array(column)
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _restored(values: pa.Array, like: Column) -> Column:
    dtype: Any = like.dtype
    column: Column = dtype.__from_arrow__(values)
    return column
