"""``safeframe.groupby``: any number of groups of any size, on small workers."""

from __future__ import annotations

from inspect import signature
from typing import Any

from safeframe import config
from safeframe.choices import check_flags
from safeframe.errors import ValidationError
from safeframe.facts.cluster import ClusterSpec
from safeframe.facts.keys import KeyStatistics
from safeframe.facts.plan import Plan
from safeframe.facts.strategies import GROUP_STRATEGIES, GroupStrategy
from safeframe.planning.ladder import check_strategy
from safeframe.prepare.arguments import PartitionOptions
from safeframe.prepare.dask_arguments import as_npartitions, exchange_strategy, refuse_options
from safeframe.prepare.groupby.groups import Groups
from safeframe.prepare.groupby.keys import group_keys
from safeframe.prepare.groupby.plan import plan_groups
from safeframe.prepare.merge.sizes import check_statistics
from safeframe.recipes.grouped import GroupBy
from safeframe.sizing.cluster import staging_facts
from safeframe.sizing.planned_cluster import planned_for
from safeframe.units import parse_nbytes

_RECIPE = "groupby"


def groupby(
    ddf: Any,
    /,
    by: Any = None,
    *,
    dropna: bool = True,
    observed: bool = True,
    sort: bool | None = None,
    as_index: bool = True,
    group_keys: bool = True,
    npartitions: int | str | None = None,
    partition_size: str | int | None = None,
    strategy: GroupStrategy | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    statistics: KeyStatistics | None = None,
    shuffle_method: str | None = None,
    **options: Any,
) -> GroupBy:
    """Group rows by key, for aggregations, transformations and functions of groups.

    Parameters
    ----------
    ddf
        The dask dataframe.
    by
        Column, or list of columns. The name of the index, and a series that is
        worked out of the frame row by row (``ddf.k % 10``), are taken as well.
    dropna
        Whether rows with a null in a key are left out. If False, null is a key.
    observed
        Whether only those categories of a categorical key have a group that occur.
    sort
        None: groups are in no particular order. True: in ascending order of
        their keys, with known divisions for a single key, but for strings that are grouped in one partition. False: in
        the order of their first rows, in one partition.
    as_index
        Whether keys become the index of an aggregation. If False, they become
        columns, and the index counts from zero in each partition.
    group_keys
        Whether ``apply`` adds the keys to the index of what its function returns.
    npartitions
        Number of output partitions. By default enough to keep the largest
        within ``partition_size``.
    partition_size
        Maximum size of an output partition in memory, as ``"64MiB"`` or in
        bytes. By default the configured ``safeframe.partition-size``, or a size
        that leaves room for the steps that follow.
    strategy
        ``"whole"``, ``"tree"``, ``"staged"``, ``"ordered"`` or ``"p2p"``. By default, the plan chooses.
    memory
        Memory that one worker may use, as ``"1GiB"`` or in bytes. By default
        the smallest limit of the connected workers; without a client, the
        memory that is free on this machine.
    staging
        Directory, or URL of an object store, that all workers can reach.
    statistics
        Key statistics of ``ddf``, if they were gathered before.
    shuffle_method
        As in dask: ``"p2p"`` is ``strategy="p2p"``; ``"disk"`` and ``"tasks"``
        leave the choice to the plan.
    **options
        Refused: options that there are not.

    Returns
    -------
    GroupBy
        With the methods of pandas' group-by; each returns a lazy dask collection.

    Raises
    ------
    KeyNotFoundError, SchemaMismatchError, ValidationError
        When the arguments do not name a frame and its columns.
    UnsupportedError
        For keys that are functions, mappings or lists of values.

    Notes
    -----
    **Values, names and types** are those of pandas. Sums of floats may differ in
    the last digits, since rows are added in another order; all else is exact.

    **Eager.** The key columns are read once when a method is called, unless the
    frame is a result of :func:`safeframe.shuffle` by these keys.

    **Memory.** Aggregations such as ``sum``, ``mean`` or ``var`` are joined from
    partial states, so a group may have any number of rows: a worker's peak is what
    it uses before any data, plus, for each of its threads, the larger of staging a
    group of input partitions (as in :func:`safeframe.set_index`) and merging the
    groups of one output partition: a slice of rows twice, partial states four
    times, the result three times, and 72 B for each row and group. Functions that
    need a group whole (``apply``, ``transform``, …) take all rows of an
    output partition at once. ``median``, ``quantile`` and ``nunique`` of one column do so
    where a task can hold the largest group; where it cannot, rows come into the order of
    keys and values, and a group may lie in several parts of bounded size (``"ordered"``).
    Groups that do are in the last partition of the result.

    **Disk.** With the strategy ``"staged"``, the columns that are needed are
    written once to the staging directory, or partial states where these are less
    than half of that; with ``"ordered"`` keys and values. ``"whole"`` and ``"tree"`` write nothing.

    **Passes.** One over the keys, one over the columns that are needed; for ``"ordered"`` one over
    keys and values before, for a sample.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": [1, 2, 1, 2], "v": [5, 6, 7, 8]}), npartitions=2)
    >>> safeframe.groupby(frame, "k").v.sum().compute().sort_index().to_dict()
    {1: 12, 2: 14}
    """
    refuse_options(_RECIPE, options, signature(groupby).parameters)
    given = _given(npartitions, partition_size, strategy, memory, staging, shuffle_method)
    groups = _groups(ddf, by, dropna, observed, sort, as_index, with_keys=group_keys)
    if statistics is not None:
        check_statistics(statistics, groups.keys.by, groups.keys.frame)
    return GroupBy(groups, given, statistics)


