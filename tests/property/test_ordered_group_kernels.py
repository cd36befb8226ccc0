"""Medians, quantiles and distinct values of groups in parts against pandas: any keys and values, cut anywhere."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st

from safeframe.errors import UnsupportedError
from safeframe.kernels.groupby.calls import GroupCall
from safeframe.kernels.groupby.mixed import MixedAggregation
from safeframe.kernels.groupby.ordered import (
    crossing_groups,
    crossing_result,
    inner_and_edges,
    keyed,
    values_in_part,
)
from safeframe.kernels.groupby.ranked import ranked_call
from safeframe.kernels.keys.schema import common_schema
from safeframe.kernels.sort.rows import RowOrder, check_orderable, sorted_keys
from tests.property.grouping import VALUE_KINDS
from tests.property.strategies import KEY_KINDS

_CODES = st.integers(0, 7)
FUNCTIONS = st.one_of(
    st.sampled_from([("median", {}), ("nunique", {}), ("nunique", {"dropna": False})]),
    st.tuples(
        st.just("quantile"),
        st.fixed_dictionaries(
            {
                "q": st.sampled_from([0.5, 0.0, 1.0, 0.99, 1 / 3, [0.25, 0.75, 0.5], [0.1]]),
                "interpolation": st.sampled_from(["linear", "lower", "higher", "midpoint", "nearest"]),
            }
        ),
    ),
)


@st.composite
def grouped_frames(draw):
    """Draw a frame, its keys, and where its rows in order are cut."""
    n_rows = draw(st.integers(0, 24))
    kinds = draw(st.lists(st.sampled_from(sorted(KEY_KINDS)), min_size=1, max_size=2))
    codes = draw(st.sampled_from([_CODES, st.integers(0, 1), st.just(3), st.just(0)]))
    keys = st.lists(codes, min_size=n_rows, max_size=n_rows)
    columns = {f"k{number}": KEY_KINDS[kind](draw(keys)) for number, kind in enumerate(kinds)}
    values = draw(st.lists(_CODES, min_size=n_rows, max_size=n_rows))
    value = VALUE_KINDS[draw(st.sampled_from(sorted(VALUE_KINDS)))](values)
    cuts = sorted(draw(st.lists(st.integers(0, n_rows), max_size=6)))
    return pd.DataFrame({**columns, "v": value}), list(columns), [0, *cuts, n_rows]


def in_order(frame, by):
    order = [*by, "v"]
    columns = [frame[name] for name in order]
    check_orderable(order, [column.dtype for column in columns])
    rows = RowOrder(
        by=tuple(order),
        ascending=(True,) * len(order),
        na_last=True,
        schema=common_schema(columns, columns, left_names=order, right_names=order),
        dtypes=tuple(column.dtype for column in columns),
    )
    return sorted_keys(frame, rows).reset_index(drop=True)


def of_parts(frames, asked):
    """Return the result of parts, as tasks make it that hold one of them at a time."""
    frames = [keyed(frame, asked) for frame in frames]
    inner, edges = zip(*(inner_and_edges(frame, asked) for frame in frames), strict=True)
    crossing = crossing_groups(edges, asked)
    found = []
    if len(crossing.numbers):
        found = [values_in_part(frame, number, crossing, asked) for number, frame in enumerate(frames)]
    made = [asked.call(frame) for frame in inner if len(frame)]
    return pd.concat([*made, crossing_result(crossing, found, asked)])


@given(grouped_frames(), st.one_of(FUNCTIONS, st.just(("mode", {}))), st.booleans(), st.booleans())
def test_parts_give_what_pandas_gives(drawn, function, dropna, picked):
    frame, by, cuts = drawn
    name, options = function
    method = (
        MixedAggregation(("v",), tuple(by), "v" if picked else None, name, {}) if name == "mode" else name
    )
    call = GroupCall(
        by=tuple(by),
        names=tuple(by),
        listed=True,
        options={"dropna": dropna, "observed": True, "sort": False, "as_index": True, "group_keys": True},
        picked="v" if picked else None,
        calls=((method, (), options),),
    )
    try:
        ordered = in_order(frame, by)
    except (UnsupportedError, TypeError):
        reject()
    kept = ordered.dropna(subset=by) if dropna else ordered
    assume(len(kept))
    try:
        with np.errstate(all="ignore"):
            expected = call(ordered)
    except (TypeError, NotImplementedError, ValueError):
        reject()
    asked = ranked_call(call, list(frame), expected)
    parts = [ordered.iloc[lo:hi].reset_index(drop=True) for lo, hi in itertools.pairwise(cuts)]
    with np.errstate(all="ignore"):
        found = of_parts(parts, asked)
    if isinstance(found, pd.Series):
        assert found.name == expected.name
        found, expected = found.to_frame("v"), expected.to_frame("v")
    assert found.index.names == expected.index.names
    as_rows = [one.reset_index(allow_duplicates=True) for one in (found, expected)]
    for one in as_rows:
        one.columns = range(one.shape[1])
    keys = list(as_rows[0].columns[:-1])
    as_rows = [one.sort_values(keys, na_position="last", ignore_index=True) for one in as_rows]
    pd.testing.assert_frame_equal(*as_rows, rtol=0, atol=0, check_categorical=False)


def test_what_is_not_asked_by_rows():
    call = GroupCall(
        by=("k",),
        names=("k",),
        listed=False,
        options={"dropna": True, "observed": True, "sort": False, "as_index": True},
        picked="v",
        calls=(("sum", (), {}),),
    )
    assert "alone" in ranked_call(call, ["v"], pd.Series(name="v"))


@pytest.mark.parametrize("n", range(2, 13))
@pytest.mark.parametrize("q", [0.5, 0.25, 0.75, 0.1, 0.9])
def test_the_nearest_of_two_that_are_as_near(n, q):
    frame = pd.DataFrame({"k": 1, "v": np.arange(float(n))})
    call = GroupCall(
        by=("k",),
        names=("k",),
        listed=False,
        options={"dropna": True, "observed": True, "sort": False, "as_index": True, "group_keys": True},
        picked="v",
        calls=(("quantile", (), {"q": q, "interpolation": "nearest"}),),
    )
    asked = ranked_call(call, ["k", "v"], call(frame))
    parts = [frame.iloc[:1], frame.iloc[1:].reset_index(drop=True)]
    assert of_parts(parts, asked).tolist() == call(frame).tolist()
