"""Merges of sides in key order: measured is at most projected, and projected at most allowed."""

from __future__ import annotations

import functools
from pathlib import Path

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import safeframe
from benchmarks.tight import TightCluster

pytestmark = [
    pytest.mark.tight(n_workers=2, limit="598MiB", hard="1GiB"),
    pytest.mark.filterwarnings("ignore::safeframe.OutputExplosionWarning"),
]


def run(tight: TightCluster, merged: dd.DataFrame, out: Path) -> safeframe.Plan:
    """Write a merge, hold it to its plan, and its rows to the order of their keys."""
    plan = safeframe.explain(merged)
    assert plan.fits
    safeframe.to_parquet(merged, out)
    seen = tight.report()
    assert seen.undisturbed, seen
    assert seen.pauses == 0, seen
    assert seen.charged_nbytes <= plan.projected_worker_nbytes, (plan.details(), seen)
    assert plan.projected_worker_nbytes <= seen.limit_nbytes
    paths = sorted(out.glob("*.parquet"), key=lambda path: int(path.name.split(".")[1]))
    keys = [pq.read_table(path, columns=["k"])["k"].to_numpy() for path in paths]
    assert plan.output_rows.lower <= sum(map(len, keys)) <= plan.output_rows.upper
    assert max(map(len, keys)) * plan.row_nbytes <= plan.largest_partition_nbytes
    assert pd.Series(np.concatenate(keys)).is_monotonic_increasing
    return plan


def rows(number: int, *, n: int, each: int, wide: int, seed: int = 0) -> pd.DataFrame:
    """Partition ``number`` of ``n`` rows; each key has ``each`` of them, and goes on in the next partition."""
    rng = np.random.default_rng(number + seed)
    keys = np.arange(number * n, (number + 1) * n) // each
    return pd.DataFrame({"k": keys} | {f"c{seed}{i}": rng.integers(0, 2**31, n) for i in range(wide)})


def table(partitions: int, **shape: int) -> dd.DataFrame:
    make = functools.partial(rows, **shape)
    return dd.from_map(make, range(partitions), meta=make(0).iloc[:0])


@pytest.mark.nightly
def test_more_than_the_workers_have_with_divisions_of_their_own(tight, tmp_path):
    for name, partitions, shape in (
        ("left", 40, {"n": 150_000, "each": 7, "wide": 9}),
        ("right", 23, {"n": 45_000, "each": 1, "wide": 5, "seed": 1}),
    ):
        (tmp_path / name).mkdir()
        for number in range(partitions):
            rows(number, **shape).to_parquet(tmp_path / name / f"{number:02d}.parquet", index=False)
    left, right = dd.read_parquet(tmp_path / "left"), dd.read_parquet(tmp_path / "right")
    plan = run(tight, safeframe.sorted_merge(left, right, on="k", how="left"), tmp_path / "out")
    assert plan.strategy == "sorted"
    assert plan.run.estimate.left_rows * 80 > 400 * 2**20


@pytest.mark.nightly
def test_partitions_that_make_many_cells_each(tight, tmp_path):
    left = table(10, n=500_000, each=7, wide=4)
    right = table(4, n=180_000, each=1, wide=2, seed=1)
    merged = safeframe.sorted_merge(left, right, on="k", how="outer", partition_size="4MiB")
    plan = run(tight, merged, tmp_path / "out")
    assert plan.strategy == "sorted"
    assert plan.output_partitions > 60


def heavy(number: int) -> pd.DataFrame:
    """Twelve partitions, of which ten are of one key."""
    frame = rows(number, n=150_000, each=1, wide=5)
    return frame.assign(k=frame["k"].clip(200_000, 1_700_000 if number > 10 else 200_000))


def test_a_key_that_crosses_ten_partitions(tight, tmp_path):
    left = dd.from_map(heavy, range(12), meta=heavy(0).iloc[:0])
    right = dd.from_pandas(
        pd.DataFrame({"k": [200_000] * 5 + list(range(1_650_000, 1_800_000)), "r": 0.5}),
        npartitions=3,
        sort=False,
    )
    plan = run(tight, safeframe.sorted_merge(left, right, on="k", partition_size="16MiB"), tmp_path / "out")
    assert plan.strategy == "sorted"
    assert plan.run.layout.single_key.any()


def shuffled(number: int) -> pd.DataFrame:
    rng = np.random.default_rng(number)
    keys = rng.permutation(860_000)[:100_000]
    return pd.DataFrame({"k": keys, "a": rng.random(100_000), "b": rng.random(100_000)})


def test_one_side_moves(tight, tmp_path):
    left = table(40, n=150_000, each=7, wide=9)
    right = dd.from_map(shuffled, range(12), meta=shuffled(0).iloc[:0])
    merged = safeframe.merge(left, right, on="k", how="left")
    plan = run(tight, merged, tmp_path / "out")
    assert plan.strategy == "sorted-one-side"
    assert plan.staging_nbytes == 12 * 100_000 * 24


def test_the_result_of_a_sort_is_one_side(tight, tmp_path):
    right = safeframe.sort_values(
        dd.from_map(shuffled, range(12), meta=shuffled(0).iloc[:0]),
        "k",
        ignore_index=True,
        partition_size="4MiB",
    )
    left = table(10, n=100_000, each=7, wide=3)
    merged = safeframe.sorted_merge(left, right, on="k", partition_size="12MiB")
    plan = run(tight, merged, tmp_path / "out")
    assert plan.strategy == "sorted"


def words(number: int) -> pd.DataFrame:
    frame = rows(number, n=100_000, each=7, wide=5)
    return frame.assign(k="id " + frame["k"].astype(str).str.zfill(12))


def mixed_words(number: int) -> pd.DataFrame:
    frame = shuffled(number)
    return frame.assign(k="id " + frame["k"].astype(str).str.zfill(12))


def test_strings(tight, tmp_path):
    left = dd.from_map(words, range(12), meta=words(0).iloc[:0])
    right = dd.from_map(mixed_words, range(6), meta=mixed_words(0).iloc[:0])
    merged = safeframe.sorted_merge(left, right, on="k", how="left", sort=True)
    plan = run(tight, merged, tmp_path / "out")
    assert plan.strategy == "sorted-one-side"
