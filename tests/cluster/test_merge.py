"""safeframe.merge on a real cluster, and what it leaves there."""

from __future__ import annotations

import pickle
from pathlib import Path

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.dataframe.dask_expr.io.parquet import ReadParquet
from distributed import wait

import safeframe
from safeframe.engine.exchange.nodes import StageGroups
from safeframe.engine.p2p.nodes import P2PSend
from tests.expressions import every_node
from tests.property.merging import same_rows


@pytest.fixture
def tables(tmp_path):
    """Two tables on disk, with a fan-out of about forty."""
    rng = np.random.default_rng(1)
    left = pd.DataFrame(
        {"k": rng.integers(0, 50, 4000), "l": range(4000), "wide": rng.random(4000), "word": ["w"] * 4000}
    )
    right = pd.DataFrame({"k": rng.integers(10, 60, 2000), "r": range(2000)})
    for name, frame in (("left", left), ("right", right)):
        (tmp_path / name).mkdir()
        for number, piece in enumerate(np.array_split(np.arange(len(frame)), 4)):
            frame.iloc[piece].to_parquet(tmp_path / name / f"{number}.parquet", index=False)
    return tmp_path


def merge_of(tables: Path, **arguments):
    options = {"on": "k", "partition_size": "256KiB", "staging": str(tables / "staging"), **arguments}
    return safeframe.merge(dd.read_parquet(tables / "left"), dd.read_parquet(tables / "right"), **options)


def expected_of(tables: Path, **arguments):
    left, right = (dd.read_parquet(tables / name).compute() for name in ("left", "right"))
    return left.merge(right, on="k", **arguments)


by_either = pytest.mark.parametrize("strategy", ["staged", "p2p"])


@by_either
@pytest.mark.parametrize("how", ["inner", "left", "right", "outer"])
def test_parquet_to_parquet(small_cluster, tables, how, strategy):
    merged = merge_of(tables, how=how, strategy=strategy)
    merged.to_parquet(tables / "out", write_index=False)
    plan = safeframe.explain(merged)
    assert plan.strategy == strategy
    assert plan.output_partitions > 4
    written = dd.read_parquet(tables / "out").compute()
    same_rows(written, expected_of(tables, how=how), ["l", "r"])


def test_without_a_client_on_threads(tables):
    with dask.config.set(scheduler="threads"):
        same_rows(merge_of(tables).compute(), expected_of(tables), ["l", "r"])
    assert not list((tables / "staging").glob("*/*/*/*.staged"))


@by_either
def test_an_unused_column_neither_is_read_nor_moves(small_cluster, tables, strategy):
    picked = merge_of(tables, strategy=strategy)[["k", "r"]]
    inner = list(every_node(picked.optimize().expr))
    moved = [part.columns_.names for part in inner if isinstance(part, StageGroups)]
    moved += [tuple(part.form.columns) for part in inner if isinstance(part, P2PSend)]
    assert sorted(moved) == [("k",), ("k", "r")]
    read = [tuple(part.columns) for part in inner if isinstance(part, ReadParquet)]
    assert sorted(read) == [("k",), ("k", "r")]
    assert len(picked.compute()) == len(expected_of(tables))


@by_either
def test_a_filter_goes_to_its_side(small_cluster, tables, strategy):
    merged = merge_of(tables, strategy=strategy)
    filtered = merged[merged.l < 100].compute()
    expected = expected_of(tables)
    same_rows(filtered, expected[expected.l < 100], ["l", "r"])


def test_len_stages_the_keys_alone(small_cluster, tables):
    assert len(merge_of(tables)) == len(expected_of(tables))


@by_either
def test_it_can_be_computed_twice_and_two_at_once(small_cluster, tables, strategy):
    merged, other = merge_of(tables, strategy=strategy), merge_of(tables, strategy=strategy, how="outer")
    expected = expected_of(tables).l.sum()
    assert merged.l.sum().compute() == expected
    both = dask.compute(merged.l.sum(), other.l.sum())
    assert both == (expected, expected_of(tables, how="outer").l.sum())


@by_either
def test_it_survives_pickling(small_cluster, tables, strategy):
    merged = pickle.loads(pickle.dumps(merge_of(tables, strategy=strategy)))
    same_rows(merged.compute(), expected_of(tables), ["l", "r"])


@by_either
def test_persisted_frames_go_in_and_out(small_cluster, tables, strategy):
    left = dd.read_parquet(tables / "left").persist()
    right = dd.from_pandas(dd.read_parquet(tables / "right").compute(), npartitions=3)
    merged = safeframe.merge(
        left, right, on="k", staging=str(tables / "staging"), strategy=strategy
    ).persist()
    same_rows(merged.compute(), expected_of(tables), ["l", "r"])


@by_either
def test_what_follows_is_plain_dask(small_cluster, tables, strategy):
    sums = merge_of(tables, strategy=strategy).groupby("k").r.sum().compute().sort_index()
    pd.testing.assert_series_equal(sums, expected_of(tables).groupby("k").r.sum().sort_index())


@by_either
def test_a_merge_of_a_merge(small_cluster, tables, strategy):
    third = dd.from_pandas(pd.DataFrame({"k": np.arange(60), "name": np.arange(60) * 2}), npartitions=1)
    merged = safeframe.merge(merge_of(tables, strategy=strategy), third, on="k")
    expected = expected_of(tables).merge(third.compute(), on="k")
    same_rows(merged.compute(), expected, ["l", "r"])


def test_the_small_side_is_broadcast_by_its_bytes(small_cluster, tables):
    unique = dd.from_pandas(pd.DataFrame({"k": np.arange(60), "name": np.arange(60) * 2}), npartitions=20)
    left = dd.read_parquet(tables / "left")
    merged = safeframe.merge(left, unique, on="k", how="left")
    assert safeframe.explain(merged).strategy == "broadcast"
    assert merged.npartitions == left.npartitions
    same_rows(merged.compute(), left.compute().merge(unique.compute(), on="k", how="left"), ["l"])


def test_sorted_partitions_are_joined_where_they_are(small_cluster, tables):
    left, right = (
        dd.from_pandas(dd.read_parquet(tables / name).compute().sort_values("k"), npartitions=5, sort=False)
        for name in ("left", "right")
    )
    merged = safeframe.merge(left, right, on="k", how="outer", partition_size="1MiB")
    assert safeframe.explain(merged).strategy == "sorted"
    same_rows(merged.compute(), left.compute().merge(right.compute(), on="k", how="outer"), ["l", "r"])


@by_either
def test_nothing_is_staged_once_the_result_is_forgotten(small_cluster, tables, strategy):
    merged = merge_of(tables, strategy=strategy).persist()
    wait(merged)
    del merged
    # The look that follows every test waits until no staged run is left.
