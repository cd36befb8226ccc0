"""Bytes of each row of a frame in memory, as ``memory_usage(deep=True)`` counts them.

Covers: columns of any dtype and the index; what a frame holds beyond its rows.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from safeframe.kernels.columns.arrow_buffers import has_bytes
from safeframe.kernels.columns.categories import UNKNOWN, as_known
from safeframe.kernels.columns.taking import in_arrow
from safeframe.sizing.columns.fixed_widths import fixed_nbytes

FRAME_NBYTES = 160
"""What pandas counts of a frame without rows: a range index takes 132 B."""

_CHUNK_NBYTES = 32
"""What Arrow adds to a column for each piece: one offset more than rows, and a part of a byte of nulls."""

_POINTER_NBYTES = 8
_OFFSET_NBYTES = 8
_CODE_NBYTES = 4
"""Bytes of a code where categories differ from partition to partition, and may be many once joined."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RowSizes:
    """What the rows of a partition take."""

    fixed_nbytes: float
    """Bytes of every row."""
    variable_nbytes: npt.NDArray[np.int64] | None
    """Bytes of each row besides; None where there are none."""
    frame_nbytes: int
    """Bytes besides rows: categories."""
    padding_nbytes: int
    """Bytes by which Arrow columns grow for each piece that is joined."""
    category_nbytes: int
    """Bytes of categories that differ from partition to partition: joined, they may all be there."""


def row_sizes(frame: pd.DataFrame, meta: pd.DataFrame) -> RowSizes:
    """Measure each row, without the index where that is a range.

    Parameters
    ----------
    frame
        A partition.
    meta
        What dask promises of it.

    Examples
    --------
    >>> frame = pd.DataFrame({"a": [1, 2], "b": ["x", [1, 2]]})
    >>> sizes = row_sizes(frame, frame.iloc[:0])
    >>> sizes.fixed_nbytes, len(sizes.variable_nbytes)
    (16.0, 2)
    """
    fixed, frame_nbytes, padding, category_nbytes = 0.0, 0, 0, 0
    variable: npt.NDArray[np.int64] | None = None
    columns: list[tuple[pd.Series[Any] | pd.Index[Any], Any]] = [
        (frame[name], dtype) for name, dtype in meta.dtypes.items()
    ]
    if isinstance(frame.index, pd.MultiIndex):
        fixed += math.ceil(frame.index.memory_usage(deep=True) / max(1, len(frame)))
    elif not isinstance(frame.index, pd.RangeIndex):
        columns.append((frame.index, meta.index.dtype))
    for column, promised in columns:
        array, dtype = column.array, column.dtype
        if isinstance(array, pd.Categorical):
            unknown = isinstance(promised, pd.CategoricalDtype) and UNKNOWN in promised.categories
            if isinstance(promised, pd.CategoricalDtype):
                array = as_known(array, promised)  # as it comes out of a recipe
            # Joined, categories that differ become Python objects.
            values = array.categories.astype(object) if unknown else array.categories
            categories = int(values.memory_usage(deep=True))
            fixed += _CODE_NBYTES if unknown else array.codes.itemsize
            frame_nbytes += categories
            category_nbytes += categories if unknown else 0
            continue
        width = fixed_nbytes(dtype)
        if width is not None:
            fixed += width
            padding += _CHUNK_NBYTES if isinstance(dtype, pd.ArrowDtype) else 0
            continue
        if dtype != promised and pd.api.types.is_object_dtype(promised):
            # Joined with a piece that keeps the promise, strings become Python objects.
            array, dtype = array.astype(object), promised
        base, rows, own = _variable(array, dtype)
        fixed += base
        padding += own
        if rows is not None:
            variable = rows if variable is None else variable + rows
    return RowSizes(
        fixed_nbytes=fixed,
        variable_nbytes=variable,
        frame_nbytes=frame_nbytes,
        padding_nbytes=padding,
        category_nbytes=category_nbytes,
    )


def varying_columns(meta: pd.DataFrame) -> tuple[list[Any], float]:
    """Return the columns whose values differ in width, and the bytes of a row of all others.

    Examples
    --------
    >>> varying_columns(pd.DataFrame({"a": [1], "b": [0.5], "c": ["x"]}))
    (['c'], 16.0)
    """
    widths = {name: fixed_nbytes(dtype) for name, dtype in meta.dtypes.items()}
    fixed = sum((width for width in widths.values() if width is not None), start=0.0)
    return [name for name, width in widths.items() if width is None], fixed


def each_row_nbytes(
    frame: pd.DataFrame, varying: Sequence[Any], fixed_row_nbytes: float
) -> npt.NDArray[np.float64]:
    """Return the bytes of each row, without the index.

    Parameters
    ----------
    frame
        Rows.
    varying
        The columns whose values differ in width, which it has.
    fixed_row_nbytes
        Bytes of a row of all other columns.
    """
    text = frame[list(varying)].reset_index(drop=True)
    sizes = row_sizes(text, text.iloc[:0])
    nbytes = np.full(len(frame), fixed_row_nbytes + sizes.fixed_nbytes)
    if sizes.variable_nbytes is not None:
        nbytes += sizes.variable_nbytes
    return nbytes


def _variable(array: Any, dtype: Any) -> tuple[float, npt.NDArray[np.int64] | None, int]:
    """Return the bytes of every row, those of each row besides, and those of the array's own."""
    if in_arrow(dtype):
        chunked = array.__arrow_array__()
        chunks = chunked.chunks if isinstance(chunked, pa.ChunkedArray) else [chunked]
        sizes = [_arrow_rows(chunk) for chunk in chunks]
        padding = _CHUNK_NBYTES * _buffers(chunked.type) * max(1, len(chunks))
        return 0.0, np.concatenate(sizes) if sizes else None, padding
    if pd.api.types.is_object_dtype(dtype) or isinstance(dtype, pd.StringDtype):
        values = np.asarray(array, dtype=object)
        # A call in C for each object: they are Python objects, and nothing knows their size but they.
        return float(_POINTER_NBYTES), np.fromiter(map(sys.getsizeof, values), np.int64, len(values)), 0
    nbytes = int(getattr(array, "nbytes", 0))
    return math.ceil(nbytes / max(1, len(array))), None, 0


def _arrow_rows(array: pa.Array) -> npt.NDArray[np.int64]:
    """Return the bytes of each row of an Arrow array, a byte for its null bit included."""
    kind = array.type
    n = len(array)
    if has_bytes(kind):
        return _counts(pc.binary_length(array)) + _OFFSET_NBYTES + 1
    if pa.types.is_struct(kind):
        total = np.ones(n, np.int64)
        for i in range(kind.num_fields):
            total += _arrow_rows(array.field(i))
        return total
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        lengths = _counts(pc.list_value_length(array))
        inside = np.concatenate([[0], np.cumsum(_arrow_rows(array.flatten()))])
        ends = np.cumsum(lengths)
        spans: npt.NDArray[np.int64] = inside[ends] - inside[ends - lengths]
        return spans + _OFFSET_NBYTES + 1
    return np.full(n, -(-array.nbytes // max(1, n)) + 1, np.int64)


def _counts(lengths: pa.Array) -> npt.NDArray[np.int64]:
    counts: npt.NDArray[np.int64] = pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return counts


def _buffers(kind: pa.DataType) -> int:
    """Count the arrays that an Arrow type is made of."""
    return 1 + sum(_buffers(kind.field(i).type) for i in range(kind.num_fields))
