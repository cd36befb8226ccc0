"""A broadcast whose partitions are cut gives the rows of pandas.merge, each piece within its bound."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import safeframe
from safeframe import options
from safeframe.errors import ValidationError
from tests.property.merging import examples, in_dask, merged, merged_collection, same_rows
from tests.property.strategies import KEY_KINDS, key_frames, partitioned


@examples(40)
@given(
    data=st.data(),
    kind=st.sampled_from(sorted(KEY_KINDS)),
    how=st.sampled_from(["inner", "left", "right"]),
    nbytes=st.sampled_from([60, 150, 400]),
)
def test_one_key_of_any_kind(data, kind, how, nbytes):
    left = data.draw(key_frames([kind], names=["k"], extra="l"))
    right = data.draw(key_frames([kind], names=["k"], extra="r"))
    sides = data.draw(partitioned(left)), data.draw(partitioned(right))
    try:
        result, plan = merged(*sides, how=how, on="k", partition_size=nbytes, strategy="broadcast")
    except ValidationError as error:
        if "one row of the other side can make" not in str(error):
            raise
        return
    assert plan.largest_partition_nbytes <= nbytes + plan.row_nbytes
    same_rows(result, left.merge(right, how=how, on="k"), ["l", "r"])


def sides(kind, tmp_path):
    rng = np.random.default_rng(3)
    left = pd.DataFrame(
        {"k": rng.integers(0, 12, 200), "s": rng.choice(["u", "v", ""], 200), "a": range(200)}
    )
    left.loc[::17, "s"] = None
    right = pd.DataFrame({"k": np.repeat(np.arange(9), 2), "b": np.arange(18) / 7})
    if kind == "parquet":
        for number in range(3):
            left[number * 70 : (number + 1) * 70].to_parquet(tmp_path / f"{number}.parquet", index=False)
        return left, dd.read_parquet(tmp_path), right
    frame = in_dask(left, 1 if kind == "one partition" else 4)
    if kind == "an opaque step":
        frame = frame.map_partitions(lambda part: part.iloc[::-1], meta=frame._meta)
    if kind == "some that are empty":
        frame = dd.concat([frame.partitions[0], frame.partitions[1].query("a < 0"), frame.partitions[1:]])
    if kind == "persisted":
        frame = frame.persist(scheduler="sync")
    return left, frame, right


KINDS = ["parquet", "pandas", "one partition", "an opaque step", "some that are empty", "persisted"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["inner", "left", "leftsemi", "leftanti"])
def test_a_side_that_comes_in_any_way(kind, how, tmp_path):
    left, frame, right = sides(kind, tmp_path)
    collection, plan, result = merged_collection(
        frame, in_dask(right, 2), on="k", how=how, partition_size=600, strategy="broadcast"
    )
    assert max(plan.run.way.pieces) > 1
    if how in ("leftsemi", "leftanti"):
        expected = left[left["k"].isin(right["k"]) == (how == "leftsemi")].assign(b=0.0)
        result = result.assign(b=0.0)
    else:
        expected = left.merge(right, on="k", how=how)
    # dask's strings are of its own type.
    found, wanted = (frame.assign(s=frame["s"].astype(object).fillna("-")) for frame in (result, expected))
    same_rows(found, wanted, ["a", "b"])
    with dask.config.set(scheduler="sync"):
        assert len(collection) == len(result) == int(plan.output_rows)
        sizes = [len(collection.partitions[number].compute()) for number in range(collection.npartitions)]
        assert sum(sizes) == len(result)
        assert collection["a"].sum().compute() == result["a"].sum()
        few = collection[collection["a"] > 150]
        assert sorted(few["a"].compute()) == sorted(result["a"][result["a"] > 150])
        assert few.npartitions == collection.npartitions


def test_a_cross_join():
    left, right = pd.DataFrame({"a": range(40)}), pd.DataFrame({"b": range(6)})
    result, plan = merged(
        in_dask(left, 3), in_dask(right, 1), how="cross", partition_size=500, strategy="broadcast"
    )
    assert max(plan.run.way.pieces) > 1
    same_rows(result, left.merge(right, how="cross"), ["a", "b"])


def test_rows_keep_the_order_of_their_index_and_divisions_are_not_known():
    index = pd.Index(np.sort(np.random.default_rng(0).integers(0, 50, 90)), name="i")
    left = dd.from_pandas(pd.DataFrame({"k": np.arange(90) % 7, "a": range(90)}, index=index), npartitions=3)
    right = pd.DataFrame({"b": range(12)}, index=np.repeat(np.arange(6), 2))
    collection, plan, result = merged_collection(
        left,
        in_dask(right, 1),
        left_on="k",
        right_index=True,
        how="left",
        partition_size=400,
        strategy="broadcast",
    )
    assert max(plan.run.way.pieces) > 1
    assert not collection.known_divisions
    assert result["a"].is_monotonic_increasing
    expected = left.compute(scheduler="sync").merge(right, left_on="k", right_index=True, how="left")
    same_rows(result, expected, ["a", "b"], index=True)


def test_rows_that_come_after_the_plan_are_found(tmp_path):
    _, frame, right = sides("parquet", tmp_path)
    collection = safeframe.merge(frame, right, on="k", how="left", partition_size=600, strategy="broadcast")
    path = tmp_path / "1.parquet"
    pd.concat([pd.read_parquet(path)] * 2).to_parquet(path, index=False)
    with dask.config.set(scheduler="sync"), pytest.raises(safeframe.RowConservationError):
        collection.compute()


@pytest.mark.parametrize("how", ["inner", "left"])
def test_partitions_that_no_worker_holds_besides_a_piece_are_made_again_for_each(how, tmp_path, monkeypatch):
    monkeypatch.setattr(options, "ORDERED_WAITING", 1e9)
    left, frame, right = sides("parquet", tmp_path)
    collection, plan, result = merged_collection(
        frame,
        in_dask(right.drop_duplicates("k"), 2),
        on="k",
        how=how,
        partition_size=2000,
        strategy="broadcast",
    )
    assert plan.run.way.pieces == (2, 2, 2)
    assert plan.run.way.again
    assert plan.cost.read_nbytes > 2 * 200 * 16
    assert [step.tasks for step in plan.steps] == [1, 0, 6]
    expected = left.merge(right.drop_duplicates("k"), on="k", how=how)
    assert sorted(result["a"]) == sorted(expected["a"])
    few = collection[collection["a"] > 150]
    assert sorted(few["a"].compute(scheduler="sync")) == sorted(expected["a"][expected["a"] > 150])
