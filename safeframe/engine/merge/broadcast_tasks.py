"""What tasks do that join a partition where it is: with a side they hold whole, or a table they map.

A table is one file that all workers of a host map: its side's rows are staged by
slice of the table, and each slice is written to its place in the file. The system
keeps one copy of it whatever the number of workers. What a task maps of it counts
as its worker's memory until the task has looked up its rows and lets go of it.
(Filling places through a mapping, from each partition, took ten times as long:
every page that is written to for the first time is the file system's business.)

Covers: the functions that run on workers.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from safeframe.engine.exchange.fetch import Sealed, fetch, seal
from safeframe.engine.exchange.reading import damaged, unreadable
from safeframe.engine.exchange.runs import run_of_task
from safeframe.engine.exchange.stage import staging_error
from safeframe.engine.exchange.staged_file import StagedFile
from safeframe.engine.planned.cells import CellMaker, CellRows, PartitionLimit
from safeframe.engine.planned.rows import PartRows, as_planned
from safeframe.engine.storage.owned_file import OwnedFile
from safeframe.engine.task import use_worker
from safeframe.facts.keys import PlannedKeys
from safeframe.kernels.changed_data import check_planned
from safeframe.kernels.checksum import checksum
from safeframe.kernels.columns.categories import with_same_categories
from safeframe.kernels.columns.frame import frame_of_columns
from safeframe.kernels.columns.rows import PackedRows
from safeframe.kernels.keys.codes import encode_keys
from safeframe.kernels.keys.counts import rows_checksum
from safeframe.kernels.merge.cell import JoinedShard, frame_block, join_in_place, join_shard
from safeframe.kernels.merge.spec import JoinSpec, SideSpec
from safeframe.kernels.merge.table import JoinTable, look_up, slice_rows
from safeframe.kernels.merge.virtual import cell_range
from safeframe.sizing.partitions.tasks import PartitionTask

_lock = threading.Lock()
_checked: deque[str] = deque(maxlen=32)
"""Tables that this process has compared with their checksums."""

_POPULATE_READ = 22
"""``MADV_POPULATE_READ`` of Linux 5.14, which Python has no name for."""


def collect_side(partitions: Sequence[pd.DataFrame], side: SideSpec, planned: PlannedKeys) -> pd.DataFrame:
    """Join a small side's partitions into one frame of the columns that the join uses.

    Raises
    ------
    RowConservationError
        When it has other rows, or keys, than were planned.
    """
    frames = [
        frame_of_columns(frame_block(partition, side), pd.Index(side.names), len(partition))
        for partition in partitions
    ]
    frame = frames[0]
    if len(frames) > 1:
        frame = pd.concat(with_same_categories(frames), ignore_index=True)
    checksum = rows_checksum(*encode_keys([frame[name] for name in side.on], side.schema))
    check_planned(planned, len(frame), checksum)
    return frame


def broadcast_rows(
    partition: pd.DataFrame,
    build: pd.DataFrame,
    spec: JoinSpec,
    build_side: str,
    limit: PartitionLimit,
    planned: PartRows | None = None,
) -> CellRows:
    """Return the rows of one partition joined with the side that every worker holds whole."""
    use_worker()
    as_planned(partition, planned)
    joined = _join_with(partition, build, spec, build_side)
    return CellRows(n_rows=joined.n_rows, make=joined.frame, limit=limit, weighed=True)


broadcast_cell = CellMaker(broadcast_rows)
"""Join one partition with the side that every worker holds whole."""


def joined_with(
    partition: pd.DataFrame, build: pd.DataFrame, spec: JoinSpec, build_side: str
) -> pd.DataFrame:
    """Join rows with the side that every worker holds whole."""
    joined = _join_with(partition, build, spec, build_side)
    return joined.frame(0, joined.n_rows)


def _join_with(partition: pd.DataFrame, build: pd.DataFrame, spec: JoinSpec, build_side: str) -> JoinedShard:
    left, right = (partition, build) if build_side == "right" else (build, partition)
    blocks = frame_block(left, spec.left), frame_block(right, spec.right)
    if spec.index is not None:
        # Rows that have an index stay in its order, by which dask finds them.
        return join_in_place(*blocks, spec, 0 if build_side == "right" else 1)
    return join_shard(*blocks, spec)


def held_partition(part: PartitionTask, build: pd.DataFrame) -> pd.DataFrame:
    """Make a partition that is cut, once the other side is there: until then it would only fill the worker."""
    del build
    use_worker()
    frame: pd.DataFrame = part.make()
    return frame


def piece_rows(
    part: PartitionTask | pd.DataFrame,
    build: pd.DataFrame,
    spec: JoinSpec,
    build_side: str,
    limit: PartitionLimit,
    planned: PartRows | None,
    place: tuple[int, int],
) -> CellRows:
    """Return the rows of one piece of a partition joined with the side that every worker holds whole.

    Parameters
    ----------
    part
        The whole partition, or what makes it.
    build, spec, build_side, limit, planned
        As :func:`broadcast_rows` takes them.
    place
        The number of the piece, and of how many.
    """
    use_worker()
    partition = part.make() if isinstance(part, PartitionTask) else part
    as_planned(partition, planned)
    piece = partition.iloc[slice(*cell_range(len(partition), *place))]
    if isinstance(part, PartitionTask) and len(piece) < len(partition):
        # The whole one is let go of before rows are joined.
        piece = piece.copy()
    del partition
    return broadcast_rows(piece, build, spec, build_side, limit)


broadcast_piece = CellMaker(piece_rows)
"""Join one piece of a partition with the side that every worker holds whole."""


class TableSlice(OwnedFile):
    """A slice of a table that is in its file."""

    def __init__(self, path: str, start: int, nbytes: int, checksum: int) -> None:
        super().__init__(path)
        self.start = start
        """Where it begins there."""
        self.nbytes = nbytes
        """Its bytes."""
        self.checksum = checksum
        """Of these."""

    def arguments(self) -> tuple[Any, ...]:
        """See :class:`OwnedFile`."""
        return self.path, self.start, self.nbytes, self.checksum


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SealedSide:
    """The staged rows of the side that a table is made of: one object for all slices."""

    rows: Sealed
    """Their manifest."""
    table: JoinTable
    path: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SealedTable:
    """A table that is complete, and what the cells have to know: one object for all of them."""

    slices: tuple[TableSlice, ...]
    """Its slices, which are all in one file; holding them keeps it where tasks run in this process."""
    table: JoinTable
    """What it is."""
    limit: PartitionLimit
    """What a cell may not exceed."""


def seal_side(
    staged: Sequence[Sequence[StagedFile]], table: JoinTable, path: str, planned: PlannedKeys
) -> SealedSide:
    """Check that no row of the table's side is missing, and none is new."""
    files = [file for files in staged for file in files]
    rows = seal(files, table.build.dtypes, table.slices.n_shards, planned)
    return SealedSide(rows=rows, table=table, path=path)


