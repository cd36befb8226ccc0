"""Chooses the grids that an array passes through on its way from one chunking to another.

Constraints: no chunk of any grid is larger than a task may hold; few pieces,
since each costs one read; few grids, since each between the first and the last
costs writing and reading the array once more.

1. Where chunks can be made inside a task, several of them are staged as one,
   joined along the axes on which the result's chunks are longer.
2. With one, two and three exchanges, chunk lengths in between are interpolated
   geometrically; the way that costs least is taken.

Source: the multistage plan of pangeo's rechunker (``docs/algorithm.rst``), with
a cost in bytes in place of its count of operations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from safeframe import options
from safeframe.kernels.rechunk import ChunkGrid, count_pieces


def choose_grids(
    read: ChunkGrid, target: ChunkGrid, itemsize: int, most_nbytes: int
) -> tuple[tuple[ChunkGrid, ...], str]:
    """Choose the grids from the staged chunks to the result's.

    Parameters
    ----------
    read
        Chunks as they are staged first.
    target
        Chunks of the result.
    itemsize
        Bytes of one element.
    most_nbytes
        Bytes that a chunk of a grid in between may have.

    Returns
    -------
    tuple of ChunkGrid
        The grids, ``read`` and ``target`` included.
    str
        Why, in words.
    """
    total = math.prod(read.shape) * itemsize
    best: tuple[ChunkGrid, ...] = (read, target)
    lowest = _cost(best, total)
    for exchanges in range(2, options.RECHUNK_EXCHANGES + 1):
        between = _interpolated(read, target, exchanges)
        grids = (read, *between, target)
        if any(chunk_nbytes(grid, itemsize) > most_nbytes for grid in between):
            continue
        cost = _cost(grids, total)
        if cost < lowest:
            best, lowest = grids, cost
    pieces = sum(count_pieces(a, b) for a, b in pairwise(best))
    each = total / max(1, pieces / (len(best) - 1))
    times = "one exchange" if len(best) == 2 else f"{len(best) - 1} exchanges"
    return best, f"{times} of {pieces:,} pieces, {each / 1024:,.1f} KiB each on average"


def consolidated(source: ChunkGrid, target: ChunkGrid, most_chunks: int) -> ChunkGrid:
    """Join neighbouring chunks along the axes on which the result's are longer.

    Parameters
    ----------
    source, target
        The two grids.
    most_chunks
        How many chunks may be joined.

    Examples
    --------
    >>> consolidated(ChunkGrid(((8,), (1,) * 8)), ChunkGrid(((2,) * 4, (8,))), 4).chunks
    ((8,), (4, 4))
    """
    chunks = list(source.chunks)
    longer = [
        (goal / max(one, 1), axis)
        for axis, (one, goal) in enumerate(zip(source.largest, target.largest, strict=True))
        if goal > one
    ]
    for ratio, axis in sorted(longer, reverse=True):
        factor = min(most_chunks, math.ceil(ratio), len(chunks[axis]))
        if factor > 1:
            sizes = chunks[axis]
            chunks[axis] = tuple(sum(sizes[i : i + factor]) for i in range(0, len(sizes), factor))
            most_chunks //= factor
    return ChunkGrid(tuple(chunks))


def chunk_nbytes(grid: ChunkGrid, itemsize: int) -> int:
    """Return the bytes of a grid's largest chunk."""
    return math.prod(grid.largest) * itemsize


def largest_piece_nbytes(one: ChunkGrid, other: ChunkGrid, itemsize: int) -> int:
    """Bound the bytes of one piece."""
    lengths = (min(a, b) for a, b in zip(one.largest, other.largest, strict=True))
    return math.prod(lengths) * itemsize


def _cost(grids: Sequence[ChunkGrid], total_nbytes: int) -> int:
    """Return bytes written and read, with what each piece, and each task between, costs as bytes."""
    pieces = sum(count_pieces(a, b) for a, b in pairwise(grids))
    tasks = sum(grid.n_chunks for grid in grids[1:-1])
    moved = 2 * total_nbytes * (len(grids) - 1)
    return moved + options.RECHUNK_PIECE_NBYTES * pieces + options.RECHUNK_TASK_NBYTES * tasks


def _interpolated(read: ChunkGrid, target: ChunkGrid, exchanges: int) -> list[ChunkGrid]:
    grids = []
    for step in range(1, exchanges):
        share = step / exchanges
        axes = []
        for one, goal, length in zip(read.largest, target.largest, read.shape, strict=True):
            size = max(1, round(max(one, 1) ** (1 - share) * max(goal, 1) ** share))
            whole, rest = divmod(length, size)
            axes.append((size,) * whole + ((rest,) if rest or not whole else ()))
        grids.append(ChunkGrid(tuple(axes)))
    return grids
