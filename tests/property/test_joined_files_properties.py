"""A merge that is written without its rows has the rows of pandas' merge, whoever reads it."""

from __future__ import annotations

import tempfile
from unittest import mock

import dask
import dask.dataframe as dd
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import safeframe
from safeframe import options
from tests.property.merging import HOWS, in_dask
from tests.property.strategies import KEY_KINDS, key_frames, partitioned

NATIVE = {"scheduler": "sync", "dataframe.convert-string": False}


def written(left, right, directory, **arguments):
    """Write a merge both ways, and give the blocks' path, pandas' reading of both, and the merge."""
    given = {name: arguments.pop(name) for name in ("row_group_rows", "write_index") if name in arguments}
    merged = safeframe.merge(left, right, staging=f"{directory}/staging", memory="1GiB", **arguments)
    for strategy in ("blocks", "rows"):
        safeframe.to_parquet(
            merged, f"{directory}/{strategy}", strategy=strategy, **{"write_index": False, **given}
        )
    found = [pd.read_parquet(f"{directory}/{strategy}") for strategy in ("blocks", "rows")]
    return f"{directory}/blocks", *found


def in_order(frame, by):
    return frame.sort_values(by, na_position="last", ignore_index=True)


@pytest.fixture(autouse=True, scope="module")
def _small_pages():
    """Pages of a few rows, and no fan-out that is too small."""
    with (
        mock.patch.object(options, "JOINED_PAGE_ROWS", 12),
        mock.patch.object(options, "JOINED_RIGHT_ROWS", 6),
        mock.patch.object(options, "JOINED_SHARED_ROWS", 10),
        mock.patch.object(options, "WRITE_FANOUT", 0.0),
    ):
        yield


@settings(max_examples=40)
@given(
    data=st.data(),
    # Decimals have no form in these files: they are written as rows, and strategy="blocks" says so.
    kind=st.sampled_from(sorted(set(KEY_KINDS) - {"decimal"})),
    how=st.sampled_from(HOWS),
    group_rows=st.sampled_from([1, 7, 40, 10_000]),
    file_nbytes=st.sampled_from([300, 2000, 2**27]),
)
def test_rows_are_those_of_pandas(data, kind, how, group_rows, file_nbytes):
    left = data.draw(key_frames([kind], names=["k"], extra="l"))
    right = data.draw(key_frames([kind], names=["k"], extra="r"))
    sides = data.draw(partitioned(left)), data.draw(partitioned(right))
    with (
        tempfile.TemporaryDirectory() as directory,
        dask.config.set(NATIVE),
        mock.patch.object(options, "JOINED_FILE_NBYTES", file_nbytes),
    ):
        path, blocks, rows = written(*sides, directory, how=how, on="k", row_group_rows=group_rows)
        expected = left.merge(right, how=how, on="k")
        assert list(blocks.columns) == list(expected.columns)
        by = ["l", "r"]
        pd.testing.assert_frame_equal(
            in_order(blocks, by), in_order(rows, by), check_exact=True, check_categorical=False
        )
        pd.testing.assert_frame_equal(
            in_order(blocks.astype({"k": object}), by),
            in_order(expected.astype({"k": object}), by),
            check_dtype=False,
        )
        sums = duckdb.sql(
            f"select count(*), count(k), sum(l), sum(r), sum(both_x), sum(both_y) from '{path}/*.parquet'"
        ).fetchall()[0]
        wanted = (
            len(expected),
            expected["k"].count(),
            *(expected[c].sum(min_count=1) for c in ("l", "r", "both_x", "both_y")),
        )
        np.testing.assert_allclose(
            [np.nan if x is None else float(x) for x in sums], np.array(wanted, "float64"), rtol=1e-12
        )


