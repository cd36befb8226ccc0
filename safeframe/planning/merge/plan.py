"""Chooses how a merge runs: the cheapest strategy that fits a worker, of equally cheap ones the first.

1. ``table``, a form of ``broadcast``: one side has each key once, and its rows are
   looked up in a memory-mapped table. It is decided before keys are counted, which is its point.
2. ``sorted``: the partitions of both sides hold ranges of the key that do not
   overlap, so that each output partition needs a few neighbours of either side.
3. ``broadcast``: one side is small, in bytes; every worker holds it whole, and
   partitions of the other side are cut where their result would be too large.
4. ``sorted-one-side``: one side's partitions are in key order; the rows of the
   other one pass through a directory that the workers share.
5. ``staged``: rows of both sides do.
6. ``p2p``: there is no such directory; dask's P2P moves the rows between the workers.

Each rung returns a plan's steps, with what they move, or the reason why it cannot
run; a plan whose only strategy does not fit is still a plan.
"""

from __future__ import annotations

import functools
import math

from safeframe.facts.budget import Budget
from safeframe.facts.keys import Codes
from safeframe.facts.merge import MergeFacts, MergeRun, TableMerge, WritePlan
from safeframe.facts.plan import Plan
from safeframe.facts.spread import Spread
from safeframe.facts.strategies import ORDERED_STRATEGIES
from safeframe.planning.counting import counting_step
from safeframe.planning.ladder import Rung, climb
from safeframe.planning.memory import default_shard_nbytes
from safeframe.planning.merge.broadcast import by_broadcast
from safeframe.planning.merge.in_order import by_one_side, by_sorted, sides_of
from safeframe.planning.merge.key_loads import KeyLoads, key_loads, loads_in_order
from safeframe.planning.merge.load_widths import load_widths
from safeframe.planning.merge.offer import Offer, bounding_widths, output_target
from safeframe.planning.merge.p2p import by_p2p
from safeframe.planning.merge.ranges import plan_ranges
from safeframe.planning.merge.shards import LayoutFigures, lay_out
from safeframe.planning.merge.sliced import files_are_free, plan_sliced
from safeframe.planning.merge.staged import by_staged
from safeframe.planning.merge.table import by_table
from safeframe.planning.merge.without_rows import plan_write
from safeframe.units import format_nbytes


def plan_merge(facts: MergeFacts) -> Plan:
    """Choose the strategy of a merge and say what it costs.

    Parameters
    ----------
    facts
        Key statistics, sizes and budget.

    Returns
    -------
    Plan
        Always: a plan that does not fit says so in ``fits``.

    Raises
    ------
    ValidationError
        When the facts name a strategy that does not exist, or that cannot run
        on these inputs.
    """
    task_nbytes = max(facts.budget.task_nbytes, 0)
    widths = bounding_widths(facts)
    target = output_target(facts, widths, task_nbytes)

    @functools.cache
    def loads() -> KeyLoads:
        # Not of a merge that looks up in a table, which is chosen before any keys are counted.
        return loads_in_order(key_loads(facts.left.keys, facts.right.keys, facts.how), facts.left.keys.schema)

    def laid_out(cuts: Codes | None = None) -> LayoutFigures:
        return lay_out(
            loads(),
            left_row_nbytes=widths.left,
            right_row_nbytes=widths.right,
            output_row_nbytes=widths.output,
            shard_nbytes=default_shard_nbytes(task_nbytes),
            partition_nbytes=target.partition_nbytes,
            packed_nbytes=target.packed_nbytes,
            widths=load_widths(facts, loads(), widths),
            cuts=cuts,
            whole_keys=facts.ordered,
        )

    rungs: dict[str, Rung[Offer]] = {
        "table": lambda: by_table(facts),
        "sorted": lambda: by_sorted(facts, widths, laid_out),
        "broadcast": lambda: by_broadcast(facts, widths, target.partition_nbytes),
        "sorted-one-side": lambda: by_one_side(facts, widths, laid_out),
        "staged": lambda: by_staged(facts, widths, laid_out),
        "p2p": lambda: by_p2p(facts, widths, loads()),
    }
    if facts.ordered:
        # The other ways do not give the result in the order of its keys.
        rungs = {name: rungs[name] for name in ORDERED_STRATEGIES}
    recipe = "sorted_merge" if facts.ordered else "merge"
    decision = climb(
        rungs,
        recipe=recipe,
        requested=facts.strategy,
        forms={"table": "broadcast"},
        unfit=lambda offer: _unfit(offer, facts.budget),
        cost=lambda offer: offer.cost,
    )
    offer = decision.offer
    for side in offer.moved:
        # Rows of other types would not come back as they were.
        sides_of(facts, widths)[side][0].profile.check_writable()
    write: WritePlan | str = "a merge with keys that come once repeats no row of the other side"
    if not isinstance(offer.way, TableMerge):
        write = plan_write(facts, widths, loads())
    sliced = None
    if isinstance(write, str) and files_are_free(facts, offer):
        writes = [plan_sliced(facts, widths, offer), plan_ranges(facts, widths, offer)]
        sliced = min(
            (one for one in writes if one is not None), key=lambda one: one.cost.seconds, default=None
        )
    return Plan(
        recipe=recipe,
        strategy=decision.strategy,
        reasons=offer.reasons,
        rejected=decision.rejected,
        counting=counting_step([facts.left.keys.counting, facts.right.keys.counting]),
        steps=offer.steps,
        budget=offer.budget or facts.budget,
        output_rows=facts.estimate.rows,
        output_nbytes=facts.estimate.nbytes,
        output_width=facts.estimate.width,
        output_partitions=offer.output_partitions,
        partition_nbytes=offer.partition_nbytes or target.partition_nbytes,
        largest_partition_nbytes=math.ceil(offer.largest_rows * widths.output),
        row_nbytes=widths.output,
        staging_nbytes=offer.staging_nbytes,
        staging_free_nbytes=None if offer.staging is None else offer.staging.free_nbytes,
        staging_directory=None if offer.staging is None else offer.staging.directory,
        run=MergeRun(estimate=facts.estimate, way=offer.way, write=write, sliced=sliced),
        advice=offer.advice,
        cost=offer.cost,
        sources=facts.sources,
        partitions_before=(
            Spread.of("left", facts.left.keys.partitions.rows * widths.left),
            Spread.of("right", facts.right.keys.partitions.rows * widths.right),
        ),
        partitions_after=offer.sizes,
    )


def _unfit(offer: Offer, budget: Budget) -> str:
    budget = offer.budget or budget
    projected = budget.projected_worker_nbytes(max(step.task_peak_nbytes for step in offer.steps))
    if projected <= budget.allowed_nbytes:
        return ""
    return (
        f"it would take a worker to {format_nbytes(projected)}, above {format_nbytes(budget.allowed_nbytes)}"
    )
