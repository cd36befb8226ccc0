"""One Python value as bytes, and back: the same value, of the same type.

A value is a byte that names its kind and what follows it. Only types of a
fixed list are written, each exactly (a subclass is another type), so that
reading runs no code of anyone's: staged bytes are never unpickled.

Covers: single values, those within tuples, lists, dicts, sets and arrays too.
"""

from __future__ import annotations

import datetime
import decimal
import struct
import uuid
import zoneinfo
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

TEXT, NAN = b"s", b"n"
"""Kinds that whole columns are of."""

_LENGTH = struct.Struct("<Q")
_FLOAT = struct.Struct("<d")
_COMPLEX = struct.Struct("<dd")
_PLAIN_NAN = _FLOAT.pack(np.nan)
_PLAIN_KINDS = "biufc"
_ARRAY_KINDS = "biufcmMSU"


class UnwritableError(Exception):
    """A value has a type that is not written; the type's name is the message."""


def write_value(value: Any) -> bytes:
    """Write a value.

    Raises
    ------
    UnwritableError
        When its type, or that of a value in it, is not of the list.

    Examples
    --------
    >>> read_value(write_value((1, 2.0, None, {"a": [b"b"]})))
    (1, 2.0, None, {'a': [b'b']})
    """
    kind = type(value)
    writer = _WRITERS.get(kind)
    if writer is not None:
        return writer(value)
    if issubclass(kind, np.generic) and kind.__module__ == "numpy":
        return _write_scalar(value)
    raise UnwritableError(_name(kind))


def read_value(data: bytes) -> Any:
    """Read what :func:`write_value` wrote."""
    return _READERS[data[:1]](data[1:])


def _name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


# Values in values -------------------------------------------------------------


def _items(values: Iterable[Any]) -> bytes:
    return b"".join([_LENGTH.pack(len(data)) + data for data in map(write_value, values)])


def _read_items(data: bytes) -> Iterator[Any]:
    at = 0
    while at < len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        yield read_value(data[at : at + length])
        at += length


def _read_list(data: bytes) -> list[Any]:
    items = tuple(_read_items(data))
    return [*items]  # of a length that is known, so that no room is taken for more


def _pairs(mapping: dict[Any, Any]) -> Iterator[Any]:
    for pair in mapping.items():
        yield from pair


def _read_dict(data: bytes) -> dict[Any, Any]:
    items = list(_read_items(data))
    return dict(zip(items[::2], items[1::2], strict=True))


# Numbers ----------------------------------------------------------------------


def _write_int(value: int) -> bytes:
    return b"i" + value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)


def _read_float(data: bytes) -> float:
    if data == _PLAIN_NAN:
        return np.nan  # the very object, which containers find by identity
    (value,) = _FLOAT.unpack(data)
    return float(value)


def _write_scalar(value: np.generic) -> bytes:
    if isinstance(value, np.str_):
        return b"w" + _write_text(str(value))
    if isinstance(value, np.bytes_):
        return b"y" + bytes(value)
    if value.dtype.kind in _PLAIN_KINDS:
        return b"g" + value.dtype.char.encode() + value.tobytes()  # type numbers: long and long long are two
    if value.dtype.kind in "mM":
        return b"h" + value.dtype.str.encode() + b"\0" + value.tobytes()
    raise UnwritableError(_name(type(value)))


def _read_time_scalar(data: bytes) -> Any:
    name, _, raw = data.partition(b"\0")
    return np.frombuffer(raw, np.dtype(name.decode()))[0]


def _write_array(array: np.ndarray[Any, Any]) -> bytes:
    shape = tuple(array.shape)
    if array.dtype == object:
        return b"O" + _items([shape, array.ravel().tolist()])
    if array.dtype.kind not in _ARRAY_KINDS:
        what = f"numpy.ndarray of {array.dtype}"
        raise UnwritableError(what)
    return b"a" + _items([array.dtype.str, shape, array.tobytes()])


def _read_array(data: bytes) -> np.ndarray[Any, Any]:
    name, shape, raw = _read_items(data)
    dtype = np.dtype(name)
    return np.frombuffer(raw, dtype).reshape(shape).copy() if raw else np.empty(shape, dtype)


def _read_object_array(data: bytes) -> np.ndarray[Any, Any]:
    shape, values = _read_items(data)
    array = np.empty(len(values), object)
    array[:] = values
    return array.reshape(shape)


# Text -------------------------------------------------------------------------


def _write_text(value: str) -> bytes:
    try:
        return TEXT + value.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which Arrow's strings cannot have
        return b"S" + value.encode("utf-8", "surrogatepass")


# Times ------------------------------------------------------------------------


def _write_zone(zone: datetime.tzinfo | None) -> bytes:
    if zone is None:
        return write_value(None)
    if type(zone) is datetime.timezone:
        offset = zone.utcoffset(None)
        name = zone.tzname(None)
        named = name != datetime.timezone(offset).tzname(None)
        return b"z" + _items([offset, *([name] if named else [])])
    if type(zone) is zoneinfo.ZoneInfo and zone.key is not None:
        return b"Z" + zone.key.encode()
    label = getattr(zone, "zone", None)
    if type(zone).__module__.partition(".")[0] == "pytz" and isinstance(label, str):
        return b"P" + label.encode()
    what = f"a time with a time zone of type {_name(type(zone))}"
    raise UnwritableError(what)


def _read_pytz(data: bytes) -> Any:
    import pytz  # type: ignore[import-untyped]  # pandas 2 has it, pandas 3 need not

    return pytz.timezone(data.decode())


