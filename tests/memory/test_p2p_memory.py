"""P2P behind its check: measured is at most projected, and projected at most allowed."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from benchmarks.tight import TightCluster
from safeframe.recipes.p2p_shuffle import p2p_shuffle, plan_p2p_shuffle

# P2P's buffers stay as a test has set them, and its threads keep pages: every test has new workers.
pytestmark = pytest.mark.tight(n_workers=4, limit="598MiB", hard="1GiB", fresh=True)


def rows_of(number: int, rows: int, keys: int) -> pd.DataFrame:
    rng = np.random.default_rng(number)
    columns = {"k": rng.integers(0, keys, rows)}
    return pd.DataFrame(columns | {f"c{i}": rng.integers(0, 2**20, rows) for i in range(9)})


def frame_of(partitions: int, rows: int = 157_500, keys: int = 2**16) -> dd.DataFrame:
    meta = rows_of(0, 1, 1).iloc[:0]
    return dd.from_map(rows_of, range(partitions), rows=rows, keys=keys, meta=meta)


def consumed(part: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"rows": [len(part)], "total": [int(part.to_numpy().sum())]})


def hold(tight: TightCluster, shuffled: dd.DataFrame, projected: int, rows: int) -> None:
    """Consume every row, and hold the workers to what was projected."""
    sums = shuffled.map_partitions(consumed, meta={"rows": "int64", "total": "int64"}).compute()
    assert sums["rows"].sum() == rows
    seen = tight.report()
    assert seen.undisturbed, seen
    assert seen.charged_nbytes <= projected, (projected, seen)
    assert projected <= seen.limit_nbytes


@pytest.mark.nightly
def test_a_gigabyte_of_small_partitions(tight):
    shuffled = p2p_shuffle(frame_of(80), "k")
    plan = shuffled.expr.plan
    assert plan.fits
    hold(tight, shuffled, plan.projected_worker_nbytes, 80 * 157_500)


@pytest.mark.nightly
def test_large_input_partitions_are_handed_over_in_slices(tight):
    shuffled = p2p_shuffle(frame_of(8, rows=500_000), "k")
    hold(tight, shuffled, shuffled.expr.plan.projected_worker_nbytes, 4_000_000)


def test_input_partitions_that_are_too_large_are_refused(tight):
    frame = frame_of(2, rows=2_500_000)
    assert not plan_p2p_shuffle(frame, "k").fits
    with pytest.raises(MemoryError, match=r"send partitions needs .*a partition of .* × 2"):
        p2p_shuffle(frame, "k")
    assert tight.report().undisturbed


def heavy_rows(number: int) -> pd.DataFrame:
    frame = rows_of(number, 157_500, 2**16)
    return frame.assign(k=frame["k"].where(frame["k"] % 50 != 0, 7))


def test_a_heavy_key(tight):
    frame = dd.from_map(heavy_rows, range(40), meta=rows_of(0, 1, 1).iloc[:0])
    shuffled = p2p_shuffle(frame, "k", partition_size="32MiB")
    hold(tight, shuffled, shuffled.expr.plan.projected_worker_nbytes, 40 * 157_500)


def sorted_rows(number: int) -> pd.DataFrame:
    return rows_of(number, 157_500, 2**16).assign(k=number)


@pytest.mark.nightly
def test_rows_that_all_go_to_one_worker(tight):
    frame = dd.from_map(sorted_rows, range(40), meta=sorted_rows(0).iloc[:0])
    indexed = safeframe.set_index(frame, "k", divisions=[*range(40), 40], strategy="p2p")
    plan = safeframe.explain(indexed)
    assert (plan.strategy, plan.output_partitions) == ("p2p", 40)
    hold(tight, indexed, plan.projected_worker_nbytes, 40 * 157_500)


def worded_rows(number: int) -> pd.DataFrame:
    rng = np.random.default_rng(number)
    words = pd.Series([f"a word of some length, number {i:06d}" for i in range(5000)])
    chosen = rng.integers(0, 5000, 200_000)
    return pd.DataFrame(
        {
            "k": rng.integers(0, 2**16, 200_000),
            "word": words.take(chosen).reset_index(drop=True),
            "kind": pd.Categorical.from_codes(chosen % 7, list("abcdefg")),
        }
    )


@pytest.mark.nightly
def test_strings_and_categories(tight):
    frame = dd.from_map(worded_rows, range(40), meta=worded_rows(0).iloc[:0])
    shuffled = p2p_shuffle(frame, "k")
    counted = shuffled.map_partitions(lambda part: pd.DataFrame({"n": [len(part)]}), meta={"n": "int64"})
    assert counted["n"].sum().compute() == 40 * 200_000
    seen = tight.report()
    assert seen.undisturbed
    assert seen.charged_nbytes <= shuffled.expr.plan.projected_worker_nbytes <= seen.limit_nbytes
