"""Numbers of groups: which rows have the same keys.

Covers: keys of any types, numbered by the first row of each.
Does not cover: rows that are in no group (``kernels.keys.nulls.any_null``); nulls are values here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from safeframe.kernels.columns.arrow_dictionaries import is_dictionary

Numbers = npt.NDArray[np.int64]
Ids = npt.NDArray[np.integer[Any]]

_TABLE_ROWS = 4
"""A table of ids has at most as many places as this times the rows."""
_AT_ONCE = 2**15
"""Rows whose ids are looked at together: they stay in a core's cache."""
_ROWS_OF_A_KEY = 8
"""Rows for each key, from which on it pays to number rows before anything is done with their keys."""


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of rows, in the order of their first rows."""

    numbers: Numbers
    """The number of each row's group, from zero on."""
    firsts: Numbers
    """The first row of each group."""

    @property
    def n_groups(self) -> int:
        """How many groups there are."""
        return len(self.firsts)

    @cached_property
    def counts(self) -> Numbers:
        """How many rows each group has."""
        return np.bincount(self.numbers, minlength=self.n_groups)

    @cached_property
    def keys(self) -> Any:
        """What pandas groups by without numbering again."""
        return pd.Categorical.from_codes(self.numbers, categories=pd.RangeIndex(self.n_groups))

    def first(self, where: npt.NDArray[np.bool_] | None) -> Numbers:
        """Return the first row of each group of which something is true; -1 where there is none."""
        return self.firsts if where is None else self._assigned(np.flatnonzero(where)[::-1])

    def last(self, where: npt.NDArray[np.bool_] | None) -> Numbers:
        """Return the last row of each group of which something is true; -1 where there is none."""
        return self._assigned(np.arange(len(self.numbers)) if where is None else np.flatnonzero(where))

    def _assigned(self, rows: Numbers) -> Numbers:
        """Return of each group the last of the rows that are named."""
        found = np.full(self.n_groups, -1, np.int64)
        found[self.numbers[rows]] = rows  # numpy keeps what is assigned last
        return found


def numbered_by_place(columns: Sequence[pd.Series[Any]]) -> Groups | None:
    """Number rows as :func:`numbered` does where they have few keys that are numbers already; None where they are not.

    Examples
    --------
    >>> numbered_by_place([pd.Series([7, 5, *[7] * 30], dtype="category")]).firsts
    array([0, 1])
    >>> numbered_by_place([pd.Series([0.5])]) is None
    True
    """
    n_rows = len(columns[0])
    ids, n_ids = _ids_by_place(columns[0]) or (np.zeros(0, np.int64), n_rows)
    if n_ids * _ROWS_OF_A_KEY > n_rows:
        return None
    for column in columns[1:]:
        found = _ids_by_place(column)
        if found is None or n_ids * found[1] * _ROWS_OF_A_KEY > n_rows:
            return None
        ids, n_ids = _combined(ids, n_ids, *found)
    return _by_appearance(ids, n_ids)


def numbered(columns: Sequence[pd.Series[Any]]) -> Groups:
    """Number the rows of a frame by its keys, as pandas tells keys apart.

    Examples
    --------
    >>> groups = numbered([pd.Series([7, 5, 7]), pd.Series(["a", "b", "a"])])
    >>> groups.numbers, groups.firsts
    (array([0, 1, 0]), array([0, 1]))
    """
    ids, n_ids, by_appearance = _column_ids(columns[0])
    if by_appearance and len(columns) == 1:
        return _of_numbers(np.asarray(ids, np.int64))
    for column in columns[1:]:
        others, n_others, _ = _column_ids(column)
        if n_ids * n_others >= 2**62:
            groups = _by_appearance(ids, n_ids)
            ids, n_ids = groups.numbers, groups.n_groups
        ids, n_ids = _combined(ids, n_ids, others, n_others)
    return _by_appearance(ids, n_ids)


def _column_ids(column: pd.Series[Any]) -> tuple[Ids, int, bool]:
    """Return numbers below a bound that are equal where the values are, and whether they are by appearance."""
    by_place = _ids_by_place(column)
    if by_place is not None:
        return *by_place, False
    ids, uniques = pd.factorize(_in_one_chunk(column), use_na_sentinel=False)
    return np.asarray(ids, np.int64), len(uniques), True


