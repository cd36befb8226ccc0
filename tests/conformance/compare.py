"""Compares what a call gives on a recipe's result with what it gives on dask's own frame."""

from __future__ import annotations

from typing import Any

import dask
import numpy as np
import pandas as pd

__all__ = ["computed", "same"]


def computed(value: Any) -> Any:
    """Compute a collection, or all in a list or dict."""
    if isinstance(value, (list, tuple)):
        return [computed(item) for item in value]
    if isinstance(value, dict):
        return {name: computed(item) for name, item in value.items()}
    return value.compute() if dask.is_dask_collection(value) else value


def same(found: Any, expected: Any, *, ordered: bool = True, index: bool = True) -> None:
    """Assert that two outcomes are the same: types, names, index, values."""
    if isinstance(expected, list):
        assert isinstance(found, list)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other, ordered=ordered, index=index)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for name in expected:
            same(found[name], expected[name], ordered=ordered, index=index)
    elif isinstance(expected, pd.DataFrame):
        if not index:
            found, expected = found.reset_index(drop=True), expected.reset_index(drop=True)
        if not ordered:
            found, expected = _sorted(found, index), _sorted(expected, index)
        pd.testing.assert_frame_equal(found, expected, check_freq=True)
    elif isinstance(expected, pd.Series):
        assert found.name == expected.name
        same(found.to_frame("x"), expected.to_frame("x"), ordered=ordered, index=index)
    elif isinstance(expected, pd.Index):
        pd.testing.assert_index_equal(found, expected)
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected)
    elif isinstance(expected, (float, np.floating)):
        np.testing.assert_allclose(found, expected, rtol=1e-9)
        assert type(found) is type(expected)
    else:
        assert type(found) is type(expected)
        assert found == expected or (pd.isna(found) and pd.isna(expected))


def _sorted(frame: pd.DataFrame, index: bool) -> pd.DataFrame:
    """Return the rows in an order that depends on nothing but them."""
    keys = pd.DataFrame({n: frame.iloc[:, n].astype("str").to_numpy() for n in range(frame.shape[1])})
    if index:
        keys["index"] = [str(label) for label in frame.index]
    frame = frame.iloc[keys.sort_values(list(keys.columns), kind="stable").index]
    return frame if index else frame.reset_index(drop=True)
