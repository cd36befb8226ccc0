"""Columns of Python objects come out of every recipe as they went in, value and type."""

from __future__ import annotations

import datetime as dt
import decimal
from itertools import chain

import dask
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import safeframe
from tests.property.objects import columns, identical
from tests.property.recipes import KEPT, MOVED, in_parts, rows_of

RECIPES = {**KEPT, **MOVED}
D = decimal.Decimal
MIXED = {
    "integers and None": [[2**53 + 1, None], [7, 2**53 + 3]],
    "lists": [[[1, 2], None], [[3], []]],
    "dicts": [[{"a": 1}, {"b": 2}], [{}, None]],
    "decimals and integers": [[D("1.5"), D("2")], [3, D("0." + "1" * 20)]],
    "integers and floats": [[2**53 + 1, 2], [0.5, None]],
    "dates and datetimes": [[dt.date(2020, 1, 1)] * 2, [dt.datetime(2020, 1, 1, 5, tzinfo=dt.UTC), pd.NaT]],
    "str and bytes": [["a", "b"], [b"a", None]],
    "str and NaN": [["a", None], [np.nan, "b"]],
    "str and NA": [["a", None], [pd.NA, "b"]],
    "tuples": [[(1, 2.0), (3, "x")], [(5,), None]],
    "numpy": [[np.int64(2**60 + 1), None], [np.int8(1), np.array([1, 2])]],
    "large integers": [[2**70, 1], [True, 0]],
    "without values": [[1, 2], [None, np.nan]],
}


def parts_of(lists):
    ends = np.cumsum([0, *map(len, lists)])
    return [
        pd.DataFrame(
            {"k": np.arange(ends[i], ends[i + 1]), "o": pd.Series([*values, None], dtype=object).iloc[:-1]}
        )
        for i, values in enumerate(lists)
    ]


@pytest.mark.parametrize("values", MIXED.values(), ids=MIXED.keys())
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_objects_come_out_as_they_went_in(recipe, values, tmp_path):
    with dask.config.set(scheduler="sync", **{"dataframe.convert-string": False}):
        found = rows_of(recipe(parts_of(values), None, str(tmp_path)))
    assert identical(found["o"].tolist(), [*chain.from_iterable(values)])


@given(st.lists(columns.map(pd.Series.tolist).filter(len), min_size=1, max_size=4), st.sampled_from([*MOVED]))
def test_any_objects_come_out_of_files_as_they_went_in(tmp_path_factory, values, name):
    with dask.config.set(scheduler="sync", **{"dataframe.convert-string": False}):
        found = rows_of(MOVED[name](parts_of(values), None, str(tmp_path_factory.getbasetemp())))
    assert identical(found["o"].tolist(), [*chain.from_iterable(values)])


def test_an_index_of_objects_stays_as_it_was(tmp_path):
    index = pd.Index([1, (2, 3), None, "a", b"a", 2.5], dtype=object, name="i")
    frame = pd.DataFrame({"k": range(6)}, index=index)
    ddf = in_parts([frame.iloc[:2], frame.iloc[2:]])
    with dask.config.set(scheduler="sync"):
        found = safeframe.shuffle(ddf, "k", npartitions=2, staging=str(tmp_path)).compute()
    assert identical(found.sort_values("k").index.tolist(), index.tolist())


class Mine:
    """Not of the library, and equal to nothing but itself."""


# In a merge with one side in key order it is the other side that moves.
@pytest.mark.parametrize("recipe", [MOVED[name] for name in MOVED if "one-side" not in name])
def test_objects_of_other_classes_are_refused_before_anything_runs(recipe, tmp_path):
    with (
        dask.config.set(scheduler="sync", **{"dataframe.convert-string": False}),
        pytest.raises((safeframe.UnsupportedError, safeframe.ValidationError), match=r"'o'.*Mine"),
    ):
        recipe(parts_of([[1, Mine()], [2, Mine()]]), None, str(tmp_path))


def test_objects_of_other_classes_that_were_not_seen_are_refused_when_they_are(tmp_path):
    parts = parts_of([[1], [2], [3], [4], [Mine()]])
    with dask.config.set(scheduler="sync", **{"dataframe.convert-string": False}):
        shuffled = safeframe.shuffle(in_parts(parts), "k", npartitions=3, staging=str(tmp_path))
        with pytest.raises(safeframe.UnsupportedError, match=r"'o'.*Mine"):
            shuffled.compute()
