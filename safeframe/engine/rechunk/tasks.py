"""What the tasks of a rechunking do.

Covers: staging chunks in pieces, chunks of the next grid from pieces, the check
that every element is there.

Memory: a chunk as it is made, and one piece at a time; a chunk that is
joined is allocated once, and pieces are read straight to their places.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from safeframe.engine.exchange.reading import damaged, read_buffers
from safeframe.engine.exchange.runs import run_of_task
from safeframe.engine.exchange.stage import write_file
from safeframe.engine.storage.owned_file import OwnedFile
from safeframe.engine.task import conserved, count_rows_out, rows_lost, use_worker
from safeframe.errors import RowConservationError, SchemaMismatchError
from safeframe.facts.rechunk import RechunkRun, StagedChunks
from safeframe.kernels.checksum import checksum
from safeframe.kernels.rechunk import MARK_NBYTES, ChunkGrid, cut_slices, pieces_of_chunk, touched
from safeframe.sizing.partitions.tasks import PartitionTask, PartitionTasks

Chunk = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChunkSpec:
    """What every task of one rechunking has to know."""

    dtype: np.dtype[Any]
    source: ChunkGrid
    """Its chunks as they are made."""
    grids: tuple[ChunkGrid, ...]
    """Chunks as they are staged, each grid cut by the next; those of the result last."""

    @classmethod
    def of(cls, dtype: np.dtype[Any], run: RechunkRun) -> ChunkSpec:
        """Return what tasks have to know of a run."""
        staged = run.way.grids if isinstance(run.way, StagedChunks) else ()
        return cls(
            dtype=dtype,
            source=ChunkGrid(run.source),
            grids=tuple(map(ChunkGrid, (*staged, run.target))),
        )


class StagedChunk(OwnedFile):
    """A chunk's file."""

    def __init__(self, path: str, size: int) -> None:
        super().__init__(path)
        self.size = size
        """Its elements."""

    def arguments(self) -> tuple[Any, ...]:
        """See :class:`OwnedFile`."""
        return self.path, self.size


@dataclass(frozen=True, slots=True)
class SealedChunks:
    """All staged chunks of one grid, by their numbers."""

    files: tuple[StagedChunk, ...]
    """The files; holding them keeps them on disk where tasks run in this process."""
    directory: str


def stage_chunk(
    source: PartitionTasks[PartitionTask] | Chunk, spec: ChunkSpec, number: int, directory: str
) -> StagedChunk:
    """Make a chunk of the first grid, and write it in the pieces of the second.

    Raises
    ------
    SchemaMismatchError, RowConservationError
        When a chunk is not what the array promises.
    StagingFullError, StagingError
        When a file cannot be written; nothing of it stays behind.
    """
    use_worker(directory)
    with run_of_task(directory):
        region = spec.grids[0].region(number)
        if isinstance(source, PartitionTasks):
            chunk = _gathered(source, spec, region)
        else:
            chunk = _checked_chunk(source, spec, number)
        return _staged_chunk(chunk, spec, 0, number, directory)


def pass_chunk(sealed: SealedChunks, spec: ChunkSpec, step: int, number: int, directory: str) -> StagedChunk:
    """Join a chunk of a grid in between, and write it in the pieces of the next one."""
    use_worker(directory)
    with run_of_task(sealed.directory), run_of_task(directory):
        return _staged_chunk(_chunk_from_pieces(sealed, spec, step, number), spec, step, number, directory)


def joined_chunk(sealed: SealedChunks, spec: ChunkSpec, number: int) -> Chunk:
    """Join a chunk of the result."""
    use_worker(sealed.directory)
    with run_of_task(sealed.directory):
        return _counted(_chunk_from_pieces(sealed, spec, len(spec.grids) - 1, number))


def merged_chunk(source: PartitionTasks[PartitionTask], spec: ChunkSpec, number: int) -> Chunk:
    """Join a chunk of the result from whole chunks, made one after the other."""
    use_worker()
    return _counted(_gathered(source, spec, spec.grids[-1].region(number)))


def empty_chunk(spec: ChunkSpec, number: int) -> Chunk:
    """Make a chunk of an array that has no bytes."""
    return np.empty([high - low for low, high in spec.grids[-1].region(number)], spec.dtype)


