"""Partitions that are cut by bytes have other numbers of rows, whatever columns are added to them."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe


@pytest.mark.parametrize("factor", [1.2, 1.332, 1.335, 1.338, 1.341, 1.5])
def test_narrow_rows_are_more_of_them(tmp_path, factor):
    rng = np.random.default_rng(0)
    n, parts = 1600, 8
    # Rows of later keys are wider, and one file has the widest.
    k = np.sort(rng.integers(0, 10**6, n))
    for number in range(parts):
        rows = np.arange(number, n, parts)
        length = np.where(k[rows] > 500_000, 430, 370) * (factor if number == 3 else 1.0)
        text = pd.Series(["x" * int(one) for one in length], dtype="str")
        frame = pd.DataFrame({"k": k[rows], "row": rows, "text": text, "more": 0.0, "other": 0.0})
        frame.to_parquet(tmp_path / f"{number}.parquet")
    ddf = dd.read_parquet(tmp_path)
    options = {"npartitions": 2, "staging": str(tmp_path)}
    with dask.config.set(scheduler="sync"):
        made = safeframe.groupby_lag_transform(
            ddf, "k", "row", 1, order_by="row", names="lagged", strategy="staged", **options
        )
        found = made.compute()
    assert sorted(found.row) == list(range(n))
