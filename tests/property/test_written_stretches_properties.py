"""A recipe's partitions that are written in stretches are the files of partitions that are made first."""

from __future__ import annotations

import tempfile
from pathlib import Path

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import safeframe
from safeframe.engine.parquet import nodes
from safeframe.engine.planned.cells import CellRows
from safeframe.planning.sort import plan
from safeframe.recipes.to_parquet import to_parquet
from tests.property.merging import examples, in_dask
from tests.property.strategies import KEY_KINDS, key_frames

HOWS = ("inner", "left", "right", "outer", "leftsemi", "leftanti")

VALUES = {
    "str": lambda n: pd.Series([None if i % 5 == 0 else f"value {i % 7}" for i in range(n)], dtype="str"),
    "int": lambda n: pd.Series(np.arange(n), dtype="int32"),
    "decimal": lambda n: pd.Series(
        pa.array([None if i % 4 == 0 else i for i in range(n)], pa.int64())
        .cast(pa.decimal128(20, 0))
        .to_pandas(),
        dtype=pd.ArrowDtype(pa.decimal128(20, 2)),
    ),
    "date": lambda n: pd.Series(
        [None if i % 3 == 0 else i for i in range(n)], dtype=pd.ArrowDtype(pa.int32())
    ).astype(pd.ArrowDtype(pa.date32())),
    "list": lambda n: pd.Series(
        [None if i % 6 == 0 else [i] * (i % 3) for i in range(n)], dtype=pd.ArrowDtype(pa.list_(pa.int64()))
    ),
    "Int64": lambda n: pd.Series([None if i % 2 else i for i in range(n)], dtype="Int64"),
    "category": lambda n: pd.Series(pd.Categorical([f"c{i % 3}" for i in range(n)])),
    "time": lambda n: pd.Series(pd.date_range("2024", periods=n, freq="h", tz="Europe/Berlin")),
}
"""Columns of values, some of them missing."""


def written(ddf, directory, *, in_stretches, group_rows, write_index):
    with pytest.MonkeyPatch.context() as patch, dask.config.set(scheduler="sync"):
        if not in_stretches:
            patch.setattr(nodes, "is_addressed", lambda frame: False)
            patch.setattr(nodes, "streamed", lambda frame, dataset: (frame, None))
        to_parquet(ddf, directory, row_group_rows=group_rows, write_index=write_index, strategy="rows")
    return {path.name: pq.ParquetFile(path) for path in Path(directory).glob("*.parquet")}


def same_files(ddf, *, group_rows, write_index):
    """Write a frame in both ways, compare the files to the row group, and return how many row groups they have."""
    with tempfile.TemporaryDirectory() as directory:
        arguments = {"group_rows": group_rows, "write_index": write_index}
        found = written(ddf, f"{directory}/found", in_stretches=True, **arguments)
        expected = written(ddf, f"{directory}/expected", in_stretches=False, **arguments)
        assert found.keys() == expected.keys()
        for name, file in found.items():
            other = expected[name]
            assert file.schema_arrow.equals(other.schema_arrow, check_metadata=True)
            assert file.read().equals(other.read())
            groups = [
                [one.metadata.row_group(i).num_rows for i in range(one.num_row_groups)]
                for one in (file, other)
            ]
            assert groups[0] == groups[1]
        return max(file.num_row_groups for file in found.values())


@examples(20)
@given(
    st.data(),
    st.sampled_from(HOWS),
    st.sampled_from(sorted(KEY_KINDS)),
    st.sampled_from(sorted(VALUES)),
    st.sampled_from(["128B", "2KiB"]),
    st.integers(1, 9),
    st.booleans(),
)
def test_a_merge(data, how, kind, dtype, partition_size, group_rows, write_index):
    left, right = (
        data.draw(key_frames([kind], names=["k"], extra=name)).assign(
            **{f"{name}v": lambda frame: VALUES[dtype](len(frame)).set_axis(frame.index)}
        )
        for name in ("l", "r")
    )
    merged = safeframe.merge(
        in_dask(left, 2),
        in_dask(right, 1),
        on="k",
        how=how,
        suffixes=("_l", "_r"),
        strategy="staged",
        partition_size=partition_size,
        memory="8GiB",
    )
    same_files(merged, group_rows=group_rows, write_index=write_index)


@examples(15)
@given(
    st.data(),
    st.sampled_from(sorted(KEY_KINDS)),
    st.sampled_from(sorted(VALUES)),
    st.integers(1, 9),
    st.sampled_from(["sort", "index", "shuffle", "descending", "nulls first"]),
    st.booleans(),
    st.integers(20, 2000),
)
def test_a_sort(data, kind, dtype, group_rows, recipe, write_index, shard_nbytes):
    frame = data.draw(key_frames([kind], names=["k"], extra="v")).assign(
        x=lambda frame: VALUES[dtype](len(frame)).set_axis(frame.index)
    )
    ddf = in_dask(frame, 2)
    given = {"memory": "8GiB", "npartitions": 2}
    with pytest.MonkeyPatch.context() as patch:
        # Partitions of several shards, as large ones have.
        patch.setattr(plan, "default_shard_nbytes", lambda task_nbytes: shard_nbytes)
        made = _sorted(ddf, recipe, given)
    files = same_files(made, group_rows=group_rows, write_index=write_index)
    assert files
    if recipe == "shuffle":
        return
    with dask.config.set(scheduler="sync"):
        found, expected = (one.compute() for one in (made, _sorted(ddf, recipe, given)))
    pd.testing.assert_frame_equal(found, expected)


