"""The rule of null keys, in one place.

- A value is null where pandas says so: None, NaN, NaT, ``pandas.NA``, a category that is missing.
- A key of one column is null where the column is. Such a key has no code: kernels return codes
  and, next to them, which keys are null, or None where no key is (:data:`Nulls`). In a key of
  several columns a null is a value like any other, and has a code (:func:`as_value`).
- A merge matches a null with a null, as pandas does, and with nothing else.
- Rows of null keys are counted apart from those of other keys, and are in no checksum of keys.
- Where a merge or a sort cuts shards, null keys have the last shard to themselves when there are any;
  a frame with known divisions keeps them in its last partition. Where a sort has nulls first, the
  partitions of that shard come first (:func:`planned_number`). By hash they go to :data:`NULL_SHARD`.
- In one partition null keys are behind the others (:func:`positions_nulls_last`), unless the user has
  them first.
- Groups: a null equals a null. With ``dropna`` a row with a null in any key column is in no group
  (:func:`any_null`).

Covers: the rule, and what follows from it for arrays of codes and shards.
Does not cover: which values of a column are null (``codes``, ``hashes``), what a plan makes of
the shard of null keys (``ShardLayout.null_shard``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

Nulls = npt.NDArray[np.bool_]
"""True where a key is null; None stands for it where no key is."""

NULL_SHARD = 0
"""The shard of null keys where shards are by hash."""

_NULL_HASH = np.uint64(0x9B60933458E17D7D)
_Array = TypeVar("_Array", bound=npt.NDArray[Any])


def if_any(null: Nulls | None) -> Nulls | None:
    """Return None where no key is null."""
    return null if null is not None and null.any() else None


def count_nulls(null: Nulls | None) -> int:
    """Return how many keys are null."""
    return 0 if null is None else int(np.count_nonzero(null))


def without_nulls(values: _Array, null: Nulls | None) -> _Array:
    """Return the values of keys that are not null."""
    return values if null is None else values[~null]  # type: ignore[return-value]


def as_value(hashes: npt.NDArray[np.uint64], null: Nulls | None) -> npt.NDArray[np.uint64]:
    """Return hashes of a column of several, in which a null is a value."""
    return hashes if null is None else np.where(null, _NULL_HASH, hashes)


def send_nulls(shards: npt.NDArray[Any], null: Nulls | None, shard: int) -> None:
    """Set the shard of null keys, in place."""
    if null is not None:
        shards[null] = shard


def planned_number(number: int, n: int, nulls: int) -> int:
    """Return which of ``n`` planned partitions comes out as ``number`` where the last ``nulls`` come first.

    Examples
    --------
    >>> [planned_number(number, 5, 2) for number in range(5)]
    [3, 4, 0, 1, 2]
    """
    return (number - nulls) % n


def positions_nulls_last(null: Nulls) -> npt.NDArray[np.intp] | None:
    """Return the positions of all keys, those that are null behind the others; None where they are there already.

    Examples
    --------
    >>> positions_nulls_last(np.array([False, True, False])).tolist()
    [0, 2, 1]
    """
    keys = np.flatnonzero(~null)
    if len(keys) and keys[-1] != len(keys) - 1:
        return np.concatenate([keys, np.flatnonzero(null)])
    return None


def any_null(columns: Sequence[pd.Series[Any]]) -> Nulls | None:
    """Return for each row whether any of its keys is null; None where no row has one.

    Examples
    --------
    >>> any_null([pd.Series([1.0, None]), pd.Series(["a", "b"])]).tolist()
    [False, True]
    """
    null: Nulls | None = None
    for column in columns:
        if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iub":
            continue
        missing = column.isna().to_numpy()
        if missing.any():
            null = missing if null is None else null | missing
    return null
