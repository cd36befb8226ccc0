"""Key statistics on worker processes: the same figures, and memory within limits."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import wait

import safeframe

ROWS = 20_000


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    root = tmp_path_factory.mktemp("tables")
    rng = np.random.default_rng(0)
    made = {}
    for side, files in (("left", 40), ("right", 3)):
        (root / side).mkdir()
        parts = [
            pd.DataFrame(
                {
                    "k": rng.integers(90_000, 91_000, ROWS),
                    "s": rng.integers(0, 50, ROWS).astype(str),
                    "v": 0.5,
                }
            )
            for _ in range(files)
        ]
        for number, part in enumerate(parts):
            part.to_parquet(root / side / f"{number:02d}.parquet", index=False)
        made[side] = (root / side, pd.concat(parts))
    return made


@pytest.mark.parametrize("on", ["k", "s", ["k", "s"]])
def test_a_join_is_predicted_to_the_row(small_cluster, tables, on):
    frames = [dd.read_parquet(path) for path, _ in tables.values()]
    counts = [whole.groupby(on).size() for _, whole in tables.values()]
    truth = int((counts[0] * counts[1]).dropna().sum())
    estimate = safeframe.estimate_merge(*frames, on=on)
    assert estimate.rows.exact
    assert int(estimate.rows) == truth
    assert estimate.heaviest[0].output_rows == int((counts[0] * counts[1]).max())


def test_persisted_frames_are_counted_where_they_are(small_cluster, tables):
    path, whole = tables["right"]
    persisted = dd.read_parquet(path).persist()
    wait(persisted)
    found = safeframe.key_statistics(persisted, "k")
    assert found.counts.tolist() == whole["k"].value_counts().sort_index().tolist()
    assert found.partitions.rows.tolist() == [ROWS] * 3


def test_sampled_keys_take_a_second_pass(small_cluster, tables):
    import dask

    frames = [dd.read_parquet(path) for path, _ in tables.values()]
    left, right = (whole["k"].value_counts() for _, whole in tables.values())
    with dask.config.set({"safeframe.key-capacity": 200}):
        found = safeframe.key_statistics(frames[0], "k")
        estimate = safeframe.estimate_merge(*frames, on="k")
    assert not found.exact
    assert estimate.rows.lower <= int((left * right).sum()) <= estimate.rows.upper
