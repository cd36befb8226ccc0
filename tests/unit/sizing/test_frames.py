"""Widths and rows of frames."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import safeframe
from safeframe.facts.frame import FrameEstimate
from safeframe.sizing.frames import count_partition_rows, profile_frame


@pytest.fixture(autouse=True)
def _sync():
    with dask.config.set(scheduler="sync", **{"dataframe.convert-string": False}):
        yield


def test_fixed_widths_come_from_the_types():
    frame = pd.DataFrame({"a": np.zeros(4, "int8"), "b": np.zeros(4), "t": pd.to_datetime([0] * 4, utc=True)})
    frame["n"] = pd.Series([1, None, 2, 3], dtype="Int32")
    frame["w"] = pd.Series([1, 2, 3, 4], dtype=pd.ArrowDtype(pa.int16()))
    profile = profile_frame(dd.from_pandas(frame, npartitions=2))
    assert {column.name: column.row_nbytes for column in profile.columns} == {
        "a": 1.0, "b": 8.0, "t": 8.0, "n": 5.0, "w": 2.125,
    }  # fmt: skip
    assert all(column.exact for column in profile.columns)
    assert profile.index_row_nbytes == 0
    assert int(profile.rows) == 4


@pytest.mark.parametrize("dtype", ["object", "string[pyarrow]", "category"])
def test_variable_widths_are_near_what_pandas_measures(dtype):
    words = pd.Series(["x" * (i % 50) for i in range(2000)]).astype(dtype)
    frame = pd.DataFrame({"s": words, "a": 0})
    profile = profile_frame(dd.from_pandas(frame, npartitions=4))
    s, a = profile.columns
    assert (s.exact, a.exact) == (False, True)
    pieces = [words[i * 500 : i * 500 + 500].memory_usage(index=False, deep=True) for i in range(4)]
    assert s.row_nbytes == pytest.approx(sum(pieces) / 2000, rel=0.02)


def test_only_variable_columns_of_some_partitions_are_read():
    seen = []

    def part(number, columns=None):
        seen.append((number, None if columns is None else tuple(columns)))
        frame = pd.DataFrame({"s": pd.array(["word"] * 3, pd.StringDtype("pyarrow")), "a": [1, 2, 3]})
        return frame if columns is None else frame[columns]

    ddf = dd.from_map(part, range(151), meta=part(0))
    seen.clear()
    profile_frame(ddf, np.full(151, 3))
    assert sorted(seen) == [(number, ("s",)) for number in range(0, 151, 10)]
    seen.clear()
    profile_frame(ddf, np.full(151, 10**7))  # large ones are few
    assert sorted(number for number, _ in seen) == [0, 150]


def test_what_is_sampled_is_an_interval(tmp_path):
    lengths = [4000, 10, 10, 10, 10]
    pieces = [pd.DataFrame({"a": 1.0, "s": ["x" * length] * 50}) for length in lengths]
    ddf = dd.from_map(lambda i: pieces[i], range(5), meta=pieces[0].iloc[:0])
    profile = profile_frame(ddf)
    true = sum(int(piece.memory_usage(index=False, deep=True).sum()) for piece in pieces)
    assert not profile.nbytes.exact
    assert int(profile.nbytes) == true
    assert profile.nbytes.lower < true < profile.nbytes.upper
    assert profile.nbytes.method == "sample"
    assert profile.width.widest == pytest.approx(4000, rel=0.05)
    assert profile.width.bounding == pytest.approx(4 * true / 250, rel=0.25)
    assert "between" in str(FrameEstimate(profile=profile, partition_rows=np.full(5, 50)))


# The footer says how many bytes strings have; without it they are sampled, as of files of other writers.
writes_sizes = pytest.mark.skipif(
    int(pa.__version__.partition(".")[0]) < 20, reason="pyarrow writes sizes into footers since 20"
)


@writes_sizes
@pytest.mark.parametrize("convert", [True, False])
def test_footers_tell_of_longer_strings_elsewhere(tmp_path, convert, monkeypatch):
    monkeypatch.setattr("safeframe.options.WIDTH_SAMPLES", 2)
    lengths = [10, 10, 700, 10, 10]
    for number, length in enumerate(lengths):
        words = [f"{row}".ljust(length, "x") for row in range(500)]
        pd.DataFrame({"a": 1.0, "s": words}).to_parquet(tmp_path / f"{number}.parquet")
    with dask.config.set({"dataframe.convert-string": convert}):
        ddf = dd.read_parquet(tmp_path)
        profile = profile_frame(ddf)
        true = sum(
            part.memory_usage(index=False, deep=True).sum() for part in dask.compute(*ddf.to_delayed())
        )
    width = profile.width
    assert width.expected == pytest.approx(true / 2500, rel=0.05)
    assert 700 < width.widest < 1.1 * 770
    assert profile.nbytes.lower < true < profile.nbytes.upper
    # Columns made of them have no footers, and are measured on the first rows of partitions.
    assert 1400 < profile_frame(ddf.assign(t=ddf["s"])).width.widest < 1.1 * 1540


def test_partitions_with_steps_after_them_are_not_made_to_measure_strings(tmp_path, monkeypatch):
    for number in range(8):
        words = ["x" * (10 if number else 300)] * 200_000
        pd.DataFrame({"a": 1.0, "s": words}).to_parquet(tmp_path / f"{number}.parquet")
    seen = []
    with dask.config.set({"dataframe.convert-string": True}):
        ddf = dd.read_parquet(tmp_path)
        ddf = ddf[ddf["a"] > 0]
        ddf = ddf.assign(t=ddf["s"] + "y")
        with monkeypatch.context() as patched:
            patched.setattr(
                "safeframe.sizing.columns.widths._nbytes",
                lambda frame, measured=safeframe.sizing.columns.widths._nbytes: (
                    seen.append(len(frame)), measured(frame)
                )[1],
            )  # fmt: skip
            profile = profile_frame(ddf, np.full(8, 200_000))
    assert 0 < max(seen) < 100_000
    assert profile.width.uneven
    assert profile.columns[1].row_nbytes == pytest.approx((310 - 2 + 18 * 7) / 8, rel=0.2)


@writes_sizes
def test_footers_tell_the_bytes_of_a_frame(tmp_path):
    lengths = [4000, 10, 10, 10, 700]
    for number, length in enumerate(lengths):
        words = [f"{row}".ljust(length, "x") if row % 7 else None for row in range(500)]
        pd.DataFrame({"a": 1.0, "s": words}).to_parquet(tmp_path / f"{number}.parquet", row_group_size=300)
    with dask.config.set({"dataframe.convert-string": True}):
        ddf = dd.read_parquet(tmp_path)
        found = safeframe.estimate(ddf).nbytes
        true = sum(
            part.memory_usage(index=False, deep=True).sum() for part in dask.compute(*ddf.to_delayed())
        )
    assert found.method == "footer"
    assert found.lower <= true <= found.upper <= 1.01 * true
    assert found.upper <= 1.02 * found.lower


def test_an_index_of_strings_is_not_exact():
    frame = pd.DataFrame({"a": [1.0, 2.0]}, index=pd.Index(["one", "two"], dtype=object))
    found = safeframe.estimate(dd.from_pandas(frame, npartitions=1))
    assert not found.nbytes.exact


def test_empty_partitions_are_not_the_sample():
    full = pd.DataFrame({"s": ["word" * 20] * 10}, dtype=object)
    ddf = dd.from_map(lambda i: full if i == 2 else full[:0], range(5), meta=full[:0])
    profile = profile_frame(ddf)
    assert profile.columns[0].row_nbytes > 80
    assert int(profile.largest_partition_rows) == 10
    assert profile_frame(dd.from_pandas(full[:0], npartitions=1)).columns[0].row_nbytes > 0


def test_an_index_that_is_no_plain_range_has_a_width():
    frame = pd.DataFrame({"a": [1.0, 2.0]}, index=pd.Index([5, 9], name="i"))
    assert profile_frame(dd.from_pandas(frame, npartitions=1)).index_row_nbytes == 8
    frame.index = pd.Index(["one", "two"], dtype=object)
    assert profile_frame(dd.from_pandas(frame, npartitions=1)).index_row_nbytes > 20


def test_rows_are_counted_from_the_narrowest_column(tmp_path):
    pd.DataFrame({"s": ["w"] * 5, "a": 1.0, "b": np.zeros(5, "int8")}).to_parquet(tmp_path / "0.parquet")
    assert count_partition_rows(dd.read_parquet(tmp_path)).tolist() == [5]
    no_columns = dd.from_pandas(pd.DataFrame(index=range(7)), npartitions=2)
    assert count_partition_rows(no_columns).tolist() == [4, 3]
