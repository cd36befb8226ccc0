"""Columns that are functions of a row's own values."""

from __future__ import annotations

import operator

import numpy as np
import pandas as pd
import pytest

from safeframe.kernels.columns.functions import (
    ColumnsMade,
    RowFunction,
    RowValue,
    is_null_of_nulls,
    made_columns,
    values_used,
)

FRAME = pd.DataFrame({"a": [3, 1, 2], "b": [0.5, np.nan, 2.5], "c": ["x", None, "z"]}, index=[5, 5, 6])
SUM = RowFunction("Add", operator.add, (RowValue("a", np.dtype("float64")), RowValue("b")))


def test_columns_are_made_of_the_rows_that_stay():
    twice = RowFunction("Mul", operator.mul, (2, SUM))
    large = RowFunction("GT", operator.gt, (RowValue("a"), 1))
    made = made_columns(FRAME, ColumnsMade(("c",), (("d", twice), ("e", "constant")), (large,)))
    expected = pd.DataFrame({"c": ["x", "z"], "d": [7.0, 9.0], "e": "constant"}, index=[5, 6])
    pd.testing.assert_frame_equal(made, expected)


def test_keywords_are_given_on():
    clipped = RowFunction("Clip", pd.Series.clip, (RowValue("a"),), (("lower", 2),))
    assert made_columns(FRAME, ColumnsMade((), (("a", clipped),)))["a"].tolist() == [3, 2, 2]


@pytest.mark.parametrize(
    ("function", "null"),
    [
        (SUM, True),
        (RowFunction("Fillna", pd.Series.fillna, (SUM, 0.0)), False),
        (RowFunction("IsNa", pd.Series.isna, (SUM,)), False),
        (RowFunction("map", lambda series: series.map(int), (RowValue("b"),)), False),
        ("constant", False),
    ],
)
def test_what_becomes_of_a_row_of_nulls(function, null):
    assert is_null_of_nulls(function, {"a": np.dtype("float64"), "b": np.dtype("float64")}) is null


def test_what_a_function_is_of():
    assert list(values_used(RowFunction("Mul", operator.mul, (SUM, RowValue("c"))))) == ["a", "b", "c"]
    assert list(values_used("constant")) == []


def test_a_token_is_of_no_process():
    nested = RowFunction("f", lambda series, other: series, (SUM, pd.Timestamp("2024")), (("axis", None),))
    token = repr(ColumnsMade(("a",), (("d", nested),), (nested,)).__dask_tokenize__())
    assert "0x" not in token
    assert "2024" in token
    other = RowFunction("f", nested.operation, (SUM, pd.Timestamp("2025")), nested.keywords)
    assert nested.__dask_tokenize__() != other.__dask_tokenize__()
    assert (
        SUM.__dask_tokenize__()
        != RowFunction("Add", operator.add, (RowValue("a"), RowValue("b"))).__dask_tokenize__()
    )
