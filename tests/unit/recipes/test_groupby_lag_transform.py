"""safeframe.groupby_lag_transform where a wrong choice would give wrong values: nulls, overlaps, orders, names."""

from __future__ import annotations

from itertools import pairwise

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe


@pytest.fixture(autouse=True)
def _in_this_process():
    with dask.config.set({"scheduler": "sync", "dataframe.convert-string": False}):
        yield


def pieces(*parts):
    return dd.from_map(lambda i: parts[i], range(len(parts)), meta=parts[0].iloc[:0])


def rows(keys, values, **more):
    return pd.DataFrame({"k": keys, "v": values, **more})


def lagged(ddf, tmp_path, *, by="k", lags=1, **arguments):
    return safeframe.groupby_lag_transform(ddf, by, "v", lags, staging=str(tmp_path), **arguments)


NULLS = [1.0, np.nan, 1.0, np.nan, np.nan]


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("dropna", [True, False])
def test_rows_without_a_key(in_order, dropna, tmp_path):
    frame = rows(NULLS, [1, 2, 3, 4, 5])
    if in_order:
        frame = frame.sort_values("k", kind="stable")
    result = lagged(pieces(frame.iloc[:3], frame.iloc[3:]), tmp_path, dropna=dropna)
    assert safeframe.explain(result).strategy == ("halo" if in_order else "staged")
    found = result.compute().sort_values("v")["v_lag_1"]
    expected = [np.nan, np.nan, 1.0, np.nan, np.nan] if dropna else [np.nan, np.nan, 1.0, 2.0, 4.0]
    np.testing.assert_array_equal(found, expected)


def test_rows_without_a_key_are_ordered_as_others_are(tmp_path):
    frame = rows(NULLS, [1, 2, 3, 4, 5], t=[0, 9, 1, 8, 7])
    result = lagged(pieces(frame.iloc[:3], frame.iloc[3:]), tmp_path, dropna=False, order_by="t")
    found = result.compute().sort_values("v")["v_lag_1"]
    np.testing.assert_array_equal(found, [np.nan, 4.0, 1.0, 5.0, np.nan])


def test_partitions_in_order_that_overlap_are_not_in_order(tmp_path):
    result = lagged(pieces(rows([1, 2], [1, 2]), rows([1, 2], [3, 4])), tmp_path)
    plan = safeframe.explain(result)
    assert plan.strategy == "staged"
    assert any("overlap" in one.reason for one in plan.rejected)
    np.testing.assert_array_equal(result.compute().sort_values("v")["v_lag_1"], [np.nan, np.nan, 1.0, 2.0])


def test_rows_in_the_order_of_the_keys_but_not_of_the_column_that_is_named_move(tmp_path):
    result = lagged(
        pieces(rows([1, 1], [1, 2], t=[5, 4]), rows([1, 2], [3, 4], t=[3, 2])), tmp_path, order_by="t"
    )
    assert safeframe.explain(result).strategy == "staged"
    np.testing.assert_array_equal(result.compute().sort_values("v")["v_lag_1"], [2.0, 3.0, np.nan, np.nan])


def test_a_lag_that_goes_over_many_partitions_some_of_them_empty(tmp_path):
    frame = rows([3] * 9, range(9))
    cuts = [0, 2, 2, 3, 3, 3, 7, 9, 9]
    result = lagged(pieces(*(frame.iloc[a:b] for a, b in pairwise(cuts))), tmp_path, lags=[8, -8])
    assert safeframe.explain(result).strategy == "halo"
    found = result.compute()
    np.testing.assert_array_equal(found["v_lag_8"], [np.nan] * 8 + [0.0])
    np.testing.assert_array_equal(found["v_lag_-8"], [8.0] + [np.nan] * 8)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("{column}_lag_{lag}", ["v_lag_1", "v_lag_-1"]),
        (lambda column, lag: (column, lag), [("v", 1), ("v", -1)]),
        (["before", "behind"], ["before", "behind"]),
    ],
)
def test_names(names, expected, tmp_path):
    result = lagged(pieces(rows([1, 1], [1, 2])), tmp_path, lags=[1, -1], names=names)
    assert list(result.columns) == ["k", "v", *expected]
    computed = result.compute()
    assert list(computed.columns) == list(result.columns)
    assert computed.dtypes.tolist() == result.dtypes.tolist()


def test_the_index_is_kept_or_left_out(tmp_path):
    frame = rows([2, 1, 2], [1, 2, 3]).set_axis(pd.Index(["a", "b", "c"], name="name"))
    assert lagged(pieces(frame), tmp_path).compute().index.tolist() == ["b", "a", "c"]
    assert lagged(pieces(frame), tmp_path, ignore_index=True).compute().index.tolist() == [0, 1, 2]


def test_an_index_that_orders_the_rows_of_a_group_stays_the_index(tmp_path):
    frame = rows([2, 2, 2], [1, 2, 3]).set_axis(pd.Index([5, 3, 4], name="t"))
    result = lagged(pieces(frame), tmp_path, order_by="t")
    assert not result.known_divisions
    found = result.compute()
    assert found.index.name == "t"
    np.testing.assert_array_equal(found.loc[[3, 4, 5], "v_lag_1"], [np.nan, 2.0, 3.0])


def test_partitions_of_it_and_its_head_are_what_they_are_of_the_whole(tmp_path):
    frame = rows(np.repeat(range(4), 5), range(20))
    in_order = pieces(*(frame.iloc[a : a + 4] for a in range(0, 20, 4)))
    result = lagged(in_order, tmp_path)
    assert safeframe.explain(result).strategy == "halo"
    whole = result.compute()
    pd.testing.assert_frame_equal(result.partitions[2].compute(), whole.iloc[8:12])
    pd.testing.assert_frame_equal(result.head(3), whole.iloc[:3])


def test_sizes_that_were_requested_of_a_sort_are_those_of_its_features(tmp_path):
    frame = rows(np.arange(1000) % 50, np.arange(1000))
    indexed = safeframe.set_index(pieces(frame), "k", npartitions=5, staging=str(tmp_path))
    result = safeframe.groupby_lag_transform(indexed, "k", "v", 1)
    assert (result.npartitions, result.divisions) == (5, indexed.divisions)
    other = safeframe.groupby_lag_transform(indexed, "k", "v", 1, npartitions=2)
    assert other.npartitions == 2


def test_whole_groups_that_cannot_stay_say_what_is_in_the_way(tmp_path):
    frame = pieces(rows([1, 2, 1], [1, 2, 3]), rows([2, 3, 3], [4, 5, 6]))
    shuffled = safeframe.shuffle(frame, "k", npartitions=2, staging=str(tmp_path))
    assert safeframe.explain(lagged(shuffled, tmp_path)).strategy == "whole"
    plan = safeframe.explain(lagged(shuffled, tmp_path, npartitions=3))
    assert plan.strategy == "staged"
    assert plan.rejected[0].reason == "there are 2 partitions, and 3 are requested"


@pytest.mark.parametrize("names", [[0, 1], [0, "v"]])
def test_lags_of_columns_whose_names_are_numbers(names, tmp_path):
    frame = pd.DataFrame([[2, 1.0], [1, 2.0], [1, 3.0]], columns=names)
    result = safeframe.groupby_lag_transform(pieces(frame), 0, names[1], 1, staging=str(tmp_path)).compute()
    name = f"{names[1]}_lag_1"
    assert result.columns.tolist() == [*names, name]
    expected = frame.groupby(0)[names[1]].shift(1).rename(name)
    pd.testing.assert_series_equal(result[name].sort_index(), expected)
