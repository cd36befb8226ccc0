"""``safeframe.sort_values``: a whole frame sorted, on small workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any

import dask.dataframe as dd

from safeframe.facts.cluster import ClusterSpec
from safeframe.facts.plan import Plan
from safeframe.facts.strategies import SortStrategy
from safeframe.prepare.arguments import PartitionOptions
from safeframe.prepare.dask_arguments import (
    as_npartitions,
    exchange_strategy,
    no_effect,
    refuse,
    refuse_options,
)
from safeframe.prepare.sort.arguments import RECIPE, check_sort
from safeframe.prepare.sort.order import PlannedSort, make_collection, plan_order
from safeframe.sizing.planned_cluster import planned_for


def sort_values(
    ddf: dd.DataFrame,
    /,
    by: Any,
    *,
    ascending: bool | Sequence[bool] = True,
    na_position: str = "last",
    ignore_index: bool | None = False,
    npartitions: int | str | None = None,
    partition_size: str | int | None = None,
    strategy: SortStrategy | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    sort_function: Callable[..., Any] | None = None,
    sort_function_kwargs: Mapping[str, Any] | None = None,
    upsample: float = 1.0,
    shuffle_method: str | None = None,
    **options: Any,
) -> dd.DataFrame:
    """Sort a dask dataframe by one or more columns.

    Parameters
    ----------
    ddf
        The dask dataframe.
    by
        A column, or a list of columns, the most significant first.
    ascending
        Whether to sort in ascending order; one value for all columns, or one each.
    na_position
        ``"last"`` or ``"first"``: where nulls go, in either direction.
    ignore_index
        Whether to drop the index; it then counts from zero in each partition.
    npartitions
        Approximate number of output partitions; a key may span several of them.
        ``"auto"`` leaves it to the plan.
    partition_size
        Maximum size of an output partition in memory, as ``"64MiB"`` or in
        bytes. A key with more rows spans several. By default the configured
        ``safeframe.partition-size``, or a size that leaves room for the steps
        that follow.
    strategy
        ``"sorted"``, ``"staged"`` or ``"p2p"``. By default, the plan chooses.
    memory
        Memory that one worker may use, as ``"1GiB"`` or in bytes. By default
        the smallest limit of the connected workers; without a client, the
        memory that is free on this machine.
    staging
        Directory, or URL of an object store, that all workers can reach.
    sort_function, sort_function_kwargs
        Refused with an error: the order of ``by`` also decides which partition a row goes to.
    upsample
        Accepted without effect: enough keys are sampled to make partitions even.
    shuffle_method
        As in dask: ``"p2p"`` is ``strategy="p2p"``; ``"disk"`` and ``"tasks"``
        leave the choice to the plan.
    **options
        Refused: options of dask's shuffles.

    Returns
    -------
    dask.dataframe.DataFrame
        Lazy. Rows in the order of :meth:`pandas.DataFrame.sort_values` with
        ``kind="stable"``: rows of equal keys are in the order of the input.
        Divisions are unknown.

    Raises
    ------
    KeyNotFoundError
        When there is no such column.
    UnsupportedError
        When the values have no order, and for arguments of dask that are refused.
    ValidationError
        When arguments contradict each other.
    StagingError
        When the staging directory cannot be used.
    MemoryBudgetError
        At compute time, when the plan does not fit the workers.

    Notes
    -----
    **Eager.** The columns ``by`` are read once, when this function is called,
    and evenly spaced rows of each partition are kept.

    **Memory**, **disk** and **passes** are those of :func:`safeframe.set_index`.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"a": [2, 1, 2], "b": [1.5, None, 0.5]}), npartitions=2)
    >>> safeframe.sort_values(frame, ["a", "b"], ascending=[False, True]).compute()
       a    b
    2  2  0.5
    0  2  1.5
    1  1  NaN
    """
    given = _sort_options(
        options, npartitions=npartitions, partition_size=partition_size, strategy=strategy, memory=memory,
        staging=staging, sort_function=sort_function, sort_function_kwargs=sort_function_kwargs, upsample=upsample,
        shuffle_method=shuffle_method,
    )  # fmt: skip
    return make_collection(_plan_sort(ddf, by, ascending, na_position, ignore_index, given))


def plan_sort_values(
    ddf: dd.DataFrame,
    /,
    by: Any,
    *,
    ascending: bool | Sequence[bool] = True,
    na_position: str = "last",
    ignore_index: bool | None = False,
    npartitions: int | str | None = None,
    partition_size: str | int | None = None,
    strategy: SortStrategy | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    sort_function: Callable[..., Any] | None = None,
    sort_function_kwargs: Mapping[str, Any] | None = None,
    upsample: float = 1.0,
    shuffle_method: str | None = None,
    cluster: ClusterSpec | None = None,
    **options: Any,
) -> Plan:
    """Return the plan of :func:`safeframe.sort_values`, without moving rows.

    Takes the arguments of :func:`safeframe.sort_values`, and raises the same errors for them. A plan that is
    too large does not raise: ``plan.fits`` is then False. With ``cluster=`` the
    plan is for the cluster that a :class:`~safeframe.ClusterSpec` describes, and need not be connected.

    Returns
    -------
    Plan
        The strategy and its reasons, partitions, and the memory and disk that they need.

    Notes
    -----
    **Eager.** As :func:`safeframe.sort_values`: the columns ``by`` are read once.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": [3, 1, 2, 1]}), npartitions=2)
    >>> safeframe.plan_sort_values(frame, "k", npartitions=2).fits
    True
    """
    given = _sort_options(
        options, npartitions=npartitions, partition_size=partition_size, strategy=strategy, memory=memory,
        staging=staging, sort_function=sort_function, sort_function_kwargs=sort_function_kwargs, upsample=upsample,
        shuffle_method=shuffle_method,
    )  # fmt: skip
    with planned_for(cluster):
        return _plan_sort(ddf, by, ascending, na_position, ignore_index, given).plan


def _sort_options(
    options: Mapping[str, Any],
    *,
    npartitions: Any,
    partition_size: str | int | None,
    strategy: str | None,
    memory: str | int | None,
    staging: str | None,
    sort_function: Any,
    sort_function_kwargs: Any,
    upsample: float,
    shuffle_method: str | None,
) -> PartitionOptions:
    refuse_options(RECIPE, options, signature(sort_values).parameters)
    why, hint = (
        "the same order decides to which partition rows go",
        "Sort by a column that the function computes.",
    )
    if sort_function is not None:
        refuse(RECIPE, "sort_function", getattr(sort_function, "__name__", sort_function), why, hint)
    if sort_function_kwargs is not None and (
        not isinstance(sort_function_kwargs, Mapping) or sort_function_kwargs
    ):
        refuse(RECIPE, "sort_function_kwargs", sort_function_kwargs, why, hint)
    no_effect(upsample=upsample)
    return PartitionOptions(
        npartitions=as_npartitions(npartitions),
        partition_size=partition_size,
        strategy=exchange_strategy(RECIPE, shuffle_method, strategy),
        memory=memory,
        staging=staging,
    )


def _plan_sort(
    ddf: Any, by: Any, ascending: Any, na_position: str, ignore_index: bool | None, given: PartitionOptions
) -> PlannedSort:
    frame, request = check_sort(ddf, by, ascending, na_position, ignore_index, given)
    return plan_order(frame, request, given, recipe=RECIPE, split_keys=True)
