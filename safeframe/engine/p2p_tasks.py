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
import psutil
import pyarrow as pa
from dask.base import normalize_token

from safeframe.engine._dask import (
    P2POutOfDiskError,
    get_worker_plugin,
    handle_transfer_errors,
    inside_worker,
    p2p_barrier,
    shuffle_unpack,
)
from safeframe.engine.tally import count_rows_out
from safeframe.engine.worker import use_worker
from safeframe.errors import RowConservationError, SchemaMismatchError, StagingFullError, UnsupportedError
from safeframe.facts.keys import Counts
from safeframe.facts.planned_keys import PlannedKeys
from safeframe.kernels.allocator import trim
from safeframe.kernels.categories import PooledCategories, same_categories
from safeframe.kernels.changed_data import check_planned
from safeframe.kernels.columns import as_promised
from safeframe.kernels.key_codes import encode_keys
from safeframe.kernels.key_counts import rows_checksum
from safeframe.kernels.object_columns import objects_from_arrow, written_objects
from safeframe.kernels.order import counts_of
from safeframe.kernels.routing import NOWHERE, JoinRouter, Router
from safeframe.units import format_count

__all__ = [
    "SHARD_LABEL",
    "P2PForm",
    "SentPartition",
    "SettledRows",
    "receive_shard",
    "send_partition",
    "settle",
]

SHARD_LABEL = "__shard__"
"""What the column of shard numbers is called on its way."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class P2PForm:
    """A frame's columns, and what they are called on their way.

    P2P takes strings for names, adds columns of its own and knows the index by
    name; columns travel as ``c0``, ``c1``, … and the index without a name. Of a
    categorical column only codes travel: P2P fails to join categories of several
    types, or more of them than codes of a partition can number. Categories go
    with what the task that sends has to tell.
    """

    meta: pd.DataFrame
    """The frame without rows, shard and order columns in it."""
    shard: str
    """The column of shard numbers."""
    order: str | None
    """The column that rows of a shard are ordered by at last, if any."""
    columns: pd.Index[Any]
    """The names of the columns that come out."""

    @classmethod
    def of(
        cls, meta: pd.DataFrame, shard: str, order: str | None, columns: pd.Index[Any] | None = None
    ) -> P2PForm:
        """Make it for a frame; ``columns`` as they were before a shard's came to them.

        Raises
        ------
        SchemaMismatchError
            When a column that numbers rows is not of integers.
        """
        for name in (shard, order):
            if name is not None and not pd.api.types.is_integer_dtype(meta[name].dtype):
                msg = f"Column {name!r} is {meta[name].dtype}, and shards and row numbers are integers."
                raise SchemaMismatchError(msg, hint="Number shards from 0 in a column of int64.")
        if columns is None:
            columns = meta.columns.drop([name for name in (shard, order) if name is not None])
        return cls(meta=meta.iloc[:0], shard=shard, order=order, columns=columns)

    @property
    def result(self) -> pd.DataFrame:
        """The frame that comes out, without rows."""
        dropped = [name for name in (self.shard, self.order) if name is not None]
        return self.meta.drop(columns=dropped).set_axis(self.columns, axis=1)

    @property
    def sent(self) -> pd.DataFrame:
        """The frame that P2P sees, without rows."""
        sent = self.meta.set_axis(self._labels, axis=1)
        sent.index = sent.index.set_names([None] * sent.index.nlevels)
        sent.index = pd.Index(sent.index.to_series().astype(_sent_dtype(sent.index.dtype)).array)
        dtypes = {name: _sent_dtype(dtype) for name, dtype in sent.dtypes.items()}
        return sent.astype({**dtypes, SHARD_LABEL: np.int64})

    @property
    def _labels(self) -> list[str]:
        return [SHARD_LABEL if name == self.shard else f"c{i}" for i, name in enumerate(self.meta.columns)]

    def outbound(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[pd.CategoricalDtype | None, ...]]:
        """Return a partition as P2P takes it, and its categories.

        Python objects are bytes, and categorical columns their codes.

        Returns
        -------
        frame
            The partition.
        categories
            Those of each categorical column, and of the index; None for those that the frame promises.

        Raises
        ------
        SchemaMismatchError
            When it has other columns or types than the frame promises.
        UnsupportedError
            When an object column holds what cannot be brought back.
        """
        if list(frame.columns) != list(self.meta.columns):
            msg = (
                f"A partition has the columns {list(frame.columns)!r}, and the frame promises "
                f"{list(self.meta.columns)!r}."
            )
            hint = "Make the partitions agree with the frame's meta, as with ddf.map_partitions(..., meta=)."
            raise SchemaMismatchError(msg, hint=hint)
        columns: dict[str, Any] = {}
        categories: list[pd.CategoricalDtype | None] = []
        for name, label, dtype in zip(self.meta.columns, self._labels, self.meta.dtypes, strict=True):
            series = as_promised(frame[name], dtype)
            if label == SHARD_LABEL:
                series = series.astype(np.int64)
            columns[label] = _sent(series)
            categories.extend(_own_categories(series.dtype, dtype))
        index = as_promised(frame.index.to_series(), self.meta.index.dtype)
        categories.extend(_own_categories(index.dtype, self.meta.index.dtype))
        # The column of shard numbers is there always. By position: an index may hold a value twice.
        sent = pd.DataFrame(columns, index=pd.Index(_sent(index), copy=False), copy=False)
        return sent, tuple(categories)

    def pooled(self, sent: Sequence[SentPartition]) -> tuple[PooledCategories, ...]:
        """Return the categories of each categorical column, and of the index, in all partitions."""
        dtypes = [*self.meta.dtypes, self.meta.index.dtype]
        promised = [dtype for dtype in dtypes if isinstance(dtype, pd.CategoricalDtype)]
        return tuple(
            PooledCategories.of([dtype if own is None else own for own in owns])
            for dtype, *owns in zip(promised, *(part.categories for part in sent), strict=True)
        )

    def inbound(
        self,
        frame: pd.DataFrame,
        categories: Sequence[PooledCategories] = (),
        rows: npt.NDArray[Any] | None = None,
    ) -> pd.DataFrame:
        """Return what P2P made of a shard with the names, the types and the order of the frame.

        Parameters
        ----------
        frame
            The shard, its rows in the order of the partitions that they come from.
        categories
            Those of each categorical column, and of the index.
        rows
            How many rows are of each partition; not needed where all have the same categories.
        """
        pools = iter(categories)
        for at, dtype in enumerate(self.meta.drop(columns=self.shard).dtypes):
            if isinstance(dtype, pd.CategoricalDtype):
                frame.isetitem(at, next(pools).decoded(frame.iloc[:, at].to_numpy(), rows, dtype))
        index = self.meta.index.dtype
        if isinstance(index, pd.CategoricalDtype):
            frame.index = pd.CategoricalIndex(next(pools).decoded(frame.index.to_numpy(), rows, index))
        if self.order is not None:
            label = self._labels[list(self.meta.columns).index(self.order)]
            numbers = frame.pop(label).to_numpy()
            if np.any(numbers[1:] < numbers[:-1]):
                frame = frame.take(np.argsort(numbers, kind="stable"))
        result = self.result
        frame.columns = result.columns
        if pd.api.types.is_object_dtype(result.index.dtype):
            frame.index = pd.Index(_received(frame.index.array), dtype=object)
        if not isinstance(index, pd.CategoricalDtype):
            frame.index = frame.index.astype(index)
        frame.index = frame.index.set_names(result.index.names)
        for at, dtype in enumerate(result.dtypes):
            if pd.api.types.is_object_dtype(dtype):
                # A series, since pandas would guess a type of strings.
                values: Any = pd.Series(_received(frame.iloc[:, at].array), index=frame.index, dtype=object)
                frame.isetitem(at, values)
        wrong = {
            name: dtype
            for name, dtype in result.dtypes.items()
            if frame[name].dtype != dtype and not isinstance(dtype, pd.CategoricalDtype)
        }
        return frame.astype(wrong) if wrong else frame

    def __dask_tokenize__(self) -> tuple[object, ...]:
        return ("P2PForm", normalize_token(self.meta), self.shard, self.order, list(self.columns))


_WRITTEN = pd.ArrowDtype(pa.large_binary())


def _sent_dtype(dtype: Any) -> Any:
    if isinstance(dtype, pd.CategoricalDtype):
        return np.dtype(np.int8)  # or of what has room for the categories that come
    return _WRITTEN if pd.api.types.is_object_dtype(dtype) else dtype


def _sent(series: pd.Series[Any]) -> Any:
    """Return a column's values as they are sent."""
    if pd.api.types.is_object_dtype(series.dtype):
        return pd.arrays.ArrowExtensionArray(written_objects(series))
    if isinstance(series.dtype, pd.CategoricalDtype):
        return series.cat.codes.to_numpy()
    return series.array


