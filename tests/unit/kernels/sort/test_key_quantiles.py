"""Quantiles of keys from statistics, beside pandas."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe.kernels.key_quantiles import key_quantiles

FRACTIONS = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]


@pytest.fixture(autouse=True)
def _sync():
    with dask.config.set(scheduler="sync"):
        yield


def statistics(series, capacity=2**20):
    with dask.config.set({"safeframe.key-capacity": capacity}):
        return safeframe.key_statistics(dd.from_pandas(series.to_frame("k"), npartitions=4), "k")


@pytest.mark.parametrize("kind", ["int64", "float64", "datetime64[ns]"])
def test_ordered_keys_have_the_quantiles_of_pandas(kind):
    values = pd.Series(np.random.default_rng(0).integers(-500, 500, 5000)).astype(kind)
    expected = values.sort_values()
    at = np.maximum(np.ceil(np.array(FRACTIONS) * 5000).astype(int) - 1, 0)
    assert key_quantiles(statistics(values), FRACTIONS) == expected.iloc[at].tolist()


def test_few_words_have_exact_quantiles():
    words = pd.Series([f"w{i % 300:03d}" for i in range(3000)])
    assert key_quantiles(statistics(words), [0.0, 0.5, 1.0]) == ["w000", "w149", "w299"]


@pytest.mark.parametrize("text", [False, True])
def test_sampled_keys_have_near_quantiles(text):
    numbers = pd.Series(np.random.default_rng(0).integers(0, 10**5, 100_000))
    found = key_quantiles(
        statistics(numbers.map("{:06d}".format) if text else numbers, 2**12), FRACTIONS[1:-1]
    )
    for fraction, value in zip(FRACTIONS[1:-1], found, strict=True):
        share = (numbers <= int(value)).mean()
        assert share == pytest.approx(fraction, abs=0.06)


def test_a_heavy_key_covers_its_share():
    values = pd.Series(
        np.concatenate([np.full(60_000, 500), np.random.default_rng(0).integers(0, 10**6, 40_000)])
    )
    assert key_quantiles(statistics(values, 2**10), [0.2, 0.4, 0.55]) == [500, 500, 500]


def test_many_words_have_near_quantiles_though_few_are_named():
    words = pd.Series([f"{i % 20_000:06d}" for i in range(60_000)])
    (found,) = key_quantiles(statistics(words), [0.5])
    assert int(found) == pytest.approx(10_000, abs=1200)


def test_what_has_no_quantiles():
    assert key_quantiles(statistics(pd.Series([np.nan, np.nan])), [0.5]) == []
    frame = dd.from_pandas(pd.DataFrame({"a": [1], "b": [2]}), npartitions=1)
    with pytest.raises(safeframe.UnsupportedError, match="several columns"):
        key_quantiles(safeframe.key_statistics(frame, ["a", "b"]), [0.5])
