"""``safeframe.rebalance_partitions``: partitions of bounded, even size, with rows in their order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import dask.dataframe as dd
import numpy as np
import pandas as pd

from safeframe import config
from safeframe._dask.expressions import new_collection
from safeframe.choices import check_flags
from safeframe.engine.exchange.runs import check_staging
from safeframe.engine.planned.sources import source_files
from safeframe.engine.rebalance.nodes import SafeRebalance, stands_alone
from safeframe.errors import ValidationError
from safeframe.facts.keys import Counts
from safeframe.facts.plan import Plan
from safeframe.facts.rebalance import RebalanceFacts, RebalanceLayout
from safeframe.planning.memory import default_partition_nbytes
from safeframe.planning.rebalance.plan import plan_rebalance as make_plan
from safeframe.planning.rebalance.plan import reads_in_slices
from safeframe.prepare.arguments import check_frame, given_budget
from safeframe.prepare.dask_arguments import refuse
from safeframe.prepare.sort.order import PlannedSort, SortOptions, make_collection
from safeframe.prepare.sort.resizing import resized
from safeframe.sizing.cluster import staging_facts
from safeframe.sizing.columns.objects import unwritable_columns
from safeframe.sizing.parquet.slices import SlicedParquet, sliced_parquet
from safeframe.sizing.partitions.sizes import measure_partitions

__all__ = ["plan_rebalance", "rebalance_partitions"]

_RECIPE = "rebalance_partitions"
_INDEX_NBYTES = 8.0
"""Bytes of a row of a frame without columns: its partitions are the smallest, and places to cut at the closest."""


def rebalance_partitions(
    ddf: dd.DataFrame,
    *,
    partition_size: str | int | None = None,
    npartitions: int | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    strategy: str | None = None,
    divisions: Any = None,
    freq: Any = None,
    force: bool = False,
) -> dd.DataFrame:
    """Repartition a dask dataframe by bytes, into partitions of bounded and even size.

    Parameters
    ----------
    ddf
        The dask dataframe.
    partition_size
        Maximum size of an output partition in memory, as ``"64MiB"`` or in
        bytes, with strings and objects counted deep and the index included. By
        default the configured ``safeframe.partition-size``, or a size that
        leaves room for the steps that follow.
    npartitions
        Number of output partitions, as even in bytes as possible.
    memory
        Memory that one worker may use, as ``"1GiB"`` or in bytes. By default
        the smallest limit of the connected workers; without a client, the
        memory that is free on this machine.
    staging
        Directory, or URL of an object store, that all workers can reach, for
        the strategy ``"staged"``.
    strategy
        ``"untouched"``, ``"merged"``, ``"sliced"`` or ``"staged"``. By
        default, the plan chooses.
    divisions, freq, force
        Arguments of dask's ``repartition``; refused with an error.

    Returns
    -------
    dask.dataframe.DataFrame
        Lazy. The rows of ``ddf`` in their order, with their index. Known
        divisions stay known if every cut can be between two index values.

    Raises
    ------
    ValidationError
        When both ``partition_size`` and ``npartitions`` are given, when a row
        is larger than ``partition_size``, or when ``strategy`` cannot run.
    StagingError
        When the staging directory cannot be used.
    MemoryBudgetError
        At compute time, when the plan does not fit the workers.
    RowConservationError
        At compute time, when the rows of a partition have changed since the
        plan was made.

    Notes
    -----
    **Eager.** Rows and bytes of each partition are determined when this
    function is called: from parquet footers if all columns have a fixed width
    and the frame comes straight from ``read_parquet``, otherwise in one pass
    over the frame. The result of ``set_index`` or ``sort_values`` is not
    computed for this: it is planned again with the new sizes, so that rows move
    once.

    **Memory.** A worker's peak is what it uses before any data, plus, for each
    of its threads: twice the largest input partition and three times the
    largest output partition (strategies merged and sliced), or the larger of
    staging an input partition (three times its bytes and 40 B per row) and
    reading an output partition (five times its bytes). A parquet partition that
    does not fit a task is read and staged in slices of some 16 MiB.

    **Disk.** The strategy ``"staged"`` writes all rows once to the staging
    directory, without columns that nothing uses.

    **Passes.** At most one to determine sizes, and one over the rows; with the
    strategy ``"sliced"`` an input partition is computed at most twice on average.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"a": range(100)}), npartitions=10)
    >>> even = safeframe.rebalance_partitions(frame, npartitions=4)
    >>> even.map_partitions(len).compute().tolist(), even.known_divisions
    ([25, 25, 25, 25], True)
    """
    _refuse_dask_arguments(divisions, freq, force=force)
    again = _resized(ddf, partition_size, npartitions, memory, staging, strategy)
    if again is not None:
        return make_collection(again)
    planned = _planned(ddf, partition_size, npartitions, memory, staging, strategy)
    plan = planned.plan
    if plan.staging_directory is not None:
        check_staging(plan.staging_directory)
    expression = SafeRebalance(
        planned.frame,
        plan,
        planned.layout,
        planned.source if planned.sliced else None,
        planned.sliced,
    )
    return cast("dd.DataFrame", new_collection(expression))


def plan_rebalance(
    ddf: dd.DataFrame,
    *,
    partition_size: str | int | None = None,
    npartitions: int | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    strategy: str | None = None,
    divisions: Any = None,
    freq: Any = None,
    force: bool = False,
) -> Plan:
    """Return the plan of :func:`rebalance_partitions`, without moving rows.

    Takes the arguments of :func:`rebalance_partitions`.

    Returns
    -------
    Plan
        The strategy and its reasons, partitions and their bytes before and
        after, peak per worker, staged bytes. ``plan.fits`` says whether it can run.

    Notes
    -----
    **Eager.** As :func:`rebalance_partitions`: sizes are determined.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"a": range(100)}), npartitions=10)
    >>> safeframe.plan_rebalance(frame, partition_size="1MiB").strategy
    'merged'
    """
    _refuse_dask_arguments(divisions, freq, force=force)
    again = _resized(ddf, partition_size, npartitions, memory, staging, strategy)
    return (again or _planned(ddf, partition_size, npartitions, memory, staging, strategy)).plan


def _refuse_dask_arguments(divisions: Any, freq: Any, *, force: bool) -> None:
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


def _resized(
    ddf: Any,
    partition_size: str | int | None,
    npartitions: int | None,
    memory: str | int | None,
    staging: str | None,
    strategy: str | None,
) -> PlannedSort | None:
    """Plan the result of a sort again with other sizes; None for other frames, and when a strategy is requested."""
    if strategy is not None:
        return None
    _goal(partition_size, npartitions)
    given = SortOptions(
        npartitions=npartitions, partition_size=partition_size, strategy=None, memory=memory, staging=staging
    )
    return resized(ddf, given, recipe="rebalance_partitions")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Planned:
    frame: dd.DataFrame
    facts: RebalanceFacts
    plan: Plan
    layout: RebalanceLayout
    source: SlicedParquet | None
    sliced: tuple[int, ...]
    """Partitions that are read in slices."""


def _planned(
    ddf: Any,
    partition_size: str | int | None,
    npartitions: int | None,
    memory: str | int | None,
    staging: str | None,
    strategy: str | None,
) -> _Planned:
    frame = check_frame(ddf, "ddf")
    partition_nbytes = _goal(partition_size, npartitions)
    # First of all: a worker's allocators are set up before its first task.
    budget = given_budget(memory)
    sources = source_files(frame)
    source = sliced_parquet(frame)
    divisions = tuple(frame.divisions) if frame.known_divisions else None
    sizes = measure_partitions(
        frame,
        source=source,
        partition_nbytes=partition_nbytes
        if partition_nbytes is not None or npartitions is not None
        else default_partition_nbytes(max(budget.task_nbytes, 0), _INDEX_NBYTES),
        npartitions=npartitions,
        keyed=divisions is not None,
    )
    facts = RebalanceFacts(
        sizes=sizes,
        budget=budget,
        staging=staging_facts(staging),
        partition_nbytes=partition_nbytes,
        npartitions=npartitions,
        strategy=strategy,
        divisions=divisions,
        own_tasks=stands_alone(frame.expr),
        in_slices=source is not None,
        unstageable=_unstageable(frame, sizes.rows),
    )
    plan, layout = make_plan(facts)
    plan = replace(plan, sources=sources)
    sliced = tuple(np.flatnonzero(reads_in_slices(facts)).tolist()) if plan.strategy == "staged" else ()
    return _Planned(frame=frame, facts=facts, plan=plan, layout=layout, source=source, sliced=sliced)


def _goal(partition_size: str | int | None, npartitions: int | None) -> int | None:
    if npartitions is not None:
        if partition_size is not None:
            msg = f"partition_size={partition_size!r} and npartitions={npartitions!r} contradict each other."
            raise ValidationError(msg, hint="Pass one of them.")
        given: Any = npartitions
        if isinstance(given, bool) or not isinstance(given, (int, np.integer)) or given < 1:
            msg = f"npartitions={npartitions!r} is not a number of partitions."
            raise ValidationError(msg, hint="Pass a whole number of at least 1.")
        return None
    return config.partition_nbytes(partition_size)


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
