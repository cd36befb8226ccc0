from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from safeframe.errors import SchemaMismatchError, ValidationError
from safeframe.kernels.groups import begins_group
from safeframe.kernels.keys.nulls import any_null
from safeframe.kernels.lag.shift import add_lags, edge_rows, lagged_meta
from safeframe.kernels.lag.spec import LagColumn, LagSpec, lagged_dtype, transformed_dtype

STRING = "str" if pd.__version__ >= "3" else "string[pyarrow]"


def spec(meta, lags=(1,), *, by=("k",), column="v", transform=None, dropna=True, **fill):
    bare = LagSpec(
        by=by,
        columns=(),
        dropna=dropna,
        transform=transform,
        fills=bool(fill),
        fill_value=fill.get("fill_value"),
    )
    columns = tuple(
        LagColumn(name=f"l{lag}", column=column, lag=lag, dtype=transformed_dtype(meta[column], lag, bare))
        for lag in lags
    )
    return LagSpec(
        by=by,
        columns=columns,
        dropna=dropna,
        transform=transform,
        fills=bare.fills,
        fill_value=bare.fill_value,
    )


@pytest.fixture
def rows():
    rng = np.random.default_rng(3)
    return pd.DataFrame({"k": np.sort(rng.integers(0, 9, 200)), "v": rng.random(200)})


class TestGroups:
    @pytest.mark.parametrize(
        "values",
        [
            pd.Series([1, 1, 2], dtype="int8"),
            pd.Series([np.nan, np.nan, 2.0]),
            pd.Series([pd.NA, pd.NA, 2], dtype="Int64"),
            pd.Series([None, None, "b"], dtype=STRING),
            pd.Series([pd.NaT, pd.NaT, pd.Timestamp(0)], dtype="datetime64[ns, UTC]"),
            pd.Series(pd.Categorical([None, None, "b"])),
            pd.Series([None, np.nan, ("x", 1)], dtype=object),
        ],
    )
    def test_equal_neighbours_are_one_group_and_nulls_are_equal(self, values):
        assert begins_group([values]).tolist() == [True, False, True]
        null = any_null([pd.Series([1, 2, 3]), values])
        assert (null is None) == (values.notna().all())
        assert null is None or null.tolist() == [True, True, False]

    def test_a_null_is_no_value(self):
        masked = pd.Series([1, pd.NA, 1], dtype="Int64")
        assert begins_group([masked]).tolist() == [True, True, True]

    def test_any_key_that_differs_begins_a_group(self):
        found = begins_group([pd.Series([1, 1, 1, 2]), pd.Series(["a", "b", "b", "b"])])
        assert found.tolist() == [True, True, False, True]

    @pytest.mark.parametrize("n", [0, 1])
    def test_few_rows(self, n):
        assert begins_group([pd.Series([5] * n)]).tolist() == [True] * n


class TestShifts:
    @pytest.mark.parametrize("lag", [0, 1, 5, 199, 200, 500, -1, -5, -200, -500])
    def test_whole_columns_are_those_of_pandas(self, rows, lag):
        found = add_lags(rows, spec(rows, [lag]))
        expected = rows.groupby("k")["v"].shift(lag)
        pd.testing.assert_series_equal(found[f"l{lag}"], expected, check_names=False)

    def test_no_rows(self, rows):
        made = spec(rows, [1, -1, 0])
        found = add_lags(rows.iloc[:0], made)
        pd.testing.assert_frame_equal(found, lagged_meta(rows, made))

    def test_rows_of_neighbours_on_both_sides(self, rows):
        lags = [1, 3, -2, 40, -40]
        whole = add_lags(rows, spec(rows, lags))
        made = spec(rows, lags)
        before = [edge_rows(rows, made, slice(0, 30)), edge_rows(rows, made, slice(30, 80))]
        after = [edge_rows(rows, made, slice(120, 200))]
        found = add_lags(rows.iloc[80:120], made, before=before, after=after)
        pd.testing.assert_frame_equal(found, whole.iloc[80:120])
        found = add_lags(rows.iloc[50:150], made, own=slice(40, 60))
        pd.testing.assert_frame_equal(found, whole.iloc[90:110])

    @pytest.mark.parametrize("n", [1, 3])
    def test_rows_at_an_edge_keep_no_others_alive(self, n):
        frame = pd.DataFrame({"k": np.arange(1000), "v": 1.5, "s": pd.Series(["word"] * 1000, dtype=STRING)})
        made = replace(spec(frame), by=("k", "s"))
        for rows in (slice(0, n), slice(1000 - n, 1000)):
            found = edge_rows(frame, made, rows)
            pd.testing.assert_frame_equal(
                found, frame[["k", "s", "v"]].iloc[rows].reset_index(drop=True), check_index_type=False
            )
            assert not any(np.shares_memory(found[name].to_numpy(), frame[name].to_numpy()) for name in "kv")
            assert pa.array(found["s"], from_pandas=True).get_total_buffer_size() < 1000

    def test_rows_that_an_order_brings_together_stay_where_they_are(self, rows):
        mixed = rows.sample(frac=1, random_state=1)
        found = add_lags(mixed, spec(rows, [2, -1]), order=np.argsort(mixed["k"].to_numpy(), kind="stable"))
        for lag in (2, -1):
            expected = mixed.groupby("k")["v"].shift(lag)
            pd.testing.assert_series_equal(found[f"l{lag}"], expected, check_names=False)

    def test_neighbours_of_another_type_are_refused(self, rows):
        made = spec(rows)
        words = pd.DataFrame({"k": [0], "v": pd.Series(["a"], dtype=STRING)})
        with pytest.raises(SchemaMismatchError, match="'v' is float64 and"):
            add_lags(rows, made, before=[words])

    def test_categories_of_neighbours_are_joined(self):
        one = pd.DataFrame({"k": [1], "v": pd.Categorical(["a"])})
        two = pd.DataFrame({"k": [1], "v": pd.Categorical(["b"])})
        found = add_lags(two, spec(two), before=[one])
        assert found["l1"].tolist() == ["a"]


