"""Rows as Arrow tables for parquet files: what pyarrow makes of a frame, sooner."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from safeframe.engine.parquet.tasks import arrow_table


def target(frame, *, write_index):
    schema = pa.Schema.from_pandas(frame, preserve_index=write_index)
    return SimpleNamespace(schema=schema, write_index=write_index, dtypes=(), custom_metadata=())


FRAME = pd.DataFrame(
    {
        "i": [3, 1, 2],
        "f": [0.5, np.nan, -np.inf],
        "g": np.array([1, 2, 3], "float32"),
        "s": ["a", None, "c"],
        "n": pd.array([1.5, None, 2.5], dtype="Float64"),
        "c": pd.Categorical(["x", "y", "x"]),
        "t": pd.to_datetime([0, 1, None], utc=True),
    }
)


@pytest.mark.parametrize("write_index", [True, False])
@pytest.mark.parametrize(
    "frame",
    [
        FRAME,
        FRAME.iloc[:0],
        FRAME[["f", "g"]],
        FRAME[["i", "s"]],
        FRAME.iloc[::2],
        FRAME.set_index("f"),
        FRAME.set_index(pd.Index([1.5, np.nan, 0.0], name="x")),
        pd.DataFrame(np.arange(12.0).reshape(4, 3), columns=list("abc")),
    ],
)
def test_tables_are_those_of_pyarrow(frame, write_index):
    where = target(frame, write_index=write_index)
    found = arrow_table(frame, where)
    expected = pa.Table.from_pandas(frame, schema=where.schema, preserve_index=write_index)
    found.validate(full=True)
    assert found.equals(expected)
    assert found.schema.equals(expected.schema, check_metadata=True)


def test_floats_are_of_the_type_that_the_files_have():
    where = target(FRAME[["g"]], write_index=False)
    found = arrow_table(pd.DataFrame({"g": [0.5, np.nan]}), where)
    assert found.schema.field("g").type == pa.float32()
    assert found["g"].to_pylist() == [0.5, None]
