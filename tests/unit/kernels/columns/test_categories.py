"""Categorical columns whose categories differ, joined as dask's own concat joins them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from dask.dataframe.dispatch import concat

from safeframe.kernels.columns.categories import (
    UNKNOWN,
    PooledCategories,
    as_known,
    coded,
    decoded,
    join_categoricals,
    join_coded,
    with_same_categories,
)

OTHERS = {
    "str": (["a", "b", None], ["c", "a"]),
    "int": ([3, 1, None], [2, 3]),
    "float": ([0.5, None], [-1.0, 0.5]),
    "time": (list(pd.to_datetime(["2020", "2021"])), [pd.Timestamp("2019"), None]),
    "zoned": ([pd.Timestamp("2020", tz="UTC"), None], [pd.Timestamp("2019", tz="UTC")]),
    "bool": ([True, None], [False, True]),
    "tuple": ([("a", 1), None], [("b", 2), ("a", 1)]),
    "interval": (pd.cut([1, 2], [0, 1, 2]), pd.cut([1, 2, np.nan], [0, 1.5, 3])),
}


@pytest.fixture(params=OTHERS.values(), ids=OTHERS.keys())
def pair(request):
    return [pd.Categorical(values) for values in request.param]


def test_joined_columns_are_those_of_dask(pair):
    joined = join_categoricals(pair)
    ours = join_coded([coded(column) for column in pair])
    assert ours.dtype.categories.equals(joined.categories)
    assert list(ours.codes.to_numpy()) == list(joined.codes)
    try:
        expected = concat([pd.DataFrame({"c": column}) for column in pair])["c"].reset_index(drop=True)
    except (pd.errors.InvalidIndexError, TypeError):  # intervals that overlap
        expected = pd.concat([pd.Series(column).astype(object) for column in pair], ignore_index=True)
        assert pd.Series(joined).astype(object).equals(expected)
    else:
        pd.testing.assert_series_equal(pd.Series(joined, name="c"), expected)


def test_frames_are_joined_as_columns_are(pair):
    frames = [pd.DataFrame({"n": range(len(column)), "c": column}) for column in pair]
    found = pd.concat(with_same_categories(frames), ignore_index=True)["c"]
    pd.testing.assert_series_equal(found, pd.Series(join_categoricals(pair), name="c"))


def test_a_column_without_values_has_no_say(pair):
    for empty in (
        pd.Categorical([None, None]),
        pd.Categorical([None], categories=pd.Index([], dtype="int64")),
    ):
        for columns in ([pair[0], empty], [empty, pair[0]]):
            joined = join_categoricals(columns)
            assert joined.dtype == pair[0].dtype
            assert len(joined) == len(pair[0]) + len(empty)


def test_categories_of_several_types():
    joined = join_categoricals(
        [pd.Categorical([2**53 + 1, None]), pd.Categorical([0.5]), pd.Categorical(["a"])]
    )
    assert joined.tolist()[0] == 2**53 + 1, "nothing is rounded"
    assert joined.astype(object).tolist()[2:] == [0.5, "a"]


def test_order_stays_where_it_is_the_same():
    ordered = pd.CategoricalDtype(["b", "a"], ordered=True)
    same = [pd.Categorical(["a"], dtype=ordered), pd.Categorical(["b", None], dtype=ordered)]
    assert join_categoricals(same).dtype == ordered
    assert not join_categoricals([same[0], pd.Categorical(["b", "a"])]).ordered


def test_more_categories_than_the_codes_of_one_can_number():
    one, other = pd.Categorical(range(100)), pd.Categorical([*range(100, 300), None])
    joined = join_categoricals([one, other])
    assert joined.codes.dtype == np.int16
    assert joined.tolist()[:-1] == list(range(300))
    assert joined.codes[-1] == -1


def test_known_categories_are_those_that_are_promised():
    promised = pd.CategoricalDtype(["c", "b", "a"], ordered=True)
    assert as_known(pd.Categorical(["a", None]), promised).dtype == promised
    assert decoded([coded(pd.Categorical(["a"])), coded(pd.Categorical(["b"]))], promised).dtype == promised
    assert list(as_known(pd.Categorical(["z", "a"]), promised).categories) == ["a", "z"], "no value is lost"
    unknown = pd.CategoricalDtype([UNKNOWN])
    assert list(as_known(pd.Categorical(["z"]), unknown).categories) == ["z"]
    assert len(decoded([], unknown).categories) == 0


@pytest.mark.parametrize("order", [(0, 1, 0, 2), (2, 0, 1), (0, 0), (2, 2), (1,)])
def test_codes_of_parts_are_read_as_the_parts_are_joined(pair, order):
    columns = [[*pair, pd.Categorical([None, None])][i] for i in order]
    pooled = PooledCategories.of([column.dtype for column in columns])
    codes = np.concatenate([column.codes for column in columns])
    rows = None if pooled.same else np.array([len(column) for column in columns])
    found = pooled.decoded(codes, rows, pd.CategoricalDtype([UNKNOWN]))
    pd.testing.assert_series_equal(pd.Series(found), pd.Series(join_categoricals(columns)))
    assert (
        len(pooled.decoded(codes[:0], np.zeros(len(columns), np.int64), pd.CategoricalDtype([UNKNOWN]))) == 0
    )


def test_the_mark_of_unknown_categories_is_none_of_them():
    unknown = pd.Categorical([None], categories=[UNKNOWN])
    assert join_categoricals([unknown, pd.Categorical([1])]).categories.tolist() == [1]
