"""Keys of Arrow's types: hashes, numbers and orders agree with Python's own values, whatever holds them."""

from __future__ import annotations

import datetime
import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safeframe.facts.keys import KeyColumn, KeySchema
from safeframe.kernels.keys.codes import encode_keys
from safeframe.kernels.keys.ids import key_ids
from safeframe.kernels.keys.schema import common_schema
from safeframe.kernels.sort.rows import RowOrder, ranks_among, rows_in_order, sorted_keys
from tests.property.strategies import Reversed

_LETTERS = st.sampled_from(
    ["", "a", "b", "a\0", "a\0\0", "ü", "日本語", "😀", "\uffff", "ab" * 4, "ab" * 4 + "\0"]
)
_WORDS = st.one_of(
    _LETTERS, st.text(max_size=20), st.builds(lambda a, n, b: (a or "x") * n + b, _LETTERS, st.integers(1, 40), _LETTERS)
)  # fmt: skip
_BYTES = st.one_of(_WORDS.map(str.encode), st.binary(max_size=300))
_DAYS = st.dates(datetime.date(1, 1, 1), datetime.date(9999, 12, 31))
_TIMES = st.times().map(lambda time: time.replace(fold=0))


def _decimals(digits, scale):
    numbers = st.one_of(st.integers(-3, 3), st.integers(-(10**digits) + 1, 10**digits - 1))
    return numbers.map(lambda number: decimal.Context(prec=80).scaleb(decimal.Decimal(number), -scale))


FAMILIES = {
    "string": (_WORDS, [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string()), object]),
    "binary": (_BYTES, [pa.binary(), pa.large_binary(), object]),
    "fixed binary": (st.binary(min_size=3, max_size=3), [pa.binary(3), pa.binary(), object]),
    "decimal": (_decimals(9, 2), [pa.decimal128(9, 2), pa.decimal128(38, 5), pa.decimal256(50, 3), object]),
    "wide decimal": (_decimals(38, 10), [pa.decimal128(38, 10), pa.decimal256(60, 20), object]),
    "very wide decimal": (_decimals(70, 30), [pa.decimal256(70, 30), pa.decimal256(76, 32), object]),
    "date": (_DAYS, [pa.date32(), pa.date64(), object]),
    "time": (_TIMES, [pa.time64("us"), pa.time64("ns"), object]),
}  # fmt: skip
if hasattr(pa, "decimal64"):
    FAMILIES["decimal"][1].append(pa.decimal64(15, 2))


def _series(values, kind, cut):
    """Return values as a type, as a slice out of more, in chunks of which one is empty."""
    if kind is object:
        return pd.Series(values, dtype=object)
    values = [values[-1] if values else None, *values]
    array = pa.array(values, kind.value_type if pa.types.is_dictionary(kind) else kind)
    array = array.dictionary_encode() if pa.types.is_dictionary(kind) else array
    array = array[1:]
    chunks = [array[:cut], array[cut:cut], array[cut:]]
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array(chunks, array.type)))


@st.composite
def columns(draw, n=1, families=tuple(FAMILIES), least=0):
    """Draw a family of values, and columns of them in different types."""
    values, kinds = FAMILIES[draw(st.sampled_from(families))]
    some = draw(st.lists(values, min_size=1, max_size=8))
    found = []
    for _ in range(n):
        drawn = draw(st.lists(st.one_of(st.none(), st.sampled_from(some)), min_size=least, max_size=20))
        kind = draw(st.sampled_from(kinds))
        found.append((drawn, _series(drawn, kind, draw(st.integers(0, len(drawn))))))
    return found


def _groups(values):
    numbered = {}
    return [numbered.setdefault(value, len(numbered)) for value in values]