def seal_chunks(staged: Sequence[StagedChunk], spec: ChunkSpec, step: int, directory: str) -> SealedChunks:
    """Join the manifests of one grid, and check that every element is in one of them.

    Raises
    ------
    RowConservationError
        With both numbers.
    """
    found = sum(file.size for file in staged)
    conserved(math.prod(spec.grids[step].shape), found, f"exchange {step + 1} of the array's elements")
    return SealedChunks(tuple(staged), directory)


def _staged_chunk(chunk: Chunk, spec: ChunkSpec, step: int, number: int, directory: str) -> StagedChunk:
    if chunk.size == 0:
        return StagedChunk("", 0)

    def write_to(sink: pa.NativeFile, path: str) -> None:
        for place in cut_slices(spec.grids[step].region(number), spec.grids[step + 1]):
            # A view where the piece lies in one stretch; else a copy of this piece alone.
            piece = np.ascontiguousarray(chunk[place]).reshape(-1).view(np.uint8)
            sink.write(piece.data)
            sink.write(_mark(piece, path))

    staged = StagedChunk(write_file(directory, chunk.nbytes, write_to), chunk.size)
    staged.own_file()
    return staged


def _gathered(
    source: PartitionTasks[PartitionTask], spec: ChunkSpec, region: tuple[tuple[int, int], ...]
) -> Chunk:
    """Make the chunks of a region one after the other, each straight to its place."""
    if any(high <= low for low, high in region):
        return np.empty([high - low for low, high in region], spec.dtype)
    numbers = list(spec.source.numbers(touched(region, spec.source)))
    if len(numbers) == 1:
        return _checked_chunk(source.tasks[0].make(), spec, numbers[0])
    joined = np.empty([high - low for low, high in region], spec.dtype)
    for number, task in zip(numbers, source.tasks, strict=True):
        within = zip(spec.source.region(number), region, strict=True)
        place = tuple(slice(low - first, high - first) for (low, high), (first, _) in within)
        joined[place] = _checked_chunk(task.make(), spec, number)
    return joined


def _checked_chunk(made: Any, spec: ChunkSpec, number: int) -> Chunk:
    """Return a chunk that is as its array promises."""
    chunk = np.asarray(made)
    shape = tuple(high - low for low, high in spec.source.region(number))
    if chunk.shape != shape:
        msg = f"Chunk {spec.source.place(number)} has the shape {chunk.shape}, but the array's chunks= promise {shape}."
        hint = "Does a function in map_blocks change shapes? Pass its output chunks= there."
        raise RowConservationError(msg, hint=hint, rows_in=math.prod(shape), rows_out=chunk.size)
    if chunk.dtype != spec.dtype:
        msg = f"Chunk {spec.source.place(number)} is {chunk.dtype}, but the array has dtype {spec.dtype}."
        raise SchemaMismatchError(
            msg, hint=f"Cast it first: array.map_blocks(np.asarray, dtype={str(chunk.dtype)!r})."
        )
    return chunk


def _chunk_from_pieces(sealed: SealedChunks, spec: ChunkSpec, step: int, number: int) -> Chunk:
    region = spec.grids[step].region(number)
    chunk = np.empty([high - low for low, high in region], spec.dtype)
    pieces = pieces_of_chunk(region, spec.grids[step - 1], spec.grids[step])
    if not pieces:
        return chunk
    width = spec.dtype.itemsize
    wanted = [
        (
            sealed.files[piece.source].path,
            piece.first * width + piece.number * MARK_NBYTES,
            piece.size * width + MARK_NBYTES,
        )
        for piece in pieces
    ]
    for piece, (path, start, nbytes), buffer in zip(pieces, wanted, read_buffers(wanted), strict=True):
        if len(buffer) != nbytes:
            raise rows_lost(path, piece.size, min(len(buffer) // width, piece.size))
        data = np.frombuffer(buffer, np.uint8)
        if data[-MARK_NBYTES:].tobytes() != _mark(data[:-MARK_NBYTES], path):
            raise damaged(path, f"a piece of {piece.size} elements at byte {start}")
        chunk[piece.target] = np.frombuffer(buffer, spec.dtype, piece.size).reshape(piece.shape)
    return chunk


def _mark(piece: npt.NDArray[np.uint8], path: str) -> bytes:
    """Return what is behind a piece: a checksum, which in a file of another name is another one."""
    name = hashlib.blake2b(path.rpartition("/")[2].encode(), digest_size=MARK_NBYTES).digest()
    return (checksum(piece) ^ int.from_bytes(name, "little")).to_bytes(MARK_NBYTES, "little")


def _counted(chunk: Chunk) -> Chunk:
    count_rows_out(chunk.size)
    return chunk
