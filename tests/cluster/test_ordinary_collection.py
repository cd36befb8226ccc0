"""Parts of results, and results that are persisted or made into futures, on workers."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import wait

import safeframe

ROWS = pd.DataFrame({"k": np.arange(600) % 50, "a": np.arange(600)})
CODES = pd.DataFrame({"k": np.arange(50), "b": np.arange(50) / 2})


def left():
    return dd.from_pandas(ROWS, npartitions=4)


def right():
    return dd.from_pandas(CODES, npartitions=2)


RECIPES = {
    "broadcast": lambda: safeframe.merge(left(), right(), on="k", strategy="broadcast"),
    "merge by P2P": lambda: safeframe.merge(left(), right(), on="k", strategy="p2p", partition_size="4KiB"),
    "set_index by P2P": lambda: safeframe.set_index(left(), "k", strategy="p2p", npartitions=3),
    "sort_values by P2P": lambda: safeframe.sort_values(left(), "k", strategy="p2p", npartitions=3),
    "lags by P2P": lambda: safeframe.groupby_lag_transform(
        left(), "k", "a", 1, strategy="p2p", npartitions=3
    ),
    "p2p_shuffle": lambda: safeframe.p2p_shuffle(left(), "k", npartitions=3),
    "set_index in place": lambda: safeframe.set_index(left(), "a"),
    "of futures": lambda: safeframe.merge(left().persist(), right().persist(), on="k", strategy="broadcast"),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_parts_and_futures(small_cluster, recipe):
    result = RECIPES[recipe]()
    parts = dask.compute(*result.to_delayed())
    assert len(parts) > 1
    last = small_cluster.compute(result.partitions[-1]).result()
    pd.testing.assert_frame_equal(last, parts[-1])
    tail = small_cluster.compute(result.tail(2, compute=False)).result()
    pd.testing.assert_frame_equal(tail, parts[-1].tail(2))
    whole, rows = (
        future.result()
        for future in small_cluster.compute(
            [result, result.k.count() if "k" in result.columns else result.a.count()]
        )
    )
    pd.testing.assert_frame_equal(whole, pd.concat(parts))
    assert rows == len(whole)
    kept = small_cluster.persist(result)
    wait(kept)
    pd.testing.assert_frame_equal(kept.partitions[0].compute(), parts[0])
    pd.testing.assert_frame_equal(dask.persist(kept)[0].compute(), whole)
