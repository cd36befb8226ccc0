"""What the tasks of an exchange through P2P do: send, settle, receive.

P2P itself is dask's: its workers cut what they are given by output partition,
send it to the worker that the partition is on, and write it to its disk. These
tasks hand it rows in slices of bounded size, so that one hand-over, and what
P2P makes of it, is small whatever the size of a partition; and they count: a
task that sends knows the rows of each shard, the barrier adds them up, and a
task that receives compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from safeframe._dask.cluster import inside_worker
from safeframe._dask.p2p import (
    P2POutOfDiskError,
    get_worker_plugin,
    handle_transfer_errors,
    p2p_barrier,
    shuffle_unpack,
)
from safeframe.engine.p2p.form import SHARD_LABEL, P2PForm, SentPartition
from safeframe.engine.task import count_rows_out, use_worker
from safeframe.errors import RowConservationError, StagingFullError, UnsupportedError
from safeframe.facts.keys import Counts, PlannedKeys
from safeframe.kernels.allocator import trim
from safeframe.kernels.changed_data import check_planned
from safeframe.kernels.columns.categories import PooledCategories
from safeframe.kernels.keys.codes import encode_keys
from safeframe.kernels.keys.counts import rows_checksum
from safeframe.kernels.order import counts_of
from safeframe.kernels.routing.router import NOWHERE, JoinRouter, Router
from safeframe.sizing.machine import resident_nbytes
from safeframe.units import format_count


@dataclass(frozen=True, slots=True, eq=False)
class SettledRows:
    """What all tasks sent."""

    run_id: int
    """The run of the shuffle."""
    rows: Counts
    categories: tuple[PooledCategories, ...] = ()
    """Those of each categorical column, and of the index."""
    sent_rows: npt.NDArray[Any] | None = None
    """Rows per partition that sent and shard; None where all have the same categories."""


def send_partition(
    frame: pd.DataFrame,
    number: int,
    partitions: int,
    token: str,
    form: P2PForm,
    n_shards: int,
    nbytes: int,
    roomy_nbytes: int | None,
    router: Router | None = None,
) -> SentPartition:
    """Hand a partition's rows to P2P, a slice at a time.

    Parameters
    ----------
    frame
        The partition, with its column of shard numbers.
    number, partitions
        Which partition it is, of how many.
    token
        The shuffle.
    form
        The columns.
    n_shards
        Shards.
    nbytes
        Bytes of a slice.
    roomy_nbytes
        What the worker may hold before; None for anything.
    router
        What numbered the shards: rows that it sends nowhere are left out. None where no such rows are.

    Raises
    ------
    RowConservationError
        When a row has no shard: P2P would drop it without a word.
    StagingFullError
        When a worker's disk is full.

    Notes
    -----
    Memory: the partition, and ``options.P2P_SLICE_COPIES`` copies of a slice.
    """
    use_worker()
    _make_room(roomy_nbytes)
    rows_in, checksum = len(frame), 0
    if isinstance(router, JoinRouter):
        checksum = rows_checksum(*encode_keys([frame[name] for name in router.on], router.schema))
    if router is not None and not (wanted := (frame[form.shard] != NOWHERE).to_numpy()).all():
        frame = frame[wanted]
    sent, categories = form.outbound(frame)
    shards = sent[SHARD_LABEL].to_numpy()
    if len(shards) and (int(shards.min()) < 0 or int(shards.max()) >= n_shards):
        inside = int(((shards >= 0) & (shards < n_shards)).sum())
        where = f"partition {number} numbers shards outside 0 to {n_shards - 1}"
        raise _lost(where, len(shards), inside)
    rows = counts_of(shards, n_shards)
    # P2P orders the rows of a shard by these numbers, and takes each from a worker once.
    numbers = 2**32 // max(partitions, 1)
    row_nbytes = max(1, -(-int(frame.memory_usage(deep=True).sum()) // max(len(sent), 1)))
    step = max(1, nbytes // row_nbytes, -(-len(sent) // numbers))
    run_ids = set()
    for at, first in enumerate(range(0, max(len(sent), 1), step)):
        run_ids.add(_hand_over(sent.iloc[first : first + step], number * numbers + at, token))
    return SentPartition(
        run_ids=tuple(run_ids), rows=rows, rows_in=rows_in, checksum=checksum, categories=categories
    )


def _hand_over(rows: pd.DataFrame, number: int, token: str) -> int:
    try:
        with handle_transfer_errors(token):
            run_id: int = get_worker_plugin().add_partition(rows, number, token)
    except P2POutOfDiskError as error:
        raise _disk_full() from error
    except RuntimeError as error:
        if isinstance(error.__cause__, (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError)):
            msg = f"P2P cannot send a partition: {error.__cause__}."
            hint = "Cast columns of mixed objects to one type (str, float, …), or drop them."
            raise UnsupportedError(msg, hint=hint) from error
        raise
    return run_id


def settle(
    token: str, sent: Sequence[SentPartition], form: P2PForm, planned: PlannedKeys | None = None
) -> SettledRows:
    """Wait until all that was sent has arrived, and add up the rows of each shard.

    Raises
    ------
    RowConservationError
        When there are other rows, or keys, than were planned.
    """
    if planned is not None:
        checksum = sum(part.checksum for part in sent) % 2**64
        check_planned(planned, sum(part.rows_in for part in sent), checksum)
    rows: Counts = np.asarray(np.sum([part.rows for part in sent], axis=0), np.int64)
    categories = form.pooled(sent)
    sent_rows = None
    if not all(pooled.same for pooled in categories):
        # As narrow as they may be: each worker has them, for any number of partitions and shards.
        narrow = np.min_scalar_type(int(rows.max(initial=0)))
        sent_rows = np.stack([part.rows.astype(narrow) for part in sent])
    try:
        run_id: int = p2p_barrier(token, *sorted({run_id for part in sent for run_id in part.run_ids}))
    except P2POutOfDiskError as error:
        raise _disk_full() from error
    return SettledRows(run_id, rows, categories, sent_rows)


def receive_shard(
    settled: SettledRows, token: str, shard: int, form: P2PForm, roomy_nbytes: int | None, final: bool = False
) -> pd.DataFrame:
    """Return the rows of a shard; with ``final`` it is a partition of the recipe's result.

    Raises
    ------
    RowConservationError
        When they are not as many as were sent to it.
    """
    use_worker()
    _make_room(roomy_nbytes)
    try:
        frame: pd.DataFrame = shuffle_unpack(token, shard, settled.run_id)
    except P2POutOfDiskError as error:
        raise _disk_full() from error
    if len(frame) != settled.rows[shard]:
        where = f"shard {shard} of the exchange through P2P"
        raise _lost(where, int(settled.rows[shard]), len(frame))
    if final:
        count_rows_out(len(frame))
    sent_rows = None if settled.sent_rows is None else settled.sent_rows[:, shard].astype(np.int64)
    return form.inbound(frame, settled.categories, sent_rows)


def _make_room(roomy_nbytes: int | None) -> None:
    """Release freed pages where a worker holds more than its plan has besides tasks.

    Pieces of many sizes leave holes that the next task cannot use: without
    this a worker grows by what P2P has moved through it.
    """
    if roomy_nbytes is not None and inside_worker() and resident_nbytes() > roomy_nbytes:
        trim()


def _disk_full() -> StagingFullError:
    worker = get_worker_plugin().worker if inside_worker() else None
    where = f"The disk of {worker.local_directory} on {worker.address}" if worker else "A worker's disk"
    msg = f"{where} is full: P2P writes all rows to the workers' local directories."
    hint = "Free some disk, or start workers with a local_directory= that has more room."
    return StagingFullError(msg, hint=hint)


def _lost(where: str, rows_in: int, rows_out: int) -> RowConservationError:
    msg = f"{where}: {format_count(rows_in)} rows went in and {format_count(rows_out)} came out."
    hint = "This is a bug in safeframe or in dask's P2P, not in your data: please report it."
    return RowConservationError(msg, hint=hint, rows_in=rows_in, rows_out=rows_out)
