"""From columns to a plan of counting their distinct values, and its collection."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd
from dask.dataframe.api import new_collection

from safeframe.choices import check_flags
from safeframe.engine.distinct.counts import SafeCount
from safeframe.engine.distinct.keys import DistinctSpec
from safeframe.engine.exchange.runs import check_staging
from safeframe.engine.planned.sources import source_files
from safeframe.errors import SchemaMismatchError
from safeframe.facts.plan import Plan
from safeframe.facts.strategies import DISTINCT_STRATEGIES
from safeframe.planning.distinct.counts import plan_counts
from safeframe.planning.distinct.plan import distinct_keys, plan_distinct
from safeframe.planning.ladder import check_strategy
from safeframe.prepare.arguments import PartitionOptions, as_names, check_frame, check_keys
from safeframe.prepare.distinct.plan import Gathering

_RECIPE = "nunique"


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedCounts:
    """A plan and what its expression is made of."""

    frame: dd.DataFrame
    specs: tuple[DistinctSpec, ...]
    """One for each column."""
    plan: Plan
    dropna: bool
    single: bool
    """Whether a number is made, as of a series."""

    def collection(self) -> Any:
        """Return the lazy result.

        Raises
        ------
        StagingError
            When the staging directory cannot be used.
        """
        if self.plan.staging_directory is not None:
            check_staging(self.plan.staging_directory)
        names = [spec.on[0] for spec in self.specs]
        meta: Any = 0 if self.single else pd.Series(np.zeros(len(names), np.int64), index=pd.Index(names))
        return new_collection(SafeCount(self.frame, self.plan, self.specs, self.dropna, meta))


def as_column(ddf: Any) -> dd.DataFrame | None:
    """Return a series as a frame of one column; None for anything else."""
    if isinstance(ddf, pd.Series):
        msg = "ddf is a pandas series; a dask series is expected."
        raise SchemaMismatchError(msg, hint="Wrap it: dask.dataframe.from_pandas(series, npartitions=1).")
    if not isinstance(ddf, dd.Series):
        return None
    return ddf.to_frame() if ddf.name is not None else ddf.to_frame(name=0)


def plan_columns(ddf: Any, columns: Any, *, dropna: bool, given: PartitionOptions) -> PlannedCounts:
    """Gather the facts of each column and make the plan.

    Raises
    ------
    KeyNotFoundError, SchemaMismatchError, ValidationError
        When the arguments do not name a frame and its columns.
    """
    check_flags(dropna=dropna)
    check_strategy(given.strategy, DISTINCT_STRATEGIES, recipe=_RECIPE)
    series = as_column(ddf)
    frame = check_frame(ddf if series is None else series, "ddf")
    names = tuple(frame._meta.columns) if columns is None else as_names(columns)
    check_keys(frame, names)
    frame = frame[list(names)]
    sources = source_files(frame)
    counted = [_planned(frame, name, dropna=dropna, given=given) for name in names]
    plan = plan_counts([plan for _, plan in counted], names)
    return PlannedCounts(
        frame=frame,
        specs=tuple(spec for spec, _ in counted),
        plan=replace(plan, sources=sources),
        dropna=dropna,
        single=series is not None,
    )


def _planned(
    frame: dd.DataFrame, name: Any, *, dropna: bool, given: PartitionOptions
) -> tuple[DistinctSpec, Plan]:
    gathering = Gathering.of(frame[[name]], (name,), given)
    keys = gathering.keys(frame, None)
    facts = gathering.facts(_RECIPE, "first", "count", keys, None)
    known = keys.exact and keys.schema.injective
    values = replace(
        facts,
        distinct=keys.distinct if dropna else distinct_keys(keys),
        uncounted="" if known else "values are not all counted, or are known by hashes alone",
    )
    return gathering.spec("first", "count", facts.partition_rows), plan_distinct(values)
