"""Rows of files of which no column is wanted are counted all the same."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe


@pytest.mark.parametrize("index", [False, None], ids=["no index", "a range"])
@pytest.mark.parametrize("how", ["cross", "inner"])
def test_files_that_are_read_together(tmp_path, how, index):
    for name, rows in (("l", 6), ("r", 40)):
        (tmp_path / name).mkdir()
        frame = pd.DataFrame({f"{name}s": ["text"] * rows, f"{name}v": np.arange(rows)})
        for i in range(2):
            some = frame.iloc[i * rows // 2 : (i + 1) * rows // 2].reset_index(drop=True)
            some.to_parquet(tmp_path / name / f"{i}.parquet", index=index)
    together = {"aggregate_files": True, "split_row_groups": "infer", "blocksize": 100_000}
    left, right = dd.read_parquet(tmp_path / "l"), dd.read_parquet(tmp_path / "r", **together)
    on = {} if how == "cross" else {"left_index": True, "right_index": True}
    with dask.config.set(scheduler="sync"):
        whole = [frame.compute().reset_index(drop=how == "cross") for frame in (left, right)]
        expected = len(left.compute().merge(right.compute(), how=how, **on))
        assert [len(frame) for frame in whole] == [6, 40]
        merged = safeframe.merge(left, right, how=how, memory="8GiB", **on)
        assert len(merged) == len(merged.compute()) == len(merged[["lv"]].compute()) == expected
        assert merged["lv"].sum().compute() == merged.compute()["lv"].sum()
