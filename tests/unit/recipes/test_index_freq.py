"""The freq of an index of times: there where pandas and dask have it, and nowhere that values contradict it."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe

N_ROWS = 40
START = {"h": "2020-03-28", "MS": "2020-01-01", "B": "2020-01-01", "7D": "2020-01-05"}


@pytest.fixture(autouse=True)
def _synchronous(tmp_path):
    with dask.config.set({"scheduler": "sync", "safeframe.staging.directory": str(tmp_path)}):
        yield


def frame(index: pd.Index, name: str) -> pd.DataFrame:
    return pd.DataFrame({name: np.arange(len(index)), "key": index}, index=index)


def partitions(ddf: dd.DataFrame) -> list[pd.DataFrame]:
    return list(dask.compute(*ddf.to_delayed()))


@pytest.mark.parametrize(
    ("how", "strategy"),
    [
        ("inner", "sorted"), ("left", "sorted"), ("right", "sorted"), ("outer", "sorted"),
        ("inner", "broadcast"), ("left", "broadcast"), ("right", "broadcast"),
        ("inner", "staged"), ("outer", "staged"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("freq", ["h", "MS", "B", "7D"])
@pytest.mark.parametrize("tz", [None, "Europe/Berlin"])
def test_merges_on_two_indexes_keep_the_freq_of_both(freq, how, strategy, tz):
    index = pd.date_range(START[freq], periods=N_ROWS, freq=freq, tz=tz, name="i")
    left, right = frame(index[:-5], "a"), frame(index[7:], "b")
    merged = safeframe.merge(
        dd.from_pandas(left, npartitions=4), dd.from_pandas(right, npartitions=3),
        left_index=True, right_index=True, how=how, strategy=strategy,
    )  # fmt: skip
    expected = left.merge(right, left_index=True, right_index=True, how=how)
    assert expected.index.freq is not None
    assert merged._meta.index.freq == expected.index.freq
    assert {part.index.freq for part in partitions(merged)} == {expected.index.freq}
    pd.testing.assert_frame_equal(merged.compute(), expected, check_freq=True)


@pytest.mark.parametrize("how", ["inner", "left"])
@pytest.mark.parametrize("strategy", ["sorted", "broadcast"])
def test_the_index_of_the_side_with_the_columns_keeps_its_freq(how, strategy):
    index = pd.date_range("2020", periods=N_ROWS, freq="h")
    left, right = frame(index, "a"), frame(index, "b")[["b"]]
    merged = safeframe.merge(
        dd.from_pandas(left, npartitions=4), dd.from_pandas(right, npartitions=3),
        left_on="key", right_index=True, how=how, strategy=strategy,
    )  # fmt: skip
    expected = left.merge(right, left_on="key", right_index=True, how=how)
    pd.testing.assert_frame_equal(merged.compute(), expected, check_freq=True)


@pytest.mark.parametrize("how", ["inner", "left", "right", "outer"])
@pytest.mark.parametrize(
    "other",
    [
        pd.date_range("2020", periods=N_ROWS, freq="2h"),
        pd.DatetimeIndex(pd.date_range("2020", periods=N_ROWS, freq="h").delete([3, 20])),
        pd.DatetimeIndex(pd.date_range("2020", periods=N_ROWS, freq="h").repeat(2)),
        pd.date_range("2020-01-01 00:30", periods=N_ROWS, freq="h"),
    ],
    ids=["another", "gaps", "repeated", "between"],
)
def test_no_freq_where_pandas_has_none(other, how):
    left, right = frame(pd.date_range("2020", periods=N_ROWS, freq="h"), "a"), frame(other, "b")
    merged = safeframe.merge(
        dd.from_pandas(left, npartitions=4), dd.from_pandas(right, npartitions=3),
        left_index=True, right_index=True, how=how,
    ).compute()  # fmt: skip
    expected = left.merge(right, left_index=True, right_index=True, how=how)
    # An empty index has any freq that its sides agree on, as in dask.
    pd.testing.assert_frame_equal(merged, expected, check_freq=len(expected) > 0)


def test_durations_have_a_freq_too():
    index = pd.timedelta_range("1h", periods=N_ROWS, freq="15min")
    left, right = frame(index, "a"), frame(index, "b")
    merged = safeframe.merge(
        dd.from_pandas(left, npartitions=3),
        dd.from_pandas(right, npartitions=2),
        left_index=True,
        right_index=True,
    )
    expected = left.merge(right, left_index=True, right_index=True)
    pd.testing.assert_frame_equal(merged.compute(), expected, check_freq=True)


def test_the_freq_goes_through_chains_and_filters():
    index = pd.date_range("2020", periods=N_ROWS, freq="h")
    left, right, third = frame(index, "a"), frame(index, "b")[["b"]], frame(index, "c")[["c"]]
    frames = [dd.from_pandas(rows, npartitions=3) for rows in (left, right, third)]
    both = {"left_index": True, "right_index": True}
    merged = safeframe.merge(safeframe.merge(*frames[:2], **both), frames[2], **both)
    expected = left.merge(right, **both).merge(third, **both)
    pd.testing.assert_frame_equal(merged.compute(), expected, check_freq=True)
    # Rows that stay follow each other, or do not.
    for ours, theirs in ((merged[merged.a > 5], expected[expected.a > 5]),
                         (merged[merged.a % 3 > 0], expected[expected.a % 3 > 0])):  # fmt: skip
        pd.testing.assert_frame_equal(ours.compute(), theirs, check_freq=True)


def test_the_partitions_of_a_side_are_left_as_they_were():
    hours = pd.date_range("2020", periods=N_ROWS, freq="h")
    plain = frame(pd.DatetimeIndex(np.array(hours)), "a")
    # The frame says that it has a freq, and its partition does not.
    left = (
        dd.from_pandas(plain, npartitions=1)
        .map_partitions(lambda rows: rows, meta=frame(hours, "a")[:0])
        .persist()
    )
    right = dd.from_pandas(frame(hours, "b"), npartitions=1)
    merged = safeframe.merge(left, right, left_on="key", right_index=True, how="left").compute()
    assert merged.index.freq == hours.freq
    assert left.compute().index.freq is None


def test_rows_that_are_staged_and_cut_again_keep_the_freq():
    rows = frame(pd.date_range("2020", periods=N_ROWS, freq="h"), "a")
    ddf = dd.from_pandas(rows, npartitions=4)
    for npartitions in (3, 7):
        moved = safeframe.rebalance_partitions(ddf, npartitions=npartitions)
        pd.testing.assert_frame_equal(moved.compute(), rows, check_freq=True)
    # Brought back to the order that the index was in.
    shuffled = rows.sample(frac=1, random_state=3)
    ordered = safeframe.sort_values(dd.from_pandas(shuffled, npartitions=3, sort=False), "a").compute()
    pd.testing.assert_frame_equal(ordered, shuffled.sort_values("a"), check_freq=True)
