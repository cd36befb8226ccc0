"""Bad input to groupby_lag_transform, and data that changed: a typed error, with a hint, and no file left."""

from __future__ import annotations

import pickle

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe

pytestmark = pytest.mark.usefixtures("_in_this_process")


def frame(npartitions=2, **columns):
    with dask.config.set({"dataframe.convert-string": False}):
        return dd.from_pandas(pd.DataFrame(columns), npartitions=npartitions, sort=False)


COLUMNS = {"k": [2, 1, 2, 1], "v": [1, 2, 3, 4], "w": ["a", "b", "c", "d"]}
GIVEN = {"by": "k", "columns": "v", "lags": 1}

BAD = [
    ({"by": "nope"}, safeframe.KeyNotFoundError, r"no column 'nope'; it has 3: 'k', 'v', 'w'"),
    ({"columns": "nope"}, safeframe.KeyNotFoundError, "no column 'nope'"),
    ({"order_by": "nope"}, safeframe.KeyNotFoundError, "no column 'nope'"),
    ({"order_by": "k"}, safeframe.ValidationError, "named twice"),
    ({"by": []}, safeframe.ValidationError, "No column is named"),
    ({"columns": []}, safeframe.ValidationError, "names no column"),
    ({"lags": []}, safeframe.ValidationError, "lags= is empty"),
    ({"lags": [1, 1]}, safeframe.ValidationError, "twice"),
    ({"lags": 1.5}, safeframe.ValidationError, r"1\.5, which is not a number of rows"),
    ({"lags": [True]}, safeframe.ValidationError, "True, which is not a number of rows"),
    ({"names": "v"}, safeframe.ValidationError, "'v' has the name of an existing column"),
    ({"names": "x", "lags": [1, 2]}, safeframe.ValidationError, "More than one new column has the name 'x'"),
    ({"names": "{nope}"}, safeframe.ValidationError, "is not a template"),
    ({"names": ["a", "b"]}, safeframe.ValidationError, "does not name 1 columns"),
    ({"transform": "log"}, safeframe.ValidationError, "'log' is not a function(.|\n)*diff"),
    ({"transform": np.add}, safeframe.ValidationError, "add takes 2 values"),
    ({"transform": 3}, safeframe.ValidationError, "3 is not a function"),
    ({"fill_value": 0.5}, safeframe.ValidationError, r"0\.5 is not a value of column 'v' of dtype int64"),
    ({"columns": "w", "transform": "diff"}, safeframe.ValidationError, "'diff' fails on a column"),
    ({"dropna": "no"}, safeframe.ValidationError, "'no' is neither True nor False"),
    ({"npartitions": 0}, safeframe.ValidationError, "npartitions=0"),
    ({"npartitions": 1, "partition_size": 9}, safeframe.ValidationError, "exclude each other"),
    ({"strategy": "sorted"}, safeframe.ValidationError, "'sorted' is not a strategy(.|\n)*whole, halo, staged, p2p"),
    ({"strategy": "halo"}, safeframe.ValidationError, "'halo' cannot run this .*: the rows of 2 of 2"),
    ({"strategy": "whole"}, safeframe.ValidationError, "'whole' cannot run this .*: groups are not known"),
    ({"strategy": "p2p"}, safeframe.ValidationError, "'p2p' cannot run this .*: there is no distributed client"),
]  # fmt: skip


@pytest.mark.parametrize("function", [safeframe.groupby_lag_transform, safeframe.plan_lag])
@pytest.mark.parametrize(("given", "kind", "words"), BAD)
def test_what_cannot_be_done_is_said_in_words(function, given, kind, words):
    with pytest.raises(kind, match=words) as caught:
        function(frame(**COLUMNS), **{**GIVEN, **given})
    assert "Hint: " in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_pandas_frame_is_refused():
    with pytest.raises(safeframe.SchemaMismatchError, match="from_pandas"):
        safeframe.groupby_lag_transform(pd.DataFrame(COLUMNS), "k", "v", 1)


def test_values_without_an_order_are_refused():
    mixed = frame(k=pd.Series([1, "a", 2, "b"], dtype=object), v=[1, 2, 3, 4])
    with pytest.raises((safeframe.UnsupportedError, safeframe.SchemaMismatchError), match="Hint: "):
        safeframe.groupby_lag_transform(mixed, "k", "v", 1)


def test_a_plan_that_does_not_fit_raises_before_any_row_moves(tmp_path):
    result = safeframe.groupby_lag_transform(
        frame(**COLUMNS), "k", "v", 1, memory="1MiB", staging=str(tmp_path)
    )
    assert not safeframe.explain(result).fits
    with pytest.raises(safeframe.MemoryBudgetError, match="groupby_lag_transform is projected to need"):
        result.compute()
    assert not list(tmp_path.rglob("*.staged"))


class Changing:
    """Partitions in order, that are others from the second time on."""

    def __init__(self, later):
        self.later, self.calls = later, 0

    def __call__(self, number):
        self.calls += 1
        keys = [0, 0, 1] if number == 0 else [1, 1, 2]
        if self.calls > 2:
            keys = self.later[number]
        return pd.DataFrame({"k": keys, "v": range(len(keys))})

    def __dask_tokenize__(self):
        return "Changing", id(self)


@pytest.mark.parametrize(
    ("later", "kind", "words"),
    [
        (
            [[0, 1], [1, 1, 2]],
            safeframe.RowConservationError,
            "Partition 0 of the frame has 2 rows, and had 3",
        ),
        ([[0, 0, 1], [2, 1, 1]], safeframe.RowConservationError, "partition 1 are not in order, but were"),
    ],
)
def test_partitions_that_changed_are_noticed(later, kind, words):
    meta = pd.DataFrame({"k": [0], "v": [0]}).iloc[:0]
    changing = dd.from_map(Changing(later), range(2), meta=meta)
    result = safeframe.groupby_lag_transform(changing, "k", "v", 1)
    assert safeframe.explain(result).strategy == "halo"
    with pytest.raises(kind, match=words):
        result.compute()


def test_a_partition_larger_than_planned_is_refused(tmp_path):
    calls = []

    def rows(number):
        calls.append(number)
        n = 10 if len(calls) <= 2 else 500
        return pd.DataFrame({"k": np.arange(n)[::-1], "v": range(n)})

    changing = dd.from_map(rows, range(2), meta=rows(0).iloc[:0])
    calls.clear()
    result = safeframe.groupby_lag_transform(changing, "k", "v", 1, staging=str(tmp_path))
    with pytest.raises(safeframe.RowConservationError, match="The frame has 1,000 rows, and had 20"):
        result.compute()
