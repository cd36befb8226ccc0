"""Integers and flags with nulls, in files that pandas has not written: frames have the types that pandas reads."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import safeframe
from safeframe.prepare.arguments import with_types_of_nulls
from safeframe.sizing.columns import null_integers
from safeframe.sizing.remembered import STORE

READERS = [{"filesystem": "arrow"}, {"split_row_groups": True}]


@pytest.fixture(autouse=True)
def nothing_is_remembered():
    STORE.clear()


@pytest.fixture
def source(tmp_path):
    directory = tmp_path / "in"
    directory.mkdir()
    for number in range(4):
        rng = np.random.default_rng(number)
        null = rng.random(200) < (0.0 if number in (0, 2) else 0.2)
        table = pa.table(
            {
                "k": rng.permutation(200) + 200 * number,
                "g": rng.integers(0, 9, 200),
                "n": pa.array(rng.integers(0, 40, 200), pa.int32(), mask=null),
                "u": pa.array(rng.integers(0, 5, 200), pa.uint8(), mask=null),
                "b": pa.array(rng.random(200) < 0.5, mask=null),
                "z": pa.array(rng.integers(0, 5, 200)),
            }
        )
        pq.write_table(table, directory / f"{number}.parquet", row_group_size=70)
    return str(directory)


RECIPES = {
    "merge": lambda d: safeframe.merge(d, d[["k"]], on="k"),
    "merge staged": lambda d: safeframe.merge(
        d, d[["k", "z"]], on="k", strategy="staged", suffixes=("", "_r")
    ),
    "sort": lambda d: safeframe.sort_values(d, "k"),
    "shuffle": lambda d: safeframe.shuffle(d, "g"),
    "distinct": lambda d: safeframe.drop_duplicates(d, "k"),
    "rebalance": lambda d: safeframe.rebalance_partitions(d),
    "set_index": lambda d: safeframe.set_index(d, "k").reset_index(),
}


@pytest.mark.parametrize("read", READERS, ids=str)
@pytest.mark.parametrize("recipe", RECIPES)
def test_rows_are_those_that_pandas_has(source, recipe, read):
    lazy = RECIPES[recipe](dd.read_parquet(source, **read))
    expected = dd.read_parquet(source, **read).compute().sort_values("k", ignore_index=True)
    found = lazy.compute().sort_values("k", ignore_index=True)[expected.columns]
    pd.testing.assert_frame_equal(found, expected)
    assert lazy.n.dtype == lazy.u.dtype == np.float64
    assert lazy.z.dtype == np.int64


@pytest.mark.parametrize("by", ["n", ["u", "b"], "b", ["g", "n"]])
@pytest.mark.parametrize("dropna", [True, False])
def test_keys_with_nulls(source, by, dropna):
    ddf = dd.read_parquet(source)
    found = safeframe.groupby(ddf, by, dropna=dropna).z.agg(["sum", "count"]).compute().sort_index()
    expected = ddf.compute().groupby(by, dropna=dropna).z.agg(["sum", "count"])
    # Flags without a null are flags again in pandas' index.
    pd.testing.assert_frame_equal(found, expected, check_index_type="b" not in by)
    joined = safeframe.merge(ddf, ddf[["n", "k"]], on="n", how="left").compute()
    assert len(joined) == len(ddf.compute().merge(ddf[["n", "k"]].compute(), on="n", how="left"))
    counts = safeframe.value_counts(ddf, by, dropna=dropna).compute().sort_index()
    assert counts.to_list() == ddf.compute().value_counts(by, dropna=dropna).sort_index().to_list()


def test_series_of_the_frame_and_steps(source):
    ddf = dd.read_parquet(source)
    frame = ddf.compute()
    found = safeframe.groupby(ddf, ddf.n % 7).z.sum().compute().sort_index()
    pd.testing.assert_series_equal(found, frame.groupby(frame.n % 7).z.sum())
    indexed = safeframe.set_index(ddf, ddf.k + 1).compute()
    assert indexed.index.tolist() == sorted((frame.k + 1).tolist())
    wide = ddf.assign(more=ddf.n + 1)[ddf.g > 3]
    moved = safeframe.sort_values(wide, "k").compute()
    expected = wide.compute().sort_values("k")
    pd.testing.assert_frame_equal(moved.reset_index(drop=True), expected.reset_index(drop=True))


def test_written_and_written_again(source, tmp_path):
    ddf = dd.read_parquet(source)
    safeframe.to_parquet(safeframe.merge(ddf, ddf[["k"]], on="k"), str(tmp_path / "out"), write_index=False)
    safeframe.to_parquet(ddf, str(tmp_path / "plain"), write_index=False)
    expected = ddf.compute().sort_values("k", ignore_index=True)
    for name in ("out", "plain"):
        found = pd.read_parquet(tmp_path / name).sort_values("k", ignore_index=True)
        pd.testing.assert_frame_equal(found[expected.columns], expected)


def test_rows_that_a_filter_leaves(source):
    ddf = dd.read_parquet(source, filters=[("n", ">", 10)])
    found = safeframe.sort_values(ddf, "k").compute()
    expected = ddf.compute().sort_values("k")
    pd.testing.assert_series_equal(found.n.reset_index(drop=True), expected.n.reset_index(drop=True))


def test_integers_without_nulls_stay_as_they_are(source, tmp_path, monkeypatch):
    ddf = dd.read_parquet(source)[["k", "z"]]
    assert with_types_of_nulls(ddf).dtypes.to_dict() == {"k": np.int64, "z": np.int64}
    # Of files that pandas wrote no footer is read: integers of these are never null.
    frame = pd.DataFrame({"k": range(9), "n": pd.array([1, None, 3] * 3, "Int64")})
    frame.to_parquet(tmp_path / "theirs.parquet")
    monkeypatch.setattr(null_integers, "computed", None)
    theirs = dd.read_parquet(str(tmp_path / "theirs.parquet"))
    assert with_types_of_nulls(theirs) is theirs
    assert safeframe.sort_values(theirs, "k").compute().n.tolist()[::2] == frame.n.tolist()[::2]


def test_results_of_recipes_stay_as_they_are(source):
    ddf = dd.read_parquet(source)
    merged = safeframe.merge(ddf, ddf[["k"]], on="k")
    assert with_types_of_nulls(merged) is merged
    again = safeframe.sort_values(merged, "n").compute()
    assert len(again) == 800
    assert again.n.iloc[:400].is_monotonic_increasing


def _table(number, null):
    return pa.table(
        {"k": range(10 * number, 10 * number + 10), "n": pa.array(range(10), mask=np.arange(10) % 3 < null)}
    )


def _files(path, tables, **kwargs):
    for number, table in enumerate(tables):
        pq.write_table(table, path / f"{number}.parquet", **kwargs)
    return str(path)


def _is_sorted_as_pandas_does(ddf):
    expected = ddf.compute().sort_values("k").reset_index(drop=True)
    pd.testing.assert_frame_equal(safeframe.sort_values(ddf, "k").compute().reset_index(drop=True), expected)


def test_files_without_statistics(tmp_path):
    path = _files(tmp_path, [_table(0, 0), _table(1, 1)], write_statistics=False)
    _is_sorted_as_pandas_does(dd.read_parquet(path))


def test_objects_that_pandas_has_written(tmp_path):
    for number in range(2):
        values = [number, None, 2, None]
        frame = pd.DataFrame({"k": range(4), "n": values, "b": [True, None, False, None]}, dtype=object)
        frame.assign(k=range(4 * number, 4 * number + 4)).to_parquet(tmp_path / f"{number}.parquet")
    _is_sorted_as_pandas_does(dd.read_parquet(tmp_path))


@pytest.mark.parametrize(
    "filters",
    [
        [[("n", ">", 3)], [("k", ">", 5)]],
        [("n", "not in", [3])],
        [("n", "in", [3, 4])],
        [("n", ">", 3), ("k", ">", 5)],
        [("n", "is not", np.nan)],
    ],
    ids=str,
)
def test_filters_that_leave_nulls_or_none(tmp_path, filters):
    path = _files(tmp_path, [_table(0, 0), _table(1, 1)])
    _is_sorted_as_pandas_does(dd.read_parquet(path, filters=filters))


def test_a_file_without_the_column(tmp_path):
    path = _files(tmp_path, [_table(0, 0).drop_columns(["n"]), _table(1, 0)])
    ddf = dd.read_parquet(path, filesystem="arrow")
    if "n" in ddf.columns:  # as the first file that the file system lists has it
        _is_sorted_as_pandas_does(ddf)


def test_a_column_with_the_name_of_a_field_of_a_record(tmp_path):
    table = _table(0, 0).append_column("a.b", pa.array(range(10)))
    records = pa.array([{"b": None if at % 2 else at} for at in range(10)])
    path = _files(tmp_path, [table.append_column("a", records)])
    assert with_types_of_nulls(dd.read_parquet(path)).dtypes["a.b"] == np.int64


@pytest.mark.parametrize("how", ["inner", "left", "outer"])
@pytest.mark.parametrize("strategy", ["broadcast", "staged"])
def test_flags_with_nulls_meet_flags_without(source, how, strategy):
    if how == "outer" and strategy == "broadcast":
        pytest.skip("an outer merge is not broadcast")
    ddf = dd.read_parquet(source)[["b", "k"]]
    flags = dd.from_pandas(pd.DataFrame({"b": [True, False, True], "x": [1, 2, 3]}), npartitions=2)
    for one, other in ((ddf, flags), (flags, ddf)):
        found = safeframe.merge(one, other, on="b", how=how, strategy=strategy).compute()
        expected = one.compute().merge(other.compute(), on="b", how=how)
        order = ["k", "x"]
        pd.testing.assert_frame_equal(
            found.sort_values(order, ignore_index=True),
            expected.sort_values(order, ignore_index=True),
            check_dtype=False,
        )


def test_a_frame_that_was_looked_at_stays(source):
    ddf = dd.read_parquet(source)
    typed = with_types_of_nulls(ddf)
    assert with_types_of_nulls(typed) is typed
    mine = ddf.astype({"z": "float64"})
    assert with_types_of_nulls(mine).dtypes.to_dict() == {**typed.dtypes.to_dict(), "z": np.float64}
