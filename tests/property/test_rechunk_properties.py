"""Rechunked arrays against numpy."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import safeframe
from safeframe import options

DTYPES = (
    "f8",
    "i2",
    "?",
    ">i4",
    "c16",
    "M8[ns]",
    "m8[s]",
    "U3",
    "S5",
    "f2",
    "V3",
    [("a", "i4"), ("b", "U2")],
)


@st.composite
def axis_chunks(draw, length):
    cuts = sorted(draw(st.lists(st.integers(0, length), max_size=4)))
    return tuple(np.diff([0, *cuts, length]).tolist())


@st.composite
def arrays(draw):
    """Draw an array of any dtype in chunks, and chunks that it is to have; empty ones among them."""
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    size = int(np.prod(shape)) * dtype.itemsize
    # Bytes that are valid in every dtype: strings of ASCII, and no NaN to compare.
    values = np.arange(size, dtype=np.uint8) % 2
    if dtype.kind in "US" or dtype.names:
        array = np.array([("abcdefg"[i % 7]) * (i % 3) for i in range(int(np.prod(shape)))]).reshape(shape)
        array = array.astype("U2") if dtype.names else array.astype(dtype)
        if dtype.names:
            fields = np.zeros(shape, dtype)
            fields["a"] = np.arange(int(np.prod(shape))).reshape(shape)
            fields["b"] = array
            array = fields
    else:
        array = np.frombuffer(values.tobytes(), dtype).reshape(shape) if size else np.empty(shape, dtype)
    source, target = (tuple(draw(axis_chunks(length)) for length in shape) for _ in range(2))
    return array, source, target


@pytest.mark.parametrize("made", [True, False], ids=["self-made", "of others"])
@given(drawn=arrays(), pieces=st.sampled_from([options.RECHUNK_PIECE_NBYTES, 2**40]))
def test_rechunked_arrays_are_the_array(made, drawn, pieces):
    array, source, target = drawn
    given_array = da.from_array(array, chunks=source, name=False)
    if not made:
        given_array = given_array.persist(scheduler="sync")  # which has no task
    with dask.config.set(scheduler="sync"), pytest.MonkeyPatch.context() as patch:
        # Where pieces cost much, the array takes the way through grids in between.
        patch.setattr(options, "RECHUNK_PIECE_NBYTES", pieces)
        result = safeframe.rechunk(given_array, target)
        assert result.chunks == (target if array.ndim else ())
        found = result.compute()
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    np.testing.assert_array_equal(found, array)


@given(drawn=arrays())
def test_each_chunk_is_of_its_shape(drawn):
    array, source, target = drawn
    result = safeframe.rechunk(da.from_array(array, chunks=source, name=False), target)
    blocks = list(np.ndindex(*result.numblocks))
    with dask.config.set(scheduler="sync"):
        found = dask.compute(*(result.blocks[index] if index else result for index in blocks))
    for index, chunk in zip(blocks, found, strict=True):
        expected = tuple(sizes[i] for sizes, i in zip(result.chunks, index, strict=True))
        assert chunk.shape == expected


FORMS = [
    3, -1, "auto", "1KiB", (2, 3), (2, -1), (None, 4), {0: 3}, {-1: 4}, {1: -1, 0: "auto"}, {0: None, 1: 2},
    ((3, 4), 5), ((7,), (4, 1, 5)), [2, 5], (np.int64(2), 5),
]  # fmt: skip


@pytest.mark.parametrize("chunks", FORMS, ids=str)
def test_every_form_of_chunks_is_dask_s(chunks):
    array = da.from_array(np.arange(70.0).reshape(7, 10), chunks=(2, 3))
    result = safeframe.rechunk(array, chunks)
    assert result.chunks == array.rechunk(chunks).chunks
    with dask.config.set(scheduler="sync"):
        np.testing.assert_array_equal(result.compute(), array.compute())
