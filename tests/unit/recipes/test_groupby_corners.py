"""Groups of categories without rows, of frames whose rows are together, of infinite values, of keys named by numbers."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe

SUM = dd.Aggregation("total", chunk=lambda s: s.sum(), agg=lambda s: s.sum())


def of(frame, npartitions=3):
    return dd.from_pandas(frame, npartitions=npartitions)


@pytest.fixture
def shuffled(tmp_path):
    frame = pd.DataFrame({"k": np.arange(60) % 7, "v": np.arange(60)})
    return frame, safeframe.shuffle(of(frame), "k", npartitions=3, staging=str(tmp_path))


@pytest.mark.parametrize("sort", [True, False])
@pytest.mark.parametrize("normalize", [True, False])
def test_counts_of_rows_that_are_together(shuffled, sort, normalize):
    frame, together = shuffled
    found = safeframe.value_counts(together, "k", normalize=normalize, sort=sort).compute()
    expected = frame.value_counts("k", normalize=normalize)
    pd.testing.assert_series_equal(found.sort_index(), expected.sort_index())
    assert not sort or found.is_monotonic_decreasing


@pytest.mark.parametrize("sort", [True, None])
@pytest.mark.parametrize("by", ["a", ["a", "b"], ["j", "a"]])
def test_modes_next_to_categories_without_rows(by, sort):
    frame = pd.DataFrame(
        {
            "a": pd.Categorical(["x", "z", "z"] * 3, categories=["x", "y", "z"]),
            "b": pd.Categorical(["p", "p", "r"] * 3, categories=["r", "q", "p"]),
            "j": [2, 1, 1] * 3,
            "v": [1, 2, 3] * 3,
        }
    )
    found = safeframe.groupby(of(frame, 2), by, observed=False, sort=sort).v.agg("mode").compute()
    expected = frame.groupby(by, observed=False).v.agg(
        lambda values: values.mode().iloc[0] if len(values) else np.nan
    )
    pd.testing.assert_series_equal(found.sort_index(), expected.sort_index(), check_dtype=False)


@pytest.mark.parametrize("by", [["k", 0], [1, 0]])
def test_keys_that_are_named_by_numbers(by):
    frame = pd.DataFrame(np.random.default_rng(0).integers(0, 4, (80, 4)), columns=[1, 0, 2, "k"])
    found = safeframe.groupby(of(frame), by)[2].agg(SUM).compute().sort_index()
    pd.testing.assert_series_equal(found, frame.groupby(by)[2].sum())


@pytest.mark.parametrize("dropna", [True, False])
@pytest.mark.parametrize("function", ["median", "size"])
def test_categories_in_order_come_once(dropna, function):
    frame = pd.DataFrame(
        {"c": pd.Categorical(["p", "q", None] * 8, categories=["r", "q", "p"]), "v": np.arange(24.0)}
    )
    groups = safeframe.groupby(of(frame), "c", sort=True, observed=False, dropna=dropna)
    expected = frame.groupby("c", sort=True, observed=False, dropna=dropna)
    pd.testing.assert_series_equal(
        getattr(groups.v, function)().compute(), getattr(expected.v, function)(), check_index_type=False
    )
    rows = safeframe.explain(groups.v.size()).output_rows
    assert rows.lower <= expected.ngroups <= rows.upper


def test_categories_have_no_divisions_of_their_values():
    frame = pd.DataFrame({"k": pd.Categorical([3, 1, 2] * 4, categories=[3, 1, 2]), "v": 1})
    assert not safeframe.groupby(of(frame), "k", sort=True).v.sum().known_divisions


def test_correlations_leave_out_infinite_values():
    frame = pd.DataFrame({"k": 1, "a": [1.0, 2, 4, np.inf], "b": [1, 3, 2, 5]})
    found = safeframe.groupby(of(frame, 2), "k").corr().compute()
    pd.testing.assert_frame_equal(found, frame.groupby("k").corr())
    assert (np.diag(found) == 1.0).all()


@pytest.mark.parametrize("keys", ["str", "Int64", "boolean"])
@pytest.mark.parametrize("nulls", [True, False])
def test_rows_by_keys_of_types_with_nulls(keys, nulls):
    frame = pd.DataFrame(
        {
            "s": pd.Series([0, 1, 0, 1]).astype(keys),
            "v": [1, 2, 3, 4],
            "t": pd.date_range("2024", periods=4, tz="UTC"),
        }
    )
    if nulls:
        frame.loc[1, "s"] = None
    groups, expected = safeframe.groupby(of(frame, 2), "s"), frame.groupby("s")
    found = groups[["v"]].transform("sum").compute().sort_index()
    pd.testing.assert_frame_equal(found, expected[["v"]].transform("sum"))
    for call in (lambda g: g.v.transform(lambda x: x.astype(str)), lambda g: g.t.transform(lambda x: x)):
        made = call(groups)
        assert {part.dtype for part in dask.compute(*made.to_delayed())} == {made.dtype}
        assert made.compute().sort_index().dropna().tolist() == call(expected).dropna().tolist()


def test_a_column_that_is_picked_twice():
    frame = pd.DataFrame({"k": [1, 1, 2, 2], "v": [1.0, 2, 3, 5]})
    found = safeframe.groupby(of(frame, 2), "k")[["v", "v"]].cov().compute().sort_index()
    pd.testing.assert_frame_equal(found, frame.groupby("k")[["v", "v"]].cov())


def test_a_key_with_the_name_of_a_value():
    frame = pd.DataFrame({"v": [1, 2, 3, 4]})
    ddf = of(frame, 2)
    found = safeframe.groupby(ddf, ddf.v % 2, as_index=False).agg({"v": SUM}).compute()
    expected = frame.groupby(frame.v % 2, as_index=False).agg({"v": "sum"})
    assert list(found.columns) == list(expected.columns)
    assert sorted(found.v) == sorted(expected.v)


# Which pandas 2 still hands to the function.
@pytest.mark.filterwarnings("ignore:DataFrameGroupBy.apply operated on the grouping columns")
def test_empty_partitions_where_all_categories_are_wanted(tmp_path):
    frame = pd.DataFrame({"k": np.arange(60) % 7, "v": np.arange(60)})
    groups = safeframe.groupby(
        of(frame), "k", observed=False, npartitions=16, strategy="staged", staging=str(tmp_path)
    )
    found = groups.apply(lambda rows: rows.v.sum(), meta=("v", "i8")).compute().sort_index()
    assert found.tolist() == frame.groupby("k").v.sum().tolist()


def test_one_column_of_a_matrix_has_no_divisions():
    frame = pd.DataFrame({"k": np.arange(60) % 7, "v": np.arange(60.0)})
    groups = safeframe.groupby(of(frame), "k", sort=True)
    assert not groups[["v"]].cov().known_divisions
    assert not groups.v.quantile([0.5]).known_divisions


def test_narrow_floats_are_of_the_promised_type(tmp_path):
    frame = pd.DataFrame({"k": [1, 1, 2, 2, 3, 3] * 2, "f": np.float32([1, 1, 2, 3, 0.1, 0.7] * 2)})
    groups = safeframe.groupby(of(frame), "k", npartitions=3, strategy="staged", staging=str(tmp_path))
    found = groups.f.transform("mean")
    assert {part.dtype for part in dask.compute(*found.to_delayed())} == {found.dtype}


def test_groups_of_a_merge_by_its_key_and_a_new_column(tmp_path):
    left, right = pd.DataFrame({"k": [0, 0, 1, 1], "v": [1, 2, 3, 4]}), pd.DataFrame({"k": [0, 1]})
    merged = safeframe.merge(
        of(left, 2), of(right, 1), on="k", strategy="staged", npartitions=2, staging=str(tmp_path)
    )
    found = safeframe.groupby(merged.assign(w=merged.v), ["k", "w"]).size()
    assert safeframe.explain(found).output_rows.upper >= len(found.compute()) == 4


def test_rows_of_matrices_in_columns_are_counted():
    frame = pd.DataFrame({"k": np.arange(60) % 7, "v": np.arange(60.0), "w": np.arange(60.0) ** 2})
    found = safeframe.groupby(of(frame), "k", as_index=False)[["v", "w"]].corr()
    assert int(safeframe.explain(found).output_rows) == len(found.compute())


@pytest.mark.parametrize("n", [0, 1, 3, 10**9])
@pytest.mark.parametrize("keep", ["first", "all"])
def test_rows_of_the_largest_values_are_within_what_was_said(n, keep):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"k": rng.integers(0, 400, 1000), "v": rng.integers(0, 9, 1000)})
    found = safeframe.groupby(dd.from_pandas(frame, npartitions=3), "k")["v"].nlargest(n, keep=keep)
    rows = safeframe.explain(found).output_rows
    assert rows.lower <= len(found.compute()) <= rows.upper <= 1000


def test_rows_of_the_input_are_counted_where_all_of_them_stay():
    ddf = dd.from_pandas(pd.DataFrame({"k": [1, 1, 2], "v": [1, 2, 3]}), npartitions=1)
    groups = safeframe.groupby(ddf, "k")["v"]
    assert safeframe.explain(groups.cumsum()).output_rows.exact
    some = safeframe.explain(groups.head(1)).output_rows
    assert some.lower <= 2 <= some.upper
    assert not some.exact


@pytest.mark.parametrize("name", ["corr", "cov"])
def test_matrices_of_keys_that_are_no_columns_have_their_names(name):
    frame = pd.DataFrame(
        {"a": [1.0, 2, 3, 4] * 2, "b": [2.0, 1, 3, 5, 4, 1, 7, 6]},
        index=pd.Index([1, 1, 1, 1, 2, 2, 2, 2], name="i"),
    )
    ddf = dd.from_pandas(frame, npartitions=2, sort=False)
    for by, expected in (
        ("i", frame.groupby("i")),
        (ddf.a % 2, frame.groupby(frame.a % 2)),
        (["i", (ddf.a % 2).rename("z")], frame.groupby(["i", (frame.a % 2).rename("z")])),
    ):
        found = getattr(safeframe.groupby(ddf, by, sort=True), name)()
        assert found._meta.index.names == getattr(expected, name)().index.names
        pd.testing.assert_frame_equal(found.compute(), getattr(expected, name)())


@pytest.mark.parametrize("meta", [None, ("total", "f8")])
def test_partitions_of_rows_without_a_key_have_no_groups(meta, tmp_path):
    frame = pd.DataFrame({"k": [1, 1, 1, None, None, None], "v": range(6)})
    shuffled = safeframe.shuffle(of(frame, 2), "k", npartitions=6, staging=str(tmp_path))
    options = {} if meta is None else {"meta": meta}
    found = safeframe.groupby(shuffled, "k").apply(lambda group: float(group.v.sum()), **options)
    assert safeframe.explain(found).strategy == "whole"
    assert found.compute().to_dict() == {1.0: 3.0}


@pytest.mark.parametrize("way", ["staged", "whole", "sorted"])
@pytest.mark.parametrize("columns", ["v", ["v"]])
@pytest.mark.parametrize("function", [lambda values: values - values.min(), "sum"], ids=["own", "sum"])
def test_rows_without_a_key_are_not_lost_where_there_is_no_other(way, columns, function, tmp_path):
    frame = pd.DataFrame({"k": [1.0, 1, 1, None, None, None] * 5, "v": range(30)})
    ddf, options = of(frame, 2), {"npartitions": 4}
    if way == "staged":
        options["strategy"] = "staged"
    if way == "sorted":
        options["sort"] = True
    if way == "whole":
        ddf, options = safeframe.shuffle(ddf, "k", npartitions=4, staging=str(tmp_path)), {}
    groups = safeframe.groupby(ddf, "k", staging=str(tmp_path), **options)[columns]
    found = groups.transform(function)
    expected = frame.groupby("k")[columns].transform(function)
    compare = pd.testing.assert_series_equal if columns == "v" else pd.testing.assert_frame_equal
    compare(found.compute().sort_index(), expected)


def test_shifts_fill_rows_without_a_key(tmp_path):
    frame = pd.DataFrame({"k": [1.0, 1, None, None] * 5, "v": range(20)})
    for call in (lambda g: g.shift(fill_value=7), lambda g: g.transform("shift", fill_value=7)):
        groups = safeframe.groupby(of(frame, 2), "k", strategy="staged", npartitions=4, staging=str(tmp_path))
        pd.testing.assert_series_equal(call(groups.v).compute().sort_index(), call(frame.groupby("k").v))


@pytest.mark.parametrize("sort", [None, True, False])
@pytest.mark.parametrize("by", ["j", ["i", "j"]])
def test_windows_of_categories_are_those_of_their_rows(by, sort):
    words = pd.Categorical(["z", "y", "z", "y", "z"], categories=["x", "y", "z"])
    frame = pd.DataFrame({"i": [1, 1, 2, 2, 1], "j": words, "v": [1.0, 2, 3, 4, 5]})
    groups = safeframe.groupby(of(frame, 2), by, observed=False, sort=sort)
    found = groups["v"].rolling(2, min_periods=1).sum().compute()
    expected = frame.groupby(by, observed=True)["v"].rolling(2, min_periods=1).sum()
    assert found.to_dict() == expected.to_dict()


@pytest.mark.parametrize("name", ["corr", "cov"])
def test_matrices_without_keys_of_groups(name):
    frame = pd.DataFrame({"k": [1, 1, 1, 2, 2, 2], "a": [1.0, 2, 4, 1, 5, 3], "b": [2.0, 1, 3, 5, 4, 1]})
    found = getattr(safeframe.groupby(of(frame, 2), "k", group_keys=False, sort=True), name)().compute()
    pd.testing.assert_frame_equal(found, getattr(frame.groupby("k", group_keys=False), name)())


@pytest.mark.parametrize("name", ["idxmin", "idxmax"])
def test_labels_where_all_categories_occur(name):
    words = pd.Categorical(list("zyxzyx"), categories=list("xyz"))
    frame = pd.DataFrame({"k": words, "v": [3, 1, 2, 6, 5, 4]})
    found = getattr(safeframe.groupby(of(frame, 2), "k", observed=False)["v"], name)().compute()
    assert found.to_dict() == getattr(frame.groupby("k", observed=False)["v"], name)().to_dict()


@pytest.mark.parametrize("other", [np.tile([1, 2], 20), np.array(list("xy") * 20)], ids=["ints", "text"])
@pytest.mark.parametrize(
    "call",
    [
        lambda groups: groups["v"].cummax(),
        lambda groups: groups["v"].transform("max"),
        lambda groups: groups["v"].transform(lambda values: values.iloc[::-1]),
    ],
)
def test_integers_that_no_float_holds_stay_what_they_are(other, call):
    frame = pd.DataFrame({"k": np.repeat([1, 2], 20), "j": other, "v": 2**53 + 1 + np.arange(40) * 2})
    found = call(safeframe.groupby(of(frame, 3), ["k", "j"])).compute().sort_index()
    pd.testing.assert_series_equal(found, call(frame.groupby(["k", "j"])))


def test_keys_that_cannot_be_null_leave_integers():
    frame = pd.DataFrame({"k": [1, 2, 1], "j": [1, 1, 1], "v": [3, 4, 5]})
    found = safeframe.groupby(of(frame, 2), ["k", "j"])["v"].cumsum()
    assert found.dtype == found.compute().dtype == np.dtype("int64")


@pytest.mark.parametrize("by", ["k", ["k", "j"]])
def test_descriptions_have_their_own_keys(by):
    frame = pd.DataFrame({"k": [2, 1, 2, 1, 3, 3, 3], "j": list("babbaab"), "v": range(7)})
    found = safeframe.groupby(of(frame, 2), by, as_index=False)["v"].describe().compute()
    expected = frame.groupby(by, as_index=False)["v"].describe()
    keys = [by] if isinstance(by, str) else by
    found = found.sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
