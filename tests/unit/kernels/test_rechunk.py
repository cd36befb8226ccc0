"""Grids of chunks: the pieces that are written are those that are read."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from safeframe.kernels.rechunk import ChunkGrid, count_pieces, cut_slices, pieces_of_chunk, touched


@st.composite
def two_grids(draw, max_ndim=3):
    """Draw two grids of one shape, with chunks of no length among them."""
    chunks = []
    for _ in range(draw(st.integers(0, max_ndim))):
        length = draw(st.integers(0, 9))
        pair = []
        for _ in range(2):
            cuts = sorted(draw(st.lists(st.integers(0, length), max_size=4)))
            pair.append(tuple(np.diff([0, *cuts, length]).tolist()))
        chunks.append(pair)
    return ChunkGrid(tuple(one for one, _ in chunks)), ChunkGrid(tuple(other for _, other in chunks))


def staged(array, grid, after):
    """Write each chunk as its file would have it."""
    files = []
    for number in range(grid.n_chunks):
        region = grid.region(number)
        chunk = array[tuple(slice(*part) for part in region)]
        if chunk.size == 0:
            files.append(np.empty(0, array.dtype))
        else:
            files.append(np.concatenate([chunk[piece].ravel() for piece in cut_slices(region, after)]))
    return files


@given(two_grids())
@example((ChunkGrid(((4,), (3, 1))), ChunkGrid(((2, 2), (2, 2)))))
@example((ChunkGrid(((2, 3), (4, 1), (5,))), ChunkGrid(((5,), (2, 3), (1, 4)))))
def test_what_is_read_is_the_array(grids):
    before, after = grids
    array = np.arange(math.prod(before.shape)).reshape(before.shape)
    files = staged(array, before, after)
    assert sum(map(len, files)) == array.size
    pieces_read = 0
    for number in range(after.n_chunks):
        region = after.region(number)
        chunk = np.full([high - low for low, high in region], -1)
        for piece in pieces_of_chunk(region, before, after):
            values = files[piece.source][piece.first : piece.first + piece.size]
            chunk[piece.target] = values.reshape(piece.shape)
            place = list(cut_slices(before.region(piece.source), after))[piece.number]
            whole = array[tuple(slice(*part) for part in before.region(piece.source))]
            np.testing.assert_array_equal(whole[place], values.reshape(piece.shape))
            pieces_read += 1
        np.testing.assert_array_equal(chunk, array[tuple(slice(*part) for part in region)])
    if array.size:
        assert pieces_read == count_pieces(before, after)


def test_chunks_of_no_length_are_passed_over():
    grid = ChunkGrid(((0, 2, 0, 3, 0),))
    assert [piece.source for piece in pieces_of_chunk(((0, 5),), grid, grid)] == [1, 3]
    assert touched(((0, 2),), grid) == ((1, 2),)


def test_numbers_are_in_c_order():
    grid = ChunkGrid(((1, 1), (1, 1, 1)))
    assert [grid.place(number) for number in grid.numbers(((0, 2), (1, 3)))] == [
        (0, 1),
        (0, 2),
        (1, 1),
        (1, 2),
    ]


@pytest.mark.parametrize(
    ("region", "first"), [(((0, 2), (2, 4)), 4), (((2, 4), (0, 2)), 8), (((2, 4), (2, 4)), 12)]
)
def test_where_a_piece_begins(region, first):
    (piece,) = pieces_of_chunk(region, ChunkGrid(((4,), (4,))), ChunkGrid(((2, 2), (2, 2))))
    assert (piece.first, piece.number, piece.size) == (first, first // 4, 4)


def test_no_axis():
    (piece,) = pieces_of_chunk((), ChunkGrid(()), ChunkGrid(()))
    assert (piece.size, piece.target) == (1, ())
