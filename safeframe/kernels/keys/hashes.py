"""Hashes of arbitrary Python objects: equal values, equal hashes.

Covers: columns of dtype object whose values have no form in Arrow, as those of
several types. pandas matches such keys as a dict does, so that ``1``, ``1.0`` and
``Decimal(1)`` are one key, as are a ``Timedelta`` and the ``timedelta`` of that
length, also within a tuple; their hashes have to agree, in every process, and
with those of the same values in Arrow (``kernels.keys.arrow_values``).
"""

from __future__ import annotations

import datetime
import enum
import ipaddress
import math
import numbers
import uuid
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from safeframe.errors import UnsupportedError
from safeframe.facts.keys import Codes
from safeframe.kernels.keys.arrow_values import (
    BYTES_SALT,
    DATE_SALT,
    MODULUS,
    TIME_SALT,
    number_hashes,
)
from safeframe.kernels.keys.bytes_hash import bytes_hashes
from safeframe.kernels.keys.mixing import mix64
from safeframe.kernels.keys.nulls import Nulls, if_any

_TEXT_SALT = np.uint64(0x8CB92BA72F3D8DD7)
_MICROSECOND = datetime.timedelta(microseconds=1)
_LARGEST = 2**64
_EPOCH = datetime.date(1970, 1, 1).toordinal()
_ADDRESSES = (
    ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network, ipaddress.IPv6Network,
    ipaddress.IPv4Interface, ipaddress.IPv6Interface,
)  # fmt: skip


class UnkeyedError(Exception):
    """Equal values of a type may have different hashes in different processes; its name is the message."""


def word_hashes(words: npt.NDArray[np.object_]) -> Codes:
    """Hash strings: the same in every process.

    Examples
    --------
    >>> word_hashes(np.array(["a", "b", "a"], object))[[0, 2]] == word_hashes(np.array(["a"], object))
    array([ True,  True])
    """
    return bytes_hashes(pa.array(words, pa.large_string()))


def object_hashes(series: pd.Series[Any]) -> tuple[Codes, Nulls | None]:
    """Hash any values, equal ones to equal hashes.

    Notes
    -----
    Every distinct value is hashed in Python: slow where there are many.

    Raises
    ------
    UnsupportedError
        When values cannot be keys at all, as lists, or their hashes differ from
        process to process.
    """
    hint = "Turn them into strings or tuples first, as with .astype(str)."
    try:
        # Of a series the distinct values would be an index, which guesses a type.
        ids, uniques = pd.factorize(series.to_numpy(dtype=object), use_na_sentinel=True)
    except TypeError as error:
        msg = f"The key column {series.name!r} has values that cannot be compared as keys: {error}."
        raise UnsupportedError(msg, hint=hint) from error
    try:
        hashes = _value_hashes(uniques)
    except UnkeyedError as error:
        msg = f"The key column {series.name!r} has values of type {error}, whose hash may differ between processes."
        raise UnsupportedError(msg, hint=hint) from error
    null = ids < 0
    if len(hashes) == 0:
        return np.zeros(len(ids), np.uint64), if_any(null)
    return hashes[ids], if_any(null)


def _value_hashes(values: npt.NDArray[np.object_]) -> Codes:
    hashes = np.empty(len(values), np.uint64)
    kinds = np.fromiter(map(_kind_of, values), np.uint8, len(values))
    for kind, function in enumerate(_HASHES):
        some = np.flatnonzero(kinds == kind)
        if len(some):
            hashes[some] = function(values[some])
    return hashes


def _kind_of(value: Any) -> int:
    """Return which of :data:`_HASHES` takes a value."""
    if isinstance(value, str):
        return 0
    if isinstance(value, bytes):
        return 1
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return 5
    if isinstance(value, (numbers.Number, np.bool_)):
        return 2
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return 3
    return 4 if isinstance(value, datetime.time) and value.utcoffset() is None else 5


def _string_hashes(values: npt.NDArray[np.object_]) -> Codes:
    return word_hashes(np.array([_spelled(str.__str__(value)) for value in values], object))


def _bytes_hashes(values: npt.NDArray[np.object_]) -> Codes:
    return bytes_hashes(pa.array(values, pa.large_binary())) ^ BYTES_SALT


def _number_hashes(values: npt.NDArray[np.object_]) -> Codes:
    return number_hashes(np.fromiter(map(_residue, values), np.uint64, len(values)))


def _date_hashes(values: npt.NDArray[np.object_]) -> Codes:
    days = np.fromiter((value.toordinal() - _EPOCH for value in values), np.int64, len(values))
    return mix64(days.view(np.uint64) ^ DATE_SALT)


