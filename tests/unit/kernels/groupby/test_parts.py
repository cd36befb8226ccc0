"""Floats of groups are added up in stretches, without being rounded row by row."""

from __future__ import annotations

import math

import numpy as np
import pytest

from safeframe.kernels.groupby.parts import merged
from safeframe.kernels.keys.numbering import Groups

ROWS = 120_000


def sums(values, numbers):
    groups = Groups(numbers, np.unique(numbers, return_index=True)[1])
    (found,) = merged(("v", "sum"), [values], groups, None)
    return found


@pytest.mark.parametrize("n_groups", [1, 40, 200, 30_000])
@pytest.mark.parametrize("in_order", [False, True])
def test_sums_are_those_of_exact_ones(n_groups, in_order):
    rng = np.random.default_rng(n_groups)
    numbers = np.concatenate([np.arange(n_groups), rng.integers(0, n_groups, ROWS - n_groups)])
    numbers = np.sort(numbers) if in_order else numbers
    values = rng.random(ROWS) + 1e6
    found = sums(values, numbers)
    for group in range(0, n_groups, max(1, n_groups // 7)):
        assert found[group] == pytest.approx(math.fsum(values[numbers == group]), rel=2e-13)


def test_values_that_are_infinite_or_no_number():
    numbers = np.arange(ROWS) % 40
    values = np.ones(ROWS)
    values[[0, 80, 41, 2]] = [np.inf, -np.inf, np.inf, np.nan]
    found = sums(values, numbers)
    assert np.isnan(found[[0, 2]]).all()
    assert found[1] == np.inf
    assert found[3:].tolist() == [ROWS / 40] * 37
