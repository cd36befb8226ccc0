"""Figures as text: one number where it is known, an interval where it is not."""

from __future__ import annotations

from safeframe.facts.estimate import Estimate
from safeframe.units import format_nbytes

__all__ = ["about", "format_interval"]


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
