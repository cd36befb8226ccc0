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
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["WORDS", "Array", "Column", "ShiftedTable", "Table", "TwinColumn"]

Array = np.ndarray[Any, Any]

# Coprime with any sensible number of keys, so that multiples of it visit every key once.
_KEY_STRIDE = 7_368_787
_ZIPF_EXPONENT = 1.1
WORDS = ("amber", "blue", "crimson", "drab")
"""What columns of words hold."""
_PREFIX = "id"


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column of uniform random values.

    Strings are made of numbers and count as those numbers, so that all columns have a sum.

    Examples
    --------
    >>> Column(name="a", kind="text").stored(np.array([7, 12])).to_pylist()
    ['id7', 'id12']
    >>> Column(name="a", kind="word", high=4).stored(np.array([0, 3])).to_pylist()
    ['amber', 'drab']
    """

    name: str
    """Its name."""
    kind: Literal["int64", "float64", "word", "text"]
    """Its type: numbers, or strings: one of :data:`WORDS`, or as many values as there are numbers."""
    low: int = 0
    """Smallest value."""
    high: int = 10_000
    """No value reaches this."""

    @property
    def dtype(self) -> str:
        """Type of its numbers."""
        return "float64" if self.kind == "float64" else "int64"

    def stored(self, numbers: Array) -> pa.Array:
        """Return the column as it stands in files."""
        if self.kind == "word":
            return pa.array(WORDS).take(pa.array(numbers))
        return text_of(numbers) if self.kind == "text" else pa.array(numbers)

    def numbers(self, column: pa.Array) -> Array:
        """Return the numbers of a column that was read."""
        if self.kind == "word":
            column = pc.index_in(column.cast(pa.string()), pa.array(WORDS))
        elif self.kind == "text":
            column = pc.utf8_slice_codeunits(column.cast(pa.string()), len(_PREFIX)).cast(pa.int64())
        return np.asarray(column.to_numpy(zero_copy_only=False), self.dtype)

    def number(self) -> str:
        """Say in SQL which number a value is."""
        if self.kind == "word":
            return f"list_position({list(WORDS)}, {self.name}) - 1"
        return number_of_text(self.name) if self.kind == "text" else self.name


@dataclass(frozen=True, kw_only=True, slots=True)
class TwinColumn(Column):
    """A column of the numbers of another one, in a type of its own."""

    of: str | None = None
    """Which; None for the key."""


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
        values: dict[str | None, Array] = {None: keys}
        for column in self.columns:
            values[column.name] = (
                values[column.of] if isinstance(column, TwinColumn) else _values(rng, column, n)
            )
        return keys, {column.name: values[column.name] for column in self.columns}

    def stored(self, numbers: dict[str, Array]) -> dict[str, pa.Array]:
        """Return a part's columns as they stand in files."""
        return {column.name: column.stored(numbers[column.name]) for column in self.columns}


@dataclass(frozen=True, kw_only=True, slots=True)
class ShiftedTable(Table):
    """A table whose keys begin a tenth of them later, so that a tenth of them is on either side alone."""

    def part(self, number: int, seed: tuple[int, int]) -> tuple[Array, dict[str, Array]]:
        """See :meth:`Table.part`."""
        shifted = replace(self, columns=tuple(c for c in self.columns if not _is_key(c)))
        keys, values = Table.part(shifted, number, seed)
        keys = keys + self.keys // 10
        return keys, {column.name: values.get(column.name, keys) for column in self.columns}


def _is_key(column: Column) -> bool:
    return isinstance(column, TwinColumn) and column.of is None


def text_of(numbers: Array) -> pa.Array:
    """Write numbers as strings, all different.

    Examples
    --------
    >>> text_of(np.array([0, 31])).to_pylist()
    ['id0', 'id31']
    """
    return pc.binary_join_element_wise(_PREFIX, pa.array(numbers).cast(pa.string()), "")


def number_of_text(name: str) -> str:
    """Say in SQL which number a column of :func:`text_of` has."""
    return f"CAST(substr({name}, {len(_PREFIX) + 1}) AS BIGINT)"


@functools.lru_cache(maxsize=2)
def _zipf(keys: int, offset: float) -> Array:
    """Return the share of rows up to each rank."""
    shares = np.cumsum((np.arange(1, keys + 1) + offset) ** -_ZIPF_EXPONENT)
    return np.asarray(shares / shares[-1])


def _values(rng: np.random.Generator, column: Column, n: int) -> Array:
    if column.kind == "float64":
        return rng.uniform(column.low, column.high, n)
    return rng.integers(column.low, column.high, n, dtype="int64")
