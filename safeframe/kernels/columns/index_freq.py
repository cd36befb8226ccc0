"""The freq of an index of times, which no column has.

Rows that are joined or staged are columns, and so is their index. Where a frame's
index had a freq, the index that is made of the column has it again, if its values
follow each other by it.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from safeframe.facts.merge import How
from safeframe.kernels.merge.output import JoinKeys, OutputColumn


def freq_of(index: pd.Index[Any]) -> Any:
    """Return the freq of an index of times or durations, None where it has none."""
    return index.freq if isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)) else None


def with_freq(index: pd.Index[Any], freq: Any) -> pd.Index[Any]:
    """Return an index with a freq where its values follow each other by it, else as it is.

    Examples
    --------
    >>> hours = pd.DatetimeIndex(["2020-01-01 00:00", "2020-01-01 01:00", "2020-01-01 03:00"])
    >>> hour = pd.tseries.frequencies.to_offset("h")
    >>> with_freq(hours[:2], hour).freqstr, with_freq(hours, hour).freq
    ('h', None)
    """
    if freq is None or not isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)):
        return index
    # Two looks at the ends refuse most; what pandas does goes through all values.
    if index.hasnans or (
        len(index) > 1 and not (index[0] + freq == index[1] and index[-2] + freq == index[-1])
    ):
        return index
    try:
        # Not by setting it: the array may be that of a partition that is held elsewhere.
        return type(index)(index, freq=freq)  # of the same name
    except (ValueError, TypeError, OverflowError):
        return index


def join_freq(keys: JoinKeys, how: How, index: OutputColumn) -> Any:
    """Return the freq that the index of a join's result has where its values follow it, as in pandas.

    Of two indexes it is that of the side all of whose keys stay, or the one that both
    have; of one, that of the side that the index is taken from, unless rows of the
    other side stay, which have none.
    """
    left, right = keys.left, keys.right
    if left.given is not None and right.given is not None:
        return None
    if how in ("left", "leftsemi", "leftanti"):
        return None if index.left is None else left.freq
    if how == "right":
        return None if index.right is None else right.freq
    if index.left is None:
        return right.freq if how == "inner" else None
    if index.right is None:
        return left.freq if how == "inner" else None
    return left.freq if left.freq == right.freq else None
