"""Rows of fixed width, their values side by side.

Numbers and times are staged like this: the rows of a shard are then one piece
of a file whatever the number of columns, and bringing rows to an order looks at
each of them once. Each column is as narrow as its values allow.

Covers: which frames have such rows, the layout, values into rows and back.
Does not cover: files; columns of any other dtype (``columns``).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.kernels.columns.values import Column, as_fixed, fixed_column, has_fixed_width, join_fixed
from safeframe.kernels.order import Positions

PackedRows = npt.NDArray[np.void]
"""Rows of one layout: an array of a packed structured dtype, with one field per column."""

RowValues = list[npt.NDArray[Any]]
"""One partition's values, column by column, as narrow as they can be."""

_CHUNK_NBYTES = 2**18


def rows_have_fixed_width(dtypes: Sequence[Any]) -> bool:
    """Whether every value of such columns has the same size, and nothing is stored elsewhere."""
    return bool(dtypes) and all(has_fixed_width(dtype) for dtype in dtypes)


def row_values(
    columns: Sequence[pd.Series[Any]], dtypes: Sequence[Any]
) -> tuple[RowValues, np.dtype[np.void]]:
    """Return a partition's values, and the narrowest layout for them.

    Examples
    --------
    >>> values, layout = row_values(
    ...     [pd.Series([1, -300]), pd.Series([0.5, 1.5])], [np.dtype("int64"), np.dtype("float64")]
    ... )
    >>> layout.itemsize
    10
    """
    found = [as_fixed(series, dtype) for series, dtype in zip(columns, dtypes, strict=True)]
    return [values for values, _ in found], _layout([narrow for _, narrow in found])


def common_layout(one: np.dtype[np.void], other: np.dtype[np.void]) -> np.dtype[np.void]:
    """Return the narrowest layout that holds the rows of two."""
    if one == other:
        return one
    # Never to floats: a column of one dtype narrows to integers that have a common one.
    return _layout([np.promote_types(one[name], other[name]) for name in one.names or ()])


def pack(rows: PackedRows, columns: RowValues) -> None:
    """Write values into rows, a stretch of rows at a time so that it stays in the processor's cache."""
    step = max(1, _CHUNK_NBYTES // rows.dtype.itemsize)
    fields = [rows[name] for name in rows.dtype.names or ()]
    for start in range(0, len(rows), step):
        for field, values in zip(fields, columns, strict=True):
            field[start : start + step] = values[start : start + step]


def unpack(
    blocks: Sequence[PackedRows], dtypes: Sequence[Any], order: Positions | None = None
) -> list[Column]:
    """Return the columns of rows of one layout or several, of the very dtypes of the frame.

    Parameters
    ----------
    blocks
        Rows.
    dtypes
        One for each column.
    order
        Numbers of the rows that are wanted, in their order; None for all as they are.

    Notes
    -----
    Memory: the columns, in addition to the rows. Like :func:`pack`, a stretch of rows at a time.
    """
    if order is not None:
        blocks = [_one_layout(blocks)]
    n_rows = sum(map(len, blocks)) if order is None else len(order)
    made = [fixed_column(n_rows, dtype) for dtype in dtypes]
    at = 0
    for block in blocks:
        plain = block.view(f"V{block.dtype.itemsize}")  # one copy for a row, not one for each field
        step = max(1, _CHUNK_NBYTES // block.dtype.itemsize)
        names = block.dtype.names or ()
        for start in range(0, len(block) if order is None else n_rows, step):
            if order is None:
                rows = block[start : start + step]
            else:
                rows = plain.take(order[start : start + step]).view(block.dtype)
            for (_, target), name in zip(made, names, strict=True):
                target[at : at + len(rows)] = rows[name]
            at += len(rows)
    return [finished() for finished, _ in made]


def unpack_one(blocks: Sequence[PackedRows], number: int, dtype: Any) -> Column:
    """Return one column alone."""
    return join_fixed((block[str(number)] for block in blocks), sum(map(len, blocks)), dtype)


def _one_layout(blocks: Sequence[PackedRows]) -> PackedRows:
    if len(blocks) == 1:
        return blocks[0]
    layout = functools.reduce(common_layout, (block.dtype for block in blocks))
    return np.concatenate([block.astype(layout, copy=False) for block in blocks])


def _layout(kinds: Sequence[np.dtype[Any]]) -> np.dtype[np.void]:
    return np.dtype([(str(i), kind) for i, kind in enumerate(kinds)])
