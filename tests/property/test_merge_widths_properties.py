"""Merges whose rows are much wider for some keys: every row is in some partition, however narrow it is."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.property.merging import HOWS, examples, merged, same_rows


@pytest.mark.parametrize("how", HOWS)
@examples(15)
@given(
    lengths=st.lists(st.sampled_from([0, 0, 1, 5000]), min_size=6, max_size=40),
    seed=st.integers(0, 2**20),
    partition_size=st.sampled_from([200, 1000, 20_000]),
)
def test_narrow_rows_are_not_lost(how, lengths, seed, partition_size, tmp_path_factory):
    rng = np.random.default_rng(seed)
    n = len(lengths)
    left = pd.DataFrame(
        {"k": rng.integers(0, 9, n), "l": np.arange(n), "text": ["x" * length for length in lengths]}
    )
    right = pd.DataFrame({"k": rng.integers(0, 12, n), "r": np.arange(n)})
    result, _ = merged(
        dd.from_pandas(left, npartitions=3, sort=False),
        dd.from_pandas(right, npartitions=2, sort=False),
        how=how,
        on="k",
        strategy="staged",
        partition_size=partition_size,
        staging=str(tmp_path_factory.getbasetemp()),
    )
    expected = left.merge(right, how=how, on="k").astype({"text": result["text"].dtype})
    same_rows(result, expected, ["l", "r"])


def test_categories_count_once_for_a_partition(tmp_path):
    kind = pd.CategoricalDtype([*"abcdef", "unused"])
    frame = pd.DataFrame({"l": np.arange(30), "c": pd.Series([*"abcdef"] * 5).astype(kind)})
    parts = [frame[:7], frame[7:15], frame[15:]]
    sides = (dd.from_map(lambda i: parts[i], range(3), meta=frame[:0]) for _ in range(2))
    result, plan = merged(
        *sides, how="cross", strategy="staged", partition_size="64KiB", staging=str(tmp_path)
    )
    assert plan.output_width.uneven
    assert len(result) == 900
