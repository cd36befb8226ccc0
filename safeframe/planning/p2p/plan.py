"""Plans a shuffle by key through P2P: how many partitions, and what to refuse.

Covers: the number of partitions, and the plan.
"""

from __future__ import annotations

import math

import numpy as np

from safeframe.facts.estimate import Estimate
from safeframe.facts.p2p import P2PFacts
from safeframe.facts.plan import Candidate, Plan
from safeframe.facts.sort import P2PShuffle, ShuffleRun
from safeframe.facts.spread import Spread
from safeframe.planning.counting import counting_step
from safeframe.planning.memory import default_partition_nbytes, least_partitions
from safeframe.planning.p2p.layout import (
    bounding_row_nbytes,
    lay_out_p2p,
    p2p_task_nbytes,
    refuse_unavailable,
)
from safeframe.planning.sort.hash_shards import heaviest_key, largest_shard_rows, shards_for
from safeframe.units import format_count


def plan_p2p_shuffle(
    facts: P2PFacts, *, npartitions: int | None = None, partition_nbytes: int | None = None
) -> Plan:
    """Plan a shuffle by key through P2P.

    Parameters
    ----------
    facts
        What the workers and the frame are like, with its rows per key.
    npartitions
        Output partitions; None to choose.
    partition_nbytes
        Target for one of them in bytes; None to derive it from the budget.

    Raises
    ------
    UnsupportedError
        When P2P cannot run at all.

    Notes
    -----
    A plan that does not fit is a plan and says so. A key is never cut: where
    one is larger than the target, so is a partition.
    """
    refuse_unavailable(facts)
    keys = facts.keys
    assert keys is not None, "a shuffle by key has key statistics"
    width = bounding_row_nbytes(facts)
    target = partition_nbytes or default_partition_nbytes(p2p_task_nbytes(facts.budget), width)
    if npartitions is None:
        npartitions = shards_for(keys, max(1, int(target // max(width, 1))))
        if partition_nbytes is None:
            least = least_partitions(keys.rows * width, len(facts.partition_rows), facts.budget)
            npartitions = max(npartitions, least)
    largest_rows = largest_shard_rows(keys, npartitions)
    layout = lay_out_p2p(facts, n_shards=npartitions, largest_rows=largest_rows, even=True)
    heaviest = heaviest_key(keys, width, target)
    reasons = [
        f"{format_count(keys.rows)} rows in {format_count(npartitions)} partitions by the hash of their key",
        *layout.reasons,
    ]
    if heaviest:
        reasons.append(f"{heaviest}: P2P cannot cut a key, so that its partition is larger")
    return Plan(
        recipe="p2p_shuffle",
        strategy="p2p",
        reasons=tuple(reasons),
        rejected=(Candidate(strategy="staged", reason="p2p_shuffle moves rows through P2P alone"),),
        counting=counting_step([keys.counting]),
        steps=layout.steps,
        budget=layout.budget,
        output_rows=Estimate.computed(keys.rows),
        output_nbytes=facts.output_width.of(Estimate.computed(keys.rows)),
        output_width=facts.output_width,
        output_partitions=npartitions,
        partition_nbytes=target,
        largest_partition_nbytes=math.ceil(largest_rows * width),
        row_nbytes=width,
        staging_nbytes=layout.tightest_nbytes,
        staging_free_nbytes=layout.disk.free_nbytes,
        staging_directory=layout.disk.directory,
        run=ShuffleRun(
            way=P2PShuffle(
                settings=layout.settings, disk=layout.disk, oversized_key=reasons[-1] if heaviest else ""
            )
        ),
        partitions_before=(Spread.of("frame", np.array(facts.partition_rows) * width),),
    )
