"""Repeated keys on worker processes: persisted, in part, after a merge and after a shuffle."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe

pytestmark = pytest.mark.usefixtures("small_cluster")

ROWS = pd.DataFrame(
    {"k": np.arange(20_000) % 7000, "s": (np.arange(20_000) % 9000).astype(str), "v": np.arange(20_000)}
)
KEPT = ROWS.drop_duplicates("s")


@pytest.mark.parametrize("strategy", ["tree", "staged"])
def test_partitions_that_are_in_memory(strategy):
    frame = dd.from_pandas(ROWS, npartitions=8).persist()
    result = safeframe.drop_duplicates(frame, "s", strategy=strategy)
    assert result.compute()["v"].tolist() == KEPT["v"].tolist()
    assert len(result.persist()) == len(KEPT)
    assert len(result[result["v"] > 8000]) == (KEPT["v"] > 8000).sum()
    assert result.partitions[3].compute()["v"].tolist() == KEPT["v"].loc[7500:9999].tolist()
    assert safeframe.nunique(frame, strategy=strategy).compute().tolist() == [7000, 9000, 20_000]


def test_after_a_merge():
    other = dd.from_pandas(pd.DataFrame({"k": range(7000), "w": 1}), npartitions=2)
    merged = safeframe.merge(dd.from_pandas(ROWS, npartitions=8), other, on="k")
    result = safeframe.drop_duplicates(merged, "s", strategy="staged")
    assert any("wait in files" in reason for reason in safeframe.explain(result).reasons)
    assert sorted(result["s"].compute()) == sorted(KEPT["s"])


def test_after_a_shuffle_no_key_moves():
    shuffled = safeframe.shuffle(dd.from_pandas(ROWS, npartitions=8), "k")
    result = safeframe.drop_duplicates(shuffled, ["k", "s"])
    assert safeframe.explain(result).strategy == "whole"
    assert len(result) == len(ROWS.drop_duplicates(["k", "s"]))
