"""What goes wrong while an array is rechunked: a typed error, with both numbers and a hint."""

from __future__ import annotations

import pickle
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

import safeframe
from safeframe.engine.rechunk import tasks as rechunk_tasks
from safeframe.kernels.rechunk import MARK_NBYTES

pytestmark = pytest.mark.usefixtures("_in_this_process")


def array():
    return da.ones((60, 40), chunks=(60, 5))


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ((7,), r"chunks=\(7,\) are not chunks of an array of shape \(60, 40\)"),
        ((7, 7, 7), r"are not chunks of an array of shape \(60, 40\)"),
        (((30, 20), 5), "are not chunks"),
        ({2: 5}, "2 is no axis"),
        ({"x": 5}, "'x' is no axis"),
        ("many", "chunks='many' are not chunks"),
        (1.5, "are not chunks"),
        (None, "chunks=None are not chunks"),
    ],
)
def test_bad_chunks(chunks, message):
    with pytest.raises(safeframe.ValidationError, match=message) as info:
        safeframe.rechunk(array(), chunks)
    assert "Hint: " in str(info.value)
    assert str(pickle.loads(pickle.dumps(info.value))) == str(info.value)


def test_bad_memory():
    with pytest.raises(safeframe.ValidationError, match="memory='much'"):
        safeframe.rechunk(array(), 5, memory="much")


def test_what_is_no_array_of_numpy_s():
    with pytest.raises(safeframe.SchemaMismatchError, match="array is a ndarray; a dask array"):
        safeframe.rechunk(np.ones(3), 1)
    masked = da.ma.masked_array(array(), mask=array() > 0)
    with pytest.raises(safeframe.UnsupportedError, match=r"MaskedArray; numpy arrays are expected"):
        safeframe.rechunk(masked, 5)
    with pytest.raises(safeframe.UnsupportedError, match="has dtype object"):
        safeframe.rechunk(da.from_array(np.array([1, "a", None], object), chunks=2), 1)
    record = np.zeros(3, [("a", "i4"), ("b", "O")])
    with pytest.raises(safeframe.UnsupportedError, match="are references, which cannot be staged"):
        safeframe.rechunk(da.from_array(record, chunks=2), 1)


def test_chunks_of_unknown_sizes():
    unknown = array()[array().sum(axis=1) > 3]
    with pytest.raises(safeframe.UnsupportedError, match="chunks of axis 0 have unknown sizes") as info:
        safeframe.rechunk(unknown, 5)
    assert "compute_chunk_sizes" in info.value.hint


def test_a_chunk_of_another_shape(tmp_path):
    wrong = array().map_blocks(lambda chunk: chunk[:-1], dtype="f8")
    with pytest.raises(safeframe.RowConservationError, match=r"the shape \(59, 5\), .* promise \(60, 5\)"):
        safeframe.rechunk(wrong, (5, 40), staging=str(tmp_path)).compute()
    assert not list(tmp_path.rglob("*.staged"))


def test_a_chunk_of_another_type(tmp_path):
    wrong = array().map_blocks(lambda chunk: chunk.astype("f4"), dtype="f8")
    with pytest.raises(safeframe.SchemaMismatchError, match="is float32, but the array has dtype float64"):
        safeframe.rechunk(wrong, (5, 40), staging=str(tmp_path)).compute()


def test_a_file_that_lost_its_end(tmp_path, monkeypatch):
    real = rechunk_tasks.write_file

    def losing(directory, nbytes, write_to):
        path = real(directory, nbytes, write_to)
        with open(path, "r+b") as file:  # noqa: PTH123
            file.truncate(
                Path(path).stat().st_size - MARK_NBYTES - 8
            )  # an element, and the mark behind its piece
        return path

    monkeypatch.setattr(rechunk_tasks, "write_file", losing)
    with pytest.raises(safeframe.RowConservationError, match=r"(25|45) rows went in and (24|44) came out"):
        safeframe.rechunk(array(), (5, 40), staging=str(tmp_path)).compute()
    assert not list(tmp_path.rglob("*.staged"))


def damaging(monkeypatch, damage):
    """Have something done to the files of chunks once all are there."""
    real = rechunk_tasks.seal_chunks

    def sealed(staged, *rest):
        damage([Path(file.path) for file in staged])
        return real(staged, *rest)

    monkeypatch.setattr(rechunk_tasks, "seal_chunks", sealed)
    monkeypatch.setattr("safeframe.engine.rechunk.graph.seal_chunks", sealed)


def flip_a_bit(paths):
    data = bytearray(paths[2].read_bytes())
    data[len(data) // 2] ^= 4
    paths[2].write_bytes(data)


def exchange(paths):
    one, other = paths[1].read_bytes(), paths[3].read_bytes()
    paths[1].write_bytes(other)
    paths[3].write_bytes(one)


@pytest.mark.parametrize("damage", [flip_a_bit, exchange])
@pytest.mark.parametrize("passed", [False, True])
def test_a_file_that_is_not_what_was_written(tmp_path, monkeypatch, damage, passed):
    if passed:
        monkeypatch.setattr("safeframe.options.RECHUNK_PIECE_NBYTES", 2**40)
    damaging(monkeypatch, damage)
    with pytest.raises(safeframe.StagingError, match=r"is damaged: a piece of .* elements at byte"):
        safeframe.rechunk(array(), (5, 40), staging=str(tmp_path)).compute()
    assert not list(tmp_path.rglob("*.staged"))


def test_the_same_on_the_way_through_other_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr("safeframe.options.RECHUNK_PIECE_NBYTES", 2**40)
    test_a_file_that_lost_its_end(tmp_path, monkeypatch)


def test_a_manifest_that_lost_a_chunk(tmp_path, monkeypatch):
    real = rechunk_tasks.StagedChunk
    monkeypatch.setattr(rechunk_tasks, "StagedChunk", lambda path, size: real(path, size - 1))
    with pytest.raises(safeframe.RowConservationError, match="2,400 rows went in and 2,392 came out"):
        safeframe.rechunk(array(), (5, 40), staging=str(tmp_path)).compute()


def test_an_array_whose_function_fails(tmp_path):
    def failing(chunk, block_id=None):
        if block_id == (0, 3):
            raise OSError("no such sensor")  # noqa: EM101
        return chunk

    broken = array().map_blocks(failing, dtype="f8")
    with pytest.raises(OSError, match="no such sensor"):
        safeframe.rechunk(broken, (5, 40), staging=str(tmp_path)).compute()
    assert not list(tmp_path.rglob("*.staged"))


def test_a_full_disk(small_disk):
    large = da.ones((600, 600), chunks=(600, 60))
    result = safeframe.rechunk(large, (60, 600), staging=str(small_disk))
    with pytest.raises(safeframe.StagingFullError, match=r"has .* free"):
        result.compute()
    assert not list(small_disk.rglob("*.staged"))


def test_a_staging_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(safeframe.StagingError, match="cannot be written"):
        safeframe.rechunk(array(), (5, 40), staging=str(tmp_path / "file" / "below"))