def columns_of_every_kind(rows, prefix, seed):
    rng = np.random.default_rng(seed)
    holes = rng.random(rows) < 0.2
    return {
        f"{prefix}i": rng.integers(-5, 2**40, rows),
        f"{prefix}u": rng.integers(0, 200, rows).astype("uint8"),
        f"{prefix}f": np.where(holes, np.nan, rng.normal(size=rows)),
        f"{prefix}g": rng.random(rows).astype("float32"),
        f"{prefix}s": pd.Series(rng.integers(0, 9, rows)).map("wörd {}".format).mask(holes),
        f"{prefix}b": pd.array(np.where(holes, None, rng.random(rows) < 0.5), dtype="boolean"),
        f"{prefix}t": pd.Timestamp("2024") + pd.to_timedelta(rng.integers(0, 10**6, rows), "s"),
        f"{prefix}c": pd.Categorical.from_codes(rng.integers(-1, 2, rows), ["v", "w"]),
        f"{prefix}oc": pd.Categorical.from_codes(
            rng.integers(-1, 2, rows), ["z", "b", "unused", "a"], ordered=True
        ),
        f"{prefix}n": pd.array(np.where(holes, None, 7), dtype="Int64"),
        f"{prefix}row": np.arange(rows),
    }


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("compression", ["auto", "snappy", "lz4", None])
def test_every_type_and_every_reader(tmp_path, how, compression):
    rng = np.random.default_rng(3)
    left = pd.DataFrame({"k": rng.integers(0, 9, 200), **columns_of_every_kind(200, "l", 1)})
    right = pd.DataFrame({"k": rng.integers(2, 11, 120), **columns_of_every_kind(120, "r", 2)})
    with dask.config.set(NATIVE):
        merged = safeframe.merge(in_dask(left, 3), in_dask(right, 2), how=how, on="k", staging=str(tmp_path))
        out = tmp_path / "out"
        safeframe.to_parquet(
            merged, out, strategy="blocks", write_index=False, compression=compression, row_group_rows=300
        )
    by = ["lrow", "rrow"]
    expected = in_order(left.merge(right, how=how, on="k"), by)
    back = in_order(pd.read_parquet(out), by)
    pd.testing.assert_frame_equal(back, expected, check_exact=True)
    plain = {
        "lc": object,
        "rc": object,
        "loc": object,
        "roc": object,
        "ls": object,
        "rs": object,
        "lb": object,
        "rb": object,
    }
    for reader in (
        lambda: duckdb.sql(f"select * from '{out}/*.parquet'").arrow().read_all(),
        lambda: pl.read_parquet(f"{out}/*.parquet").to_arrow(),
    ):
        found = in_order(reader().to_pandas(), by)
        for name in expected:
            one, other = found[name], expected[name]
            assert (one.isna() == other.isna()).all(), name
            there = other.notna()
            if name in plain:
                assert list(one[there].astype(object)) == list(other[there].astype(object)), name
            else:
                kind = "M8[us]" if name.endswith("t") else "float64"
                np.testing.assert_array_equal(
                    one[there].to_numpy().astype(kind), other[there].to_numpy().astype(kind)
                )


def test_bounds_of_a_row_group_are_those_of_its_rows(tmp_path):
    rng = np.random.default_rng(3)
    left = pd.DataFrame({"k": rng.integers(0, 9, 200), **columns_of_every_kind(200, "l", 1)})
    right = pd.DataFrame({"k": rng.integers(2, 11, 120), **columns_of_every_kind(120, "r", 2)})
    left.loc[:10, "lf"] = [0.0, -0.0] * 5 + [0.0]
    with dask.config.set(NATIVE):
        merged = safeframe.merge(in_dask(left, 3), in_dask(right, 2), on="k", staging=str(tmp_path))
        safeframe.to_parquet(
            merged, tmp_path / "out", strategy="blocks", write_index=False, row_group_rows=100
        )
    file = pq.ParquetFile(tmp_path / "out" / "part.0.parquet")
    assert file.num_row_groups > 10
    keys = set()
    for number in range(file.num_row_groups):
        rows = file.read_row_group(number)
        group = file.metadata.row_group(number)
        assert group.num_rows == len(rows) <= 100
        for at, name in enumerate(rows.column_names):
            column, statistics = rows.column(name).drop_null(), group.column(at).statistics
            assert statistics.null_count == len(rows) - len(column)
            if statistics.has_min_max:
                values = column.to_pandas().astype(object if name[-1] in "cs" else column.to_pandas().dtype)
                assert statistics.min <= min(values)
                assert max(values) <= statistics.max
            else:
                assert name[-1] == "b" or len(column) == 0
        keys.add((group.column(0).statistics.min, group.column(0).statistics.max))
    assert any(low == high for low, high in keys), "a key with many rows has row groups of its own"


