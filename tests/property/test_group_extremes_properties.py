"""The largest and smallest values of groups are those that pandas finds group by group."""

from __future__ import annotations

import itertools

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from packaging.version import Version

import safeframe
from safeframe.kernels.groupby.largest import Extremes
from safeframe.kernels.groupby.largest_states import ExtremeStates

pytestmark = pytest.mark.skipif(
    Version(pd.__version__) < Version("3"),
    reason="pandas 2 counts nulls, and orders equal values, in another way",
)

DAY = np.timedelta64(1, "D")
VALUES = {
    "int8": lambda some, null: pd.array((some * 43).astype("int8")),
    "uint64": lambda some, null: pd.array((some + 3).astype("uint64") * 2**61),
    "float64": lambda some, null: pd.array(np.where(null, np.nan, some)),
    "float32": lambda some, null: pd.array(np.where(some == 0, -0.0, some).astype("float32")),
    "bool": lambda some, null: pd.array(some > 0, dtype="bool"),
    "Int64": lambda some, null: pd.array(np.where(null, None, some), dtype="Int64"),
    "boolean": lambda some, null: pd.array(np.where(null, None, some > 0), dtype="boolean"),
    "times": lambda some, null: pd.array(np.where(null, np.datetime64("NaT", "us"), np.datetime64("2026-01-01", "us") + some * DAY)),
    "zoned": lambda some, null: pd.date_range("2026-03-27", periods=9, tz="Europe/Berlin")[some + 3].array,
    "far times": lambda some, null: pd.array(np.datetime64("2000-01-01", "us") + some * DAY * 365_000),
    "far and zoned": lambda some, null: pd.Series(np.datetime64("2000-01-01", "us") + some * DAY * 365_000).dt.tz_localize("UTC").array,
    "durations": lambda some, null: pd.array(some * DAY.astype("m8[s]")),
    "long durations": lambda some, null: pd.array(some * DAY.astype("m8[s]") * 365_000),
    "Arrow's integers": lambda some, null: pd.array(np.where(null, None, some), dtype="int64[pyarrow]"),
    "Arrow's floats": lambda some, null: pd.array([None if n else float(s) for s, n in zip(some, null, strict=True)], dtype="double[pyarrow]"),
}  # fmt: skip
KEYS = {
    "integers": lambda keys: keys,
    "nulls": lambda keys: np.where(keys == 2, np.nan, keys),
    "categories": lambda keys: pd.Categorical.from_codes(keys, list("abcdefgh")),
    "text": lambda keys: np.array(list("abcdefgh"))[keys],
}


def frames(data, kind, key):
    n_rows = data.draw(st.one_of(st.integers(0, 40), st.integers(100, 300)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    values = VALUES[kind](rng.integers(-3, 4, n_rows), rng.random(n_rows) < 0.3)
    return pd.DataFrame(
        {"k": KEYS[key](rng.integers(0, 6, n_rows)), "j": rng.integers(0, 2, n_rows), "v": values},
        index=pd.Index(rng.integers(0, 9, n_rows), name=data.draw(st.sampled_from([None, "label"]))),
    )


def same(found, expected):
    assert len(found) == len(expected)
    if not len(expected):
        return  # pandas has no index of rows then
    pd.testing.assert_series_equal(found, expected, check_index_type=False, check_categorical=False)


CALLS = {
    "method": st.sampled_from(["nlargest", "nsmallest"]),
    "n": st.integers(0, 7),
    "keep": st.sampled_from(["first", "last", "all"]),
}


@pytest.mark.parametrize("kind", VALUES)
@given(
    data=st.data(),
    key=st.sampled_from(sorted(KEYS)),
    by=st.sampled_from(["k", ["k"], ["k", "j"]]),
    flags=st.fixed_dictionaries(
        dict.fromkeys(["dropna", "observed", "group_keys", "sort", "as_index"], st.booleans())
    ),
    **CALLS,
)
def test_kernel(data, kind, key, by, flags, method, n, keep):
    groups = frames(data, kind, key).groupby(by, **flags)["v"]
    try:
        expected = getattr(groups, method)(n, keep=keep)
    except ValueError:
        reject()  # null keys that are categories
    found = Extremes(method, n, keep)(groups)
    same(found, expected)


@given(
    data=st.data(),
    kind=st.sampled_from(sorted(VALUES)),
    key=st.sampled_from(sorted(KEYS)),
    dropna=st.booleans(),
    sort=st.booleans(),
    method=CALLS["method"],
    n=st.integers(1, 7),
    keep=st.sampled_from(["first", "last"]),
)
def test_rows_are_chosen_of_parts(data, kind, key, dropna, sort, method, n, keep):
    frame = frames(data, kind, key)
    options = {"dropna": dropna, "observed": True, "sort": sort}
    call = Extremes(method, n, keep)
    try:
        expected = call(frame.groupby("k", **options)["v"])
    except ValueError:
        reject()  # null keys that are categories
    states = ExtremeStates.of(frame[:0], ["k"], "v", call, dropna=dropna)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(frame)), max_size=4)))
    pieces = [states.states(frame.iloc[lo:hi]) for lo, hi in itertools.pairwise([0, *cuts, len(frame)])]
    for piece in pieces:
        pd.testing.assert_series_equal(piece.dtypes, states.meta.dtypes)
    half = len(pieces) // 2
    halves = [states.merged(pd.concat(part)) for part in (pieces[:half], pieces[half:]) if part]
    chosen = states.merged(pd.concat(halves))
    assert len(chosen) <= (n + 1) * frame["k"].nunique(dropna=dropna)
    same(call(states.rows(chosen).groupby("k", **options)["v"]), expected)


@given(
    data=st.data(),
    kind=st.sampled_from(sorted(VALUES)),
    key=st.sampled_from(sorted(KEYS)),
    npartitions=st.integers(1, 4),
    strategy=st.sampled_from([None, "staged", "tree"]),
    **CALLS,
)
def test_recipe(data, kind, key, npartitions, strategy, method, n, keep, tmp_path_factory):
    frame = frames(data, kind, key)
    ddf = dd.from_pandas(frame, npartitions=npartitions, sort=False)
    of_parts = n > 0 and keep != "all"
    groups = safeframe.groupby(
        ddf,
        "k",
        staging=str(tmp_path_factory.getbasetemp()),
        strategy=strategy if of_parts or strategy != "tree" else None,
    )
    with dask.config.set(scheduler="sync"):
        made = getattr(groups["v"], method)(n, keep=keep)
        found = made.compute()
    expected = getattr(frame.groupby("k", observed=True)["v"], method)(n, keep=keep)
    assert found.dtype == made.dtype == expected.dtype
    if len(expected):
        # Groups come in any order, and rows of one in pandas'.
        order = found.index.get_level_values(0)
        found = found.iloc[np.argsort(pd.Series(order).rank().to_numpy(), kind="stable")]
        same(found, expected)
