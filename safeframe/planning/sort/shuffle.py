"""Plans a shuffle: rows of a key into one partition, by the key's hash.

1. ``staged``: rows pass through a place that all workers reach.
2. ``p2p``: there is no such place; dask's P2P moves the rows between workers.

A key is never cut, so that a key with more rows than a partition should have
makes a larger one; the plan says so, and does not fit when a worker cannot hold it.
"""

from __future__ import annotations

import math
from dataclasses import replace

from safeframe.facts.estimate import Estimate
from safeframe.facts.layout import ShardLayout
from safeframe.facts.plan import Plan
from safeframe.facts.sort import ShuffleFacts, ShuffleRun, StagedShuffle
from safeframe.facts.spread import Spread
from safeframe.planning.counting import counting_step
from safeframe.planning.exchange import columns_nbytes, exchange_steps, stage_tasks, staged_nbytes
from safeframe.planning.ladder import climb
from safeframe.planning.memory import default_partition_nbytes, least_partitions
from safeframe.planning.p2p.plan import plan_p2p_shuffle
from safeframe.planning.sort.cells import with_shards
from safeframe.planning.sort.hash_shards import heaviest_key, largest_shard_rows, shards_for
from safeframe.units import format_count


def plan_shuffle(facts: ShuffleFacts) -> Plan:
    """Choose the strategy and the partitions, and say what they cost; a plan that does not fit says so in ``fits``.

    Raises
    ------
    ValidationError
        When the facts name a strategy that does not exist, or rows cannot be staged and have to be.
    UnsupportedError
        When P2P cannot run and has to.
    """
    chosen = climb(
        {"staged": lambda: _staged(facts), "p2p": lambda: _by_p2p(facts)},
        recipe="shuffle",
        requested=facts.strategy,
    )
    return replace(chosen.offer, rejected=chosen.rejected)


def _by_p2p(facts: ShuffleFacts) -> Plan:
    assert facts.p2p is not None, "facts of P2P are gathered where it may be chosen"
    plan = plan_p2p_shuffle(facts.p2p, npartitions=facts.npartitions, partition_nbytes=facts.partition_nbytes)
    return replace(plan, recipe="shuffle")


def _staged(facts: ShuffleFacts) -> Plan | str:
    staging = facts.staging
    if staging.directory is None:
        return staging.unavailable
    facts.profile.check_writable()
    width, keys = facts.row_nbytes, facts.keys
    target = facts.partition_nbytes or default_partition_nbytes(max(facts.budget.task_nbytes, 0), width)
    n = facts.npartitions or shards_for(keys, max(1, int(target / max(width, 1e-9))))
    if facts.npartitions is None and facts.partition_nbytes is None:
        n = max(n, least_partitions(keys.rows * width, len(facts.partition_rows), facts.budget))
    largest_rows = largest_shard_rows(keys, n)
    group = stage_tasks(facts.partition_rows, width, facts.budget, facts.profile.source, n)
    reasons = [
        f"rows pass through {staging.directory} into {format_count(n)} partitions by the hash of their key"
    ]
    heaviest = heaviest_key(keys, width, target)
    if heaviest:
        reasons.append(f"{heaviest}: a key is in one partition, which is larger for it")
    rows = Estimate.computed(keys.rows)
    return Plan(
        recipe="shuffle",
        strategy="staged",
        reasons=tuple(reasons),
        rejected=(),
        steps=with_shards(
            exchange_steps(
                partition_rows=facts.partition_rows,
                row_nbytes=width,
                source=facts.profile.source,
                tasks=group,
                largest_rows=largest_rows,
                output_partitions=n,
                kind="gather shards",
            ),
            shard_rows=None,
            rows=largest_rows,
            row_nbytes=width,
            task_nbytes=max(facts.budget.task_nbytes, 0),
        ),
        counting=counting_step([keys.counting]),
        budget=facts.budget,
        output_rows=rows,
        output_nbytes=facts.output_width.of_all(rows),
        output_width=facts.output_width,
        output_partitions=n,
        partition_nbytes=target,
        largest_partition_nbytes=math.ceil(largest_rows * width),
        row_nbytes=width,
        staging_nbytes=staged_nbytes((math.ceil(keys.rows * width), group.size)) + columns_nbytes([group]),
        staging_free_nbytes=staging.free_nbytes,
        staging_directory=staging.directory,
        run=ShuffleRun(
            way=StagedShuffle(directory=staging.directory, layout=ShardLayout.of_hashes(n), group=group)
        ),
        partitions_before=(Spread.of("frame", facts.partition_rows * width),),
    )
