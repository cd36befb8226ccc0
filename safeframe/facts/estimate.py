"""A number that knows how well it is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Estimate", "Method"]

Method = Literal["declared", "footer", "schema", "sample", "sketch", "computed"]
"""Where a figure comes from."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Estimate:
    """An interval around a count or a number of bytes.

    Plain comparisons and ``int()`` use ``expected``; a plan that promises
    something uses ``upper``.

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
    """The best single number."""
    upper: int
    """The true value is at most this."""
    method: Method
    """Where the figure comes from."""
    exact: bool
    """Whether it is the true value, to the unit."""

    @classmethod
    def computed(cls, value: int, *, method: Method = "computed") -> Estimate:
        """Make an estimate that is exact."""
        return cls(lower=int(value), expected=int(value), upper=int(value), method=method, exact=True)

    def scaled(self, factor: float) -> Estimate:
        """Multiply all three numbers, as in rows times bytes per row."""
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

    def __dask_tokenize__(self) -> tuple[object, ...]:
        return ("Estimate", self.lower, self.expected, self.upper, self.method, self.exact)


def _number(other: object) -> float | None:
    if isinstance(other, Estimate):
        return other.expected
    if isinstance(other, (int, float)):
        return other
    return None
