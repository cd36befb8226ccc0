"""Tables of seeded random values, made part by part.

Covers: one generator per part, so that runs compare and parts can be made in any
order and anywhere.
Does not cover: what the tables are for (:mod:`benchmarks.situations.joins`,
:mod:`benchmarks.situations.frames`).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

__all__ = ["Array", "Column", "Table"]

Array = np.ndarray[Any, Any]

# Coprime with any sensible number of keys, so that multiples of it visit every key once.
_KEY_STRIDE = 7_368_787
_ZIPF_EXPONENT = 1.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column of uniform random values."""

    name: str
    """Its name."""
    kind: Literal["int64", "float64"]
    """Its type."""
    low: int = 0
    """Smallest value."""
    high: int = 10_000
    """No value reaches this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Parts of equal rows: a key and columns of random values."""

    files: int
    """Parquet files."""
    rows_per_file: int
    """Rows in each."""
    keys: int
    """Distinct keys it draws from, upwards of the situation's lowest."""
    columns: tuple[Column, ...]
    """Columns other than the key."""
    unique: bool = False
    """Whether each key comes once, instead of at random."""
    hot_fraction: float = 0.0
    """Share of each file's rows that have one and the same key."""
    zipf_offset: float | None = None
    """Keys of rank r = 1, 2, … are as frequent as (r + this) ** -1.1; None for keys that are equally frequent."""
    first_rank: tuple[int, int] = (1, 0)
    """Where ranks are among the keys: rank r is key r times the first number plus the second."""

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return self.files * self.rows_per_file

    def scaled(self, scale: float, *, keys: bool) -> Table:
        """Shrink the rows of each part, and with ``keys`` the number of keys by the same share."""
        return replace(
            self,
            rows_per_file=max(1, round(self.rows_per_file * scale)),
            keys=max(1, round(self.keys * scale)) if keys else self.keys,
        )

    def part(self, number: int, seed: tuple[int, int]) -> tuple[Array, dict[str, Array]]:
        """Make one part: its keys, counted from zero, and its columns.

        Parameters
        ----------
        number
            Which, from zero.
        seed
            Two numbers that are the table's own.

        Examples
        --------
        >>> table = Table(files=2, rows_per_file=3, keys=5, columns=(Column(name="a", kind="int64"),))
        >>> keys, columns = table.part(1, (2017, 0))
        >>> len(keys), list(columns)
        (3, ['a'])
        """
        n = self.rows_per_file
        rng = np.random.default_rng([*seed, number])
        if self.unique:
            keys = (np.arange(number * n, (number + 1) * n, dtype="int64") * _KEY_STRIDE) % self.keys
        elif self.zipf_offset is not None:
            ranks = np.searchsorted(_zipf(self.keys, self.zipf_offset), rng.random(n))
            keys = (ranks * self.first_rank[0] + self.first_rank[1]) % self.keys
        else:
            keys = rng.integers(0, self.keys, n, dtype="int64")
        if self.hot_fraction:
            keys[: round(n * self.hot_fraction)] = self.keys // 2
            keys = rng.permutation(keys)
        return keys, {column.name: _values(rng, column, n) for column in self.columns}


@functools.lru_cache(maxsize=2)
def _zipf(keys: int, offset: float) -> Array:
    """Return the share of rows up to each rank."""
    shares = np.cumsum((np.arange(1, keys + 1) + offset) ** -_ZIPF_EXPONENT)
    return np.asarray(shares / shares[-1])


def _values(rng: np.random.Generator, column: Column, n: int) -> Array:
    if column.kind == "int64":
        return rng.integers(column.low, column.high, n, dtype="int64")
    return rng.uniform(column.low, column.high, n)
