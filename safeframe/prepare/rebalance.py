"""What rebalancing does before it plans: arguments, sizes of partitions, facts.

Covers: dask's arguments, the sizes that are requested, a sort that is planned again with these.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd

from safeframe import config
from safeframe.choices import check_flags
from safeframe.engine.planned.sources import source_files
from safeframe.engine.rebalance.nodes import stands_alone
from safeframe.facts.keys import Counts
from safeframe.facts.plan import Plan
from safeframe.facts.rebalance import RebalanceFacts
from safeframe.planning.memory import default_partition_nbytes
from safeframe.planning.rebalance.plan import plan_rebalance
from safeframe.prepare.arguments import PartitionOptions, check_frame, given_budget
from safeframe.prepare.dask_arguments import refuse
from safeframe.prepare.sort.order import PlannedSort
from safeframe.prepare.sort.resizing import resized
from safeframe.sizing.cluster import set_up_workers, staging_facts
from safeframe.sizing.columns.objects import unwritable_columns
from safeframe.sizing.frames import frame_source
from safeframe.sizing.partitions.sizes import measure_partitions

_RECIPE = "rebalance_partitions"
_INDEX_NBYTES = 8.0
"""Bytes of a row of a frame without columns: its partitions are the smallest, and places to cut at the closest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedRebalance:
    """A frame and how it is rebalanced."""

    frame: dd.DataFrame
    plan: Plan


def refuse_dask_arguments(divisions: Any, freq: Any, *, force: bool) -> None:
    """Refuse dask's arguments that say where to cut by the index."""
    check_flags(force=force)
    why = "it cuts by bytes, or into a number of partitions"
    if divisions is not None:
        hint = (
            "Use safeframe.set_index(divisions=), or ddf.repartition(divisions=), which has no memory bound."
        )
        refuse(_RECIPE, "divisions", divisions, why, hint)
    if freq is not None:
        refuse(_RECIPE, "freq", freq, why, "Use ddf.repartition(freq=), which has no memory bound.")
    if force:
        refuse(_RECIPE, "force", force, "it belongs to divisions=", "Leave it out.")


def resized_sort(ddf: Any, given: PartitionOptions) -> PlannedSort | None:
    """Plan the result of a sort again with other sizes; None for other frames, and when a strategy is requested."""
    if given.strategy is not None:
        return None
    _bound_nbytes(given)
    return resized(ddf, given, recipe=_RECIPE)


def plan_sizes(ddf: Any, given: PartitionOptions) -> PlannedRebalance:
    """Measure the partitions of a frame, and plan others.

    Raises
    ------
    ValidationError
        When an argument makes no sense, or the requested strategy cannot run.
    """
    frame = check_frame(ddf, "ddf")
    partition_nbytes = _bound_nbytes(given)
    set_up_workers()
    budget = given_budget(given.memory)
    sources = source_files(frame)
    source = frame_source(frame)
    divisions = tuple(frame.divisions) if frame.known_divisions else None
    sizes = measure_partitions(
        frame,
        in_slices=not source.whole,
        partition_nbytes=partition_nbytes
        if partition_nbytes is not None or given.npartitions is not None
        else default_partition_nbytes(max(budget.task_nbytes, 0), _INDEX_NBYTES),
        npartitions=given.npartitions,
        keyed=divisions is not None,
    )
    facts = RebalanceFacts(
        sizes=sizes,
        budget=budget,
        staging=staging_facts(given.staging),
        partition_nbytes=partition_nbytes,
        npartitions=given.npartitions,
        strategy=given.strategy,
        divisions=divisions,
        own_tasks=stands_alone(frame.expr),
        in_slices=not source.whole,
        source=source,
        unstageable=_unstageable(frame, sizes.rows),
    )
    return PlannedRebalance(frame=frame, plan=replace(plan_rebalance(facts), sources=sources))


def _bound_nbytes(given: PartitionOptions) -> int | None:
    """Return the bytes that no output partition may exceed; None where their number is given, or nothing is."""
    given.checked()
    return config.partition_nbytes(given.partition_size) if given.npartitions is None else None


def _unstageable(frame: Any, rows: Counts) -> str:
    """Return why rows of a frame cannot go through Arrow files and come back the same."""
    meta = frame._meta
    if isinstance(meta.index, pd.MultiIndex):
        return f"the index has {meta.index.nlevels} levels, and staging keeps one"
    for name, dtype in (("the index", meta.index.dtype), *meta.dtypes.items()):
        if not _comes_back(dtype):
            return f"{name if name == 'the index' else f'column {name!r}'} of dtype {dtype} would not come back the same"
    held = unwritable_columns(frame, rows)
    return next(
        (f"column {name!r} holds {what}, which would not come back the same" for name, what in held.items()),
        "",
    )


def _comes_back(dtype: Any) -> bool:
    if isinstance(dtype, np.dtype):
        return dtype.kind in "iufbmMO"
    if isinstance(dtype, (pd.CategoricalDtype, pd.StringDtype, pd.ArrowDtype, pd.DatetimeTZDtype)):
        return True
    return isinstance(getattr(dtype, "numpy_dtype", None), np.dtype)  # pandas' masked numbers