class TestTransforms:
    def test_a_function_is_called_once_for_a_column_and_never_for_a_group(self, rows):
        calls = []

        def doubled(column):
            calls.append(len(column))
            return column * 2

        made = spec(rows, [1, 2], transform=doubled)
        calls.clear()
        found = add_lags(rows, made)
        assert calls == [len(rows)] * 2
        pd.testing.assert_series_equal(found["l2"], rows.groupby("k")["v"].shift(2) * 2, check_names=False)

    def test_the_logarithm_of_zero_is_as_numpy_has_it(self):
        frame = pd.DataFrame({"k": [1, 1, 1], "v": [0.0, 1.0, 2.0]})
        made = spec(frame, [1], transform=np.log)
        with pytest.warns(RuntimeWarning, match="divide by zero"):
            found = add_lags(frame, made)
        assert found["l1"].tolist()[1:] == [-np.inf, 0.0]
        assert np.isnan(found["l1"].iloc[0])

    @pytest.mark.parametrize("fill", [{}, {"fill_value": 4}])
    @pytest.mark.parametrize("dtype", ["int64", "float32", "Int64", "uint8"])
    def test_a_ufunc_gives_what_it_gives_for_the_shifted_column(self, dtype, fill):
        frame = pd.DataFrame({"k": [1, 1, 2, 2], "v": pd.Series([1, 4, 9, 16], dtype=dtype)})
        found = add_lags(frame, spec(frame, [0, 1, -1], transform=np.sqrt, **fill))
        for lag in (0, 1, -1):
            expected = np.sqrt(frame.groupby("k")["v"].shift(lag, **fill))
            pd.testing.assert_series_equal(found[f"l{lag}"], expected, check_names=False)

    def test_what_gives_other_than_a_column_is_refused(self, rows):
        with pytest.raises(ValidationError, match="transform returned a float"):
            spec(rows, transform=lambda column: column.sum())
        made = spec(rows, transform=lambda column: column.dropna())
        with pytest.raises(ValidationError, match="for a column of 200 rows"):
            add_lags(rows, made)

    def test_a_function_that_refuses_the_type_is_named(self, rows):
        words = rows.assign(v=pd.Series(["a"] * len(rows), dtype=STRING))
        with pytest.raises(ValidationError, match=r"fails on a column of (str|string).*'v'"):
            spec(words, transform=np.log)

    def test_another_type_than_was_promised_is_refused(self, rows):
        def depends(column):
            return column.astype(STRING) if len(column) > 10 else column

        made = spec(rows, transform=depends)
        with pytest.raises(SchemaMismatchError, match="'l1'"):
            add_lags(rows, made)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("int32", "float64"), ("bool", "object"), ("float32", "float32"), ("Int8", "Int8"), ("M8[s]", "M8[s]")],
)
def test_types_do_not_depend_on_values(dtype, expected):
    dtype = pd.Series([], dtype=dtype).dtype
    assert lagged_dtype(dtype, 1, fills=False) == expected
    assert lagged_dtype(dtype, 0, fills=False) == lagged_dtype(dtype, 3, fills=True) == dtype


@pytest.mark.parametrize(
    "kind", [pa.binary(), pa.binary(2), pa.list_(pa.int8()), pa.map_("str", pa.int8())], ids=str
)
def test_a_type_of_arrow_that_has_no_ones_is_shifted_as_it_is(kind):
    meta = pd.DataFrame({"k": pd.Series([], dtype="int64"), "v": pd.Series([], dtype=pd.ArrowDtype(kind))})
    assert spec(meta).columns[0].dtype == pd.ArrowDtype(kind)
