"""The table of a side's rows: places, missing values, and what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from safeframe.errors import RowConservationError, SchemaMismatchError
from safeframe.facts.merge import KeyTable
from safeframe.kernels.columns.values import as_column
from safeframe.kernels.keys.codes import encode_keys
from safeframe.kernels.keys.schema import common_schema
from safeframe.kernels.merge.output import JoinKeys, SideKeys
from safeframe.kernels.merge.spec import JoinSpec, join_spec
from safeframe.kernels.merge.table import JoinTable, look_up, refused, slice_rows

KEYS = JoinKeys(
    left=SideKeys(on=("k",), names=("k",), given=("k",)),
    right=SideKeys(on=("k",), names=("k",), given=("k",)),
)


def spec_of(left, right, how="left", indicator=False, on=("k", "k")) -> JoinSpec:
    sides = [SideKeys(on=(name,), names=(name,), given=(name,)) for name in on]
    schema = common_schema([left[on[0]]], [right[on[1]]], left_names=[on[0]], right_names=[on[1]])
    return join_spec(
        left.iloc[:0], right.iloc[:0], JoinKeys(left=sides[0], right=sides[1]),
        how=how, suffixes=("_x", "_y"), indicator=indicator, schema=schema,
        left_missing=how == "right", right_missing=how == "left",
    )  # fmt: skip


def table_of(spec: JoinSpec, build: pd.DataFrame, side: str) -> tuple[JoinTable, np.ndarray]:
    """Make a whole table, slice by slice."""
    own = spec.right if side == "right" else spec.left
    codes, _ = encode_keys([build[own.on[0]]], own.schema)
    base = int(codes.min())
    table = JoinTable(
        spec,
        KeyTable(
            base=base, span=int(codes.max()) - base + 1, rows=len(build), build_side=side, slice_nbytes=1000
        ),
    )
    places = (codes - np.uint64(base)).astype(np.int64) // table.keys.slice_places(table.layout.itemsize)
    slices = [
        slice_rows([as_column(build[name][places == number]) for name in own.names], table, number)
        for number in range(table.slices.n_shards)
    ]
    # By their bytes, as in the file: numpy would leave out what fills a row up.
    return table, np.frombuffer(b"".join(rows.tobytes() for rows in slices), table.layout)


def random_sides(rng, kind="int64"):
    keys = rng.permutation(500)[:300] - 100
    values = {
        "int64": keys,
        "int16": keys.astype("int16"),
        "uint8": np.unique(rng.integers(0, 256, 100)).astype("uint8"),
        "datetime64[s]": keys.astype("M8[s]"),
        "timedelta64[ms]": keys.astype("m8[ms]"),
    }[kind]
    n = len(values)
    build = pd.DataFrame(
        {
            "k": values,
            "i": rng.integers(0, 9, n),
            "f": np.where(rng.random(n) < 0.1, np.nan, rng.random(n)),
            "s": rng.integers(0, 9, n).astype("int8"),
            "t": pd.Series(rng.integers(0, 9, n).astype("M8[us]")).dt.tz_localize("Europe/Vienna"),
            "g": rng.random(n).astype("float32"),
        }
    )
    probe = pd.DataFrame({"k": rng.permutation(np.repeat(values, 3))[:400], "a": np.arange(min(400, 3 * n))})
    # Some keys are not there: above the largest, and in the gaps.
    number = probe["k"].to_numpy().view("i8" if build["k"].dtype.itemsize == 8 else build["k"].dtype).copy()
    number[::5] += np.arange(len(number[::5])).astype(number.dtype)
    probe["k"] = number.view(build["k"].to_numpy().dtype)
    return probe.astype({"k": build["k"].dtype}), build


@pytest.mark.parametrize("kind", ["int64", "int16", "uint8", "datetime64[s]", "timedelta64[ms]"])
@pytest.mark.parametrize("how", ["left", "right"])
def test_rows_are_those_of_pandas(kind, how):
    probe, build = random_sides(np.random.default_rng(3), kind)
    left, right = (probe, build) if how == "left" else (build, probe)
    side = "right" if how == "left" else "left"
    spec = spec_of(left, right, how)
    assert refused(spec, side) == ""
    table, rows = table_of(spec, build, side)
    assert table.slices.n_shards > 1
    assert len(rows) == table.keys.span + 1
    assert rows.nbytes == table.keys.nbytes(table.layout.itemsize)
    expected = left.merge(right, how=how, on="k")
    assert expected.isna().any().any()
    found = look_up(probe, rows, table)
    assert list(found.dtypes) == list(spec.meta.dtypes)
    pd.testing.assert_frame_equal(found, expected, check_exact=True, check_dtype=False)


def test_keys_of_two_names_are_both_columns():
    left = pd.DataFrame({"k": [3, 9, 1], "a": [0, 1, 2]})
    right = pd.DataFrame({"q": [1, 3], "b": [0.5, 1.5]})
    spec = spec_of(left, right, on=("k", "q"))
    table, rows = table_of(spec, right, "right")
    expected = left.merge(right, how="left", left_on="k", right_on="q")
    pd.testing.assert_frame_equal(look_up(left, rows, table), expected)


def test_null_keys_of_the_side_that_looks_up_meet_nothing():
    left = pd.DataFrame({"k": pd.array([3, None, 1], "Int64")})
    right = pd.DataFrame({"k": pd.array([1, 3], "Int64"), "b": [0.5, 1.5]})
    table, rows = table_of(spec_of(left, right), right, "right")
    assert look_up(left, rows, table)["b"].tolist()[::2] == [1.5, 0.5]
    assert np.isnan(look_up(left, rows, table)["b"][1])


def test_a_partition_of_another_type_is_converted_to_the_promised_one_or_refused():
    left = pd.DataFrame({"k": [3, 1], "a": [1.5, 2.5]})
    right = pd.DataFrame({"k": [1, 3], "b": [0.5, 1.5]})
    table, rows = table_of(spec_of(left, right), right, "right")
    assert look_up(left.astype({"a": "int8"}), rows, table)["a"].dtype == "float64"
    with pytest.raises(SchemaMismatchError, match="but its frame has float64"):
        look_up(left.astype({"a": object}).assign(a=["x", "y"]), rows, table)


def test_an_empty_partition():
    left, right = pd.DataFrame({"k": [1, 2]}), pd.DataFrame({"k": [1, 2], "b": [0.5, 1.5]})
    table, rows = table_of(spec_of(left, right), right, "right")
    assert look_up(left.iloc[:0], rows, table).dtypes.tolist() == [np.dtype("int64"), np.dtype("float64")]


def test_nothing_that_is_looked_up():
    left, right = pd.DataFrame({"k": [1, 5], "a": [1, 2]}), pd.DataFrame({"k": [1, 2]})
    table, rows = table_of(spec_of(left, right), right, "right")
    pd.testing.assert_frame_equal(look_up(left, rows, table), left)


@pytest.mark.parametrize("keys", [[1, 2, 2], [1, 3, 9]], ids=["a key that occurs twice", "a key outside"])
def test_data_that_have_changed(keys):
    right = pd.DataFrame({"k": [1, 2, 3], "b": [0.5, 1.5, 2.5]})
    table, _ = table_of(spec_of(right[["k"]], right), right, "right")
    changed = pd.DataFrame({"k": keys, "b": [0.0, 1.0, 2.0]})
    with pytest.raises(RowConservationError, match="of 3 rows 2 have such a key"):
        slice_rows([as_column(changed[name]) for name in changed], table, 0)


@pytest.mark.parametrize(
    ("left", "right", "how", "side", "indicator", "why"),
    [
        ({"k": [1]}, {"k": [1], "b": [1]}, "inner", "right", False, "unmatched rows do not stay"),
        ({"k": [1]}, {"k": [1], "b": [1]}, "left", "left", False, "unmatched rows do not stay"),
        ({"k": [1]}, {"k": [1], "b": [1]}, "left", "right", True, "indicator"),
        ({"k": [1.5]}, {"k": [1.5], "b": [1]}, "left", "right", False, "whole numbers"),
        ({"k": ["a"]}, {"k": ["a"], "b": [1]}, "left", "right", False, "whole numbers"),
        ({"k": [1]}, {"k": [1], "b": ["x"]}, "left", "right", False, "fixed width"),
        ({"k": [1]}, {"k": [1], "b": [True]}, "left", "right", False, "fixed width"),
    ],
)
def test_what_cannot_be_a_table(left, right, how, side, indicator, why):
    spec = spec_of(pd.DataFrame(left), pd.DataFrame(right), how, indicator)
    assert why in refused(spec, side)


def test_a_key_whose_type_changes():
    left, right = pd.DataFrame({"k": np.array([1], "int32")}), pd.DataFrame({"k": [1], "b": [1.0]})
    assert right.merge(left, how="right", on="k")["k"].dtype == "int64", "pandas gives the left side's type"
    assert "the key column 'k' changes its type" in refused(spec_of(right, left, "right"), "left")


@pytest.mark.parametrize("keys", [[7, 8, 9], [7, 9, 12]])
@pytest.mark.parametrize("column", ["int64", "uint64", "float64", "datetime64[s]"])
def test_integers_stay_where_each_row_finds_one_and_a_row_that_does_not_is_noticed(keys, column):
    left = pd.DataFrame({"k": [9, 7, 7]})
    large = np.array([2**53 + 1, 2**53 + 3, 2**62 + 1]) if "int" in column else np.arange(3)
    right = pd.DataFrame({"k": keys, "b": large.astype(column)})
    spec = spec_of(left, right)
    spec = join_spec(
        left.iloc[:0], right.iloc[:0], KEYS, how="left", suffixes=("_x", "_y"), indicator=False,
        schema=spec.left.schema, left_missing=False, right_missing=False,
    )  # fmt: skip
    table, rows = table_of(spec, right, "right")
    pd.testing.assert_frame_equal(look_up(left, rows, table), left.merge(right, how="left", on="k"))
    for other in (6, 8, 10, 13, -(2**63)):
        if other not in keys:
            with pytest.raises(RowConservationError, match="1 or more rows have no match on the right side"):
                look_up(pd.DataFrame({"k": [7, other]}), rows, table)


def test_a_table_whose_places_were_all_filled_is_refused_with_others():
    left, right = pd.DataFrame({"k": [1]}), pd.DataFrame({"k": [1, 2, 3], "b": [4, 5, 6]})
    spec = join_spec(
        left.iloc[:0], right.iloc[:0], KEYS, how="left", suffixes=("_x", "_y"), indicator=False,
        schema=spec_of(left, right).left.schema, left_missing=False, right_missing=False,
    )  # fmt: skip
    table, _ = table_of(spec, right, "right")
    with pytest.raises(RowConservationError, match="of 2 rows 2 have such a key"):
        slice_rows([as_column(right[name].iloc[::2]) for name in ("k", "b")], table, 0)