def _sorted(ddf, recipe, given):
    match recipe:
        case "sort":
            return safeframe.sort_values(ddf, "k", **given)
        case "descending":
            return safeframe.sort_values(ddf, "k", ascending=False, **given)
        case "nulls first":
            return safeframe.sort_values(ddf, "k", na_position="first", **given)
        case "index":
            return safeframe.set_index(ddf.dropna(subset=["k"]), "k", **given)
    return safeframe.shuffle(ddf, "k", **given)


def test_a_sort_of_many_shards_and_stretches(monkeypatch):
    monkeypatch.setattr(plan, "default_shard_nbytes", lambda task_nbytes: 2000)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"k": rng.integers(0, 10**6, 3000), "s": [f"row {i}" for i in range(3000)]})
    ordered = safeframe.sort_values(in_dask(frame, 3), "k", npartitions=2, memory="8GiB")
    run = safeframe.explain(ordered).run.way
    assert run.shards.layout.n_shards > 20 > run.shards.largest_rows / 100
    assert same_files(ordered, group_rows=70, write_index=False) > 20
    with dask.config.set(scheduler="sync"):
        found = ordered.compute().reset_index(drop=True)
    pd.testing.assert_frame_equal(found, frame.sort_values("k", kind="stable", ignore_index=True))


def test_an_ordered_merge_of_many_stretches():
    left = pd.DataFrame({"k": np.repeat(np.arange(50), 3), "a": np.arange(150.0)})
    right = pd.DataFrame({"k": np.repeat(np.arange(50), 2), "s": [f"word {i}" for i in range(100)]})
    merged = safeframe.sorted_merge(in_dask(left, 2), in_dask(right, 2), on="k", how="outer", memory="8GiB")
    assert same_files(merged, group_rows=7, write_index=False) > 3


def test_a_merge_of_many_stretches(monkeypatch):
    made = []
    real = CellRows.stretches
    monkeypatch.setattr(CellRows, "stretches", lambda *given: (made.append(f) or f for f in real(*given)))
    left = pd.DataFrame({"k": np.arange(500) % 50, "a": np.arange(500.0)})
    right = pd.DataFrame({"k": np.arange(100) % 50, "s": [f"word {i}" for i in range(100)]})
    merged = safeframe.merge(
        in_dask(left, 2), in_dask(right, 2), on="k", strategy="staged", npartitions=1, memory="8GiB"
    )
    assert same_files(merged, group_rows=100, write_index=True) == 10
    assert [len(frame) for frame in made] == [100] * 10
    # Columns of it, too.
    made.clear()
    assert same_files(merged[["s", "a"]], group_rows=100, write_index=True) == 10
    assert [len(frame) for frame in made] == [100] * 10


@examples(15)
@given(
    st.data(),
    st.sampled_from(["inner", "left", "leftsemi", "leftanti"]),
    st.sampled_from(sorted(KEY_KINDS)),
    st.sampled_from(sorted(VALUES)),
    st.integers(1, 9),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_a_broadcast(data, how, kind, dtype, group_rows, write_index, in_pieces, by_index):
    left, right = (
        data.draw(key_frames([kind], names=["k"], extra=name)).assign(
            **{f"{name}v": lambda frame: VALUES[dtype](len(frame)).set_axis(frame.index)}
        )
        for name in ("l", "r")
    )
    by = {"on": "k"}
    if by_index:
        right = right.drop_duplicates("k").dropna(subset=["k"]).set_index("k")
        by = {"left_on": "k", "right_index": True}
    merged = safeframe.merge(
        in_dask(left, 2),
        in_dask(right, 1),
        **by,
        how=how,
        suffixes=("_l", "_r"),
        strategy="broadcast",
        partition_size="1KiB" if in_pieces else "1GiB",
        memory="8GiB",
    )
    same_files(merged, group_rows=group_rows, write_index=write_index)


@pytest.mark.parametrize("from_files", [True, False])
@pytest.mark.parametrize("by_index", [True, False])
def test_a_broadcast_of_many_stretches(monkeypatch, tmp_path, from_files, by_index):
    made = []
    real = CellRows.stretches
    monkeypatch.setattr(CellRows, "stretches", lambda *given: (made.append(f) or f for f in real(*given)))
    left = pd.DataFrame({"k": np.arange(500) % 50, "a": np.arange(500.0)})
    right = pd.DataFrame({"k": np.arange(100) % 50, "s": [f"word {i}" for i in range(100)]})
    large, small = in_dask(left, 2), in_dask(right, 1)
    if from_files:
        to_parquet(large, tmp_path / "left")
        large = dd.read_parquet(tmp_path / "left")
        large["a"] += 1
    by = {"on": "k"}
    if by_index:
        small, by = in_dask(right.set_index("k"), 1), {"left_on": "k", "right_index": True}
    merged = safeframe.merge(large, small, **by, strategy="broadcast", partition_size="1MiB", memory="8GiB")
    assert same_files(merged, group_rows=100, write_index=True) == 5
    assert [len(frame) for frame in made] == [100] * 10
