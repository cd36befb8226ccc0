"""Hashes of strings and of arbitrary Python objects: equal values, equal hashes.

Covers: columns of dtype object whose values are not all strings. pandas
matches such keys by ``==``, so that ``1``, ``1.0`` and ``Decimal(1)`` are one
key, and their hashes have to agree.
"""

from __future__ import annotations

import datetime
import numbers
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.errors import UnsupportedError
from safeframe.facts.keys import Codes
from safeframe.kernels.mixing import mix64

__all__ = ["Nulls", "key_text", "object_hashes", "word_hashes"]

Nulls = npt.NDArray[np.bool_]
"""True where a key is null."""


def word_hashes(words: npt.NDArray[np.object_]) -> Codes:
    """Hash strings: the same in every process.

    Examples
    --------
    >>> word_hashes(np.array(["a", "b", "a"], object))[[0, 2]] == word_hashes(np.array(["a"], object))
    array([ True,  True])
    """
    return mix64(pd.util.hash_array(words, categorize=False))


def object_hashes(series: pd.Series[Any]) -> tuple[Codes, Nulls | None]:
    """Hash any values, equal ones alike.

    Notes
    -----
    Every distinct value is looked at in Python: slow where there are many.

    Raises
    ------
    UnsupportedError
        When values cannot be keys at all, as lists.
    """
    try:
        ids, uniques = pd.factorize(series.astype(object), use_na_sentinel=True)
    except TypeError as error:
        msg = f"The key column {series.name!r} has values that cannot be compared as keys: {error}."
        raise UnsupportedError(
            msg, hint="Turn them into strings or tuples first, as with .astype(str)."
        ) from error
    words = np.array([key_text(value) for value in uniques], object)
    hashes = word_hashes(words) if len(words) else np.empty(0, np.uint64)
    null = ids < 0
    if len(hashes) == 0:
        return np.zeros(len(ids), np.uint64), null if null.any() else None
    return hashes[ids], null if null.any() else None


def key_text(value: Any) -> str:
    """Write a value so that equal ones read alike; strings as they are, as ``word_hashes`` takes them."""
    if isinstance(value, str):
        return value
    if isinstance(value, numbers.Number):
        return f"\0number {hash(value)}"  # Python's hash agrees across number types and is not salted
    if isinstance(value, tuple):
        return "\0tuple " + "\0".join(key_text(item) for item in value)
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        value = value.astimezone(datetime.UTC)
    return (
        f"\0{type(value).__module__.split('.')[0]} {value}"
        if not isinstance(value, datetime.date)
        else f"\0time {value}"
    )
