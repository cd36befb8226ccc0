"""Where partitions that are in order begin, when a key may lie on both sides of a boundary."""

from __future__ import annotations

import numpy as np

from safeframe.facts.keys import PartitionKeys
from safeframe.facts.sort import Alignment


def align(parts: PartitionKeys) -> Alignment:
    """Return each key to the partition that it begins in.

    Parameters
    ----------
    parts
        Partitions in order: no key is smaller than one of an earlier partition.

    Examples
    --------
    >>> parts = PartitionKeys(
    ...     rows=np.array([3, 2, 4]),
    ...     null_rows=np.zeros(3, int),
    ...     first=np.array([1, 5, 5], "uint64"),
    ...     last=np.array([5, 5, 9], "uint64"),
    ...     increasing=np.ones(3, bool),
    ... )
    >>> aligned = align(parts)
    >>> aligned.starts.tolist(), aligned.first_input.tolist(), aligned.after_input.tolist()
    ([1, 6], [0, 2], [3, 3])
    """
    numbers = np.flatnonzero(parts.rows > 0)
    first, last, rows = parts.first[numbers], parts.last[numbers], parts.rows[numbers]
    shared = np.append(False, first[1:] == last[:-1])[: len(first)]
    starts = first + shared.astype(np.uint64)
    kept = starts <= last  # a partition of nothing but the key before it has nothing left
    ends = np.cumsum(rows)
    # The key that a partition ends with may go on in the partitions behind it.
    after = np.searchsorted(first, last, side="right")
    held = ends[np.maximum(after - 1, 0)] - ends + rows if len(ends) else rows
    return Alignment(
        starts=starts[kept],
        last=int(last[-1]) if len(last) else 0,
        first_input=numbers[kept],
        after_input=numbers[after[kept] - 1] + 1,
        held_rows=int(held[kept].max(initial=0)),
    )
