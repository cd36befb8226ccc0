"""Rows are numbered by the first of each key, however many are looked at together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from safeframe.kernels.keys.numbering import numbered, numbered_by_place

AT_ONCE = 2**15


def columns_of(rng, n_rows, n_keys):
    keys = rng.integers(0, n_keys, n_rows)
    late = np.where(np.arange(n_rows) < n_rows - 3, np.minimum(keys, n_keys - 2), n_keys - 1)
    categories = [f"c{number}" for number in range(n_keys)]
    return {
        "int64": pd.Series(keys),
        "seen late": pd.Series(late),
        "uint64": pd.Series(keys.astype(np.uint64) + np.uint64(2**63)),
        "int8": pd.Series(np.sort(keys % 100).astype(np.int8)),
        "category": pd.Series(pd.Categorical.from_codes(keys, categories=categories)),
        "category with nulls": pd.Series(
            pd.Categorical.from_codes(np.where(keys % 7, keys, -1), categories=categories)
        ),
        "text": pd.Series(keys).astype(str),
        "float": pd.Series(np.where(keys % 5, keys, np.nan)),
    }


@pytest.mark.parametrize("n_rows", [1, 100, AT_ONCE, AT_ONCE + 1, 2 * AT_ONCE, 70_000])
@pytest.mark.parametrize("n_keys", [3, 127, 128, 40_000])
def test_numbers_are_those_of_pandas(n_rows, n_keys):
    rng = np.random.default_rng(n_rows + n_keys)
    columns = columns_of(rng, n_rows, n_keys)
    names = [
        *([name] for name in columns),
        *rng.permutation(list(columns)).reshape(-1, 2).tolist(),
        list(columns),
    ]
    for some in names:
        frame = pd.DataFrame({name: columns[name] for name in some})
        expected = frame.groupby(some, sort=False, dropna=False, observed=True).ngroup().to_numpy()
        groups = numbered([frame[name] for name in some])
        assert groups.numbers.dtype == np.int64
        np.testing.assert_array_equal(groups.numbers, expected)
        np.testing.assert_array_equal(groups.firsts, np.unique(expected, return_index=True)[1])
        by_place = numbered_by_place([frame[name] for name in some])
        if by_place is not None:
            np.testing.assert_array_equal(by_place.numbers, expected)


def test_columns_stay_as_they_are():
    column = pd.Series(np.arange(100) % 3)
    category = pd.Series(np.arange(100) % 3).astype("category")
    numbered([column, category])
    numbered([category, column])
    assert column.tolist() == category.tolist() == [place % 3 for place in range(100)]
