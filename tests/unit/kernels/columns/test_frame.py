"""Frames that are staged column by column, and made again as they were."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from safeframe.kernels.columns.frame import FrameSpec, with_index
from safeframe.kernels.columns.values import from_arrow, to_arrow

STRING = "str" if pd.__version__ >= "3" else "string[pyarrow]"
ROWS = np.array([2, 0, 3, 1])


def staged(spec: FrameSpec, frame: pd.DataFrame):
    """Values as they come back from a file."""
    index = [frame.index.to_series()] if spec.with_index else []
    columns = [*index, *(frame[name] for name in spec.names)]
    return [
        from_arrow([to_arrow(series, dtype)], dtype)
        for series, dtype in zip(columns, spec.dtypes, strict=True)
    ]


INDEXES = {
    "range": pd.RangeIndex(4),
    "numbers": pd.Index([7, 7, -1, 3], dtype="int16", name="n"),
    "floats": pd.Index([0.5, np.nan, 1.5, 2.5]),
    "strings": pd.Index(["b", None, "a", "c"], dtype=STRING, name="label"),
    "objects": pd.Index(["b", "a", "d", "c"], dtype=object),
    "times": pd.DatetimeIndex(["2024-03-31 01:30", "2020-01-01", "2021-01-01", None], dtype="datetime64[ns]"),
    "tz": pd.date_range("2024-10-26 23:00", periods=4, freq="h", tz="Europe/Berlin", name="when", unit="ns"),
    "timedelta": pd.to_timedelta([3, 1, 2, 0], unit="h").as_unit("ns"),
    "category": pd.CategoricalIndex(["b", "a", "b", "c"], categories=["c", "b", "a"], ordered=True),
    "nullable": pd.Index(pd.array([1, None, 3, 2], dtype="Int64"), name=0),
    "bool": pd.Index([True, False, True, True]),
}


def taken(block, rows):
    return block if rows is None else [column.take(rows) for column in block]


@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES)
@pytest.mark.parametrize("rows", [None, ROWS])
def test_an_index_comes_back_as_it_was(index, rows):
    frame = pd.DataFrame({"a": [1, 2, 3, 4], "w": pd.Series(list("wxyz"), dtype=STRING)}).set_axis(index)
    spec = FrameSpec(meta=frame.iloc[:0], with_index=True)
    found = spec.frame(taken(staged(spec, frame), rows))
    expected = frame if rows is None else frame.iloc[rows]
    pd.testing.assert_frame_equal(
        found, expected, check_index_type=index is not INDEXES["range"], check_freq=False
    )
    assert found.index.dtype == index.dtype
    assert found.index.name == index.name


def test_an_index_that_is_not_kept_counts_from_zero():
    frame = pd.DataFrame({"a": [4, 5]}, index=["x", "y"])
    spec = FrameSpec(meta=frame.iloc[:0], with_index=False)
    assert len(spec.dtypes) == 1
    found = spec.frame(taken(staged(spec, frame), np.array([1, 0])))
    pd.testing.assert_frame_equal(found, pd.DataFrame({"a": [5, 4]}))


@pytest.mark.parametrize("keep", [True, False])
def test_names_may_be_anything(keep):
    frame = pd.DataFrame({0: [1, 2], ("a", 1): [0.5, 1.5], None: ["x", "y"], "0": [True, False], 1.5: [7, 8]})
    spec = FrameSpec(meta=frame.iloc[:0], with_index=keep)
    block = staged(spec, frame)
    for name in frame.columns:
        assert list(block[spec.position(name)]) == frame[name].tolist()
    found = spec.frame(taken(block, np.array([1, 0])))
    assert list(found.columns) == list(frame.columns)
    assert found.reset_index(drop=True).to_numpy().tolist() == frame.iloc[::-1].to_numpy().tolist()


def test_names_of_the_columns_axis_and_no_columns_at_all():
    frame = pd.DataFrame({"a": [1]}).rename_axis(columns="things")
    spec = FrameSpec(meta=frame.iloc[:0], with_index=False)
    assert spec.frame(staged(spec, frame)).columns.name == "things"
    bare = pd.DataFrame(index=pd.Index([3, 1, 2, 0], name="k"))
    spec = FrameSpec(meta=bare.iloc[:0], with_index=True)
    pd.testing.assert_frame_equal(spec.frame(taken(staged(spec, bare), ROWS)), bare.iloc[ROWS])


def test_no_rows_have_the_promised_types():
    frame = pd.DataFrame({"a": pd.Series([], dtype="Int8"), "t": pd.Series([], dtype="datetime64[ns, UTC]")})
    frame.index = pd.Index([], dtype="float32", name="i")
    spec = FrameSpec(meta=frame, with_index=True)
    pd.testing.assert_frame_equal(spec.frame([from_arrow([], dtype) for dtype in spec.dtypes]), frame)


def test_categories_are_those_of_the_frame():
    sizes = pd.CategoricalDtype(["small", "medium", "large"], ordered=True)
    meta = pd.DataFrame({"k": pd.Series([], dtype=sizes)})
    spec = FrameSpec(meta=meta, with_index=False)
    part = pd.DataFrame({"k": pd.Categorical(["large", "medium"], categories=["large", "medium"])})
    found = spec.frame(staged(spec, part))
    assert found["k"].dtype == sizes
    assert found["k"].tolist() == ["large", "medium"]


@pytest.mark.parametrize("drop", [True, False])
@pytest.mark.parametrize("dtype", ["int64", "Int8", "datetime64[ns, Europe/Berlin]", "category", STRING])
def test_an_empty_column_becomes_an_index_of_its_own_type(drop, dtype):
    frame = pd.DataFrame({"k": pd.Series([], dtype=dtype), "v": pd.Series([], dtype="int8")})
    indexed = with_index(frame, "k", drop=drop)
    assert indexed.index.dtype == frame["k"].dtype
    assert indexed.index.name == "k"
    assert list(indexed.columns) == (["v"] if drop else ["k", "v"])


def test_making_an_index_leaves_the_frame_alone():
    frame = pd.DataFrame({"k": [2, 1], "v": [0, 1]})
    before = frame.copy()
    with_index(frame, "k", drop=False)
    pd.testing.assert_frame_equal(frame, before)


def test_a_spec_is_identified_by_its_columns_types_and_index():
    frame = pd.DataFrame({"a": [1], "b": [2]})
    some = [
        FrameSpec(meta=frame, with_index=True),
        FrameSpec(meta=frame, with_index=False),
        FrameSpec(meta=frame[["b", "a"]], with_index=True),
        FrameSpec(meta=frame.astype({"b": "int8"}), with_index=True),
        FrameSpec(meta=frame.rename_axis("i"), with_index=True),
    ]
    assert len({repr(spec.__dask_tokenize__()) for spec in some}) == len(some)
