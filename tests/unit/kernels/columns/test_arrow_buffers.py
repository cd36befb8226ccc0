from __future__ import annotations

import decimal

import numpy as np
import pyarrow as pa
import pytest

from safeframe.kernels.columns.arrow_buffers import fixed_words, string_offsets


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()])
@pytest.mark.parametrize("values", [[], [""], ["a", "", "bcd", None, "ä"], [None, None]])
def test_strings_of_slices_are_where_their_offsets_say(kind, values):
    array = pa.array(["x", *values, "y"], pa.large_string()).cast(kind).slice(1, len(values))
    ends, data = string_offsets(array)
    found = [data[ends[i] : ends[i + 1]].tobytes() for i in range(len(values))]
    assert found == [(value or "").encode() for value in values]


def test_values_of_slices_are_their_own():
    numbers = pa.array([1, 2, None, 4, 5], pa.int32()).slice(1, 3)
    assert fixed_words(numbers, np.int32)[[0, 2]].tolist() == [2, 4]
    wide = pa.array([decimal.Decimal(n) for n in (1, -2, 3)], pa.decimal128(20, 0)).slice(1)
    assert fixed_words(wide, np.dtype("<i8"), 2).tolist() == [[-2, -1], [3, 0]]
    assert fixed_words(pa.nulls(2, pa.int64()), np.int64).tolist() == [0, 0]