def same_grouping(one, other):
    pairs = set(zip(np.asarray(one).tolist(), list(other), strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def _schema(*pairs):
    left, right = zip(*pairs, strict=True)
    names = list(range(len(pairs)))
    return common_schema(
        [c.iloc[:0] for c in left], [c.iloc[:0] for c in right], left_names=names, right_names=names
    )


@given(drawn=columns(2))
def test_equal_values_have_one_code_and_one_number(drawn):
    (left, left_series), (right, right_series) = drawn
    schema = _schema((left_series, right_series))
    values = [*left, *right]
    ids = np.concatenate(key_ids([left_series], [right_series], schema))
    assert (ids >= 0).all()
    assert same_grouping(ids, _groups(values))
    codes, nulls = zip(
        *(encode_keys([series], schema) for series in (left_series, right_series)), strict=True
    )
    null = np.concatenate([
        np.zeros(len(side), bool) if mask is None else mask for side, mask in zip((left, right), nulls, strict=True)
    ])  # fmt: skip
    assert null.tolist() == [value is None for value in values]
    there = [value for value in values if value is not None]
    assert same_grouping(np.concatenate(codes)[~null], _groups(there))


@given(data=st.data(), one=st.sampled_from(sorted(FAMILIES)), other=st.sampled_from(sorted(FAMILIES)))
def test_keys_of_several_columns_are_numbered_by_value(data, one, other):
    n = data.draw(st.integers(0, 12)), data.draw(st.integers(0, 12))
    sides, values = [], []
    for rows in n:
        drawn = [
            data.draw(st.lists(st.one_of(st.none(), st.sampled_from(some)), min_size=rows, max_size=rows))
            for some in (data.draw(st.lists(FAMILIES[family][0], min_size=1, max_size=3)) for family in (one, other))
        ]  # fmt: skip
        numbers = data.draw(st.lists(st.integers(0, 2), min_size=rows, max_size=rows))
        kinds = [data.draw(st.sampled_from(FAMILIES[family][1])) for family in (one, other)]
        series = [_series(column, kind, rows // 2) for column, kind in zip(drawn, kinds, strict=True)]
        sides.append([*series, pd.Series(numbers, dtype="int64")])
        values += list(zip(*drawn, numbers, strict=True))
    schema = _schema(*zip(*sides, strict=True))
    assert same_grouping(np.concatenate(key_ids(*sides, schema)), _groups(values))
    codes = [encode_keys(side, schema)[0] for side in sides]
    assert same_grouping(np.concatenate(codes), _groups(values))


def _order(names, series, ascending, *, na_last):
    schema = _schema(*((column, column) for column in series))
    return RowOrder(
        by=tuple(names), ascending=tuple(ascending), na_last=na_last, schema=schema,
        dtypes=tuple(column.dtype for column in series),
    )  # fmt: skip


def _sort_key(values, ascending, na_last):
    key = []
    for value, up in zip(values, ascending, strict=True):
        there = 0 if (value is None) != na_last else 1
        key.append((there, 0 if value is None else value if up else Reversed(value)))
    return tuple(key)


@given(
    data=st.data(),
    families=st.lists(st.sampled_from(sorted(FAMILIES)), min_size=1, max_size=2),
    na_last=st.booleans(),
)
def test_rows_are_in_the_order_of_their_values(data, families, na_last):
    rows = data.draw(st.integers(0, 24))
    ascending = [data.draw(st.booleans()) for _ in families]
    drawn, series = [], []
    for family in families:
        some = data.draw(st.lists(FAMILIES[family][0], min_size=1, max_size=6))
        drawn.append(
            data.draw(st.lists(st.one_of(st.none(), st.sampled_from(some)), min_size=rows, max_size=rows))
        )
        kind = data.draw(st.sampled_from([kind for kind in FAMILIES[family][1] if kind is object or not pa.types.is_dictionary(kind)]))  # fmt: skip
        series.append(_series(drawn[-1], kind, rows // 3))
    names = [f"c{at}" for at in range(len(families))]
    frame = pd.DataFrame(dict(zip(names, series, strict=True)))
    order = _order(names, series, ascending, na_last=na_last)
    tuples = list(zip(*drawn, strict=True))
    keys = [_sort_key(values, ascending, na_last) for values in tuples]
    expected = sorted(range(rows), key=keys.__getitem__)
    assert sorted_keys(frame, order).index.tolist() == expected
    assert rows_in_order(frame, order) == (expected == list(range(rows)))
    distinct = []
    for at in expected:
        if not distinct or keys[distinct[-1]] != keys[at]:
            distinct.append(at)
    taken = sorted(data.draw(st.sets(st.sampled_from(range(len(distinct)))))) if distinct else []
    bounds = frame.take([distinct[at] for at in taken]).reset_index(drop=True)
    bound_keys = [keys[distinct[at]] for at in taken]
    ranks = [
        2 * sum(bound < key for bound in bound_keys) + any(bound == key for bound in bound_keys)
        for key in keys
    ]
    assert ranks_among(frame, bounds, order).tolist() == ranks


@given(
    words=st.lists(st.one_of(st.none(), _WORDS), max_size=20), bounds=st.sets(_WORDS, min_size=1, max_size=6)
)
def test_codes_of_bounds_are_in_the_order_of_the_bounds(words, bounds):
    bounds = tuple(sorted(bounds))
    schema = KeySchema(columns=(KeyColumn(kind="string"),), bounds=bounds)
    codes, _ = encode_keys([pd.Series(words, dtype="str")], schema)
    for word, code in zip(words, codes.tolist(), strict=True):
        if word is not None:
            below = sum(bound < word for bound in bounds)
            assert code >> schema.hash_bits == 2 * below + (word in bounds)


@pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.struct([("a", pa.int64())])])
def test_what_arrow_nests_is_no_key(kind):
    from safeframe.errors import UnsupportedError

    column = pd.Series(pd.arrays.ArrowExtensionArray(pa.array([None, None], kind)), name="k")
    with pytest.raises(UnsupportedError, match="'k'"):
        _schema_named(column)


def _schema_named(column):
    return common_schema([column], [column], left_names=["k"], right_names=["k"])


@pytest.mark.parametrize("skew", [False, True])
def test_many_rows_are_ordered_numbered_and_placed_as_pandas_does(skew):
    rng = np.random.default_rng(3)
    numbers = rng.integers(0, 50 if skew else 10**9, 50_000)
    words = pd.Series([f"customer#{'' if n % 7 else 'x' * 70}{n:09d}" for n in numbers], dtype="str")
    frame = pd.DataFrame({"word": words, "number": rng.permutation(50_000)})
    for names, ascending in ((["word"], [True]), (["word", "number"], [False, True])):
        order = _order(names, [frame[name] for name in names], ascending, na_last=True)
        expected = frame.sort_values(names, ascending=ascending, kind="stable")
        assert sorted_keys(frame, order).index.equals(expected.index)
        bounds = expected[::997].drop_duplicates(names).reset_index(drop=True)
        ranks = ranks_among(frame, bounds, order)
        falls = np.diff(ranks[expected.index.to_numpy()])
        assert (falls >= 0).all()
        assert (ranks[expected.index.to_numpy()[::997]] % 2 == 1).all()
    other = words.sample(20_000, random_state=1)
    ids = np.concatenate(key_ids([words], [other], _schema((words, other))))
    assert same_grouping(ids, pd.factorize(pd.concat([words, other]))[0])


def test_two_strings_of_one_hash_stay_apart(monkeypatch):
    from safeframe.kernels.keys import ids as key_numbers

    monkeypatch.setattr(key_numbers, "arrow_hashes", lambda array: np.zeros(len(array), np.uint64))
    words = ["a", None, "b", "a" * 70, "a" * 69 + "b", "a\0"]
    for kind in ("str", object):
        sides = [pd.Series(words, dtype=kind), pd.Series(words[::-1], dtype="str")]
        ids = np.concatenate(key_ids([sides[0]], [sides[1]], _schema(tuple(sides))))
        assert same_grouping(ids, _groups([*words, *words[::-1]]))


_VIEWS = [kind() for kind in (getattr(pa, "string_view", None), pa.string, pa.large_string) if kind]


@given(words=st.lists(st.one_of(st.none(), _WORDS), max_size=20), cut=st.integers(0, 20))
@pytest.mark.parametrize("kind", [*_VIEWS, "run-end encoded"], ids=str)
def test_keys_may_be_arrays_of_arrow(words, cut, kind):
    schema = KeySchema(columns=(KeyColumn(kind="string"),))
    if kind == "run-end encoded":
        array = pa.compute.run_end_encode(pa.array(words, pa.string()))
    else:
        array = pa.chunked_array([pa.array(words[:cut], kind), pa.array(words[cut:], kind)])
    series = pd.Series(words, dtype="str")
    there = series.notna().to_numpy()
    np.testing.assert_array_equal(
        encode_keys([array], schema)[0][there], encode_keys([series], schema)[0][there]
    )
    assert same_grouping(np.concatenate(key_ids([array], [series], schema)), _groups(words + words))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_times_in_arrow_are_those_of_pandas(unit, zone):
    times = pd.Series(pd.to_datetime(["1969-12-31 23:00", None, "2024-10-27 01:30"], utc=zone is not None))
    schema = KeySchema(columns=(KeyColumn(kind="datetime", unit="ns", tz_aware=zone is not None),))
    column = times.astype(pd.ArrowDtype(pa.timestamp(unit, zone)))
    (codes, null), (expected, _) = (
        encode_keys([column], schema),
        encode_keys([times.astype(f"datetime64[ns{', UTC' if zone else ''}]")], schema),
    )
    assert null.tolist() == [False, True, False]
    np.testing.assert_array_equal(codes[~null], expected[~null])