def _own_categories(found: Any, promised: Any) -> list[pd.CategoricalDtype | None]:
    """Return the categories of a column in a list: empty for another column, and None for those it promises."""
    if not isinstance(promised, pd.CategoricalDtype):
        return []
    return [None if same_categories(found, promised) else found]


def _received(written: Any) -> npt.NDArray[Any]:
    """Return the objects that were sent."""
    array = pa.array(written, pa.large_binary())
    return objects_from_arrow(array.chunks if isinstance(array, pa.ChunkedArray) else [array])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SentPartition:
    """What one task sent."""

    run_ids: tuple[int, ...]
    """The runs of the shuffle that took its rows; more than one when it was started anew meanwhile."""
    rows: Counts
    """Rows per shard."""
    rows_in: int
    """Rows of the partition, those that go nowhere too."""
    checksum: int = 0
    """Of their keys; see :class:`safeframe.kernels.routing.Routes`."""
    categories: tuple[pd.CategoricalDtype | None, ...] = ()
    """See :meth:`P2PForm.outbound`."""


@dataclass(frozen=True, slots=True, eq=False)
class SettledRows:
    """What all tasks sent."""

    run_id: int
    """The run of the shuffle."""
    rows: Counts
    """Rows per shard."""
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
    """Give the rows of a shard; with ``final`` it is a partition of the recipe's result.

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
    """Give freed pages back where a worker holds more than its plan has besides tasks.

    Pieces of many sizes leave holes that the next task cannot use: without
    this a worker grows by what P2P has moved through it.
    """
    if roomy_nbytes is not None and inside_worker() and psutil.Process().memory_info().rss > roomy_nbytes:
        trim()


def _disk_full() -> StagingFullError:
    worker = get_worker_plugin().worker if inside_worker() else None
    where = f"The disk of {worker.local_directory} on {worker.address}" if worker else "A worker's disk"
    msg = f"{where} is full: P2P writes all rows to the workers' local directories."
    hint = "Free some disk, or start workers with a local_directory= that has more room."
    return StagingFullError(msg, hint=hint)


def _lost(where: str, rows_in: int, rows_out: int) -> RowConservationError:
    msg = f"{where}: {format_count(rows_in)} rows went in and {format_count(rows_out)} came out."
    hint = "This is a fault of safeframe or of dask's P2P, not of your data: please report it."
    return RowConservationError(msg, hint=hint, rows_in=rows_in, rows_out=rows_out)
