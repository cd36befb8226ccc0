"""How a situation's keys stand in its files: as numbers, as strings, or as a string and a number with nulls.

Covers: the columns of a key, and the SQL by which engines compare them and a check
finds the number again.
Does not cover: which keys there are (:mod:`benchmarks.situations.tables`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.situations.tables import number_of_text, text_of

if TYPE_CHECKING:
    from benchmarks.situations.tables import Array

__all__ = ["CompositeKey", "HexKey", "Key", "NumberKey", "TextKey"]

# An odd number: multiples of it modulo 2**64 are all different, and look like anything.
_SCRAMBLE = 0x9E3779B97F4A7C15
_HEX = np.frombuffer("".join(f"{byte:02x}" for byte in range(256)).encode(), "uint8").reshape(256, 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberKey:
    """One column of numbers, none of them null."""

    name: str
    """The column."""
    low: int = 0
    """The smallest key."""

    @property
    def columns(self) -> list[str]:
        """The key's columns."""
        return [self.name]

    @property
    def read_options(self) -> dict[str, Any]:
        """How dask has to be told to read it."""
        return {}

    def values(self, keys: Array) -> dict[str, Any]:
        """Return the columns of keys that are counted from zero."""
        return {self.name: keys + self.low}

    def number(self) -> str:
        """Say in SQL which number a row's key is."""
        return self.name


@dataclass(frozen=True, kw_only=True, slots=True)
class TextKey(NumberKey):
    """One column of strings, each the text of a number.

    Examples
    --------
    >>> TextKey(name="id4").values(np.array([3]))["id4"].to_pylist()
    ['id3']
    """

    def values(self, keys: Array) -> dict[str, Any]:
        """See :meth:`NumberKey.values`."""
        return {self.name: text_of(keys + self.low)}

    def number(self) -> str:
        """See :meth:`NumberKey.number`."""
        return number_of_text(self.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class HexKey(NumberKey):
    """One column of ids of sixteen hexadecimal digits.

    Examples
    --------
    >>> HexKey(name="id").values(np.array([1, 2]))["id"].to_pylist()
    ['9e3779b97f4a7c15', '3c6ef372fe94f82a']
    """

    def values(self, keys: Array) -> dict[str, Any]:
        """See :meth:`NumberKey.values`."""
        scrambled = (keys + self.low).astype(">u8") * np.uint64(_SCRAMBLE)
        digits = _HEX[scrambled.astype(">u8").view("uint8")]
        offsets = np.arange(len(keys) + 1, dtype="int32") * 16
        return {
            self.name: pa.StringArray.from_buffers(
                len(keys), pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(digits))
            )
        }

    def number(self) -> str:
        """Say in SQL what stands for a row's key: the id itself."""
        return self.name


@dataclass(frozen=True, kw_only=True, slots=True)
class CompositeKey:
    """A string and a number, each null in some keys; nulls are a value like others, as they are to pandas.

    Examples
    --------
    >>> key = CompositeKey(string="s", number_column="n", numbers=10, null_string=1, null_number=3)
    >>> {name: column.to_pylist() for name, column in key.values(np.array([2, 13, 24])).items()}
    {'s': ['name-0', None, 'name-2'], 'n': [2, None, 4]}
    """

    string: str
    """The column of strings."""
    number_column: str
    """The column of numbers."""
    numbers: int
    """How many numbers each string comes with."""
    null_string: int
    """Which string is null instead, counted from zero."""
    null_number: int
    """Which number is null instead."""

    @property
    def columns(self) -> list[str]:
        """The key's columns."""
        return [self.string, self.number_column]

    @property
    def read_options(self) -> dict[str, Any]:
        """How dask has to be told to read it: integers with nulls become floats otherwise, unlike what it promises."""
        return {"dtype_backend": "numpy_nullable"}

    def values(self, keys: Array) -> dict[str, Any]:
        """Return the columns of keys that are counted from zero."""
        strings, numbers = np.divmod(keys, self.numbers)
        names = pc.binary_join_element_wise("name", pa.array(strings).cast(pa.string()), "-")
        missing = pa.scalar(None, pa.string())
        return {
            self.string: pc.if_else(pa.array(strings == self.null_string), missing, names),
            self.number_column: pa.array(numbers, mask=numbers == self.null_number),
        }

    def number(self) -> str:
        """Say in SQL which number a row's key is."""
        string = f"coalesce(CAST(substr({self.string}, 6) AS BIGINT), {self.null_string})"
        # Read back from pandas' own files a number may be a float.
        return (
            f"{string} * {self.numbers} + coalesce(CAST({self.number_column} AS BIGINT), {self.null_number})"
        )


Key = NumberKey | CompositeKey
