"""Totals of joins with more rows than anyone would make."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from safeframe.errors import OutputTooLargeError
from safeframe.kernels.merge.group_totals import GroupedTotals, join_group_totals, totals_of_groups
from safeframe.kernels.merge.totals import SideTotals, Total, TotalColumn, join_totals, side_totals, total_of

SIZE = Total("size", None)


def side(rows, **totals):
    """Return the totals of a side with keys 0, 1, … of many rows."""
    return pd.DataFrame({0: np.arange(len(rows)), "rows": np.array(rows, np.int64), **totals})


def test_counts_up_to_63_bits_are_exact():
    left, right = side([2**31, 3]), side([2**31, 5])
    assert total_of(left, right, "inner", [SIZE], None).iloc[0, 0] == 2**62 + 15
    by_key = total_of(left, right, "inner", [SIZE], [(0, "k")])
    assert by_key[0].tolist() == [2**62, 15]


@pytest.mark.parametrize("by", [None, [(0, "k")]])
@pytest.mark.parametrize(
    "total", [SIZE, Total("count", TotalColumn("key", 0)), Total("mean", TotalColumn("key", 0))]
)
def test_a_key_with_more_rows_than_64_bits_count_is_refused(by, total):
    with pytest.raises(OutputTooLargeError, match="18,446,744,073,709,551,616 rows"):
        total_of(side([1, 2**32]), side([1, 2**32]), "inner", [total], by)


def test_keys_of_more_rows_together_than_64_bits_count_are_refused():
    left, right = side([2**31] * 3), side([2**31] * 3)
    with pytest.raises(OutputTooLargeError, match="13,835,058,055,282,163,712 rows"):
        total_of(left, right, "inner", [SIZE], None)
    assert total_of(left, right, "inner", [SIZE], [(0, "k")])[0].tolist() == [2**62] * 3


def test_the_least_value_of_any_number_of_rows_is_known():
    left = side([2**32], **{"min 'a'": np.array([-7], np.int8)})
    found = total_of(left, side([2**32]), "inner", [Total("min", TotalColumn("left", "a"))], None)
    assert found.iloc[0, 0] == -7


def test_groups_of_more_rows_than_64_bits_count_are_refused():
    own = SideTotals(on=("k",), wanted=(), groups=(("g", np.dtype("int64")),))
    asked = GroupedTotals("left", own, "inner", (SIZE,), ((0, False),), ("g",), dropna=True, sort=True)
    parts = [pd.DataFrame({0: [1, 2], 1: [2**62, 3]}) for _ in range(2)]
    with pytest.raises(OutputTooLargeError, match="9,223,372,036,854,775,808 rows"):
        join_group_totals(parts, asked)
    with pytest.raises(OutputTooLargeError):
        totals_of_groups(parts, asked)
    assert totals_of_groups(parts[:1], asked)[0].tolist() == [2**62, 3]


@pytest.mark.parametrize(
    ("dtype", "wide"), [("int8", "int64"), ("uint8", "uint64"), ("bool", "int64"), ("float32", "float64")]
)
def test_sums_of_narrow_columns_are_wide_before_they_are_multiplied(dtype, wide):
    frame = pd.DataFrame({"k": [1, 1, 2], "a": np.array([1, 1, 0]).astype(dtype)})
    asked = SideTotals(("k",), (("a", "sum"), ("a", "float sum"), ("a", "min")))
    for totals in (side_totals(frame, asked), join_totals([side_totals(frame, asked)] * 2, asked)):
        assert totals["sum 'a'"].dtype == wide
        assert totals["float sum 'a'"].dtype == "float64"
        assert totals["min 'a'"].dtype == dtype
