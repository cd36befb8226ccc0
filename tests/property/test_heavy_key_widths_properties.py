"""A key that fills several partitions, with strings much longer in some of its rows: values stay, and sizes keep to a task's room."""

from __future__ import annotations

import contextlib
import functools
import warnings
from dataclasses import replace
from unittest import mock

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import safeframe
from safeframe import options
from safeframe.engine.planned.cells import PartitionLimit

ROOM = 2**15
"""Bytes that a task has for an output partition here."""


@contextlib.contextmanager
def small_tasks(task_nbytes=2**26, copies=2**26 / ROOM - options.FETCH_COPIES):
    """Let tasks of a plan, which fits any worker, have little room for output partitions."""
    of = PartitionLimit.of
    with (
        mock.patch.object(PartitionLimit, "of", lambda plan: replace(of(plan), task_nbytes=task_nbytes)),
        mock.patch.object(options, "OUTPUT_COPIES", copies),
        dask.config.set(scheduler="sync"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", safeframe.PartitionSizeWarning)
        yield


@st.composite
def uneven_frames(draw, name="s"):
    """Partitions of which some have long strings, with one key in most rows, and nulls."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    lengths = draw(st.lists(st.sampled_from([5, 40, 300, 2500]), min_size=3, max_size=5))
    heavy = draw(st.sampled_from([7.0, None]))
    n = 100
    frames = []
    for number, length in enumerate(lengths):
        keys = pd.Series(rng.integers(0, 9, n)).astype("Float64")
        keys[rng.random(n) < 0.8] = pd.NA if heavy is None else heavy
        rows = np.arange(number * n, (number + 1) * n)
        frames.append(
            pd.DataFrame({"k": keys, name: [f"{row:05d}".ljust(length, "x") for row in rows], "row": rows})
        )
    return frames


def given_parts(frames):
    return dd.from_map(lambda number: frames[number], range(len(frames)), meta=frames[0].iloc[:0])


def parts_of(result):
    parts = dask.compute(*result.to_delayed())
    assert len(parts) == result.npartitions
    return parts


def key_range(part):
    keys = part["k"].dropna()
    return (*keys.iloc[[0, -1]].tolist(), len(keys) < len(part)) if len(keys) else len(part) > 0


def nbytes(part):
    return int(part.memory_usage(index=False, deep=True).sum())


@given(
    frames=uneven_frames(),
    na_position=st.sampled_from(["first", "last"]),
    size=st.sampled_from([2**14, 2**15]),
)
def test_sort_values(frames, na_position, size, tmp_path_factory):
    with small_tasks():
        result = safeframe.sort_values(
            given_parts(frames),
            "k",
            na_position=na_position,
            partition_size=size,
            strategy="staged",
            staging=str(tmp_path_factory.getbasetemp()),
        )
        parts = parts_of(result)
        again = parts_of(result)
        keys = parts_of(result[["k"]])
    expected = pd.concat(frames).sort_values("k", kind="stable", na_position=na_position)
    pd.testing.assert_frame_equal(pd.concat(parts), expected, check_dtype=False)
    assert [len(part) for part in parts] == [len(part) for part in again], "the same cuts each time"
    # dask reads divisions from the key alone, and takes them for those of all columns.
    assert [key_range(part) for part in parts] == [key_range(part) for part in keys]


@given(frames=uneven_frames(), size=st.sampled_from([2**14, 2**15]))
def test_lags(frames, size, tmp_path_factory):
    with small_tasks():
        result = safeframe.groupby_lag_transform(
            given_parts(frames),
            "k",
            "row",
            [1, 3],
            partition_size=size,
            staging=str(tmp_path_factory.getbasetemp()),
        )
        found = pd.concat(parts_of(result)).sort_values("row", ignore_index=True)
    whole = pd.concat(frames, ignore_index=True)
    for lag in (1, 3):
        expected = whole.groupby("k")["row"].shift(lag)
        pd.testing.assert_series_equal(
            found[f"row_lag_{lag}"].astype("Float64"), expected.astype("Float64"), check_names=False
        )


@given(
    left=uneven_frames(),
    right_rows=st.integers(0, 12),
    how=st.sampled_from(["inner", "left", "outer", "right"]),
    size=st.sampled_from([2**14, 2**15]),
)
def test_merges(left, right_rows, how, size, tmp_path_factory):
    rng = np.random.default_rng(right_rows)
    keys = pd.Series(rng.integers(5, 11, right_rows)).astype("Float64")
    keys[:4] = 7.0
    keys[4:5] = pd.NA
    right = pd.DataFrame(
        {"k": keys, "t": ["x" * int(n) for n in rng.integers(0, 900, right_rows)], "r": np.arange(right_rows)}
    )
    with small_tasks():
        result = safeframe.merge(
            given_parts(left),
            dd.from_pandas(right, npartitions=1),
            on="k",
            how=how,
            partition_size=size,
            strategy="staged",
            staging=str(tmp_path_factory.getbasetemp()),
        )
        found = pd.concat(parts_of(result))
    expected = pd.concat(left).merge(right, on="k", how=how)
    by = ["row", "r"]
    pd.testing.assert_frame_equal(
        found.sort_values(by, ignore_index=True),
        expected.sort_values(by, ignore_index=True),
        check_dtype=False,
    )


def long_in_one(number, rows=1000, long=20_000):
    """Partitions of one key, of which one has long strings."""
    repeats = (long if number == 3 else 50) // 5
    first = number * rows
    return pd.DataFrame(
        {"k": np.full(rows, 7), "s": [f"{i:05d}" * repeats for i in range(first, first + rows)]}
    )


FRAME = functools.partial(dd.from_map, long_in_one, range(12), meta=long_in_one(0).iloc[:0])
ONE = pd.DataFrame({"k": [7], "n": [1]})
RECIPES = {
    "sort_values": lambda frame, **more: safeframe.sort_values(frame, "k", **more),
    "merge": lambda frame, **more: safeframe.merge(frame, dd.from_pandas(ONE, npartitions=1), on="k", **more),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_key_with_long_strings_in_one_place_is_not_refused(recipe, tmp_path):
    """Equal numbers of rows would put most of 20 MB into two partitions, and a task has room for one of 4 MiB."""
    result = RECIPES[recipe](FRAME(), strategy="staged", partition_size="2MiB", staging=str(tmp_path))
    with small_tasks(5 * 2**22, 3.0), warnings.catch_warnings():
        warnings.simplefilter("always", safeframe.PartitionSizeWarning)
        with pytest.warns(safeframe.PartitionSizeWarning, match="of the same key"):
            parts = parts_of(result)
    assert sum(map(len, parts)) == 12_000
    # Rows of one piece of a staged file, 1 MiB at most, count as equally wide.
    assert max(map(nbytes, parts)) <= 2**22 + 2**20
    assert all(len(part) > 0 for part in parts)


@pytest.mark.parametrize("recipe", RECIPES)
def test_cuts_stay_where_partitions_have_room(recipe, tmp_path):
    result = RECIPES[recipe](FRAME(), strategy="staged", partition_size="2MiB", staging=str(tmp_path))
    with small_tasks(5 * 2**26, 3.0):
        rows = [len(part) for part in parts_of(result)]
    assert max(rows) - min(rows) <= 1
