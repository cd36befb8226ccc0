"""Gathers, from the workers and the frame, what P2P would meet.

Covers: the live buffers of every worker, the disks of their local directories,
rows and bytes of the frame, the bytes that P2P adds to each piece it writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
from dask.dataframe.api import meta_nonempty
from packaging.version import Version

from safeframe import options
from safeframe._dask.p2p import COMM_BUFFER, STORAGE_BUFFER, message_limits, p2p_limiters
from safeframe.errors import UnsupportedError
from safeframe.facts.budget import Budget
from safeframe.facts.keys import Counts, KeyStatistics, ShuffleKeys
from safeframe.facts.p2p import P2PDisk, P2PFacts, P2PSettings
from safeframe.progress.tasks import computed
from safeframe.sizing.cluster import current_client, measure_budget
from safeframe.sizing.directory import Directory, inspect_directory
from safeframe.sizing.frames import count_partition_rows, profile_frame
from safeframe.sizing.live_workers import ask_workers
from safeframe.sizing.partitions.tasks import each_partition, total
from safeframe.sizing.planned_cluster import planned_cluster, spec_p2p


@dataclass(frozen=True, kw_only=True, slots=True)
class _Worker:
    """What one worker says of itself."""

    comm_nbytes: int
    storage_nbytes: int
    message_nbytes: int
    concurrency: int
    directory: Directory


def p2p_facts(
    ddf: dd.DataFrame,
    *,
    budget: Budget | None = None,
    partition_rows: Counts | None = None,
    keys: KeyStatistics | None = None,
) -> P2PFacts:
    """Check what P2P needs of a frame and of the workers, and learn the sizes.

    Parameters
    ----------
    ddf
        The frame whose rows are to be moved.
    budget
        What one worker may use; measured when not given.
    partition_rows
        Rows per input partition; counted when not given and ``keys`` does not say.
    keys
        Key statistics, when rows move by a key.

    Raises
    ------
    UnsupportedError
        When a column is of a type that P2P cannot carry.

    Notes
    -----
    **Eager.** One round trip to every worker; object and categorical columns
    are read in some partitions; rows are counted when they are not given.
    """
    _refuse_types(ddf._meta)
    if keys is not None and partition_rows is None:
        partition_rows = keys.partitions.rows
    if partition_rows is None:
        partition_rows = count_partition_rows(ddf)
    profile = profile_frame(ddf, partition_rows)
    profile.check_writable()
    budget = measure_budget() if budget is None else budget
    planned = planned_cluster()
    live, disks, unavailable = _connected() if planned is None else spec_p2p(planned)
    return P2PFacts(
        budget=budget,
        live=live,
        disks=disks,
        unavailable=unavailable or _outdated(),
        profile=profile,
        partition_rows=tuple(partition_rows.tolist()),
        index_row_nbytes=_index_nbytes(ddf._meta.index),
        piece_header_nbytes=_piece_header_nbytes(ddf) + _category_nbytes(ddf, partition_rows),
        keys=None if keys is None else ShuffleKeys.of(keys),
    )


def _connected() -> tuple[P2PSettings | None, tuple[P2PDisk, ...], str]:
    """Return the buffers and disks of the connected workers, and why P2P cannot run on them."""
    client = current_client()
    unavailable = _unavailable(client)
    if client is None or unavailable:
        return None, (), unavailable
    answers = ask_workers(client, _ask).values()
    workers = [answer for answer in answers if answer is not None]
    if len(workers) < len(answers):
        unavailable = f"{len(answers) - len(workers)} workers have no P2P plugin"
    return _largest(workers) if workers else None, _disks(workers), unavailable


def _unavailable(client: Any | None) -> str:
    if client is None:
        return "there is no distributed client, and P2P runs on distributed workers only"
    if client.asynchronous:
        return "the client is asynchronous, and cannot query the workers' buffers and disks"
    return ""


def _outdated() -> str:
    installed = version("dask")
    if Version(installed) < Version(options.P2P_DASK):
        return (
            f"dask {installed} is installed, and before {options.P2P_DASK} a shuffle of 129 or 32769 "
            "partitions could lose rows (dask#12427)"
        )
    return ""


def _ask(dask_worker: Any) -> _Worker | None:
    limiters = p2p_limiters(dask_worker)
    if not limiters:
        return None
    message_nbytes, concurrency = message_limits()
    return _Worker(
        comm_nbytes=limiters[COMM_BUFFER].limit,
        storage_nbytes=limiters[STORAGE_BUFFER].limit,
        message_nbytes=message_nbytes,
        concurrency=concurrency,
        directory=inspect_directory(str(dask_worker.local_directory)),
    )


def _largest(workers: list[_Worker]) -> P2PSettings:
    return P2PSettings(
        comm_nbytes=max(worker.comm_nbytes for worker in workers),
        storage_nbytes=max(worker.storage_nbytes for worker in workers),
        message_nbytes=max(worker.message_nbytes for worker in workers),
        concurrency=max(worker.concurrency for worker in workers),
        slice_nbytes=options.P2P_HAND_OVER_NBYTES,
    )


def _disks(workers: list[_Worker]) -> tuple[P2PDisk, ...]:
    sharing: dict[tuple[str, int], list[Directory]] = {}
    for worker in workers:
        sharing.setdefault((worker.directory.host, worker.directory.device), []).append(worker.directory)
    return tuple(
        P2PDisk(
            host=host,
            directory=one[0].path,
            workers=len(one),
            free_nbytes=min(directory.free_nbytes for directory in one),
            in_memory=any(directory.in_memory for directory in one),
        )
        for (host, _), one in sharing.items()
    )


def _refuse_types(meta: pd.DataFrame) -> None:
    """Refuse what Arrow has no type for, before anything runs."""
    for name, dtype in [*meta.dtypes.items(), ("the index", meta.index.dtype)]:
        empty = pd.Series([], dtype=dtype)
        why = ""
        if isinstance(dtype, (pd.SparseDtype, pd.IntervalDtype)) or pd.api.types.is_complex_dtype(dtype):
            why = "P2P does not carry it"
        else:
            try:
                pa.array(empty, from_pandas=True)
            except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
                why = str(error)
            else:
                why = "" if _is_read_back(empty) else "P2P does not bring it back"
        if why:
            msg = f"Column {name!r} is {dtype}: {why}."
            raise UnsupportedError(msg, hint="Cast the column to another type first, or drop it.")


def _is_read_back(empty: pd.Series[Any]) -> bool:
    """Whether pandas finds a column's type again by what Arrow's metadata call it: not nested ones, or dictionaries."""
    if not isinstance(empty.dtype, pd.ArrowDtype):
        return True
    try:
        pa.Table.from_pandas(empty.to_frame("x"), preserve_index=False).to_pandas()
    except (TypeError, ValueError, NotImplementedError):
        return False
    return True


def _piece_header_nbytes(ddf: dd.DataFrame) -> int:
    """Count the bytes of an Arrow stream that holds next to no rows of the frame."""
    few = meta_nonempty(ddf._meta)
    few.columns = [f"c{i}" for i in range(len(few.columns))]
    few.index.names = [None] * few.index.nlevels
    # Objects are sent as bytes.
    few = few.assign(
        **{name: b"" for name, dtype in few.dtypes.items() if pd.api.types.is_object_dtype(dtype)}
    )
    table = pa.Table.from_pandas(few.assign(__shard__=np.int64(0)), preserve_index=True)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return int(sink.getvalue().size)


def _index_nbytes(index: pd.Index[Any]) -> float:
    return float(np.dtype(index.dtype).itemsize) if isinstance(index.dtype, np.dtype) else 16.0


def _category_nbytes(ddf: dd.DataFrame, partition_rows: Counts) -> int:
    """Count the bytes of the categories of one partition."""
    names = [name for name, dtype in ddf._meta.dtypes.items() if isinstance(dtype, pd.CategoricalDtype)]
    full = np.flatnonzero(partition_rows)
    if not names or len(full) == 0:
        return 0
    with dask.config.set({"optimization.tune.active": False}):
        sample = ddf.partitions[[int(full[0])]][names]
        counted: tuple[int, ...] = computed(
            "reading categories",
            each_partition(sample, _categories_nbytes, total, step="read-categories"),
            late=True,
        )
    return sum(counted)


def _categories_nbytes(frame: pd.DataFrame) -> int:
    return sum(
        int(frame[name].cat.categories.memory_usage(deep=True))
        for name, dtype in frame.dtypes.items()
        if isinstance(dtype, pd.CategoricalDtype)
    )
