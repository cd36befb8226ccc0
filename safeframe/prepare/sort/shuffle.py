"""What ``shuffle`` and ``p2p_shuffle`` have in common: facts, plan, expression."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any, assert_never, cast

import dask.dataframe as dd
from dask.dataframe.api import new_collection

from safeframe import config
from safeframe.engine.exchange.runs import check_staging
from safeframe.engine.planned.sources import source_files
from safeframe.engine.sort.nodes import SafeShuffle
from safeframe.errors import MemoryBudgetError, SafeframeWarning, StagingFullError
from safeframe.facts.keys import KeySchema, KeyStatistics, ShuffleKeys
from safeframe.facts.plan import Plan
from safeframe.facts.sort import P2PShuffle, ShuffleFacts, ShuffleRun, StagedShuffle
from safeframe.facts.strategies import SHUFFLE_STRATEGIES
from safeframe.planning.ladder import cannot_run, check_strategy
from safeframe.planning.p2p.plan import plan_p2p_shuffle
from safeframe.planning.sort.shuffle import plan_shuffle
from safeframe.prepare.arguments import (
    PartitionOptions,
    as_names,
    check_frame,
    check_keys,
    given_budget,
    may_take_p2p,
)
from safeframe.prepare.keys import count_keys, key_schema
from safeframe.sizing.cluster import set_up_workers, staging_facts
from safeframe.sizing.frames import profile_frame
from safeframe.sizing.p2p import p2p_facts
from safeframe.units import format_nbytes


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedShuffle:
    """A plan and what its expression is made of."""

    frame: dd.DataFrame
    """The input."""
    on: tuple[Any, ...]
    """Key columns."""
    schema: KeySchema
    """How keys become codes."""
    plan: Plan
    """The plan."""


def plan_by_key(
    ddf: Any, on: Any, given: PartitionOptions, statistics: KeyStatistics | None, *, with_index: bool
) -> PlannedShuffle:
    """Gather the facts of a shuffle and make its plan.

    Raises
    ------
    KeyNotFoundError, SchemaMismatchError, ValidationError
        When the arguments do not name a frame and its columns.
    UnsupportedError
        When rows have to pass through P2P, and cannot.
    """
    check_strategy(given.strategy, SHUFFLE_STRATEGIES, recipe="shuffle")
    frame, names = _keyed(ddf, on, given)
    staging = staging_facts(given.staging)
    if given.strategy == "staged" and staging.directory is None:
        raise cannot_run(given.strategy, staging.unavailable, recipe="shuffle")
    partition_nbytes = config.partition_nbytes(given.partition_size)
    set_up_workers()
    budget = given_budget(given.memory)
    sources = source_files(frame)
    schema = key_schema(frame, names)
    keys = count_keys(frame, names, schema, statistics, budget)
    by_p2p = may_take_p2p(given.strategy, staging)
    p2p = p2p_facts(frame, budget=budget, keys=keys) if by_p2p else None
    profile = profile_frame(frame, keys.partitions.rows) if p2p is None else p2p.profile
    width = profile.width + profile.kept_index_width if with_index else profile.width
    plan = plan_shuffle(
        ShuffleFacts(
            keys=ShuffleKeys.of(keys),
            partition_rows=keys.partitions.rows,
            profile=profile,
            row_nbytes=width.bounding,
            output_width=width,
            budget=budget,
            staging=staging,
            partition_nbytes=partition_nbytes,
            npartitions=given.npartitions,
            strategy=given.strategy,
            p2p=p2p,
        )
    )
    return PlannedShuffle(frame=frame, on=names, schema=schema, plan=replace(plan, sources=sources))


def plan_by_key_through_p2p(
    ddf: Any, on: Any, given: PartitionOptions, statistics: KeyStatistics | None
) -> PlannedShuffle:
    """As :func:`plan_by_key`, for rows that pass through P2P whatever else there is."""
    frame, names = _keyed(ddf, on, given)
    partition_nbytes = config.partition_nbytes(given.partition_size)
    set_up_workers()
    budget = given_budget(given.memory)
    sources = source_files(frame)
    schema = key_schema(frame, names)
    keys = count_keys(frame, names, schema, statistics, budget)
    plan = plan_p2p_shuffle(
        p2p_facts(frame, budget=budget, keys=keys),
        npartitions=given.npartitions,
        partition_nbytes=partition_nbytes,
    )
    return PlannedShuffle(frame=frame, on=names, schema=schema, plan=replace(plan, sources=sources))


def shuffled(planned: PlannedShuffle, *, with_index: bool = True) -> dd.DataFrame:
    """Return the lazy frame of a plan.

    Raises
    ------
    StagingError
        When the staging directory cannot be used.
    MemoryBudgetError
        When P2P moves the rows and the plan does not fit.
    """
    plan = planned.plan
    assert isinstance(plan.run, ShuffleRun), "a shuffle is planned"
    match plan.run.way:
        case StagedShuffle(directory=directory):
            check_staging(directory)
            return _collection(planned, with_index=with_index)
        case P2PShuffle() as way:
            _check_p2p(plan, way)
            moved = _collection(planned, with_index=True)  # P2P brings the index along
            return moved if with_index else moved.reset_index(drop=True)
        case _:
            assert_never(plan.run.way)


def _collection(planned: PlannedShuffle, *, with_index: bool) -> dd.DataFrame:
    expression = SafeShuffle(planned.frame, planned.plan, planned.on, planned.schema, with_index)
    return cast("dd.DataFrame", new_collection(expression))


def _keyed(ddf: Any, on: Any, given: PartitionOptions) -> tuple[dd.DataFrame, tuple[Any, ...]]:
    frame = check_frame(ddf, "ddf")
    names = as_names(on)
    check_keys(frame, names)
    given.checked()
    return frame, names


def _check_p2p(plan: Plan, way: P2PShuffle) -> None:
    """Raise when the plan does not fit, with what can be done about P2P in particular; warn of a key that is too large."""
    disk = way.disk
    if plan.staging_nbytes > disk.free_nbytes:
        msg = (
            f"{plan.recipe} writes up to {format_nbytes(plan.staging_nbytes)} to the disk of {disk.directory} on "
            f"{disk.host}, which {disk.workers} workers share, and only {format_nbytes(disk.free_nbytes)} is free."
        )
        hint = "Free some disk, or start the workers with a local_directory= that has more room."
        raise StagingFullError(
            msg, hint=hint, needed_nbytes=plan.staging_nbytes, free_nbytes=disk.free_nbytes
        )
    budget = plan.budget
    if budget.reserved_nbytes + budget.transport_nbytes > budget.allowed_nbytes:
        msg = (
            f"P2P's buffers and messages take at least {format_nbytes(budget.transport_nbytes)} of each worker, "
            f"which uses {format_nbytes(budget.reserved_nbytes)} before any data; "
            f"{format_nbytes(budget.allowed_nbytes)} is allowed."
        )
        hint = "Give each worker more memory, request fewer partitions, or use strategy='staged'."
        raise MemoryBudgetError(
            msg,
            hint=hint,
            projected_nbytes=budget.reserved_nbytes + budget.transport_nbytes,
            allowed_nbytes=budget.allowed_nbytes,
        )
    plan.validate()
    if way.oversized_key:
        warnings.warn(SafeframeWarning(f"{plan.recipe}: {way.oversized_key}."), stacklevel=4)
