"""``safeframe.p2p_shuffle``: dask's P2P shuffle, after a check of memory, disk and types."""

from __future__ import annotations

from typing import Any

import dask.dataframe as dd

from safeframe.facts.cluster import ClusterSpec
from safeframe.facts.keys import KeyStatistics
from safeframe.facts.plan import Plan
from safeframe.prepare.arguments import PartitionOptions
from safeframe.prepare.sort.shuffle import plan_by_key_through_p2p, shuffled
from safeframe.sizing.planned_cluster import planned_for


def p2p_shuffle(
    ddf: dd.DataFrame,
    on: Any,
    *,
    npartitions: int | None = None,
    partition_size: str | int | None = None,
    memory: str | int | None = None,
    statistics: KeyStatistics | None = None,
) -> dd.DataFrame:
    """Shuffle a dask dataframe with dask's P2P, after checking that it will fit.

    Parameters
    ----------
    ddf
        The dask dataframe.
    on
        Key column, or a list of them.
    npartitions
        Number of output partitions. By default enough to keep the largest
        within ``partition_size``.
    partition_size
        Maximum size of an output partition in memory, as ``"64MiB"`` or in
        bytes. By default the configured ``safeframe.partition-size``, or a
        size that leaves room for the steps that follow.
    memory
        Memory that one worker may use, as ``"1GiB"`` or in bytes. By default
        the smallest limit of the connected workers.
    statistics
        Key statistics of ``ddf``, if they were gathered before.

    Returns
    -------
    dask.dataframe.DataFrame
        Lazy. All rows of a key are in one partition; rows of a partition are
        in the order of the input. Index, column names and types are those of
        ``ddf``.

    Raises
    ------
    UnsupportedError
        Without a distributed client and without ``cluster=``, and for columns that P2P cannot carry.
    MemoryBudgetError
        When the workers have too little memory for P2P's buffers, for an input
        partition, or for the largest output partition.
    StagingFullError
        When the workers' disks have less room than all rows take.
    KeyNotFoundError, SchemaMismatchError, ValidationError
        When the arguments do not name a frame and its columns.

    Warns
    -----
    SafeframeWarning
        When one key is larger than a partition should be: P2P cannot cut it.

    Notes
    -----
    **Eager.** When this function is called, the key columns are read once and
    every worker reports its P2P buffers and its disk.

    **Memory.** A worker's peak is what it uses before any data, P2P's buffers
    and messages, and for each thread the larger of sending one input partition
    (twice its bytes and a few slices) and receiving one output partition (four
    times its bytes). At compute time, the buffers of running workers are set to
    the sizes of the plan, and stay so.

    **Disk.** Every row is written, uncompressed, to the local directory of the
    worker that has its output partition. If a worker is lost, the shuffle
    restarts.

    **Passes.** One over the key columns, one over the frame.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> from distributed import Client
    >>> frame = dd.from_pandas(pd.DataFrame({"k": [1, 2, 1, 2], "v": [5, 6, 7, 8]}), npartitions=2)
    >>> with Client(processes=False, dashboard_address=None) as client:  # doctest: +SKIP
    ...     safeframe.p2p_shuffle(frame, "k", npartitions=2).compute()
    """
    return shuffled(
        plan_by_key_through_p2p(ddf, on, _p2p_options(npartitions, partition_size, memory), statistics)
    )


def plan_p2p_shuffle(
    ddf: dd.DataFrame,
    on: Any,
    *,
    npartitions: int | None = None,
    partition_size: str | int | None = None,
    memory: str | int | None = None,
    statistics: KeyStatistics | None = None,
    cluster: ClusterSpec | None = None,
) -> Plan:
    """Return the plan of :func:`p2p_shuffle`: how it would run and what it would cost.

    Takes the arguments of :func:`p2p_shuffle`, and raises the same errors for them. A plan that is
    too large does not raise: ``plan.fits`` is then False, and ``plan.validate()`` raises. With ``cluster=`` the
    plan is for the cluster that a :class:`~safeframe.ClusterSpec` describes, and need not be connected.

    Returns
    -------
    Plan
        Buffers, rows, bytes, peak per worker, bytes on disk.

    Raises
    ------
    UnsupportedError
        Without a distributed client, and for columns that P2P cannot carry.

    Notes
    -----
    **Eager.** As :func:`p2p_shuffle`: the key columns are read.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": [1, 2, 1, 2]}), npartitions=2)
    >>> safeframe.plan_p2p_shuffle(frame, "k").fits  # doctest: +SKIP
    True
    """
    given = _p2p_options(npartitions, partition_size, memory)
    with planned_for(cluster):
        return plan_by_key_through_p2p(ddf, on, given, statistics).plan


def _p2p_options(
    npartitions: int | None, partition_size: str | int | None, memory: str | int | None
) -> PartitionOptions:
    return PartitionOptions(
        npartitions=npartitions, partition_size=partition_size, strategy="p2p", memory=memory, staging=None
    )
