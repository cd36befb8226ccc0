"""Bytes of columns, as footers and the first rows of row groups tell them, are those that pandas and Arrow hold."""

from __future__ import annotations

import tempfile
from unittest import mock

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safeframe.sizing.columns.fixed_widths import arrow_nbytes
from safeframe.sizing.frames import profile_frame

TEXT = st.one_of(st.none(), st.text(max_size=40))
VALUES = {
    pa.string(): TEXT,
    pa.large_string(): TEXT,
    pa.binary(): st.one_of(st.none(), st.binary(max_size=40)),
    pa.list_(pa.int32()): st.one_of(st.none(), st.lists(st.one_of(st.none(), st.integers(0, 9)), max_size=9)),
    pa.list_(pa.string()): st.one_of(st.none(), st.lists(TEXT, max_size=5)),
    pa.list_(pa.list_(pa.float64())): st.one_of(
        st.none(), st.lists(st.one_of(st.none(), st.lists(st.floats(0, 1), max_size=3)), max_size=3)
    ),
    pa.struct([("a", pa.int64()), ("b", pa.string())]): st.one_of(
        st.none(), st.fixed_dictionaries({"a": st.one_of(st.none(), st.integers(0, 9)), "b": TEXT})
    ),
    pa.decimal128(12, 2): st.one_of(st.none(), st.decimals(0, 10**6, places=2)),
    pa.decimal256(60, 2): st.one_of(st.none(), st.decimals(0, 10**6, places=2)),
    pa.date32(): st.one_of(st.none(), st.dates()),
    pa.bool_(): st.one_of(st.none(), st.booleans()),
    pa.time64("us"): st.one_of(st.none(), st.times()),
    pa.binary(16): st.one_of(st.none(), st.binary(min_size=16, max_size=16)),
    pa.list_(pa.int16(), 3): st.one_of(st.none(), st.lists(st.integers(0, 9), min_size=3, max_size=3)),
}


@st.composite
def columns(draw) -> pa.Array:
    kind = draw(st.sampled_from(sorted(VALUES, key=str)))
    values = draw(st.lists(VALUES[kind], min_size=1, max_size=12))
    return pa.array(values * draw(st.integers(20, 60)), kind)


@given(column=columns(), groups=st.integers(50, 500), noted=st.booleans())
def test_widths_are_what_arrow_holds(column, groups, noted):
    table = pa.table({"a": column, "n": np.arange(len(column))})
    with tempfile.TemporaryDirectory() as directory:
        pq.write_table(table, f"{directory}/0.parquet", row_group_size=groups)
        pq.write_table(table, f"{directory}/1.parquet", row_group_size=groups, write_statistics=noted)
        known = 16 if noted else 99  # as writers that do not note the bytes of strings
        with (
            dask.config.set(scheduler="sync"),
            mock.patch("safeframe.kernels.parquet.footer._SIZE_STATISTICS", known),
        ):
            ddf = dd.read_parquet(directory, dtype_backend="pyarrow")[["a"]]
            width = profile_frame(ddf, np.full(2, len(column))).columns[0].width
            parts = dask.compute(*ddf.to_delayed())
    held = max(part["a"].array.__arrow_array__().combine_chunks().nbytes / len(part) for part in parts)
    pandas = max(part.memory_usage(index=False, deep=True).sum() / len(part) for part in parts)
    # Offsets are one more than rows in each group, and bits of nulls come in bytes of eight.
    padding = 32 * max(1, -(-len(column) // groups)) / len(column)
    nested = pa.types.is_nested(column.type)
    assert width.least <= held + padding
    assert held <= width.most + padding
    assert pandas <= width.most + padding
    assert held - padding <= 1.05 * width.expected or not (nested and noted)
    if not nested:
        assert width.expected == pytest.approx(held, abs=0.25 + padding, rel=0.0 if noted else 0.3)


@given(column=columns())
def test_bytes_of_a_type_are_those_of_its_values(column):
    nbytes = arrow_nbytes(column.type)
    if nbytes is not None:
        assert column.nbytes <= np.ceil(nbytes * len(column)) + 8
        filled = pa.array([value for value in column.to_pylist() if value is not None], column.type)
        assert filled.nbytes >= (nbytes - 1.0) * len(filled)


@pytest.mark.parametrize("kind", ["object", "string[pyarrow]", "category"])
@pytest.mark.parametrize("letter", ["x", "é", "漢"])
def test_widths_of_text_in_pandas(tmp_path, kind, letter):
    words = pd.Series([letter * (i % 50) for i in range(4000)], name="s").astype(
        "category" if kind == "category" else "str"
    )
    for number in range(3):
        words.to_frame().assign(n=1).to_parquet(tmp_path / f"{number}.parquet", row_group_size=1500)
    with dask.config.set(scheduler="sync", **{"dataframe.convert-string": kind == "string[pyarrow]"}):
        ddf = dd.read_parquet(tmp_path)
        width = profile_frame(ddf).columns[0].width
        made = [part["s"] for part in dask.compute(*ddf.to_delayed())]
    held = [part.memory_usage(index=False, deep=True) / len(part) for part in made]
    assert width.least <= min(held)
    assert max(held) <= width.most
    assert width.expected == pytest.approx(
        np.mean(held), rel=1.0 if letter == "漢" and kind == "object" else 0.35
    )
