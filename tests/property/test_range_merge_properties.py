"""A merge of two sides in key order that is written range by range has the rows of pandas."""

from __future__ import annotations

import tempfile
from dataclasses import replace

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import safeframe
from safeframe.errors import MemoryBudgetError, RowConservationError
from safeframe.facts.merge import RangesMerge
from safeframe.planning.costs import cost_of
from safeframe.recipes.to_parquet import to_parquet
from tests.property.merging import examples, same_rows
from tests.property.test_written_stretches_properties import VALUES

HOWS = ("inner", "left", "right", "outer", "leftsemi", "leftanti")

KEYS = {
    "int": lambda numbers: numbers,
    "float": lambda numbers: numbers / 4 - 3,
    "time": lambda numbers: pd.Timestamp("2024-03-30", tz="Europe/Rome") + pd.to_timedelta(numbers, unit="h"),
    "uint8": lambda numbers: numbers.astype(np.uint8),
}
"""Kinds of keys whose codes are in their order, of ascending numbers."""


@pytest.fixture(autouse=True)
def _ranges(monkeypatch):
    # Partitions of tests fit a worker whole, and would be joined so.
    for way in ("by_sorted", "by_one_side", "by_broadcast"):
        monkeypatch.setattr(f"safeframe.planning.merge.plan.{way}", lambda *_: "partitions are too large")
    monkeypatch.setattr("safeframe.planning.merge.ranges.slice_nbytes_of", lambda task_nbytes: 300)
    # Of a few rows, the time of tasks decides.
    monkeypatch.setattr(
        "safeframe.planning.merge.ranges.cost_of",
        lambda *a, **k: replace(cost_of(*a, **k), seconds=1e-9),
    )


def in_files(frame, directory, bounds, rows):
    """Write a frame to files that end at some rows, with row groups of so many, and read it by dask."""
    for number, (start, stop) in enumerate(zip([0, *bounds], [*bounds, len(frame)], strict=True)):
        frame.iloc[start:stop].to_parquet(f"{directory}/{number:03}.parquet", row_group_size=rows)
    return dd.read_parquet(directory)


def written(merged, directory, **arguments):
    with dask.config.set(scheduler="sync"):
        to_parquet(merged, directory, strategy="rows", write_index=False, **arguments)
        return dd.read_parquet(directory).compute()


def expected_rows(left, right, how):
    if how in ("leftsemi", "leftanti"):
        met = left["k"].isin(right["k"])
        return left[met if how == "leftsemi" else ~met].reset_index(drop=True)
    return left.merge(right, on="k", how=how)


@st.composite
def sides(draw, dtype):
    frames = []
    for name in ("l", "r"):
        keys = sorted(draw(st.lists(st.integers(0, 12), max_size=40)))
        values = VALUES[dtype](len(keys))
        bounds = sorted(draw(st.lists(st.integers(0, len(keys)), max_size=4)))
        frames.append((name, np.asarray(keys, np.int64), values, bounds, draw(st.integers(1, 15))))
    return frames


@examples(60)
@given(
    st.data(),
    st.sampled_from(HOWS),
    st.sampled_from(sorted(KEYS)),
    # pandas' readers do not know the type of lists by its name.
    st.sampled_from(sorted(VALUES.keys() - {"list"})),
    st.sampled_from([None, 3]),
)
def test_rows_are_those_of_pandas(data, how, kind, dtype, written_rows):
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        frames = []
        for (name, numbers, values, bounds, rows), directory in zip(
            data.draw(sides(dtype)), (one, other), strict=True
        ):
            frame = pd.DataFrame({"k": KEYS[kind](numbers), name: np.arange(len(numbers))})
            frame[f"{name}v"] = values.set_axis(frame.index)
            frames.append(in_files(frame, directory, bounds, rows))
        merged = safeframe.merge(*frames, on="k", how=how, memory="8GiB")
        read = [side.compute(scheduler="sync") for side in frames]
        with tempfile.TemporaryDirectory() as target:
            found = written(merged, target, row_group_rows=written_rows)
        with dask.config.set(scheduler="sync"):
            made = merged.compute()
    plan = safeframe.explain(merged)
    full = all(len(side) for side in read)
    if full:
        assert isinstance(plan.streamed.run.way, RangesMerge)
        assert plan.streamed.strategy == "sorted"
        assert plan.written.staging_nbytes == 0
    by = [name for name in ("l", "r") if name in made.columns]
    same_rows(found, made.astype(found.dtypes.to_dict()), by)
    same_rows(found, expected_rows(*read, how).astype(found.dtypes.to_dict()), by)
    if full and how != "outer":
        # Rows of a file, and files, are in the order of the keys.
        assert found["k"].is_monotonic_increasing or len(found) < 2


def frames(tmp_path, keys=400, right_files=3):
    rng = np.random.default_rng(5)
    left = pd.DataFrame({"k": np.sort(rng.integers(0, keys, 900)), "a": np.arange(900) / 2})
    right = pd.DataFrame({"k": np.arange(keys), "b": [f"{i}" * 3 for i in range(keys)]})
    for name, frame, files in (("left", left, 6), ("right", right, right_files)):
        (tmp_path / name).mkdir()
        cuts = np.linspace(0, len(frame), files + 1).astype(int)[1:-1]
        # Where a key goes on in the next file, these are one range.
        in_files(frame, tmp_path / name, cuts.tolist(), 50)
    return left, right


def read(tmp_path):
    return dd.read_parquet(tmp_path / "left"), dd.read_parquet(tmp_path / "right")