def test_an_index_that_counts_rows_counts_those_of_each_file(tmp_path):
    frame = pd.DataFrame({"k": np.arange(40) // 10, "a": np.arange(40)})
    with dask.config.set(NATIVE), mock.patch.object(options, "JOINED_FILE_NBYTES", 200):
        _, blocks, rows = written(
            in_dask(frame, 2), in_dask(frame, 2), str(tmp_path), on="k", write_index=True
        )
    files = sorted((tmp_path / "blocks").iterdir())
    assert len(files) > 1
    for file in files:
        index = pd.read_parquet(file).index
        assert list(index) == list(range(len(index)))
        assert index.name == rows.index.name
    assert len(blocks) == len(rows)


@pytest.mark.parametrize("how", HOWS)
def test_an_index_as_key_is_written(tmp_path, how):
    rng = np.random.default_rng(0)
    # Words, which are in no order: partitions that are ranges of their index are written as rows.
    words = np.array(["e", "b", "c", "f", "a", "d", "g"])
    left = pd.DataFrame({"a": np.arange(60)}, index=pd.Index(words[rng.integers(0, 5, 60)], name="i"))
    right = pd.DataFrame({"b": np.arange(50)}, index=pd.Index(words[rng.integers(1, 7, 50)], name="i"))
    with dask.config.set(NATIVE):
        _, blocks, _ = written(
            in_dask(left, 2), in_dask(right, 2), str(tmp_path), how=how,
            left_index=True, right_index=True, write_index=True,
        )  # fmt: skip
    expected = left.merge(right, how=how, left_index=True, right_index=True).reset_index()
    pd.testing.assert_frame_equal(
        in_order(blocks.reset_index(), ["a", "b"]), in_order(expected, ["a", "b"]), check_dtype=False
    )


@pytest.mark.parametrize("how", HOWS)
def test_keys_that_fill_files_and_are_on_one_side_only(tmp_path, how):
    left = pd.DataFrame({"k": [1.0] * 90 + [2.0] * 70 + [np.nan] * 80, "a": np.arange(240)})
    right = pd.DataFrame({"k": [3.0] * 90 + [2.0] * 60 + [np.nan] * 50, "b": np.arange(200)})
    with dask.config.set(NATIVE), mock.patch.object(options, "JOINED_FILE_NBYTES", 300):
        _, blocks, _ = written(in_dask(left, 2), in_dask(right, 2), str(tmp_path), how=how, on="k")
    assert len(list((tmp_path / "blocks").iterdir())) > 10
    expected = left.merge(right, how=how, on="k")
    by = ["a", "b"]
    pd.testing.assert_frame_equal(in_order(blocks, by), in_order(expected, by), check_dtype=False)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("side", ["a", "b"])
def test_a_filter_of_one_side_may_leave_a_key_without_rows(tmp_path, how, side):
    left = pd.DataFrame({"k": [1] * 90 + [2] * 70, "a": np.arange(160)})
    right = pd.DataFrame({"k": [1] * 90 + [2] * 60, "b": np.arange(150)})
    with dask.config.set(NATIVE), mock.patch.object(options, "JOINED_FILE_NBYTES", 300):
        merged = safeframe.merge(
            in_dask(left, 2), in_dask(right, 2), on="k", how=how, staging=str(tmp_path / "staging")
        )
        filtered = merged[merged[side] >= 90]
        safeframe.to_parquet(filtered, tmp_path / "out", write_index=False)
    expected = left.merge(right, how=how, on="k")
    expected = expected[expected[side] >= 90]
    found = pd.read_parquet(tmp_path / "out")
    pd.testing.assert_frame_equal(
        in_order(found, ["a", "b"]), in_order(expected, ["a", "b"]), check_dtype=False
    )


def test_an_object_store(tmp_path):
    import fsspec

    frame = pd.DataFrame({"k": np.arange(60) % 2, "a": np.arange(60)})
    with dask.config.set(NATIVE):
        merged = safeframe.merge(in_dask(frame, 2), in_dask(frame, 2), on="k", staging=str(tmp_path))
        safeframe.to_parquet(merged, "memory://joined/out", strategy="blocks", write_index=False)
        found = pd.read_parquet("memory://joined/out")
        with pytest.raises(safeframe.UnsupportedError, match="local path"):
            safeframe.to_parquet(merged, "memory://joined/more", resume=True, write_index=False)
    fsspec.filesystem("memory").rm("/joined", recursive=True)
    pd.testing.assert_frame_equal(
        in_order(found, ["a_x", "a_y"]), in_order(frame.merge(frame, on="k"), ["a_x", "a_y"])
    )


def test_readers_that_plan_by_bytes_know_what_the_rows_take(tmp_path):
    frame = pd.DataFrame({"k": np.zeros(2000, "int64"), "a": np.arange(2000) / 7})
    with dask.config.set(NATIVE):
        merged = safeframe.merge(
            in_dask(frame, 2), in_dask(frame, 2), on="k", staging=str(tmp_path / "staging")
        )
        safeframe.to_parquet(merged, tmp_path / "out", write_index=False, row_group_rows=100_000)
        (file,) = (tmp_path / "out").iterdir()
        group = pq.read_metadata(file).row_group(0)
        assert group.total_byte_size == group.num_rows * 3 * 8
        back = dd.read_parquet(tmp_path / "out", blocksize="16MiB")
        assert back.npartitions == pytest.approx(4_000_000 * 24 / 2**24, abs=2)
        assert back.map_partitions(len).compute().max() * 24 <= 2**24
