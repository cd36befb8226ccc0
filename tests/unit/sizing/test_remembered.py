"""What was learnt of frames is known again, and only while their data is the same."""

from __future__ import annotations

import os
import time

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe import options
from safeframe.sizing.frames import content_name
from safeframe.sizing.keys import statistics
from safeframe.sizing.remembered import STORE, Store

HOUR = 3_600_000_000_000


@pytest.fixture(autouse=True)
def _sync():
    with dask.config.set(scheduler="sync"):
        yield


@pytest.fixture
def counted(monkeypatch):
    """The rows of each partition whose keys are counted."""
    rows = []
    summarise = statistics.summarise

    def noted(columns, schema, capacity, **given):
        rows.append(len(columns[0]))
        return summarise(columns, schema, capacity, **given)

    monkeypatch.setattr(statistics, "summarise", noted)
    return rows


def written(path, words, *, age=HOUR):
    pd.DataFrame({"k": words, "v": np.arange(len(words))}).to_parquet(path)
    at = time.time_ns() - age - 12345
    os.utime(path, ns=(at, at))
    return dd.read_parquet(path)


def test_a_plan_and_its_merge_count_once(tmp_path, counted):
    left = written(tmp_path / "left.parquet", [f"w{i % 50}" for i in range(200)])
    right = written(tmp_path / "right.parquet", [f"w{i}" for i in range(60)])
    staging = {"staging": str(tmp_path)}
    safeframe.plan_merge(left, right, on="k", **staging)
    assert sorted(counted) == [60, 200]
    result = safeframe.merge(left, right, on="k", **staging)
    estimate = safeframe.estimate_merge(left, right, on="k")
    keys = safeframe.key_statistics(left, "k")
    assert sorted(counted) == [60, 200]
    assert int(estimate.rows) == len(result) == 200
    assert int(keys.distinct) == 50
    # Which other columns there are, or are made, does not matter.
    safeframe.plan_merge(left.assign(w=left["v"] + 1), right[["k"]], on="k", **staging)
    assert sorted(counted) == [60, 200]
    pd.testing.assert_frame_equal(
        result.compute().sort_values(["k", "v_x"], ignore_index=True),
        left.compute().merge(right.compute(), on="k").sort_values(["k", "v_x"], ignore_index=True),
    )


