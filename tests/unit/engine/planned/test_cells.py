"""Rows of an output partition that are made in stretches, whose strings are counted before they are made."""

from __future__ import annotations

from dataclasses import replace

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe import options
from safeframe.engine.planned.cells import CellRows, PartitionLimit
from safeframe.kernels.merge.text import TextTooLargeError

LIMIT = PartitionLimit(
    largest_nbytes=2**30, row_nbytes=10.0, possible_nbytes=2000, task_nbytes=2**30, stretch_nbytes=2000
)


def rows_with(lengths, limit=LIMIT):
    """Return rows that have strings of so many bytes."""

    def make(lo, hi, most_nbytes):
        nbytes = int(lengths[lo:hi].sum())
        if nbytes > most_nbytes:
            raise TextTooLargeError(hi - lo, nbytes)
        return pd.DataFrame({"row": np.arange(lo, hi)})

    return CellRows.part(len(lengths), 0, 1, make, limit, weighed=True)


def test_stretches_become_long_again_behind_strings_that_made_them_short():
    lengths = np.ones(5_000, np.int64)
    lengths[:20] = 900
    frames = list(rows_with(lengths).stretches(lambda _: 1000))
    assert np.array_equal(np.concatenate([frame["row"] for frame in frames]), np.arange(5_000))
    sizes = [len(frame) for frame in frames]
    assert max(sizes[:10]) <= 2
    assert sizes.count(1000) >= 3
    assert len(sizes) < 40


def test_a_row_may_take_as_much_as_a_partition_may():
    lengths = np.ones(100, np.int64)
    lengths[50] = 10 * LIMIT.possible_nbytes
    frames = list(rows_with(lengths).stretches(lambda _: 60))
    assert sum(map(len, frames)) == 100
    assert len(frames) < 20


@pytest.mark.parametrize(
    ("partition_nbytes", "stretch_nbytes"), [(2**16, 2**20), (2**23, 2**23), (2**28, None), (2**32, None)]
)
def test_stretches_have_what_the_plan_took_them_for_and_a_small_row_group_at_least(
    partition_nbytes, stretch_nbytes
):
    frame = pd.DataFrame({"k": range(100), "t": "some text"})
    plan = safeframe.plan_merge(frame, frame.head(), on="k", how="left", strategy="staged", memory="2GiB")
    limit = PartitionLimit.of(replace(plan, largest_partition_nbytes=partition_nbytes))
    if stretch_nbytes is None:
        stretch_nbytes = options.STRETCH_MARGIN * plan.budget.task_nbytes / 8
        assert stretch_nbytes < limit.possible_nbytes
    assert stretch_nbytes == pytest.approx(limit.stretch_nbytes, rel=0.5)
    lengths = np.full(1000, 20_000, np.int64)
    narrow = replace(limit, row_nbytes=1.0)
    sizes = [len(made) for made in rows_with(lengths, narrow).stretches(lambda _: 1000)]
    assert sum(sizes) == 1000
    assert 0.2 * min(stretch_nbytes, 2e7) <= max(sizes) * 20_000 <= limit.stretch_nbytes


@pytest.mark.filterwarnings("ignore::safeframe.PartitionSizeWarning")
@pytest.mark.parametrize("how", ["left", "outer"])
def test_one_heavy_key_in_order_is_written_in_stretches(tmp_path, monkeypatch, how):
    keys = np.sort(np.random.default_rng(5).integers(0, 2000, 20_000))
    keys[10_000:] += 10_000
    keys[8_000:12_000] = 5000
    left = dd.from_pandas(pd.DataFrame({"k": keys, "v": np.arange(20_000)}), npartitions=4, sort=False)
    right = pd.DataFrame({"k": np.arange(5001), "t": "short"})
    right.loc[5000, "t"] = "x" * 5000
    right = pd.concat([right, right.tail(1)]).sample(frac=1, random_state=1)
    merged = safeframe.merge(
        left,
        dd.from_pandas(right, npartitions=2, sort=False),
        on="k",
        how=how,
        strategy="sorted-one-side",
        partition_size="64KiB",
        memory="2GiB",
    )
    # No partition of the heavy key may be made whole.
    monkeypatch.setattr(options, "TEXT_COPIES", 1e9)
    with dask.config.set(scheduler="sync"):
        safeframe.to_parquet(merged, tmp_path / "out")
    found = pd.concat(map(pd.read_parquet, sorted((tmp_path / "out").glob("*.parquet"))))
    expected = left.compute().merge(right, on="k", how=how)
    order = ["k", "v"]
    pd.testing.assert_frame_equal(
        found.sort_values(order, ignore_index=True),
        expected.sort_values(order, ignore_index=True),
        check_dtype=False,
    )
    assert (found["k"] == 5000).sum() == 8000
    with pytest.raises(safeframe.MemoryBudgetError, match="Strings of"), dask.config.set(scheduler="sync"):
        len(merged.persist())


@pytest.mark.filterwarnings("ignore::safeframe.PartitionSizeWarning")
@pytest.mark.parametrize("partition_size", ["64MiB", "256KiB"])
def test_long_values_of_a_broadcast_are_written_in_stretches(tmp_path, monkeypatch, partition_size):
    keys = np.random.default_rng(5).permutation(np.r_[np.full(4000, 5000), np.arange(5000), np.arange(5000)])
    left = pd.DataFrame({"k": keys, "v": np.arange(len(keys))})
    right = pd.DataFrame({"k": np.arange(5001), "t": "short"})
    right.loc[5000, "t"] = "x" * 5000
    merged = safeframe.merge(
        dd.from_pandas(left, npartitions=2, sort=False),
        dd.from_pandas(right, npartitions=1, sort=False),
        on="k",
        strategy="broadcast",
        partition_size=partition_size,
        memory="2GiB",
    )
    # No partition may be made whole.
    monkeypatch.setattr(options, "TEXT_COPIES", 1e9)
    with dask.config.set(scheduler="sync"):
        safeframe.to_parquet(merged, tmp_path / "out")
    found = pd.concat(map(pd.read_parquet, sorted((tmp_path / "out").glob("*.parquet"))))
    pd.testing.assert_frame_equal(
        found.sort_values("v", ignore_index=True), left.merge(right, on="k"), check_dtype=False
    )
    with pytest.raises(safeframe.MemoryBudgetError, match="Strings of"), dask.config.set(scheduler="sync"):
        len(merged.persist())