def _zoned(head: bytes, zone: bytes, *data: bytes) -> bytes:
    return head + b"".join([_LENGTH.pack(len(part)) + part for part in (zone, *data)])


def _write_datetime(value: datetime.datetime) -> bytes:
    zone = _write_zone(value.tzinfo)
    if zone[:1] == b"P":  # whose zone depends on the time: there is no way but through UTC
        assert value.tzinfo is not None, "it has one"
        value = value.astimezone(datetime.UTC)
    text = value.replace(tzinfo=None, fold=0).isoformat()
    return _zoned(b"d", zone, write_value(text), write_value(value.fold))


def _read_datetime(data: bytes) -> datetime.datetime:
    zone, text, fold = _read_items(data)
    naive = datetime.datetime.fromisoformat(text)
    if zone is not None and type(zone).__module__.partition(".")[0] == "pytz":
        found: datetime.datetime = zone.fromutc(naive)
        return found
    return naive.replace(tzinfo=zone, fold=fold)


def _write_time(value: datetime.time) -> bytes:
    text = value.replace(tzinfo=None, fold=0).isoformat()
    return _zoned(b"t", _write_zone(value.tzinfo), write_value(text), write_value(value.fold))


def _read_time(data: bytes) -> datetime.time:
    zone, text, fold = _read_items(data)
    return datetime.time.fromisoformat(text).replace(tzinfo=zone, fold=fold)


def _write_timestamp(value: pd.Timestamp) -> bytes:
    return _zoned(b"T", _write_zone(value.tzinfo), write_value(value.to_datetime64()))


def _read_timestamp(data: bytes) -> pd.Timestamp:
    zone, time = _read_items(data)
    naive = pd.Timestamp(time)
    return naive if zone is None else naive.tz_localize("UTC").tz_convert(zone)


def _read_period(data: bytes) -> Any:
    ordinal, freq = _read_items(data)
    return pd.Period(ordinal=ordinal, freq=freq)


def _read_interval(data: bytes) -> Any:
    left, right, closed = _read_items(data)
    return pd.Interval(left, right, closed)


# The list ---------------------------------------------------------------------

_WRITERS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda value: b"0",
    type(pd.NaT): lambda value: b"1",
    type(pd.NA): lambda value: b"2",
    bool: lambda value: b"+" if value else b"-",
    int: _write_int,
    float: lambda value: NAN if value is np.nan else b"f" + _FLOAT.pack(value),
    complex: lambda value: b"c" + _COMPLEX.pack(value.real, value.imag),
    decimal.Decimal: lambda value: b"D" + str(value).encode(),
    str: _write_text,
    bytes: lambda value: b"b" + value,
    bytearray: lambda value: b"B" + bytes(value),
    uuid.UUID: lambda value: b"u" + value.bytes,
    datetime.date: lambda value: b"j" + value.isoformat().encode(),
    datetime.datetime: _write_datetime,
    datetime.time: _write_time,
    datetime.timedelta: lambda value: b"l" + _items([value.days, value.seconds, value.microseconds]),
    pd.Timestamp: _write_timestamp,
    pd.Timedelta: lambda value: b"L" + write_value(value.to_timedelta64()),
    pd.Period: lambda value: b"p" + _items([value.ordinal, value.freqstr]),
    pd.Interval: lambda value: b"I" + _items([value.left, value.right, value.closed]),
    tuple: lambda value: b"(" + _items(value),
    list: lambda value: b"[" + _items(value),
    set: lambda value: b"{" + _items(value),
    frozenset: lambda value: b"<" + _items(value),
    dict: lambda value: b":" + _items(_pairs(value)),
    np.ndarray: _write_array,
}

_READERS: dict[bytes, Callable[[bytes], Any]] = {
    b"0": lambda data: None,
    b"1": lambda data: pd.NaT,
    b"2": lambda data: pd.NA,
    b"+": lambda data: True,
    b"-": lambda data: False,
    b"i": lambda data: int.from_bytes(data, "little", signed=True),
    NAN: lambda data: np.nan,
    b"f": _read_float,
    b"c": lambda data: complex(*_COMPLEX.unpack(data)),
    b"D": lambda data: decimal.Decimal(data.decode()),
    TEXT: lambda data: data.decode(),
    b"S": lambda data: data.decode("utf-8", "surrogatepass"),
    b"b": lambda data: data,
    b"B": bytearray,
    b"u": lambda data: uuid.UUID(bytes=data),
    b"j": lambda data: datetime.date.fromisoformat(data.decode()),
    b"d": _read_datetime,
    b"t": _read_time,
    b"l": lambda data: datetime.timedelta(*_read_items(data)),
    b"z": lambda data: datetime.timezone(*_read_items(data)),
    b"Z": lambda data: zoneinfo.ZoneInfo(data.decode()),
    b"P": _read_pytz,
    b"T": _read_timestamp,
    b"L": lambda data: pd.Timedelta(read_value(data)),
    b"p": _read_period,
    b"I": _read_interval,
    b"(": lambda data: tuple(_read_items(data)),
    b"[": _read_list,
    b"{": lambda data: set(_read_items(data)),
    b"<": lambda data: frozenset(_read_items(data)),
    b":": _read_dict,
    b"a": _read_array,
    b"O": _read_object_array,
    b"w": lambda data: np.str_(read_value(data)),
    b"y": lambda data: np.bytes_(data),
    b"g": lambda data: np.frombuffer(data[1:], np.dtype(data[:1].decode()))[0],
    b"h": _read_time_scalar,
}
