"""Groups by the order of their values: what is asked of them, and what a sort by keys and values would meet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import dask.dataframe as dd

from safeframe.engine.groupby.ordered_nodes import OrderedInput
from safeframe.engine.sort.nodes import SortRequest
from safeframe.errors import UnsupportedError
from safeframe.facts.budget import Budget
from safeframe.facts.groupby import GroupRun, OrderedFacts, OrderedGroups
from safeframe.facts.plan import Plan
from safeframe.kernels.groupby.calls import GroupCall
from safeframe.kernels.groupby.ranked import RankedCall, ranked_call
from safeframe.kernels.sort.rows import range_router
from safeframe.planning.groupby.ordered import sort_of_groups
from safeframe.prepare.arguments import PartitionOptions
from safeframe.prepare.sort.order import order_facts, row_order


@dataclass(frozen=True, kw_only=True, slots=True)
class ValueOrder:
    """A frame that is to be brought into the order of its keys and values."""

    frame: dd.DataFrame
    """The frame, with these columns alone."""
    request: SortRequest
    """The order."""
    asked: RankedCall
    """What is asked of the groups."""
    facts: OrderedFacts
    """What the sort would meet."""


def value_order(
    frame: dd.DataFrame, call: GroupCall, meta: Any, given: PartitionOptions, budget: Budget
) -> ValueOrder | str:
    """Look at keys and values for a sort by both; or say why there is none for such a call."""
    asked = ranked_call(call, list(frame.columns), meta)
    if isinstance(asked, str):
        return asked
    if given.npartitions == 1:
        return "groups that cross parts have a partition of their own, and one is requested"
    order = [*asked.by, asked.value]
    frame = frame[[name for name in frame.columns if name in order]]
    try:
        rows = row_order(frame, order, ascending=[True] * len(order), na_last=True)
        sort = SortRequest(order=rows, index=None, drop=False, with_index=False)
        facts = order_facts(
            frame,
            sort,
            replace(
                given,
                strategy="staged",
                npartitions=None if given.npartitions is None else given.npartitions - 1,
            ),
            recipe="groupby",
            split_keys=True,
            quantiles=None,
            sources=None,
            budget=budget,
        )
    except UnsupportedError as error:
        return error.message.rstrip(".")
    return ValueOrder(
        frame=frame,
        request=sort,
        asked=asked,
        facts=OrderedFacts(sort=facts, looks_up=asked.looks_up),
    )


def ordered_input(found: ValueOrder, plan: Plan) -> OrderedInput:
    """Return what the engine needs of a plan whose groups come in order."""
    assert isinstance(plan.run, GroupRun), "groups are planned"
    assert isinstance(plan.run.way, OrderedGroups), "by their order"
    sort = sort_of_groups(found.facts)
    assert isinstance(sort, Plan), "rows are staged"
    return OrderedInput(
        spec=found.request.spec(found.frame._meta, sort, ()),
        router=range_router(found.request.order, plan.run.way.sort.staged, found.facts.sort.quantiles),
        asked=found.asked,
    )
