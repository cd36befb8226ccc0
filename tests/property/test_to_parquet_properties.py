"""Whatever a frame holds, pandas reads back what was written, and so do others."""

from __future__ import annotations

import datetime
import tempfile
from decimal import Decimal
from pathlib import Path

import dask
import dask.dataframe as dd
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import safeframe
from safeframe.recipes.to_parquet import to_parquet

NATIVE = {"scheduler": "sync", "dataframe.convert-string": False}
"""Without it dask gives strings another dtype than the frame had."""

COLUMNS = {
    "int8": st.lists(st.integers(-128, 127), min_size=1, max_size=300),
    "int64": st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=300),
    "uint64": st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=300),
    "float64": st.lists(st.floats(allow_infinity=False), min_size=1, max_size=300),
    "Int32": st.lists(st.none() | st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=300),
    "bool": st.lists(st.booleans(), min_size=1, max_size=300),
    "str": st.lists(st.none() | st.text(max_size=5), min_size=1, max_size=300),
}


@settings(max_examples=15)
@given(data=st.data(), dtype=st.sampled_from(sorted(COLUMNS)), group_rows=st.integers(1, 50))
def test_pandas_reads_what_was_written(data, dtype, group_rows):
    values = data.draw(COLUMNS[dtype])
    frame = pd.DataFrame({"x": pd.Series(values, dtype=dtype)})
    with tempfile.TemporaryDirectory() as directory, dask.config.set(NATIVE):
        out = f"{directory}/out"
        to_parquet(dd.from_pandas(frame, npartitions=3), out, row_group_rows=group_rows, memory="8GiB")
        back = pd.read_parquet(out).rename_axis(None)
        files = sorted(Path(out).glob("*.parquet"))
        assert max(pq.read_metadata(path).row_group(0).num_rows for path in files) <= group_rows
    pd.testing.assert_frame_equal(back, frame, check_index_type=False)


