"""What the tasks of a rebalancing do.

Covers: slices of partitions, joined in order; staging a partition whole or in
slices; output partitions, held to their bound.

Every task knows how many rows each input partition had when the plan was made,
and raises where it meets others.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe import options
from safeframe._dask.expressions import strip_unknown_categories
from safeframe.engine.exchange.adopted import input_mark
from safeframe.engine.exchange.fetch import Sealed, fetch, seal
from safeframe.engine.exchange.nodes import given_once, staged_reading
from safeframe.engine.exchange.stage import stage_files
from safeframe.engine.exchange.staged_file import StagedFile
from safeframe.engine.planned.cells import PartitionLimit
from safeframe.engine.task import conserved, use_worker
from safeframe.errors import RowConservationError
from safeframe.kernels.columns.categories import with_promised_categories, with_same_categories
from safeframe.kernels.columns.frame import FrameSpec
from safeframe.kernels.columns.taking import in_arrow
from safeframe.kernels.cuts import RowCuts
from safeframe.sizing.partitions.slices import SlicedPart
from safeframe.sizing.partitions.tasks import PartitionTask
from safeframe.units import format_count

Ints = npt.NDArray[np.int64]

_OTHER_ROWS = (
    "The input returns different rows each time it is computed: persist it, or write it to parquet, before you "
    "rebalance it."
)
_OTHER_FILES = "Files were written again in between: make the collection again."


@dataclass(frozen=True, slots=True)
class PartitionSlice:
    """Rows of one input partition."""

    number: int
    rows: int
    """Rows that it had when the plan was made."""
    low: int
    """First row of the piece, within the partition."""
    high: int
    """Row after its last."""

    @property
    def whole(self) -> bool:
        """Whether it is all of the partition."""
        return self.low == 0 and self.high == self.rows


class Pieces:
    """The pieces of one output partition and the tasks that make what they are of; dask does not look inside."""

    __slots__ = ("pieces", "tasks")

    def __init__(self, pieces: Sequence[PartitionSlice], tasks: Sequence[PartitionTask]) -> None:
        self.pieces = pieces
        self.tasks = tasks


def gather_pieces(pieces: Pieces, meta: pd.DataFrame, limit: PartitionLimit) -> pd.DataFrame:
    """Make input partitions one after the other, keep the slices of each, and join them.

    Notes
    -----
    Memory: one input partition as it is made, and the output in pieces and joined.
    """
    use_worker()
    taken = []
    for piece, task in zip(pieces.pieces, pieces.tasks, strict=True):
        taken.append(take_slice(task.make(), piece))
    return limit.passed(_as_one_frame(taken, meta))


def take_slice(frame: pd.DataFrame, piece: PartitionSlice) -> pd.DataFrame:
    """Return rows of a partition, as a frame that does not keep the others alive.

    Raises
    ------
    RowConservationError
        When the partition has other rows than when the plan was made.
    """
    _as_planned(frame, piece)
    if piece.whole:
        return frame
    part = frame.iloc[piece.low : piece.high]
    if not any(in_arrow(dtype) for dtype in (*frame.dtypes, frame.index.dtype)):
        return part.copy()
    # A slice of an Arrow array, even a copied one, holds all of it: only taking makes new buffers.
    rows = np.arange(piece.low, piece.high)
    taken = frame.take(rows)
    if isinstance(frame.index, pd.RangeIndex):
        taken.index = part.index
    return taken


def join_pieces(
    frames: Sequence[pd.DataFrame],
    pieces: Sequence[PartitionSlice],
    meta: pd.DataFrame,
    limit: PartitionLimit,
) -> pd.DataFrame:
    """Join whole partitions and slices in order."""
    use_worker()
    for frame, piece in zip(frames, pieces, strict=True):
        if piece.whole:
            _as_planned(frame, piece)
        else:
            conserved(piece.high - piece.low, len(frame), f"A slice of partition {piece.number}")
    return limit.passed(_as_one_frame(list(frames), meta))


def _as_one_frame(frames: list[pd.DataFrame], meta: pd.DataFrame) -> pd.DataFrame:
    if not frames:
        empty: pd.DataFrame = strip_unknown_categories(meta.iloc[:0])
        return empty
    joined = frames[0] if len(frames) == 1 else pd.concat(with_same_categories(frames))
    return with_promised_categories(joined, meta)


def _as_planned(frame: pd.DataFrame, piece: PartitionSlice) -> None:
    if len(frame) != piece.rows:
        raise _changed(piece.number, piece.rows, len(frame))


def _changed(number: int, planned: int, found: int, hint: str = _OTHER_ROWS) -> RowConservationError:
    msg = (
        f"Partition {number} of the input had {format_count(planned)} rows when the plan was made, and has "
        f"{format_count(found)} now."
    )
    return RowConservationError(msg, hint=hint, rows_in=found, rows_out=planned)


# Through files ---------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class SealedRows:
    """The manifest of all staged rows, and what output partitions have to know: one object for all of them."""

    rows: Sealed
    """Staged rows; a shard is an output partition."""
    spec: FrameSpec
    """How a frame is made of them."""
    cuts: Ints
    """The first row of each output partition, and the number of rows."""
    limit: PartitionLimit
    """What an output partition may not exceed."""


def stage_rows(
    source: PartitionTask | pd.DataFrame,
    piece: PartitionSlice,
    spec: FrameSpec,
    router: RowCuts,
    directory: str,
) -> list[StagedFile]:
    """Stage one partition."""

    def made() -> pd.DataFrame:
        frame = source.make() if isinstance(source, PartitionTask) else source
        _as_planned(frame, piece)
        return frame

    mark = input_mark([source]) if isinstance(source, PartitionTask) else ""
    return stage_files([made], spec, router, directory, None, mark)


def stage_slices(
    part: SlicedPart,
    piece: PartitionSlice,
    spec: FrameSpec,
    router: RowCuts,
    by_columns: bool,
    directory: str,
) -> list[StagedFile]:
    """Stage one partition slice by slice.

    Notes
    -----
    Memory: one slice, as in staging a partition of its size, and one that waits to be written.
    """
    reading = staged_reading(spec, router, directory, by_columns=by_columns)
    slices = given_once([part], options.SLICE_NBYTES, reading)
    rows = 0

    def as_planned(give: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        nonlocal rows
        frame = give()
        rows += len(frame)
        if rows > piece.rows:
            raise _changed(piece.number, piece.rows, rows + sum(len(more()) for more in slices), _OTHER_FILES)
        return frame

    made = (functools.partial(as_planned, give) for give in slices)
    staged = stage_files(made, spec, router, directory, options.SLICE_NBYTES, input_mark([part]))
    found = sum(file.rows_in for file in staged)
    if found != piece.rows:
        raise _changed(piece.number, piece.rows, found, _OTHER_FILES)
    return staged


def seal_rows(
    staged: Sequence[Sequence[StagedFile]], spec: FrameSpec, cuts: Ints, limit: PartitionLimit
) -> SealedRows:
    """Join all manifests into one, and check that no row is missing."""
    files = [file for some in staged for file in some]
    sealed = seal(files, spec.dtypes, len(cuts) - 1)
    conserved(int(cuts[-1]), int(sealed.rows.sum()), "All partitions")
    return SealedRows(rows=sealed, spec=spec, cuts=cuts, limit=limit)


def rebalanced_partition(sealed: SealedRows, number: int) -> pd.DataFrame:
    """Read one output partition.

    Raises
    ------
    RowConservationError, MemoryBudgetError
        When it has other rows than planned, or is larger.
    """
    use_worker()
    planned = int(sealed.cuts[number + 1] - sealed.cuts[number])
    if planned == 0:
        return sealed.limit.passed(_as_one_frame([], sealed.spec.meta))
    block = fetch(sealed.rows, number)
    frame = sealed.spec.frame(block)
    conserved(planned, len(frame), f"Output partition {number}")
    if isinstance(sealed.spec.meta.index, pd.RangeIndex):
        frame.index = _as_range(frame.index)
    return sealed.limit.passed(frame)


def _as_range(index: pd.Index[Any]) -> pd.Index[Any]:
    """Return an index that counts by one as a range again, which takes no bytes."""
    values = index.to_numpy()
    first, last = int(values[0]), int(values[-1])
    if last - first != len(values) - 1 or not bool((np.diff(values) == 1).all()):
        return index
    return pd.RangeIndex(first, last + 1, name=index.name)
