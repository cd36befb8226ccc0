"""Adds up what totals of a join are made of: sums, counts, least and largest values.

Covers: pieces of several groups as one; the types of sums; sums of floats that are
no number; counts that 64 bits do not hold.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.errors import OutputTooLargeError

_JOINED = {"min": "min", "max": "max"}
"""How pieces of several groups become one, where they are not added up."""

_COUNTS = ("count", "size")

_SUM_TYPES = {"b": np.int64, "i": np.int64, "u": np.uint64, "f": np.float64}
"""Types of sums, by the kind of what is summed."""

_MOST_ROWS = 2**63 - 1
_SURELY = float(2**62)
"""What a sum of counts as floats is below, where no sum of them as integers can be beyond 64 bits."""


def sum_type(dtype: Any, function: str) -> Any:
    """Return the type that sums are made in.

    Examples
    --------
    >>> sum_type(np.dtype("uint8"), "sum").__name__, sum_type(np.dtype("int8"), "float sum").__name__
    ('uint64', 'float64')
    """
    return np.float64 if function == "float sum" else _SUM_TYPES[dtype.kind]


def joined_piece(values: pd.Series[Any], grouped: Any, function: str) -> pd.Series[Any]:
    """Join pieces within groups.

    Parameters
    ----------
    values
        The pieces.
    grouped
        The same by groups.
    function
        What they are.

    Returns
    -------
    pandas.Series
        One for each group. A sum that is no number (of infinities of both signs)
        stays none, where pandas would take it for a null and leave it out.

    Raises
    ------
    OutputTooLargeError
        Where 64 bits do not count a group's rows.
    """
    if function in _JOINED:
        return getattr(grouped, _JOINED[function])()  # type: ignore[no-any-return]
    with np.errstate(invalid="ignore", over="ignore"):
        sums: pd.Series[Any] = grouped.sum()
    if values.dtype.kind == "f" and values.isna().any():
        return sums.mask(grouped.count() < grouped.size())
    if function in _COUNTS and values.to_numpy().sum(dtype=np.float64) >= _SURELY:
        # So rare that a group may take a call of Python.
        _check_rows(max(grouped.agg(_exact_sum), default=0))
    return sums


def whole_piece(values: pd.Series[Any], function: str) -> Any:
    """Join all pieces, as :func:`joined_piece` does within groups."""
    if function in _JOINED:
        return getattr(values, _JOINED[function])()
    if function in _COUNTS:
        if values.to_numpy().sum(dtype=np.float64) >= _SURELY:
            _check_rows(_exact_sum(values))
        return values.sum()
    with np.errstate(invalid="ignore", over="ignore"):
        return values.sum(skipna=False)


def check_countable(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> None:
    """Check that the products of counts are counts.

    Raises
    ------
    OutputTooLargeError
        Where one of them is beyond 64 bits.
    """
    if int(left.max(initial=0)) * int(right.max(initial=0)) <= _MOST_ROWS:
        return
    largest = int(np.argmax(left.astype(np.float64) * right))
    _check_rows(int(left[largest]) * int(right[largest]))


def _exact_sum(counts: pd.Series[Any]) -> Any:
    return sum(counts.tolist())


def _check_rows(rows: int) -> None:
    if rows > _MOST_ROWS:
        msg = f"A group of the merge has {rows:,} rows; counts are 64-bit integers, at most {_MOST_ROWS:,}."
        raise OutputTooLargeError(
            msg,
            hint="Filter or aggregate the sides before merging them.",
            rows=rows,
            most_rows=_MOST_ROWS,
        )
