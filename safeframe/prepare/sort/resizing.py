"""Other partition sizes for a frame that a recipe sorts.

Its plan is made again with the requested sizes, from the keys that were
sampled already, so that no row moves twice and nothing is computed to look at it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import dask.dataframe as dd
from dask.dataframe.api import new_collection

from safeframe.engine.sort.nodes import SafeSort
from safeframe.facts.sort import SortFacts
from safeframe.prepare.arguments import PartitionOptions
from safeframe.prepare.sort.order import PlannedSort, plan_order

_REASON = "the frame is sorted anyway, and gets these sizes with it: rows move once"


def resized(ddf: Any, given: PartitionOptions, *, recipe: str) -> PlannedSort | None:
    """Plan a sorted or indexed frame again; None when it is another frame.

    Parameters
    ----------
    ddf
        Any dask dataframe.
    given
        The requested sizes.
    recipe
        The recipe that asks.

    Notes
    -----
    A key with more rows than a partition may have fills several, as
    ``rebalance_partitions`` promises; divisions are then unknown.
    """
    if not isinstance(ddf, dd.DataFrame) or not isinstance(ddf.expr, SafeSort):
        return None
    before = ddf.expr
    facts: SortFacts = before.facts
    frame, request = new_collection(before.frame), replace(before.request, cuts=None)

    def planned(*, split_keys: bool) -> PlannedSort:
        return plan_order(frame, request, given, recipe=recipe, split_keys=split_keys, previous=facts)

    after = planned(split_keys=facts.split_keys)
    if after.plan.largest_partition_nbytes > after.plan.partition_nbytes and not facts.split_keys:
        after = planned(split_keys=True)
    return replace(after, plan=replace(after.plan, reasons=(_REASON, *after.plan.reasons)))
