"""Numbers with an interval."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from safeframe import options
from safeframe.units import format_count, format_nbytes

Method = Literal["declared", "footer", "schema", "sample", "sketch", "computed"]
"""Where a number comes from."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Estimate:
    """A count or a number of bytes, with an interval.

    Plain comparisons and ``int()`` use ``expected``; a bound that a plan
    projects uses ``upper``.

    Examples
    --------
    >>> rows = Estimate(lower=90, expected=100, upper=120, method="sketch", exact=False)
    >>> rows > 99, int(rows)
    (True, 100)
    >>> Estimate.computed(7)
    Estimate(7, computed)
    """

    lower: int
    """The true value is at least this."""
    expected: int
    """The most likely value."""
    upper: int
    """The true value is at most this."""
    method: Method
    """Where the number comes from."""
    exact: bool
    """Whether it is the true value, to the unit."""

    @classmethod
    def computed(cls, value: int, *, method: Method = "computed") -> Estimate:
        """Return an estimate that is exact."""
        return cls(lower=int(value), expected=int(value), upper=int(value), method=method, exact=True)

    def scaled(self, factor: float) -> Estimate:
        """Return the estimate times a factor, as in rows times bytes per row."""
        return Estimate(
            lower=int(self.lower * factor),
            expected=int(self.expected * factor),
            upper=int(self.upper * factor),
            method=self.method,
            exact=self.exact and float(factor).is_integer(),
        )

    def __int__(self) -> int:
        return self.expected

    __index__ = __int__

    def __float__(self) -> float:
        return float(self.expected)

    def __hash__(self) -> int:
        return hash(self.expected)

    def __eq__(self, other: object) -> bool:
        value = _number(other)
        return NotImplemented if value is None else self.expected == value

    def __lt__(self, other: object) -> bool:
        value = _number(other)
        return NotImplemented if value is None else self.expected < value

    def __le__(self, other: object) -> bool:
        value = _number(other)
        return NotImplemented if value is None else self.expected <= value

    def __gt__(self, other: object) -> bool:
        value = _number(other)
        return NotImplemented if value is None else self.expected > value

    def __ge__(self, other: object) -> bool:
        value = _number(other)
        return NotImplemented if value is None else self.expected >= value

    def __repr__(self) -> str:
        if self.exact:
            return f"Estimate({self.expected}, {self.method})"
        return f"Estimate({self.lower} <= {self.expected} <= {self.upper}, {self.method})"


def _number(other: object) -> float | None:
    if isinstance(other, Estimate):
        return other.expected
    if isinstance(other, (int, float)):
        return other
    return None


def about(estimate: Estimate) -> str:
    """Return the word before a figure: ``"exactly "`` or ``"about "``."""
    return "exactly " if estimate.exact else "about "


def format_interval(nbytes: Estimate) -> str:
    """Print bytes, with the interval where there is one.

    Examples
    --------
    >>> format_interval(Estimate.computed(2**20))
    '1 MiB'
    >>> format_interval(Estimate(lower=2**19, expected=2**20, upper=2**21, method="sample", exact=False))
    'about 1 MiB (between 512 KiB and 2 MiB: sample)'
    """
    expected, low, high = (format_nbytes(value) for value in (nbytes.expected, nbytes.lower, nbytes.upper))
    if low == high:
        return expected
    return f"about {expected} (between {low} and {high}: {nbytes.method})"


def format_rows(rows: Estimate) -> str:
    """Print a number of rows, with the interval where there is one.

    Examples
    --------
    >>> format_rows(Estimate.computed(1000))
    'exactly 1,000'
    >>> format_rows(Estimate(lower=900, expected=1000, upper=1100, method="sketch", exact=False))
    'about 1,000 (between 900 and 1,100: sketch)'
    """
    count = f"{about(rows)}{format_count(rows.expected)}"
    if rows.exact:
        return count
    return f"{count} (between {format_count(rows.lower)} and {format_count(rows.upper)}: {rows.method})"


