"""Which types of keys can be compared, as what, and how it is said when they cannot."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest

from safeframe.errors import SchemaMismatchError
from safeframe.kernels.keys.schema import common_schema


def schema(left, right=None):
    one, other = (pd.Series([], dtype=dtype) for dtype in (left, left if right is None else right))
    return common_schema([one], [other], left_names=["a"], right_names=["b"]).columns[0]


@pytest.mark.parametrize(
    ("left", "right", "kind"),
    [
        ("int8", "int64", "int"),
        ("Int32", "int64", "int"),
        (pd.ArrowDtype(pa.int16()), "int64", "int"),
        ("uint8", "uint64", "uint"),
        ("uint32", "int8", "int"),
        ("float32", "float64", "float"),
        ("Float64", "float64", "float"),
        (pd.ArrowDtype(pa.float32()), "float64", "float"),
        ("int64", "float32", "number"),
        ("bool", "boolean", "bool"),
        ("datetime64[s]", "datetime64[ns]", "datetime"),
        (pd.ArrowDtype(pa.timestamp("us")), pd.ArrowDtype(pa.timestamp("ns")), "datetime"),
        ("timedelta64[ms]", "timedelta64[s]", "timedelta"),
        ("object", "object", "object"),
        ("object", "string[pyarrow]", "string"),
        ("string[python]", pd.ArrowDtype(pa.large_string()), "string"),
        (pd.CategoricalDtype(["a"]), "string[python]", "string"),
        (pd.CategoricalDtype([1, 2]), "int64", "int"),
        (pd.CategoricalDtype(["__UNKNOWN_CATEGORIES__"]), "string[python]", "string"),
    ],
)
def test_types_that_can_be_compared(left, right, kind):
    assert schema(left, right).kind == kind
    assert schema(right, left).kind == kind


def test_times_take_the_finer_unit():
    assert schema("datetime64[s]", "datetime64[us]").unit == "us"
    assert schema("timedelta64[ns]", "timedelta64[ms]").unit == "ns"


@pytest.mark.parametrize(
    ("left", "right", "hint"),
    [
        ("int64", "string[python]", "astype"),
        ("bool", "int64", "astype"),
        ("uint64", "int8", "uint64 has values"),
        ("UInt64", "Int64", "uint64 has values"),
        (pd.ArrowDtype(pa.uint64()), "int64", "uint64 has values"),
        (pd.CategoricalDtype(pd.Index([1], dtype="uint64")), "int64", "uint64 has values"),
        ("UInt64", "float64", "astype"),
        (pd.ArrowDtype(pa.timestamp("us")), "datetime64[us]", "compare them with each other"),
        (pd.ArrowDtype(pa.binary()), "string[python]", "astype"),
        ("datetime64[ns]", "datetime64[ns, UTC]", "tz_localize"),
        ("datetime64[ns]", "int64", "astype"),
    ],
)
def test_types_that_cannot_be_compared_are_both_named(left, right, hint):
    with pytest.raises(SchemaMismatchError, match=r"'a'.*'b'") as caught:
        schema(left, right)
    text = str(caught.value)
    assert str(pd.Series([], dtype=left).dtype) in text
    assert str(pd.Series([], dtype=right).dtype) in text
    assert hint in caught.value.hint
