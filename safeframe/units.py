"""Bytes and counts as people write them, at the boundary of the library.

Covers: parsing ``"128MiB"``, printing bytes, rows, seconds, and values of users that may be long.
Does not cover: any arithmetic. Inside the library a size is an ``int`` of bytes
in a name that ends in ``_nbytes``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

from safeframe.errors import ValidationError

_UNITS = {
    "": 1,
    "b": 1,
    "k": 10**3,
    "kb": 10**3,
    "m": 10**6,
    "mb": 10**6,
    "g": 10**9,
    "gb": 10**9,
    "t": 10**12,
    "tb": 10**12,
    "p": 10**15,
    "pb": 10**15,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
    "pib": 2**50,
}
_BINARY = (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("B", 1))
_SIZE = re.compile(r"^\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([a-zA-Z]*)\s*$")


def parse_nbytes(size: Any, *, argument: str = "size", least: int = 1) -> int:
    """Turn ``"128MiB"`` or a number of bytes into an ``int`` of bytes.

    Parameters
    ----------
    size
        A string with a decimal (``"1GB"``) or binary (``"1GiB"``) unit, or bytes.
    argument
        What the user called it, for the error.
    least
        0 where no bytes are a size too, as in dask's settings.

    Returns
    -------
    int
        Bytes.

    Raises
    ------
    ValidationError
        When it cannot be read, or is less than ``least``.

    Examples
    --------
    >>> parse_nbytes("1.5 KiB")
    1536
    """
    hint = 'Write a size as "128MiB", "1GB" or an int of bytes.'
    known = isinstance(size, (str, int, float)) and not isinstance(size, bool)
    if not known or (isinstance(size, float) and not math.isfinite(size)):
        msg = f"{argument}={size!r} is not a size."
        raise ValidationError(msg, hint=hint)
    if isinstance(size, str):
        match = _SIZE.match(size)
        if match is None or match[2].lower() not in _UNITS:
            msg = f"{argument}={size!r} is not a size."
            raise ValidationError(msg, hint=hint)
        nbytes = int(float(match[1]) * _UNITS[match[2].lower()])
    else:
        nbytes = int(size)
    if nbytes < least:
        msg = f"{argument}={size!r} is not more than zero bytes."
        raise ValidationError(msg, hint=hint)
    return nbytes


def nbytes_unit(nbytes: float) -> tuple[str, int]:
    """Return the largest binary unit that keeps bytes above one, and how many it has.

    Examples
    --------
    >>> nbytes_unit(3 * 2**30)
    ('GiB', 1073741824)
    """
    return next(((unit, size) for unit, size in _BINARY if abs(nbytes) >= size), _BINARY[-1])


def format_nbytes(nbytes: float) -> str:
    """Print bytes in the largest binary unit that keeps them above one.

    Examples
    --------
    >>> format_nbytes(627_048_448)
    '598 MiB'
    >>> format_nbytes(6_400_000_000_000)
    '5.82 TiB'
    """
    unit, size = nbytes_unit(nbytes)
    return f"{int(nbytes)} B" if size == 1 else f"{_three_digits(nbytes / size)} {unit}"


def format_count(count: float) -> str:
    """Print a count in full, with thousands apart.

    Examples
    --------
    >>> format_count(99_998_704_311)
    '99,998,704,311'
    """
    return f"{int(count):,}"


def format_seconds(seconds: float) -> str:
    """Print a duration.

    Examples
    --------
    >>> format_seconds(7384)
    '2 h 3 min'
    >>> format_seconds(12.34)
    '12.3 s'
    """
    if seconds >= 3600:
        return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"
    if seconds >= 100:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{_three_digits(seconds)} s"


def shortened(text: str, longest: int) -> str:
    """Return a text, cut in the middle where it is longer than that.

    Examples
    --------
    >>> shortened("abcdefghij", 7)
    'abc…hij'
    """
    if len(text) <= longest:
        return text
    tail = (longest - 1) // 2
    return f"{text[: longest - 1 - tail]}…{text[len(text) - tail :]}"


def format_key(key: Any) -> str:
    """Print a key as code has it, in some 40 characters at most.

    Examples
    --------
    >>> format_key("a" * 10**6)
    "'aaaaaaaaaaaaaaaaaaa…aaaaaaaaaaaaaaaaaa'"
    """
    return shortened(repr(key), 40)


def format_names(names: Iterable[Any]) -> str:
    """Print names of columns, in some 60 characters at most; None is an index without a name.

    Examples
    --------
    >>> format_names(("item", None))
    'item, index'
    """
    return shortened(", ".join("index" if name is None else str(name) for name in names), 60)


def _three_digits(number: float) -> str:
    digits = 0 if abs(number) >= 100 else 1 if abs(number) >= 10 else 2
    text = f"{number:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
