"""Columns of any type come back of staged files as they went in: pandas is the judge."""

from __future__ import annotations

import datetime
import decimal
import tempfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safeframe.engine.exchange.fetch import fetch, seal
from safeframe.engine.exchange.stage import stage_files

DATES = st.dates(datetime.date(1900, 1, 1), datetime.date(2100, 1, 1))
TIMES = st.datetimes(pd.Timestamp("1900-01-01").to_pydatetime(), pd.Timestamp("2100-01-01").to_pydatetime())
WORDS = st.sampled_from(["alpha", "be", "γάμμα", "", "delta delta delta"])
SMALL = st.integers(-100, 100)
WIDE = st.integers(-(2**63), 2**63 - 1)


def decimals(digits, places):
    most = 10**digits - 1
    # Made of a text: arithmetic would round to the context's 28 digits.
    return st.integers(-most, most).map(lambda value: decimal.Decimal(f"{value}e-{places}"))


ARROW_TYPES = [
    (pa.string(), st.text(max_size=20)),
    (pa.string(), WORDS),
    (pa.large_string(), st.text("abc", min_size=3, max_size=3)),
    (pa.binary(), st.binary(max_size=300)),
    (pa.large_binary(), WORDS.map(str.encode)),
    (pa.binary(4), st.binary(min_size=4, max_size=4)),
    (pa.decimal128(12, 2), decimals(12, 2)),
    (pa.decimal128(38, 0), st.one_of(decimals(38, 0), decimals(5, 0))),
    (pa.decimal256(50, 3), decimals(30, 3)),
    (pa.int64(), st.one_of(SMALL, WIDE)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.int8(), SMALL),
    (pa.float32(), st.floats(width=32, allow_nan=False)),
    (pa.bool_(), st.booleans()),
    (pa.date32(), DATES),
    (pa.timestamp("us", "Europe/Berlin"), TIMES.map(lambda time: time.replace(tzinfo=datetime.UTC))),
    (pa.time64("us"), st.times()),
    (pa.duration("ms"), st.integers(-(2**40), 2**40).map(lambda ms: datetime.timedelta(milliseconds=ms))),
    (pa.list_(pa.int32()), st.lists(SMALL, max_size=4)),
    (pa.struct([("a", pa.int64()), ("b", pa.string())]), st.fixed_dictionaries({"a": SMALL, "b": WORDS})),
    (pa.map_(pa.string(), pa.int8()), st.lists(st.tuples(WORDS, SMALL), max_size=3)),
    (pa.null(), st.none()),
    (pa.dictionary(pa.int8(), pa.string()), WORDS),
]
PANDAS_TYPES = [
    ("str", st.one_of(st.text(max_size=10), st.none())),
    ("str", WORDS),
    ("string[python]", st.one_of(WORDS, st.none())),
    ("Int64", st.one_of(SMALL, WIDE, st.none())),
    ("boolean", st.one_of(st.booleans(), st.none())),
    ("float64", st.floats(allow_nan=True)),
    ("int64", WIDE),
    ("category", st.one_of(WORDS, st.none())),
    ("object", st.one_of(WORDS, st.none(), SMALL, st.floats(allow_nan=False))),
    ("object", WORDS),
    ("datetime64[us]", TIMES),
]


@st.composite
def arrow_column(draw):
    kind, values = draw(st.sampled_from(ARROW_TYPES))
    rows = draw(st.lists(st.one_of(st.none(), values) if draw(st.booleans()) else values, max_size=60))
    return pd.Series(pd.array(pa.array(rows, kind), dtype=pd.ArrowDtype(kind)))


@st.composite
def pandas_column(draw):
    dtype, values = draw(st.sampled_from(PANDAS_TYPES))
    rows = draw(st.lists(values, max_size=60))
    return pd.Series(rows, dtype=dtype) if dtype != "object" else pd.Series([*rows], dtype=object)


class ByNumber:
    def __init__(self, numbers, n_shards):
        self.numbers, self.n_shards = numbers, n_shards

    def shards(self, frame, first_row):
        return self.numbers[first_row : first_row + len(frame)]


class Columns:
    with_index = False

    def __init__(self, frame):
        self.names, self.dtypes = list(frame), tuple(frame.dtypes)


@given(st.data(), st.lists(st.one_of(arrow_column(), pandas_column()), min_size=1, max_size=4))
@settings(deadline=None, max_examples=150)
def test_rows_come_back_as_they_went_in(data, columns):
    n = min(map(len, columns))
    frame = pd.DataFrame(
        {f"c{i}": column.iloc[:n].reset_index(drop=True) for i, column in enumerate(columns)}
    )
    n_shards = data.draw(st.integers(1, 4))
    numbers = np.array(data.draw(st.lists(st.integers(-1, n_shards - 1), min_size=n, max_size=n)), np.int64)
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=4)))
    parts = [frame.iloc[lo:hi] for lo, hi in zip([0, *cuts], [*cuts, n], strict=True)]
    held = data.draw(st.sampled_from([None, 1, 300]))
    with (
        tempfile.TemporaryDirectory() as directory,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr("safeframe.options.PIECE_NBYTES", data.draw(st.sampled_from([1, 50, 2**20])))
        made = [lambda part=part: part for part in parts]
        files = []
        at = 0
        # Two tasks.
        for task in (made[:2], made[2:]):
            rows = sum(len(make()) for make in task)
            router = ByNumber(numbers[at : at + rows], n_shards)
            files += stage_files(task, Columns(frame), router, f"{directory}/run", held)
            at += rows
        sealed = seal(files, tuple(frame.dtypes), n_shards)
        for shard in range(n_shards):
            expected = frame[numbers == shard].reset_index(drop=True)
            check(sealed, shard, None, expected)
            lo, hi = sorted(data.draw(st.lists(st.integers(0, len(expected)), min_size=2, max_size=2)))
            check(sealed, shard, [(lo, hi)], expected.iloc[lo:hi].reset_index(drop=True))


def check(sealed, shard, ranges, expected):
    block = fetch(sealed, shard, ranges)
    found = pd.DataFrame(
        {name: pd.Series(column, dtype=column.dtype) for name, column in zip(expected, block, strict=True)}
    )
    for name in expected:
        assert str(found[name].dtype) == str(expected[name].dtype) or expected[name].dtype == "category"
    pd.testing.assert_frame_equal(
        found.astype(dict.fromkeys(found.select_dtypes("category"), object)),
        expected.astype(dict.fromkeys(expected.select_dtypes("category"), object)),
    )
