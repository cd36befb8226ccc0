"""A merge that is written slice by slice has the rows of pandas, and the files of its partitions' rows."""

from __future__ import annotations

import tempfile
from dataclasses import replace

import dask
import dask.dataframe as dd
import fsspec
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import safeframe
from safeframe.engine.merge import sliced
from safeframe.errors import RowConservationError
from safeframe.facts.merge import SlicedMerge
from safeframe.planning.costs import cost_of
from safeframe.recipes.to_parquet import to_parquet
from tests.property.merging import examples, same_rows
from tests.property.strategies import KEY_KINDS, key_frames
from tests.property.test_written_stretches_properties import VALUES

HOWS = {"inner": "both", "left": "right", "right": "left", "leftsemi": "right", "leftanti": "right"}
"""Kinds of merges, and the side that may be held."""


@pytest.fixture(autouse=True)
def _small_slices(monkeypatch):
    # Partitions of tests fit a worker whole, and would be joined so.
    monkeypatch.setattr("safeframe.planning.merge.plan.by_broadcast", lambda *_: "partitions are too large")
    monkeypatch.setattr("safeframe.planning.merge.sliced.slice_nbytes_of", lambda task_nbytes: 300)
    # Of a few rows, the time of tasks decides.
    monkeypatch.setattr(
        "safeframe.planning.merge.sliced.cost_of", lambda *a, **k: replace(cost_of(*a, **k), seconds=-1.0)
    )


def in_files(frame, directory, rows):
    """Write a frame to two files with row groups of so many rows, and read it by dask."""
    half = len(frame) // 2
    for number, part in enumerate((frame.iloc[:half], frame.iloc[half:])):
        part.to_parquet(f"{directory}/{number}.parquet", row_group_size=rows)
    return dd.read_parquet(directory)


def written(merged, directory, **arguments):
    plan = safeframe.explain(merged)
    with dask.config.set(scheduler="sync"):
        to_parquet(merged, directory, strategy="rows", **arguments)
        return plan, dd.read_parquet(directory).compute()


def expected_rows(left, right, how, suffixes):
    if how in ("leftsemi", "leftanti"):
        met = left["k"].isin(right["k"].dropna()) | (left["k"].isna() & right["k"].isna().any())
        return left[met if how == "leftsemi" else ~met].reset_index(drop=True)
    return left.merge(right, on="k", how=how, suffixes=suffixes)


@examples(30)
@given(
    st.data(),
    st.sampled_from(sorted(HOWS)),
    st.sampled_from(sorted(KEY_KINDS)),
    # pandas' readers do not know the type of lists by its name.
    st.sampled_from(sorted(VALUES.keys() - {"list"})),
    st.integers(1, 30),
    st.sampled_from([None, 3]),
)
def test_rows_are_those_of_pandas(data, how, kind, dtype, group_rows, written_rows):
    left, right = (
        data.draw(key_frames([kind], names=["k"], extra=name)).assign(
            **{f"{name}v": lambda frame: VALUES[dtype](len(frame)).set_axis(frame.index)}
        )
        for name in ("l", "r")
    )
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        sides = in_files(left, one, group_rows), in_files(right, other, group_rows)
        merged = safeframe.merge(*sides, on="k", how=how, memory="8GiB")
        # What dask reads is what pandas is asked for: types of keys and values come from files.
        read = [side.compute(scheduler="sync") for side in sides]
        with tempfile.TemporaryDirectory() as target:
            plan, found = written(merged, target, row_group_rows=written_rows, write_index=False)
        with dask.config.set(scheduler="sync"):
            made = merged.compute()
    if plan.strategy == "sorted" or plan.run.sliced is None:
        return  # in order already, or a key of so many rows that one row makes more than a slice
    assert plan.streamed.strategy == "broadcast"
    assert plan.streamed.output_partitions == 2
    by = [name for name in ("l", "r") if name in made.columns]
    made = made.astype(found.dtypes.to_dict())
    same_rows(found, made, by)
    expected = expected_rows(*read, how, ("_x", "_y"))
    same_rows(found, expected.astype(found.dtypes.to_dict()), by)


def frames(tmp_path, left_rows=400, right_rows=20):
    rng = np.random.default_rng(3)
    left = pd.DataFrame({"k": rng.integers(0, 30, left_rows), "a": np.arange(left_rows) / 2})
    left["s"] = [f"word {i}" for i in range(left_rows)]
    right = pd.DataFrame({"k": np.arange(right_rows)[::-1], "b": [f"{i}" * 3 for i in range(right_rows)]})
    for name, frame in (("left", left), ("right", right)):
        (tmp_path / name).mkdir()
        in_files(frame, tmp_path / name, 50)
    return left, right


def read(tmp_path):
    return dd.read_parquet(tmp_path / "left"), dd.read_parquet(tmp_path / "right")


def test_files_have_the_order_of_the_side_that_stays_and_an_index_that_counts(tmp_path):
    left, right = frames(tmp_path)
    merged = safeframe.merge(*read(tmp_path), on="k", how="left", memory="8GiB")
    plan, _ = written(merged, tmp_path / "out")
    assert isinstance(plan.streamed.run.way, SlicedMerge)
    expected = left.merge(right, on="k", how="left")
    for number, lo in enumerate((0, 200)):
        file = pd.read_parquet(tmp_path / "out" / f"part.{number}.parquet")
        assert file.index.tolist() == list(range(200))
        some = expected.iloc[lo : lo + 200].reset_index(drop=True)
        same_rows(file, some.astype(file.dtypes.to_dict()), ["a"])
        assert file["a"].is_monotonic_increasing


