"""``safeframe.groupby_lag_transform``: grouped lags, for groups of any size, on small workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import dask.dataframe as dd

from safeframe.choices import check_flags
from safeframe.errors import ValidationError
from safeframe.facts.cluster import ClusterSpec
from safeframe.facts.plan import Plan
from safeframe.facts.strategies import LagStrategy
from safeframe.prepare.arguments import PartitionOptions, as_names, check_keys
from safeframe.prepare.lag.columns import NO_FILL, lag_spec
from safeframe.prepare.lag.plan import PlannedLag, lagged, plan_lags
from safeframe.prepare.lag.source import lag_source
from safeframe.sizing.planned_cluster import planned_for

_TEMPLATE = "{column}_lag_{lag}"


def groupby_lag_transform(
    ddf: dd.DataFrame,
    by: Any,
    columns: Any,
    lags: Any,
    *,
    order_by: Any = None,
    transform: Callable[[Any], Any] | str | None = None,
    names: str | Sequence[Any] | Callable[[Any, int], Any] = _TEMPLATE,
    fill_value: Any = NO_FILL,
    dropna: bool = True,
    ignore_index: bool = False,
    npartitions: int | None = None,
    partition_size: str | int | None = None,
    strategy: LagStrategy | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
) -> dd.DataFrame:
    """Add lagged columns, shifted within groups and optionally transformed.

    Parameters
    ----------
    ddf
        The dask dataframe.
    by
        Column, or list of columns, to group by. One of them may be the index.
    columns
        Column, or list of columns, to shift.
    lags
        Number of rows to shift by, or several. ``1`` is the previous row,
        ``-1`` the next row, ``0`` the row itself.
    order_by
        Column, or list of columns, by which the rows of a group are sorted,
        ascending and with nulls last. Ties, and all rows if it is None, keep
        the order of the frame.
    transform
        Function to apply to each shifted column: a numpy ufunc, or a function
        of a whole column (a pandas series) that returns the same number of
        values. It is called on whole columns of a partition, never per group.
        ``"diff"`` is the column minus the shifted one, ``"pct_change"`` the
        fractional change.
    names
        Names of the new columns: a template with ``{column}`` and ``{lag}``, a
        function of both, or a list, with all lags of the first column first.
    fill_value
        Value where a group has no such row, before ``transform``. By default
        the value is missing.
    dropna
        Whether rows with a null in ``by`` belong to no group: their shifted
        values are then missing, or ``fill_value``. If False, null is a key like
        any other.
    ignore_index
        Whether to drop the index; it then counts from zero in each partition.
    npartitions
        Approximate number of output partitions; a group may span several of them.
    partition_size
        Maximum size of an output partition in memory, as ``"64MiB"`` or in
        bytes. By default the configured ``safeframe.partition-size``, or the
        size that a task can make within its budget.
    strategy
        ``"whole"``, ``"halo"``, ``"staged"`` or ``"p2p"``. By default, the plan chooses.
    memory
        Memory that one worker may use, as ``"1GiB"`` or in bytes. By default
        the smallest limit of the connected workers; without a client, the
        memory that is free on this machine.
    staging
        Directory, or URL of an object store, that all workers can reach.

    Returns
    -------
    dask.dataframe.DataFrame
        Lazy. All rows and columns of ``ddf``, followed by the new columns, with
        the values of :meth:`pandas.core.groupby.DataFrameGroupBy.shift`. With
        the strategies ``"whole"`` and ``"halo"`` rows stay in their partitions
        and in their order; otherwise they are sorted by ``by``, nulls last, and
        within a group by ``order_by``.

    Raises
    ------
    KeyNotFoundError
        When there is no such column.
    ValidationError
        When arguments contradict each other, or a name is already used.
    UnsupportedError
        When the values of ``by`` or ``order_by`` have no order.
    StagingError
        When the staging directory cannot be used.
    MemoryBudgetError
        At compute time, when the plan does not fit the workers.

    Notes
    -----
    **Types** are known before anything runs, so they cannot depend on values as
    in pandas: a nonzero shift turns integers into floats and booleans into
    objects, as pandas does when a value is missing, unless there is a
    ``fill_value``. Nullable types, strings, categories and times keep their type.

    **Eager.** The columns ``by`` and ``order_by`` are read once, when this
    function is called, to keep evenly spaced rows of each partition and to check
    whether rows are sorted already. They are read a second time if a group is
    larger than a partition may be and ``order_by`` is given. Nothing is read
    from the result of :func:`safeframe.shuffle` on the same keys, with or
    without columns selected or computed row by row since.

    **Memory.** A worker's peak is what it uses before any data, plus, for each
    of its threads, the larger of staging a group of input partitions (as in
    :func:`safeframe.set_index`) and making an output partition: its rows and
    the halo that lags reach into, twice and with 40 B per row, and the result
    three times with 24 B per row. A group is never in memory as a whole. With
    the strategy ``"halo"``, partitions that other tasks compute first (such as
    a shuffle of dask) wait for their neighbours: all of them count, so it is
    chosen only if they fit one worker. ``safeframe.explain(result)`` has the
    figures.

    **Disk.** The strategy ``"staged"`` writes all rows once to the staging
    directory, without columns that nothing uses and with integers narrowed.

    **Passes.** One over the keys, one over the frame. The strategy ``"halo"``
    reads the columns that it needs once more from partitions whose groups
    continue in the next one.

    Examples
    --------
    >>> import numpy as np, pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": [1, 2, 1, 2], "v": [1.0, 2.0, 3.0, 4.0]}), npartitions=2)
    >>> safeframe.groupby_lag_transform(frame, "k", "v", [1]).compute().sort_index()
       k    v  v_lag_1
    0  1  1.0      NaN
    1  2  2.0      NaN
    2  1  3.0      1.0
    3  2  4.0      2.0
    >>> logs = safeframe.groupby_lag_transform(frame, "k", "v", range(2), transform=np.log, names="log{lag}")
    >>> list(logs.columns)
    ['k', 'v', 'log0', 'log1']
    """
    planned = _plan_with_arguments(
        ddf, by, columns, lags, order_by, transform, names, fill_value, dropna, ignore_index, PartitionOptions(
            npartitions=npartitions, partition_size=partition_size, strategy=strategy, memory=memory, staging=staging,
        ))  # fmt: skip
    return lagged(planned, transform)


def plan_lag(
    ddf: dd.DataFrame,
    by: Any,
    columns: Any,
    lags: Any,
    *,
    order_by: Any = None,
    transform: Callable[[Any], Any] | str | None = None,
    names: str | Sequence[Any] | Callable[[Any, int], Any] = _TEMPLATE,
    fill_value: Any = NO_FILL,
    dropna: bool = True,
    ignore_index: bool = False,
    npartitions: int | None = None,
    partition_size: str | int | None = None,
    strategy: LagStrategy | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    cluster: ClusterSpec | None = None,
) -> Plan:
    """Return the plan of :func:`safeframe.groupby_lag_transform`, without moving rows.

    Takes the arguments of :func:`safeframe.groupby_lag_transform`, and raises the same errors for them. A plan that is
    too large does not raise: ``plan.fits`` is then False. With ``cluster=`` the
    plan is for the cluster that a :class:`~safeframe.ClusterSpec` describes, and need not be connected.

    Returns
    -------
    Plan
        The strategy and its reasons, partitions, and the memory and disk that they need.

    Notes
    -----
    **Eager.** As :func:`safeframe.groupby_lag_transform`: keys are read.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": [1, 1, 1, 2], "v": [1, 2, 3, 4]}), npartitions=2)
    >>> safeframe.plan_lag(frame, "k", "v", 1).strategy
    'halo'
    """
    given = PartitionOptions(
        npartitions=npartitions,
        partition_size=partition_size,
        strategy=strategy,
        memory=memory,
        staging=staging,
    )
    with planned_for(cluster):
        return _plan_with_arguments(
            ddf, by, columns, lags, order_by, transform, names, fill_value, dropna, ignore_index, given
        ).plan


def _plan_with_arguments(
    ddf: Any,
    by: Any,
    columns: Any,
    lags: Any,
    order_by: Any,
    transform: Any,
    names: Any,
    fill_value: Any,
    dropna: bool,
    ignore_index: bool,
    given: PartitionOptions,
) -> PlannedLag:
    given = given.checked()
    check_flags(dropna=dropna, ignore_index=ignore_index)
    there = list(ddf.columns) if isinstance(ddf, dd.DataFrame) else []
    keys, values = _names(by, there), _names(columns, there)
    ordering = () if order_by is None else _names(order_by, there)
    source = lag_source(ddf, keys, ordering, ignore_index=ignore_index)
    if not values:
        msg = "columns= names no column."
        raise ValidationError(msg, hint="Name one column, or a list of them.")
    check_keys(source.frame, values)
    spec = lag_spec(
        source.frame._meta,
        by=keys,
        columns=columns,
        lags=lags,
        transform=transform,
        names=names,
        fill_value=fill_value,
        dropna=dropna,
    )
    return plan_lags(source, spec, given)


def _names(given: Any, columns: Sequence[Any]) -> tuple[Any, ...]:
    """Return a name, or several, as a tuple; a tuple may be the name of a column."""
    return (given,) if isinstance(given, tuple) and given in columns else as_names(given)
