"""Medians, quantiles and distinct values of groups that cross partitions are those of pandas."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st

import safeframe
from safeframe.errors import SchemaMismatchError, ValidationError
from tests.property.grouping import VALUE_KINDS
from tests.property.strategies import KEY_KINDS, partitioned
from tests.property.test_ordered_group_kernels import FUNCTIONS

CODES = st.integers(0, 7)


@st.composite
def grouped_frames(draw):
    """Draw a frame with keys and values of any kinds, many rows of which may have one key."""
    n_rows = draw(st.integers(1, 24))
    kinds = draw(st.lists(st.sampled_from(sorted(KEY_KINDS)), min_size=1, max_size=2))
    codes = draw(st.sampled_from([CODES, st.integers(0, 1), st.just(3), st.just(0)]))
    keys = st.lists(codes, min_size=n_rows, max_size=n_rows)
    columns = {f"k{number}": KEY_KINDS[kind](draw(keys)) for number, kind in enumerate(kinds)}
    values = draw(st.lists(CODES, min_size=n_rows, max_size=n_rows))
    kind = draw(st.sampled_from(sorted(set(VALUE_KINDS) - {"object", "string[pyarrow type]"})))
    return pd.DataFrame({**columns, "v": VALUE_KINDS[kind](values)}), list(columns)


def computed(lazy):
    with dask.config.set(scheduler="sync"), np.errstate(all="ignore"):
        parts = dask.compute(*lazy.to_delayed())
    assert len(parts) == lazy.npartitions
    return pd.concat(parts)


def assert_same(found, expected, meta):
    """Compare a result with pandas', whatever the order of its rows."""
    if isinstance(expected, pd.Series):
        assert found.name == expected.name == meta.name
        found, expected = found.to_frame("v"), expected.to_frame("v")
    assert list(found.columns) == list(expected.columns)
    assert found.index.names == expected.index.names
    as_rows = [one.reset_index(allow_duplicates=True) for one in (found, expected)]
    for one in as_rows:
        one.columns = range(one.shape[1])
    keys = list(as_rows[0].columns[:-1])
    as_rows = [one.sort_values(keys, na_position="last", ignore_index=True) for one in as_rows]
    pd.testing.assert_frame_equal(*as_rows, rtol=0, atol=0, check_categorical=False)


@given(data=st.data(), drawn=grouped_frames(), function=FUNCTIONS, dropna=st.booleans(), picked=st.booleans())
def test_groups_that_cross_partitions(data, drawn, function, dropna, picked, tmp_path_factory):
    frame, by = drawn
    name, options = function
    ddf = data.draw(partitioned(frame))
    sizes = data.draw(st.sampled_from([{"partition_size": 64}, {"npartitions": 4}, {}]))
    expected = frame.groupby(by, dropna=dropna, observed=True)
    staging = str(tmp_path_factory.getbasetemp())
    groups = safeframe.groupby(ddf, by, dropna=dropna, strategy="ordered", staging=staging, **sizes)
    if picked:
        expected, groups = expected["v"], groups["v"]
    try:
        with np.errstate(all="ignore"):
            expected = getattr(expected, name)(**options)
    except (TypeError, NotImplementedError, ValueError):
        reject()
    try:
        lazy = getattr(groups, name)(**options)
    except SchemaMismatchError:
        reject()
    plan = safeframe.explain(lazy)
    assert plan.strategy == "ordered"
    assert lazy.npartitions == plan.output_partitions
    assume(len(expected))
    assert_same(computed(lazy), expected, lazy._meta)


ROWS = pd.DataFrame({"k": [1, 1, 1, 1, 2, 2, 3, 1] * 9, "v": np.arange(72.0) % 11, "w": np.arange(72)})


@pytest.mark.parametrize(
    "spec",
    ["median", "nunique", {"v": "median"}, "quantile", {"v": ["quantile"]}, ["nunique"], ("v", "median")],
    ids=str,
)
@pytest.mark.parametrize("as_index", [True, False])
def test_forms(spec, as_index, tmp_path):
    ddf = dd.from_pandas(ROWS[["k", "v"]], npartitions=3)
    groups = safeframe.groupby(
        ddf, "k", as_index=as_index, strategy="ordered", staging=str(tmp_path), partition_size=160
    )
    args, named = ((), {"middle": spec}) if isinstance(spec, tuple) else ((spec,), {})
    found = computed(groups.agg(*args, **named))
    expected = ROWS[["k", "v"]].groupby("k", as_index=as_index).agg(*args, **named)
    if not as_index:
        found, expected = found.set_index("k"), expected.set_index("k")
    pd.testing.assert_frame_equal(found.sort_index(), expected)


MODES = [("mode", {}), ({"v": "mode"}, {}), ({"v": ["mode"]}, {}), (None, {"most": ("v", "mode")})]


@given(
    data=st.data(),
    drawn=grouped_frames(),
    form=st.sampled_from(MODES),
    dropna=st.booleans(),
    as_index=st.booleans(),
)
def test_most_frequent_values(data, drawn, form, dropna, as_index, tmp_path_factory):
    frame, by = drawn
    ddf = data.draw(partitioned(frame))
    sizes = data.draw(st.sampled_from([{"partition_size": 64}, {"npartitions": 4}, {}]))
    options = {"dropna": dropna, "as_index": as_index, "staging": str(tmp_path_factory.getbasetemp())}
    spec, named = form
    try:
        whole = safeframe.groupby(ddf, by, **options).agg(spec, **named)
        lazy = safeframe.groupby(ddf, by, strategy="ordered", **options, **sizes).agg(spec, **named)
    except SchemaMismatchError:
        reject()
    assert safeframe.explain(lazy).strategy == "ordered"
    expected = computed(whole)
    assume(len(expected))
    found, meta = computed(lazy), lazy._meta
    if not as_index:
        found, expected, meta = (one.set_index(list(one.columns[:-1])) for one in (found, expected, meta))
    assert_same(found, expected, meta)


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda groups: groups.median(), "of one column"),
        (lambda groups: groups["v"].sum(), "alone"),
        (lambda groups: groups["v"].agg(["median", "nunique"]), "one function"),
    ],
)
def test_what_is_not_made_in_order(call, why, tmp_path):
    ddf = dd.from_pandas(ROWS, npartitions=3)
    with pytest.raises(ValidationError, match=why):
        call(safeframe.groupby(ddf, "k", strategy="ordered", staging=str(tmp_path)))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"sort": True}, "comes last"),
        ({"npartitions": 1}, "one is requested"),
    ],
)
def test_partitions_that_are_not_made(given, why, tmp_path):
    ddf = dd.from_pandas(ROWS, npartitions=3)
    with pytest.raises(ValidationError, match=why):
        safeframe.groupby(ddf, "k", strategy="ordered", staging=str(tmp_path), **given)["v"].median()
