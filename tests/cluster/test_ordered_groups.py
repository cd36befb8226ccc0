"""Groups that cross partitions on worker processes: what is computed, written, kept and removed."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe

FRAME = pd.DataFrame(
    {"k": np.where(np.arange(4000) % 4 > 0, 7, np.arange(4000) % 50), "v": np.arange(4000) * 7919 % 4001}
)


def groups(tmp_path, **given):
    FRAME.to_parquet(tmp_path / "rows.parquet", row_group_size=500)
    ddf = dd.read_parquet(tmp_path / "rows.parquet", split_row_groups=True)
    staging = tmp_path / "staging"
    staging.mkdir()
    return safeframe.groupby(ddf, "k", strategy="ordered", partition_size=4000, staging=str(staging), **given)


def staged_files(tmp_path):
    return list((tmp_path / "staging").rglob("*.staged"))


@pytest.mark.usefixtures("small_cluster")
def test_a_result_leaves_nothing_behind(tmp_path):
    found = groups(tmp_path)["v"].median().compute()
    pd.testing.assert_series_equal(found.sort_index(), FRAME.groupby("k")["v"].median())
    assert not staged_files(tmp_path)


@pytest.mark.usefixtures("small_cluster")
def test_the_heavy_group_is_in_the_last_partition(tmp_path):
    lazy = groups(tmp_path)["v"].quantile([0.5, 0.99])
    assert lazy.npartitions > 10
    last = lazy.partitions[-1].compute()
    expected = FRAME.groupby("k")["v"].quantile([0.5, 0.99])
    pd.testing.assert_series_equal(last.loc[[7]], expected.loc[[7]])


@pytest.mark.usefixtures("small_cluster")
def test_it_is_kept_and_written(tmp_path):
    lazy = groups(tmp_path, as_index=False)["v"].nunique().persist()
    lazy.to_parquet(tmp_path / "theirs")
    safeframe.to_parquet(lazy, tmp_path / "ours")
    expected = FRAME.groupby("k", as_index=False)["v"].nunique()
    for name in ("theirs", "ours"):
        found = pd.read_parquet(tmp_path / name)[["k", "v"]]
        pd.testing.assert_frame_equal(found.sort_values("k", ignore_index=True), expected)
