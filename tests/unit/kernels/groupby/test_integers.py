"""Parts of groups of integers are made of exact sums, where these are exact."""

from __future__ import annotations

import numpy as np
import pytest

from safeframe.kernels.groupby.families import Plain
from safeframe.kernels.groupby.integers import IntegerSums
from safeframe.kernels.groupby.spec import Pair
from safeframe.kernels.keys.numbering import Groups

ROWS = 100_000


@pytest.fixture
def groups():
    numbers = np.concatenate([[0, 1, 2, 3], np.random.default_rng(0).integers(0, 4, ROWS - 4)])
    return Groups(numbers, np.arange(4))


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64])
@pytest.mark.parametrize("low", [0, 7, 100])
def test_moments_are_those_of_the_values(groups, dtype, low):
    rng = np.random.default_rng(1)
    one, two = (rng.integers(low, low + 20, ROWS).astype(dtype) for _ in range(2))
    sums = IntegerSums({"a": Plain(one, None), "b": Plain(two, None)}, groups)
    made = sums.part((Pair("a", "b"), "joint moments"))
    assert made is not None
    for group in range(4):
        rows = groups.numbers == group
        values = np.stack([one[rows], two[rows]]).astype(np.float64)
        away = values - values.mean(axis=1)[:, None]
        expected = [*values.mean(axis=1), *(away**2).sum(axis=1), (away[0] * away[1]).sum()]
        np.testing.assert_allclose([part[group] for part in made], expected, rtol=1e-12)
    assert [part.tolist() for part in sums.part(("a", "moments"))] == [made[0].tolist(), made[2].tolist()]
    (totals,) = sums.part(("a", "float sum"))
    assert totals.dtype == np.float64
    assert totals.tolist() == np.bincount(groups.numbers, one.astype(np.float64)).tolist()


def test_equal_values_have_no_moments(groups):
    sums = IntegerSums({"a": Plain(np.full(ROWS, -12_345), None)}, groups)
    means, seconds = sums.part(("a", "moments"))
    assert means.tolist() == [-12_345.0] * 4
    assert seconds.tolist() == [0.0] * 4


@pytest.mark.parametrize(
    ("values", "part"),
    [
        (np.array([2**52, 2**52, 0, 0]), "float sum"),
        (np.array([2**63 + 5, 1, 2, 3], np.uint64), "float sum"),
        (np.array([np.iinfo(np.int64).min, np.iinfo(np.int64).max, 0, 0]), "moments"),
        (np.array([0, 2**30, 2**30, 0]), "moments"),
        (np.array([0.5, 1.0, 2.0, 3.0]), "moments"),
        (np.array([1, 2, 3, 4]), "sum"),
    ],
)
def test_sums_that_may_not_be_exact_are_left(values, part):
    groups = Groups(np.array([0, 0, 1, 1]), np.array([0, 2]))
    assert IntegerSums({"v": Plain(values, None)}, groups).part(("v", part)) is None


def test_nulls_and_no_rows_are_left():
    groups = Groups(np.array([0, 0]), np.array([0]))
    valid = Plain(np.array([1, 0]), np.array([True, False]))
    assert IntegerSums({"v": valid}, groups).part(("v", "moments")) is None
    none = Groups(np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert IntegerSums({"v": Plain(np.zeros(0, np.int64), None)}, none).part(("v", "moments")) is None
