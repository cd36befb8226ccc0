"""Arguments and types of pandas' group-bys that are easily overlooked."""

from __future__ import annotations

import warnings

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe.errors import ValidationError


def of(frame, npartitions=3):
    return dd.from_pandas(frame, npartitions=npartitions, sort=False)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("min_periods", [None, 1, 3])
def test_covariances_of_infinite_values_and_nulls(seed, min_periods):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(60, 3))
    values[rng.random((60, 3)) < 0.06] = np.nan
    values[rng.random((60, 3)) < 0.06] = np.inf
    frame = pd.DataFrame({"k": rng.integers(0, 15, 60), **dict(zip("xyz", values.T, strict=True))})
    found = safeframe.groupby(of(frame), "k", sort=True).cov(min_periods=min_periods).compute()
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore")  # numpy says that one row has no covariance
        expected = frame.groupby("k").cov(min_periods=min_periods)
    pd.testing.assert_frame_equal(found, expected)
    assert found.notna().any(axis=None)


@pytest.mark.parametrize("options", [{"method": "spearman"}, {"min_periods": 3}, {"method": "pearson"}])
def test_correlations_of_other_kinds(options):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"k": rng.integers(0, 9, 40), "x": rng.normal(size=40), "y": rng.normal(size=40)})
    found = safeframe.groupby(of(frame), "k", sort=True).corr(**options).compute()
    pd.testing.assert_frame_equal(found, frame.groupby("k").corr(**options))


@pytest.mark.parametrize("dtype", ["Int64", "boolean", "string", "Float64"])
@pytest.mark.parametrize("function", ["idxmin", "idxmax"])
def test_labels_of_extremes_of_types_with_nulls(dtype, function):
    frame = pd.DataFrame({"k": [1, 2, 1, 2], "v": pd.array([0, 1, 1, 0]).astype(dtype)})
    found = getattr(safeframe.groupby(of(frame), "k", sort=True).v, function)().compute()
    pd.testing.assert_series_equal(found, getattr(frame.groupby("k").v, function)())


@pytest.mark.parametrize("dtype", ["Int64", "int64[pyarrow]", "string", "category", "float64"])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("sort", [True, False])
def test_counts_of_a_series_are_of_pandas_type(dtype, normalize, sort):
    series = pd.Series([3, 1, 3, 3, 1, 2], name="v").astype(dtype)
    options = {"normalize": normalize, "sort": sort}
    lazy = safeframe.value_counts(of(series.to_frame()).v, **options)
    found, expected = lazy.compute(), of(series.to_frame()).v.compute().value_counts(**options)
    pd.testing.assert_series_equal(found.sort_index(), expected.sort_index())
    assert lazy.dtype == found.dtype
    # Counts of rows are numpy's, whatever they count.
    rows = safeframe.value_counts(of(series.to_frame()), "v", **options).compute()
    assert rows.dtype == series.to_frame().value_counts("v", **options).dtype


@pytest.mark.parametrize("function", ["mode", "list"])
def test_functions_of_the_key_itself(function):
    frame = pd.DataFrame({"k": [1, 2, 1], "v": [1, 2, 3]})
    found = safeframe.groupby(of(frame), "k", sort=True).agg({"k": function, "v": "sum"}).compute()
    own = {"mode": lambda s: s.mode()[0], "list": list}[function]
    pd.testing.assert_frame_equal(found, frame.groupby("k").agg({"k": own, "v": "sum"}))


def test_further_arguments_of_a_mode_are_answered():
    frame = pd.DataFrame({"k": [1, 2, 1], "v": [1, 2, 3]})
    with pytest.raises(ValidationError, match="further arguments, 7"):
        safeframe.groupby(of(frame), "k").v.agg("mode", 7)


def test_an_index_of_one_level_is_written(tmp_path):
    frame = pd.DataFrame({"k": [1, 2, 1]})
    safeframe.to_parquet(safeframe.value_counts(of(frame), ["k"]).to_frame(), str(tmp_path))
    assert pd.read_parquet(tmp_path)["count"].to_dict() == {1: 2, 2: 1}
