"""From a frame and its key columns to a plan of finding rows whose key was met before, and its collection."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import dask.dataframe as dd
import numpy as np
from dask.dataframe.api import new_collection

from safeframe.engine.distinct.keys import DistinctSpec
from safeframe.engine.distinct.nodes import SafeDistinct, keys_stand_alone, partitions_wait
from safeframe.engine.exchange.runs import check_staging
from safeframe.engine.planned.sources import source_files
from safeframe.errors import ValidationError
from safeframe.facts.budget import Budget
from safeframe.facts.distinct import DistinctFacts, Keep, Wanted
from safeframe.facts.estimate import Width
from safeframe.facts.frame import FrameProfile
from safeframe.facts.keys import Counts, KeySchema, KeyStatistics, ShuffleKeys
from safeframe.facts.plan import Plan
from safeframe.facts.strategies import DISTINCT_STRATEGIES
from safeframe.planning.distinct.plan import distinct_keys, kept_rows, plan_distinct
from safeframe.planning.ladder import check_strategy
from safeframe.prepare.arguments import PartitionOptions, as_names, check_frame, check_keys, given_budget
from safeframe.prepare.keys import count_keys, key_schema
from safeframe.prepare.lag.source import Shuffled, shuffled_by
from safeframe.sizing.cluster import set_up_workers, staging_facts
from safeframe.sizing.frames import profile_frame

_APART = "the rows of a key may be in several partitions"


@dataclass(frozen=True, kw_only=True, slots=True)
class DistinctRequest:
    """What is asked for."""

    recipe: str
    subset: Any
    """Key columns, as the user gave them; None for all."""
    keep: Any
    wanted: Wanted
    ignore_index: bool
    statistics: KeyStatistics | None
    """Statistics of the keys, if they were gathered before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedDistinct:
    """A plan and what its expression is made of."""

    frame: dd.DataFrame
    """The frame that is filtered, or whose rows are marked."""
    spec: DistinctSpec
    plan: Plan

    def collection(self) -> Any:
        """Return the lazy result.

        Raises
        ------
        StagingError
            When the staging directory cannot be used.
        """
        if self.plan.staging_directory is not None:
            check_staging(self.plan.staging_directory)
        return new_collection(SafeDistinct(self.frame, self.plan, self.spec))


def plan_rows(ddf: Any, request: DistinctRequest, given: PartitionOptions) -> PlannedDistinct:
    """Gather the facts of a frame and make the plan.

    Raises
    ------
    KeyNotFoundError, SchemaMismatchError, ValidationError
        When the arguments do not name a frame and its columns.
    UnsupportedError
        When keys have values that cannot be compared.
    """
    check_strategy(given.strategy, DISTINCT_STRATEGIES, recipe=request.recipe)
    frame = check_frame(ddf, "ddf")
    on = tuple(frame._meta.columns) if request.subset is None else as_names(request.subset)
    check_keys(frame, on)
    keep = checked_keep(request.keep)
    if request.wanted == "marks":
        frame = frame[list(on)]
    shuffle = shuffled_by(frame, on)
    if request.ignore_index or given.strategy not in (None, "whole"):
        shuffle = None
    if shuffle is not None:
        # Rows of its partitions are not known before it runs, and other ways would move them once more.
        given = replace(given, strategy="whole")
    sources = source_files(frame)
    gathering = Gathering.of(frame, on, given)
    keys = gathering.keys(frame if shuffle is None else shuffle.frame, request.statistics)
    facts = gathering.facts(request.recipe, keep, request.wanted, keys, shuffle)
    if request.wanted == "marks":
        width = Width.fixed(1.0) + facts.profile.index_width
    else:
        width = facts.profile.width
        width = width if request.ignore_index else width + facts.profile.kept_index_width
    apart = facts.apart
    if not apart and request.ignore_index:
        apart = "ignore_index=True numbers the rows that stay, and those of partitions before are not known"
    plan = plan_distinct(replace(facts, output_width=width, apart=apart))
    spec = gathering.spec(
        keep,
        request.wanted,
        facts.partition_rows if shuffle is None else None,
        ignore_index=request.ignore_index,
    )
    return PlannedDistinct(frame=frame, spec=spec, plan=replace(plan, sources=sources))


