"""Measured is at most projected, and projected at most allowed, on workers that the kernel holds."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import safeframe
from benchmarks.situations import SITUATIONS
from benchmarks.tight import TightCluster

pytestmark = [
    pytest.mark.tight(n_workers=2, limit="598MiB", hard="1GiB"),
    pytest.mark.filterwarnings("ignore::safeframe.OutputExplosionWarning"),
]


def run(tight: TightCluster, merged, out) -> safeframe.Plan:
    """Write a merge and hold it to its plan."""
    plan = safeframe.explain(merged)
    assert plan.fits
    merged.to_parquet(out, write_index=False)
    seen = tight.report()
    assert seen.undisturbed, seen
    assert seen.charged_nbytes <= plan.projected_worker_nbytes, (plan.details(), seen)
    assert plan.projected_worker_nbytes <= seen.limit_nbytes
    footers = [pq.read_metadata(path) for path in out.glob("*.parquet")]
    rows = sum(footer.num_rows for footer in footers)
    assert plan.output_rows.lower <= rows <= plan.output_rows.upper
    assert max(footer.num_rows for footer in footers) * plan.row_nbytes <= plan.partition_nbytes
    return plan


@pytest.mark.parametrize("name", ["q3", "q3_hot"])
def test_a_fan_out_of_ten(tight, tmp_path, name):
    data = SITUATIONS[name].scaled(0.1).materialise(tmp_path)
    merged = safeframe.merge(dd.read_parquet(data.left), dd.read_parquet(data.right), on="col1", how="left")
    plan = run(tight, merged, tmp_path / "out")
    assert plan.strategy == "staged"
    assert int(plan.output_rows) == data.truth.rows
    assert plan.run.layout is not None
    assert plan.run.layout.single_key.any() == (name == "q3_hot")


@pytest.mark.parametrize("name", ["q3", "q3_hot"])
@pytest.mark.nightly
def test_a_fan_out_of_ten_by_p2p(tight, tmp_path, name):
    data = SITUATIONS[name].scaled(0.1).materialise(tmp_path)
    left, right = dd.read_parquet(data.left), dd.read_parquet(data.right)
    plan = run(tight, safeframe.merge(left, right, on="col1", how="left", strategy="p2p"), tmp_path / "out")
    assert plan.strategy == "p2p"
    assert int(plan.output_rows) == data.truth.rows


@pytest.mark.tight(n_workers=4, limit="598MiB", hard="1GiB")
@pytest.mark.nightly
def test_both_sides_by_p2p_on_four_workers(tight, tmp_path):
    left = dd.from_map(wide_rows, range(24))
    right = dd.from_map(wide_rows, range(100, 104)).rename(columns={f"c{i}": f"d{i}" for i in range(5)})
    merged = safeframe.merge(left, right, on="k", strategy="p2p")
    run(tight, merged[["k", "c0", "c1", "c2", "d0", "d1", "d2", "c3", "c4", "d3", "d4"]], tmp_path / "out")


def wide_rows(number: int) -> pd.DataFrame:
    rng = np.random.default_rng(number)
    columns = {"k": rng.integers(0, 2**20, 250_000)}
    return pd.DataFrame(columns | {f"c{i}": rng.integers(0, 2**20, 250_000) for i in range(5)})


def test_one_key_that_makes_ten_million_rows(tight, tmp_path):
    left = dd.from_map(one_key, [1000] * 5, meta=one_key(0), enforce_metadata=False)
    right = dd.from_map(one_key, [2000], meta=one_key(0), enforce_metadata=False)
    merged = safeframe.merge(left, right.rename(columns={"value": "other"}), on="k")
    plan = run(tight, merged, tmp_path / "out")
    assert int(plan.output_rows) == 10**7


def one_key(rows: int) -> pd.DataFrame:
    return pd.DataFrame({"k": np.zeros(rows, "int64"), "value": np.arange(rows) / 7})


def some_keys(number: int) -> pd.DataFrame:
    keys = np.arange(number * 500_000, (number + 1) * 500_000) // 4
    return pd.DataFrame({"k": keys, "a": keys / 3, "b": keys % 7})


def test_a_broadcast(tight, tmp_path):
    left = dd.from_map(some_keys, [0, 3, 1, 4, 2, 5])
    right = dd.from_pandas(pd.DataFrame({"k": np.arange(0, 750_000, 10), "r": 1.5}), npartitions=3)
    merged = safeframe.merge(left, right, on="k", how="left")
    assert run(tight, merged, tmp_path / "out").strategy == "broadcast"


@pytest.mark.tight(n_workers=4, limit="598MiB", hard="1GiB")
def test_a_side_of_nine_rows_and_partitions_that_make_more_than_one(tight, tmp_path):
    (tmp_path / "left").mkdir()
    for number in range(4):
        rng = np.random.default_rng(number)
        ids = {f"id{i}": rng.integers(1, 10**6, 500_000) for i in (2, 3)}
        names = {f"name{i}": [f"id{one:07d}" for one in rng.integers(0, 10**6, 500_000)] for i in (4, 5)}
        frame = pd.DataFrame({"id1": rng.integers(1, 12, 500_000)} | ids | names | {"v": rng.random(500_000)})
        frame.to_parquet(tmp_path / "left" / f"{number}.parquet", index=False)
    right = pd.DataFrame({"id1": np.arange(1, 10), "name": [f"word {i}" for i in range(9)], "w": 1.5})
    merged = safeframe.merge(dd.read_parquet(tmp_path / "left"), right, on="id1")
    plan = run(tight, merged, tmp_path / "out")
    assert plan.strategy == "broadcast"
    assert max(plan.run.way.pieces) > 1
    assert plan.staging_nbytes == 0


def test_sorted_sides(tight, tmp_path):
    left = dd.from_map(some_keys, range(6))
    right = dd.from_map(few_keys, range(6)).rename(columns={"a": "c"})
    # Named, since holding so small a side on each worker costs less.
    merged = safeframe.merge(left, right, on="k", how="left", strategy="sorted")
    assert run(tight, merged, tmp_path / "out").strategy == "sorted"


def few_keys(number: int) -> pd.DataFrame:
    keys = np.arange(number * 125_000, (number + 1) * 125_000)
    return pd.DataFrame({"k": keys, "a": keys / 3})


def test_more_keys_than_are_counted_exactly(tight, tmp_path):
    left = dd.from_map(unique_keys, range(6))
    right = dd.from_map(unique_keys, range(3, 9)).rename(columns={"a": "c"})
    merged = safeframe.merge(left, right, on="k", how="outer")
    plan = run(tight, merged, tmp_path / "out")
    assert not plan.output_rows.exact


def unique_keys(number: int) -> pd.DataFrame:
    keys = np.arange(number * 500_000, (number + 1) * 500_000) * 7919 % 4_500_000
    return pd.DataFrame({"k": keys, "a": keys / 3})


def test_strings(tight, tmp_path):
    rng = np.random.default_rng(0)
    words = pd.Series([f"key {i:012d}" for i in range(20_000)])
    left = dd.from_map(lambda i: word_frame(words, i, 300_000), range(4))
    right = dd.from_pandas(pd.DataFrame({"k": words, "r": rng.random(20_000)}), npartitions=2)
    merged = safeframe.merge(left, right, on="k", strategy="staged")
    run(tight, merged, tmp_path / "out")


def word_frame(words: pd.Series, seed: int, rows: int) -> pd.DataFrame:
    chosen = np.random.default_rng(seed).integers(0, len(words), rows)
    return pd.DataFrame({"k": words.take(chosen).reset_index(drop=True), "l": np.arange(rows)})


@pytest.mark.nightly
def test_partitions_that_are_large_for_a_worker(tight, tmp_path):
    (tmp_path / "left").mkdir()
    for number in range(12):
        rng = np.random.default_rng(number)
        columns = {f"c{i}": rng.random(1_000_000) for i in range(5)}
        frame = pd.DataFrame({"k": rng.integers(0, 10_000, 1_000_000)} | columns)
        frame.to_parquet(tmp_path / "left" / f"{number:02d}.parquet", index=False)
    right = dd.from_pandas(pd.DataFrame({"k": range(10_000), "r": 0.5}), npartitions=1)
    merged = safeframe.merge(dd.read_parquet(tmp_path / "left"), right, on="k", how="outer")
    plan = run(tight, merged, tmp_path / "out")
    assert plan.steps[0].task_peak_nbytes > 170 * 2**20


@pytest.mark.filterwarnings("ignore::safeframe.PartitionSizeWarning")
@pytest.mark.parametrize("strategy", ["staged", "sorted-one-side", "broadcast"])
def test_one_long_value_on_a_key_of_many_rows(tight, tmp_path, strategy):
    # 400 MB of copies of one string, which no sample of widths sees.
    rows, keys = 600_000, 30_000
    key = np.sort(np.random.default_rng(5).integers(0, keys, rows))
    key[300_000:320_000] = 777_777
    if strategy == "sorted-one-side":
        key[320_000:] += 1_000_000
    left = pd.DataFrame({"k": key, "v": np.arange(rows)})
    (tmp_path / "left").mkdir()
    for number in range(4):
        part = left.iloc[number * 150_000 : (number + 1) * 150_000]
        part.to_parquet(tmp_path / "left" / f"{number}.parquet", index=False)
    right = pd.DataFrame({"k": np.arange(keys), "t": "some name"})
    right = pd.concat([right, pd.DataFrame({"k": [777_777], "t": ["x" * 20_000]})], ignore_index=True)
    (tmp_path / "right").mkdir()
    for number in range(3):
        part = right.iloc[number * 12_000 : (number + 1) * 12_000]
        part.sample(frac=1, random_state=1).to_parquet(tmp_path / "right" / f"{number}.parquet", index=False)
    sides = dd.read_parquet(tmp_path / "left"), dd.read_parquet(tmp_path / "right")
    merged = safeframe.merge(*sides, on="k", how="left", strategy=strategy)
    # Whole, it is refused in words, before a worker is full.
    with pytest.raises(safeframe.MemoryBudgetError, match="Strings of"):
        len(merged.persist())
    safeframe.to_parquet(merged, tmp_path / "out")
    texts = [
        pq.read_table(path, columns=["t"], read_dictionary=["t"])["t"].combine_chunks()
        for path in (tmp_path / "out").glob("*.parquet")
    ]
    longest = [sum(len(value) == 20_000 for value in text.to_pylist() if value) for text in texts]
    assert sum(longest) == 20_000
    seen = tight.report()
    assert seen.undisturbed, seen
    assert seen.charged_nbytes <= safeframe.explain(merged).projected_worker_nbytes, seen