def test_a_key_that_multiplies_is_joined_in_pieces(tmp_path):
    left, right = frames(tmp_path, right_rows=3)
    right = pd.concat([right] * 25)
    in_files(right, tmp_path / "right", 50)
    merged = safeframe.merge(*read(tmp_path), on="k", how="left", memory="8GiB")
    plan, found = written(merged, tmp_path / "out", write_index=False)
    if plan.run.sliced is not None:
        assert plan.run.sliced.way.piece_rows < 10
    expected = left.merge(right, on="k", how="left")
    assert len(found) == len(expected)
    assert found.groupby("k").size().equals(expected.groupby("k").size())


@pytest.mark.parametrize(
    "change",
    [{"partition_size": "1KiB"}, {"npartitions": 3}, {"strategy": "staged"}, {"broadcast": False}],
    ids=str,
)
def test_partitions_that_were_requested_are_the_files(tmp_path, change):
    frames(tmp_path)
    plan = safeframe.plan_merge(*read(tmp_path), on="k", memory="8GiB", **change)
    assert plan.run.sliced is None


def test_filters_and_columns(tmp_path):
    left, right = frames(tmp_path)
    merged = safeframe.merge(*read(tmp_path), on="k", memory="8GiB")
    some = merged[merged["a"] > 20][["b", "a"]]
    _, found = written(some, tmp_path / "out", write_index=False)
    expected = left.merge(right, on="k")
    expected = expected[expected["a"] > 20][["b", "a"]].reset_index(drop=True)
    same_rows(found, expected.astype(found.dtypes.to_dict()), ["a"])
    assert len(list((tmp_path / "out").glob("*.parquet"))) == 2


def test_names_are_those_of_partitions(tmp_path):
    frames(tmp_path)
    merged = safeframe.merge(*read(tmp_path), on="k", memory="8GiB")
    names = [f"{letter}.parquet" for letter in "abc"]
    assert merged.npartitions == len(names)
    written(merged, tmp_path / "out", name_function=names.__getitem__)
    assert sorted(path.name for path in (tmp_path / "out").glob("*.parquet")) == names


def test_no_file_of_the_dataset_is_replaced_when_others_are_appended(tmp_path):
    left, right = frames(tmp_path)
    merged = safeframe.merge(*read(tmp_path), on="k", memory="8GiB", how="left")
    expected = left.merge(right, on="k", how="left")
    for target in (str(tmp_path / "out"), f"memory://{tmp_path.name}"):
        fs, place = fsspec.url_to_fs(target)
        fs.makedirs(place, exist_ok=True)
        for number in (0, 3):
            with fs.open(f"{place}/part.{number}.parquet", "wb") as sink:
                expected.iloc[:7].to_parquet(sink, index=False)
        with dask.config.set(scheduler="sync"):
            to_parquet(merged, target, append=True, strategy="rows", write_index=False)
            found = dd.read_parquet(target).compute()
        assert len(found) == len(expected) + 14
        fs.rm(place, recursive=True)


def test_an_input_that_has_changed_is_not_written(tmp_path):
    left, _ = frames(tmp_path)
    merged = safeframe.merge(*read(tmp_path), on="k", memory="8GiB")
    left.iloc[:150].to_parquet(tmp_path / "left" / "0.parquet", row_group_size=50)
    with pytest.raises(RowConservationError):
        written(merged, tmp_path / "out")
    assert not list((tmp_path).glob("out/*.parquet"))


def test_the_plan_says_how_files_are_written(tmp_path):
    frames(tmp_path)
    plan = safeframe.plan_merge(*read(tmp_path), on="k", memory="8GiB")
    assert plan.staging_nbytes > 0 == plan.written.staging_nbytes
    assert "2 files: the right side takes" in plan.details()
    assert [step.tasks for step in plan.written.steps] == [1, 2]


@pytest.mark.parametrize(("rows", "groups"), [(1, [1] * 200), (3, [3] * 66 + [2]), (1000, None)])
def test_row_groups_have_the_rows_that_were_requested_however_slices_end(tmp_path, rows, groups):
    frames(tmp_path)
    merged = safeframe.merge(*read(tmp_path), on="k", how="left", memory="8GiB")
    written(merged, tmp_path / "out", row_group_rows=rows)
    file = pq.ParquetFile(tmp_path / "out" / "part.1.parquet").metadata
    found = [file.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert sum(found) == 200
    assert groups is None or found == groups


@pytest.mark.parametrize("how", ["left", "inner"])
def test_a_wide_value_of_a_key_that_lies_together(tmp_path, monkeypatch, how):
    left = pd.DataFrame({"k": np.repeat([1, 5, 2], [100, 200, 100]), "a": np.arange(400)})
    right = pd.DataFrame({"k": np.arange(40)[::-1]})
    right["b"] = ["wide" * 50 if key == 5 else "x" for key in right["k"]]
    for name, frame in (("left", left), ("right", right)):
        (tmp_path / name).mkdir()
        in_files(frame, tmp_path / name, 500)
    made = []
    real = sliced.joined_with

    def joined(*given):
        made.append(real(*given))
        return made[-1]

    monkeypatch.setattr(sliced, "joined_with", joined)
    merged = safeframe.merge(*read(tmp_path), on="k", how=how, memory="8GiB")
    _, found = written(merged, tmp_path / "out", write_index=False)
    expected = left.merge(right, on="k", how=how)
    same_rows(found, expected.astype(found.dtypes.to_dict()), ["a"])
    assert max(frame.memory_usage(deep=True).sum() for frame in made) < 3 * 300
