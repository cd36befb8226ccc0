"""``safeframe.p2p_shuffle``: dask's P2P shuffle, after a check of memory, disk and types."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, cast

import dask.dataframe as dd
from dask.dataframe.api import new_collection

from safeframe import config
from safeframe.choices import check_count
from safeframe.engine.p2p.nodes import SafeP2PShuffle
from safeframe.engine.planned.sources import source_files
from safeframe.errors import MemoryBudgetError, SafeframeWarning, StagingFullError, ValidationError
from safeframe.facts.keys import KeySchema, KeyStatistics
from safeframe.facts.plan import Plan
from safeframe.kernels.keys.schema import common_schema
from safeframe.planning.p2p.layout import P2PLayout
from safeframe.planning.p2p.plan import plan_p2p_shuffle as make_plan
from safeframe.prepare.arguments import as_names, check_frame, check_keys, given_budget
from safeframe.prepare.merge.sizes import check_statistics
from safeframe.sizing.cluster import set_up_workers
from safeframe.sizing.keys.statistics import gather_key_statistics
from safeframe.sizing.p2p import p2p_facts
from safeframe.units import format_nbytes

__all__ = ["p2p_shuffle", "plan_p2p_shuffle"]


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
        Without a distributed client, and for columns that P2P cannot carry.
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
    ddf, names, schema, plan, layout = _planned(ddf, on, npartitions, partition_size, memory, statistics)
    _refuse(plan, layout)
    for reason in plan.reasons:
        if "cannot cut a key" in reason:
            warnings.warn(SafeframeWarning(f"p2p_shuffle: {reason}."), stacklevel=2)
    expression = SafeP2PShuffle(ddf, plan, layout.settings, names, schema)
    return cast("dd.DataFrame", new_collection(expression))


def plan_p2p_shuffle(
    ddf: dd.DataFrame,
    on: Any,
    *,
    npartitions: int | None = None,
    partition_size: str | int | None = None,
    memory: str | int | None = None,
    statistics: KeyStatistics | None = None,
) -> Plan:
    """Return the plan of :func:`p2p_shuffle`: how it would run and what it would cost.

    Takes the arguments of :func:`p2p_shuffle`. It does not raise because
    something is too large: ``plan.fits`` is then False.

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
    **Eager.** As :func:`p2p_shuffle`.
    """
    return _planned(ddf, on, npartitions, partition_size, memory, statistics)[3]


def _planned(
    ddf: Any,
    on: Any,
    npartitions: int | None,
    partition_size: str | int | None,
    memory: str | int | None,
    statistics: KeyStatistics | None,
) -> tuple[dd.DataFrame, tuple[Any, ...], KeySchema, Plan, P2PLayout]:
    ddf = check_frame(ddf, "ddf")
    names = as_names(on)
    check_keys(ddf, names, "ddf")
    check_count(npartitions, argument="npartitions", what="a number of partitions")
    if npartitions is not None and partition_size is not None:
        msg = "npartitions= and partition_size= exclude each other."
        raise ValidationError(msg, hint="Pass one of them.")
    partition_nbytes = config.partition_nbytes(partition_size)
    set_up_workers()
    budget = given_budget(memory)
    columns = [ddf._meta[name] for name in names]
    schema = common_schema(columns, columns, left_names=names, right_names=names)
    sources = source_files(ddf)
    if statistics is None:
        statistics = gather_key_statistics([(ddf, names)], schema)[0]
    else:
        check_statistics(statistics, names, ddf)
    facts = p2p_facts(ddf, budget=budget, keys=statistics)
    plan, layout = make_plan(facts, npartitions=npartitions, partition_nbytes=partition_nbytes)
    return ddf, names, schema, replace(plan, sources=sources), layout


def _refuse(plan: Plan, layout: P2PLayout) -> None:
    """Raise when the plan does not fit, with what can be done about P2P in particular."""
    if plan.staging_free_nbytes is not None and plan.staging_nbytes > plan.staging_free_nbytes:
        disk = layout.disk
        msg = (
            f"p2p_shuffle writes up to {format_nbytes(layout.tightest_nbytes)} to the disk of {disk.directory} on "
            f"{disk.host}, which {disk.workers} workers share, and only {format_nbytes(disk.free_nbytes)} is free."
        )
        hint = "Free some disk, or start the workers with a local_directory= that has more room."
        raise StagingFullError(
            msg, hint=hint, needed_nbytes=layout.tightest_nbytes, free_nbytes=disk.free_nbytes
        )
    budget = plan.budget
    if budget.reserved_nbytes + budget.transport_nbytes > budget.allowed_nbytes:
        msg = (
            f"P2P's buffers and messages take at least {format_nbytes(budget.transport_nbytes)} of each worker, "
            f"which uses {format_nbytes(budget.reserved_nbytes)} before any data; "
            f"{format_nbytes(budget.allowed_nbytes)} is allowed."
        )
        hint = "Give each worker more memory, request fewer partitions, or use strategy='staged'."
        raise MemoryBudgetError(
            msg,
            hint=hint,
            projected_nbytes=budget.reserved_nbytes + budget.transport_nbytes,
            allowed_nbytes=budget.allowed_nbytes,
        )
    plan.validate()
