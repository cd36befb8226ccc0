"""Bytes of a value where a type says it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

NULL_BIT = 1 / 8
"""Bytes of the bit that tells whether a value of Arrow is null."""


def fixed_nbytes(dtype: Any) -> float | None:
    """Return the bytes of a value, None where they differ from row to row.

    Examples
    --------
    >>> fixed_nbytes(np.dtype("int32")), fixed_nbytes(pd.ArrowDtype(pa.decimal128(12, 2)))
    (4.0, 16.125)
    """
    if isinstance(dtype, pd.CategoricalDtype) or pd.api.types.is_object_dtype(dtype):
        return None
    if isinstance(dtype, np.dtype):
        return float(dtype.itemsize)
    if isinstance(dtype, pd.ArrowDtype):
        return arrow_nbytes(dtype.pyarrow_dtype)
    if isinstance(dtype, pd.DatetimeTZDtype):
        return 8.0
    numpy_dtype = getattr(dtype, "numpy_dtype", None)
    if isinstance(numpy_dtype, np.dtype) and pd.api.types.is_numeric_dtype(dtype):
        return float(numpy_dtype.itemsize + 1)  # and a byte that tells nulls
    return None


def narrowest_column(meta: pd.DataFrame) -> Any:
    """Return the name of the column that takes the fewest bytes, as far as types tell.

    Examples
    --------
    >>> narrowest_column(pd.DataFrame({"a": [1], "b": ["x"], "c": [True]}))
    'c'
    """
    widths = [np.inf if nbytes is None else nbytes for nbytes in map(fixed_nbytes, meta.dtypes)]
    return meta.columns[int(np.argmin(widths))]


def arrow_nbytes(kind: pa.DataType) -> float | None:
    """Return the bytes of a value of an Arrow type with the bit that tells nulls, None where they differ.

    Examples
    --------
    >>> arrow_nbytes(pa.struct([("a", pa.int64()), ("b", pa.bool_())])), arrow_nbytes(pa.list_(pa.int8(), 3))
    (8.5, 3.5)
    """
    if isinstance(kind, pa.BaseExtensionType):
        return arrow_nbytes(kind.storage_type)
    if pa.types.is_null(kind):
        return 0.0
    if pa.types.is_struct(kind):
        inside = [arrow_nbytes(kind.field(i).type) for i in range(kind.num_fields)]
        return None if None in inside else NULL_BIT + sum(width or 0.0 for width in inside)
    if pa.types.is_fixed_size_list(kind):
        width = arrow_nbytes(kind.value_type)
        return None if width is None else NULL_BIT + kind.list_size * width
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return None
    try:
        return float(kind.bit_width + 1) / 8
    except ValueError:
        return None
