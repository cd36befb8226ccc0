"""``safeframe.set_index``: a sorted index with known divisions, on small workers."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import Any

import dask.dataframe as dd

from safeframe.facts.cluster import ClusterSpec
from safeframe.facts.plan import Plan
from safeframe.facts.strategies import SortStrategy
from safeframe.prepare.dask_arguments import refuse_options
from safeframe.prepare.sort.index import IndexArguments, indexed_frame, plan_index
from safeframe.sizing.planned_cluster import planned_for


def set_index(
    ddf: dd.DataFrame,
    /,
    column: Any = None,
    *,
    drop: bool = True,
    npartitions: int | str | None = None,
    partition_size: str | int | None = None,
    strategy: SortStrategy | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    divisions: Sequence[Any] | None = None,
    sorted: bool = False,  # noqa: A002  # dask's name
    sort: bool = True,
    shuffle_method: str | None = None,
    upsample: float = 1.0,
    append: bool = False,
    inplace: bool = False,
    compute: bool | None = None,
    other: Any = None,
    **options: Any,
) -> dd.DataFrame:
    """Set the index of a dask dataframe to a column, sorted, with known divisions.

    Parameters
    ----------
    ddf
        The dask dataframe.
    column
        The column that becomes the index, or a series computed from the frame,
        such as ``ddf["a"] + 1``. The present index is dropped.
    drop
        Whether to remove the column from the columns.
    npartitions
        Number of output partitions; fewer when there are fewer keys.
        ``"auto"`` leaves it to the plan.
    partition_size
        Maximum size of an output partition in memory, as ``"64MiB"`` or in
        bytes. All rows of a key are in one partition, so a key with more rows
        makes a larger one; the plan says so. By default the configured
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
    divisions
        The divisions of the result: the first key of each partition and, at
        the end, the largest key or a value above it. No key may lie outside.
        Rows with a null key go to the last partition, as in dask.
    sorted
        Whether the rows are sorted already. This is checked: if they are not,
        an error is raised.
    sort
        False to set the index of each partition without moving rows; divisions are then unknown.
    shuffle_method
        As in dask: ``"p2p"`` is ``strategy="p2p"``; ``"disk"`` and ``"tasks"``
        leave the choice to the plan.
    upsample
        Accepted without effect: enough keys are sampled to make partitions even.
    append, inplace, compute
        Refused with an error if true.
    other
        dask's name for ``column``.
    **options
        Refused: options of dask's shuffles.

    Returns
    -------
    dask.dataframe.DataFrame
        Lazy. Rows sorted by index, rows of equal keys in the order of the
        input; null keys in partitions of their own, at the end.

    Raises
    ------
    KeyNotFoundError
        When there is no such column.
    UnsupportedError
        When several columns are named, or the values have no order.
    ValidationError
        When arguments contradict each other, ``sorted=True`` does not hold, or keys
        lie outside ``divisions``.
    StagingError
        When the staging directory cannot be used.
    MemoryBudgetError
        At compute time, when the plan does not fit the workers.

    Notes
    -----
    **Eager.** The column is read once, when this function is called, and
    evenly spaced keys of each partition are kept.

    **Memory.** A worker's peak is what it uses before any data, plus, for each
    of its threads, the larger of staging a group of input partitions (three
    times one of them, plus the group once if it holds only numbers and times,
    three times otherwise, with 24 B per row) and sorting an output partition
    (five times its bytes and 40 B per row). ``safeframe.explain(result)`` has
    the figures.

    **Disk.** The strategy ``"staged"`` writes all rows once to the staging
    directory, without columns that nothing uses and with integers narrowed.

    **Passes.** One over the column, one over the frame. Rows of a frame whose
    partitions are sorted already do not move.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": [3, 1, 2, 1], "v": [0, 1, 2, 3]}), npartitions=2)
    >>> indexed = safeframe.set_index(frame, "k", npartitions=2)
    >>> indexed.divisions, indexed.compute()["v"].tolist()
    ((1, 2, 3), [1, 3, 2, 0])
    """
    refuse_options("set_index", options, signature(set_index).parameters)
    given = IndexArguments(
        column=column, other=other, drop=drop, npartitions=npartitions, partition_size=partition_size,
        strategy=strategy, memory=memory, staging=staging, divisions=divisions, in_order=sorted, sort=sort,
        shuffle_method=shuffle_method, upsample=upsample, append=append, inplace=inplace, compute=compute,
    )  # fmt: skip
    return indexed_frame(ddf, given)


def plan_set_index(
    ddf: dd.DataFrame,
    /,
    column: Any = None,
    *,
    drop: bool = True,
    npartitions: int | str | None = None,
    partition_size: str | int | None = None,
    strategy: SortStrategy | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    divisions: Sequence[Any] | None = None,
    sorted: bool = False,  # noqa: A002  # dask's name
    sort: bool = True,
    shuffle_method: str | None = None,
    upsample: float = 1.0,
    append: bool = False,
    inplace: bool = False,
    compute: bool | None = None,
    other: Any = None,
    cluster: ClusterSpec | None = None,
    **options: Any,
) -> Plan:
    """Return the plan of :func:`safeframe.set_index`, without moving rows.

    Takes the arguments of :func:`safeframe.set_index`, and raises the same errors for them. A plan that is
    too large does not raise: ``plan.fits`` is then False. With ``cluster=`` the
    plan is for the cluster that a :class:`~safeframe.ClusterSpec` describes, and need not be connected.

    Returns
    -------
    Plan
        The strategy and its reasons, partitions, and the memory and disk that they need.

    Notes
    -----
    **Eager.** As :func:`safeframe.set_index`: the column is read once.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": [3, 1, 2, 1]}), npartitions=2)
    >>> safeframe.plan_set_index(frame, "k", npartitions=2).output_partitions
    2
    """
    refuse_options("set_index", options, signature(set_index).parameters)
    given = IndexArguments(
        column=column, other=other, drop=drop, npartitions=npartitions, partition_size=partition_size,
        strategy=strategy, memory=memory, staging=staging, divisions=divisions, in_order=sorted, sort=sort,
        shuffle_method=shuffle_method, upsample=upsample, append=append, inplace=inplace, compute=compute,
    )  # fmt: skip
    with planned_for(cluster):
        return plan_index(ddf, given)
