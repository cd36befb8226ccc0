"""safeframe.merge by P2P: keys of every kind, heavy keys, one frame twice, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import safeframe
from safeframe._dask.p2p import P2PBarrierTask
from safeframe.engine.planned.fusion import FusedCells
from safeframe.engine.planned.nodes import Cells
from safeframe.prepare.merge import facts as merge_facts
from tests.property.strategies import KEY_KINDS, key_frames, partitioned
from tests.property.test_merge_properties import same_rows

HOWS = ("inner", "left", "right", "outer")


def keyed(kind, seed, name, rows=60):
    codes = np.random.default_rng(seed).integers(0, 8, rows).tolist()
    return pd.DataFrame({"k": KEY_KINDS[kind](codes), name: np.arange(rows), "both": np.arange(rows) / 2})


def as_dask(frame, npartitions=3):
    pieces = [frame.iloc[rows] for rows in np.array_split(np.arange(len(frame)), npartitions)]
    with dask.config.set({"dataframe.convert-string": False}):  # pandas is to judge the frame's own types
        return dd.from_map(lambda i: pieces[i], range(npartitions), meta=frame.iloc[:0])


def by_p2p(left, right, *, ignore_index=True, **arguments):
    merged = safeframe.merge(as_dask(left), as_dask(right), strategy="p2p", **arguments)
    plan = safeframe.explain(merged)
    parts = dask.compute(*merged.to_delayed())
    assert (plan.strategy, len(parts)) == ("p2p", plan.output_partitions)
    for part in parts:
        assert list(part.dtypes) == list(merged.dtypes), "every partition has the promised types"
        assert len(part) * plan.row_nbytes <= plan.largest_partition_nbytes
    return pd.concat(parts, ignore_index=ignore_index), plan


@pytest.mark.parametrize("kind", sorted(KEY_KINDS))
def test_keys_of_every_kind_and_nulls(small_cluster, kind):
    left, right = keyed(kind, 0, "l"), keyed(kind, 1, "r", rows=40)
    how = HOWS[sorted(KEY_KINDS).index(kind) % 4]
    result, _ = by_p2p(left, right, on="k", how=how, partition_size=2000)
    same_rows(result, left.merge(right, on="k", how=how), ["l", "r"])


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from(sorted(KEY_KINDS)), how=st.sampled_from(HOWS))
def test_any_partitions_and_any_share_of_a_key(small_cluster, data, kind, how):
    left = data.draw(key_frames([kind], names=["k"], extra="l"))
    right = data.draw(key_frames([kind], names=["k"], extra="r"))
    size = data.draw(st.sampled_from([None, 200, 2000]))
    cut = data.draw(partitioned(left)), data.draw(partitioned(right))
    merged = safeframe.merge(*cut, on="k", how=how, strategy="p2p", partition_size=size)
    same_rows(merged.compute(), left.merge(right, on="k", how=how), ["l", "r"])


@pytest.mark.parametrize("how", HOWS)
def test_keys_of_several_columns_by_other_names(small_cluster, how):
    left = keyed("string", 0, "l").assign(j=keyed("Int64", 2, "l")["k"])
    right = keyed("string", 1, "r").assign(j=keyed("Int64", 3, "r")["k"]).rename(columns={"k": "a", "j": "b"})
    keys = {"left_on": ["k", "j"], "right_on": ["a", "b"]}
    result, _ = by_p2p(left, right, how=how, partition_size=1000, **keys)
    same_rows(result, left.merge(right, how=how, **keys), ["l", "r"])


@pytest.mark.parametrize(
    ("how", "kind"), [("inner", "int64"), ("left", "string"), ("right", "datetime_tz"), ("outer", "Int64")]
)
def test_both_indexes(small_cluster, how, kind):
    left, right = keyed(kind, 0, "l").set_index("k"), keyed(kind, 1, "r", rows=40).set_index("k")
    arguments = {"how": how, "left_index": True, "right_index": True}
    result, plan = by_p2p(left, right, partition_size=2000, ignore_index=False, **arguments)
    expected = left.merge(right, **arguments)
    assert int(plan.output_rows) == len(expected)
    same_rows(result, expected, ["l", "r"], index=True)


@pytest.mark.parametrize(
    ("how", "keys"),
    [
        ("inner", {"left_on": "k", "right_index": True}),
        ("left", {"left_on": "k", "right_index": True}),
        ("right", {"left_on": "k", "right_index": True}),
        ("outer", {"left_index": True, "right_on": "k"}),
    ],
)
def test_an_index_and_a_column(small_cluster, how, keys):
    left, right = keyed("Int64", 0, "l"), keyed("Int64", 1, "r", rows=40)
    if "left_index" in keys:
        left = left.set_index("k").rename_axis("i")
    else:
        right = right.set_index("k").rename_axis("i")
    result, _ = by_p2p(left, right, how=how, partition_size=2000, ignore_index=False, **keys)
    same_rows(result, left.merge(right, how=how, **keys), ["l", "r"], index=True)


def test_a_level_and_a_column_of_both_sides(small_cluster):
    left, right = (
        keyed("int64", seed, name).assign(c=lambda f: f["both"] % 2) for seed, name in ((0, "l"), (1, "r"))
    )
    left = left.set_index("k")
    result, _ = by_p2p(left, right, how="outer", on=["k", "c"], partition_size=2000)
    same_rows(result, left.merge(right, how="outer", on=["k", "c"]), ["l", "r"])


@pytest.mark.parametrize(("how", "indexes"), [("leftsemi", True), ("leftanti", False)])
def test_semi_and_anti_joins(small_cluster, how, indexes):
    left, right = keyed("float", 0, "l"), keyed("float", 1, "r", rows=4)
    matched = left["k"].isin(right["k"])
    assert 0 < matched.sum() < len(left)
    arguments = {"on": "k"}
    if indexes:
        left, right = left.set_index("k"), right.set_index("k")
        arguments = {"left_index": True, "right_index": True}
    result, plan = by_p2p(left, right, how=how, partition_size=200, ignore_index=not indexes, **arguments)
    expected = left[(matched if how == "leftsemi" else ~matched).to_numpy()]
    assert plan.output_partitions > 2
    same_rows(result, expected, ["l"], index=indexes)


def test_a_cross_join(small_cluster):
    left, right = keyed("string", 0, "l"), keyed("float", 1, "r", rows=7)
    result, plan = by_p2p(left, right, how="cross", partition_size=4000)
    assert int(plan.output_rows) == 60 * 7
    assert plan.output_partitions > 2
    same_rows(result, left.merge(right, how="cross"), ["l", "r"])


@pytest.mark.parametrize("how", HOWS)
def test_a_heavy_key_fills_several_partitions(small_cluster, how):
    left = pd.DataFrame({"k": [7.0] * 900 + [1.0, np.nan, np.nan] * 50, "l": np.arange(1050)})
    right = pd.DataFrame({"k": [7.0] * 40 + [2.0, np.nan] * 20, "r": np.arange(80)})
    result, plan = by_p2p(left, right, on="k", how=how, partition_size="16KiB")
    same_rows(result, left.merge(right, on="k", how=how), ["l", "r"])
    assert plan.run.layout.null_shard
    assert plan.run.layout.cells.max() > 10


def test_rows_that_nothing_comes_out_of_stay_where_they_are(small_cluster):
    left = pd.DataFrame({"k": np.repeat([1, 5, 9], 300), "l": np.arange(900)})
    right = pd.DataFrame({"k": np.repeat([5], 300), "r": np.arange(300)})
    merged = safeframe.merge(as_dask(left), as_dask(right), on="k", strategy="p2p", partition_size="64KiB")
    plan = safeframe.explain(merged)
    assert (plan.run.layout.cells == 0).any()
    same_rows(merged.compute(), left.merge(right, on="k"), ["l", "r"])


def test_one_frame_on_both_sides_moves_once(small_cluster):
    frame = keyed("int64", 0, "l")
    ddf = as_dask(frame)
    merged = safeframe.merge(ddf, ddf, on="k", strategy="p2p", suffixes=("", "_other"))
    graph = dict(merged.optimize().__dask_graph__())
    assert sum(isinstance(task, P2PBarrierTask) for task in graph.values()) == 1
    expected = frame.merge(frame, on="k", suffixes=("", "_other"))
    same_rows(merged.compute(), expected, ["l", "l_other"])


def test_empty_sides(small_cluster):
    left, right = keyed("int64", 0, "l"), keyed("int64", 1, "r").iloc[:0]
    for how in HOWS:
        result, _ = by_p2p(left, right, on="k", how=how)
        same_rows(result, left.merge(right, on="k", how=how), ["l", "r"])


def test_cells_are_one_task_with_what_takes_them(small_cluster):
    left, right = keyed("int64", 0, "l"), keyed("int64", 1, "r")
    merged = safeframe.merge(as_dask(left), as_dask(right), on="k", strategy="p2p")
    doubled = (merged[["l", "r"]] * 2).optimize(fuse=False).expr
    assert isinstance(doubled, FusedCells)
    assert list(doubled.find_operations(Cells)) == []
    assert doubled.npartitions == safeframe.explain(merged).output_partitions


def test_names_that_are_no_strings_and_a_column_called_as_p2p_calls_its_own(small_cluster):
    left = keyed("int64", 0, "l").rename(columns={"both": 0, "l": "__shard__"})
    right = keyed("int64", 1, "r").rename(columns={"both": 1})
    result, _ = by_p2p(left, right, on="k")
    same_rows(result, left.merge(right, on="k"), ["__shard__", "r"])


def test_it_is_taken_where_the_workers_share_no_directory(small_cluster, monkeypatch):
    shared = merge_facts.staging_facts
    nowhere = "the workers are on 2 hosts, and staging= names no directory"
    monkeypatch.setattr(
        merge_facts,
        "staging_facts",
        lambda given: replace(shared(given), directory=None, unavailable=nowhere),
    )
    left, right = keyed("int64", 0, "l", rows=4000), keyed("int64", 1, "r", rows=300)
    merged = safeframe.merge(as_dask(left), as_dask(right), on="k", how="outer", partition_size="256KiB")
    plan = safeframe.explain(merged)
    assert plan.strategy == "p2p"
    assert {candidate.strategy: candidate.reason for candidate in plan.rejected}["staged"] == nowhere
    same_rows(merged.compute(), left.merge(right, on="k", how="outer"), ["l", "r"])


def test_a_key_that_does_not_fit_a_worker_is_refused_with_both_numbers(small_cluster):
    left = dd.from_map(one_key, range(4))
    right = as_dask(pd.DataFrame({"k": [3, 4], "r": [1, 2]}))
    plan = safeframe.plan_merge(left, right, on="k", strategy="p2p", memory="700MiB")
    assert not plan.fits
    merged = safeframe.merge(left, right, on="k", strategy="p2p", memory="700MiB")
    words = r"join output partitions from moved shards needs(.|\n)*Hint: The key 3 has 4,000,000 \+ 1 rows, .* MiB, and P2P sends all of them to one task, which has room for .*\. Name a directory .* staging="
    with pytest.raises(safeframe.MemoryBudgetError, match=words):
        merged.compute()
    staged = safeframe.plan_merge(left, right, on="k", strategy="staged", memory="700MiB")
    assert staged.fits, "where the key can be cut, it fits"


def one_key(number: int) -> pd.DataFrame:
    return pd.DataFrame({"k": np.full(1_000_000, 3), "l": np.arange(1_000_000)})


def test_what_p2p_cannot_carry_is_said_when_it_is_requested(small_cluster):
    left = keyed("int64", 0, "l").assign(z=1j)
    with pytest.raises(
        safeframe.ValidationError, match=r"strategy='p2p' cannot run this merge: Column 'z' is complex128"
    ):
        by_p2p(left, keyed("int64", 1, "r"), on="k")


def test_without_a_client_it_says_so():
    with pytest.raises(
        safeframe.ValidationError,
        match=r"strategy='p2p' cannot run this merge: there is no distributed client",
    ):
        by_p2p(keyed("int64", 0, "l"), keyed("int64", 1, "r"), on="k")
