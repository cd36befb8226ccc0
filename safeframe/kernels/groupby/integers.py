"""Parts of states of rows of integers, made of sums that are exact.

Sums of small integers, of their squares and products are integers without any rounding. What follows from them is rounded
once, and is made in a fraction of the time that central moments of floats take: equal values have moments of exactly zero.

Covers: sums for means, central moments of one column and of pairs, where no value is null.
Does not cover: merging them (``kernels.groupby.parts``), values whose sums could exceed 64 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from safeframe.kernels.groupby.families import Plain
from safeframe.kernels.groupby.parts import Part
from safeframe.kernels.keys.numbering import Groups

_EXACT_FLOAT = 2**53
_EXACT_INT = 2**62

Integers = npt.NDArray[np.int64]


def of_integers(part: Part, columns: list[Plain], groups: Groups) -> list[Any] | None:
    """Return a part of each group of rows; None where it is not made of integers, or their sums may not be exact.

    Parameters
    ----------
    part
        Which one.
    columns
        The column, or both of a pair, as plain values.
    groups
        The groups of their rows.

    Examples
    --------
    >>> groups = Groups(np.array([0, 0, 1]), np.array([0, 2]))
    >>> of_integers(("v", "moments"), [Plain(np.array([3, 5, 7]), None)], groups)
    [array([4., 7.]), array([2., 0.])]
    """
    kind, n_rows = part[1], len(groups.numbers)
    if kind not in ("float sum", "moments", "joint moments") or not n_rows:
        return None
    if any(one.valid is not None or one.values.dtype.kind not in "iu" for one in columns):
        return None
    lows = [int(one.values.min()) for one in columns]
    spans = [int(one.values.max()) - low for one, low in zip(columns, lows, strict=True)]
    largest = max(max(abs(low), abs(low + span)) for low, span in zip(lows, spans, strict=True))
    if largest * n_rows >= _EXACT_FLOAT or (max(spans) * n_rows) ** 2 >= _EXACT_INT:
        return None
    values = [one.values.astype(np.int64, copy=False) for one in columns]
    if kind == "float sum":
        return [_sums(values[0], groups).astype(np.float64)]
    counts = groups.counts
    # From the least value on, so that squares stay small.
    values = [one - low if low else one for one, low in zip(values, lows, strict=True)]
    sums = [_sums(one, groups) for one in values]
    means = [(one + low * counts) / counts for one, low in zip(sums, lows, strict=True)]
    seconds = [_moment(one, one, total, total, groups) for one, total in zip(values, sums, strict=True)]
    joint = [] if kind == "moments" else [_moment(*values, *sums, groups)]
    return [*means, *seconds, *joint]


def _sums(values: Integers, groups: Groups) -> Integers:
    found = np.zeros(groups.n_groups, np.int64)
    np.add.at(found, groups.numbers, values)
    return found


def _moment(
    one: Integers, other: Integers, one_sums: Integers, other_sums: Integers, groups: Groups
) -> npt.NDArray[np.float64]:
    """Return the sums of products of what values of a group are away from their means."""
    found: npt.NDArray[np.float64] = (
        groups.counts * _sums(one * other, groups) - one_sums * other_sums
    ) / groups.counts
    return found
