"""How many partitions the hash of a key makes, and the rows of the largest."""

from __future__ import annotations

import math

import numpy as np

from safeframe import options
from safeframe.facts.keys import ShuffleKeys
from safeframe.kernels.keys.nulls import NULL_SHARD
from safeframe.kernels.routing.shards import hash_shards
from safeframe.units import format_count, format_nbytes


def heaviest_key(keys: ShuffleKeys, width: float, target_nbytes: int) -> str:
    """Return the key, or nulls, that has more rows than a target holds, in words; empty where there is none."""
    rows = _heaviest_rows(keys)
    if rows * width <= target_nbytes:
        return ""
    name = f"the key {keys.heaviest_key}" if keys.heaviest_key else "one key"
    return (
        f"{name} has {format_count(rows)} rows, {format_nbytes(rows * width)}, more than the target of "
        f"{format_nbytes(target_nbytes)}"
    )


def _heaviest_rows(keys: ShuffleKeys) -> int:
    return max(int(keys.counts.max(initial=0)), keys.null_rows)


def largest_shard_rows(keys: ShuffleKeys, n_shards: int) -> int:
    """Count the rows of the largest partition; with keys that were not all counted, bound them."""
    shards = hash_shards(keys.codes, n_shards)
    counts = keys.counts.astype(np.float64)
    loads = np.bincount(shards, weights=counts, minlength=n_shards).astype(np.float64)
    loads[NULL_SHARD] += keys.null_rows
    if not keys.exact:
        rest = keys.rows - keys.null_rows - int(keys.counts.sum())
        mean = rest / n_shards
        # Which shard a key is in is chance: of few keys to a shard, some shard has many more than others.
        chance = options.SHARD_SIGMAS * math.sqrt(max(mean, 0.0) * keys.rows_of_others)
        loads = loads + max(mean * options.SAMPLE_MARGIN, mean + chance)
    return math.ceil(float(loads.max()))


def shards_for(keys: ShuffleKeys, target_rows: int) -> int:
    """Find the fewest partitions, within a quarter, of which the largest keeps to the target."""
    n = max(1, math.ceil(keys.rows / target_rows))
    bound = max(target_rows, _heaviest_rows(keys))
    while largest_shard_rows(keys, n) > bound and n < min(options.MAX_OUTPUT_PARTITIONS, 8 * keys.rows):
        n = math.ceil(n * 1.25)
        if n * target_rows > options.P2P_MOST_SPREAD * keys.rows:
            break
    return n
