"""Values of a column as parquet's dictionary pages hold them, and their statistics.

Covers: the physical form of Arrow arrays (integers, floats, times, strings,
booleans), any slice of it as plain bytes, least and largest value.
Does not cover: codes, pages, files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from safeframe.kernels.columns.arrow_buffers import has_bytes, large_kind, string_offsets
from safeframe.kernels.order import Positions

_LONGEST_BOUND = 64  # bytes of a string that is kept as a bound
_TIME_UNITS = ("ms", "us", "ns")


@dataclass(frozen=True, slots=True, eq=False)
class PhysicalColumn:
    """The values of a block's column, null where ``valid`` says so."""

    kind: int
    """Parquet's physical type."""
    values: npt.NDArray[Any] | pa.Array
    """Numbers as numpy has them, or an Arrow array of binary values."""
    valid: npt.NDArray[np.bool_] | None
    """Which rows have a value; None where all have."""
    stored: Any
    """The numpy dtype in which numbers are written; None for booleans and binary values."""
    index: Positions | None = None
    """Which value each row has, where values are kept once each; -1 for null. None where each row has its own."""
    categories: bool = False
    """Whether all of these values belong to each dictionary, in their order, used or not."""

    @property
    def is_boolean(self) -> bool:
        """Whether the values are bits, for which there are no dictionaries."""
        return self.kind == BOOLEAN

    def lookup(self, rows: slice | Positions) -> Positions | None:
        """Return the code of each of some rows in their dictionary, -1 for null; None where codes count from zero."""
        if self.index is not None:
            numbers = self.index[rows]
            if self.categories:
                return numbers
            return np.where(numbers >= 0, np.searchsorted(_used(numbers), numbers), -1)
        if self.valid is None or self.valid[rows].all():
            return None
        valid = self.valid[rows]
        return np.where(valid, np.cumsum(valid) - 1, -1)

    def plain(self, rows: slice | Positions) -> tuple[int, bytes, tuple[bytes, bytes] | None]:
        """Return the dictionary of some rows: how many values, as plain bytes, and their bounds."""
        if self.index is not None:
            used = self.values.take(pa.array(_used(self.index[rows])))
            array = self.values if self.categories else used
            return len(array), _plain_binary(array), _binary_bounds(used)
        values = self.values[rows]
        if self.valid is not None:
            values = values[self.valid[rows]]
        return len(values), values.astype(self.stored, copy=False).tobytes(), self._bounds(values)

    def _bounds(self, values: npt.NDArray[Any]) -> tuple[bytes, bytes] | None:
        if len(values) == 0:
            return None
        least, largest = values.min(), values.max()
        if values.dtype.kind == "f":
            if np.isnan(least):
                return None
            # A bound of zero is written with the sign that covers both zeros.
            least, largest = least or -abs(least), largest or abs(largest)
        return least.astype(self.stored).tobytes(), largest.astype(self.stored).tobytes()


BOOLEAN, _INT32, _INT64, _FLOAT, _DOUBLE, _BYTE_ARRAY = 0, 1, 2, 4, 5, 6


def has_physical_form(kind: pa.DataType) -> bool:
    """Whether values of an Arrow type can be written here.

    Examples
    --------
    >>> has_physical_form(pa.float64()), has_physical_form(pa.list_(pa.int8()))
    (True, False)
    """
    if pa.types.is_dictionary(kind):
        return has_physical_form(kind.value_type) and not pa.types.is_boolean(kind.value_type)
    return _physical_type(kind) is not None


def physical_column(array: pa.Array | pa.ChunkedArray) -> PhysicalColumn:
    """Return the physical form of a column."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if pa.types.is_dictionary(array.type) and _physical_type(array.type.value_type) != (_BYTE_ARRAY, None):
        array = array.dictionary_decode()
    if pa.types.is_dictionary(array.type) or _physical_type(array.type) == (_BYTE_ARRAY, None):
        return _kept_once(array)
    form = _physical_type(array.type)
    assert form is not None, f"checked before: {array.type}"
    kind, stored = form
    valid = None if array.null_count == 0 else array.is_valid().to_numpy(zero_copy_only=False)
    if kind == BOOLEAN:
        bits = array.fill_null(pa.scalar(value=False)).to_numpy(zero_copy_only=False)
        return PhysicalColumn(kind, bits, valid, None)
    return PhysicalColumn(kind, _numbers(array), valid, np.dtype(stored))


def _kept_once(array: pa.Array) -> PhysicalColumn:
    """Keep strings once each: readers make categories of dictionaries, and those have no value twice."""
    categories = pa.types.is_dictionary(array.type)
    if not categories:
        array = array.dictionary_encode()
    index = array.indices.cast(pa.int64()).fill_null(-1).to_numpy()
    values = array.dictionary.cast(large_kind(array.type.value_type))
    return PhysicalColumn(_BYTE_ARRAY, values, None, None, index, categories)


def _used(numbers: Positions) -> Positions:
    used: Positions = np.unique(numbers)
    return used[used >= 0]


def _numbers(array: pa.Array) -> npt.NDArray[Any]:
    if pa.types.is_temporal(array.type):
        array = array.view(pa.int32() if array.type.bit_width == 32 else pa.int64())
    if array.null_count:
        array = array.fill_null(0)
    values: npt.NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return values


def _physical_type(kind: pa.DataType) -> tuple[int, Any] | None:
    if pa.types.is_boolean(kind):
        return BOOLEAN, None
    if pa.types.is_integer(kind):
        return (_INT64, "<i8") if kind.bit_width == 64 else (_INT32, "<i4")
    if pa.types.is_float32(kind):
        return _FLOAT, "<f4"
    if pa.types.is_float64(kind):
        return _DOUBLE, "<f8"
    if (pa.types.is_timestamp(kind) or pa.types.is_duration(kind)) and kind.unit in _TIME_UNITS:
        return _INT64, "<i8"
    if pa.types.is_date32(kind):
        return _INT32, "<i4"
    return (_BYTE_ARRAY, None) if has_bytes(kind) else None


def _plain_binary(array: pa.Array) -> bytes:
    """Each value behind its length in four bytes."""
    n_values = len(array)
    if n_values == 0:
        return b""
    offsets, data = string_offsets(array)
    data = data[offsets[0] : offsets[-1]]
    heads = (offsets[:-1] - offsets[0] + 4 * np.arange(n_values))[:, None] + np.arange(4)
    out = np.empty(len(data) + 4 * n_values, np.uint8)
    is_data = np.ones(len(out), np.bool_)
    is_data[heads] = False
    out[heads] = np.diff(offsets).astype("<u4").view(np.uint8).reshape(-1, 4)
    out[is_data] = data
    return out.tobytes()


def _binary_bounds(array: pa.Array) -> tuple[bytes, bytes] | None:
    if len(array) == 0:
        return None
    found = pc.min_max(array.cast(pa.large_binary()))
    least, largest = found["min"].as_py(), found["max"].as_py()
    return (least, largest) if max(len(least), len(largest)) <= _LONGEST_BOUND else None
