"""The staged exchange: rows come back by shard from the files that they were staged in.

Covers: sealing (one manifest of all files, every row accounted for),
fetching the rows of a shard, all of them or a range, and how many bytes rows of a shard have.

The manifest names files, and counts the rows and bytes of each shard; where in
a file a shard's pieces are, the file's index says. Only numbers and Arrow's
buffers are read back: nothing is unpickled here (``engine.bag.blocks`` reads the
bytes of a bag's items).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from safeframe.engine.exchange.index import Pieces, indexes_of
from safeframe.engine.exchange.pieces import PiecesOrder, StagedPiece, read_pieces
from safeframe.engine.exchange.runs import run_of_task
from safeframe.engine.exchange.staged_file import Ints, StagedFile
from safeframe.engine.task import conserved
from safeframe.facts.keys import PlannedKeys
from safeframe.kernels.changed_data import check_planned
from safeframe.kernels.columns.categories import joined_dtype
from safeframe.kernels.columns.values import Column
from safeframe.kernels.cuts import Places
from safeframe.kernels.keys.schema import known_categories


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealed:
    """All staged files of one frame: some numbers for each file, and some for each shard."""

    dtypes: tuple[Any, ...]
    """The columns' pandas dtypes."""
    staged: tuple[StagedFile, ...]
    """The files that have rows, in the order of the input; holding them keeps them on disk where tasks run in this
    process."""
    rows: Ints
    """The rows of each shard."""
    nbytes: Ints
    """The bytes of each shard, as they are in files."""
    rows_dropped: int
    """Rows that no result row can come from."""
    checksum: int
    """Of the keys of all rows, those that were dropped too."""

    @property
    def directory(self) -> str:
        """The run's directory; empty when no row was staged."""
        return self.staged[0].path.rpartition("/")[0] if self.staged else ""

    def shard_rows(self, shard: int) -> int:
        """Count the rows of a shard."""
        return int(self.rows[shard])

    def shard_nbytes(self, shard: int) -> int:
        """Count the bytes of a shard, as they are in files."""
        return int(self.nbytes[shard])


def seal(
    staged: Sequence[StagedFile], dtypes: tuple[Any, ...], n_shards: int, planned: PlannedKeys | None = None
) -> Sealed:
    """Join the manifests of one frame, and check that every row is in one of them.

    Raises
    ------
    RowConservationError
        When a group gave out other than the rows it took in, or the frame has other rows than were planned.
    StagingError
        When the index of a file is not what was written.

    Notes
    -----
    Memory: the manifest, and the index of one file.
    """
    files = [file for file in staged if file.path]
    keys = sum(file.checksum for file in staged) % 2**64
    with run_of_task(files[0].path.rpartition("/")[0] if files else ""):
        if planned is not None:
            check_planned(planned, sum(file.rows_in for file in staged), keys)
        for number, file in enumerate(staged):
            conserved(file.rows_in, file.rows + file.rows_dropped, f"group {number} of the exchange")
        rows, nbytes = np.zeros(n_shards, np.int64), np.zeros(n_shards, np.int64)
        for file, index in zip(files, indexes_of(files), strict=True):
            entries = index.entries
            conserved(file.rows, int(entries["rows"].sum(dtype=np.int64)), file.path)
            np.add.at(rows, entries["shard"], entries["rows"].astype(np.int64))
            np.add.at(nbytes, entries["shard"], entries["nbytes"].astype(np.int64))
    dtypes = tuple(_with_categories(dtype, files, at) for at, dtype in enumerate(dtypes))
    _share_forms(files)
    dropped = sum(file.rows_dropped for file in staged)
    return Sealed(
        dtypes=dtypes, staged=tuple(files), rows=rows, nbytes=nbytes, rows_dropped=dropped, checksum=keys
    )


def _share_forms(files: Sequence[StagedFile]) -> None:
    """Let files of one form name one object, so that a manifest that is sent has it once."""
    known: dict[Any, Any] = {}
    for file in files:
        # Categories count as equal in another order, in which their numbers mean others.
        if not any(
            isinstance(part.form, tuple) and any(c.categories is not None for c in part.form)
            for part in file.parts
        ):
            file.parts = known.setdefault(file.parts, file.parts)


def _with_categories(dtype: Any, staged: Sequence[StagedFile], at: int) -> Any:
    """Return a column's type with the categories of all files, where the frame does not name any."""
    if not isinstance(dtype, pd.CategoricalDtype) or known_categories(dtype):
        return dtype
    forms = [part.form[at] for file in staged for part in file.parts if isinstance(part.form, tuple)]
    found = [form.categories for form in forms if form.categories is not None]
    return joined_dtype(found) if found else dtype


