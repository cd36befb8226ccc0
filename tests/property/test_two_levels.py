"""Recipes whose rows go to coarse shards first: results are those of one level, and of pandas."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe

RNG = np.random.default_rng(1)
N = 20_000
LEFT = pd.DataFrame({"k": RNG.integers(0, 3000, N), "a": np.arange(N), "x": RNG.random(N)})
WORDS = LEFT.assign(w=pd.Series(RNG.integers(0, 3000, N)).map("word {:06}".format))
RIGHT = pd.DataFrame({"k": np.arange(0, 4000, 2), "b": RNG.random(2000)})


@pytest.fixture(autouse=True)
def _two_levels(monkeypatch):
    monkeypatch.setattr("safeframe.options.ONE_LEVEL_PIECES", 0)
    monkeypatch.setattr("safeframe.options.LEAST_PIECE_NBYTES", 2**60)
    with dask.config.set(scheduler="sync"):
        yield


def frame(rows, parts=6):
    return dd.from_pandas(rows, npartitions=parts, sort=False)


def in_two_levels(result, tmp_path):
    plan = safeframe.explain(result)
    assert plan.strategy == "staged"
    assert any("coarse shards again" in step.kind for step in plan.steps)
    assert "coarse shards, then" in str(plan.steps)
    found = result.compute()
    if "w" in found:  # of dask's own dtype for strings
        found["w"] = found["w"].astype(WORDS["w"].dtype)
    assert not list(tmp_path.rglob("*.staged"))
    return found


@pytest.mark.parametrize("rows", [LEFT, WORDS], ids=["rows", "columns"])
@pytest.mark.parametrize("how", ["left", "outer", "inner"])
def test_a_merge_is_that_of_pandas(tmp_path, rows, how):
    merged = safeframe.merge(
        frame(rows),
        frame(RIGHT),
        on="k",
        how=how,
        strategy="staged",
        staging=str(tmp_path),
        partition_size=40_000,
    )
    found = in_two_levels(merged, tmp_path)
    expected = rows.merge(RIGHT, on="k", how=how)
    by = [*found]
    pd.testing.assert_frame_equal(
        found.sort_values(by, ignore_index=True), expected.sort_values(by, ignore_index=True)
    )


def test_coarse_shards_may_be_empty(tmp_path):
    left, right = (pd.DataFrame({"k": np.arange(first, 60), "n": np.arange(first, 60)}) for first in (0, 55))
    merged = safeframe.merge(
        frame(left),
        frame(right, 2),
        on="k",
        how="right",
        strategy="staged",
        staging=str(tmp_path),
        npartitions=17,
    )
    found = in_two_levels(merged, tmp_path)
    expected = left.merge(right, on="k", how="right")
    pd.testing.assert_frame_equal(found.sort_values("k", ignore_index=True), expected)


@pytest.mark.parametrize("key", ["k", "w"])
def test_a_sort_is_that_of_pandas(tmp_path, key):
    ordered = safeframe.sort_values(
        frame(WORDS), key, npartitions=23, strategy="staged", staging=str(tmp_path)
    )
    found = in_two_levels(ordered, tmp_path)
    pd.testing.assert_frame_equal(found, WORDS.sort_values(key, kind="stable"))


def test_a_shuffle_keeps_every_row(tmp_path):
    shuffled = safeframe.shuffle(frame(WORDS), "w", npartitions=17, strategy="staged", staging=str(tmp_path))
    found = in_two_levels(shuffled, tmp_path)
    pd.testing.assert_frame_equal(found.sort_values("a", ignore_index=True), WORDS)


def test_rows_that_changed_are_noticed(tmp_path):
    changed = {"rows": WORDS}
    source = dd.from_map(lambda part: changed["rows"][part::4], range(4), meta=WORDS.iloc[:0])
    ordered = safeframe.sort_values(source, "k", npartitions=9, strategy="staged", staging=str(tmp_path))
    changed["rows"] = WORDS[:-1]
    with pytest.raises(safeframe.RowConservationError):
        ordered.compute()