def checked_keep(keep: Any) -> Keep:
    """Return which row of a key stays.

    Raises
    ------
    ValidationError
        When pandas does not know it either.
    """
    if keep is False or (isinstance(keep, str) and keep in ("first", "last")):
        return cast("Keep", keep)
    msg = f"keep={keep!r} says of no row that it stays."
    raise ValidationError(msg, hint="Use keep='first', keep='last' or keep=False.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathering:
    """What the facts of all keys of one frame have in common."""

    frame: dd.DataFrame
    on: tuple[Any, ...]
    schema: KeySchema
    given: PartitionOptions
    budget: Budget

    @classmethod
    def of(cls, frame: dd.DataFrame, on: tuple[Any, ...], given: PartitionOptions) -> Gathering:
        """Measure the workers, and find out what keys are."""
        schema = key_schema(frame, on)
        set_up_workers()
        return cls(frame=frame, on=on, schema=schema, given=given, budget=given_budget(given.memory))

    def keys(self, frame: dd.DataFrame, statistics: KeyStatistics | None) -> KeyStatistics:
        """Count the keys of a frame, if that was not done before."""
        return count_keys(frame, self.on, self.schema, statistics, self.budget)

    def facts(
        self, recipe: str, keep: Keep, wanted: Wanted, keys: KeyStatistics, shuffle: Shuffled | None
    ) -> DistinctFacts:
        """Put together what is known."""
        source = self.frame if shuffle is None else shuffle.frame
        rows = keys.partitions.rows
        narrow = source[list(self.on)]
        profile, of_keys = profile_frame(source, rows), profile_frame(narrow, rows)
        budget, alone, waits = self.budget, True, False
        apart = _apart(keys)
        if shuffle is not None:
            apart, rows = "", shuffle.partition_rows
            # Partitions are made by the tasks that receive their rows, next to what brings these.
            budget = replace(budget, transport_nbytes=shuffle.plan.budget.transport_nbytes)
        else:
            alone = keys_stand_alone(self.frame.expr, self.on)
            waits = partitions_wait(self.frame.expr, self.on)
            of_keys.check_writable()
        return DistinctFacts(
            recipe=recipe,
            keep=keep,
            wanted=wanted,
            keys=ShuffleKeys.of(keys),
            distinct=distinct_keys(keys),
            kept=kept_rows(keys, keep),
            partition_rows=rows,
            key_row_nbytes=of_keys.width.bounding,
            source=of_keys.source if alone else profile.source,
            profile=profile,
            output_width=profile.width,
            budget=budget,
            staging=staging_facts(self.given.staging),
            strategy=self.given.strategy,
            uncounted="",
            apart=apart,
            keys_alone=alone,
            waits=waits,
            unparked=_unparked(profile, self.frame) if waits else "",
        )

    def spec(
        self, keep: Keep, wanted: Wanted, rows: Counts | None, *, ignore_index: bool = False
    ) -> DistinctSpec:
        """Return what tasks have to know."""
        return DistinctSpec(
            on=self.on,
            schema=self.schema,
            keep=keep,
            wanted=wanted,
            ignore_index=ignore_index,
            rows=np.empty(0, np.int64) if rows is None else rows,
        )


def _unparked(profile: FrameProfile, frame: dd.DataFrame) -> str:
    """Return why a partition cannot wait in a file; empty where it can."""
    levels = frame._meta.index.nlevels
    return f"the index has {levels} levels" if levels > 1 else profile.unwritable


def _apart(keys: KeyStatistics) -> str:
    """Return why rows of a key may be in several partitions; empty where ranges of keys show that they are not."""
    parts = keys.partitions
    if len(parts.rows) == 1:
        return ""
    if not keys.schema.injective or (parts.null_rows > 0).sum() > 1:
        return _APART
    full = parts.full
    return "" if (parts.last[full][:-1] < parts.first[full][1:]).all() else _APART