def plan_groupby(
    ddf: Any,
    /,
    by: Any = None,
    spec: Any = "size",
    *,
    columns: Any = None,
    dropna: bool = True,
    observed: bool = True,
    sort: bool | None = None,
    as_index: bool = True,
    npartitions: int | str | None = None,
    partition_size: str | int | None = None,
    strategy: GroupStrategy | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    statistics: KeyStatistics | None = None,
    shuffle_method: str | None = None,
    cluster: ClusterSpec | None = None,
) -> Plan:
    """Return the plan of an aggregation by :func:`safeframe.groupby`, without making groups.

    Takes the arguments of :func:`safeframe.groupby`, and raises the same errors for them. A plan that is
    too large does not raise: ``plan.fits`` is then False. With ``cluster=`` the
    plan is for the cluster that a :class:`~safeframe.ClusterSpec` describes, and need not be connected.

    Parameters
    ----------
    ddf, by
        As in :func:`safeframe.groupby`.
    spec
        What ``agg`` would be called with, as in ``"sum"``.
    columns
        Column, or list of columns, to aggregate; None for all that are no keys.

    Returns
    -------
    Plan
        The strategy and its reasons, groups, partitions, and the memory and disk that they need.

    Notes
    -----
    **Eager.** As :func:`safeframe.groupby`: the key columns are read once.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": [1, 2, 1, 2], "v": [5, 6, 7, 8]}), npartitions=2)
    >>> plan = safeframe.plan_groupby(frame, "k", "sum")
    >>> plan.strategy, int(plan.output_rows)
    ('tree', 2)
    """
    given = _given(npartitions, partition_size, strategy, memory, staging, shuffle_method)
    groups = _groups(ddf, by, dropna, observed, sort, as_index, with_keys=True)
    groups = groups if columns is None else groups.pick(columns)
    with planned_for(cluster):
        request = groups.aggregated(spec, (), {}).with_statistics(statistics)
        return plan_groups(request, given).plan


def _given(
    npartitions: Any, partition_size: Any, strategy: Any, memory: Any, staging: Any, shuffle_method: Any
) -> PartitionOptions:
    given = PartitionOptions(
        npartitions=as_npartitions(npartitions),
        partition_size=partition_size,
        strategy=exchange_strategy(_RECIPE, shuffle_method, strategy),
        memory=memory,
        staging=staging,
    )
    # Now, rather than when a method is called.
    check_strategy(given.strategy, GROUP_STRATEGIES, recipe=_RECIPE)
    config.partition_nbytes(partition_size)
    if memory is not None:
        parse_nbytes(memory, argument="memory")
    if staging is not None:
        staging_facts(staging)
    return given.checked()


def _groups(
    ddf: Any, by: Any, dropna: Any, observed: Any, sort: Any, as_index: Any, *, with_keys: Any
) -> Groups:
    check_flags(dropna=dropna, observed=observed, as_index=as_index, group_keys=with_keys)
    if sort is not None:
        check_flags(sort=sort)
    if by is None:
        msg = "No key is named."
        raise ValidationError(msg, hint="Name one column, or a list of them, in by=.")
    return Groups(
        keys=group_keys(ddf, by),
        dropna=dropna,
        observed=observed,
        sort=sort,
        as_index=as_index,
        group_keys=with_keys,
    )
