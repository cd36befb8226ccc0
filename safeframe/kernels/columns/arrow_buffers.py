"""The buffers of Arrow's arrays as numpy has them, without a copy; an array may be a slice of another.

Covers: values of one width; where strings begin, and their bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from safeframe.kernels.order import Positions

Bytes = npt.NDArray[np.uint8]


def has_bytes(kind: pa.DataType) -> bool:
    """Return whether values of a type are strings of text or bytes, with offsets."""
    types = pa.types
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
    )


def large_kind(kind: pa.DataType) -> pa.DataType:
    """Return the type of such strings whose offsets always reach."""
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return pa.large_string() if text else pa.large_binary()


def string_offsets(array: pa.Array) -> tuple[Positions, Bytes]:
    """Return where each string begins, and where the last one ends, among their bytes."""
    kind = array.type
    small = pa.types.is_string(kind) or pa.types.is_binary(kind)
    dtype = np.dtype(np.int32 if small else np.int64)
    _, offsets, data = array.buffers()
    if len(array) == 0 or offsets is None:
        return np.zeros(len(array) + 1, np.int64), np.empty(0, np.uint8)
    starts = np.frombuffer(offsets, dtype, len(array) + 1, array.offset * dtype.itemsize)
    found = np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    return starts.astype(np.int64, copy=False), found


def fixed_words(array: pa.Array, dtype: Any, width: int = 1) -> npt.NDArray[Any]:
    """Return an array's values of one width as numpy has them, anything where they are null.

    Parameters
    ----------
    array
        The array, which may be a slice.
    dtype
        What a value consists of.
    width
        How many of them; more than one in a second dimension.
    """
    buffer = array.buffers()[1]
    if buffer is None:
        values = np.zeros(len(array) * width, dtype)
    else:
        first, last = array.offset * width, (array.offset + len(array)) * width
        values = np.frombuffer(buffer, np.uint8)[: last * np.dtype(dtype).itemsize].view(dtype)[first:last]
    return values if width == 1 else values.reshape(-1, width)