@pytest.mark.parametrize("compression", ["auto", None, "zstd", {"n": "gzip"}])
def test_other_readers(tmp_path, compression):
    rng = np.random.default_rng(0)
    rows = 20_000
    frame = pd.DataFrame(
        {
            "sorted": np.sort(rng.integers(0, 500, rows)),
            "n": rng.integers(0, 2**40, rows),
            "few": rng.choice([3, 2**50, -(2**60)], rows),
            "f": rng.random(rows),
            "g": rng.choice([0.5, 1.5], rows),
            "s": pd.Series(rng.integers(0, 9, rows)).map("word {}".format),
            "u": pd.Series(range(rows)).map("key {}".format),
            "t": pd.date_range("2020", periods=rows, freq="s"),
            "m": pd.array([None, 5] * (rows // 2), dtype="Int64"),
            "c": pd.Categorical.from_codes(rng.integers(0, 2, rows), ["v", "w"]),
            "b": rng.random(rows) < 0.5,
        }
    )
    out = tmp_path / "out"
    with dask.config.set(NATIVE):
        to_parquet(dd.from_pandas(frame, npartitions=2), out, write_index=False, compression=compression)
    pd.testing.assert_frame_equal(pd.read_parquet(out), frame)
    plain = frame.astype({"c": object})
    for back in (
        duckdb.sql(f"select * from '{out}/*.parquet'").df(),
        pl.read_parquet(f"{out}/*.parquet").to_pandas(),
    ):
        back = back.astype({"m": "Int64", "c": object, "t": frame["t"].dtype, "s": "str", "u": "str"})
        pd.testing.assert_frame_equal(back, plain, check_dtype=False)
    column = {
        group.column(i).path_in_schema: group.column(i)
        for group in [pq.read_metadata(out / "part.0.parquet").row_group(0)]
        for i in range(group.num_columns)
    }
    assert "DELTA_BINARY_PACKED" in column["n"].encodings
    assert "RLE_DICTIONARY" in column["few"].encodings
    assert "RLE_DICTIONARY" in column["s"].encodings
    assert "RLE_DICTIONARY" not in column["u"].encodings
    assert "RLE_DICTIONARY" not in column["f"].encodings
    assert column["sorted"].statistics.has_min_max


def test_divisions_come_back(tmp_path):
    frame = pd.DataFrame({"x": range(100)}, index=pd.Index(range(100), name="i"))
    ddf = dd.from_pandas(frame, npartitions=4)
    to_parquet(ddf, tmp_path / "out")
    back = dd.read_parquet(tmp_path / "out", calculate_divisions=True)
    assert back.divisions == ddf.divisions
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"part.{n}.parquet" for n in range(4)
    ]
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out"), frame)


def some_empty(number):
    values = [[1.5, None], [], [None, None]][number]
    return pd.DataFrame(
        {"x": pd.Series(values, dtype="float64"), "s": pd.Series([None] * len(values), dtype=object)}
    )


def test_empty_and_null_partitions_have_the_schema_of_all(tmp_path):
    meta = pd.DataFrame({"x": pd.Series(dtype="float64"), "s": pd.Series(dtype="str")})
    ddf = dd.from_map(some_empty, range(3), meta=meta, enforce_metadata=False)
    to_parquet(ddf, tmp_path / "out", write_index=False)
    schemas = [pq.read_schema(path) for path in sorted((tmp_path / "out").iterdir())]
    assert all(schema.equals(schemas[0]) for schema in schemas)
    assert len(pd.read_parquet(tmp_path / "out")) == 4


def test_not_larger_than_with_the_defaults(tmp_path):
    rng = np.random.default_rng(0)
    rows = 100_000
    frame = pd.DataFrame(
        {
            "k": np.sort(rng.integers(0, 10_000, rows)),
            "i": rng.integers(101, 20_000, rows),
            "f": rng.uniform(0, 10_000, rows),
            "s": pd.Series(rng.integers(0, 50, rows)).map("word {}".format),
        }
    )
    to_parquet(dd.from_pandas(frame, npartitions=1), tmp_path / "out", write_index=False)
    frame.to_parquet(tmp_path / "stock.parquet", index=False)
    stock = (tmp_path / "stock.parquet").stat().st_size
    assert (tmp_path / "out" / "part.0.parquet").stat().st_size <= stock


def arrow(values, kind):
    return pd.array(values * 50, dtype=pd.ArrowDtype(kind))


TYPES = {
    "null": arrow([None, None], pa.null()),
    "period": pd.period_range("2000-01", periods=100, freq="M"),
    "decimal": arrow([Decimal("1.50"), None], pa.decimal128(10, 2)),
    "wide decimal": arrow([Decimal("1.5"), None], pa.decimal256(50, 3)),
    "date": arrow([datetime.date(1, 1, 1), None], pa.date32()),
    "time": arrow([datetime.time(23, 59, 59, 999999), None], pa.time64("us")),
    "duration": arrow([datetime.timedelta(1), None], pa.duration("s")),
    "timedelta": pd.to_timedelta(range(100), unit="h"),
    "time zone": pd.date_range("2020-03-29", periods=100, freq="h", tz="Europe/Paris"),
    "bytes": arrow([b"\0\1", None], pa.binary()),
    "fixed bytes": arrow([b"abcd", None], pa.binary(4)),
    "list": arrow([[1, None], None], pa.list_(pa.int64())),
    "struct": arrow([{"a": 1, "b": "x"}, None], pa.struct([("a", pa.int64()), ("b", pa.string())])),
    "map": arrow([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
    "categories": pd.Categorical(["b", "a"] * 50, categories=["b", "a", "unused"], ordered=True),
    "no category": pd.Categorical([None] * 100, categories=["a"]),
    "times as categories": pd.Categorical(pd.to_datetime([0, 1] * 50, unit="D")),
    "half": np.arange(100).astype("float16"),
}


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("column", ["x", "a.b", ""])
def test_types_are_written_as_dask_writes_them(tmp_path, name, column):
    frame = pd.DataFrame({column: TYPES[name], "a": arrow([{"b": 1}, None], pa.struct([("b", pa.int64())]))})
    with dask.config.set(NATIVE):
        ddf = dd.from_pandas(frame, npartitions=3)
        to_parquet(ddf, tmp_path / "ours", row_group_rows=20)
        ddf.to_parquet(tmp_path / "dask")
    for number in range(3):
        ours, other = (pq.read_table(tmp_path / way / f"part.{number}.parquet") for way in ("ours", "dask"))
        assert ours.schema.names == other.schema.names
        assert ours.to_pylist() == other.to_pylist()
        # dask takes the width of a categorical's codes from each partition.
        assert [str(t).replace("int8", "int32") for t in other.schema.types] == list(
            map(str, ours.schema.types)
        )


def test_types_that_parquet_cannot_hold_are_refused_before_anything_runs(tmp_path):
    for values in (pd.interval_range(0, 4), np.arange(4) * 1j):
        ran = []
        ddf = dd.from_map(ran.append, [0], meta=pd.DataFrame({"x": values}).iloc[:0])
        with pytest.raises(safeframe.UnsupportedError, match="types cannot be written"):
            to_parquet(ddf, tmp_path / "out")
        assert ran == []
    assert list(tmp_path.iterdir()) == []
