"""Thrift's compact protocol, as far as parquet's page headers and footers need it.

Covers: writing structs of integers, bytes, structs and lists; taking a struct
apart into its fields without reading what is in them, or reading all of it.
Does not cover: maps, doubles.

Source: the Apache Thrift specification, ``thrift-compact-protocol.md``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

I32, I64, BINARY, LIST, STRUCT = 5, 6, 8, 9, 12
"""Field types."""

Field = tuple[int, int, bytes]
"""A field: its number, its type and its value as it is written."""

_VARINTS = (4, 5, 6)
_DEPTH = 32
"""Structs and lists within each other; parquet's own are six."""
_BITS = 64
_SHORT = [bytes([value]) for value in range(0x80)]
_HEADS = [bytes([value]) for value in range(0x100)]


class DamagedBytesError(ValueError):
    """Bytes are not what the protocol has."""


class EndOfBytesError(DamagedBytesError):
    """Bytes end before what they begin does."""


def varint(value: int) -> bytes:
    r"""Write an unsigned integer, seven bits a byte.

    Examples
    --------
    >>> varint(300)
    b'\xac\x02'
    """
    if value < 0x80:
        return _SHORT[value]
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def integer(value: int) -> bytes:
    """Write a signed integer, as both widths of integers are."""
    return varint(value << 1 if value >= 0 else (-value << 1) - 1)


def binary(value: bytes) -> bytes:
    """Write bytes, or text as UTF-8."""
    return varint(len(value)) + value


def list_of(kind: int, values: list[bytes]) -> bytes:
    """Write a list of values of one type."""
    size = len(values)
    head = bytes([size << 4 | kind]) if size < 15 else bytes([0xF0 | kind]) + varint(size)
    return head + b"".join(values)


def struct(fields: Iterable[Field]) -> bytes:
    r"""Write a struct of fields in ascending order.

    Examples
    --------
    >>> struct([(1, I32, integer(2)), (20, BINARY, binary(b"x"))])
    b'\x15\x04\x08(\x01x\x00'
    """
    out = []
    before = 0
    for number, kind, value in fields:
        step = number - before
        out.append(_HEADS[step << 4 | kind] if 0 < step < 16 else _HEADS[kind] + integer(number))
        out.append(value)
        before = number
    return b"".join(out) + b"\0"


def split_struct(buffer: bytes, at: int = 0) -> list[Field]:
    r"""Parse a struct.

    Examples
    --------
    >>> split_struct(struct([(1, I32, integer(2)), (20, BINARY, binary(b"x"))]))
    [(1, 5, b'\x04'), (20, 8, b'\x01x')]
    """
    fields = []
    number = 0
    while _byte(buffer, at):
        number, kind, at = _read_head(buffer, at, number)
        end = _skip(buffer, at, kind)
        fields.append((number, kind, buffer[at:end]))
        at = end
    return fields


def read_struct(buffer: bytes) -> dict[int, Any]:
    r"""Read a struct, and all that is in it: by field an integer, a boolean, bytes, a list, or a struct again.

    Examples
    --------
    >>> read_struct(struct([(1, I32, integer(-2)), (3, LIST, list_of(BINARY, [binary(b"x")]))]))
    {1: -2, 3: [b'x']}
    """
    return read_fields(buffer, 0)[0]


def _read_head(buffer: bytes, at: int, before: int) -> tuple[int, int, int]:
    """Return the number of a field, its type, and where its value is; ``before`` is the number of the field before it."""
    head = _byte(buffer, at)
    kind, step = head & 0x0F, head >> 4
    if step:
        return before + step, kind, at + 1
    coded, at = read_varint(buffer, at + 1)
    return signed(coded), kind, at


def read_fields(buffer: bytes, at: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """Read a struct as :func:`read_struct` does; return where the next byte is, too.

    Raises
    ------
    DamagedBytesError
        When there is none.
    """
    fields: dict[int, Any] = {}
    number = 0
    while _byte(buffer, at):
        number, kind, at = _read_head(buffer, at, number)
        if kind in (1, 2):
            fields[number] = kind == 1
        else:
            fields[number], at = _read_value(buffer, at, kind, depth + 1)
    return fields, at + 1


def _byte(buffer: bytes, at: int) -> int:
    if at >= len(buffer):
        msg = f"bytes end at {len(buffer)}, within a struct"
        raise EndOfBytesError(msg)
    return buffer[at]


def _end(buffer: bytes, at: int, nbytes: int) -> int:
    """Return where so many bytes from a place on end."""
    if at + nbytes > len(buffer):
        msg = f"{nbytes} bytes are said to be at {at} of {len(buffer)}"
        raise EndOfBytesError(msg)
    return at + nbytes


def _check_depth(depth: int) -> None:
    if depth > _DEPTH:
        msg = f"structs are more than {_DEPTH} deep"
        raise DamagedBytesError(msg)


def _list_head(buffer: bytes, at: int) -> tuple[int, int, int]:
    """Return how many values a list has, their type, and where the first one is."""
    head, at = _byte(buffer, at), at + 1
    size = head >> 4
    if size == 15:
        size, at = read_varint(buffer, at)
    return size, head & 0x0F, at


def _read_value(buffer: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    _check_depth(depth)
    if kind in _VARINTS:
        coded, at = read_varint(buffer, at)
        return signed(coded), at
    if kind == BINARY:
        length, at = read_varint(buffer, at)
        end = _end(buffer, at, length)
        return buffer[at:end], end
    if kind == STRUCT:
        return read_fields(buffer, at, depth)
    if kind in (LIST, 10):
        size, of, at = _list_head(buffer, at)
        values = []
        for _ in range(size):
            value, at = _read_value(buffer, at, of, depth + 1)
            values.append(value)
        return values, at
    end = _skip(buffer, at, kind, depth, in_list=True)
    return buffer[at:end], end


def signed(coded: int) -> int:
    """Return the integer that a zigzag number stands for."""
    return coded >> 1 if coded & 1 == 0 else -(coded >> 1) - 1


def read_varint(buffer: bytes, at: int) -> tuple[int, int]:
    """Read a number of up to 64 bits; return it and where the next byte is."""
    value = 0
    for shift in range(0, _BITS, 7):
        byte = _byte(buffer, at)
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    msg = f"a number at {at} has more than {_BITS} bits"
    raise DamagedBytesError(msg)


def _skip(buffer: bytes, at: int, kind: int, depth: int = 0, *, in_list: bool = False) -> int:
    """Find the end of a value."""
    _check_depth(depth)
    if kind in (1, 2):  # a boolean is part of its field's head, and a byte of its own in a list
        return _end(buffer, at, 1) if in_list else at
    if kind == 3:
        return _end(buffer, at, 1)
    if kind in _VARINTS:
        return read_varint(buffer, at)[1]
    if kind == BINARY:
        length, at = read_varint(buffer, at)
        return _end(buffer, at, length)
    if kind in (LIST, 10):
        size, of, at = _list_head(buffer, at)
        for _ in range(size):
            at = _skip(buffer, at, of, depth + 1, in_list=True)
        return at
    if kind != STRUCT:
        msg = f"parquet has no values of type {kind}"
        raise DamagedBytesError(msg)
    while head := _byte(buffer, at):
        at += 1
        if not head >> 4:
            at = read_varint(buffer, at)[1]
        at = _skip(buffer, at, head & 0x0F, depth + 1)
    return at + 1
