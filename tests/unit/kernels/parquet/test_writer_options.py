"""Which encoding a column gets."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from safeframe.errors import ValidationError
from safeframe.kernels.parquet.writer_options import check_compression, page_options, writer_options


def options_of(table, compression="auto"):
    return writer_options(table.schema, table.columns, compression)


ROWS = 50_000
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("values", "encoding"),
    [
        (RNG.integers(0, 2**40, ROWS), "delta"),
        (np.arange(ROWS), "delta"),
        (np.arange(ROWS).astype("datetime64[us]"), "delta"),
        (RNG.choice([1, 2**40, -(2**50)], ROWS), "dictionary"),
        (RNG.random(ROWS), "plain"),
        (RNG.choice([0.5, 1.5], ROWS), "dictionary"),
        (RNG.random(ROWS) < 0.5, "plain"),
        (np.array(["a", "b"] * (ROWS // 2)), "dictionary"),
        (np.arange(ROWS).astype(str), "plain"),
    ],
)
def test_encodings(values, encoding):
    options = options_of(pa.table({"x": values}))
    assert options["column_encoding"] == ({"x": "DELTA_BINARY_PACKED"} if encoding == "delta" else None)
    assert options["use_dictionary"] == (["x"] if encoding == "dictionary" else False)
    # Random floats have nothing that a codec could find.
    assert options["compression"] == (
        {"x": "none"} if values.dtype.kind == "f" and encoding == "plain" else "snappy"
    )


def test_floats_that_a_codec_makes_smaller_keep_it():
    steps = np.repeat(RNG.random(ROWS // 2), 2)
    table = pa.table(
        {"steps": steps, "random": RNG.random(ROWS), "n": np.arange(ROWS), "none": pa.nulls(ROWS, "double")}
    )
    wanted = {"steps": "snappy", "random": "none", "n": "snappy", "none": "snappy"}
    assert options_of(table)["compression"] == wanted
    assert options_of(table, compression="snappy")["compression"] == "snappy"
    assert options_of(table, compression={"random": "zstd"})["compression"] == wanted | {"random": "zstd"}


IDS = pa.array([f"{value:016x}" for value in RNG.integers(0, 2**62, ROWS)])
"""Strings of which a codec makes nothing."""


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()])
def test_strings_that_no_codec_makes_smaller_have_packed_lengths(kind):
    some = pc.if_else(pa.array(RNG.random(ROWS) < 0.1), None, IDS)
    table = pa.table({"ids": some.cast(kind), "numbered": pa.array([f"key {i}" for i in range(ROWS)])})
    chosen = options_of(table.slice(7))
    assert chosen["column_encoding"] == {"ids": "DELTA_LENGTH_BYTE_ARRAY"}
    assert chosen["compression"] == {"ids": "none", "numbered": "snappy"}
    sink = io.BytesIO()
    pq.write_table(table, sink, **chosen)
    assert len(sink.getvalue()) < 17 * ROWS + 8 * ROWS
    assert pq.read_table(sink).equals(table)


@pytest.mark.parametrize(
    ("values", "encoding"),
    [(RNG.integers(0, 10**7, ROWS), "delta"), (RNG.choice([1, 10**9, 10**15], ROWS), "dictionary")],
)
@pytest.mark.parametrize("digits", [15, 18, 19])
def test_decimals_are_packed_as_integers_where_they_fit(values, encoding, digits):
    decimals = pa.array(values).cast(pa.decimal128(19, 0)).cast(pa.decimal128(max(digits, 16), 0))
    decimals = pa.chunked_array([decimals.slice(3, 100), pc.if_else(decimals.is_valid(), decimals, None)])
    table = pa.table({"x": decimals})
    chosen = options_of(table)
    if digits > 18:
        encoding = "plain" if encoding == "delta" else encoding
        assert "store_decimal_as_integer" not in chosen
    assert chosen["column_encoding"] == ({"x": "DELTA_BINARY_PACKED"} if encoding == "delta" else None)
    assert chosen["use_dictionary"] == (["x"] if encoding == "dictionary" else False)
    sink = io.BytesIO()
    pq.write_table(table, sink, **chosen)
    assert pq.read_table(sink).equals(table)


def test_pages_of_long_strings_stay_small():
    table = pa.table({"long": [f"{i:06d}" * 8000 for i in range(400)]})
    chosen = options_of(table, compression="none") | page_options(table.columns)
    assert 10 <= chosen["write_batch_size"] <= 40
    assert page_options(pa.table({"short": ["a"] * 400}).columns) == {}
    sink = io.BytesIO()
    pq.write_table(table, sink, **chosen)
    assert pq.read_table(sink).equals(table)


@pytest.mark.parametrize(
    "table", [pa.table({"x": pa.array([], "int64")}), pa.table({"x": pa.nulls(9, "int64")})]
)
def test_nothing_to_look_at(table):
    assert options_of(table)["column_encoding"] == {"x": "DELTA_BINARY_PACKED"}


def test_codecs_of_some_columns_reach_their_leaves():
    table = pa.table({"a": [1], "b": [[1, 2]]})
    assert options_of(table, compression={"b": "zstd"})["compression"] == {
        "a": "snappy",
        "b.list.element": "zstd",
    }


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"x": pa.nulls(9)}),
        pa.table({"x": pa.array(pd.period_range("2000", periods=9, freq="M"))}),
        pa.table({"x": pa.array(pd.interval_range(0, 9))}),
        pa.table({"x": pa.array([None] * 9, pa.map_(pa.string(), pa.int64()))}),
        pa.table({"a.b": range(9), "a": [{"b": 1}] * 9}),
        pa.table({"a.list.element": ["x"] * 9, "a": [["y", None]] * 9}),
        pa.table({"": range(9), ".": [0.5] * 9, "x.key_value.key": ["x"] * 9, "é ✓": [True] * 9}),
    ],
    ids=lambda table: str(table.schema.types),
)
@pytest.mark.parametrize("compression", ["auto", None, "zstd"])
def test_any_type_and_any_name_can_be_written(tmp_path, table, compression):
    options = options_of(table, compression=compression)
    pq.write_table(table, tmp_path / "x.parquet", **options)
    assert pq.read_table(tmp_path / "x.parquet").to_pylist() == table.to_pylist()


def test_an_unknown_codec():
    with pytest.raises(ValidationError, match="'zipped'"):
        check_compression("zipped", ["x"])
