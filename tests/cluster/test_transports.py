"""Rows that pass through files and rows that P2P moves make the same partitions."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.dataframe.dask_expr.io import ReadParquet

import safeframe
from tests.expressions import nodes_of

ROWS = 20_000


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "k": rng.integers(0, 500, ROWS),
            "name": pd.Series([f"n{i}" for i in rng.integers(0, 40, ROWS)]),
            "when": pd.Timestamp("2026-01-01", tz="Europe/Berlin")
            + pd.to_timedelta(rng.integers(0, 9, ROWS), "D"),
            "maybe": pd.array(
                np.where(rng.random(ROWS) < 0.1, None, rng.integers(0, 7, ROWS)), dtype="Int64"
            ),
            "row": np.arange(ROWS),
        }
    )
    for number in range(8):
        frame[number::8].to_parquet(tmp_path / f"{number}.parquet")
    return tmp_path


RECIPES = {
    "set_index": lambda ddf, **how: safeframe.set_index(ddf, "k", npartitions=5, **how),
    "set_index, nulls": lambda ddf, **how: safeframe.set_index(
        ddf, "maybe", npartitions=3, drop=False, **how
    ),
    "sort_values": lambda ddf, **how: safeframe.sort_values(ddf, "k", ascending=False, npartitions=5, **how),
    "sort_values, several": lambda ddf, **how: safeframe.sort_values(
        ddf,
        ["name", "when", "maybe"],
        ascending=[True, False, True],
        na_position="first",
        npartitions=6,
        **how,
    ),
    "shuffle": lambda ddf, **how: safeframe.shuffle(ddf, "name", npartitions=7, **how),
    "shuffle, several": lambda ddf, **how: safeframe.shuffle(ddf, ["k", "maybe"], npartitions=4, **how),
    "shuffle, nulls": lambda ddf, **how: safeframe.shuffle(ddf, "maybe", npartitions=4, **how),
}


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_both_give_the_same_partitions(small_cluster, table, name):
    found = {}
    for strategy in ("staged", "p2p"):
        made = RECIPES[name](dd.read_parquet(table), strategy=strategy)
        plan = safeframe.explain(made)
        assert (plan.strategy, plan.fits) == (strategy, True)
        found[strategy] = (dask.compute(*made.to_delayed()), made.divisions)
    assert found["staged"][1] == found["p2p"][1]
    assert len(found["staged"][0]) == len(found["p2p"][0])
    for staged, moved in zip(found["staged"][0], found["p2p"][0], strict=True):
        pd.testing.assert_frame_equal(staged, moved)
    assert sum(map(len, found["p2p"][0])) == ROWS


@pytest.mark.parametrize("strategy", ["staged", "p2p"])
def test_a_shuffle_has_every_row_of_a_key_in_one_partition_in_input_order(small_cluster, table, strategy):
    ddf = dd.read_parquet(table)
    parts = dask.compute(
        *safeframe.shuffle(ddf, ["k", "name"], npartitions=6, strategy=strategy).to_delayed()
    )
    keys = pd.concat([part[["k", "name"]].drop_duplicates() for part in parts])
    assert not keys.duplicated().any()
    place = pd.Series(np.arange(ROWS), index=ddf["row"].compute().to_numpy())
    for part in parts:
        assert place.loc[part["row"]].is_monotonic_increasing
    pd.testing.assert_frame_equal(
        pd.concat(parts).sort_values("row"), ddf.compute().sort_values("row"), check_dtype=True
    )


def test_frames_of_one_key_type_are_aligned_whatever_moved_them(small_cluster, table):
    ddf = dd.read_parquet(table)
    one = safeframe.shuffle(ddf, "k", npartitions=5, strategy="staged")
    other = safeframe.shuffle(ddf[ddf["row"] % 3 == 0], "k", npartitions=5, strategy="p2p")
    for left, right in zip(dask.compute(*one.to_delayed()), dask.compute(*other.to_delayed()), strict=True):
        assert set(right["k"]) <= set(left["k"])


def test_columns_that_nothing_uses_do_not_move(small_cluster, table):
    shuffled = safeframe.shuffle(dd.read_parquet(table), "k", npartitions=3)["row"]
    read = {tuple(part.columns) for part in nodes_of(shuffled, ReadParquet)}
    assert read in ({("k", "row")}, {("row", "k")})
    assert shuffled.compute().sum() == ROWS * (ROWS - 1) // 2


def test_rebalancing_an_indexed_frame_plans_it_again(small_cluster, table):
    indexed = safeframe.set_index(dd.read_parquet(table), "k")
    even = safeframe.rebalance_partitions(indexed, npartitions=6)
    plan = safeframe.explain(even)
    assert plan.recipe == "rebalance_partitions"
    assert any("rows move once" in reason for reason in plan.reasons)
    parts = dask.compute(*even.to_delayed())
    assert len(parts) == 6
    assert even.known_divisions
    expected = dd.read_parquet(table).compute().sort_values("k", kind="stable").set_index("k")
    pd.testing.assert_frame_equal(pd.concat(parts), expected)


def test_rebalancing_keeps_the_bound_when_a_key_is_larger(small_cluster):
    ddf = dd.from_pandas(pd.DataFrame({"k": [*range(100), *[7] * 3000], "v": 1.5}), npartitions=3, sort=False)
    even = safeframe.rebalance_partitions(safeframe.set_index(ddf, "k"), partition_size="8kB")
    parts = dask.compute(*even.to_delayed())
    assert max(len(part) for part in parts) * 16 <= 8000
    assert not even.known_divisions
    assert pd.concat(parts).index.is_monotonic_increasing
