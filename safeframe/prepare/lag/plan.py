"""From a frame and the requested columns to a plan of lag features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import dask.dataframe as dd
import numpy as np

from safeframe.choices import check_choice
from safeframe.engine.exchange.nodes import in_memory
from safeframe.engine.lag.nodes import LagMoves
from safeframe.engine.planned.sources import source_files
from safeframe.facts.budget import Budget
from safeframe.facts.estimate import Width
from safeframe.facts.keys import Counts
from safeframe.facts.lag import GroupEdges, LagFacts
from safeframe.facts.sort import KeyQuantiles, SortFacts
from safeframe.kernels.lag.spec import LagSpec
from safeframe.kernels.routing.ranges import range_router
from safeframe.kernels.sort.rows import RowOrder
from safeframe.planning.lag.plan import LAG_STRATEGIES, LagPlan
from safeframe.planning.lag.plan import plan_lag as make_plan
from safeframe.planning.sort.plan import staged_group
from safeframe.prepare.arguments import given_budget
from safeframe.prepare.lag.source import LagSource
from safeframe.prepare.sort.order import PlannedSort, SortOptions, known_divisions, order_facts, row_order
from safeframe.sizing.cluster import set_up_workers
from safeframe.sizing.columns.fixed_widths import fixed_nbytes
from safeframe.sizing.frames import count_partition_rows
from safeframe.sizing.lag import gather_groups
from safeframe.sizing.sort import gather_quantiles

__all__ = ["PlannedLag", "plan_lags"]

_RECIPE = "groupby_lag_transform"
_UNSTEADY = "dask cuts the frame differently whenever other columns are requested (persist() it, or write it, to keep it)"


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedLag:
    """A plan and what its expression is made of."""

    frame: dd.DataFrame
    lags: LagSpec
    """What is shifted."""
    lag: LagPlan
    moves: LagMoves
    """How rows come next to those of their group."""
    divisions: tuple[Any, ...]
    """Divisions of the result."""


def plan_lags(source: LagSource, spec: LagSpec, given: SortOptions) -> PlannedLag:
    """Gather the facts and make the plan."""
    given = _inherited(given, source)
    set_up_workers()
    budget = given_budget(given.memory)
    groups = row_order(source.frame, spec.by, ascending=[True] * len(spec.by), na_last=True)
    everything = (*spec.by, *source.order_by)
    order = row_order(source.frame, everything, ascending=[True] * len(everything), na_last=True)
    sources = source_files(source.frame)
    planned = _whole(source, spec, groups, order, given, budget) or _looked_at(
        source, spec, groups, order, given, budget
    )
    return replace(planned, lag=replace(planned.lag, plan=replace(planned.lag.plan, sources=sources)))


def _inherited(given: SortOptions, source: LagSource) -> SortOptions:
    """Take over what was asked for when the frame was to be brought to its order, where nothing else is."""
    if source.brought is None:
        return given
    before = source.brought.facts
    sized = given.npartitions is not None or given.partition_size is not None
    return replace(
        given,
        npartitions=given.npartitions if sized else before.npartitions,
        partition_size=given.partition_size if sized else before.partition_nbytes,
        strategy=given.strategy or (before.strategy if before.strategy != "sorted" else None),
        staging=given.staging or before.staging.directory,
    )


def _whole(
    source: LagSource,
    spec: LagSpec,
    groups: RowOrder,
    order: RowOrder,
    given: SortOptions,
    budget: Budget,
) -> PlannedLag | None:
    """Plan for groups that are whole within partitions, without a look at the keys; None where they are not."""
    if given.strategy is not None:
        check_choice(
            given.strategy, LAG_STRATEGIES, argument="strategy", what="a strategy of groupby_lag_transform"
        )
    if given.strategy not in (None, "whole"):
        return None
    if source.shuffled is None or source.unshuffled is None:
        return None
    before, plan = source.unshuffled, source.shuffled
    n, total = plan.output_partitions, int(plan.output_rows)
    rows = np.full(n, -(-total // n), np.int64)
    rows[0] = max(int(plan.largest_partition_nbytes / max(plan.row_nbytes, 1e-9)), int(rows[0]))
    facts = _facts(
        before,
        source,
        spec,
        groups,
        given,
        budget,
        _unsampled(count_partition_rows(before)),
        split_keys=False,
    )
    # Partitions are made by the tasks that receive their rows, in addition to what moves these.
    held = replace(budget, transport_nbytes=plan.budget.transport_nbytes)
    facts = replace(facts, quantiles=_unsampled(rows), budget=held)
    lag_facts = _lag_facts(facts, spec, source, edges=None, apart="", across=False)
    lag = make_plan(replace(lag_facts, by_p2p=plan.strategy == "p2p"), only_in_place=True)
    if lag is None:
        return None
    return _put_together(source, spec, order, lag, None)


def _unsampled(rows: Counts) -> KeyQuantiles:
    """Return the rows of partitions alone, where no keys are looked at."""
    nothing = np.empty(0)
    return KeyQuantiles(
        codes=np.empty(0, np.uint64),
        rows=nothing,
        below=nothing,
        below_error=nothing,
        total_rows=int(rows.sum()),
        null_rows=0,
        values=None,
        partitions=None,
        partition_rows=rows,
    )


def _looked_at(
    source: LagSource,
    spec: LagSpec,
    groups: RowOrder,
    order: RowOrder,
    given: SortOptions,
    budget: Budget,
) -> PlannedLag:
    """Plan with a look at the keys."""
    if source.unshuffled is not None:
        source = replace(source, frame=source.unshuffled)
    frame = source.frame
    quantiles, edges = gather_groups(frame, groups, order)
    if source.unsteady:
        edges = replace(edges, out_of_order=edges.out_of_order or _UNSTEADY)
    sorted_too = bool(source.order_by)
    # The rows of a group that are in the frame's order can be cut anywhere.
    facts = _facts(frame, source, spec, groups, given, budget, quantiles, split_keys=not sorted_too)
    apart = "groups are not known to be whole within partitions"
    lag = make_plan(_lag_facts(facts, spec, source, edges=edges, apart=apart, across=False))
    assert lag is not None, "an exchange can always be planned"
    router_order = groups
    plan = lag.plan
    if sorted_too and plan.strategy == "staged" and plan.largest_partition_nbytes > plan.partition_nbytes:
        quantiles = gather_quantiles(frame, order)
        facts = _facts(frame, source, spec, order, given, budget, quantiles, split_keys=True)
        lag = make_plan(_lag_facts(facts, spec, source, edges=edges, apart=apart, across=True))
        assert lag is not None, "as above"
        router_order = order
    planned = None
    if lag.figures is not None:
        planned = PlannedSort(
            frame=frame,
            order=router_order,
            quantiles=quantiles,
            facts=facts,
            plan=lag.plan,
            figures=lag.figures,
            index=source.index,
            drop=source.drop,
            with_index=source.with_index,
            settings=lag.settings,
            alignment=None,
        )
    return _put_together(source, spec, order, lag, planned)


def _facts(
    frame: dd.DataFrame,
    source: LagSource,
    spec: LagSpec,
    order: RowOrder,
    given: SortOptions,
    budget: Budget,
    quantiles: KeyQuantiles,
    *,
    split_keys: bool,
) -> SortFacts:
    facts, _ = order_facts(
        frame,
        order,
        given,
        recipe=_RECIPE,
        index=source.index,
        drop=source.drop,
        with_index=source.with_index,
        split_keys=split_keys,
        quantiles=quantiles,
        budget=budget,
    )
    widths = {column.name: column.width for column in facts.profile.columns}
    made, output_width = 0.0, facts.output_width
    for one in spec.columns:
        fixed = fixed_nbytes(one.dtype)
        made += max(widths[str(one.column)].bounding, 64.0) if fixed is None else fixed
        output_width += widths[str(one.column)] if fixed is None else Width.fixed(fixed)
    return replace(
        facts,
        output_row_nbytes=facts.output_row_nbytes + made,
        output_width=output_width,
        ordered="rows have to come next to those of their group",
        held_rows=0,
    )


def _lag_facts(
    facts: SortFacts, spec: LagSpec, source: LagSource, *, edges: GroupEdges | None, apart: str, across: bool
) -> LagFacts:
    widths = {column.name: column.row_nbytes for column in facts.profile.columns}
    return LagFacts(
        sort=facts,
        before=spec.before,
        after=spec.after,
        lags=len(spec.columns),
        needed_row_nbytes=sum(widths[str(name)] for name in spec.needed),
        apart=apart,
        edges=edges,
        across=across,
        waits=not facts.self_made and not in_memory(source.frame.expr),
        by_p2p=False,
        why=source.why,
    )


def _put_together(
    source: LagSource, spec: LagSpec, order: RowOrder, lag: LagPlan, planned: PlannedSort | None
) -> PlannedLag:
    plan = lag.plan
    n = plan.output_partitions
    divisions: tuple[Any, ...] = (None,) * (n + 1)
    if planned is None:
        # Rows that stay when those of a shuffle do have no divisions either.
        divisions = source.divisions or divisions
    elif source.index is not None and planned.order.by == (source.index,) and plan.strategy == "staged":
        divisions = known_divisions(planned)
    moves = LagMoves(
        order=order,
        index=source.index,
        drop=source.drop,
        with_index=source.with_index,
        halo=lag.halo,
        router=None
        if planned is None
        else range_router(planned.order, planned.figures.layout, planned.quantiles),
        group=(1, 0) if planned is None else staged_group(planned.facts),
        across=planned is not None and planned.order.by == order.by and bool(source.order_by),
        p2p=lag.settings,
    )
    return PlannedLag(frame=source.frame, lags=spec, lag=lag, moves=moves, divisions=divisions)