def _in_one_chunk(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column of Arrow's in one array: pandas numbers no nulls of several."""
    dtype: Any = column.dtype
    if is_dictionary(dtype):
        # Of these pandas 2 numbers nulls as some value.
        return column.astype(pd.ArrowDtype(dtype.pyarrow_dtype.value_type))
    values = pa.array(column.array) if isinstance(dtype, pd.ArrowDtype) else None
    if not isinstance(values, pa.ChunkedArray) or values.num_chunks < 2:
        return column
    return pd.Series(dtype.__from_arrow__(pa.chunked_array([values.combine_chunks()])), copy=False)


def _ids_by_place(column: pd.Series[Any]) -> tuple[Ids, int] | None:
    """Return what the numbers of categories, or integers that lie close together, are; None for other values."""
    found = _codes(column)
    if found is not None:
        codes, n_categories = found
        if codes.min(initial=0) >= 0:
            return codes, n_categories
        shifted: Ids = np.add(codes, 1, dtype=_narrow(n_categories + 1))
        return shifted, n_categories + 1
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iu" and len(column):
        values = column.to_numpy()
        low, high = int(values.min()), int(values.max())
        n_ids = high - low + 1
        if n_ids <= _TABLE_ROWS * len(values):
            wide = values if values.dtype == np.uint64 else values.astype(np.int64, copy=False)
            ids: Ids = np.empty(len(values), _narrow(n_ids))
            np.subtract(wide, wide.dtype.type(low), out=ids, casting="unsafe")
            return ids, n_ids
    return None


def _codes(column: pd.Series[Any]) -> tuple[Ids, int] | None:
    """Return the numbers of categories, or of Arrow's dictionary if it has each value once, -1 for nulls, and how many there are."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy(), len(column.cat.categories)
    if not is_dictionary(column.dtype):
        return None
    values = pa.array(column.array)
    if isinstance(values, pa.ChunkedArray):
        values = values.unify_dictionaries().combine_chunks()
    words = values.dictionary
    if words.null_count or len(words.unique()) < len(words):
        return None
    return values.indices.fill_null(-1).to_numpy(zero_copy_only=False), len(words)


def _narrow(n_ids: int) -> type[np.int32 | np.int64]:
    """Return a type that has room for ids below a number: pages of memory that are new take longer than all else here."""
    return np.int32 if n_ids < 2**31 else np.int64


def _combined(ids: Ids, n_ids: int, others: Ids, n_others: int) -> tuple[Ids, int]:
    """Number pairs of ids."""
    both: Ids = ids.astype(_narrow(n_ids * n_others))
    np.multiply(both, n_others, out=both)
    np.add(both, others, out=both, casting="unsafe")
    return both, n_ids * n_others


def _by_appearance(ids: Ids, n_ids: int) -> Groups:
    """Number ids by the first row of each."""
    n_rows = len(ids)
    if n_ids > _TABLE_ROWS * n_rows:
        return _of_numbers(np.asarray(pd.factorize(ids)[0], np.int64))
    number = np.full(n_ids, -1, np.int64)
    rows = np.arange(min(_AT_ONCE, n_rows) - 1, -1, -1)
    _note_rows(number, ids, rows, 0)
    if (number < 0).any():
        # Of each id the row that is noted last stays.
        for start in range(n_rows - n_rows % _AT_ONCE, -1, -_AT_ONCE):
            _note_rows(number, ids, rows, start)
    if n_ids * _ROWS_OF_A_KEY > n_rows:
        is_first = np.zeros(n_rows, np.bool_)
        is_first[number[number >= 0]] = True
        firsts = np.flatnonzero(is_first)
    else:
        firsts = np.sort(number[number >= 0])
    number[ids[firsts]] = np.arange(len(firsts))
    numbers = np.empty(n_rows, np.int64)
    for start in range(0, n_rows, _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        np.take(number, ids[some], out=numbers[some], mode="clip")  # which needs no copy, and clips nothing
    return Groups(numbers, firsts)


def _note_rows(number: Numbers, ids: Ids, rows: Numbers, start: int) -> None:
    some = ids[start : start + _AT_ONCE]
    number[some[::-1]] = rows[len(rows) - len(some) :] + start


def _of_numbers(numbers: Numbers) -> Groups:
    """Return the groups of numbers by appearance: each is one more than all before it."""
    return Groups(numbers, np.flatnonzero(np.diff(np.maximum.accumulate(numbers), prepend=-1)))
