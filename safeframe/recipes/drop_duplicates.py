"""``safeframe.drop_duplicates``: one row for each key, in the order of the frame, on small workers."""

from __future__ import annotations

from typing import Any, Literal, cast

import dask.dataframe as dd

from safeframe.choices import check_flags
from safeframe.facts.cluster import ClusterSpec
from safeframe.facts.keys import KeyStatistics
from safeframe.facts.plan import Plan
from safeframe.facts.strategies import DistinctStrategy
from safeframe.prepare.distinct.arguments import check_dask_arguments, moves
from safeframe.prepare.distinct.plan import DistinctRequest, plan_rows
from safeframe.sizing.planned_cluster import planned_for

_RECIPE = "drop_duplicates"


def drop_duplicates(
    ddf: dd.DataFrame,
    /,
    subset: Any = None,
    *,
    keep: Literal["first", "last", False] = "first",
    ignore_index: bool = False,
    strategy: DistinctStrategy | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    statistics: KeyStatistics | None = None,
    inplace: bool = False,
    split_every: int | bool | None = None,
    split_out: int | bool = True,
    shuffle_method: str | None = None,
) -> dd.DataFrame:
    """Drop rows whose key was met before; the others stay where they are.

    Parameters
    ----------
    ddf
        The dask dataframe.
    subset
        Key column, or a list of them; all columns by default.
    keep
        Which row of a key stays: the ``"first"`` or the ``"last"`` in the order
        of the frame, or none of those that have a key in common, for ``False``.
    ignore_index
        Whether the result's index counts its rows, through all partitions.
    strategy
        ``"whole"``: each partition alone, where all rows of a key are in one.
        ``"tree"``: all keys in one task. ``"staged"``: keys pass through files.
        By default the plan chooses.
    memory
        Memory that one worker may use, as ``"1GiB"`` or in bytes. By default
        the smallest limit of the connected workers; without a client, the
        memory that is free on this machine.
    staging
        Directory, or URL of an object store, that all workers can reach.
    statistics
        Key statistics of ``ddf``, if they were gathered before.
    inplace
        Refused with an error if true: dask dataframes do not change.
    split_every, split_out
        Accepted without effect: there is no tree of all rows, and partitions
        stay as many as there are.
    shuffle_method
        As in dask; ``"p2p"`` is refused with an error, and the others leave the
        choice to the plan.

    Returns
    -------
    dask.dataframe.DataFrame
        Lazy. Rows in their order, with their index and divisions, in as many
        partitions as ``ddf`` has.

    Raises
    ------
    KeyNotFoundError, SchemaMismatchError, ValidationError
        When the arguments do not name a frame and its columns.
    UnsupportedError
        When keys have values that cannot be compared, as lists.
    StagingError
        When the staging directory cannot be used.
    MemoryBudgetError
        At compute time, when the plan does not fit the workers.
    RowConservationError
        At compute time, when the rows of a partition have changed since the
        plan was made.

    Notes
    -----
    **Eager.** The key columns are read once, when this function is called.

    **Exact.** Keys are compared by value, as pandas compares them, and never by
    a hash alone: a null equals a null, ``-0.0`` equals ``0.0``, and integers
    beyond 2⁵³ differ where they do.

    **Memory.** A worker's peak is what it uses before any data, plus, for each
    of its threads, the largest of: staging the keys of a partition; the keys of
    a shard, twice, and 104 B for each of its rows; a partition, twice, its rows
    that stay, three times, and 64 B a row.

    **Disk.** ``"staged"`` writes the key columns once, with 8 B a row, and 8 B
    for each row that stays, or for each that goes, whichever are fewer.

    **Passes.** Two over the key columns, one of them to make the plan, and one
    over the frame. Rows do not move.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": [1, 2, 1, 3], "v": [5, 6, 7, 8]}), npartitions=2)
    >>> safeframe.drop_duplicates(frame, "k").compute()
       k  v
    0  1  5
    1  2  6
    3  3  8
    """
    check_flags(ignore_index=ignore_index)
    check_dask_arguments(_RECIPE, inplace=inplace, split_every=split_every, split_out=split_out)
    request = DistinctRequest(
        recipe=_RECIPE,
        subset=subset,
        keep=keep,
        wanted="rows",
        ignore_index=ignore_index,
        statistics=statistics,
    )
    given = moves(_RECIPE, strategy=strategy, memory=memory, staging=staging, shuffle_method=shuffle_method)
    return cast("dd.DataFrame", plan_rows(ddf, request, given).collection())


def plan_drop_duplicates(
    ddf: dd.DataFrame,
    /,
    subset: Any = None,
    *,
    keep: Literal["first", "last", False] = "first",
    ignore_index: bool = False,
    strategy: DistinctStrategy | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    statistics: KeyStatistics | None = None,
    inplace: bool = False,
    split_every: int | bool | None = None,
    split_out: int | bool = True,
    shuffle_method: str | None = None,
    cluster: ClusterSpec | None = None,
) -> Plan:
    """Return the plan of :func:`safeframe.drop_duplicates`, without moving rows.

    Takes the arguments of :func:`safeframe.drop_duplicates`, and raises the same errors for them. A plan that is
    too large does not raise: ``plan.fits`` is then False. With ``cluster=`` the
    plan is for the cluster that a :class:`~safeframe.ClusterSpec` describes, and need not be connected.

    Returns
    -------
    Plan
        Distinct keys and rows that stay, exact or an interval; the strategy and its reasons, and the memory and
        disk that it needs.

    Notes
    -----
    **Eager.** As :func:`safeframe.drop_duplicates`: the key columns are read once.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": [1, 2, 1, 3]}), npartitions=2)
    >>> int(safeframe.plan_drop_duplicates(frame, "k").output_rows)
    3
    """
    check_flags(ignore_index=ignore_index)
    check_dask_arguments(_RECIPE, inplace=inplace, split_every=split_every, split_out=split_out)
    request = DistinctRequest(
        recipe=_RECIPE,
        subset=subset,
        keep=keep,
        wanted="rows",
        ignore_index=ignore_index,
        statistics=statistics,
    )
    given = moves(_RECIPE, strategy=strategy, memory=memory, staging=staging, shuffle_method=shuffle_method)
    with planned_for(cluster):
        return plan_rows(ddf, request, given).plan