def write_slice(side: SealedSide, number: int) -> TableSlice:
    """Write a slice of a table to its place in the file.

    Every task has a place of its own, and one that runs again writes the same.

    Raises
    ------
    StagingFullError, StagingError
        When the file cannot be written.
    """
    use_worker("write a table")
    table, directory = side.table, side.path.rpartition("/")[0]
    with run_of_task(side.rows.directory), run_of_task(directory):
        rows = slice_rows(fetch(side.rows, number), table, number)
        width = table.layout.itemsize
        start = number * table.keys.slice_places(width) * width
        data = rows.view(np.uint8)
        try:
            _write_at(side.path, start, data.data)
        except OSError as error:
            raise staging_error(error, rows.nbytes, directory) from error
        written = TableSlice(side.path, start, len(data), checksum(data))
        written.own_file()
        return written


def _write_at(path: str, start: int, data: memoryview) -> None:
    Path(path).parent.mkdir(mode=0o700, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while data:
            written = os.pwrite(handle, data, start)
            data, start = data[written:], start + written
    finally:
        os.close(handle)


def seal_table(slices: Sequence[TableSlice], table: JoinTable, limit: PartitionLimit) -> SealedTable:
    """Join all slices of a table."""
    return SealedTable(slices=tuple(slices), table=table, limit=limit)


def table_cell(partition: pd.DataFrame, sealed: SealedTable, planned: PartRows | None = None) -> pd.DataFrame:
    """Join one partition with the table, which is mapped meanwhile.

    Raises
    ------
    RowConservationError
        When the partition has other rows than were planned.
    StagingError
        When the file is gone, or is not what was written.
    """
    use_worker("look up")
    as_planned(partition, planned)
    whole = _mapped(sealed.slices[0].path, sealed.table)
    _check_once(whole, sealed.slices)
    return sealed.limit.passed(look_up(partition, whole, sealed.table))


def _check_once(whole: PackedRows, slices: Sequence[TableSlice]) -> None:
    """Compare the checksums of a table that this process has not looked at.

    Raises
    ------
    StagingError
        When a slice is not what was written.
    """
    path = slices[0].path
    with _lock:
        if path in _checked:
            return
    data = whole.view(np.uint8)
    for one in slices:
        if checksum(data[one.start : one.start + one.nbytes]) != one.checksum:
            raise damaged(path, f"a slice of {one.nbytes} bytes at byte {one.start}")
    with _lock:
        _checked.append(path)


def _mapped(path: str, table: JoinTable) -> PackedRows:
    """Map a table; it is let go of with the array."""
    nbytes = table.keys.nbytes(table.layout.itemsize)
    try:
        with Path(path).open("rb") as handle:
            mapped = mmap.mmap(handle.fileno(), nbytes, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # a ValueError where the file is shorter than that
        raise unreadable(path, error) from error
    # All pages in one call: each that is touched is a fault otherwise. Older systems do not know how.
    with contextlib.suppress(OSError, ValueError):
        mapped.madvise(_POPULATE_READ)
    return np.frombuffer(mapped, np.uint8).view(table.layout)
