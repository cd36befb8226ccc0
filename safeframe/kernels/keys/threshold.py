"""Foresees the threshold of a sample of keys from a few partitions, before any are joined.

A partition may hold fewer keys than the capacity, and all of them together far more.
Each of the first partitions tells its smallest hashes; those of all tell how many keys
there are in their union, so that what follows need not carry keys that cannot stay.

A threshold that were foreseen too low would make the sample smaller, and nothing wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from safeframe import options
from safeframe.facts.keys import Codes
from safeframe.kernels.keys.mixing import mix64
from safeframe.kernels.keys.summary import KeySummary, sample_size
from safeframe.kernels.order import begins_run


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SmallestHashes:
    """What some partitions tell those that come after them."""

    hashes: Codes
    """The smallest hashes of their keys, in any order: each one below the limit."""
    limit: int
    """What lies at or above it was left out."""
    fraction: float
    """The threshold of their sample; 1.0 while they hold every key."""
    capacity: int


def smallest_of(summary: KeySummary) -> SmallestHashes:
    """Return what a summary tells of the threshold to come.

    Notes
    -----
    Of a summary of at most ``options.THRESHOLD_HASHES`` keys nothing is left out.
    """
    hashes = mix64(summary.codes)
    limit = int(summary.fraction * 2.0**64)
    n = options.THRESHOLD_HASHES
    if len(hashes) > n:
        parted = np.partition(hashes, n)
        hashes, limit = parted[:n].copy(), int(parted[n])
    return SmallestHashes(hashes=hashes, limit=limit, fraction=summary.fraction, capacity=summary.capacity)


def foreseen_fraction(told: Sequence[SmallestHashes]) -> float:
    """Return a threshold that the sample of all partitions lies below, as surely as hashes are random.

    Parameters
    ----------
    told
        What partitions told; there may be none.

    Returns
    -------
    float
        1.0 where all keys may fit the capacity.

    Examples
    --------
    >>> foreseen_fraction([])
    1.0
    """
    if not told:
        return 1.0
    fraction = min(one.fraction for one in told)
    limit = min(one.limit for one in told)
    if limit == 0:
        return fraction
    below = [one.hashes[one.hashes < np.uint64(min(limit, 2**64 - 1))] for one in told]
    seen = int(np.count_nonzero(begins_run(np.sort(np.concatenate(below)))))
    if seen == 0:
        return fraction
    keys, doubt = seen * (2.0**64 / limit), options.THRESHOLD_SIGMAS / math.sqrt(seen)
    capacity = told[0].capacity
    if fraction >= 1.0 and keys * (1.0 - doubt) <= capacity:
        return 1.0
    return min(fraction, sample_size(capacity) * (1.0 + doubt) / keys)
