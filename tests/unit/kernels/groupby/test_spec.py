from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from safeframe.kernels.groupby.spec import Aggregation, aggregations

FRAME = pd.DataFrame({"k": [1, 2, 1], "a": [1.0, np.nan, 3.0], "b": [4, 5, 6]})

FORMS = [
    ("sum", {}),
    ("var", {}),
    (["sum", "max"], {}),
    (("sum", "max"), {}),
    ({"a": "sum"}, {}),
    ({"b": "min", "a": "sum"}, {}),
    ({"a": ["sum", "max"]}, {}),
    ({"a": ["sum", "max"], "b": "min"}, {}),
    ([("total", "sum"), ("n", "count")], {}),
    ({"a": [("total", "sum")], "b": ["min"]}, {}),
    (None, {"total": ("a", "sum"), "low": ("b", "min")}),
    (None, {"b": ("a", "sum")}),
    (None, {"total": pd.NamedAgg("a", "sum")}),
    (None, {"total": pd.NamedAgg("a", np.sum)}),
    (np.sum, {}),
    ([np.sum, np.mean, np.max, np.min, np.prod], {}),
    ({"a": np.mean, "b": np.any}, {}),
    ([np.all, "sem"], {}),
    ({"a": ["size", len]}, {}),
    (len, {}),
    (["first", "last"], {}),
]

SERIES_FORMS = [
    ("sum", {}),
    (["sum", "max"], {}),
    ([("total", "sum"), ("n", "count")], {}),
    (np.mean, {}),
    ([np.sum, len], {}),
    (None, {"total": "sum", "low": np.min}),
]


# pandas 2 says that pandas 3 will call such functions instead of taking its own methods for them.
pandas_2_takes_its_own = pytest.mark.filterwarnings("ignore:The provided callable:FutureWarning")


def made(grouped, aggs):
    """Return what each aggregation says, by a method of pandas of that name."""
    return [getattr(grouped[one.column], one.function)(**dict(one.options)) for one in aggs]


@pandas_2_takes_its_own
@pytest.mark.parametrize(("spec", "named"), FORMS)
def test_forms_of_a_frame(spec, named):
    expected = FRAME.groupby("k").agg(spec, **named)
    aggs = aggregations(list(FRAME.columns), ["k"], spec, named)
    assert [one.label for one in aggs] == expected.columns.to_list()
    for number, column in enumerate(made(FRAME.groupby("k"), aggs)):
        pd.testing.assert_series_equal(column, expected.iloc[:, number], check_names=False, check_dtype=False)


@pandas_2_takes_its_own
@pytest.mark.parametrize(("spec", "named"), SERIES_FORMS)
def test_forms_of_a_column(spec, named):
    expected = FRAME.groupby("k")["a"].agg(spec, **named)
    expected = expected.to_frame() if isinstance(expected, pd.Series) else expected
    aggs = aggregations(list(FRAME.columns), ["k"], spec, named, picked="a")
    assert [one.label for one in aggs] == expected.columns.to_list()
    for number, column in enumerate(made(FRAME.groupby("k"), aggs)):
        pd.testing.assert_series_equal(column, expected.iloc[:, number], check_names=False, check_dtype=False)


@pandas_2_takes_its_own
def test_a_builtin_is_what_pandas_takes_it_for():
    # pandas 3 calls sum(), which gives NaN where a value is missing; pandas 2 took it for the method.
    own = FRAME.groupby("k")["a"].agg(sum).isna().any()
    assert (aggregations(["k", "a"], ["k"], sum, {}) is None) == own


def test_rows_are_counted_once():
    assert aggregations(["k", "a", "b"], ["k"], "size", {}) == [Aggregation(None, "size", "size")]


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ("median", {}),
        (lambda values: values.sum(), {}),
        (["sum", lambda values: 1], {}),
        (["sum", "sum"], {}),
        ({"a": {"x": "sum"}}, {}),
        ({"missing": "sum"}, {}),
        (np.median, {}),
        (np.std, {}),
        (None, {"total": "sum"}),
        (None, {"total": ("missing", "sum")}),
        (None, {}),
        ([], {}),
    ],
)
def test_what_is_not_known_takes_whole_groups(spec, named):
    assert aggregations(list(FRAME.columns), ["k"], spec, named) is None
