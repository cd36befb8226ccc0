"""Rows of the partitions that the hash of a key makes.

Covers: how large the largest of them is, and how many there have to be.
Does not cover: partitions by key range (``ranges``).
"""

from __future__ import annotations

import math

import numpy as np

from safeframe import options
from safeframe.facts.shuffle_keys import ShuffleKeys
from safeframe.kernels.hash_shards import NULL_SHARD, hash_shards
from safeframe.planning.key_loads import Rows

__all__ = ["heaviest_rows", "largest_shard_rows", "shards_for"]


def heaviest_rows(keys: ShuffleKeys) -> int:
    """Give the rows of the heaviest key, or of nulls."""
    return max(int(keys.counts.max(initial=0)), keys.null_rows)


def largest_shard_rows(keys: ShuffleKeys, n_shards: int) -> int:
    """Count the rows of the largest partition; with keys that were not all counted, bound them."""
    shards = hash_shards(keys.codes, n_shards)
    loads: Rows = np.bincount(shards, weights=keys.counts.astype(np.float64), minlength=n_shards).astype(
        np.float64
    )
    loads[NULL_SHARD] += keys.null_rows
    if not keys.exact:
        rest = keys.rows - keys.null_rows - int(keys.counts.sum())
        loads = loads + rest / n_shards * options.SAMPLE_MARGIN
    return math.ceil(float(loads.max()))


def shards_for(keys: ShuffleKeys, target_rows: int) -> int:
    """Find the fewest partitions, within a quarter, of which the largest keeps to the target."""
    n = max(1, math.ceil(keys.rows / target_rows))
    bound = max(target_rows, heaviest_rows(keys))
    while largest_shard_rows(keys, n) > bound and n < min(options.MAX_OUTPUT_PARTITIONS, 8 * keys.rows):
        n = math.ceil(n * 1.25)
        if n * target_rows > options.P2P_MOST_SPREAD * keys.rows:
            break
    return n
