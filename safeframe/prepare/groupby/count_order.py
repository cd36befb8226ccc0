"""How counts of values are cut into partitions in their order, from what was counted of the values when the groups were planned.

A sample of the counts themselves would need all of them: the group-by would run once to be planned, and once more.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from safeframe.facts.estimate import Estimate
from safeframe.facts.frame import ColumnProfile, FrameProfile
from safeframe.facts.keys import KeyStatistics, PartitionKeys
from safeframe.facts.plan import Plan
from safeframe.facts.sort import KeyQuantiles
from safeframe.kernels.sort.rows import RowOrder

_LIKELY = 5.5
"""Standard deviations of a number of sampled keys: passed once in some 30 million."""


def quantiles_of_counts(keys: KeyStatistics, groups: Plan, order: RowOrder) -> KeyQuantiles:
    """Return how many keys have fewer rows than any number of them, or more where the order is a falling one.

    Parameters
    ----------
    keys
        What was counted of the keys: all of them, or a sample of which each stands for as many.
    groups
        The plan of the counts.
    order
        The order of the counts, by a column of integers.

    Notes
    -----
    Of ``N`` keys each is in the sample with a probability of ``f``. The number of those that lie before any point is
    estimated without bias, with a variance of ``N (1 - f) / f`` at most. The heaviest keys are known besides.
    """
    total = int(groups.output_rows)
    known, counts = keys.codes, keys.counts
    exact = keys.exact or not len(known)
    times = 1.0 if exact else 1.0 / max(keys.sample_fraction, 1e-12)
    found, of_each = np.unique(counts, return_counts=True)
    weights = of_each.astype(np.float64) * times
    if not exact:
        heavy = keys.heavy_counts[~np.isin(keys.heavy_codes, known)]
        found, places = np.unique(np.concatenate([found, heavy]), return_inverse=True)
        all_weights = np.concatenate([weights, np.zeros(len(heavy))])
        weights = np.bincount(places, weights=all_weights).astype(np.float64)
    error = 0.0 if exact else _LIKELY * math.sqrt(total * max(times - 1.0, 0.0)) + len(keys.heavy_codes)
    # Keys without a value, and what the estimate of all keys is wrong by.
    error += abs(total - float(weights.sum()))
    codes, _ = order.codes(pd.DataFrame({order.by[0]: found.astype(np.int64)}))
    ascending = np.argsort(codes)
    codes, weights = codes[ascending], weights[ascending]
    n = groups.output_partitions
    rows = np.full(n, -(-total // n), np.int64)
    rows[-1] = max(0, total - int(rows[:-1].sum()))
    ends = codes[[0, -1]] if len(codes) else np.zeros(2, np.uint64)
    return KeyQuantiles(
        codes=codes,
        rows=weights,
        below=np.cumsum(weights) - weights,
        below_error=np.full(len(codes), error),
        total_rows=total,
        null_rows=0,
        values=None,
        partitions=PartitionKeys(
            rows=rows,
            null_rows=np.zeros(n, np.int64),
            first=np.full(n, ends[0]),
            last=np.full(n, ends[1]),
            increasing=np.zeros(n, np.bool_),
        ),
        partition_rows=rows,
    )


def profile_of_counts(frame: pd.DataFrame, keys: FrameProfile, groups: Plan) -> FrameProfile:
    """Return the profile of a frame of keys and counts: its keys are as wide as those that were counted.

    Parameters
    ----------
    frame
        No rows of it; its last column has the counts.
    keys
        The columns of the keys.
    groups
        The plan of the counts.
    """
    *names, last = (str(name) for name in frame.columns)
    known = {one.name: one for one in keys.columns}
    count = ColumnProfile(name=last, dtype="int64", row_nbytes=8.0, exact=True)
    rows = groups.output_rows
    n = groups.output_partitions
    return FrameProfile(
        columns=(*(known[name] for name in names), count),
        index_row_nbytes=0.0,
        partitions=n,
        rows=rows,
        largest_partition_rows=Estimate.computed(
            math.ceil(groups.largest_partition_nbytes / max(groups.row_nbytes, 1e-9))
        ),
    )
