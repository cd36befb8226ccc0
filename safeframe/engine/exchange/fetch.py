"""The staged exchange: rows come back by shard from the files that they were staged in.

Covers: sealing (one manifest of all files, every row accounted for), and
fetching the rows of a shard, all of them or a range.

The manifest names files and knows where in its file each piece is, so that a
piece is read without the rest. Only numbers and Arrow IPC are read back:
nothing is unpickled here (``engine.bag.blocks`` reads the bytes of a bag's items).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from safeframe.engine.exchange.blocks import Ints
from safeframe.engine.exchange.pieces import PiecesOrder, StagedPiece, read_pieces
from safeframe.engine.exchange.runs import run_of_task
from safeframe.engine.exchange.stage import StagedFile
from safeframe.engine.task import conserved, rows_lost
from safeframe.facts.keys import PlannedKeys
from safeframe.kernels.changed_data import check_planned
from safeframe.kernels.columns.categories import joined_dtype
from safeframe.kernels.columns.values import Column
from safeframe.kernels.keys.schema import known_categories


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealed:
    """All staged files of one frame, by shard.

    The batches of shard ``s`` are entries ``starts[s]`` to ``starts[s + 1]`` of
    the other arrays, in the order of the input.
    """

    dtypes: tuple[Any, ...]
    """The columns' pandas dtypes."""
    staged: tuple[StagedFile, ...]
    """The files; holding them keeps them on disk where tasks run in this process."""
    starts: Ints
    """Where each shard's batches start."""
    files: Ints
    """The file of each batch."""
    offsets: Ints
    """Where in its file each batch begins."""
    nbytes: Ints
    """Bytes of each batch in its file."""
    rows: Ints
    """The rows of each batch."""

    @property
    def directory(self) -> str:
        """The run's directory; empty when no row was staged."""
        return next((file.path.rpartition("/")[0] for file in self.staged if file.path), "")

    def shard_rows(self, shard: int) -> int:
        """Count the rows of a shard."""
        return int(self.rows[self.starts[shard] : self.starts[shard + 1]].sum())

    def shard_nbytes(self, shard: int) -> int:
        """Count the bytes of a shard, as they are in files."""
        return int(self.nbytes[self.starts[shard] : self.starts[shard + 1]].sum())


def seal(
    staged: Sequence[StagedFile], dtypes: tuple[Any, ...], n_shards: int, planned: PlannedKeys | None = None
) -> Sealed:
    """Join the manifests of one frame, and check that every row is in one of them.

    Raises
    ------
    RowConservationError
        When a group gave out other than the rows it took in, or the frame has other rows than were planned.
    """
    with run_of_task(next((file.path.rpartition("/")[0] for file in staged if file.path), "")):
        if planned is not None:
            keys = sum(file.checksum for file in staged) % 2**64
            check_planned(planned, sum(file.rows_in for file in staged), keys)
        _check_files(staged)
    dtypes = tuple(_with_categories(dtype, staged, at) for at, dtype in enumerate(dtypes))
    shards = np.concatenate([file.shards for file in staged])
    order = np.argsort(shards, kind="stable")
    files = np.repeat(np.arange(len(staged)), [len(file.shards) for file in staged])
    return Sealed(
        dtypes=dtypes,
        staged=tuple(staged),
        starts=np.searchsorted(shards[order], np.arange(n_shards + 1)),
        files=files[order],
        offsets=np.concatenate([file.offsets[:-1] for file in staged])[order],
        nbytes=np.concatenate([np.diff(file.offsets) for file in staged])[order],
        rows=np.concatenate([file.rows for file in staged])[order],
    )


def _check_files(staged: Sequence[StagedFile]) -> None:
    """Raise unless every row of each group is in its file, and where that says."""
    for number, file in enumerate(staged):
        conserved(file.rows_in, int(file.rows.sum()) + file.rows_dropped, f"group {number} of the exchange")
        if isinstance(file.form, np.dtype):
            # Such rows do not say how many they are: a piece lies where those before it end.
            misplaced = np.flatnonzero(np.diff(file.offsets) != file.rows * file.form.itemsize)
            if len(misplaced):
                there = int(np.diff(file.offsets)[misplaced[0]]) // file.form.itemsize
                raise rows_lost(file.path, int(file.rows[misplaced[0]]), there)


def _with_categories(dtype: Any, staged: Sequence[StagedFile], at: int) -> Any:
    """Return a column's type with the categories of all files, where the frame does not name any."""
    if not isinstance(dtype, pd.CategoricalDtype) or known_categories(dtype):
        return dtype
    kinds = [file.form[at].categories for file in staged if isinstance(file.form, tuple) and file.form]
    found = [kind for kind in kinds if kind is not None]
    return joined_dtype(found) if found else dtype


def fetch(
    sealed: Sealed,
    shard: int,
    ranges: Iterable[tuple[int, int]] | None = None,
    order: PiecesOrder | None = None,
) -> list[Column]:
    """Read the rows of a shard.

    Parameters
    ----------
    sealed
        The manifest.
    shard
        Which shard.
    ranges
        Row ranges ``[lo, hi)`` of the shard, joined in this order; None for all rows.
    order
        Puts the rows in another order than that of the input.

    Returns
    -------
    list
        Values per column.

    Raises
    ------
    RowConservationError
        When a batch has other rows than the manifest says.

    Notes
    -----
    Memory: the requested rows as they are in the files, and as they are returned.
    """
    first, last = int(sealed.starts[shard]), int(sealed.starts[shard + 1])
    ends = np.cumsum(sealed.rows[first:last])
    if ranges is None:
        ranges = [(0, int(ends[-1]) if len(ends) else 0)]
    pieces: list[StagedPiece] = []
    for lo, hi in ranges:
        if hi <= lo:
            continue
        begin = int(np.searchsorted(ends, lo, side="right"))
        stop = int(np.searchsorted(ends, hi, side="left")) + 1
        for i in range(begin, stop):
            n_rows = int(sealed.rows[first + i])
            start = int(ends[i]) - n_rows
            file = sealed.staged[sealed.files[first + i]]
            pieces.append(
                StagedPiece(
                    path=file.path,
                    form=file.form,
                    offset=int(sealed.offsets[first + i]),
                    nbytes=int(sealed.nbytes[first + i]),
                    rows=n_rows,
                    begin=max(lo - start, 0),
                    end=min(hi - start, n_rows),
                )
            )
    return read_pieces(pieces, sealed.dtypes, order)
