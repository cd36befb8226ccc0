"""The largest or smallest values of each group, for all groups at once.

Covers: ``nlargest`` and ``nsmallest`` of one column, with the rows, the order and the ties of pandas, which calls a method
on each group.
Does not cover: several columns (pandas has no such method of groups).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

_HANDS = 4
"""Hands that the rows of a group are dealt to, for each value that is asked for: with four, some 1.2 times as many rows stay."""

_ROUNDS = 6
"""Values of a group that are found one after the other, at most: each takes some 25 ns for a row, and a sort 400."""
_ROWS_OF_GROUP = 2
"""Rows of a group, for each value that is asked for, from which on that pays: fewer are all sorted."""

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Extremes:
    """A call that returns the largest or the smallest values of each group of a column.

    Examples
    --------
    >>> frame = pd.DataFrame({"k": [1, 2, 1, 1], "v": [5, 6, 7, 7]})
    >>> Extremes("nlargest", 2, "first")(frame.groupby("k")["v"])
    k
    1  2    7
       3    7
    2  1    6
    Name: v, dtype: int64
    """

    method: Literal["nlargest", "nsmallest"]
    """pandas' name of it."""
    n: int
    """Values of each group."""
    keep: Literal["first", "last", "all"]
    """Which rows are returned where several have the last value."""

    @property
    def __name__(self) -> str:
        return self.method

    def __call__(self, groups: Any) -> pd.Series[Any]:
        """Return the values, below the keys of their groups and the labels of their rows."""
        values: pd.Series[Any] = groups.obj
        values.iloc[:0].nlargest(1)  # raises for values of a type that has no order of numbers
        numbers = groups.ngroup().fillna(-1).to_numpy().astype(np.int64, copy=False)
        rows = np.flatnonzero(numbers >= 0)
        if len(rows) < len(numbers):
            numbers = numbers[rows]
        rows, numbers = self._chosen(values, rows, numbers)
        values = values.iloc[rows]
        if not (groups.group_keys and groups.as_index):
            return values
        # Categories that do not occur have a size, and no number.
        sizes = groups.size()
        return _below_keys(values, sizes.index[sizes.to_numpy() > 0], numbers)

    def rows(self, values: pd.Series[Any], numbers: Numbers) -> Numbers:
        """Return the rows that are returned of groups by their numbers, those of a group in their own order.

        Examples
        --------
        >>> two = Extremes("nlargest", 2, "first")
        >>> two.rows(pd.Series([5, 6, 7, 7, 1]), np.array([0, 1, 0, 0, 0]))
        array([2, 3, 1])
        """
        chosen, groups = self._chosen(values, np.arange(len(values)), numbers)
        return chosen[np.lexsort([chosen, groups])]

    def _chosen(self, values: pd.Series[Any], rows: Numbers, numbers: Numbers) -> tuple[Numbers, Numbers]:
        """Return the rows that are among the ``n`` of their group, in the order of groups and values, and their groups."""
        if len(rows) < len(values):
            values = values.iloc[rows]
        null = values.isna().to_numpy()
        ranks = _ascending(values, null)
        if self.method == "nlargest":
            ranks = -ranks if ranks.dtype.kind == "f" else ~ranks
        ranks[null] = _most(ranks.dtype)
        counts = np.bincount(numbers, minlength=int(numbers.max(initial=-1)) + 1)
        whole = counts <= self.n
        few = _perhaps_least(ranks, numbers, len(counts), self.n)
        if few is not None:
            rows, numbers, ranks, null = rows[few], numbers[few], ranks[few], null[few]
            counts = np.bincount(numbers, minlength=len(counts))
        order: list[Any] = [ranks, null, numbers] if null.any() else [ranks, numbers]
        if self.keep == "last":
            # Groups that are returned whole, and nulls, stay in their order.
            order.insert(0, np.where(whole[numbers] | null, 1, -1) * np.arange(len(numbers)))
        places = np.lexsort(order)
        starts = np.cumsum(counts) - counts
        numbers = numbers[places]
        kept = np.arange(len(places)) - starts[numbers] < self.n
        if self.keep == "all" and self.n > 0:
            last = np.minimum(starts + self.n, starts + counts) - 1
            ranks, null = ranks[places], null[places]
            # Of a group that has fewer values than that, its nulls are all returned.
            kept |= (null == null[last][numbers]) & (ranks == ranks[last][numbers])
        return rows[places[kept]], numbers[kept]


def _perhaps_least(ranks: npt.NDArray[Any], numbers: Numbers, n_groups: int, n: int) -> Numbers | None:
    """Return the rows that may be among the ``n`` least of their group; None where looking for them does not pay.

    The rows of a group are dealt to some hands, and the least of each is noted: the n-th of these is a value that
    n rows do not exceed.
    """
    hands = _HANDS * n
    if n <= 0:
        return None
    if n_groups * hands <= len(ranks):
        least = np.full(n_groups * hands, _most(ranks.dtype), ranks.dtype)
        np.minimum.at(least, numbers * hands + np.arange(len(ranks)) % hands, ranks)
        bounds = np.partition(least.reshape(n_groups, hands), n - 1, axis=1)[:, n - 1]
    elif n <= _ROUNDS and n_groups * _ROWS_OF_GROUP * n <= len(ranks):
        bounds = _different(ranks, numbers, n_groups, n)
    else:
        return None
    return np.flatnonzero(ranks <= bounds[numbers])


def _different(ranks: npt.NDArray[Any], numbers: Numbers, n_groups: int, n: int) -> npt.NDArray[Any]:
    """Return the n-th of the different ranks of each group, from the least on: found one after the other."""
    most = _most(ranks.dtype)
    bounds = np.full(n_groups, most, ranks.dtype)
    np.minimum.at(bounds, numbers, ranks)
    for _ in range(n - 1):
        beyond = np.flatnonzero(ranks > bounds[numbers])
        bounds = np.full(n_groups, most, ranks.dtype)
        np.minimum.at(bounds, numbers[beyond], ranks[beyond])
    return bounds


def _most(dtype: np.dtype[Any]) -> Any:
    return np.inf if dtype.kind == "f" else np.iinfo(dtype).max


def _ascending(values: pd.Series[Any], null: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """Return numbers in the order of values, whatever they are where a value is null."""
    dtype = values.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "iuf":
        return values.to_numpy(copy=True)
    if isinstance(dtype, np.dtype) and dtype.kind == "b":
        return values.to_numpy().astype(np.int8)
    if pd.api.types.is_datetime64_any_dtype(dtype) or pd.api.types.is_timedelta64_dtype(dtype):
        # In their own unit: years that nanoseconds do not reach have an order too.
        return np.array(pd.Index(values).asi8)
    codes = np.zeros(len(values), np.int64)
    codes[~null] = pd.factorize(values[~null].array, sort=True)[0]
    return codes


def _below_keys(values: pd.Series[Any], keys: pd.Index[Any], numbers: Numbers) -> pd.Series[Any]:
    """Return values with the keys of their groups in front of their index."""
    indexes = [keys.take(numbers), values.index]
    levels = [index.get_level_values(level) for index in indexes for level in range(index.nlevels)]
    return values.set_axis(pd.MultiIndex.from_arrays(levels, names=[level.name for level in levels]))
