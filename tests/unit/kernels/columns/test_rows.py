"""Rows of fixed width: packed, widened, and given back as they were."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pandas.testing as tm
import pytest

from safeframe.kernels.columns.rows import (
    common_layout,
    pack,
    row_values,
    rows_have_fixed_width,
    unpack,
    unpack_one,
)
from safeframe.kernels.columns.values import as_series

FRAME = pd.DataFrame(
    {
        "small": [3, 255, 0],
        "signed": np.array([-1, 300, 2], np.int32),
        "wide": np.array([2**40, -1, 7]),
        "huge": np.array([2**64 - 1, 0, 1], np.uint64),
        "half": np.array([0.5, np.nan, -np.inf], np.float32),
        "flag": [True, False, True],
        "at": pd.to_datetime(["2026-01-01", None, "1999-12-31 23:59:59.123456789"], format="ISO8601"),
        "zoned": pd.to_datetime(["2026-01-01", None, "2026-06-01"]).tz_localize("Europe/Berlin"),
        "took": pd.to_timedelta([1, None, -5], unit="s"),
    }
)


def packed(frame, layout=None):
    values, own = row_values([frame[name] for name in frame], list(frame.dtypes))
    rows = np.empty(len(frame), own if layout is None else layout)
    pack(rows, values)
    return rows


def unpacked(blocks, frame):
    columns = unpack(blocks, list(frame.dtypes))
    return pd.DataFrame({name: as_series(column) for name, column in zip(frame, columns, strict=True)})


def test_rows_come_back_as_they_were():
    tm.assert_frame_equal(unpacked([packed(FRAME)], FRAME), FRAME)


def test_each_column_is_as_narrow_as_its_values():
    layout = packed(FRAME[["small", "signed", "wide", "huge", "half", "flag"]]).dtype
    assert [layout[i].itemsize for i in range(6)] == [1, 2, 8, 8, 4, 1]
    assert layout.itemsize == 24, "packed, without gaps"


def test_blocks_of_different_layouts_are_one_column():
    low, high = pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [70_000, -3]})
    assert packed(low).dtype != packed(high).dtype
    joined = unpacked([packed(low), packed(high)], low)
    tm.assert_frame_equal(joined, pd.concat([low, high], ignore_index=True))


@pytest.mark.parametrize("one", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "int64"])
@pytest.mark.parametrize("other", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "int64"])
def test_the_common_layout_holds_the_values_of_both(one, other):
    layouts = [np.dtype([("0", kind)]) for kind in (one, other)]
    common = common_layout(*layouts)
    assert common == common_layout(*reversed(layouts))
    for kind in (np.iinfo(one), np.iinfo(other)):
        for value in (kind.min, kind.max):
            assert int(np.array([(value,)], common)["0"][0]) == value


def test_the_common_layout_of_unsigned_columns_stays_unsigned():
    one, other = (np.dtype([("0", kind)]) for kind in ("uint64", "uint8"))
    assert common_layout(one, other) == one


def test_more_rows_than_are_packed_at_a_time():
    frame = pd.DataFrame({"a": np.arange(100_000), "b": np.arange(100_000) / 7})
    tm.assert_frame_equal(unpacked([packed(frame)], frame), frame)


@pytest.mark.parametrize("cut", [0, 30_000, 100_000])
def test_rows_in_another_order(cut):
    frame = pd.DataFrame({"a": np.arange(100_000), "b": np.arange(100_000) / 7})
    order = np.random.default_rng(0).permutation(100_000)[:70_000]
    columns = unpack([packed(frame[:cut]), packed(frame[cut:])], list(frame.dtypes), order)
    found = pd.DataFrame({name: as_series(column) for name, column in zip(frame, columns, strict=True)})
    tm.assert_frame_equal(found, frame.take(order).reset_index(drop=True))


def test_one_column_alone():
    for number, name in enumerate(FRAME):
        column = unpack_one([packed(FRAME[:2]), packed(FRAME[2:])], number, FRAME.dtypes[name])
        tm.assert_series_equal(as_series(column), FRAME[name], check_names=False)


def test_no_rows():
    tm.assert_frame_equal(unpacked([packed(FRAME[:0])], FRAME), FRAME[:0].reset_index(drop=True))
    assert [len(column) for column in unpack([], list(FRAME.dtypes))] == [0] * FRAME.shape[1]


def test_columns_that_are_no_numbers_have_no_fixed_width():
    assert rows_have_fixed_width(list(FRAME.dtypes))
    assert not rows_have_fixed_width([])
    for dtype in ("str", "category", "Int64", "object"):
        assert not rows_have_fixed_width([np.dtype("int64"), pd.Series([], dtype=dtype).dtype])
