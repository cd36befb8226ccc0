"""Aggregations that pandas has not: dask's ``Aggregation``, most frequent values, lists."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe.errors import SchemaMismatchError

_NUMBERS = np.random.default_rng(2)
ROWS = 500
FRAME = pd.DataFrame(
    {
        "k": _NUMBERS.integers(0, 40, ROWS),
        "j": _NUMBERS.choice(["x", "y"], ROWS),
        "c": pd.Categorical(_NUMBERS.choice(["p", "q"], ROWS), categories=["p", "q", "r"]),
        "v": _NUMBERS.integers(0, 9, ROWS).astype(float),
        "s": _NUMBERS.choice(["a", "b"], ROWS),
    }
)
FRAME.loc[FRAME.k == 3, "v"] = np.nan
FRAME.loc[FRAME.k % 4 == 1, "s"] = None

MEAN = dd.Aggregation(
    "own_mean",
    chunk=lambda s: (s.count(), s.sum()),
    agg=lambda counts, sums: (counts.sum(), sums.sum()),
    finalize=lambda count, total: total / count,
)
SUM = dd.Aggregation("own_sum", chunk=lambda s: s.sum(), agg=lambda s: s.sum())
DIFFERENT = dd.Aggregation(
    "different",
    chunk=lambda s: s.apply(lambda values: list(set(values))),
    agg=lambda s: s.obj.groupby(level=list(range(s.obj.index.nlevels))).sum(),
    finalize=lambda lists: lists.apply(lambda values: len(set(values))),
)


def mode(values):
    found = values.mode()
    return found.iloc[0] if len(found) else None


@pytest.fixture
def ddf():
    return dd.from_pandas(FRAME, npartitions=6)


@pytest.mark.parametrize("by", ["k", ["k", "j"], "c"])
@pytest.mark.parametrize(
    "arguments",
    [{}, {"as_index": False}, {"sort": True}, {"observed": False}, {"npartitions": 3}],
    ids=["plain", "columns", "sorted", "all categories", "partitions"],
)
@pytest.mark.parametrize(
    ("spec", "of_pandas"),
    [
        ({"v": MEAN}, {"v": "mean"}),
        ({"v": SUM, "s": "count"}, {"v": "sum", "s": "count"}),
        ({"v": [MEAN, "max"], "s": ["count"]}, {"v": [("own_mean", "mean"), "max"], "s": ["count"]}),
        ({"v": "mode", "s": "mode"}, {"v": mode, "s": mode}),
        ({"v": "list"}, {"v": list}),
    ],
    ids=["mean", "next to pandas'", "several", "mode", "list"],
)
def test_as_pandas(ddf, by, arguments, spec, of_pandas):
    if by == "c" and "npartitions" in arguments:
        arguments = {}
    found = safeframe.groupby(ddf, by, **arguments).agg(spec)
    options = {"observed": True, **{k: v for k, v in arguments.items() if k != "npartitions"}}
    expected = FRAME.groupby(by, **options).agg(of_pandas)
    rows = found.compute()
    assert list(found.columns) == list(expected.columns)
    if arguments.get("as_index", True):
        rows, expected = rows.sort_index(), expected.sort_index()
    else:
        keys = list(expected.columns[: 2 if isinstance(by, list) else 1])
        rows, expected = (one.sort_values(keys, ignore_index=True) for one in (rows, expected))
    pd.testing.assert_frame_equal(rows, expected, check_dtype=False, check_index_type=False)


def test_every_form_names_them(ddf):
    groups = FRAME.groupby("k")
    found = safeframe.groupby(ddf, "k")
    series = found.v.agg(MEAN).compute().sort_index()
    pd.testing.assert_series_equal(series, groups.v.mean())
    listed = found.v.agg(["mode", MEAN, "max"])
    assert list(listed.columns) == ["mode", "own_mean", "max"]
    pd.testing.assert_series_equal(listed.own_mean.compute().sort_index(), groups.v.mean(), check_names=False)
    named = found.agg(average=("v", MEAN), often=pd.NamedAgg("s", "mode"))
    assert list(named.columns) == ["average", "often"]
    pd.testing.assert_series_equal(named.average.compute().sort_index(), groups.v.mean(), check_names=False)
    picked = found[["v"]].agg(MEAN).compute().sort_index()
    pd.testing.assert_frame_equal(picked, groups[["v"]].mean())
    both = found[["v", "s"]].agg([DIFFERENT]).compute().sort_index()
    assert both[("s", "different")].tolist() == groups.s.agg(lambda values: len(set(values))).tolist()


def test_as_dask(ddf):
    own = safeframe.groupby(ddf, "k").agg({"v": MEAN}).compute().sort_index()
    pd.testing.assert_frame_equal(own, ddf.groupby("k").agg({"v": MEAN}).compute().sort_index())


def test_a_column_that_is_not_there_is_said(ddf):
    with pytest.raises(SchemaMismatchError, match="agg"):
        safeframe.groupby(ddf, "k").agg({"v": {"nested": MEAN}})
