"""Parts of states of rows of integers, made of sums that are exact.

Sums of small integers, of their squares and products are integers without any rounding. What follows from them is rounded
once, and is made in a fraction of the time that central moments of floats take: equal values have moments of exactly zero.

Covers: sums for means, central moments of one column and of pairs, where no value is null.
Does not cover: merging them (``kernels.groupby.parts``), values whose sums could exceed 64 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from safeframe.kernels.groupby.families import Plain
from safeframe.kernels.groupby.parts import Part, columns_of
from safeframe.kernels.keys.numbering import Groups

_EXACT_FLOAT = 2**53
_EXACT_INT = 2**62
_AT_ONCE = 2**15
"""Rows whose products are made and added together: they stay in a core's cache."""

Integers = npt.NDArray[np.int64]


class IntegerSums:
    """Sums of the integers of groups, each made once.

    Parameters
    ----------
    numbers
        Columns, as plain values.
    groups
        The groups of their rows.

    Examples
    --------
    >>> groups = Groups(np.array([0, 0, 1]), np.array([0, 2]))
    >>> IntegerSums({"v": Plain(np.array([3, 5, 7]), None)}, groups).part(("v", "moments"))
    [array([4., 7.]), array([2., 0.])]
    """

    def __init__(self, numbers: Mapping[Any, Plain], groups: Groups) -> None:
        self._groups = groups
        self._columns: dict[Any, Integers] = {}
        self._lows: dict[Any, int] = {}
        self._spans: dict[Any, int] = {}
        self._found: dict[tuple[Any, ...], Integers] = {}
        n_rows = len(groups.numbers)
        for name, plain in numbers.items():
            if n_rows and plain.valid is None and plain.values.dtype.kind in "iu":
                low, high = int(plain.values.min()), int(plain.values.max())
                if max(abs(low), abs(high)) * n_rows < _EXACT_FLOAT:
                    self._columns[name] = plain.values.astype(np.int64, copy=False)
                    self._lows[name], self._spans[name] = low, high - low

    def part(self, part: Part) -> list[Any] | None:
        """Return a part of each group; None where it is not made of integers, or their sums may not be exact."""
        names, kind = columns_of(part), part[1]
        if kind not in ("float sum", "moments", "joint moments") or not self._columns.keys() >= set(names):
            return None
        counts = self._groups.counts
        if kind == "float sum":
            return [self._sums(names[0]).astype(np.float64) + self._lows[names[0]] * counts]
        if (max(self._spans[name] for name in names) * len(self._groups.numbers)) ** 2 >= _EXACT_INT:
            return None
        means = [(self._sums(name) + self._lows[name] * counts) / counts for name in names]
        seconds = [self._moment(name, name) for name in names]
        return [*means, *seconds, *([] if kind == "moments" else [self._moment(*names)])]

    def _moment(self, one: Any, other: Any) -> npt.NDArray[np.float64]:
        """Return the sums of products of what values of a group are away from their means."""
        counts = self._groups.counts
        away = counts * self._sums(one, other) - self._sums(one) * self._sums(other)
        moment: npt.NDArray[np.float64] = away / counts
        return moment

    def _sums(self, *names: Any) -> Integers:
        """Return the sums of a column, or of the products of two, from the least value of each on: squares stay small."""
        key = names if names in self._found else names[::-1]
        if key not in self._found:
            found = np.zeros(self._groups.n_groups, np.int64)
            for start in range(0, len(self._groups.numbers), _AT_ONCE):
                some = slice(start, start + _AT_ONCE)
                values = self._columns[names[0]][some] - self._lows[names[0]]
                if len(names) > 1:
                    values *= self._columns[names[1]][some] - self._lows[names[1]]
                np.add.at(found, self._groups.numbers[some], values)
            self._found[key] = found
        return self._found[key]
