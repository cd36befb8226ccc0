"""The index at the end of a staged file: where each piece is, with its rows and its checksum.

What travels through the scheduler knows where a file's index lies, and its
checksum; a process reads the index of a file once, and keeps it while there is
room for it.

Covers: writing and reading an index, and the pieces of a shard by it.
Does not cover: what is in a piece (``engine.exchange.blocks``).
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from safeframe import options
from safeframe.engine.exchange.reading import damaged, read_buffers
from safeframe.engine.exchange.staged_file import ColumnForm, Form, Ints, StagedFile
from safeframe.engine.task import rows_lost
from safeframe.kernels.checksum import checksum
from safeframe.sizing.staging_url import is_remote

ENTRY = np.dtype([("shard", "<u4"), ("rows", "<u4"), ("nbytes", "<u8"), ("checksum", "<u8")])
"""A piece in an index: those of a file in the order in which they lie there."""

Entries = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Pieces:
    """Pieces of files, in order."""

    file: Ints
    """The number of the file of each."""
    part: Ints
    """The part of the file that it is in."""
    offset: Ints
    """Where it begins in its file."""
    entry: Entries
    """What the index says of it."""

    @classmethod
    def joined(cls, parts: Sequence[Pieces]) -> Pieces:
        """Return pieces one after the other."""
        none = np.empty(0, np.int64)
        return cls(
            np.concatenate([none, *(part.file for part in parts)]),
            np.concatenate([none, *(part.part for part in parts)]),
            np.concatenate([none, *(part.offset for part in parts)]),
            np.concatenate([np.empty(0, ENTRY), *(part.entry for part in parts)]),
        )


class FileIndex:
    """The index of one file, by shard."""

    def __init__(self, file: StagedFile, data: npt.NDArray[np.uint8]) -> None:
        n = sum(part.pieces for part in file.parts)
        entries = data[: n * ENTRY.itemsize].view(ENTRY)
        self.nbytes = n * options.INDEX_ENTRY_NBYTES + len(data) - n * ENTRY.itemsize
        """Bytes that it takes, about."""
        self.distinct = tuple(_distinct(file.parts, data[n * ENTRY.itemsize :]))
        """For each part of the file, the strings that a column's numbers stand for."""
        order = np.argsort(entries["shard"], kind="stable")
        ends = np.cumsum(entries["nbytes"], dtype=np.int64)
        self._offsets = (ends - entries["nbytes"].astype(np.int64))[order]
        self._parts = np.repeat(np.arange(len(file.parts)), [part.pieces for part in file.parts])[order]
        self.entries = entries[order]
        """The pieces by shard, those of a shard in the order of their rows."""

    def pieces(self, shard: int, file: int) -> Pieces:
        """Return those of a shard, under a number of the file."""
        first, after = np.searchsorted(self.entries["shard"], [shard, shard + 1])
        found = slice(first, after)
        number = np.full(after - first, file)
        return Pieces(number, self._parts[found], self._offsets[found], self.entries[found])


def index_bytes(entries: Entries, forms: Sequence[tuple[Form, dict[int, pa.Array]]]) -> npt.NDArray[np.uint8]:
    """Return an index as it is written: the pieces, and the strings that are numbered in each part of the file."""
    parts = [entries.view(np.uint8)]
    for _, distinct in forms:
        for column in sorted(distinct):
            batch = pa.RecordBatch.from_arrays([distinct[column]], ["0"])
            data = np.frombuffer(batch.serialize(), np.uint8)
            parts += [np.array([len(data)], np.uint64).view(np.uint8), data]
    return np.concatenate(parts)


def _distinct(parts: Sequence[Any], data: npt.NDArray[np.uint8]) -> Iterator[dict[int, pa.Array]]:
    at = 0
    for part in parts:
        found = {}
        for number, column in enumerate(part.form if isinstance(part.form, tuple) else ()):
            assert isinstance(column, ColumnForm)
            if column.encoding.way == "numbered":
                length = int(data[at : at + 8].view(np.uint64)[0])
                batch = pa.py_buffer(data[at + 8 : at + 8 + length])
                schema = pa.schema([("0", column.encoding.kind)])
                found[number] = pa.ipc.read_record_batch(batch, schema).column(0)
                at += 8 + length
        yield found


_kept: OrderedDict[str, FileIndex] = OrderedDict()
_kept_nbytes = 0
_runs: set[str] = set()
_lock = threading.Lock()


def indexes_of(files: Sequence[StagedFile]) -> Iterator[FileIndex]:
    """Return the index of each file, in order: kept ones, or read, those that are missing with overlapped requests.

    Raises
    ------
    StagingError
        When one cannot be read, or is not the one that was written.
    RowConservationError
        When the file ends before its index.
    """
    with _lock:
        known = [_kept.get(file.path) for file in files]
        for file, index in zip(files, known, strict=True):
            if index is not None:
                _kept.move_to_end(file.path)
    missing = [file for file, index in zip(files, known, strict=True) if index is None]
    buffers = read_buffers([(file.path, file.nbytes, file.index_nbytes) for file in missing])
    for file, index in zip(files, known, strict=True):
        yield index if index is not None else _kept_index(file, next(buffers))


def _kept_index(file: StagedFile, buffer: pa.Buffer) -> FileIndex:
    global _kept_nbytes
    _forget_removed(file.path.rpartition("/")[0])
    if len(buffer) != file.index_nbytes:
        raise rows_lost(file.path, file.rows, 0)
    # Copied: it may be a piece of a larger request.
    data = np.frombuffer(buffer, np.uint8).copy()
    if checksum(data) != file.index_checksum:
        raise damaged(file.path, "its index")
    index = FileIndex(file, data)
    with _lock:
        if file.path not in _kept:
            _kept[file.path] = index
            _kept_nbytes += index.nbytes
        while _kept_nbytes > options.INDEX_CACHE_NBYTES and len(_kept) > 1:
            _, oldest = _kept.popitem(last=False)
            _kept_nbytes -= oldest.nbytes
    return index


def _forget_removed(run: str) -> None:
    """Forget the indexes of runs that were removed, when the first one of another run comes."""
    global _kept_nbytes
    with _lock:
        if run in _runs:
            return
        gone = {known for known in _runs if not is_remote(known) and not os.path.isdir(known)}  # noqa: PTH112  never raises
        _runs.difference_update(gone)
        _runs.add(run)
        for path in [path for path in _kept if path.rpartition("/")[0] in gone]:
            _kept_nbytes -= _kept.pop(path).nbytes
