from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from dask.tokenize import tokenize

from safeframe.errors import ValidationError
from safeframe.kernels.groupby.spec import DECOMPOSABLE, Aggregation
from safeframe.kernels.groupby.states import GroupStates, decomposable
from tests.property.grouping import VALUE_KINDS, asked, assert_same, by_states, of_pandas
from tests.property.strategies import KEY_KINDS

PANDAS_2 = pd.__version__.startswith("2.")

CODES = [3, 0, 1, 0, 2, 7, 4, 1, 6, 5, 0, 0, 3, 2, 2, 5]
KEYS = [1, 2, 1, 2, 3, 1, 5, 1, 3, 5, 2, 2, 1, 6, 6, 4]
CUTS = (4, 4, 9, 13)
INTEGRAL = ("int", "uint", "Int", "UInt", "bool")


@pytest.mark.parametrize("kind", VALUE_KINDS)
def test_every_function_of_every_type(kind):
    frame = pd.DataFrame({"k": KEYS, "v": VALUE_KINDS[kind](CODES)})
    aggs = [agg for agg in asked(frame, "v") if agg.function not in ("idxmin", "idxmax")]
    expected = of_pandas(frame, ["k"], aggs)
    assert_same(by_states(frame, CUTS, ["k"], aggs, expected), expected)


@pytest.mark.parametrize("kind", VALUE_KINDS)
def test_labels_of_extremes(kind):
    values = VALUE_KINDS[kind](CODES)
    frame = pd.DataFrame({"k": KEYS, "v": values}).set_index(pd.Index(np.arange(len(KEYS)) * 10, name="i"))
    frame = frame[frame["v"].notna().groupby(frame["k"]).transform("any")]
    aggs = asked(frame, "v", ("idxmin", "idxmax"))
    if aggs:
        expected = of_pandas(frame, ["k"], aggs)
        assert_same(by_states(frame, (3, 6), ["k"], aggs, expected), expected)


def test_an_extreme_of_no_values_has_no_label():
    frame = pd.DataFrame({"k": [1, 2], "v": [1.0, np.nan]})
    aggs = asked(frame, "v", ("idxmin",))
    with pytest.raises(ValidationError, match="1 groups"):
        by_states(frame, (1,), ["k"], aggs, pd.DataFrame({"idxmin": [0]}, index=pd.Index([1], name="k")))


@pytest.mark.parametrize("kind", ["int8", "uint8", "int32", "float32", "bool"])
def test_sums_are_as_wide_as_pandas_makes_them(kind):
    for codes in ([1, 1, 4, 4], [1, 3, 4, 4]):
        frame = pd.DataFrame({"k": [1, 1, 2, 2], "v": VALUE_KINDS[kind](codes)})
        aggs = asked(frame, "v", ("sum", "prod"))
        expected = of_pandas(frame, ["k"], aggs)
        assert_same(by_states(frame, (1, 3), ["k"], aggs, expected), expected)


@pytest.mark.parametrize("dropna", [True, False])
@pytest.mark.parametrize("observed", [True, False])
@pytest.mark.parametrize("kind", KEY_KINDS)
def test_keys_of_every_type(kind, dropna, observed):
    frame = pd.DataFrame({"k": KEY_KINDS[kind](CODES), "v": np.arange(len(CODES)), "w": np.arange(16) / 3})
    aggs = [*asked(frame, "v"), *(Aggregation("w", one, f"w {one}") for one in ("var", "min", "last"))]
    aggs = [agg for agg in aggs if agg.function not in ("idxmin", "idxmax", "skew")]
    expected = of_pandas(frame, ["k"], aggs, dropna=dropna, observed=observed)
    found = by_states(frame, CUTS, ["k"], aggs, expected, dropna=dropna, observed=observed)
    if not observed:
        expected, found = expected.sort_index(), found.sort_index()
    assert_same(found, expected)


@pytest.mark.parametrize("dropna", [True, False])
@pytest.mark.parametrize(
    "kinds", [("string", "int64"), ("category", "float"), ("Int64", "datetime_tz", "decimal")]
)
def test_several_keys(kinds, dropna):
    names = [f"k{number}" for number in range(len(kinds))]
    frame = pd.DataFrame(
        {
            name: KEY_KINDS[kind](np.roll(CODES, place).tolist())
            for place, (name, kind) in enumerate(zip(names, kinds, strict=True))
        }
    )
    frame["v"] = VALUE_KINDS["float64"](CODES)
    aggs = asked(frame, "v", ("sum", "mean", "count", "size", "first"))
    expected = of_pandas(frame, names, aggs, dropna=dropna, observed=True)
    assert_same(by_states(frame, CUTS, names, aggs, expected, dropna=dropna), expected)


