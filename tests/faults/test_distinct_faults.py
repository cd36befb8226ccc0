"""Bad input to what finds distinct keys: a typed error with a hint, and nothing is left behind."""

from __future__ import annotations

import gc
from pathlib import Path

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import safeframe
from safeframe import options
from safeframe.planning.distinct import shards

pytestmark = pytest.mark.usefixtures("_in_this_process")


def frame(npartitions=2, **columns):
    with dask.config.set({"dataframe.convert-string": False}):
        return dd.from_pandas(pd.DataFrame(columns), npartitions=npartitions, sort=False)


def parts(made):
    return dd.from_map(lambda number: made[number], range(len(made)), meta=made[0].iloc[:0])


def staged_files(directory: Path) -> list[Path]:
    gc.collect()
    return [path for path in directory.rglob("*") if path.suffix in (".staged", ".partial")]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda ddf: safeframe.drop_duplicates(ddf, "x"), safeframe.KeyNotFoundError, "no column 'x'"),
        (lambda ddf: safeframe.drop_duplicates(ddf, []), safeframe.ValidationError, "No column"),
        (lambda ddf: safeframe.drop_duplicates(ddf, ["k", "k"]), safeframe.ValidationError, "twice"),
        (lambda ddf: safeframe.drop_duplicates(ddf, keep="middle"), safeframe.ValidationError, "keep='middle'"),
        (lambda ddf: safeframe.drop_duplicates(ddf, shuffle_method="p2p"), safeframe.UnsupportedError, "p2p"),
        (lambda ddf: safeframe.drop_duplicates(ddf, split_every=-1), safeframe.ValidationError, "split_every=-1"),
        (lambda ddf: safeframe.drop_duplicates(ddf, strategy="p2p"), safeframe.ValidationError, "strategy='p2p'"),
        (lambda ddf: safeframe.drop_duplicates(ddf, strategy="whole"), safeframe.ValidationError, "several partitions"),
        (lambda ddf: safeframe.drop_duplicates(ddf._meta), safeframe.SchemaMismatchError, "pandas dataframe"),
        (lambda ddf: safeframe.duplicated(ddf["k"]), safeframe.SchemaMismatchError, "Series"),
        (lambda ddf: safeframe.unique(ddf), safeframe.ValidationError, "one column"),
        (lambda ddf: safeframe.unique(ddf["k"], "k"), safeframe.ValidationError, "a series already"),
        (lambda ddf: safeframe.nunique(ddf, axis=1), safeframe.UnsupportedError, "axis=1"),
        (lambda ddf: safeframe.nunique(ddf._meta["k"]), safeframe.SchemaMismatchError, "pandas series"),
    ],
)  # fmt: skip
def test_arguments_are_answered_in_words(call, error, words):
    with pytest.raises(error, match=words) as caught:
        call(frame(k=[1, 2, 1], v=["a", "b", "c"]))
    assert "Hint: " in str(caught.value)


def test_names_that_are_there_twice():
    made = frame(a=[1, 2], b=[3, 4])
    made.columns = ["a", "a"]
    with pytest.raises(safeframe.ValidationError, match="more than one column named 'a'"):
        safeframe.drop_duplicates(made)


def test_values_without_a_hash():
    with pytest.raises(safeframe.UnsupportedError, match="cannot be compared as keys"):
        safeframe.drop_duplicates(frame(k=[[1], [2], [1]]))
    lists = pd.DataFrame({"k": pd.Series([[1], [2]], dtype=pd.ArrowDtype(pa.list_(pa.int64())))})
    with pytest.raises(safeframe.UnsupportedError, match="lists, structs and maps"):
        safeframe.drop_duplicates(dd.from_pandas(lists, npartitions=1))


@pytest.mark.parametrize("strategy", ["tree", "staged"])
def test_a_partition_that_has_other_rows_later(strategy, tmp_path):
    made = [pd.DataFrame({"k": [1, 2, 3]}), pd.DataFrame({"k": [3, 4]})]
    result = safeframe.drop_duplicates(parts(made), strategy=strategy, staging=str(tmp_path))
    made[1] = pd.DataFrame({"k": [3, 4, 5]})
    with pytest.raises(safeframe.RowConservationError, match="had 2 when"):
        result.compute()
    del result
    assert not staged_files(tmp_path)


@pytest.mark.parametrize("parked", [False, True])
def test_nothing_is_left_behind(parked, tmp_path):
    rows = pd.DataFrame({"k": np.arange(300) % 70, "v": np.arange(300)})
    ddf = parts([rows[:100], rows[100:150], rows[150:]])
    if parked:
        ddf = safeframe.shuffle(ddf, "v", npartitions=3, staging=str(tmp_path))
    result = safeframe.drop_duplicates(ddf, "k", strategy="staged", staging=str(tmp_path))
    assert len(result.compute()) == 70
    assert safeframe.nunique(ddf, strategy="staged", staging=str(tmp_path)).compute().tolist() == [70, 300]
    del result
    assert not staged_files(tmp_path)


def test_keys_in_two_levels(monkeypatch, tmp_path):
    monkeypatch.setattr(options, "ONE_LEVEL_PIECES", 1)
    monkeypatch.setattr(options, "DISTINCT_REDUCED_FRACTION", 0.0)
    rows = pd.DataFrame(
        {"k": np.random.default_rng(1).integers(0, 900, 3000).astype(str), "v": np.arange(3000)}
    )
    ddf = parts([rows[:1000], rows[1000:1500], rows[1500:]])
    monkeypatch.setattr(shards, "default_shard_nbytes", lambda task_nbytes: 4096)
    result = safeframe.drop_duplicates(ddf, "k", strategy="staged", staging=str(tmp_path))
    assert safeframe.explain(result).run.way.group.size.coarse
    assert result.compute()["v"].tolist() == rows.drop_duplicates("k")["v"].tolist()
