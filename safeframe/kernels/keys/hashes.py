"""Hashes of strings and of arbitrary Python objects: equal values, equal hashes.

Covers: columns of dtype object whose values are not all strings. pandas
matches such keys as a dict does, so that ``1``, ``1.0`` and ``Decimal(1)`` are
one key, as are a ``Timedelta`` and the ``timedelta`` of that length, also within
a tuple; their hashes have to agree, in every process.
"""

from __future__ import annotations

import datetime
import enum
import ipaddress
import numbers
import uuid
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.errors import UnsupportedError
from safeframe.facts.keys import Codes
from safeframe.kernels.keys.mixing import mix64
from safeframe.kernels.keys.nulls import Nulls, if_any

_OBJECT_SALT = np.uint64(0x2545F4914F6CDD1D)
_MICROSECOND = datetime.timedelta(microseconds=1)
_LARGEST = 2**64
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
    return mix64(pd.util.hash_array(words, categorize=False))


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
        words = np.array([*map(key_text, uniques), ""], object)[:-1]
    except UnkeyedError as error:
        msg = f"The key column {series.name!r} has values of type {error}, whose hash may differ between processes."
        raise UnsupportedError(msg, hint=hint) from error
    hashes = word_hashes(words) if len(words) else np.empty(0, np.uint64)
    strings = np.fromiter((isinstance(value, str) for value in uniques), np.bool_, len(uniques))
    hashes = np.where(strings, hashes, hashes ^ _OBJECT_SALT)
    null = ids < 0
    if len(hashes) == 0:
        return np.zeros(len(ids), np.uint64), if_any(null)
    return hashes[ids], if_any(null)


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
        return _number_text(value)
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


def _number_text(value: Any) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    if value != value:
        return "\0nan"  # whose hash is that of the object
    if isinstance(value, complex):
        if value.imag != 0:
            return f"\0number {hash(value)}"
        value = value.real
    # Python's hash is the same for all types of numbers, and is not salted; but that of -1 is that of -2.
    whole = -_LARGEST < value < _LARGEST and value == int(value)
    return f"\0number {int(value) if whole else hash(value)}"


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
    since = datetime.timedelta(
        hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond
    )
    if offset is None:
        return f"\0clock {since // _MICROSECOND}"
    return f"\0zoned clock {(since - offset) // _MICROSECOND}"
