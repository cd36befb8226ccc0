"""``safeframe.shuffle``: all rows of a key in one partition, on small workers."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

import dask.dataframe as dd
import pandas as pd
from dask import is_dask_collection

from safeframe.choices import check_flags
from safeframe.errors import ValidationError
from safeframe.facts.cluster import ClusterSpec
from safeframe.facts.keys import KeyStatistics
from safeframe.facts.plan import Plan
from safeframe.facts.strategies import ShuffleStrategy
from safeframe.prepare.arguments import PartitionOptions
from safeframe.prepare.dask_arguments import as_npartitions, exchange_strategy, refuse, refuse_options
from safeframe.prepare.sort.shuffle import plan_by_key, shuffled
from safeframe.sizing.planned_cluster import planned_for

_RECIPE = "shuffle"


def shuffle(
    ddf: dd.DataFrame,
    /,
    on: Any = None,
    *,
    npartitions: int | str | None = None,
    strategy: ShuffleStrategy | None = None,
    partition_size: str | int | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    statistics: KeyStatistics | None = None,
    ignore_index: bool = False,
    shuffle_method: str | None = None,
    on_index: bool = False,
    force: bool = False,
    **options: Any,
) -> dd.DataFrame:
    """Shuffle a dask dataframe so that all rows of a key are in one partition.

    Parameters
    ----------
    ddf
        The dask dataframe.
    on
        Key column, or a list of them.
    npartitions
        Number of output partitions. By default enough to keep the largest
        within ``partition_size``, and at least as many as ``ddf`` has.
        ``"auto"`` leaves it to the plan.
    strategy
        ``"staged"``: through files in the staging directory. ``"p2p"``: as
        :func:`safeframe.p2p_shuffle`. By default, staged if there is a
        directory that all workers can reach.
    partition_size
        Maximum size of an output partition in memory, as ``"64MiB"`` or in
        bytes; a key with more rows makes a larger one. By default the
        configured ``safeframe.partition-size``, or a size that leaves room for
        the steps that follow.
    memory
        Memory that one worker may use, as ``"1GiB"`` or in bytes. By default
        the smallest limit of the connected workers; without a client, the
        memory that is free on this machine.
    staging
        Directory, or URL of an object store, that all workers can reach.
    statistics
        Key statistics of ``ddf``, if they were gathered before.
    ignore_index
        Whether to drop the index; it then counts from zero in each partition.
    shuffle_method
        As in dask: ``"p2p"`` is ``strategy="p2p"``; ``"disk"`` and ``"tasks"``
        leave the choice to the plan.
    on_index
        Refused with an error if true: keys are columns.
    force
        Accepted without effect: rows are always shuffled.
    **options
        Refused: options of dask's shuffles.

    Returns
    -------
    dask.dataframe.DataFrame
        Lazy. All rows of a key are in one partition; rows of a partition are
        in the order of the input. In two frames with keys of the same types
        and the same ``npartitions``, a key is in the partition of the same
        number, with either strategy.

    Raises
    ------
    KeyNotFoundError, SchemaMismatchError, ValidationError
        When the arguments do not name a frame and its columns.
    StagingError
        When the staging directory cannot be used.
    MemoryBudgetError
        At compute time, when the plan does not fit the workers.

    Notes
    -----
    **Eager.** The key columns are read once, when this function is called.

    **Memory**, **disk** and **passes** are those of :func:`safeframe.set_index`
    for ``"staged"``, and of :func:`safeframe.p2p_shuffle` for ``"p2p"``.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": [1, 2, 1, 2], "v": [5, 6, 7, 8]}), npartitions=2)
    >>> shuffled = safeframe.shuffle(frame, "k", npartitions=3)
    >>> int(shuffled.map_partitions(lambda part: part["k"].nunique()).compute().sum())
    2
    """
    del force  # rows are always shuffled
    check_flags(ignore_index=ignore_index, on_index=on_index)
    _check_dask_arguments(on, options, on_index=on_index)
    given = PartitionOptions(
        npartitions=as_npartitions(npartitions),
        partition_size=partition_size,
        strategy=exchange_strategy(_RECIPE, shuffle_method, strategy),
        memory=memory,
        staging=staging,
    )
    planned = plan_by_key(ddf, on, given, statistics, with_index=not ignore_index)
    return shuffled(planned, with_index=not ignore_index)


def plan_shuffle(
    ddf: dd.DataFrame,
    /,
    on: Any = None,
    *,
    npartitions: int | str | None = None,
    strategy: ShuffleStrategy | None = None,
    partition_size: str | int | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    statistics: KeyStatistics | None = None,
    ignore_index: bool = False,
    shuffle_method: str | None = None,
    on_index: bool = False,
    force: bool = False,
    cluster: ClusterSpec | None = None,
    **options: Any,
) -> Plan:
    """Return the plan of :func:`safeframe.shuffle`, without moving rows.

    Takes the arguments of :func:`safeframe.shuffle`, and raises the same errors for them. A plan that is
    too large does not raise: ``plan.fits`` is then False. With ``cluster=`` the
    plan is for the cluster that a :class:`~safeframe.ClusterSpec` describes, and need not be connected.

    Returns
    -------
    Plan
        The strategy and its reasons, partitions, and the memory and disk that they need.

    Notes
    -----
    **Eager.** As :func:`safeframe.shuffle`: the key columns are read once.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": [1, 2, 1, 2]}), npartitions=2)
    >>> safeframe.plan_shuffle(frame, "k", npartitions=3).output_partitions
    3
    """
    del force  # rows are always shuffled
    check_flags(ignore_index=ignore_index, on_index=on_index)
    _check_dask_arguments(on, options, on_index=on_index)
    given = PartitionOptions(
        npartitions=as_npartitions(npartitions),
        partition_size=partition_size,
        strategy=exchange_strategy(_RECIPE, shuffle_method, strategy),
        memory=memory,
        staging=staging,
    )
    with planned_for(cluster):
        return plan_by_key(ddf, on, given, statistics, with_index=not ignore_index).plan


def _check_dask_arguments(on: Any, options: Mapping[str, Any], *, on_index: bool) -> None:
    refuse_options(_RECIPE, options, signature(shuffle).parameters)
    if on_index:
        refuse(
            _RECIPE,
            "on_index",
            on_index,
            "its keys are columns",
            "Make the index a column: ddf.reset_index().",
        )
    if is_dask_collection(on) or isinstance(on, (pd.Series, pd.DataFrame)):
        hint = "Make it a column first, as with ddf.assign(key=...)."
        refuse(_RECIPE, "on", type(on).__name__, "its keys are columns", hint)
    if on is None:
        msg = "No column is named."
        raise ValidationError(msg, hint="Name one column, or a list of them, in on=.")
