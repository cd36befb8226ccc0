"""``safeframe.value_counts``: how often each value, or row, occurs, for any number of them."""

from __future__ import annotations

from typing import Any, cast

import dask.dataframe as dd

from safeframe.choices import check_flags
from safeframe.facts.cluster import ClusterSpec
from safeframe.facts.keys import KeyStatistics
from safeframe.facts.plan import Plan
from safeframe.facts.strategies import GroupStrategy
from safeframe.prepare.arguments import PartitionOptions
from safeframe.prepare.dask_arguments import as_npartitions, no_tree
from safeframe.prepare.groupby.value_counts import CountsRequest, counted, plan_counts
from safeframe.sizing.planned_cluster import planned_for


def value_counts(
    ddf: Any,
    /,
    subset: Any = None,
    normalize: bool = False,
    sort: bool = True,
    ascending: bool = False,
    dropna: bool = True,
    *,
    npartitions: int | str | None = None,
    partition_size: str | int | None = None,
    strategy: GroupStrategy | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    statistics: KeyStatistics | None = None,
    split_every: int | bool | None = None,
    split_out: int | bool | None = None,
) -> dd.Series:
    """Count how often each value of a column, or of several, occurs.

    Parameters
    ----------
    ddf
        The dask dataframe, or a series.
    subset
        Column, or list of columns; None for all.
    normalize
        Whether to return shares of all rows instead of counts.
    sort
        Whether values are in the order of their counts. If False, they are in no particular order.
    ascending
        Whether the rarest value comes first.
    dropna
        Whether rows with a null are left out.
    npartitions, partition_size, strategy, memory, staging, statistics
        As in :func:`safeframe.groupby`.
    split_every, split_out
        dask's: ``split_out`` is ``npartitions``, and ``split_every`` has no effect.

    Returns
    -------
    dask.dataframe.Series
        Lazy. ``count``, or ``proportion``, with the values in its index. Values that occur equally
        often are in no particular order.

    Raises
    ------
    KeyNotFoundError, SchemaMismatchError, ValidationError
        When the arguments do not name a frame and its columns.

    Notes
    -----
    **Eager.** The columns are read once to count distinct values. Where ``sort`` is true and
    there are more of them than one partition holds, what was counted cuts them in order too.

    **Memory**, **disk** and **passes** are those of ``groupby(subset).size()``; see :func:`safeframe.groupby`. Where there
    are more counts than one partition holds and ``sort`` is true, they pass through the staging directory once more.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": ["a", "b", "a"]}), npartitions=2)
    >>> safeframe.value_counts(frame, "k").compute().to_dict()
    {'a': 2, 'b': 1}
    """
    no_tree(split_every=split_every)
    check_flags(normalize=normalize, sort=sort, ascending=ascending, dropna=dropna)
    given = PartitionOptions(
        npartitions=_npartitions(npartitions, split_out),
        partition_size=partition_size,
        strategy=strategy,
        memory=memory,
        staging=staging,
    )
    request = CountsRequest(
        subset=subset,
        normalize=normalize,
        ascending=ascending if sort else None,
        dropna=dropna,
        statistics=statistics,
    )
    return cast("dd.Series", counted(ddf, request, given))


def plan_value_counts(
    ddf: Any,
    /,
    subset: Any = None,
    normalize: bool = False,
    sort: bool = True,
    ascending: bool = False,
    dropna: bool = True,
    *,
    npartitions: int | str | None = None,
    partition_size: str | int | None = None,
    strategy: GroupStrategy | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    statistics: KeyStatistics | None = None,
    split_every: int | bool | None = None,
    split_out: int | bool | None = None,
    cluster: ClusterSpec | None = None,
) -> Plan:
    """Return the plan of :func:`safeframe.value_counts`, without counting.

    Takes the arguments of :func:`safeframe.value_counts`, and raises the same errors for them. A plan that is
    too large does not raise: ``plan.fits`` is then False. With ``cluster=`` the
    plan is for the cluster that a :class:`~safeframe.ClusterSpec` describes, and need not be connected.

    Returns
    -------
    Plan
        The strategy and its reasons, distinct values, partitions, and the memory and disk that they need.

    Notes
    -----
    **Eager.** The columns are read once to count distinct values.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": ["a", "b", "a"]}), npartitions=2)
    >>> int(safeframe.plan_value_counts(frame, "k").output_rows)
    2
    """
    no_tree(split_every=split_every)
    check_flags(normalize=normalize, sort=sort, ascending=ascending, dropna=dropna)
    given = PartitionOptions(
        npartitions=_npartitions(npartitions, split_out),
        partition_size=partition_size,
        strategy=strategy,
        memory=memory,
        staging=staging,
    )
    request = CountsRequest(
        subset=subset,
        normalize=normalize,
        ascending=ascending if sort else None,
        dropna=dropna,
        statistics=statistics,
    )
    with planned_for(cluster):
        return plan_counts(ddf, request, given)


def _npartitions(npartitions: int | str | None, split_out: int | bool | None) -> int | None:
    """Return the number of partitions, by dask's argument where ours is not given."""
    by_dask = None if isinstance(split_out, bool) else split_out
    return as_npartitions(by_dask if npartitions is None else npartitions)