def test_groups_that_categories_call_for():
    frame = pd.DataFrame({"a": KEY_KINDS["category"](CODES[:6]), "b": KEY_KINDS["category"](CODES[6:12])})
    frame["v"] = np.arange(6)
    aggs = asked(frame, "v", ("sum", "count", "size", "min", "mean", "var", "first"))
    expected = of_pandas(frame, ["a", "b"], aggs, observed=False)
    found = by_states(frame, (2,), ["a", "b"], aggs, expected, observed=False)
    assert len(found) == 49
    assert_same(found.sort_index(), expected.sort_index())


def test_integers_are_told_apart_beyond_floats():
    big = 2**53
    frame = pd.DataFrame({"k": [big, big + 1, -(2**63), 2**63 - 1, big], "v": [2**62, 1, 2, 3, 2**62]})
    aggs = asked(frame, "v", ("sum", "min", "mean"))
    expected = of_pandas(frame, ["k"], aggs)
    assert expected.loc[big, "sum"] == -(2**63)
    assert_same(by_states(frame, (2, 3), ["k"], aggs, expected), expected)


def test_zeros_of_both_signs_are_one_key():
    frame = pd.DataFrame({"k": [-0.0, 0.0, 1.0, 0.0], "v": [1, 2, 3, 4]})
    aggs = asked(frame, "v", ("sum",))
    expected = of_pandas(frame, ["k"], aggs)
    assert_same(by_states(frame, (1, 2), ["k"], aggs, expected), expected)


@pytest.mark.parametrize("function", ["var", "std", "sem", "skew"])
def test_moments_of_small_noise_on_large_values(function):
    noise = np.random.default_rng(7).gamma(2.0, 1e-3, 4000)
    frame = pd.DataFrame({"k": np.arange(4000) % 3, "v": 1e9 + noise})
    aggs = asked(frame, "v", (function,))
    # What the values are, to more digits than a sum of squares has.
    exact = pd.DataFrame({"k": frame["k"], "v": frame["v"] - 1e9})
    expected = of_pandas(exact, ["k"], aggs)
    found = by_states(frame, tuple(range(0, 4000, 37)), ["k"], aggs, expected)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-5 if function == "skew" else 1e-8)


def test_equal_values_have_no_variance_and_no_skew():
    frame = pd.DataFrame({"k": np.zeros(30, int), "v": np.full(30, 0.1)})
    aggs = asked(frame, "v", ("var", "skew"))
    expected = of_pandas(frame, ["k"], aggs)
    found = by_states(frame, (1, 4, 11), ["k"], aggs, expected)
    assert found.loc[0, "var"] == 0.0
    pd.testing.assert_frame_equal(found, expected)  # zero or nothing, by the version of pandas


def test_an_infinite_sum_of_both_signs_is_no_number():
    frame = pd.DataFrame({"k": [1, 1, 1, 2], "v": [np.inf, -np.inf, 5.0, 1.0]})
    aggs = asked(frame, "v", ("sum", "mean", "prod", "var"))
    expected = of_pandas(frame, ["k"], aggs)
    assert_same(by_states(frame, (2,), ["k"], aggs, expected), expected)


@pytest.mark.parametrize("options", [{"min_count": 0}, {"min_count": 1}, {"min_count": 2}])
@pytest.mark.parametrize("kind", ["float64", "Int64", "double[pyarrow]", "decimal", "timedelta", "string"])
def test_min_count(kind, options):
    frame = pd.DataFrame({"k": KEYS, "v": VALUE_KINDS[kind](CODES)})
    aggs = asked(frame, "v", ("sum", "prod", "min", "max", "first", "last"), **options)
    assert aggs
    if PANDAS_2 and kind in ("decimal", "string"):
        pytest.skip("pandas 2 takes no notice of min_count= for values that numpy has no type for")
    expected = of_pandas(frame, ["k"], aggs)
    assert_same(by_states(frame, CUTS, ["k"], aggs, expected), expected)


@pytest.mark.parametrize("ddof", [0, 2])
def test_ddof(ddof):
    frame = pd.DataFrame({"k": KEYS, "v": VALUE_KINDS["float64"](CODES)})
    aggs = asked(frame, "v", ("var", "std", "sem"), ddof=ddof)
    expected = of_pandas(frame, ["k"], aggs)
    assert_same(by_states(frame, CUTS, ["k"], aggs, expected), expected)


