"""``safeframe.groupby_lag_transform``: columns shifted within groups of any size, on small workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import dask.dataframe as dd

from safeframe._dask.expressions import new_collection
from safeframe.choices import check_flags
from safeframe.engine.exchange.runs import check_staging
from safeframe.engine.lag.nodes import SafeLag
from safeframe.errors import ValidationError
from safeframe.facts.plan import Plan
from safeframe.prepare.arguments import as_names, check_keys
from safeframe.prepare.lag.columns import NO_FILL, lag_spec
from safeframe.prepare.lag.plan import PlannedLag, plan_lags
from safeframe.prepare.lag.source import lag_source
from safeframe.prepare.sort.order import SortOptions

__all__ = ["groupby_lag_transform", "plan_lag"]

_NAMES = "{column}_lag_{lag}"


def groupby_lag_transform(
    ddf: dd.DataFrame,
    by: Any,
    columns: Any,
    lags: Any,
    *,
    order_by: Any = None,
    transform: Callable[[Any], Any] | str | None = None,
    names: str | Sequence[Any] | Callable[[Any, int], Any] = _NAMES,
    fill_value: Any = NO_FILL,
    dropna: bool = True,
    ignore_index: bool = False,
    npartitions: int | None = None,
    partition_size: str | int | None = None,
    strategy: str | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
) -> dd.DataFrame:
    """Add columns that are shifted within groups, and what a function makes of them.

    Parameters
    ----------
    ddf
        The frame.
    by
        Column, or list of columns, whose equal values make a group. One of
        them may be the index.
    columns
        Column, or list of columns, to shift.
    lags
        By how many rows: one number or several. ``1`` is the row before,
        ``-1`` the row behind, ``0`` the row itself.
    order_by
        Column, or list of columns, that order the rows of a group, small values
        first and nulls last. Rows of equal values, and all rows where it is
        None, are in the order of the frame.
    transform
        What is made of each shifted column: a numpy ufunc, or a function of a
        whole column (a pandas series) that returns as many values. It is called
        for whole columns of a partition, never for a group. ``"diff"`` is the
        column less the shifted one, ``"pct_change"`` the change by its fraction.
    names
        Names of the new columns: a template of ``{column}`` and ``{lag}``, a
        function of both, or a list, with all lags of the first column first.
    fill_value
        What stands where a group has no such row, before ``transform``. Without
        it the value is missing.
    dropna
        Whether rows with a null in ``by`` are in no group: their shifted values
        are then missing, or ``fill_value``. If not, a null is a key like others.
    ignore_index
        Whether the index is dropped, and counts from zero in each partition.
    npartitions
        Partitions of the result, about; a group never has to fit one of them.
    partition_size
        Bytes that an output partition may have in memory, as ``"64MiB"`` or an
        int. By default the configured ``safeframe.partition-size``, or else
        what lets a task make one within its budget.
    strategy
        ``"whole"``, ``"halo"``, ``"staged"`` or ``"p2p"``; None to let the plan choose.
    memory
        Bytes that one worker may use. By default the smallest connected
        worker's limit; without a client, what the machine leaves.
    staging
        A directory, or URL of an object store, that all workers reach.

    Returns
    -------
    dask.dataframe.DataFrame
        Lazy: all rows and columns of ``ddf``, and the new columns behind them,
        with the values of :meth:`pandas.core.groupby.DataFrameGroupBy.shift`.
        With the strategies ``"whole"`` and ``"halo"`` rows stay in their
        partitions and in their order; otherwise they come in the order of
        ``by``, nulls last, and within a group in that of ``order_by``.

    Raises
    ------
    KeyNotFoundError
        When there is no such column.
    ValidationError
        When arguments contradict each other, or a name is taken.
    UnsupportedError
        When the values of ``by`` or ``order_by`` have no order.
    StagingError
        When the staging directory cannot be used.
    MemoryBudgetError
        When the collection is computed and its plan does not fit the workers.

    Notes
    -----
    **Types** are known before anything runs, so they cannot depend on the values
    as pandas' do: a shift by other than zero makes integers floats and booleans
    objects, as pandas does where a value is missing, unless there is a
    ``fill_value``. Nullable types, strings, categories and times stay what they are.

    **Eager.** The columns ``by`` and ``order_by`` are read once, when this
    function is called: evenly spaced rows of each partition are kept, and it is
    seen whether rows are in order already. A second time where a group is
    larger than a partition may be and ``order_by`` is given. Nothing is read of a
    frame that :func:`safeframe.shuffle` has brought together by its keys, with
    or without columns that were chosen, or worked out row by row, since.

    **Memory.** A worker's peak is what it uses before any data, plus, for each
    of its threads, the larger of staging a group of input partitions (as
    :func:`safeframe.set_index`) and making an output partition: its rows and
    those that lags reach beside it, twice and with 40 B a row, and the result
    three times with 24 B a row. No group is ever held whole. With the strategy
    ``"halo"`` partitions that other tasks have to make first (a shuffle of
    dask's, say) wait for their neighbours: all of them count, so that it is
    chosen only where they fit one worker. The plan has the figures:
    ``safeframe.explain(result)``.

    **Disk.** With the strategy ``"staged"`` all rows are written once to the
    staging directory, less columns that nothing uses, integers narrowed.

    **Passes.** One over the keys, one over the frame. With the strategy
    ``"halo"`` the columns needed are read once more of partitions at whose
    edges a group goes on.

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
    planned = _planned(
        ddf, by, columns, lags, order_by, transform, names, fill_value, dropna, ignore_index, SortOptions(
            npartitions=npartitions, partition_size=partition_size, strategy=strategy, memory=memory, staging=staging,
        ))  # fmt: skip
    plan = planned.lag.plan
    if plan.strategy == "staged" and plan.staging_directory is not None:
        check_staging(plan.staging_directory)
    expression = SafeLag(planned.frame, plan, planned.lags, transform, planned.moves, planned.divisions)
    return cast("dd.DataFrame", new_collection(expression))


def plan_lag(
    ddf: dd.DataFrame,
    by: Any,
    columns: Any,
    lags: Any,
    *,
    order_by: Any = None,
    transform: Callable[[Any], Any] | str | None = None,
    names: str | Sequence[Any] | Callable[[Any, int], Any] = _NAMES,
    fill_value: Any = NO_FILL,
    dropna: bool = True,
    ignore_index: bool = False,
    npartitions: int | None = None,
    partition_size: str | int | None = None,
    strategy: str | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
) -> Plan:
    """Return what :func:`safeframe.groupby_lag_transform` would do, with the same arguments.

    Returns
    -------
    Plan
        Strategy and why, partitions, and the memory and disk that they need.

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
    return _planned(
        ddf, by, columns, lags, order_by, transform, names, fill_value, dropna, ignore_index, SortOptions(
            npartitions=npartitions, partition_size=partition_size, strategy=strategy, memory=memory, staging=staging,
        )).lag.plan  # fmt: skip


def _planned(
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
    given: SortOptions,
) -> PlannedLag:
    given = given.checked()
    check_flags(dropna=dropna, ignore_index=ignore_index)
    keys = as_names(by) if not _is_column(ddf, by) else (by,)
    ordering = (
        () if order_by is None else as_names(order_by) if not _is_column(ddf, order_by) else (order_by,)
    )
    source = lag_source(ddf, keys, ordering, ignore_index=ignore_index)
    values = as_names(columns) if not _is_column(ddf, columns) else (columns,)
    if not values:
        msg = "columns= names no column."
        raise ValidationError(msg, hint="Name one column, or a list of them.")
    check_keys(source.frame, values, "ddf")
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


def _is_column(ddf: Any, name: Any) -> bool:
    return isinstance(name, tuple) and isinstance(ddf, dd.DataFrame) and name in list(ddf.columns)
