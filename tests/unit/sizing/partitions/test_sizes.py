"""Rows, bytes and places of partitions, against what pandas counts."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from safeframe import options
from safeframe.sizing.partitions.row_nbytes import row_sizes
from safeframe.sizing.partitions.sizes import measure_partitions

ROWS = 200
COLUMNS = {
    "int8": pd.Series(np.arange(ROWS) % 100, dtype="int8"),
    "boolean": pd.Series([True, None] * 100, dtype="boolean"),
    "objects": pd.Series([None if i % 9 == 0 else "x" * i for i in range(ROWS)], dtype=object),
    "python": pd.Series(["x" * i for i in range(ROWS)], dtype="string[python]"),
    "strings": pd.Series([None if i % 9 == 0 else "é" * i for i in range(ROWS)], dtype="string[pyarrow]"),
    "arrow ints": pd.Series([1, None] * 100, dtype=pd.ArrowDtype(pa.int16())),
    "lists": pd.Series([[1] * (i % 7) for i in range(ROWS)], dtype=pd.ArrowDtype(pa.list_(pa.int32()))),
    "structs": pd.Series([{"a": i, "b": "y" * (i % 5)} for i in range(ROWS)],
                         dtype=pd.ArrowDtype(pa.struct([("a", pa.int64()), ("b", pa.string())]))),
    "categories": pd.Series(pd.Categorical([f"c{i % 13}" for i in range(ROWS)])),
    "period": pd.Series(pd.period_range("2020", periods=ROWS, freq="h")),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _synchronous():
    with dask.config.set({"scheduler": "sync", "dataframe.convert-string": False}):
        yield


@pytest.mark.parametrize("name", sorted(COLUMNS))
@pytest.mark.parametrize("bounds", [(0, ROWS), (0, 0), (17, 18), (40, 150)])
def test_rows_add_up_to_what_pandas_counts(name, bounds):
    low, high = bounds
    frame = pd.DataFrame({"x": COLUMNS[name]}).iloc[low:high]
    sizes = row_sizes(frame, frame.iloc[:0])
    variable = 0 if sizes.variable_nbytes is None else int(sizes.variable_nbytes.sum())
    reckoned = len(frame) * sizes.fixed_nbytes + variable + sizes.frame_nbytes
    counted = int(frame.memory_usage(deep=True, index=False).sum())
    room = sizes.padding_nbytes + 8 + 2 * len(frame) * (name in ("lists", "structs", "strings"))
    extra = 7 * len(frame) if name in ("lists", "structs") else 4 * len(frame) if name == "strings" else 0
    assert counted - sizes.padding_nbytes <= reckoned <= counted + room + extra


def test_the_bytes_before_a_place_are_those_of_its_rows():
    frame = pd.DataFrame({"s": COLUMNS["objects"], "n": range(ROWS)})
    ddf = dd.from_pandas(frame, npartitions=3)
    sizes = measure_partitions(ddf, partition_nbytes=1000, npartitions=None, keyed=False)
    assert sizes.rows.sum() == ROWS
    for place, nbytes in zip(sizes.place_rows, sizes.place_nbytes, strict=True):
        assert nbytes == frame.iloc[:place].memory_usage(deep=True, index=False).sum()
    steps = np.diff(sizes.place_nbytes)
    assert (steps[np.diff(sizes.place_rows) > 1] <= 1000).all()
    assert sizes.nbytes.sum() == sizes.total_nbytes == sizes.place_nbytes[-1]


def test_one_large_row_has_places_on_both_sides():
    values = ["x"] * 5000
    values[3333] = "y" * 100_000
    ddf = dd.from_pandas(pd.DataFrame({"s": values}), npartitions=1)
    sizes = measure_partitions(ddf, partition_nbytes=50_000, npartitions=None, keyed=False)
    assert {3333, 3334} <= set(sizes.place_rows.tolist())


def test_range_indexes_cost_bytes_only_where_they_do_not_go_on():
    frame = pd.DataFrame({"a": range(10)})
    going_on = dd.from_pandas(frame, npartitions=2)
    again = dd.from_map(lambda _: frame, range(2), meta=frame.iloc[:0])
    stored = dd.from_map(
        lambda _: frame.set_index(np.arange(10)), range(2), meta=frame.set_index(np.arange(10)).iloc[:0]
    )
    arguments = {"partition_nbytes": None, "npartitions": 3, "keyed": False}
    assert measure_partitions(going_on, **arguments).row_nbytes == 8
    assert measure_partitions(again, **arguments).row_nbytes == 16
    assert measure_partitions(stored, **arguments).row_nbytes == 16


def test_places_between_index_values():
    index = np.repeat(np.arange(40), 25)
    ddf = dd.from_pandas(pd.DataFrame({"a": range(1000)}, index=index), npartitions=2)
    sizes = measure_partitions(ddf, partition_nbytes=2000, npartitions=None, keyed=True)
    assert sizes.keys is not None
    begun = {
        row: key for row, key in zip(sizes.place_rows.tolist(), sizes.keys, strict=True) if key is not None
    }
    assert begun == {25 * key: key for key in range(40)}


def test_rows_that_are_not_in_order_can_be_cut_apart_between_partitions_only():
    pieces = [pd.DataFrame({"a": range(4)}, index=[3, 1, 2, 1]), pd.DataFrame({"a": range(2)}, index=[8, 7])]
    ddf = dd.from_map(lambda i: pieces[i], range(2), meta=pieces[0].iloc[:0], divisions=(1, 5, 9))
    sizes = measure_partitions(ddf, partition_nbytes=2000, npartitions=None, keyed=True)
    assert sizes.keys is not None
    assert [key for key in sizes.keys if key is not None] == [1, 7]


@pytest.mark.parametrize("groups", [1000, 70])
def test_a_pass_over_slices_says_what_a_pass_over_partitions_says(tmp_path, groups, monkeypatch):
    for number in range(2):
        frame = pd.DataFrame({"s": COLUMNS["objects"], "n": range(ROWS)})
        frame.to_parquet(tmp_path / f"{number}.parquet", row_group_size=groups)
    monkeypatch.setattr(options, "SLICE_NBYTES", 1000)
    ddf = dd.read_parquet(tmp_path, split_row_groups=False)
    arguments = {"partition_nbytes": 3000, "npartitions": None, "keyed": False}
    sliced = measure_partitions(ddf, in_slices=True, **arguments)
    whole = measure_partitions(ddf.map_partitions(lambda part: part), **arguments)
    assert sliced.rows.tolist() == whole.rows.tolist()
    # Arrow pads each slice, which may become a piece of its own.
    assert (sliced.nbytes - sliced.piece_nbytes).tolist() == (whole.nbytes - whole.piece_nbytes).tolist()
    assert sliced.frame_nbytes - sliced.piece_nbytes == whole.frame_nbytes - whole.piece_nbytes


def test_slices_leave_as_many_places_as_a_partition_has(tmp_path, monkeypatch):
    monkeypatch.setattr(options, "SLICE_NBYTES", 20_000)
    values = ["x" * (i % 7) for i in range(20_000)]
    values[13_333] = "y" * 50_000
    pd.DataFrame({"s": values}).to_parquet(tmp_path / "0.parquet")
    ddf = dd.read_parquet(tmp_path)
    sizes = measure_partitions(ddf, in_slices=True, partition_nbytes=10**6, npartitions=None, keyed=False)
    assert options.REBALANCE_PLACES / 2 <= len(sizes.place_rows) <= 2 * options.REBALANCE_PLACES + 2
    assert {13_333, 13_334} <= set(sizes.place_rows.tolist())
    steps = np.diff(sizes.place_nbytes)[np.diff(sizes.place_rows) > 1]
    assert steps.max() <= 4 * sizes.total_nbytes / options.REBALANCE_PLACES


@pytest.mark.parametrize("start", [0, 5000, 7000])
def test_ranges_of_files_go_on_or_not_as_they_are_in_the_files(tmp_path, monkeypatch, start):
    monkeypatch.setattr(options, "SLICE_NBYTES", 1000)
    for number in range(2):
        index = pd.RangeIndex(number * start, number * start + 5000)
        pd.DataFrame({"s": ["x"] * 5000}, index=index).to_parquet(tmp_path / f"{number}.parquet")
    ddf = dd.read_parquet(tmp_path, split_row_groups=False)
    arguments = {"partition_nbytes": 3000, "npartitions": None, "keyed": False}
    sliced = measure_partitions(ddf, in_slices=True, **arguments)
    whole = measure_partitions(ddf.map_partitions(lambda part: part), **arguments)
    assert (sliced.nbytes - sliced.piece_nbytes).tolist() == (whole.nbytes - whole.piece_nbytes).tolist()


def test_bytes_of_arrow_columns_that_are_not_read_are_counted(tmp_path):
    pd.DataFrame({"s": COLUMNS["strings"], "n": COLUMNS["arrow ints"]}).to_parquet(tmp_path / "0.parquet")
    ddf = dd.read_parquet(tmp_path, dtype_backend="pyarrow")
    arguments = {"partition_nbytes": 3000, "npartitions": None, "keyed": False}
    sliced = measure_partitions(ddf, in_slices=True, **arguments)
    whole = measure_partitions(ddf.map_partitions(lambda part: part), **arguments)
    assert sliced.piece_nbytes == whole.piece_nbytes
    assert sliced.nbytes.tolist() == whole.nbytes.tolist()


def test_only_footers_are_read_where_all_columns_have_a_fixed_width(tmp_path, monkeypatch):
    for number in range(2):
        pd.DataFrame({"a": range(ROWS), "b": 0.5}).to_parquet(tmp_path / f"{number}.parquet")
    for filesystem in ("fsspec", "arrow"):
        ddf = dd.read_parquet(tmp_path, filesystem=filesystem)
        with monkeypatch.context() as patched:
            patched.setattr("safeframe.sizing.partitions.sizes.each_slice", None)
            sizes = measure_partitions(
                ddf, in_slices=True, partition_nbytes=1000, npartitions=None, keyed=False
            )
        assert sizes.method == "footer"
        assert sizes.rows.tolist() == [ROWS, ROWS]
        assert sizes.row_nbytes == 24
