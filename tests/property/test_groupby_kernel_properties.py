"""States of groups against pandas: any keys and values, cut anywhere."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from safeframe.kernels.groupby.families import decomposable, family
from safeframe.kernels.groupby.spec import pairs_of
from tests.property.grouping import VALUE_KINDS, asked, assert_same, by_states, of_pandas
from tests.property.strategies import KEY_KINDS

_CODES = st.integers(0, 7)


@st.composite
def grouped_frames(draw):
    """Draw a frame, its keys, and where it is cut."""
    n_rows = draw(st.integers(0, 24))
    codes = st.lists(_CODES, min_size=n_rows, max_size=n_rows)
    keys = draw(st.lists(st.sampled_from(sorted(KEY_KINDS)), min_size=1, max_size=3))
    columns = {f"k{number}": KEY_KINDS[kind](draw(codes)) for number, kind in enumerate(keys)}
    by = list(columns)
    columns["v"] = VALUE_KINDS[draw(st.sampled_from(sorted(VALUE_KINDS)))](draw(codes))
    cuts = draw(st.lists(st.integers(0, n_rows), max_size=4))
    return pd.DataFrame(columns), by, cuts


@given(grouped_frames(), st.booleans())
def test_states_give_what_pandas_gives(made, dropna):
    frame, by, cuts = made
    aggs = [agg for agg in asked(frame, "v") if agg.function not in ("idxmin", "idxmax")]
    expected = of_pandas(frame, by, aggs, dropna=dropna, observed=True)
    found = by_states(frame, cuts, by, aggs, expected, dropna=dropna)
    assert_same(found, expected)


@given(grouped_frames(), st.integers(0, 3), st.integers(0, 3))
def test_options_are_those_of_pandas(made, min_count, ddof):
    frame, by, cuts = made
    functions = ("sum", "prod", "min", "max", "first", "last")
    aggs = asked(frame, "v", functions, min_count=min_count)
    aggs += asked(frame, "v", ("var", "std", "sem"), ddof=ddof)
    if aggs:
        expected = of_pandas(frame, by, aggs, observed=True)
        assert_same(by_states(frame, cuts, by, aggs, expected), expected)


@given(grouped_frames())
def test_labels_are_those_of_the_first_extremes(made):
    frame, by, cuts = made
    frame = frame[frame["v"].notna()].set_index(
        pd.Index(range(100, 100 + frame["v"].notna().sum()), name="i")
    )
    aggs = asked(frame, "v", ("idxmin", "idxmax"))
    if aggs and len(frame):
        expected = of_pandas(frame, by, aggs, observed=True)
        cuts = [min(cut, len(frame)) for cut in cuts]
        assert_same(by_states(frame, cuts, by, aggs, expected), expected)


@given(grouped_frames(), st.sampled_from(sorted(VALUE_KINDS)), st.sampled_from(["cov", "corr"]), st.data())
def test_matrices_are_those_of_pandas(made, kind, function, data):
    frame, by, cuts = made
    frame["w"] = VALUE_KINDS[kind](data.draw(st.lists(_CODES, min_size=len(frame), max_size=len(frame))))
    if not {family(frame[name].dtype) for name in "vw"} <= {"int", "uint", "float", "bool"} or not len(frame):
        return
    if frame[by].isna().any(axis=1).all():
        return  # pandas gives no groups an index of the keys alone
    aggs = pairs_of(["v", "w"], function, ())
    assert decomposable(frame[:0], aggs)
    values = frame[["v", "w"]].to_numpy(dtype=float, na_value=np.nan)
    if np.isinf(values).any() or (np.abs(values) > 1e9).any():
        return  # beyond what floats tell of the differences to a mean
    plain = frame.assign(v=values[:, 0], w=values[:, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of numpy, for groups of one row
        expected = getattr(plain.groupby(by, sort=False, observed=True)[["v", "w"]], function)()
    found = by_states(plain, cuts, by, aggs, expected)
    assert found.index.names == expected.index.names
    np.testing.assert_allclose(by_rows(found), by_rows(expected), rtol=1e-6, atol=1e-6)


def by_rows(frame):
    """Return figures of a matrix for each group, in an order that any order of groups has."""
    values = frame.to_numpy().reshape(-1, 4)
    return values[np.lexsort(np.nan_to_num(values, nan=-9e9).round(3).T)]
