"""What ``set_index``, ``sort_values`` and ``shuffle`` have in common: facts, plan, expression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import dask.dataframe as dd
import numpy as np
import pandas as pd
from dask.dataframe.api import new_collection

from safeframe import config
from safeframe.choices import check_choice
from safeframe.engine.exchange.nodes import self_made
from safeframe.engine.exchange.runs import check_staging
from safeframe.engine.planned.sources import source_files
from safeframe.engine.sort.nodes import SafeSort
from safeframe.errors import ValidationError
from safeframe.facts.budget import Budget
from safeframe.facts.p2p import P2PSettings
from safeframe.facts.plan import Plan
from safeframe.facts.sort import KeyQuantiles, SortFacts
from safeframe.kernels.columns.rows import rows_have_fixed_width
from safeframe.kernels.keys.codes import decode_codes
from safeframe.kernels.keys.schema import common_schema
from safeframe.kernels.routing.divisions import DivisionRouter, division_router
from safeframe.kernels.routing.ranges import range_router
from safeframe.kernels.sort.rows import RowOrder, check_orderable
from safeframe.planning.sort.alignment import Alignment, align
from safeframe.planning.sort.plan import SORT_STRATEGIES, plan_sort, staged_group
from safeframe.planning.sort.ranges import RangeFigures
from safeframe.prepare.arguments import check_keys, given_budget
from safeframe.prepare.sort.divisions import cut_by
from safeframe.sizing.cluster import set_up_workers, staging_facts
from safeframe.sizing.frames import profile_frame
from safeframe.sizing.p2p import p2p_facts
from safeframe.sizing.sort import gather_quantiles
from safeframe.units import format_count

__all__ = [
    "PlannedSort",
    "SortOptions",
    "known_divisions",
    "make_collection",
    "order_facts",
    "plan_order",
    "row_order",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class SortOptions:
    """The options that these recipes share, as the user gave them."""

    npartitions: int | None
    """Partitions of the result."""
    partition_size: str | int | None
    """Bound of one of them."""
    strategy: str | None
    memory: str | int | None
    """What one worker may use."""
    staging: str | None
    """Where rows are staged."""
    divisions: Sequence[Any] | None = None
    """The keys that partitions of the result begin with, and the last one's last."""

    def checked(self) -> SortOptions:
        """Refuse what contradicts itself.

        Raises
        ------
        ValidationError
            In words.
        """
        n: Any = self.npartitions
        if n is not None and (isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1):
            msg = f"npartitions={n!r} is not a number of partitions."
            raise ValidationError(msg, hint="Pass an int of at least 1, or leave it out.")
        if n is not None and self.partition_size is not None:
            msg = f"npartitions={n} and partition_size={self.partition_size!r} exclude each other."
            raise ValidationError(msg, hint="Pass one of them.")
        if self.divisions is not None and (n is not None or self.partition_size is not None):
            other = "npartitions=" if n is not None else "partition_size="
            msg = f"divisions= and {other} exclude each other."
            raise ValidationError(msg, hint="Pass one of them.")
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedSort:
    """A plan and what its expression is made of."""

    frame: dd.DataFrame
    order: RowOrder
    quantiles: KeyQuantiles
    facts: SortFacts
    """What the plan was made from."""
    plan: Plan
    figures: RangeFigures
    """Where the order is cut."""
    index: Any
    """The column that becomes the index, or None."""
    drop: bool
    """Whether it goes from the columns."""
    with_index: bool
    """Whether the input's index is kept."""
    settings: P2PSettings | None
    """Buffers that P2P is held to, when it moves the rows."""
    divisions: DivisionRouter | None = None
    """Where the user cuts the order; None where the plan does."""
    alignment: Alignment | None
    """Which keys partitions share, where the order is there already and matters; None when they share none."""


def row_order(
    frame: dd.DataFrame, by: Sequence[Any], *, ascending: Sequence[bool], na_last: bool
) -> RowOrder:
    """Describe an order of a frame's rows.

    Raises
    ------
    KeyNotFoundError, ValidationError, UnsupportedError
        When a column is not there, or has no order.
    """
    check_keys(frame, by, "ddf")
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
        schema=common_schema(columns, columns, left_names=by, right_names=by),
        dtypes=dtypes,
    )


def plan_order(
    frame: dd.DataFrame,
    order: RowOrder,
    given: SortOptions,
    *,
    recipe: str,
    index: Any = None,
    drop: bool = True,
    with_index: bool = True,
    split_keys: bool = False,
    quantiles: KeyQuantiles | None = None,
) -> PlannedSort:
    """Gather the facts and make the plan."""
    if given.strategy is not None:
        check_choice(given.strategy, SORT_STRATEGIES, argument="strategy", what=f"a strategy of {recipe}")
    divisions = None if given.divisions is None else division_router(order, given.divisions)
    sources = source_files(frame)
    facts, alignment = order_facts(
        frame,
        order,
        given,
        recipe=recipe,
        index=index,
        drop=drop,
        with_index=with_index,
        split_keys=split_keys,
        quantiles=quantiles,
    )
    quantiles = facts.quantiles
    if divisions is not None:
        facts, alignment = cut_by(divisions, facts), None
    n_in_place = len(alignment.starts) if alignment is not None else len(quantiles.partition_rows)
    plan, figures, settings = plan_sort(facts, n_in_place)
    return PlannedSort(
        frame=frame,
        order=order,
        quantiles=quantiles,
        facts=facts,
        plan=replace(plan, sources=sources),
        figures=figures,
        index=index,
        drop=drop,
        with_index=with_index,
        divisions=divisions,
        alignment=alignment,
        settings=settings,
    )


