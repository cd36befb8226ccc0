"""``safeframe.rebalance_partitions``: partitions of bounded, even size, with rows in their order."""

from __future__ import annotations

from typing import Any, cast

import dask.dataframe as dd
from dask.dataframe.api import new_collection

from safeframe.engine.exchange.runs import check_staging
from safeframe.engine.rebalance.nodes import SafeRebalance
from safeframe.facts.cluster import ClusterSpec
from safeframe.facts.plan import Plan
from safeframe.facts.strategies import RebalanceStrategy
from safeframe.prepare.arguments import PartitionOptions
from safeframe.prepare.rebalance import plan_sizes, refuse_dask_arguments, resized_sort
from safeframe.prepare.sort.order import make_collection
from safeframe.sizing.planned_cluster import planned_for


def rebalance_partitions(
    ddf: dd.DataFrame,
    *,
    partition_size: str | int | None = None,
    npartitions: int | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    strategy: RebalanceStrategy | None = None,
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
    refuse_dask_arguments(divisions, freq, force=force)
    given = PartitionOptions(
        partition_size=partition_size,
        npartitions=npartitions,
        memory=memory,
        staging=staging,
        strategy=strategy,
    )
    again = resized_sort(ddf, given)
    if again is not None:
        return make_collection(again)
    planned = plan_sizes(ddf, given)
    plan = planned.plan
    if plan.staging_directory is not None:
        check_staging(plan.staging_directory)
    return cast("dd.DataFrame", new_collection(SafeRebalance(planned.frame, plan)))


def plan_rebalance(
    ddf: dd.DataFrame,
    *,
    partition_size: str | int | None = None,
    npartitions: int | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    strategy: RebalanceStrategy | None = None,
    divisions: Any = None,
    freq: Any = None,
    force: bool = False,
    cluster: ClusterSpec | None = None,
) -> Plan:
    """Return the plan of :func:`rebalance_partitions`, without moving rows.

    Takes the arguments of :func:`rebalance_partitions`, and raises the same errors for them. A plan that is
    too large does not raise: ``plan.fits`` is then False. With ``cluster=`` the
    plan is for the cluster that a :class:`~safeframe.ClusterSpec` describes, and need not be connected.

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
    refuse_dask_arguments(divisions, freq, force=force)
    given = PartitionOptions(
        partition_size=partition_size,
        npartitions=npartitions,
        memory=memory,
        staging=staging,
        strategy=strategy,
    )
    with planned_for(cluster):
        return (resized_sort(ddf, given) or plan_sizes(ddf, given)).plan