_NULL_BIT = 1 / 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Width:
    """Bytes per row, as an average over any rows of a frame.

    It is exact for types of fixed width. For strings, objects and categories it is
    an interval, from a sample of partitions.

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
    """The most likely average of the whole frame."""
    most: float
    """The average is at most this, as far as the sample tells."""
    widest: float
    """The average of the widest sampled part."""
    exact: bool
    """Whether every row has exactly this width, except for the bit that marks nulls."""
    sampled: float | None = None
    """Expected bytes of what has no fixed width; None for all of them."""
    mean: tuple[float, float] | None = None
    """Ends of the average of the whole frame, if footers tell it better than that of any rows; None if not."""

    @classmethod
    def fixed(cls, nbytes: float) -> Width:
        """Return the width of a type whose values all have the same size.

        A part of a byte is that of Arrow's bits for nulls, which are left out where there are none.
        """
        least = nbytes if float(nbytes).is_integer() else nbytes - _NULL_BIT
        return cls(least=least, expected=nbytes, most=nbytes, widest=nbytes, exact=True)

    @classmethod
    def guessed(cls, nbytes: float) -> Width:
        """Return a width that was not sampled."""
        return cls(least=0, expected=nbytes, most=2 * nbytes, widest=nbytes, exact=False)

    def __add__(self, other: Width) -> Width:
        return Width(
            least=self.least + other.least,
            expected=self.expected + other.expected,
            most=self.most + other.most,
            widest=self.widest + other.widest,
            exact=self.exact and other.exact,
            sampled=None if self.exact and other.exact else self._sampled + other._sampled,
            mean=None
            if self.mean is None and other.mean is None
            else (self._ends[0] + other._ends[0], self._ends[1] + other._ends[1]),
        )

    @property
    def _sampled(self) -> float:
        if self.exact:
            return 0.0
        return self.expected if self.sampled is None else self.sampled

    @property
    def _ends(self) -> tuple[float, float]:
        return (self.least, self.most) if self.mean is None else self.mean

    @property
    def uneven(self) -> bool:
        """Whether rows are so much wider in some parts that a plan has to know where."""
        return not self.exact and self.widest > options.WIDTH_MARGIN * self.expected

    @property
    def may_be_weighed(self) -> bool:
        """Whether rows may have been cut by their bytes: true of :attr:`uneven` rows whatever columns came next to them."""
        return not self.exact and self.widest - self.expected > (options.WIDTH_MARGIN - 1.0) * self._sampled

    @property
    def bounding(self) -> float:
        """The width that plans use: the expected one with a margin for what was sampled, or the widest sampled part's."""
        if self.exact:
            return self.expected
        margin = self.expected + self._sampled * (options.WIDTH_MARGIN - 1.0)
        return max(margin, min(self.widest, self.expected * options.WIDTH_SPREAD))

    def of(self, rows: Estimate) -> Estimate:
        """Return the bytes of a number of rows."""
        return Estimate(
            lower=int(rows.lower * self.least),
            expected=int(rows.expected * self.expected),
            upper=math.ceil(rows.upper * self.most),
            method=rows.method if self.exact else "sample",
            exact=rows.exact and self.exact and self.least == self.most,
        )

    def of_all(self, rows: Estimate) -> Estimate:
        """Return the bytes of all rows of the frame, of which footers may tell more than of some of them."""
        if self.mean is None:
            return self.of(rows)
        return Estimate(
            # A footer tells the bytes of a file, of which a few may be none of its rows.
            lower=max(0, int(rows.lower * self.mean[0])),
            expected=int(rows.expected * self.expected),
            upper=math.ceil(rows.upper * self.mean[1]),
            method="footer",
            exact=False,
        )


def added(widths: Iterable[Width]) -> Width:
    """Return the width of rows that have all of these."""
    return sum(widths, start=Width.fixed(0.0))
