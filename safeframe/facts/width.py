"""Bytes of a row, and how well they are known."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from safeframe import options
from safeframe.facts.estimate import Estimate

__all__ = ["Width", "added"]

_NULL_BIT = 1 / 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Width:
    """Bytes per row, on average over any rows of a frame.

    Of types of fixed width it is known to the byte. Of strings, objects and
    categories some partitions are looked at, and it is an interval.

    Examples
    --------
    >>> key = Width.fixed(8)
    >>> text = Width(least=10, expected=20, most=60, widest=40, exact=False)
    >>> row = key + text
    >>> row.expected, row.bounding
    (28, 48)
    >>> row.of(Estimate.computed(1000))
    Estimate(18000 <= 28000 <= 68000, sample)
    """

    least: float
    """The average is at least this."""
    expected: float
    """The best single number: the average of the whole frame."""
    most: float
    """The average is at most this, as far as the sample tells."""
    widest: float
    """The average of the widest part that was looked at."""
    exact: bool
    """Whether every row takes just that, but for a bit that tells nulls."""

    @classmethod
    def fixed(cls, nbytes: float) -> Width:
        """Return the width of a type whose values all take the same.

        A part of a byte is that of Arrow's bits for nulls, which are left out where there are none.
        """
        least = nbytes if float(nbytes).is_integer() else nbytes - _NULL_BIT
        return cls(least=least, expected=nbytes, most=nbytes, widest=nbytes, exact=True)

    @classmethod
    def guessed(cls, nbytes: float) -> Width:
        """Return a width that nobody has looked at."""
        return cls(least=0, expected=nbytes, most=2 * nbytes, widest=nbytes, exact=False)

    def __add__(self, other: Width) -> Width:
        return Width(
            least=self.least + other.least,
            expected=self.expected + other.expected,
            most=self.most + other.most,
            widest=self.widest + other.widest,
            exact=self.exact and other.exact,
        )

    @property
    def bounding(self) -> float:
        """What plans reckon with: the expected width with a margin, or that of the widest part, within reason."""
        if self.exact:
            return self.expected
        margin = self.expected * options.WIDTH_MARGIN
        return max(margin, min(self.widest, self.expected * options.WIDTH_SPREAD))

    def of(self, rows: Estimate) -> Estimate:
        """Return the bytes of so many rows."""
        return Estimate(
            lower=int(rows.lower * self.least),
            expected=int(rows.expected * self.expected),
            upper=math.ceil(rows.upper * self.most),
            method=rows.method if self.exact else "sample",
            exact=rows.exact and self.exact and self.least == self.most,
        )


def added(widths: Iterable[Width]) -> Width:
    """Return the width of rows that have all of these."""
    return sum(widths, start=Width.fixed(0.0))
