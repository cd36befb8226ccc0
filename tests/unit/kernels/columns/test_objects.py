"""Python values as bytes, and back: the same value, of the same type, without running anyone's code."""

# ruff: noqa: DTZ001, FBT003 -- times without a zone, and booleans of numpy, are values as well

from __future__ import annotations

import collections
import datetime as dt
import decimal
import enum
import types
import uuid
import zoneinfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from safeframe.kernels.columns.objects import UnwritableError, read_value, write_value
from tests.property.objects import identical, values

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
VALUES = [
    None, np.nan, pd.NaT, pd.NA, 0, -1, 127, 128, 255, -128, -129, 2**70, -(2**70), True, False, 1.5, -0.0, float("inf"),
    decimal.Decimal("1E+5"), decimal.Decimal("-0.00"), decimal.Decimal("NaN"), decimal.Decimal("sNaN"), 1j, complex(0, -0.0),
    "", "a", "\ud800", b"", b"\0a\0", bytearray(b"x"),
    np.int8(3), np.longlong(4), np.int64(4), np.uint64(2**64 - 1), np.float16(1.5), np.longdouble(1) / 3, np.bool_(True),
    np.str_(""), np.str_("ab"), np.bytes_(b"a\0"), np.complex64(1j), np.float64("nan"),
    np.datetime64("2020-01-01"), np.datetime64("NaT"), np.timedelta64(5, "ns"),
    dt.date(2020, 1, 1), dt.datetime(2020, 1, 1, 5, 0, 0, 1), dt.datetime(2020, 10, 25, 2, 30, tzinfo=BERLIN, fold=1),
    dt.datetime(2020, 3, 29, 2, 30, tzinfo=BERLIN), dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
    dt.datetime(2020, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=2), "X")), dt.datetime(1, 1, 1, tzinfo=BERLIN),
    dt.time(1, 2, 3, 4), dt.time(1, tzinfo=dt.UTC), dt.time(2, fold=1), dt.timedelta(-1, 5, 7),
    pd.Timestamp("2020-01-01"), pd.Timestamp(1, unit="ns"), pd.Timestamp("3000-01-01").as_unit("s"),
    pd.Timestamp("2020-10-25 02:30", tz="UTC").tz_convert(BERLIN), pd.Timestamp("2020", tz="UTC"),
    pd.Timedelta(5, "ns"), pd.Timedelta(days=1), pd.Timedelta(days=1).as_unit("s"), pd.Period("2020-01", "M"),
    pd.Interval(0, 1.5, "left"), pd.Interval(pd.Timestamp("2020"), pd.Timestamp("2021")), uuid.UUID(int=5),
    (), (1, (2.0, None)), [], [[1], {"a": (1,)}], {1, 2}, frozenset("ab"), {}, {"b": 1, "a": [np.nan], 2: {}},
    np.array([1, 2]), np.array([[1.5]], ">f8"), np.array([], "int8"), np.zeros((0, 3)), np.array(5),
    np.array([[1, "a"], [None, 2.5]], object), np.array(["a", "bcd"]), np.array([b"a"]), np.array(["2020"], "M8[D]"),
    np.empty((2, 0), object),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_comes_back_as_it_was(value):
    assert identical(read_value(write_value(value)), value)


@given(values)
def test_any_value_comes_back_as_it_was(value):
    assert identical(read_value(write_value(value)), value)


class Word(str):
    __slots__ = ()


class Colour(enum.Enum):
    RED = 1


Point = collections.namedtuple("Point", "x y")  # noqa: PYI024 -- a subclass of tuple is the point


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Word("a"), "Word"),
        (Colour.RED, "Colour"),
        (Point(1, 2), "Point"),
        (collections.OrderedDict(a=1), "OrderedDict"),
        ([1, (Word("a"),)], "Word"),
        ({"a": types.SimpleNamespace()}, "SimpleNamespace"),
        (len, "builtin_function_or_method"),
        (np.array([(1, 2.0)], "i4,f8"), "numpy.ndarray"),
        (np.void(b"a"), "numpy.void"),
        (np.array([Word("a")], object), "Word"),
        (dt.datetime(2020, 1, 1, tzinfo=type("Mine", (dt.tzinfo,), {})()), "time zone of type .*Mine"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else type(value).__name__,
)
def test_a_value_of_another_type_is_refused_by_the_name_of_its_type(value, named):
    with pytest.raises(UnwritableError, match=named):
        write_value(value)
