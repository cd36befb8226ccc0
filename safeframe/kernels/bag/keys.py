"""Keys of a bag: which of them are one, and a hash that is the same in every process.

Keys are one where a dict holds them to be one: ``1``, ``1.0``, ``True`` and
``numpy.int64(1)`` are, ``"a"`` and ``b"a"`` are not. Every NaN is one key, also
within a tuple, though Python holds it to differ from itself.

Covers: numbering keys, their hashes, refusing those that have none.
"""

from __future__ import annotations

import enum
import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.errors import SchemaMismatchError, UnsupportedError
from safeframe.kernels.keys.hashes import UnkeyedError, key_text, word_hashes

_NAN = math.nan
_NAT = np.datetime64("NaT")
_PLAIN = frozenset({int, str, bytes, bool, type(None)})
"""Types of keys that are equal to themselves."""
_BYTES_SALT = np.uint64(0x5851F42D4C957F2D)


def number_keys(keys: Sequence[Any]) -> tuple[npt.NDArray[np.int64], list[Any]]:
    """Number distinct keys in the order in which they come first.

    Returns
    -------
    numpy.ndarray
        The number of each key.
    list
        The distinct keys, by number.

    Raises
    ------
    SchemaMismatchError
        When a key cannot be hashed.

    Examples
    --------
    >>> number_keys(["b", 1, True, "b", float("nan"), float("nan")])
    (array([0, 1, 1, 0, 2, 2]), ['b', 1, nan])
    """
    if keys and type(keys[0]) is int and set(map(type, keys)) == {int}:
        try:
            codes, numbers = pd.factorize(np.fromiter(keys, np.int64, len(keys)))
        except OverflowError:
            pass
        else:
            return codes.astype(np.int64, copy=False), numbers.tolist()
    try:
        uniques = list(dict.fromkeys(keys))
    except TypeError as error:
        msg = f"key returned a value that cannot be hashed: {error}."
        raise SchemaMismatchError(msg, hint="Return a number, a string, or a tuple of these.") from error
    codes = _numbers_of(keys, uniques)
    settled = _settled(uniques)
    if settled is uniques:
        return codes, uniques
    merged = list(dict.fromkeys(settled))
    return _numbers_of(settled, merged)[codes], merged


def key_hashes(uniques: Sequence[Any]) -> npt.NDArray[np.uint64]:
    """Hash distinct keys: the same in every process, and for keys that are one.

    Parameters
    ----------
    uniques
        Keys, as :func:`number_keys` returns them.

    Raises
    ------
    UnsupportedError
        When a key is of a type whose equal values may differ in every process.

    Examples
    --------
    >>> one, other = key_hashes([1, "a"]), key_hashes([1.0, b"a"])
    >>> one == other
    array([ True, False])
    """
    kinds = {kind: _hashed_as(kind) for kind in set(map(type, uniques))}
    if len(set(kinds.values())) == 1:
        return _HASHES[next(iter(kinds.values()))](uniques)
    hashes = np.empty(len(uniques), np.uint64)
    ways = np.array([kinds[kind] for kind in map(type, uniques)], object)
    for way, function in _HASHES.items():
        places = np.flatnonzero(ways == way)
        if len(places):
            hashes[places] = function([uniques[i] for i in places.tolist()])
    return hashes


def _numbers_of(keys: Sequence[Any], uniques: Sequence[Any]) -> npt.NDArray[np.int64]:
    numbered = dict(zip(uniques, range(len(uniques)), strict=True))
    return np.fromiter(map(numbered.__getitem__, keys), np.int64, len(keys))


def _settled(uniques: list[Any]) -> list[Any]:
    """Make all NaNs one object; the list itself where there is none."""
    kinds = set(map(type, uniques))
    if kinds <= _PLAIN:
        return uniques
    if kinds == {float}:
        nans = np.isnan(np.array(uniques, np.float64))
        if not nans.any():
            return uniques
    return [_settle(key) for key in uniques]


def _settle(key: Any) -> Any:
    if isinstance(key, tuple):
        parts = [_settle(part) for part in key]
        if all(new is old for new, old in zip(parts, key, strict=True)):
            return key
        # Named tuples have no class in common that could be tested for.
        return key._make(parts) if hasattr(key, "_make") else tuple(parts)
    if isinstance(key, frozenset):
        return frozenset(map(_settle, key))
    if isinstance(key, (np.datetime64, np.timedelta64)):
        return _NAT if np.isnat(key) else key
    return _NAN if isinstance(key, numbers.Number) and key != key else key


def _hashed_as(kind: type) -> str:
    if issubclass(kind, (np.timedelta64, enum.Enum)) and not issubclass(kind, (str, int)):
        return "text"
    if issubclass(kind, (numbers.Number, np.bool_)):
        return "number"
    return "string" if issubclass(kind, str) else "bytes" if issubclass(kind, bytes) else "text"


def _number_hashes(keys: Sequence[Any]) -> npt.NDArray[np.uint64]:
    # Python's own hash agrees across the types of numbers, and is not salted; but for that of NaN.
    hashes = np.fromiter(map(hash, keys), np.int64, len(keys)).view(np.uint64)
    nans = [i for i, key in enumerate(keys) if key is _NAN] if float in set(map(type, keys)) else []
    hashes[nans] = np.uint64(2**63)
    return hashes


def _string_hashes(keys: Sequence[Any]) -> npt.NDArray[np.uint64]:
    try:
        return word_hashes(np.array(keys, object))
    except UnicodeEncodeError:  # half a surrogate pair
        spelled = [key.encode("utf-8", "surrogatepass").decode("latin-1") for key in keys]
        valid = np.array([_encodable(key) for key in keys], np.bool_)
        words = np.array(
            [key if ok else text for key, text, ok in zip(keys, spelled, valid, strict=True)], object
        )
        return word_hashes(words)


def _encodable(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True


def _bytes_hashes(keys: Sequence[Any]) -> npt.NDArray[np.uint64]:
    return word_hashes(np.array([key.decode("latin-1") for key in keys], object)) ^ _BYTES_SALT


def _text_hashes(keys: Sequence[Any]) -> npt.NDArray[np.uint64]:
    return word_hashes(np.array([_text(key) for key in keys], object))


_HASHES = {
    "number": _number_hashes,
    "string": _string_hashes,
    "bytes": _bytes_hashes,
    "text": _text_hashes,
}


def _text(key: Any) -> str:
    """Write a key as text, the same for equal keys, and say of those that have no such writing that they have none."""
    try:
        return key_text(key)
    except UnkeyedError as error:
        msg = f"key returned a {error}, whose hash may differ between processes."
        hint = "Return a number, a string, bytes, a date or time, None, or a tuple or frozenset of these."
        raise UnsupportedError(msg, hint=hint) from error