@pytest.mark.parametrize("kind", ["table", "counted", "sampled", "sorted", "large integers"])
def test_a_second_plan_of_the_same_frames_computes_nothing(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(options, "TABLE_MIN_ROWS", 0)
    keys = np.arange(2000) % 60
    large = np.arange(50) + 2**60 * (kind == "large integers")
    sides = []
    for name, words, other in (("left", keys, keys), ("right", np.arange(50), large)):
        written(
            tmp_path / f"{name}.parquet",
            words if kind in ("table", "large integers") else [f"w{i}" for i in words],
        )
        path = tmp_path / f"{name}.parquet"
        pd.read_parquet(path).assign(v=other).to_parquet(path)
        os.utime(path, ns=(12345, 12345))
        sides.append(dd.read_parquet(path))
    computed = []
    compute = dask.compute

    def noted(*collections, **given):
        computed.extend(collections)
        return compute(*collections, **given)

    monkeypatch.setattr(dask, "compute", noted)
    plan = safeframe.plan_sorted_merge if kind == "sorted" else safeframe.plan_merge
    given = {"how": "left", "on": "k", "staging": str(tmp_path)}
    with dask.config.set({"safeframe.key-capacity": 16 if kind in ("sampled", "large integers") else 2**20}):
        first = plan(*sides, **given)
        assert computed
        computed.clear()
        second = plan(*sides, **given)
    assert second.run.estimate == first.run.estimate
    assert second.strategy == first.strategy
    assert not computed


def test_both_sides_of_a_merge_of_a_frame_with_itself_are_counted_once(tmp_path, counted):
    frame = written(tmp_path / "frame.parquet", ["a", "b", "a"], age=0)  # of which nothing is remembered
    assert int(safeframe.estimate_merge(frame, frame, on="k").rows) == 5
    assert counted == [3]


@pytest.mark.parametrize("change", ["size", "time", "inode"])
def test_a_changed_file_is_counted_again(tmp_path, counted, change):
    path = tmp_path / "frame.parquet"
    assert int(safeframe.key_statistics(written(path, ["a", "b", "a"]), "k").distinct) == 2
    before = path.stat()
    if change == "inode":
        other = tmp_path / "other"
        other.write_bytes(path.read_bytes())
        other.replace(path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif change == "time":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    else:
        written(path, ["a", "b", "c", "d"])
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    distinct = int(safeframe.key_statistics(dd.read_parquet(path), "k").distinct)
    assert distinct == (4 if change == "size" else 2)
    assert len(counted) == 2


def test_a_frame_that_was_made_before_its_file_changed_is_counted_again(tmp_path, counted):
    path = tmp_path / "frame.parquet"
    frame = written(path, ["a", "b", "a"])
    safeframe.key_statistics(frame, "k")
    written(path, ["a", "b", "c"], age=HOUR // 2)
    assert int(safeframe.key_statistics(frame, "k").distinct) == 3
    assert len(counted) == 2


@pytest.mark.parametrize("age", [0, 50_000_000])
def test_a_file_that_was_just_written_may_be_written_again_unseen(tmp_path, age):
    path = tmp_path / "frame.parquet"
    frame = written(path, ["a"])
    assert content_name(frame, ["k"]) is not None
    at = time.time_ns() + HOUR - age
    os.utime(path, ns=(at, at))
    assert content_name(frame, ["k"]) is None
    # Of a file system whose times are whole seconds.
    at = time.time_ns() // 10**9 * 10**9 - 10**9
    os.utime(path, ns=(at, at))
    assert content_name(frame, ["k"]) is None


def test_nothing_is_remembered_where_nobody_can_tell_whether_it_is_the_same(tmp_path):
    read = written(tmp_path / "frame.parquet", ["a", "b"])
    pandas = pd.DataFrame({"k": ["a", "b"], "o": pd.Series([[1], [2]], dtype=object)})
    with dask.config.set({"dataframe.convert-string": False}):
        objects = dd.from_pandas(pandas.astype(object), npartitions=1)
    unsure = {
        "from_map": dd.from_map(lambda i: pandas, [0]),
        "from_delayed": dd.from_delayed([dask.delayed(pandas)]),
        "map_partitions": read.map_partitions(lambda part: part),
        "function": read.assign(k=read["k"].apply(str.upper, meta=("k", "str"))),
        "map": read.assign(k=read["k"].map(str.upper, meta=("k", "str"))),
        "persisted": read.persist(),
        "shuffled": read.shuffle("k"),
        "objects": objects,
    }
    for name, frame in unsure.items():
        assert content_name(frame, ["k"]) is None, name
    sure = {
        "read": read,
        "of values": dd.from_pandas(pandas[["k"]], npartitions=1),
        "filtered": read[read["v"] > 0],
        "made": read.assign(k=read["k"] + "x"),
        "renamed": read.rename(columns={"k": "j"}).rename(columns={"j": "k"}),
        "converted": read.astype({"v": "float32"}),
        "of another": read.fillna(0),
    }
    for name, frame in sure.items():
        assert content_name(frame, ["k"]) is not None, name
    assert content_name(read, ["k"]) != content_name(sure["made"], ["k"])
    assert content_name(read, ["k"]) != content_name(sure["filtered"], ["k"])
    assert content_name(read, ["k"]) != content_name(read, ["v"])
    lengths = content_name(sure["of values"], ["k"])
    len(sure["of values"])  # which dask keeps in the expression
    assert content_name(sure["of values"], ["k"]) == lengths


def test_a_store_is_bounded(monkeypatch):
    monkeypatch.setattr(options, "REMEMBERED_NBYTES", 10)
    store = Store()
    store.keep("a", 1, 4)
    store.keep("b", 2, 4)
    assert store.find("a") == 1
    store.keep("c", 3, 4)
    assert [store.find(name) for name in "abc"] == [1, None, 3]
    store.keep("d", 4, 11)
    assert store.find("d") is None
    store.keep("c", 5, 2)
    assert store.find("c") == 5
    store.clear()
    assert store.find("c") is None


def test_other_capacities_are_counted_for_themselves(tmp_path, counted):
    frame = written(tmp_path / "frame.parquet", [f"w{i}" for i in range(300)])
    assert safeframe.key_statistics(frame, "k").exact
    with dask.config.set({"safeframe.key-capacity": 100}):
        assert not safeframe.key_statistics(frame, "k").exact
    assert len(counted) == 2
    STORE.clear()
    safeframe.key_statistics(frame, "k")
    assert len(counted) == 3
