"""Gathering key statistics: what is read, how partitions are grouped, and how good a sample is."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from safeframe import options
from safeframe.facts.keys import KeyColumn, KeySchema
from safeframe.kernels.keys import labels
from safeframe.kernels.keys.summary import combine, summarise
from safeframe.planning.merge.key_loads import key_loads
from safeframe.planning.merge.size import estimate_join
from safeframe.sizing.keys import statistics
from safeframe.sizing.keys.statistics import align_heavy_keys, gather_key_statistics
from safeframe.sizing.partitions import tasks as partition_tasks
from safeframe.sizing.partitions.tasks import each_partition, project

INT = KeySchema(columns=(KeyColumn(kind="int"),))
STRING = KeySchema(columns=(KeyColumn(kind="string"),))


@pytest.fixture(autouse=True)
def _sync():
    with dask.config.set(scheduler="sync"):
        yield


def zipf(seed, rows=1_000_000, keys=400_000, exponent=1.0):
    rng = np.random.default_rng(seed)
    ends = np.cumsum(np.arange(1, keys + 1) ** -exponent)
    return pd.DataFrame({"k": np.searchsorted(ends, rng.random(rows) * ends[-1]) * 7_368_787 % keys})


def flat(parts):
    return list(chain.from_iterable(parts))


def columns_seen(frame):
    return [sorted(map(str, frame.columns))]


@pytest.mark.parametrize("filesystem", ["fsspec", "arrow"])
def test_only_key_columns_are_read(tmp_path, filesystem):
    for part in range(2):
        frame = pd.DataFrame({"k": range(10), "x": 0.5, "s": "word", "y": 1})
        frame.to_parquet(tmp_path / f"{part}.parquet")
    ddf = dd.read_parquet(tmp_path, filesystem=filesystem)
    seen = dask.compute(*each_partition(project(ddf, ("k",)), columns_seen, flat, step="look"))
    assert flat(seen) == [["k"], ["k"]]
    derived = ddf[ddf["x"] < 1].assign(z=ddf["y"] + 1)
    statistics = gather_key_statistics([(derived, ("k",))], INT)[0]
    assert statistics.rows == 20
    # Figures are of the partitions that the user sees, although dask would now read both files as one.
    assert statistics.partitions.rows.tolist() == [10, 10]


def test_partitions_that_stand_alone_share_tasks(monkeypatch):
    calls = []

    def part(number):
        calls.append(number)
        return pd.DataFrame({"k": [number, number]})

    monkeypatch.setattr(options, "KEY_MIN_TASKS", 2)
    ddf = dd.from_map(part, range(20), meta=pd.DataFrame({"k": [0]}))
    tasks = each_partition(ddf, lambda frame: [len(frame)], flat, step="look")
    assert len(tasks) == 3
    assert calls == [], "nothing runs before it is computed"
    assert flat(dask.compute(*tasks)) == [2] * 20
    assert sorted(calls) == list(range(20))
    statistics = gather_key_statistics([(ddf, ("k",))], INT)[0]
    assert statistics.partitions.rows.tolist() == [2] * 20
    assert statistics.partitions.first.tolist() == statistics.partitions.last.tolist()
    assert np.all(np.diff(statistics.partitions.first.astype(object)) == 1)


def test_one_partition_is_held_at_a_time(monkeypatch):
    alive, most = 0, 0

    class Counted(partition_tasks.PartitionTask):
        def make(self):
            nonlocal alive, most
            frame = super().make()
            alive += 1
            most = max(most, alive)
            return frame

    def count(frame):
        nonlocal alive
        alive -= 1
        return [len(frame)]

    monkeypatch.setattr(options, "KEY_MIN_TASKS", 1)
    monkeypatch.setattr(partition_tasks, "PartitionTask", Counted)
    ddf = dd.from_map(lambda i: pd.DataFrame({"k": [i]}), range(8), meta=pd.DataFrame({"k": [0]}))
    (task,) = each_partition(ddf, count, flat, step="look")
    assert task.compute(scheduler="sync") == [1] * 8
    assert most == 1


def test_partitions_that_depend_on_others_are_made_once():
    calls = []

    def part(number):
        calls.append(number)
        return pd.DataFrame({"k": [number] * 3, "v": 0})

    ddf = dd.from_map(part, range(4), meta=pd.DataFrame({"k": [0], "v": [0]}))
    shuffled = ddf.shuffle("k", shuffle_method="tasks")
    statistics = gather_key_statistics([(shuffled, ("k",)), (shuffled, ("k",))], INT)
    assert [side.rows for side in statistics] == [12, 12]
    assert sorted(calls) == [0, 1, 2, 3]


def test_empty_frames_and_partitions():
    ddf = dd.from_pandas(pd.DataFrame({"k": pd.Series([], dtype="int64")}), npartitions=1)
    statistics = gather_key_statistics([(ddf, ("k",))], INT)[0]
    assert statistics.exact
    assert statistics.rows == int(statistics.distinct) == 0
    assert statistics.minimum is None
    frame = pd.DataFrame({"k": [3, 1, 2]})
    ddf = dd.from_map(lambda i: frame if i == 1 else frame[:0], range(3), meta=frame[:0])
    statistics = gather_key_statistics([(ddf, ("k",))], INT)[0]
    assert (statistics.minimum, statistics.maximum) == (1, 3)
    assert statistics.partitions.rows.tolist() == [0, 3, 0]


@pytest.mark.parametrize("exponent", [0.6, 1.0, 1.3])
def test_a_sampled_join_of_zipf_keys_is_narrow_and_holds_the_truth(exponent):
    left, right = zipf(1, exponent=exponent), zipf(2, exponent=exponent)
    truth = int((left["k"].value_counts() * right["k"].value_counts()).dropna().sum())
    sides = [(dd.from_pandas(frame, npartitions=6), ("k",)) for frame in (left, right)]
    statistics = gather_key_statistics(sides, INT, capacity=2**14)
    assert not any(side.exact for side in statistics)
    rows = estimate_join(*statistics, "inner", row_nbytes=8.0, on=("k",)).rows
    assert rows.lower <= truth <= rows.upper
    assert rows.upper / rows.lower <= 1.3
    for side, frame in zip(statistics, (left, right), strict=True):
        assert side.nbytes <= side.nbytes_bound
        assert side.distinct.lower <= frame["k"].nunique() <= side.distinct.upper
        counts = frame["k"].value_counts()
        assert side.heavy_error == 0
        assert side.heavy_counts.max() == counts.max()
        keys = (side.heavy_codes ^ np.uint64(1 << 63)).view(np.int64)
        assert side.heavy_counts.tolist() == counts.reindex(keys, fill_value=0).tolist()


def test_statistics_gathered_one_by_one_are_given_the_same_heavy_keys():
    left, right = zipf(1, rows=50_000), zipf(2, rows=50_000).add(1)
    sides = [(dd.from_pandas(frame, npartitions=2), ("k",)) for frame in (left, right)]
    alone = [gather_key_statistics([side], INT, capacity=2**10)[0] for side in sides]
    assert not np.array_equal(alone[0].heavy_codes, alone[1].heavy_codes)
    aligned = align_heavy_keys(sides, alone)
    together = gather_key_statistics(sides, INT, capacity=2**10)
    for one, other in zip(aligned, together, strict=True):
        np.testing.assert_array_equal(one.heavy_codes, other.heavy_codes)
        np.testing.assert_array_equal(one.heavy_counts, other.heavy_counts)
    assert align_heavy_keys(sides, aligned) == aligned


def test_the_keys_that_make_most_of_a_join_have_names_though_neither_side_named_them(monkeypatch):
    monkeypatch.setattr(options, "NAMED_HEAVY_KEYS", 2)
    monkeypatch.setattr(options, "NAMED_SAMPLE_KEYS", 1)
    only_left, only_right = np.repeat(["l0", "l1", "l2"], 50), np.repeat(["r0", "r1", "r2"], 50)
    both = np.repeat(["both"], 20)
    sides = [
        (dd.from_pandas(pd.DataFrame({"k": np.concatenate([own, both])}), npartitions=1), ("k",))
        for own in (only_left, only_right)
    ]
    statistics = gather_key_statistics(sides, STRING)
    heaviest = estimate_join(*statistics, "inner", row_nbytes=8.0, on=("k",)).heaviest
    assert [(key.key, key.output_rows) for key in heaviest] == [("both", 400)]


def test_what_later_partitions_know_changes_no_sample(monkeypatch):
    frame = zipf(3, rows=200_000, keys=100_000, exponent=0.6)
    ddf = dd.from_map(lambda i: frame.iloc[i * 10_000 : (i + 1) * 10_000], range(20), meta=frame.iloc[:0])
    monkeypatch.setattr(
        options, "KEY_MIN_TASKS", 7
    )  # two partitions a task, and tasks that wait for the first
    carried = []

    def noted(columns, schema, capacity, *, fraction):
        summary = summarise(columns, schema, capacity, fraction=fraction)
        carried.append(len(summary.codes))
        return summary

    monkeypatch.setattr("safeframe.sizing.keys.statistics.summarise", noted)
    side = gather_key_statistics([(ddf, ("k",))], INT, capacity=2**12)[0]
    monkeypatch.undo()
    parts = [summarise([ddf.partitions[i].compute()["k"]], INT, 2**12) for i in range(20)]
    whole = combine(parts)
    np.testing.assert_array_equal(side.codes, whole.codes)
    np.testing.assert_array_equal(side.counts, whole.counts)
    np.testing.assert_array_equal(side.partitions.checksums, whole.partitions.checksums)
    assert side.sample_fraction == whole.fraction
    assert sorted(carried)[11] < 0.7 * len(parts[0].codes), "the six tasks after the first four carry less"


@pytest.mark.parametrize(("hot_rows", "passes"), [(0, 1), (500, 2)])
def test_keys_that_cannot_matter_are_not_counted_once_more(hot_rows, passes):
    calls = []

    def part(number):
        calls.append(number)
        keys = np.arange(number * 500_000, (number + 1) * 500_000) * 7 % 3_000_001
        keys[:hot_rows] = 8
        return pd.DataFrame({"k": keys})

    ddf = dd.from_map(part, range(2), meta=pd.DataFrame({"k": [0]}))
    left, right = gather_key_statistics([(ddf, ("k",)), (ddf, ("k",))], INT, capacity=2**18)
    assert not left.exact
    assert len(calls) == 2 * passes, "one frame on both sides is counted once"
    truth = 1_000_000 if not hot_rows else (2 * hot_rows) ** 2 + 1_000_000 - 2 * hot_rows
    rows = estimate_join(left, right, "inner", row_nbytes=8.0, on=("k",)).rows
    assert rows.lower <= truth <= rows.upper
    assert rows.upper / rows.lower < 1.1
    loads = key_loads(left, right, "inner")
    assert loads.output.sum() == pytest.approx(truth, rel=0.05)
    assert loads.known.any() == (hot_rows > 0)


def test_values_of_keys_are_looked_for_in_slices_that_have_room(monkeypatch):
    rows = []

    def label_rows(keys, *args):
        rows.append(len(keys[0]))
        return labels.label_rows(keys, *args)

    monkeypatch.setattr(statistics, "label_rows", label_rows)
    key = pd.Series([f"key {i % 1000}" for i in range(150_000)], dtype="str")
    frame = dd.from_pandas(pd.DataFrame({"k": key}), npartitions=1, sort=False)
    sides = [(frame, ("k",)), (frame, ("k",))]
    found = gather_key_statistics(sides, STRING, room_nbytes=1)
    unnamed = [replace(side, labels={}) for side in found]
    assert any(side.labels for side in statistics._name_products(sides, unnamed, 1))
    assert sum(rows) == 150_000
    assert max(rows) <= options.KEY_MIN_SLICE_ROWS
