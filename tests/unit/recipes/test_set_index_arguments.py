"""Arguments of dask's ``set_index``, against what dask and pandas make of them."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe.errors import RowConservationError, SchemaMismatchError, UnsupportedError, ValidationError

ROWS = 300


def table() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    number = np.arange(ROWS)
    return pd.DataFrame(
        {
            "k": rng.integers(0, 50, ROWS),
            "f": rng.random(ROWS),
            "s": pd.Series([f"w{n % 37:03d}" for n in number], dtype="string[pyarrow]"),
            "t": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 100, ROWS), "D"),
            "z": (pd.Timestamp("2020-01-01", tz="Europe/Paris") + pd.to_timedelta(number % 90, "D")),
            "n": pd.array(np.where(number % 9 == 0, None, number % 40), dtype="Int64"),
            "g": np.where(number % 11 == 0, np.nan, number % 30),
            "v": number,
        }
    )


TABLE = table()
FRAME = dd.from_pandas(TABLE, npartitions=5)


def indexed(column, *, drop=True) -> pd.DataFrame:
    return TABLE.sort_values(column, kind="stable").set_index(column, drop=drop)


def sizes(frame) -> list[int]:
    return [len(part) for part in dask.compute(*frame.to_delayed())]


DIVISIONS = {
    "ints": ("k", [0, 10, 20, 49]),
    "above the largest": ("k", [-5, 10, 20, 60]),
    "a partition without rows": ("k", [-9, -8, -7, 49]),
    "the last key alone": ("k", [0, 49, 49]),
    "one partition": ("k", [0, 49]),
    "as many as rows": ("k", list(range(51))),
    "floats": ("f", [0.0, 0.5, 1.0]),
    "strings": ("s", ["w000", "w010", "w036"]),
    "between strings": ("s", ["a", "w0105", "z"]),
    "times": ("t", list(pd.to_datetime(["2020-01-01", "2020-02-01", "2020-05-01"]))),
    "times in a zone": (
        "z",
        list(pd.to_datetime(["2020-01-01", "2020-02-01", "2020-05-01"]).tz_localize("UTC+01:00")),
    ),
    "nullable": ("n", [0, 10, 39]),
    "missing": ("g", [0.0, 10.0, 29.0]),
}


@pytest.mark.parametrize("name", DIVISIONS)
def test_divisions_are_kept_exactly(name):
    column, divisions = DIVISIONS[name]
    found = safeframe.set_index(FRAME, column, divisions=divisions)
    assert found.divisions == tuple(divisions)
    pd.testing.assert_frame_equal(found.compute(), indexed(column))
    assert sizes(found) == sizes(FRAME.set_index(column, divisions=divisions))
    plan = safeframe.plan_set_index(FRAME, column, divisions=divisions)
    assert plan.output_partitions == len(divisions) - 1
    assert plan.largest_partition_nbytes >= max(sizes(found)) * 8


@pytest.mark.parametrize(
    ("column", "divisions", "error", "words"),
    [
        ("k", [0, 10, 20], ValidationError, "key 49 lies outside divisions=, which go from 0 to 20"),
        ("k", [5, 10, 49], ValidationError, "key 0 lies outside"),
        ("s", ["w001", "w036"], ValidationError, "key 'w000' lies outside"),
        ("k", ["a", "b"], SchemaMismatchError, "not of the type of column 'k'"),
        ("k", [0, 2.5, 49], SchemaMismatchError, "would be rounded"),
        ("f", [0, None, 1], ValidationError, "have a null"),
        ("k", [0], ValidationError, "fewer than two values"),
        ("k", [0, 1, 1, 49], ValidationError, "are not ascending"),
        ("k", [49, 0], ValidationError, "are not ascending"),
        ("s", ["w036", "w000"], ValidationError, "are not ascending"),
        ("k", "ab", ValidationError, "not a list of values"),
    ],
)
def test_divisions_that_cannot_be_kept(column, divisions, error, words):
    with pytest.raises(error, match=words):
        safeframe.set_index(FRAME, column, divisions=divisions)


def test_keys_outside_of_divisions_are_noticed_while_it_runs():
    keys = [0, 5]
    frame = dd.from_map(lambda n: pd.DataFrame({"k": [n, keys[n]]}), [0, 1], meta={"k": "int64"})
    found = safeframe.set_index(frame, "k", divisions=[0, 3, 5])
    keys[1] = 9
    with pytest.raises(ValidationError, match="key 9 lies outside"):
        found.compute(scheduler="synchronous")


@pytest.mark.parametrize("column", ["k", "f", "t", "s", "n", "g"])
def test_sorted_is_looked_at(column):
    ordered = dd.from_pandas(TABLE.sort_values(column, kind="stable", ignore_index=True), npartitions=5)
    pd.testing.assert_frame_equal(
        safeframe.set_index(ordered, column, sorted=True).compute(), indexed(column)
    )
    if column in ("s", "n", "g"):  # of strings, and of rows without a key, the order is made
        found = safeframe.set_index(FRAME, column, sorted=True)
        pd.testing.assert_frame_equal(found.compute(), indexed(column))
        return
    with pytest.raises(ValidationError, match="sorted=True does not hold"):
        safeframe.set_index(FRAME, column, sorted=True)


def test_an_order_that_is_lost_before_the_run_is_noticed():
    rows = [[0, 1], [2, 3]]
    frame = dd.from_map(lambda n: pd.DataFrame({"k": rows[n]}), [0, 1], meta={"k": "int64"})
    found = safeframe.set_index(frame, "k", sorted=True)
    rows[1] = [3, 2]
    with pytest.raises(RowConservationError, match="is not in order, or its smallest"):
        found.compute(scheduler="synchronous")


def test_sorted_with_the_divisions_that_there_are():
    once = pd.DataFrame({"k": np.arange(40), "v": 1})
    frame = dd.from_pandas(once, npartitions=4)
    divisions = [0, 10, 20, 30, 39]
    assert safeframe.plan_set_index(frame, "k", sorted=True, divisions=divisions).strategy == "sorted"
    found = safeframe.set_index(frame, "k", sorted=True, divisions=divisions)
    assert found.divisions == tuple(divisions)
    assert sizes(found) == [10] * 4
    with pytest.raises(ValidationError, match="the partitions are not those of divisions="):
        safeframe.set_index(frame, "k", sorted=True, divisions=[0, 5, 20, 30, 39])
    with pytest.raises(
        ValidationError, match="divisions= has 3 values; with sorted=True, 4 partitions need 5"
    ):
        safeframe.set_index(frame, "k", sorted=True, divisions=[0, 20, 39])


@pytest.mark.parametrize("drop", [True, False])
def test_without_sort_no_row_moves(drop):
    found = safeframe.set_index(FRAME, "k", sort=False, drop=drop)
    wanted = FRAME.set_index("k", sort=False, drop=drop)
    pd.testing.assert_frame_equal(found.compute(), wanted.compute())
    assert sizes(found) == sizes(wanted)
    assert not found.known_divisions
    plan = safeframe.plan_set_index(FRAME, "k", sort=False, drop=drop)
    assert (plan.output_partitions, plan.staging_nbytes) == (5, 0)


SERIES = {
    "a column": lambda: FRAME["k"],
    "of a column's name": lambda: FRAME["k"] + 1,
    "of a new name": lambda: (FRAME["k"] * 2).rename("new"),
    "without a name": lambda: (FRAME["f"] - 1).rename(None),
    "times": lambda: FRAME["t"].dt.month,
}


@pytest.mark.parametrize("more", [{}, {"npartitions": 2}, {"sort": False}], ids=str)
@pytest.mark.parametrize("name", SERIES)
def test_a_series_becomes_the_index(name, more):
    series = SERIES[name]()
    found = safeframe.set_index(FRAME, series, **more)
    wanted = TABLE.set_index(series.compute())
    if more.get("sort", True):
        wanted = wanted.sort_index(kind="stable")
        assert found.known_divisions
    pd.testing.assert_frame_equal(found.compute(), wanted)
    # As dask has it; dask itself leaves a series without a name out.
    assert list(found.columns) == list(FRAME.set_index("k", drop=False).columns)
    plan = safeframe.plan_set_index(FRAME, series, **more)
    assert plan.output_partitions == found.npartitions
    pd.testing.assert_frame_equal(FRAME.safe.set_index(other=series, **more).compute(), wanted)


@pytest.mark.parametrize(
    ("column", "error"),
    [
        (["k", "v"], UnsupportedError),
        (FRAME[["k", "v"]], UnsupportedError),
        (TABLE["k"], UnsupportedError),
        (np.arange(ROWS), SchemaMismatchError),
        (None, ValidationError),
    ],
    ids=["names", "frame", "pandas", "array", "nothing"],
)
def test_what_no_index_is_made_of(column, error):
    with pytest.raises(error):
        safeframe.set_index(FRAME, column)


def test_the_name_of_the_index_is_sorted_by():
    unsorted = FRAME.set_index("k", sort=False)
    pd.testing.assert_frame_equal(safeframe.set_index(unsorted, "k").compute(), indexed("k"))
    pd.testing.assert_frame_equal(safeframe.set_index(FRAME, ["k"]).compute(), indexed("k"))


@pytest.mark.parametrize(
    "given",
    [
        {"sorted": True, "npartitions": 3},
        {"sort": False, "npartitions": 3},
        {"sort": False, "divisions": [0, 49]},
        {"divisions": [0, 49], "npartitions": 3},
        {"divisions": [0, 49], "partition_size": "1MiB"},
        {"upsample": 0},
        {"npartitions": "many"},
        {"other": "k"},
    ],
)
def test_contradictions(given):
    with pytest.raises(ValidationError):
        safeframe.set_index(FRAME, "k", **given)


@pytest.mark.parametrize(
    "given",
    [
        {"npartitions": "auto"},
        {"npartitions": 2, "upsample": 2.0},
        {"shuffle_method": "tasks", "compute": False},
        {"partition_size": 128e6, "inplace": False, "append": False},
    ],
)
def test_what_is_taken_gives_the_same_rows(given):
    pd.testing.assert_frame_equal(safeframe.set_index(FRAME, "k", **given).compute(), indexed("k"))


def test_divisions_that_were_given_are_not_those_of_other_sizes(tmp_path):
    frame = pd.DataFrame({"k": [5, 3, 9, 1, 7, 2, 8, 4], "v": range(8)})
    ddf = dd.from_pandas(frame, npartitions=3, sort=False)
    indexed = safeframe.set_index(ddf, "k", divisions=[1, 5, 9], staging=str(tmp_path))
    assert indexed.divisions == (1, 5, 9)
    even = safeframe.rebalance_partitions(indexed, npartitions=4, staging=str(tmp_path))
    assert even.npartitions == 4
    found = even.compute(scheduler="sync")
    pd.testing.assert_frame_equal(found, frame.set_index("k").sort_index())
