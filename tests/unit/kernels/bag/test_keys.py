"""Keys of a bag: one where Python says so, and hashes that no process salts."""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import math
import os
import subprocess
import sys
import uuid
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import safeframe
from safeframe.kernels.bag.keys import key_hashes, number_keys


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    ONE = 1


class Word(str):
    __slots__ = ()


class Point(NamedTuple):
    x: object
    y: object


UTC = datetime.datetime(2024, 5, 1, 12, tzinfo=datetime.UTC)

EQUAL = {
    "numbers": [1, 1.0, True, 1 + 0j, np.int8(1), np.float32(1), np.True_, decimal.Decimal(1), fractions.Fraction(1), Level.ONE],
    "zero": [0, -0.0, 0.0, False],
    "large": [2**80, float(2**80), decimal.Decimal(2**80)],
    "halves": [0.5, np.float32(0.5), fractions.Fraction(1, 2)],
    "strings": ["a", Word("a"), np.str_("a")],
    "bytes": [b"a", np.bytes_(b"a")],
    "tuples": [(1, "a"), (1.0, "a"), (True, Word("a")), Point(1, "a")],
    "nested": [((1,), None), ((1.0,), None)],
    "sets": [frozenset({1, 2, "x"}), frozenset({"x", 2.0, 1})],
    "times": [UTC, UTC.astimezone(datetime.timezone(datetime.timedelta(hours=2))), pd.Timestamp(UTC)],
    "numpy times": [np.datetime64("2024-05-01"), np.datetime64("2024-05-01T00:00")],
    "spans": [datetime.timedelta(days=1), datetime.timedelta(hours=24), pd.Timedelta(days=1)],
    "enums": [Colour.RED, Colour(1)],
    "ids": [uuid.UUID(int=5), uuid.UUID(int=5)],
    "nan": [float("nan"), math.nan, np.float64("nan"), decimal.Decimal("nan"), np.float32("nan")],
    "nan within": [(float("nan"), 1), (np.nan, True)],
    "not a time": [np.datetime64("NaT"), np.datetime64("NaT", "s")],
}  # fmt: skip


@pytest.mark.parametrize("name", EQUAL)
def test_equal_keys_are_one_and_have_one_hash(name):
    keys = EQUAL[name]
    if hash(keys[0]) != hash(keys[1]) and name == "numpy times":
        pytest.skip("before numpy 2.2 equal times of different units have different hashes, as no key may")
    codes, uniques = number_keys(keys)
    assert codes.tolist() == [0] * len(keys)
    assert type(uniques[0]) is type(keys[0])
    # Each by itself, as in a partition of its own, and among keys of other kinds.
    alone = {int(key_hashes(number_keys([key])[1])[0]) for key in keys}
    mixed = {int(key_hashes(number_keys(["z", key, None, 77])[1])[1]) for key in keys}
    assert len(alone | mixed) == 1


def test_keys_that_differ():
    keys = [
        1,
        "1",
        b"1",
        (1,),
        None,
        2,
        "",
        b"",
        (),
        frozenset(),
        Colour.RED,
        math.nan,
        pd.NaT,
        pd.NA,
        "nan",
        "None",
    ]
    codes, _ = number_keys(keys)
    assert codes.tolist() == list(range(len(keys)))
    assert len(set(key_hashes(keys).tolist())) == len(keys)


@given(st.lists(st.one_of(st.integers(), st.floats(), st.text(), st.binary(), st.none(), st.booleans())))
def test_numbers_are_those_of_a_dict(keys):
    codes, uniques = number_keys(keys)
    settled = ["nan" if isinstance(key, float) and math.isnan(key) else (key,) for key in keys]
    expected = {key: number for number, key in enumerate(dict.fromkeys(settled))}
    assert codes.tolist() == [expected[key] for key in settled]
    assert len(uniques) == len(expected)


@given(st.lists(st.text(st.characters(exclude_categories=())), min_size=1))
def test_any_text_has_a_hash_of_its_own_company(words):
    _, uniques = number_keys(words)
    together = key_hashes(uniques).tolist()
    assert together == [int(key_hashes([word])[0]) for word in uniques]


def test_ints_beyond_64_bits():
    codes, uniques = number_keys([2**70, 5, 2**70])
    assert (codes.tolist(), uniques) == ([0, 1, 0], [2**70, 5])


def test_hashes_are_those_of_every_process():
    keys = [1, "é", b"x", ("a", None, 2.5), frozenset({"a", "b", "c"}), None]
    program = (
        "from safeframe.kernels.bag.keys import key_hashes; "
        "print(key_hashes([1, 'é', b'x', ('a', None, 2.5), frozenset({'a', 'b', 'c'}), None]).tolist())"
    )
    found = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": "123"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == str(key_hashes(keys).tolist())


def test_keys_without_a_hash():
    with pytest.raises(
        safeframe.SchemaMismatchError, match="cannot be hashed: unhashable type: 'list'"
    ) as info:
        number_keys([1, [2]])
    assert "Hint: " in str(info.value)


class Own:
    pass


def test_keys_whose_hash_is_of_this_process():
    with pytest.raises(
        safeframe.UnsupportedError, match=r"key returned a .*Own, whose hash may differ"
    ) as info:
        key_hashes([Own()])
    assert "a number, a string" in info.value.hint