def test_the_result_is_sorted_as_pandas_sorts():
    frame = pd.DataFrame({"a": KEY_KINDS["string"](CODES), "b": KEY_KINDS["float"](CODES), "v": CODES})
    aggs = asked(frame, "v", ("sum",))
    expected = frame.groupby(["a", "b"], sort=True, dropna=False)[["v"]].sum().set_axis(["sum"], axis=1)
    states = GroupStates.of(frame[:0], ("a", "b"), aggs, dropna=False, observed=True, sort=True)
    assert_same(states.finished(states.states(frame), expected[:0]), expected)


def test_what_cannot_be_decomposed_is_said():
    meta = pd.DataFrame(
        {"i": [1], "s": ["a"], "o": pd.Series([object()], dtype=object), "t": pd.to_datetime(["2024"])}
    )[:0]
    refused = [
        Aggregation("s", "sum", "x"),
        Aggregation("t", "sum", "x"),
        Aggregation("o", "first", "x"),
        Aggregation("i", "median", "x"),
        Aggregation("i", "sum", "x", (("min_count", 2),)),
        Aggregation("i", "sum", "x", (("skipna", False),)),
        Aggregation("i", "mean", "x", (("engine", "numba"),)),
        Aggregation("i", "mean", "x", (("unknown", 1),)),
    ]
    for agg in refused:
        assert decomposable(meta, [agg]) is None
    assert decomposable(meta, [Aggregation("i", "sum", "x", (("numeric_only", True), ("skipna", True)))])
    assert (
        decomposable(pd.DataFrame([[1, 2]], columns=["i", "i"])[:0], [Aggregation("i", "sum", "x")]) is None
    )


def test_columns_that_are_needed_and_names_that_do_not_clash():
    meta = pd.DataFrame({"state0.sum.0": [1], "v": [1.0], "w": [1.0]})[:0]
    aggs = [Aggregation("v", one, one) for one in ("sum", "mean", "count", "var", "skew")]
    states = GroupStates.of(meta, ("state0.sum.0",), aggs, dropna=True, observed=True, sort=False)
    assert states.columns == ["state0.sum.0", "v"]
    assert states.meta.columns.is_unique
    # A sum, a count, a mean and two moments: nothing is kept twice.
    assert len(states.meta.columns) == 6


def test_states_survive_pickling_with_the_same_token():
    meta = pd.DataFrame({"k": [1], "v": [1.0]})[:0]
    aggs = [Aggregation("v", one, one) for one in sorted(DECOMPOSABLE)]
    states = GroupStates.of(meta, ("k",), aggs, dropna=True, observed=True, sort=False)
    assert tokenize(pickle.loads(pickle.dumps(states))) == tokenize(states)
    assert tokenize(Aggregation("v", "sum", "v")) == tokenize(Aggregation("v", "sum", "v"))


def test_sums_of_many_rows_are_not_rounded_row_by_row():
    values = np.full(1_000_000, 0.1)
    values[0] = 1e6
    frame = pd.DataFrame({"k": np.zeros(len(values), np.int64), "v": values})
    aggs = asked(frame, "v", ("sum",))
    expected = pd.DataFrame({"sum": [1e6 + 0.1 * 999_999]}, index=pd.Index([0], name="k"))
    # Adding them in turn is 1e-12 of it away.
    pd.testing.assert_frame_equal(by_states(frame, (), ["k"], aggs, expected), expected, rtol=1e-14)


def test_keys_that_are_objects_have_the_type_that_pandas_takes_them_for():
    for keys in (["a", None, "b", "a"], [1, 2, 1, None], [(1, 2), "a", (1, 2), None]):
        frame = pd.DataFrame(
            {"k": pd.Series(keys, dtype=object), "j": [1, 1, 2, 2], "v": [1.0, 2.0, 3.0, 4.0]}
        )
        aggs = asked(frame, "v", ("sum", "size"))
        for by in (["k"], ["j", "k"]):
            for dropna in (True, False):
                expected = of_pandas(frame, by, aggs, dropna=dropna)
                assert_same(by_states(frame, (2,), by, aggs, expected, dropna=dropna), expected)


def test_levels_of_groups_that_no_row_has():
    frame = pd.DataFrame(
        {"c": pd.Categorical(["x", None, "x"], categories=["x", "y"]), "j": [1, 2, 2], "v": [1, 2, 3]}
    )
    aggs = asked(frame, "v", ("sum", "min", "size"))
    expected = of_pandas(frame, ["c", "j"], aggs, dropna=True, observed=False)
    states = GroupStates.of(frame[:0], ["c", "j"], aggs, dropna=True, observed=False, sort=True)
    parts = [states.states(frame), states.unobserved({"j": [1, 2]})]
    found = states.finished(states.merged(pd.concat(parts)), expected[:0])
    assert_same(found, expected.sort_index())
