"""What rows add up to, and whether they are in order.

Covers: rows, the sum of every column and of its product with the key (which tells
values that were moved to another row's key), the key's range, whether the key rises;
totals of consecutive pieces, added.
Does not cover: where rows come from, or what they should add up to
(:mod:`benchmarks.check_order`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.situations.tables import Array

__all__ = ["Totals"]

_MODULUS = 2**64
# Sums of many floats differ in their last digits with the order of adding.
_RELATIVE_TOLERANCE = 1e-8


@dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """A piece of a frame, as figures.

    Examples
    --------
    >>> import numpy as np
    >>> one = Totals.of({"k": np.array([1, 2]), "a": np.array([5, 7])}, "k")
    >>> two = Totals.of({"k": np.array([2, 9]), "a": np.array([1, 1])}, "k")
    >>> (one + two).sums, (one + two).products, (one + two).ordered, (two + one).ordered
    ({'k': 14, 'a': 14}, {'a': 30}, True, False)
    """

    rows: int
    """How many."""
    low: float | None
    """The smallest key; None without rows."""
    high: float | None
    """The largest."""
    ordered: bool
    """Whether no key is below the one before it."""
    sums: dict[str, float]
    """Per column, the sum; of ints modulo 2**64."""
    products: dict[str, float]
    """Per column but the key, the sum of its products with the key; of ints modulo 2**64."""

    @classmethod
    def of(cls, columns: Mapping[str, Array], key: str) -> Totals:
        """Look at every value of a piece.

        Parameters
        ----------
        columns
            Values by column, ints or floats, the key among them.
        key
            The key's name.
        """
        keys = columns[key]
        return cls(
            rows=len(keys),
            low=keys.min().item() if len(keys) else None,
            high=keys.max().item() if len(keys) else None,
            ordered=bool((keys[1:] >= keys[:-1]).all()),
            sums={name: _wrapped(values.sum()) for name, values in columns.items()},
            # Of 64-bit ints, sum and dot product wrap around by themselves.
            products={
                name: _wrapped(np.dot(keys.astype(values.dtype, copy=False), values))
                for name, values in columns.items()
                if name != key
            },
        )

    def __add__(self, after: Totals) -> Totals:
        """Put a piece behind this one."""
        if not (self.rows and after.rows):
            return after if after.rows else self
        assert self.low is not None
        assert self.high is not None
        assert after.low is not None
        assert after.high is not None
        return Totals(
            rows=self.rows + after.rows,
            low=min(self.low, after.low),
            high=max(self.high, after.high),
            ordered=self.ordered and after.ordered and self.high <= after.low,
            sums={name: _wrapped(total + after.sums[name]) for name, total in self.sums.items()},
            products={name: _wrapped(total + after.products[name]) for name, total in self.products.items()},
        )

    def wrong_columns(self, truth: Totals) -> tuple[str, ...]:
        """Name the columns whose sums are not the true ones."""
        return tuple(
            name
            for name, total in truth.sums.items()
            if not (
                _same(self.sums.get(name), total)
                and _same(self.products.get(name, 0), truth.products.get(name, 0))
            )
        )


def _wrapped(total: Any) -> float:
    # numpy's ints and those of Python; floats stay as they are.
    return float(total) if isinstance(total, (float, np.floating)) else int(total) % _MODULUS


def _same(found: float | None, true: float) -> bool:
    if found is None:
        return False
    if isinstance(true, int):
        return found == true
    return abs(found - true) <= _RELATIVE_TOLERANCE * (1 + abs(true))