def order_facts(
    frame: dd.DataFrame,
    order: RowOrder,
    given: SortOptions,
    *,
    recipe: str,
    index: Any,
    drop: bool,
    with_index: bool,
    split_keys: bool,
    quantiles: KeyQuantiles | None,
    budget: Budget | None = None,
) -> tuple[SortFacts, Alignment | None]:
    """Gather what decides how rows are brought to an order, and which keys partitions share that are in order.

    ``budget`` is what was measured before, if it was: workers that have just read keys seem to hold more.
    """
    given = given.checked()
    if budget is None:
        set_up_workers()
        budget = given_budget(given.memory)
    if quantiles is None:
        quantiles = gather_quantiles(frame, order)
    profile = profile_frame(frame, quantiles.partition_rows)
    width = profile.width
    if with_index:
        width += profile.kept_index_width
    output_width = width
    if index is not None and not drop:
        output_width += next(c.width for c in profile.columns if c.name == str(index))
    alignment = _alignment(quantiles, order) if index is not None else None
    staging = staging_facts(given.staging)
    by_p2p = given.strategy == "p2p" or (given.strategy is None and staging.directory is None)
    facts = SortFacts(
        recipe=recipe,
        quantiles=quantiles,
        profile=profile,
        row_nbytes=width.bounding,
        output_row_nbytes=output_width.bounding,
        output_width=output_width,
        budget=budget,
        staging=staging,
        p2p=p2p_facts(frame, budget=budget, partition_rows=quantiles.partition_rows) if by_p2p else None,
        partition_nbytes=config.partition_nbytes(given.partition_size),
        npartitions=given.npartitions,
        strategy=given.strategy,
        split_keys=split_keys,
        ordered=_not_in_order(quantiles, order),
        held_rows=alignment.held_rows if alignment is not None else 0,
        self_made=self_made(frame),
        fixed_width=rows_have_fixed_width([*frame._meta.dtypes, frame._meta.index.dtype]),
    )
    return facts, alignment


def make_collection(planned: PlannedSort) -> dd.DataFrame:
    """Return the lazy frame of a plan.

    Raises
    ------
    StagingError
        When the staging directory cannot be used.
    """
    plan = planned.plan
    if plan.strategy == "staged" and plan.staging_directory is not None:
        check_staging(plan.staging_directory)
    layout = planned.figures.layout
    expression = SafeSort(
        planned.frame,
        plan=plan,
        router=planned.divisions or range_router(planned.order, layout, planned.quantiles),
        order=planned.order,
        by=planned.order.by,
        given_divisions=known_divisions(planned),
        index_column=planned.index,
        drop=planned.drop,
        group=staged_group(planned.facts),
        with_index=planned.with_index,
        alignment=planned.alignment if plan.strategy == "sorted" else None,
        p2p=planned.settings,
        parts=planned.quantiles.partitions if plan.strategy == "sorted" else None,
    )
    object.__setattr__(expression, "planned", planned)  # plain attributes of an expression are its operands
    return cast("dd.DataFrame", new_collection(expression))


def _alignment(quantiles: KeyQuantiles, order: RowOrder) -> Alignment | None:
    if quantiles.partitions is None or _not_in_order(quantiles, order) or not quantiles.key_rows:
        return None
    alignment = align(quantiles.partitions)
    return alignment if alignment.moves(len(quantiles.partition_rows)) else None


def _not_in_order(quantiles: KeyQuantiles, order: RowOrder) -> str:
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


def known_divisions(planned: PlannedSort) -> tuple[Any, ...]:
    """Return the divisions of the result; known where a column becomes the index, or rows and their index stay."""
    n = planned.plan.output_partitions
    unknown = (None,) * (n + 1)
    quantiles, order = planned.quantiles, planned.order
    if planned.divisions is not None:
        return planned.divisions.given
    stays = planned.plan.strategy == "sorted" and planned.alignment is None
    if planned.index is None and stays and planned.with_index:
        return tuple(planned.frame.divisions)
    if planned.index is None or len(quantiles.codes) == 0:
        return unknown
    if (planned.figures.layout.cells > 1).any() and planned.plan.strategy != "sorted":
        return unknown  # a key, or the nulls, fill several partitions
    dtype = order.dtypes[0]
    if isinstance(dtype, pd.CategoricalDtype) and not dtype.categories.is_monotonic_increasing:
        return unknown  # dask compares divisions as values, and these are in another order
    if planned.plan.strategy == "sorted":
        parts = quantiles.partitions
        assert parts is not None, "only keys with codes are known to be in order"
        aligned = planned.alignment or align(parts)
        codes = np.append(aligned.starts, np.uint64(aligned.last))
        return tuple(_key_values(codes, order))
    firsts = planned.figures.first_keys
    layout = planned.figures.layout
    if quantiles.values is not None:
        keys = quantiles.values[order.by[0]]
        starts, last = [keys.iloc[i] for i in firsts], keys.iloc[-1]
        beyond = f"{last}\0" if isinstance(last, str) else None
    else:
        codes = quantiles.codes[firsts]
        last_code = quantiles.codes[-1]
        *starts, last = _key_values(np.append(codes, last_code), order)
        beyond = _key_values(np.array([last_code + np.uint64(1)]), order)[0]
    if not layout.null_shard:
        return (*starts, last)
    # Nulls have a partition of their own, behind every key that there is.
    return unknown if beyond is None or not beyond > last else (*starts, beyond, beyond)


def _key_values(codes: Any, order: RowOrder) -> list[Any]:
    values = decode_codes(codes, order.schema)
    dtype = order.dtypes[0]
    zone = getattr(dtype, "tz", None) or getattr(getattr(dtype, "pyarrow_dtype", None), "tz", None)
    return [value.tz_convert(zone) for value in values] if zone is not None else values
