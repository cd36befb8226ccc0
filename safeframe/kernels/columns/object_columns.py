"""Columns of Python objects in Arrow, and back as the very objects.

A column of strings is Arrow's own, ``None`` as null. Any other is written value
by value: Arrow would make floats of integers, arrays of lists, and give every
dict the keys of all.

Covers: a column of dtype object as one Arrow array, and such arrays joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from safeframe.errors import UnsupportedError
from safeframe.kernels.columns.objects import NAN, TEXT, UnwritableError, read_value, write_value

Objects = npt.NDArray[np.object_]

_STRING, _BINARY = pa.large_string(), pa.large_binary()
_WORDS = frozenset({str, type(None)})
_WORDS_WITH_NAN = frozenset({*_WORDS, float})


def objects_to_arrow(series: pd.Series[Any]) -> pa.Array:
    """Return a column of strings as strings, and any other as :func:`written_objects` does.

    Raises
    ------
    UnsupportedError
        When a value has a type that cannot be written.

    Examples
    --------
    >>> column = pd.Series(["a", None], dtype=object)
    >>> objects_to_arrow(column).to_pylist()
    ['a', None]
    >>> objects_from_arrow([objects_to_arrow(pd.Series([1, None, (2.0,)], dtype=object))]).tolist()
    [1, None, (2.0,)]
    """
    if set(map(type, series.to_numpy())) <= _WORDS:
        words = _strings_or_none(series)
        if words is not None:
            return words
    return written_objects(series)


def written_objects(series: pd.Series[Any]) -> pa.Array:
    """Return a column whose values are all written as bytes, ``None`` as null.

    Raises
    ------
    UnsupportedError
        When a value has a type that cannot be written.
    """
    values: Objects = series.to_numpy()
    if set(map(type, values)) <= _WORDS_WITH_NAN:
        words = _strings_or_none(series)
        if words is not None:
            nan = np.zeros(len(values), np.bool_)
            null = np.flatnonzero(words.is_null().to_numpy(zero_copy_only=False))
            nan[null] = [value is not None for value in values[null]]
            written = _marked(words)
            return pc.if_else(nan, pa.scalar(NAN, _BINARY), written) if nan.any() else written
    try:
        return pa.array([None if value is None else write_value(value) for value in values], _BINARY)
    except UnwritableError as error:
        raise _unsupported(series.name, str(error)) from error
    except RecursionError as error:
        raise _unsupported(series.name, "values nested too deep") from error


def unwritable_objects(series: pd.Series[Any], rows: int) -> str:
    """Name a type among some values of a column that cannot be written; empty where there is none."""
    sample = series.iloc[:: max(1, len(series) // rows)] if rows else series
    for value in sample.to_numpy():
        try:
            write_value(value)
        except UnwritableError as error:
            return str(error)
        except RecursionError:
            return "values nested too deep"
    return ""


def same_form(arrays: Sequence[pa.Array]) -> list[pa.Array]:
    """Cast columns of objects to one Arrow type, strings to written ones where there are both."""
    if len({array.type for array in arrays}) == 1:
        return list(arrays)
    return [_marked(array) if array.type == _STRING else array for array in arrays]


def objects_from_arrow(arrays: Sequence[pa.Array]) -> Objects:
    """Return the objects of columns, one after the other."""
    return np.concatenate([np.empty(0, object), *map(_objects, arrays)])


def _objects(array: pa.Array) -> Objects:
    if array.type == _STRING:
        return np.asarray(array.to_numpy(zero_copy_only=False), object)
    values: Objects = np.empty(len(array), object)  # of None
    kinds = pc.binary_slice(array, 0, 1)
    words = _where(pc.equal(kinds, TEXT))
    if words.any():
        # binary_slice(…, 1) of Arrow 26 fails where a value ends there.
        texts = pc.binary_replace_slice(array.filter(pa.array(words)), 0, 1, b"").cast(_STRING)
        values[words] = texts.to_numpy(zero_copy_only=False)
    values[_where(pc.equal(kinds, NAN))] = np.nan
    others = np.flatnonzero(~words & _where(pc.is_valid(array)) & ~_where(pc.equal(kinds, NAN)))
    for at, data in zip(others.tolist(), array.take(pa.array(others)).to_pylist(), strict=True):
        values[at] = read_value(data)
    return values


def _where(mask: pa.Array) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = pc.fill_null(mask, fill_value=False).to_numpy(zero_copy_only=False)
    return found


def _strings_or_none(series: pd.Series[Any]) -> pa.Array | None:
    """Return strings; None where there are other values, or strings that are no text."""
    try:
        words = pa.array(series.to_numpy(), _STRING, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
        return None
    return words.combine_chunks() if isinstance(words, pa.ChunkedArray) else words


def _marked(words: pa.Array) -> pa.Array:
    """Return strings as written values."""
    return pc.binary_replace_slice(words.cast(_BINARY), 0, 0, TEXT)  # a quarter of the time of binary_join


def _unsupported(name: Any, what: str) -> UnsupportedError:
    msg = (
        f"Column {name!r} is of dtype object and holds {what}, which cannot be staged and restored unchanged."
    )
    hint = "Cast the column to one type (str, float, …) before the recipe, or drop it."
    return UnsupportedError(msg, hint=hint)