def _time_hashes(values: npt.NDArray[np.object_]) -> Codes:
    nanoseconds = np.fromiter((1000 * _microseconds(value) for value in values), np.uint64, len(values))
    return mix64(nanoseconds ^ TIME_SALT)


def _text_hashes(values: npt.NDArray[np.object_]) -> Codes:
    return word_hashes(np.array([*map(key_text, values), ""], object)[:-1]) ^ _TEXT_SALT


_HASHES = (_string_hashes, _bytes_hashes, _number_hashes, _date_hashes, _time_hashes, _text_hashes)


def key_text(value: Any) -> str:
    """Write a value so that equal ones read the same; strings as they are, as ``word_hashes`` takes them.

    Raises
    ------
    UnkeyedError
        When it, or a value in it, is of a type of which that is not known.

    Examples
    --------
    >>> key_text((1, 2.0)) == key_text((True, 2))
    True
    """
    if isinstance(value, str):
        return _spelled(str.__str__(value))
    if isinstance(value, bytes):
        return f"\0bytes {value.decode('latin-1')}"
    if value is None or value is pd.NaT or value is pd.NA:
        return f"\0{value}"
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return _scalar_text(value)
    if isinstance(value, (numbers.Number, np.bool_)):
        return f"\0number {_residue(value)}"
    if isinstance(value, enum.Enum):
        return f"\0enum {type(value).__module__} {type(value).__qualname__} {value.name}"
    if isinstance(value, datetime.datetime):
        return _time_text(value)
    if isinstance(value, datetime.timedelta):
        return f"\0span {value // _MICROSECOND} {getattr(value, 'nanoseconds', 0)}"
    if isinstance(value, datetime.time):
        return _time_of_day_text(value)
    if isinstance(value, (tuple, frozenset)):
        # With lengths, so that no text is that of other items.
        texts = [f"{len(text)} {text}" for text in map(key_text, value)]
        ordered = isinstance(value, tuple)
        return f"\0{'tuple' if ordered else 'set'} {''.join(texts if ordered else sorted(texts))}"
    if isinstance(value, pd.Interval):
        return f"\0interval {value.closed} {key_text((value.left, value.right))}"
    if isinstance(value, pd.Period):
        return f"\0period {value.freqstr} {value.ordinal}"
    if isinstance(value, (datetime.date, uuid.UUID, *_ADDRESSES)):
        return f"\0{type(value).__name__} {value}"
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    raise UnkeyedError(name)


def _spelled(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return repr(text)
    return text


def _residue(value: Any) -> int:
    """Return a number modulo 2⁶¹ − 1, as Python's own hash does: the same for all types, and not salted."""
    if isinstance(value, np.generic):
        value = value.item()
    if value != value:
        return MODULUS  # its hash is that of the object
    if isinstance(value, complex):
        if value.imag != 0:
            return hash(value) % MODULUS
        value = value.real
    if value in (math.inf, -math.inf):
        return MODULUS + (1 if value > 0 else 2)
    if -_LARGEST < value < _LARGEST and value == int(value):
        return int(value) % MODULUS
    found = hash(value)
    if found == -2:  # of what leaves -1, too
        numerator, denominator = value.as_integer_ratio()
        return int(numerator * pow(denominator, -1, MODULUS) % MODULUS)
    return found % MODULUS


def _scalar_text(value: np.datetime64 | np.timedelta64) -> str:
    if np.isnat(value):
        return "\0NaT"
    if isinstance(value, np.timedelta64) and np.datetime_data(value.dtype)[0] in "YM":
        return f"\0months {value.astype('m8[M]').astype(np.int64)}"
    try:
        return key_text(pd.Timestamp(value) if isinstance(value, np.datetime64) else pd.Timedelta(value))
    except ValueError:  # out of the bounds of these
        return f"\0{value.dtype.kind} {value}"


def _time_text(value: datetime.datetime) -> str:
    nanosecond = getattr(value, "nanosecond", 0)
    if isinstance(value, pd.Timestamp):
        try:
            value = value.to_pydatetime(warn=False)
        except ValueError:
            return f"\0time {value}"
    offset = value.utcoffset()
    naive = value.replace(tzinfo=None, fold=0)
    if offset is None:
        return f"\0time {naive.isoformat()} {nanosecond}"
    try:
        return f"\0moment {(naive - offset).isoformat()} {nanosecond}"
    except OverflowError:  # at the end of all years
        return "\0moment"


def _time_of_day_text(value: datetime.time) -> str:
    offset = value.utcoffset()
    if offset is None:
        return f"\0clock {_microseconds(value)}"
    return f"\0zoned clock {_microseconds(value) - offset // _MICROSECOND}"


def _microseconds(value: datetime.time) -> int:
    return (value.hour * 3600 + value.minute * 60 + value.second) * 1_000_000 + value.microsecond
