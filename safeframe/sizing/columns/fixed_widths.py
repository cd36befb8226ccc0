"""Bytes of a value where a type says it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


def fixed_nbytes(dtype: Any) -> float | None:
    """Return the bytes of a value, None where they differ from row to row."""
    if isinstance(dtype, pd.CategoricalDtype) or pd.api.types.is_object_dtype(dtype):
        return None
    if isinstance(dtype, np.dtype):
        return float(dtype.itemsize)
    if isinstance(dtype, pd.ArrowDtype):
        try:
            return float(dtype.pyarrow_dtype.bit_width + 1) / 8  # and a bit that tells nulls
        except ValueError:
            return None
    if isinstance(dtype, pd.DatetimeTZDtype):
        return 8.0
    numpy_dtype = getattr(dtype, "numpy_dtype", None)
    if isinstance(numpy_dtype, np.dtype) and pd.api.types.is_numeric_dtype(dtype):
        return float(numpy_dtype.itemsize + 1)  # and a byte that tells nulls
    return None
