"""Plans a staged shuffle: rows of a key into one partition, by the key's hash.

A key is never cut, so that a key with more rows than a partition should have
makes a larger one; the plan says so, and does not fit when a worker cannot hold it.
"""

from __future__ import annotations

import math

import numpy as np

from safeframe import options
from safeframe.facts.estimate import Estimate
from safeframe.facts.keys import ShuffleKeys
from safeframe.facts.layout import ShardLayout
from safeframe.facts.plan import Candidate, Plan
from safeframe.facts.sort import ShuffleFacts
from safeframe.kernels.routing.shards import NULL_SHARD, hash_shards
from safeframe.planning.exchange import exchange_steps, group_size, held_nbytes
from safeframe.planning.memory import default_partition_nbytes, least_partitions
from safeframe.planning.merge.key_loads import Loads
from safeframe.units import format_count, format_nbytes

__all__ = ["heaviest_rows", "largest_shard_rows", "plan_shuffle", "shards_for"]


def plan_shuffle(facts: ShuffleFacts) -> tuple[Plan, tuple[int, int]]:
    """Choose the partitions and say what they cost.

    Returns
    -------
    Plan
        Always: a plan that does not fit says so in ``fits``.
    tuple of int
        Input partitions that one stage task joins, and bytes that those which wait may take.
    """
    facts.profile.check_writable()
    width = facts.row_nbytes
    partition_nbytes = facts.partition_nbytes or default_partition_nbytes(
        max(facts.budget.task_nbytes, 0), width
    )
    n = facts.npartitions or shards_for(facts.keys, max(1, int(partition_nbytes / max(width, 1e-9))))
    if facts.npartitions is None and facts.partition_nbytes is None:
        n = max(n, least_partitions(facts.keys.rows * width, len(facts.partition_rows), facts.budget))
    largest_rows = largest_shard_rows(facts.keys, n)
    group = group_size(facts.partition_rows, width, facts.budget, self_made=facts.self_made)
    held = held_nbytes(facts.partition_rows, width, facts.budget, group, fixed_width=facts.fixed_width)
    reasons = [
        f"rows pass through {facts.staging.directory} into {format_count(n)} partitions by the hash of their key"
    ]
    heaviest = heaviest_rows(facts.keys)
    if heaviest * width > partition_nbytes:
        name = f"the key {facts.keys.heaviest_key}" if facts.keys.heaviest_key else "one key"
        reasons.append(
            f"{name} has {format_count(heaviest)} rows, {format_nbytes(heaviest * width)}, more than the target of "
            f"{format_nbytes(partition_nbytes)}: a key is in one partition, which is larger for it"
        )
    rows = Estimate.computed(facts.keys.rows)
    layout = ShardLayout(
        starts=np.arange(n, dtype=np.uint64),
        single_key=np.zeros(n, np.bool_),
        cells=np.ones(n, np.int64),
        null_shard=False,
    )
    plan = Plan(
        recipe="shuffle",
        strategy="staged",
        reasons=tuple(reasons),
        rejected=(Candidate(strategy="p2p", reason=facts.p2p_rejected),),
        steps=exchange_steps(
            partition_rows=facts.partition_rows,
            row_nbytes=width,
            group=group,
            held=held,
            fixed_width=facts.fixed_width,
            largest_rows=largest_rows,
            output_partitions=n,
            kind="gather shards",
        ),
        budget=facts.budget,
        output_rows=rows,
        output_nbytes=facts.output_width.of(rows),
        output_width=facts.output_width,
        output_partitions=n,
        partition_nbytes=partition_nbytes,
        largest_partition_nbytes=math.ceil(largest_rows * width),
        row_nbytes=width,
        staging_nbytes=math.ceil(facts.keys.rows * width),
        staging_free_nbytes=facts.staging.free_nbytes,
        staging_directory=facts.staging.directory,
        layout=layout,
    )
    return plan, (group, held)


def heaviest_rows(keys: ShuffleKeys) -> int:
    """Return the rows of the heaviest key, or of nulls."""
    return max(int(keys.counts.max(initial=0)), keys.null_rows)


def largest_shard_rows(keys: ShuffleKeys, n_shards: int) -> int:
    """Count the rows of the largest partition; with keys that were not all counted, bound them."""
    shards = hash_shards(keys.codes, n_shards)
    loads: Loads = np.bincount(shards, weights=keys.counts.astype(np.float64), minlength=n_shards).astype(
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
