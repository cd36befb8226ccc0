"""Plans a bag's group-by: how many partitions and shards, and what they cost.

Only the sizes of some partitions are known before the run. Keys are not, since
the key function is called once per item. So partitions are planned half full, and
their limit is checked when all items are staged and counted, before any group is made.
"""

from __future__ import annotations

import math

import numpy as np

from safeframe import options
from safeframe.errors import ValidationError
from safeframe.facts.bag import BagFacts, BagLimit, BagRun
from safeframe.facts.estimate import Estimate, Width
from safeframe.facts.plan import Plan, Step
from safeframe.facts.spread import Spread
from safeframe.planning.memory import bag_partition_peak_nbytes, bag_stage_peak_nbytes, least_partitions
from safeframe.units import format_count, format_nbytes


def plan_bag_groupby(facts: BagFacts) -> Plan:
    """Choose the partitions and say what they cost.

    Returns
    -------
    Plan
        Always, where items can be moved at all: one that does not fit says so in ``fits``.

    Raises
    ------
    ValidationError
        When there is no place that all workers reach.
    """
    if facts.staging.directory is None:
        msg = f"The bag cannot be grouped: {facts.staging.unavailable}."
        raise ValidationError(
            msg, hint="Name a directory or object store in staging= that all workers can reach."
        )
    sizes, budget = facts.sizes, facts.budget
    task = max(budget.task_nbytes, options.MIN_PARTITION_NBYTES)
    items = _items(facts)
    upper_nbytes = int(items.upper * sizes.item_nbytes)
    most = max(int(task / options.BAG_COPIES), options.MIN_PARTITION_NBYTES)
    target = min(most // 2, options.MAX_PARTITION_NBYTES)
    least = least_partitions(items.expected * sizes.item_nbytes, sizes.partitions, budget)
    n = facts.npartitions or max(least, math.ceil(upper_nbytes / target))
    # No partition has more than there is; and where the user's are to be larger than those planned here, it
    # is theirs that are promised.
    everything = upper_nbytes + options.BAG_GROUP_NBYTES * items.upper
    evenly = math.ceil(options.BAG_UNEVENNESS * items.expected * sizes.item_nbytes / n)
    largest = max(min(most, everything), evenly, options.MIN_PARTITION_NBYTES)
    limit = BagLimit(partitions=n, nbytes=largest, split_large_groups=facts.split_large_groups)
    run = _run(facts, facts.staging.directory, limit, task)
    margin = 1.0 if sizes.exact else options.SAMPLE_MARGIN
    partition_items = math.ceil(margin * sizes.largest_items)
    partition = int(partition_items * sizes.item_nbytes)
    block_items = min(run.block_items, partition_items)
    block = int(block_items * sizes.item_nbytes)
    steps = (
        Step(
            kind="stage groups of partitions" if run.group > 1 else "stage partitions",
            tasks=math.ceil(sizes.partitions / run.group),
            task_peak_nbytes=bag_stage_peak_nbytes(
                partition_nbytes=partition,
                block_nbytes=block,
                block_items=block_items,
                held_nbytes=run.held_nbytes,
            ),
            reason=(
                f"a partition of {format_nbytes(partition)} as Python objects, {format_nbytes(block)} × 2 of it with "
                f"their keys, {options.BAG_ROW_NBYTES} B for each of {format_count(block_items)} items of these, and "
                f"{format_nbytes(run.held_nbytes)} that wait to be written"
            ),
        ),
        Step(
            kind="gather groups",
            tasks=n,
            task_peak_nbytes=bag_partition_peak_nbytes(partition_nbytes=largest),
            reason=f"groups of {format_nbytes(largest)} × {options.BAG_COPIES:g}, as Python objects",
        ),
    )
    large = "is returned in pieces" if facts.split_large_groups else "is refused"
    return Plan(
        recipe="bag_groupby",
        strategy="staged",
        reasons=(
            (
                f"items pass through {facts.staging.directory} into {format_count(run.n_shards)} shards by the hash of "
                f"their key, and these into {format_count(n)} partitions by their bytes"
            ),
            f"sizes are those of {format_count(sizes.sampled)} of {format_count(sizes.partitions)} partitions",
            f"a key of more than {format_nbytes(largest)} {large}",
        ),
        rejected=(),
        steps=steps,
        budget=budget,
        output_rows=items,
        output_nbytes=_item_width(sizes.item_nbytes).of(items),
        output_partitions=n,
        partition_nbytes=target,
        largest_partition_nbytes=largest,
        row_nbytes=sizes.item_nbytes,
        run=run,
        staging_nbytes=int(items.expected * (sizes.staged_item_nbytes + options.BAG_STAGED_ITEM_NBYTES)),
        staging_free_nbytes=facts.staging.free_nbytes,
        staging_directory=facts.staging.directory,
        partitions_before=(Spread.of("bag", np.array(sizes.partition_nbytes), partitions=sizes.partitions),),
        advice=f"Request {format_count(math.ceil(upper_nbytes / target))} partitions (npartitions=), or leave it out."
        if facts.npartitions is not None
        else "Make the bag with smaller partitions.",
    )


def _item_width(item_nbytes: float) -> Width:
    """Return the width of items, of which some partitions were measured: it is that of the widest of these."""
    return Width(least=0.0, expected=item_nbytes, most=item_nbytes, widest=item_nbytes, exact=False)


def _items(facts: BagFacts) -> Estimate:
    sizes = facts.sizes
    if sizes.exact:
        return Estimate.computed(sizes.items)
    expected = sizes.items * sizes.partitions / max(sizes.sampled, 1)
    return Estimate(
        lower=sizes.items,
        expected=int(expected),
        upper=int(expected * options.SAMPLE_MARGIN),
        method="sample",
        exact=False,
    )


def _run(facts: BagFacts, directory: str, limit: BagLimit, task_nbytes: int) -> BagRun:
    sizes, budget, n = facts.sizes, facts.budget, limit.partitions
    block_items = max(1, int(task_nbytes / 8 / (2 * sizes.item_nbytes + options.BAG_ROW_NBYTES)))
    waiting = options.GROUP_COPIES * (sizes.staged_item_nbytes + options.BAG_STAGED_ITEM_NBYTES)
    block_items = max(1, min(block_items, int(task_nbytes / 8 / waiting)))
    room = min(task_nbytes // 4, int(options.GROUP_COPIES * options.GROUP_NBYTES))
    held = max(room, int(waiting * block_items))
    group = 1
    if facts.self_made:
        fitting = held / max(waiting * sizes.largest_items, 1.0)
        busy = sizes.partitions / (options.GROUP_ROUNDS * budget.n_workers * budget.threads_per_worker)
        group = max(1, int(min(fitting, busy)))
    tasks = math.ceil(sizes.partitions / group)
    n_shards = min(options.BAG_SHARDS * n, options.BAG_MAX_SHARDS, options.BAG_MAX_PIECES // max(tasks, 1))
    return BagRun(
        directory=directory,
        n_shards=1 if n == 1 else max(n, n_shards),
        group=group,
        block_items=block_items,
        held_nbytes=held,
        limit=limit,
    )
