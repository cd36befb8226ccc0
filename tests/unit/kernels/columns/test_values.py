"""Columns to Arrow and back, against pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from safeframe.errors import SchemaMismatchError
from safeframe.kernels.columns.values import (
    as_column,
    as_missing,
    as_promised,
    floats_to_arrow,
    from_arrow,
    missing_dtype,
    to_arrow,
)

COLUMNS = {
    "int64": pd.Series([1, 2, 300]),
    "int8": pd.Series([1, -2, 3], dtype="int8"),
    "uint64": pd.Series([2**63 + 1, 2, 3], dtype="uint64"),
    "float64": pd.Series([1.5, np.nan, -0.0]),
    "float32": pd.Series([1.5, np.nan, 3], dtype="float32"),
    "bool": pd.Series([True, False, True]),
    "datetime": pd.Series(pd.to_datetime(["2020-01-01", None, "2021-05-05"])),
    "datetime_tz": pd.Series(pd.to_datetime(["2020-01-01", None, "2021-05-05"]).tz_localize("Europe/Berlin")),
    "timedelta": pd.Series(pd.to_timedelta([1, None, 3], unit="s")),
    "str": pd.Series(["a", None, "b"], dtype="str" if pd.__version__ >= "3" else "string[pyarrow]"),
    "string": pd.Series(["a", None, "b"], dtype="string[pyarrow]"),
    "category": pd.Series(["a", None, "b"], dtype="category"),
    "Int64": pd.Series([1, None, 2**60], dtype="Int64"),
    "boolean": pd.Series([True, None, False], dtype="boolean"),
    "arrow_int": pd.Series([1, None, 3], dtype="int64[pyarrow]"),
    "period": pd.Series(pd.period_range("2020", periods=3, freq="D")),
    "arrow_dictionary": pd.Series(
        pd.arrays.ArrowExtensionArray(pa.array(["a", None, "b"]).cast(pa.dictionary(pa.int8(), pa.string())))
    ),
    "arrow_dictionary_of_times": pd.Series(
        pd.arrays.ArrowExtensionArray(pa.array([5, None, 5], pa.timestamp("us")).dictionary_encode())
    ),
    "decimal": pd.Series([1, None, 3], dtype=pd.ArrowDtype(pa.decimal128(10, 2))),
}


@pytest.mark.parametrize("series", COLUMNS.values(), ids=COLUMNS.keys())
def test_a_column_comes_back_as_it_was(series):
    pieces = [
        to_arrow(series.iloc[rows], series.dtype) for rows in (slice(0, 1), slice(1, 1), slice(1, None))
    ]
    back = pd.Series(from_arrow(pieces, series.dtype))
    pd.testing.assert_series_equal(back, series)


@pytest.mark.parametrize("series", COLUMNS.values(), ids=COLUMNS.keys())
def test_no_pieces_make_an_empty_column(series):
    assert pd.Series(from_arrow([], series.dtype)).dtype == series.dtype


def test_integers_are_staged_as_narrow_as_they_are():
    assert to_arrow(pd.Series([90_000, 99_999]), np.dtype("int64")).type == pa.uint32()
    assert to_arrow(pd.Series([-1, 100]), np.dtype("int64")).type == pa.int8()


def test_a_partition_of_another_type_is_refused_with_both():
    with pytest.raises(SchemaMismatchError, match=r"'x' is float64 in one partition.*its frame has int64"):
        to_arrow(pd.Series([1.5], name="x"), np.dtype("int64"))


@pytest.mark.parametrize(
    ("found", "promised"),
    [
        ("int32", "int64"),
        ("Int32", "Int64"),
        ("UInt8", "Int16"),
        ("Float32", "Float64"),
        ("int32[pyarrow]", "int64[pyarrow]"),
        ("float[pyarrow]", "double[pyarrow]"),
    ],
)
def test_narrower_numbers_are_cast_and_wider_ones_refused(found, promised):
    narrow, wide = pd.Series([1, 100], dtype=found), pd.Series([1, 100], dtype=promised)
    pd.testing.assert_series_equal(as_promised(narrow, wide.dtype), wide)
    with pytest.raises(SchemaMismatchError, match="but its frame has"):
        as_promised(wide, narrow.dtype)


def test_an_empty_partition_of_another_type_is_cast():
    assert len(to_arrow(pd.Series([], dtype=object), np.dtype("int64"))) == 0


def test_pieces_with_other_categories_are_joined():
    one = pd.Series(["a", "b"], dtype="category")
    other = pd.Series(["c", "a"], dtype="category")
    joined = from_arrow([to_arrow(one, one.dtype), to_arrow(other, other.dtype)], one.dtype)
    assert list(joined) == ["a", "b", "c", "a"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [0, 1, 7, 8, 1003])
@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_floats_are_in_arrow_what_pandas_has(dtype, n, share):
    rng = np.random.default_rng(n)
    values = np.where(rng.random(n) < share, np.nan, rng.random(n)).astype(dtype)
    values[: n // 3] = -np.inf
    found = floats_to_arrow(values)
    found.validate(full=True)
    expected = pa.array(values, from_pandas=True)
    assert found.equals(expected)
    assert found.null_count == expected.null_count
    assert n == 0 or found.buffers()[1].address == values.ctypes.data, "not copied"


# pandas 2 itself makes a missing value of a sparse column of flags as it says that nobody should.
@pytest.mark.filterwarnings("ignore:Allowing arbitrary scalar fill_value in SparseDtype:FutureWarning")
@pytest.mark.parametrize(
    "series",
    [
        *COLUMNS.values(),
        pd.Series(pd.interval_range(0, 3)),
        pd.Series(pd.arrays.IntervalArray.from_breaks(np.arange(4, dtype="int32"), closed="left")),
        pd.Series(pd.interval_range(pd.Timestamp("2020"), periods=3)),
        pd.Series(pd.arrays.SparseArray([0, 1, 0])),
        pd.Series(pd.arrays.SparseArray([True, False, True])),
    ],
    ids=lambda series: str(series.dtype),
)
def test_types_of_missing_values_are_those_that_pandas_takes(series):
    column = as_column(series)
    expected = pd.api.extensions.take(column, np.array([0, -1]), allow_fill=True).dtype
    assert missing_dtype(series.dtype) == expected
    assert as_missing(column).dtype == expected
