"""From a frame and the requested columns to a plan of lag features, and its collection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, assert_never, cast

import dask.dataframe as dd
from dask.dataframe.api import new_collection

from safeframe.engine.exchange.nodes import in_memory
from safeframe.engine.exchange.runs import check_staging
from safeframe.engine.lag.nodes import LagRequest, SafeLag
from safeframe.engine.planned.sources import source_files
from safeframe.engine.sort.nodes import SortRequest
from safeframe.facts.budget import Budget
from safeframe.facts.estimate import Width
from safeframe.facts.files import SourceFiles
from safeframe.facts.lag import GroupEdges, HaloGroups, LagFacts, LagRun, P2PGroups, StagedGroups, WholeGroups
from safeframe.facts.plan import Plan
from safeframe.facts.sort import KeyQuantiles, P2PShuffle, ShuffleRun, SortFacts
from safeframe.facts.strategies import LAG_STRATEGIES
from safeframe.kernels.lag.spec import LagSpec
from safeframe.kernels.sort.rows import RangeRouter, RowOrder, range_router
from safeframe.planning.ladder import check_strategy
from safeframe.planning.lag.plan import plan_lag, whole_refused
from safeframe.prepare.arguments import PartitionOptions, given_budget
from safeframe.prepare.lag.source import LagSource, Shuffled
from safeframe.prepare.sort.divisions import range_divisions
from safeframe.prepare.sort.order import order_facts, row_order
from safeframe.sizing.cluster import set_up_workers
from safeframe.sizing.columns.fixed_widths import fixed_nbytes
from safeframe.sizing.frames import count_partition_rows
from safeframe.sizing.lag import gather_groups
from safeframe.sizing.sort import gather_quantiles

_RECIPE = "groupby_lag_transform"
_UNSTEADY = "dask cuts the frame differently whenever other columns are requested (persist() it, or write it, to keep it)"


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedLag:
    """A plan and what its expression is made of."""

    frame: dd.DataFrame
    """The input."""
    lags: LagSpec
    """What is shifted."""
    request: LagRequest
    """The orders of rows, and what becomes of the index."""
    router: RangeRouter | None
    """What sends rows to their shards; None where none move."""
    plan: Plan
    """The plan."""
    divisions: tuple[Any, ...]
    """Divisions of the result."""


def plan_lags(source: LagSource, spec: LagSpec, given: PartitionOptions) -> PlannedLag:
    """Gather the facts and make the plan.

    Raises
    ------
    ValidationError
        When the requested strategy does not exist, or cannot run.
    """
    check_strategy(given.strategy, LAG_STRATEGIES, recipe=_RECIPE)
    given = _inherited(given, source)
    everything = (*spec.by, *source.order_by)
    request = LagRequest(
        order=row_order(source.frame, everything, ascending=[True] * len(everything), na_last=True),
        groups=row_order(source.frame, spec.by, ascending=[True] * len(spec.by), na_last=True),
        index=source.index,
        drop=source.drop,
        with_index=source.with_index,
    )
    set_up_workers()
    gathering = _Gathering(
        source=source,
        spec=spec,
        given=given,
        budget=given_budget(given.memory),
        sources=source_files(source.frame),
    )
    frame, apart = source.frame, "groups are not known to be whole within partitions"
    if source.shuffle is not None:
        whole = None
        if given.strategy in (None, "whole"):
            whole = gathering.of_whole_groups(source.shuffle, request)
            apart = whole_refused(whole)
        if whole is not None and (given.strategy == "whole" or not apart):
            plan = plan_lag(whole)
            return _put_together(source, spec, request, source.frame, whole, plan)
        frame = source.shuffle.frame
    quantiles, edges = gather_groups(frame, request.groups, request.order)
    if source.unsteady:
        edges = replace(edges, out_of_order=edges.out_of_order or _UNSTEADY)
    facts = gathering.facts(frame, request, quantiles, edges=edges, apart=apart, across=False)
    plan = plan_lag(facts)
    if source.order_by and _cuts_too_few(plan):
        quantiles = gather_quantiles(frame, request.order)
        facts = gathering.facts(frame, request, quantiles, edges=edges, apart=apart, across=True)
        plan = plan_lag(facts)
    return _put_together(source, spec, request, frame, facts, plan)


def lagged(planned: PlannedLag, transform: Callable[[Any], Any] | str | None) -> dd.DataFrame:
    """Return the lazy frame of a plan.

    Raises
    ------
    StagingError
        When the staging directory cannot be used.
    """
    plan = planned.plan
    assert isinstance(plan.run, LagRun), "lag features are planned"
    if isinstance(plan.run.way, StagedGroups):
        check_staging(plan.run.way.directory)
    expression = SafeLag(
        planned.frame, plan, planned.lags, transform, planned.request, planned.router, planned.divisions
    )
    return cast("dd.DataFrame", new_collection(expression))


def _inherited(given: PartitionOptions, source: LagSource) -> PartitionOptions:
    """Take over what was requested of the sort that the frame comes from, where nothing else is."""
    if source.sorted_by is None:
        return given
    before = source.sorted_by
    sized = given.npartitions is not None or given.partition_size is not None
    return replace(
        given,
        npartitions=given.npartitions if sized else before.npartitions,
        partition_size=given.partition_size if sized else before.partition_nbytes,
        strategy=given.strategy or (before.strategy if before.strategy != "sorted" else None),
        staging=given.staging or before.staging.directory,
    )


def _cuts_too_few(plan: Plan) -> bool:
    """Whether a group is larger than a partition was to be, where rows are staged and groups can be cut."""
    assert isinstance(plan.run, LagRun), "lag features are planned"
    return isinstance(plan.run.way, StagedGroups) and plan.largest_partition_nbytes > plan.partition_nbytes


@dataclass(frozen=True, kw_only=True, slots=True)
class _Gathering:
    """What all facts of one call have in common."""

    source: LagSource
    spec: LagSpec
    given: PartitionOptions
    budget: Budget
    sources: SourceFiles | None

    def of_whole_groups(self, shuffle: Shuffled, request: LagRequest) -> LagFacts:
        """Gather the facts of a frame whose groups are whole within partitions, without a look at the keys."""
        plan = shuffle.plan
        counted = KeyQuantiles.of_rows(count_partition_rows(shuffle.frame))
        facts = self._sort_facts(shuffle.frame, request.groups, counted, split_keys=False)
        # Partitions are made by the tasks that receive their rows, next to what brings these.
        held = replace(self.budget, transport_nbytes=plan.budget.transport_nbytes)
        facts = replace(facts, quantiles=KeyQuantiles.of_rows(shuffle.partition_rows), budget=held)
        by_p2p = isinstance(plan.run, ShuffleRun) and isinstance(plan.run.way, P2PShuffle)
        return replace(
            self._lag_facts(facts, self.source.frame, edges=None, apart="", across=False), by_p2p=by_p2p
        )

    def facts(
        self,
        frame: dd.DataFrame,
        request: LagRequest,
        quantiles: KeyQuantiles,
        *,
        edges: GroupEdges,
        apart: str,
        across: bool,
    ) -> LagFacts:
        """Gather the facts of a frame whose keys were read; ``across`` cuts groups by the order of their rows."""
        # The rows of a group that are in the frame's order can be cut anywhere.
        split_keys = across or not self.source.order_by
        order = request.order if across else request.groups
        facts = self._sort_facts(frame, order, quantiles, split_keys=split_keys)
        return self._lag_facts(facts, frame, edges=edges, apart=apart, across=across)

    def _sort_facts(
        self, frame: dd.DataFrame, order: RowOrder, quantiles: KeyQuantiles, *, split_keys: bool
    ) -> SortFacts:
        source = self.source
        request = SortRequest(order=order, index=source.index, drop=source.drop, with_index=source.with_index)
        facts = order_facts(
            frame,
            request,
            self.given,
            recipe=_RECIPE,
            split_keys=split_keys,
            quantiles=quantiles,
            sources=self.sources,
            budget=self.budget,
        )
        widths = {column.name: column.width for column in facts.profile.columns}
        made, output_width = 0.0, facts.output_width
        for one in self.spec.columns:
            fixed = fixed_nbytes(one.dtype)
            made += max(widths[str(one.column)].bounding, 64.0) if fixed is None else fixed
            output_width += widths[str(one.column)] if fixed is None else Width.fixed(fixed)
        return replace(
            facts,
            output_row_nbytes=facts.output_row_nbytes + made,
            output_width=output_width,
            ordered="rows have to lie next to those of their group",
            alignment=None,
        )

    def _lag_facts(
        self,
        facts: SortFacts,
        frame: dd.DataFrame,
        *,
        edges: GroupEdges | None,
        apart: str,
        across: bool,
    ) -> LagFacts:
        widths = {column.name: column.row_nbytes for column in facts.profile.columns}
        return LagFacts(
            sort=facts,
            before=self.spec.before,
            after=self.spec.after,
            lags=len(self.spec.columns),
            needed_row_nbytes=sum(widths[str(name)] for name in self.spec.needed),
            apart=apart,
            edges=edges,
            across=across,
            waits=not facts.profile.source.self_made and not in_memory(frame.expr),
            by_p2p=False,
            why=self.source.why,
        )


def _put_together(
    source: LagSource, spec: LagSpec, request: LagRequest, frame: dd.DataFrame, facts: LagFacts, plan: Plan
) -> PlannedLag:
    quantiles = facts.sort.quantiles
    return PlannedLag(
        frame=frame,
        lags=spec,
        request=request,
        router=_router(request, quantiles, plan),
        plan=plan,
        divisions=_divisions(source, request, quantiles, plan),
    )


def _router(request: LagRequest, quantiles: KeyQuantiles, plan: Plan) -> RangeRouter | None:
    assert isinstance(plan.run, LagRun), "lag features are planned"
    way = plan.run.way
    match way:
        case WholeGroups() | HaloGroups():
            return None
        case StagedGroups(figures=figures, across=across):
            return range_router(request.order if across else request.groups, figures.layout, quantiles)
        case P2PGroups(figures=figures):
            return range_router(request.groups, figures.layout, quantiles)
        case _:
            assert_never(way)


def _divisions(
    source: LagSource, request: LagRequest, quantiles: KeyQuantiles, plan: Plan
) -> tuple[Any, ...]:
    assert isinstance(plan.run, LagRun), "lag features are planned"
    way, unknown = plan.run.way, (None,) * (plan.output_partitions + 1)
    match way:
        case WholeGroups() | HaloGroups():
            # Rows that stay when those of a shuffle do have no divisions either.
            return source.divisions or unknown
        case StagedGroups(figures=figures, across=across):
            order = request.order if across else request.groups
            by_index = source.index is not None and order.by == (source.index,)
            return range_divisions(figures, quantiles, order) if by_index else unknown
        case P2PGroups():
            return unknown
        case _:
            assert_never(way)
