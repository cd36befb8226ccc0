"""What ``set_index`` and ``sort_values`` have in common: facts, plan, expression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, assert_never, cast

import dask.dataframe as dd
import numpy as np
from dask.dataframe.api import new_collection

from safeframe import config
from safeframe.engine.exchange.runs import check_staging
from safeframe.engine.planned.sources import source_files
from safeframe.engine.sort.nodes import SafeSort, SortRequest
from safeframe.errors import ValidationError
from safeframe.facts.budget import Budget
from safeframe.facts.files import SourceFiles
from safeframe.facts.frame import FrameProfile
from safeframe.facts.plan import Plan
from safeframe.facts.sort import (
    AlignedSort,
    Alignment,
    InPlaceSort,
    KeyQuantiles,
    P2PSort,
    SortFacts,
    SortRun,
    SortWay,
    StagedSort,
)
from safeframe.facts.strategies import SORT_STRATEGIES
from safeframe.kernels.keys.schema import common_schema, without_nan
from safeframe.kernels.routing.divisions import DivisionRouter, division_router
from safeframe.kernels.sort.rows import RangeRouter, RowOrder, check_orderable, range_router
from safeframe.planning.ladder import check_strategy
from safeframe.planning.sort.alignment import align
from safeframe.planning.sort.plan import plan_sort
from safeframe.prepare.arguments import PartitionOptions, check_keys, given_budget, may_take_p2p
from safeframe.prepare.sort.divisions import cut_by, known_divisions
from safeframe.sizing.cluster import set_up_workers, staging_facts
from safeframe.sizing.frames import profile_frame
from safeframe.sizing.p2p import p2p_facts
from safeframe.sizing.sort import gather_quantiles, weigh_quantiles
from safeframe.units import format_count


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedSort:
    """A plan and what its expression is made of."""

    frame: dd.DataFrame
    """The input."""
    request: SortRequest
    """What is made of it."""
    facts: SortFacts
    """What the plan was made from."""
    plan: Plan
    """The plan."""


def row_order(
    frame: dd.DataFrame, by: Sequence[Any], *, ascending: Sequence[bool], na_last: bool
) -> RowOrder:
    """Describe an order of a frame's rows.

    Raises
    ------
    KeyNotFoundError, ValidationError, UnsupportedError
        When a column is not there, or has no order.
    """
    check_keys(frame, by)
    if not by:
        msg = "No column is named."
        raise ValidationError(msg, hint="Name one column, or a list of them.")
    columns = [frame._meta[name] for name in by]
    dtypes = tuple(frame._meta[name].dtype for name in by)
    check_orderable(by, dtypes)
    return RowOrder(
        by=tuple(by),
        ascending=tuple(ascending),
        na_last=na_last,
        schema=without_nan(common_schema(columns, columns, left_names=by, right_names=by)),
        dtypes=dtypes,
    )


def plan_order(
    frame: dd.DataFrame,
    request: SortRequest,
    given: PartitionOptions,
    *,
    recipe: str,
    split_keys: bool = False,
    previous: SortFacts | None = None,
    quantiles: KeyQuantiles | None = None,
    profile: FrameProfile | None = None,
) -> PlannedSort:
    """Gather the facts and make the plan; keys are not read again that facts of the same frame and order have.

    Nothing of the frame is read where its ``quantiles`` and ``profile`` are given.
    """
    check_strategy(given.strategy, SORT_STRATEGIES, recipe=recipe)
    if given.divisions is not None:
        request = replace(request, cuts=division_router(request.order, given.divisions))
    # A frame that came from another process brought no sample along.
    if previous is not None and not len(previous.quantiles.codes):
        previous = None
    facts = order_facts(
        frame,
        request,
        given,
        recipe=recipe,
        split_keys=split_keys,
        quantiles=quantiles if previous is None else previous.quantiles,
        sources=None if previous is None else previous.sources,
        profile=profile,
    )
    if request.cuts is not None:
        facts = cut_by(request.cuts, facts)
    return PlannedSort(frame=frame, request=request, facts=facts, plan=plan_sort(facts))


def order_facts(
    frame: dd.DataFrame,
    request: SortRequest,
    given: PartitionOptions,
    *,
    recipe: str,
    split_keys: bool,
    quantiles: KeyQuantiles | None,
    sources: SourceFiles | None,
    budget: Budget | None = None,
    profile: FrameProfile | None = None,
) -> SortFacts:
    """Gather the facts that a plan of a sort is made from.

    ``quantiles``, ``profile`` and ``sources`` are of the frame where it was read before.
    ``budget`` is what was measured before, if it was: workers that have just read keys seem to hold more.
    """
    given = given.checked()
    if budget is None:
        set_up_workers()
        budget = given_budget(given.memory)
    if quantiles is None:
        sources = source_files(frame)
        quantiles = gather_quantiles(frame, request.order)
    known = profile is not None
    profile = profile_frame(frame, quantiles.partition_rows) if profile is None else profile
    width = profile.width
    if request.with_index:
        width += profile.kept_index_width
    output_width = width
    if request.index is not None and not request.drop:
        output_width += next(c.width for c in profile.columns if c.name == str(request.index))
    output_row_nbytes = output_width.bounding
    if width.uneven and not known and given.divisions is None and len(quantiles.codes):
        if quantiles.row_nbytes is None:
            quantiles = weigh_quantiles(frame, request.order, quantiles)
        assert quantiles.row_nbytes is not None, "they are weighed"
        # An index, and a key that stays next to it, are no columns that were weighed.
        output_row_nbytes = quantiles.row_nbytes + output_width.most - profile.width.most
    staging = staging_facts(given.staging)
    by_p2p = may_take_p2p(given.strategy, staging)
    return SortFacts(
        recipe=recipe,
        quantiles=quantiles,
        profile=profile,
        row_nbytes=width.bounding,
        output_row_nbytes=output_row_nbytes,
        output_width=output_width,
        budget=budget,
        staging=staging,
        p2p=p2p_facts(frame, budget=budget, partition_rows=quantiles.partition_rows) if by_p2p else None,
        partition_nbytes=config.partition_nbytes(given.partition_size),
        npartitions=given.npartitions,
        strategy=given.strategy,
        split_keys=split_keys,
        ordered=_not_in_order(quantiles),
        alignment=_alignment(quantiles) if request.index is not None else None,
        sources=sources,
    )


def make_collection(planned: PlannedSort) -> dd.DataFrame:
    """Return the lazy frame of a plan.

    Raises
    ------
    StagingError
        When the staging directory cannot be used.
    """
    plan = planned.plan
    assert isinstance(plan.run, SortRun), "a sort is planned"
    if isinstance(plan.run.way, StagedSort):
        check_staging(plan.run.way.directory)
    divisions = known_divisions(
        planned.frame.divisions, planned.request, planned.facts.quantiles, plan.run.way
    )
    expression = SafeSort(
        planned.frame, plan, planned.request, _router(planned, plan.run.way), planned.facts, divisions
    )
    return cast("dd.DataFrame", new_collection(expression))


def _router(planned: PlannedSort, way: SortWay) -> DivisionRouter | RangeRouter | None:
    """Return what sends rows to their shards; None where none move."""
    match way:
        case InPlaceSort() | AlignedSort():
            return None
        case StagedSort() | P2PSort():
            request = planned.request
            layout = way.staged if isinstance(way, StagedSort) else way.figures.layout
            return request.cuts or range_router(request.order, layout, planned.facts.quantiles)
        case _:
            assert_never(way)


def _alignment(quantiles: KeyQuantiles) -> Alignment | None:
    if quantiles.partitions is None or _not_in_order(quantiles) or not quantiles.key_rows:
        return None
    alignment = align(quantiles.partitions)
    return alignment if alignment.moves(len(quantiles.partition_rows)) else None


def _not_in_order(quantiles: KeyQuantiles) -> str:
    """Return why partitions cannot be taken as they are; empty when they can."""
    parts = quantiles.partitions
    if parts is None:
        return "the order is not that of one column of numbers or times"
    if quantiles.null_rows:
        return f"{format_count(quantiles.null_rows)} rows have no key"
    full = parts.rows > 0
    if not parts.increasing[full].all():
        n = int((~parts.increasing[full]).sum())
        return f"the rows of {format_count(n)} of {format_count(int(full.sum()))} partitions are not in order"
    first, last = parts.first[full], parts.last[full]
    wrong = np.flatnonzero(first[1:] < last[:-1])
    if len(wrong):
        return f"partitions overlap in their keys (after {format_count(int(wrong[0]) + 1)} of them)"
    return ""
