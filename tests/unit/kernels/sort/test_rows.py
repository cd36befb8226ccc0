"""Orders of rows: ranks among bounds and codes, held to what pandas sorts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from dask.base import tokenize
from hypothesis import given
from hypothesis import strategies as st

from safeframe.errors import UnsupportedError
from safeframe.kernels.keys.schema import common_schema
from safeframe.kernels.sort.rows import RowOrder, check_orderable, ranks_among, rows_in_order, sorted_keys
from tests.property.strategies import KEY_KINDS, key_frames

KINDS = sorted(KEY_KINDS)


def order_of(frame: pd.DataFrame, by=None, *, ascending=True, na_last=True) -> RowOrder:
    by = tuple(frame.columns if by is None else by)
    columns = [frame[name] for name in by]
    return RowOrder(
        by=by,
        ascending=tuple(ascending) if isinstance(ascending, list) else (ascending,) * len(by),
        na_last=na_last,
        schema=common_schema(columns, columns, left_names=by, right_names=by),
        dtypes=tuple(column.dtype for column in columns),
    )


def keys_of(frame: pd.DataFrame) -> list[tuple[object, ...]]:
    """Rows as tuples that compare, with one null."""
    columns = [
        [None if null else value for value, null in zip(frame[name], frame[name].isna(), strict=True)]
        for name in frame.columns
    ]
    return list(zip(*columns, strict=True))


def by_pandas(keys: pd.DataFrame, bounds: pd.DataFrame, order: RowOrder) -> list[int]:
    """Where pandas puts rows among bounds: twice the bounds before a row, and one more when it equals the next."""
    both = pd.concat([bounds, keys], ignore_index=True).astype(dict(zip(order.by, order.dtypes, strict=True)))
    both = both.sort_values(
        list(order.by),
        ascending=list(order.ascending),
        na_position="last" if order.na_last else "first",
        kind="stable",
    )
    place, of_row, before = {}, {}, 0
    for number, key in zip(both.index, keys_of(both), strict=True):
        if number < len(bounds):
            place[key] = 2 * before + 1  # bounds come first among equals
            before += 1
        of_row[number] = place.get(key, 2 * before)
    return [of_row[len(bounds) + i] for i in range(len(keys))]


@given(data=st.data(), kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=3), na_last=st.booleans())
def test_ranks_are_those_of_a_sort_by_pandas(data, kinds, na_last):
    names = [f"k{i}" for i in range(len(kinds))]
    frame = data.draw(key_frames(kinds, names=names, extra="l"))[names]
    ascending = data.draw(st.lists(st.booleans(), min_size=len(kinds), max_size=len(kinds)))
    order = order_of(frame, ascending=ascending, na_last=na_last)
    chosen = data.draw(st.lists(st.integers(0, len(frame) - 1), max_size=5)) if len(frame) else []
    bounds = sorted_keys(frame.iloc[chosen].drop_duplicates(), order).reset_index(drop=True)
    assert ranks_among(frame, bounds, order).tolist() == by_pandas(frame, bounds, order)


@given(data=st.data(), kind=st.sampled_from(KINDS), ascending=st.booleans())
def test_codes_are_in_the_order_of_the_values(data, kind, ascending):
    frame = data.draw(key_frames([kind], names=["k"], extra="l"))[["k"]]
    order = order_of(frame, ascending=ascending)
    if not order.coded:
        return
    codes, null = order.codes(frame)
    assert (null if null is not None else np.zeros(len(frame), bool)).tolist() == frame["k"].isna().tolist()
    known = frame[frame["k"].notna()]
    codes = codes[frame["k"].notna()]
    ordered = known.sort_values("k", ascending=ascending, kind="stable").index
    by_code = known.index[np.argsort(codes, kind="stable")]
    assert by_code.tolist() == ordered.tolist()


def test_categories_are_ordered_as_they_are_listed_not_as_they_are_spelt():
    sizes = pd.CategoricalDtype(["small", "medium", "large"], ordered=True)
    frame = pd.DataFrame({"k": pd.Series(["large", "small", None, "medium"], dtype=sizes)})
    order = order_of(frame)
    assert not order.coded
    assert order.nulls_apart
    bounds = pd.DataFrame({"k": pd.Series(["medium"], dtype=sizes)})
    assert ranks_among(frame[frame["k"].notna()], bounds, order).tolist() == [2, 0, 1]
    # A partition may list its categories in another way; the frame's order is that which counts.
    other = frame.assign(k=frame["k"].cat.reorder_categories(["large", "medium", "small"], ordered=True))
    assert ranks_among(other[other["k"].notna()], bounds, order).tolist() == [2, 0, 1]
    assert sorted_keys(other, order)["k"].tolist()[:3] == ["small", "medium", "large"]


def test_ranks_among_no_bounds_are_all_zero():
    frame = pd.DataFrame({"a": ["x", None], "b": [1, 2]})
    assert ranks_among(frame, frame.iloc[:0], order_of(frame)).tolist() == [0, 0]


def test_nulls_come_first_or_last_in_either_direction():
    frame = pd.DataFrame({"a": [None, "x", "y"], "b": [1, 1, 1]})
    bounds = frame.iloc[[1]].reset_index(drop=True)
    for ascending in (True, False):
        first = ranks_among(frame, bounds, order_of(frame, ascending=ascending, na_last=False))
        last = ranks_among(frame, bounds, order_of(frame, ascending=ascending, na_last=True))
        assert (first[0], last[0]) == (0, 2)
        assert first[1:].tolist() == last[1:].tolist() == [1, 2 if ascending else 0]


def test_only_single_columns_keep_their_nulls_apart():
    frame = pd.DataFrame({"a": [1.5, None], "b": [1, 2]})
    assert order_of(frame, ["a"]).nulls_apart
    assert order_of(frame, ["a"]).coded
    assert not order_of(frame).nulls_apart
    assert not order_of(frame).coded


@pytest.mark.parametrize("values", [[1, "a"], [{1}, {2}], [1j, 2j]], ids=repr)
def test_values_without_an_order_are_said_in_words(values):
    frame = pd.DataFrame({"k": pd.Series(values, dtype=object), "n": [1, 2]})
    with pytest.raises(UnsupportedError, match=r"no order: (.|\n)*Hint: Cast"):
        ranks_among(frame, frame, order_of(frame))


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.int8()),
        pa.struct([("a", pa.int8())]),
        pa.dictionary(pa.int32(), pa.string()),
        pa.float16(),
    ],
    ids=str,
)
def test_types_of_arrow_that_pandas_does_not_compare_are_refused(kind):
    with pytest.raises(UnsupportedError, match=r"'k'.*no order(.|\n)*astype\("):
        check_orderable(["k"], [pd.ArrowDtype(kind)])


def test_categories_that_are_not_known_are_refused():
    unknown = pd.CategoricalDtype(["__UNKNOWN_CATEGORIES__"])
    check_orderable(["a"], [pd.CategoricalDtype(["x"])])
    with pytest.raises(
        UnsupportedError,
        match=r"column 'b', and with them its order, are not known(.|\n)*categorize\(\['b'\]\)",
    ):
        check_orderable(["a", "b"], [np.dtype("int64"), unknown])


def test_an_order_is_identified_by_all_that_changes_it():
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    some = [
        order_of(frame, ["a"]),
        order_of(frame, ["b"]),
        order_of(frame, ["a"], ascending=False),
        order_of(frame, ["a"], na_last=False),
        order_of(frame.astype({"a": "category"}), ["a"]),
        order_of(frame.astype({"a": pd.CategoricalDtype([2, 1])}), ["a"]),
    ]
    assert len({tokenize(order, ensure_deterministic=True) for order in some}) == len(some)
    assert tokenize(order_of(frame, ["a"])) == tokenize(some[0])


@pytest.mark.parametrize("swapped", [None, 0, 100, 2**14 - 1, 2**14, 40_000, 49_998])
@pytest.mark.parametrize("ascending", [True, False])
def test_rows_that_fall_are_found_wherever_they_are(swapped, ascending):
    values = np.arange(50_000) // 2 * 2.0 if swapped is None else np.arange(50_000.0)
    values = values if ascending else values[::-1].copy()
    if swapped is not None:
        values[[swapped, swapped + 1]] = values[[swapped + 1, swapped]]
    frame = pd.DataFrame({"k": values})
    assert rows_in_order(frame, order_of(frame, ascending=ascending)) == (swapped is None)


@pytest.mark.parametrize("at", [0, 20_000, 49_999])
@pytest.mark.parametrize("na_last", [True, False])
def test_a_null_is_in_order_at_its_end_alone(at, na_last):
    values = np.arange(50_000.0)
    values[at] = np.nan
    frame = pd.DataFrame({"k": values})
    assert rows_in_order(frame, order_of(frame, na_last=na_last)) == (at == (49_999 if na_last else 0))
