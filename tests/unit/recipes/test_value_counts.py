"""Counts of many values in their order: cut by what was counted of the values, not by a sample of the counts."""

from __future__ import annotations

from collections import Counter

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe.kernels.groupby.value_counts import SIZE
from safeframe.prepare.groupby.count_order import quantiles_of_counts
from safeframe.prepare.keys import key_schema
from safeframe.prepare.sort.order import row_order
from safeframe.sizing.keys.statistics import gather_key_statistics

ROWS = 40_000
_NUMBERS = np.random.default_rng(11)
FRAME = pd.DataFrame(
    {
        "k": np.char.mod("%d", (_NUMBERS.pareto(1.0, ROWS) * 3000).astype(int) % 17_000),
        "j": _NUMBERS.integers(0, 5, ROWS),
    }
)
FRAME.loc[_NUMBERS.random(ROWS) < 0.01, "k"] = None


def pairs(counts):
    labels = (str(label).replace("nan", "<NA>") for label in counts.index)
    return Counter(zip(labels, counts.round(12), strict=True))


@pytest.mark.parametrize("subset", ["k", ["k", "j"]])
@pytest.mark.parametrize(
    "arguments", [{}, {"ascending": True}, {"dropna": False}, {"normalize": True}], ids=str
)
def test_counts_are_in_the_order_of_all(subset, arguments, tmp_path):
    ddf = dd.from_pandas(FRAME, npartitions=5)
    found = safeframe.value_counts(
        ddf, subset, npartitions=4, strategy="staged", staging=str(tmp_path), **arguments
    )
    assert found.npartitions >= 4
    counts, expected = found.compute(), FRAME.value_counts(subset, **arguments)
    np.testing.assert_allclose(counts.to_numpy(), expected.to_numpy())
    assert pairs(counts) == pairs(expected)


def test_no_group_is_made_to_plan_the_order(tmp_path):
    """Each file is read for its keys, and once more when the counts are computed."""
    parts = [FRAME.iloc[start::4] for start in range(4)]
    reads = tmp_path / "reads"

    def read(number):
        with reads.open("a") as file:
            file.write(f"{number} ")
        return parts[number]

    ddf = dd.from_map(read, range(4), meta=FRAME.iloc[:0])
    with dask.config.set(scheduler="sync"):
        counts = safeframe.value_counts(ddf, "k", npartitions=3, strategy="staged", staging=str(tmp_path))
        before = reads.read_text().split()
        rows = counts.compute()
        after = reads.read_text().split()[len(before) :]
    assert Counter(after) == Counter("0123")
    assert max(Counter(before).values()) <= 3  # keys, and a sample of their widths
    assert len(rows) == FRAME.k.nunique()


@pytest.mark.parametrize("ascending", [True, False])
def test_cuts_of_a_sample_of_the_keys(ascending, tmp_path):
    ddf = dd.from_pandas(FRAME, npartitions=5)
    (statistics,) = gather_key_statistics([(ddf, ("k",))], key_schema(ddf, ["k"]), capacity=2048)
    assert not statistics.exact
    found = safeframe.value_counts(
        ddf,
        "k",
        ascending=ascending,
        npartitions=4,
        strategy="staged",
        staging=str(tmp_path),
        statistics=statistics,
    )
    expected = FRAME.k.value_counts(ascending=ascending)
    np.testing.assert_array_equal(found.compute().to_numpy(), expected.to_numpy())

    sizes = dd.from_pandas(pd.DataFrame({"k": ["a"], SIZE: [1]}), npartitions=1)
    order = row_order(sizes, [SIZE], ascending=[ascending], na_last=True)
    groups = safeframe.plan_value_counts(ddf, "k", npartitions=4, strategy="staged", statistics=statistics)
    quantiles = quantiles_of_counts(statistics, groups, order)
    codes, _ = order.codes(expected.rename(SIZE).to_frame())
    below = np.searchsorted(np.sort(codes), quantiles.codes)
    assert (np.abs(quantiles.below - below) <= quantiles.below_error).all()
    assert quantiles.below_error.max() < len(expected)
