"""Grids of chunks, and the pieces in which one grid's chunks lie in another's.

A chunk is staged as one file: its intersections with the chunks of the next
grid ("pieces"), one after the other in C order, each of them in C order itself, and its
checksum behind it. Where a piece begins then follows from the two grids alone, and is not stored.

Covers: grids, the slices that a chunk is cut into, where in the files the
pieces of a chunk are.
Does not cover: choosing grids (``planning.rechunk.stages``), files.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MARK_NBYTES = 8
"""Bytes of the checksum behind a piece."""

Bounds = npt.NDArray[np.int64]
"""Where the chunks of one axis begin, and where the last one ends."""


@dataclass(frozen=True)
class ChunkGrid:
    """Sizes of chunks along each axis, as dask has them; any of them may be zero.

    Examples
    --------
    >>> grid = ChunkGrid(((2, 3), (4,)))
    >>> grid.shape, grid.n_chunks, grid.region(1)
    ((5, 4), 2, ((2, 5), (0, 4)))
    """

    chunks: tuple[tuple[int, ...], ...]
    """Per axis, the size of each chunk."""

    @functools.cached_property
    def bounds(self) -> tuple[Bounds, ...]:
        """Per axis, where chunks begin, and where the last one ends."""
        return tuple(np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]) for sizes in self.chunks)

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return tuple(sum(sizes) for sizes in self.chunks)

    @property
    def blocks(self) -> tuple[int, ...]:
        """Chunks along each axis."""
        return tuple(len(sizes) for sizes in self.chunks)

    @property
    def n_chunks(self) -> int:
        """Chunks in all."""
        return math.prod(self.blocks)

    @property
    def largest(self) -> tuple[int, ...]:
        """The largest chunk along each axis."""
        return tuple(max(sizes, default=0) for sizes in self.chunks)

    def lengths(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the numbers of elements that chunks have, ascending, and how many chunks have each.

        Examples
        --------
        >>> lengths, chunks = ChunkGrid(((2, 3), (4, 4, 6))).lengths()
        >>> lengths.tolist(), chunks.tolist()
        ([8, 12, 18], [2, 3, 1])
        """
        lengths = chunks = np.ones(1, np.int64)
        for sizes in self.chunks:
            axis, times = np.unique(np.array(sizes, np.int64), return_counts=True)
            lengths, at = np.unique(np.multiply.outer(lengths, axis), return_inverse=True)
            of_each = np.multiply.outer(chunks, times).ravel()
            chunks = np.zeros(len(lengths), np.int64)
            np.add.at(chunks, at.ravel(), of_each)
        return lengths, chunks

    def place(self, number: int) -> tuple[int, ...]:
        """Return the place of a chunk along each axis, from its number in C order."""
        return tuple(int(i) for i in np.unravel_index(number, self.blocks)) if self.blocks else ()

    def region(self, number: int) -> tuple[tuple[int, int], ...]:
        """Return the part ``[low, high)`` of each axis that a chunk covers."""
        places = zip(self.bounds, self.place(number), strict=True)
        return tuple((int(bounds[i]), int(bounds[i + 1])) for bounds, i in places)

    def numbers(self, places: tuple[tuple[int, int], ...]) -> Iterator[int]:
        """Return the numbers of the chunks in a box of places, in C order."""
        strides = [math.prod(self.blocks[axis + 1 :]) for axis in range(len(self.blocks))]
        for place in itertools.product(*(range(first, after) for first, after in places)):
            yield sum(i * stride for i, stride in zip(place, strides, strict=True))


@dataclass(frozen=True, slots=True)
class ChunkPiece:
    """What one chunk of the grid before has of a chunk."""

    source: int
    """The number of the chunk that it is staged with."""
    first: int
    """Elements of that chunk's file that come before it."""
    number: int
    """Pieces of that file that come before it."""
    size: int
    shape: tuple[int, ...]
    target: tuple[slice, ...]


def cut_slices(region: tuple[tuple[int, int], ...], grid: ChunkGrid) -> Iterator[tuple[slice, ...]]:
    """Cut a region by a grid: the slices of the region, in the order in which they are staged.

    Examples
    --------
    >>> list(cut_slices(((2, 6),), ChunkGrid(((3, 3),))))
    [(slice(0, 1, None),), (slice(1, 4, None),)]
    """
    axes = []
    for (low, high), bounds in zip(region, grid.bounds, strict=True):
        inner = bounds[(bounds > low) & (bounds < high)]
        ends = [0, *(inner - low).tolist(), high - low]
        axes.append([slice(a, b) for a, b in itertools.pairwise(ends) if b > a])
    return itertools.product(*axes)


def touched(region: tuple[tuple[int, int], ...], grid: ChunkGrid) -> tuple[tuple[int, int], ...]:
    """Return the box ``[first, after)`` of a grid's places whose chunks a region, which is not empty, has elements of."""
    return tuple(
        (int(np.searchsorted(bounds, low, "right")) - 1, int(np.searchsorted(bounds, high, "left")))
        for (low, high), bounds in zip(region, grid.bounds, strict=True)
    )


def pieces_of_chunk(
    region: tuple[tuple[int, int], ...], before: ChunkGrid, grid: ChunkGrid
) -> list[ChunkPiece]:
    """Find the pieces of a chunk among the staged chunks of the grid before.

    Parameters
    ----------
    region
        The chunk.
    before
        The grid whose chunks were staged, each cut by the grid that the chunk is of.
    grid
        The grid that the chunk is of.
    """
    if any(high <= low for low, high in region):
        return []
    box = touched(region, before)
    # Per axis and chunk: what lies before the piece in its chunk, the piece, the chunk, where the piece goes, its
    # number among the pieces of the chunk, and how many these are.
    axes: list[list[tuple[int, int, int, slice, int, int]]] = []
    for (low, high), (first, after), bounds, ends in zip(
        region, box, before.bounds, grid.bounds, strict=True
    ):
        cuts = np.unique(ends)  # chunks of no elements cut nothing
        parts = []
        for i in range(first, after):
            begin, end = int(bounds[i]), int(bounds[i + 1])
            lo, hi = max(low, begin), min(high, end)
            inside = np.searchsorted(cuts, [begin, lo, end - 1], "right")
            number, count = int(inside[1] - inside[0]), int(inside[2] - inside[0]) + 1
            parts.append((lo - begin, hi - lo, end - begin, slice(lo - low, hi - low), number, count))
        axes.append(parts)
    pieces = []
    for source, along in zip(before.numbers(box), itertools.product(*axes), strict=True):
        shape = tuple(length for _, length, *_ in along)
        extents = [extent for _, _, extent, *_ in along]
        first = number = 0
        for axis, (skipped, _, _, _, place, count) in enumerate(along):
            first += math.prod(shape[:axis]) * skipped * math.prod(extents[axis + 1 :])
            number = number * count + place
        size = math.prod(shape)
        if size:
            targets = tuple(target for _, _, _, target, _, _ in along)
            pieces.append(ChunkPiece(source, first, number, size, shape, targets))
    return pieces


def count_pieces(one: ChunkGrid, other: ChunkGrid) -> int:
    """Count the pieces that two grids of one shape cut each other into.

    Examples
    --------
    >>> count_pieces(ChunkGrid(((6, 6),)), ChunkGrid(((4, 4, 4),)))
    4
    """
    cuts = (len(np.union1d(a, b)) - 1 for a, b in zip(one.bounds, other.bounds, strict=True))
    return math.prod(cuts)