def fetch(
    sealed: Sealed,
    shard: int,
    ranges: Iterable[tuple[int, int]] | None = None,
    order: PiecesOrder | None = None,
    coded: Collection[int] = (),
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
    coded
        Numbers of columns of text that may come as categories, where they were staged as numbers.

    Returns
    -------
    list
        Values per column.

    Raises
    ------
    RowConservationError
        When a file ends too early, or the shard has other rows than were sealed.
    StagingError
        When what is read is not what was written.

    Notes
    -----
    Memory: the requested rows as they are in the files, and as they are returned; a row that is read brings its
    piece along, :data:`~safeframe.options.PIECE_NBYTES` at most.
    """
    n_rows = sealed.shard_rows(shard)
    wanted = [(0, n_rows)] if ranges is None else ranges
    return read_pieces(_pieces(sealed, shard, wanted), sealed.dtypes, order, coded)


def staged_lines(sealed: Sealed, shards: Sequence[int]) -> dict[int, Places]:
    """Return rows and bytes of some shards from piece to piece, by shard.

    Raises
    ------
    StagingError
        When the index of a file is not what was written.

    Notes
    -----
    Memory: 16 B for each piece of these shards, and the index of one file.
    """
    found: dict[int, list[Pieces]] = {shard: [] for shard in shards}
    files = [
        file for file in sealed.staged if any(file.shards[0] <= shard <= file.shards[1] for shard in shards)
    ]
    for number, index in enumerate(indexes_of(files)):
        for shard, pieces in found.items():
            pieces.append(index.pieces(shard, number))
    lines = {}
    for shard, pieces in found.items():
        entries = Pieces.joined(pieces).entry
        rows, nbytes = (np.append(0, np.cumsum(entries[name], dtype=np.int64)) for name in ("rows", "nbytes"))
        lines[shard] = Places(rows, nbytes, 0)
    return lines


def staged_nbytes(sealed: Sealed, shard: int, lo: int, hi: int) -> int:
    """Count the bytes of rows ``[lo, hi)`` of a shard, as they are in files: those within a piece count as equally wide."""
    if (lo, hi) == (0, sealed.shard_rows(shard)):
        return sealed.shard_nbytes(shard)
    line = staged_lines(sealed, [shard])[shard]
    low, high = np.interp([lo, hi], line.rows, line.nbytes).tolist()
    return int(high - low)


def fetch_slices(sealed: Sealed, shard: int, nbytes: int) -> Iterator[list[Column]]:
    """Read the rows of a shard in slices of some bytes of pieces.

    Raises
    ------
    RowConservationError, StagingError
        As :func:`fetch` does.

    Notes
    -----
    Memory: a slice as it is in the files, and as it is returned.
    """
    pieces = _pieces(sealed, shard, [(0, sealed.shard_rows(shard))])
    numbers = np.cumsum([piece.nbytes for piece in pieces]) // nbytes
    for _, some in groupby(range(len(pieces)), numbers.__getitem__):
        yield read_pieces([pieces[i] for i in some], sealed.dtypes)


def _pieces(sealed: Sealed, shard: int, wanted: Iterable[tuple[int, int]]) -> list[StagedPiece]:
    """Find the pieces that have rows of some ranges of a shard."""
    pieces: list[StagedPiece] = []
    wanted = [(lo, hi) for lo, hi in wanted if hi > lo]
    if not wanted:
        return pieces
    files = [file for file in sealed.staged if file.shards[0] <= shard <= file.shards[1]]
    found, distinct = _pieces_of(files, shard)
    ends = np.cumsum(found.entry["rows"], dtype=np.int64)
    there = int(ends[-1]) if len(ends) else 0
    conserved(sealed.shard_rows(shard), there, f"shard {shard} in the indexes of its files")
    for lo, hi in wanted:
        begin = int(np.searchsorted(ends, lo, side="right"))
        stop = int(np.searchsorted(ends, hi, side="left")) + 1
        for i in range(begin, stop):
            _, rows, nbytes, expected = found.entry[i].tolist()
            start = int(ends[i]) - rows
            file, part = int(found.file[i]), int(found.part[i])
            pieces.append(
                StagedPiece(
                    path=files[file].path,
                    offset=int(found.offset[i]),
                    nbytes=nbytes,
                    checksum=expected,
                    rows=rows,
                    begin=max(lo - start, 0),
                    end=min(hi - start, rows),
                    form=files[file].parts[part].form,
                    distinct=distinct[file][part],
                )
            )
    return pieces


def _pieces_of(files: Sequence[StagedFile], shard: int) -> tuple[Pieces, list[tuple[dict[int, Any], ...]]]:
    """Find the pieces of a shard by the files' indexes, and the strings that columns' numbers stand for."""
    found, distinct = [], []
    for number, index in enumerate(indexes_of(files)):
        found.append(index.pieces(shard, number))
        distinct.append(index.distinct)
    return Pieces.joined(found), distinct