@pytest.mark.parametrize("right_files", [1, 3, 7])
def test_a_partition_that_holds_keys_of_several_ranges_gives_each_its_rows(tmp_path, right_files):
    left, right = frames(tmp_path, right_files=right_files)
    merged = safeframe.merge(*read(tmp_path), on="k", how="outer", memory="8GiB")
    way = safeframe.explain(merged).streamed.run.way
    assert len(way.ranges) > 2
    touched = [number for keys in way.ranges for number in keys.right]
    assert len(touched) > len(set(touched)) == right_files
    found = written(merged, tmp_path / "out")
    expected = left.merge(right, on="k", how="outer")
    same_rows(found, expected.astype(found.dtypes.to_dict()), ["a", "b"])


def test_a_key_of_many_rows_is_joined_in_pieces(tmp_path):
    left = pd.DataFrame({"k": np.repeat([1, 5, 9], [20, 300, 20]), "a": np.arange(340)})
    right = pd.DataFrame({"k": np.repeat([1, 5, 9], [2, 200, 2])})
    right["b"] = ["wide" * 40 if key == 5 else "x" for key in right["k"]]
    for name, frame in (("left", left), ("right", right)):
        (tmp_path / name).mkdir()
        in_files(frame, tmp_path / name, [len(frame) // 2], 30)
    merged = safeframe.merge(*read(tmp_path), on="k", memory="8GiB")
    found = written(merged, tmp_path / "out")
    expected = left.merge(right, on="k")
    assert len(found) == len(expected)
    assert found.groupby("k").size().equals(expected.groupby("k").size())
    assert found["b"].value_counts().to_dict() == expected["b"].value_counts().to_dict()


def test_filters_and_columns(tmp_path):
    left, right = frames(tmp_path)
    merged = safeframe.merge(*read(tmp_path), on="k", memory="8GiB")
    some = merged[(merged["a"] > 20) & (merged["b"] != "777")][["b", "a"]]
    found = written(some, tmp_path / "out")
    expected = left.merge(right, on="k")
    expected = expected[(expected["a"] > 20) & (expected["b"] != "777")][["b", "a"]].reset_index(drop=True)
    same_rows(found, expected.astype(found.dtypes.to_dict()), ["a"])


@pytest.mark.parametrize(
    "change",
    [
        lambda left, right: (left, right.iloc[:-1]),
        lambda left, right: (left.assign(k=left["k"].to_numpy()[::-1]), right),
        lambda left, right: (left.assign(k=left["k"] + 1), right),
        lambda left, right: (left.assign(k=left["k"].replace(3, 4)), right),
        lambda left, right: (left.iloc[:-1], right),
    ],
    ids=["fewer right", "not in order", "other ends", "other keys", "fewer left"],
)
def test_an_input_that_has_changed_is_not_written(tmp_path, change):
    left, right = frames(tmp_path, right_files=1)
    merged = safeframe.merge(*read(tmp_path), on="k", memory="8GiB")
    changed = change(left, right)
    if len(changed[0]) == len(left) and changed[1] is right:
        cuts = np.linspace(0, 900, 7).astype(int)[1:-1].tolist()
        in_files(changed[0], tmp_path / "left", cuts, 50)
    else:
        in_files(changed[0], tmp_path / "left", np.linspace(0, 900, 7).astype(int)[1:-1].tolist(), 50)
        in_files(changed[1], tmp_path / "right", [], 50)
    with pytest.raises(RowConservationError):
        written(merged, tmp_path / "out")
    assert not list(tmp_path.glob("out/*.parquet"))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([1, 3, 2, 4], [1, 2, 3, 4]),
        ([1, 2, None, 3], [1, 2, 3, 4]),
        ([3, 4, 1, 2], [1, 2, 3, 4]),
    ],
    ids=["not in order", "a null", "files not in order"],
)
def test_sides_that_are_not_in_order_are_staged(tmp_path, left, right):
    for name, keys in (("left", left), ("right", right)):
        (tmp_path / name).mkdir()
        frame = pd.DataFrame({"k": pd.array(keys, "Int64"), name: range(4)})
        in_files(frame, tmp_path / name, [2], 50)
    plan = safeframe.plan_merge(*read(tmp_path), on="k", memory="8GiB", broadcast=False)
    assert plan.run.sliced is None


@pytest.mark.parametrize(
    "change", [{"partition_size": "1KiB"}, {"npartitions": 3}, {"strategy": "staged"}], ids=str
)
def test_partitions_that_were_requested_are_the_files(tmp_path, change):
    frames(tmp_path)
    plan = safeframe.plan_merge(*read(tmp_path), on="k", memory="8GiB", **change)
    assert plan.run.sliced is None


def test_a_row_too_wide_for_a_task_is_refused(tmp_path, monkeypatch):
    frames(tmp_path)
    merged = safeframe.merge(*read(tmp_path), on="k", memory="8GiB")
    monkeypatch.setattr("safeframe.engine.planned.cells.PartitionLimit.text_nbytes", 2)
    monkeypatch.setattr("safeframe.kernels.merge.cell.check_text", _refuse)
    monkeypatch.setattr("safeframe.kernels.merge.lookup.check_text", _refuse)
    with pytest.raises(MemoryBudgetError):
        written(merged, tmp_path / "out")


def _refuse(rows, *_):
    from safeframe.kernels.merge.text import TextTooLargeError

    raise TextTooLargeError(rows, 1000)


def test_the_plan_says_how_files_are_written(tmp_path):
    frames(tmp_path)
    plan = safeframe.plan_merge(*read(tmp_path), on="k", memory="8GiB")
    assert plan.staging_nbytes > 0 == plan.written.staging_nbytes
    assert "both sides are in key order: no rows move" in plan.details()
