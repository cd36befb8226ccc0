"""Files written past the page cache have the bytes that were written, and take no page of it; when that is done."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import types
from pathlib import Path

import numpy as np
import pytest

from safeframe import options
from safeframe.engine.storage import local
from safeframe.engine.storage.local import DIRECT, DirectFile, LocalStore, read_piece
from safeframe.sizing.machine import MemoryGroup

CONTENT = np.random.default_rng(0).integers(0, 256, 9_000_001, np.uint8).tobytes()


@pytest.fixture(params=["direct", "through the cache"])
def any_disk(request, tmp_path, monkeypatch):
    """A directory; also as of a file system that knows no O_DIRECT."""
    if request.param == "through the cache":
        real = os.open

        def refusing(path, flags, mode=0o777):
            if flags & os.O_DIRECT:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            return real(path, flags, mode)

        monkeypatch.setattr(local.os, "open", refusing)
    return tmp_path


@pytest.mark.parametrize(
    "pieces", [[0], [1], [4096], [5_000_000, 1, 4095, 3_000_000], [4 * 2**20] * 2, [9_000_001]]
)
def test_what_is_written_is_in_the_file(any_disk, pieces):
    path = any_disk / "file"
    at = 0
    with DirectFile(str(path)) as file:
        for nbytes in pieces:
            assert file.write(CONTENT[at : at + nbytes]) == nbytes
            at += nbytes
            assert file.tell() == at
    assert path.read_bytes() == CONTENT[:at]


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize(
    ("offset", "nbytes"), [(0, 1), (1, 4095), (4096, 4096), (4095, 2), (123_457, 1_000_003), (8_999_990, 11)]
)
def test_a_piece_is_read(any_disk, direct, offset, nbytes):
    path = any_disk / "file"
    path.write_bytes(CONTENT)
    assert (
        read_piece(str(path), offset, nbytes, direct=direct).to_pybytes() == CONTENT[offset : offset + nbytes]
    )


@pytest.mark.parametrize("direct", [True, False])
def test_a_piece_behind_the_end_comes_back_short(any_disk, direct):
    path = any_disk / "file"
    path.write_bytes(CONTENT[:5000])
    assert len(read_piece(str(path), 4000, 2000, direct=direct)) == 1000
    assert len(read_piece(str(path), 9000, 10, direct=direct)) == 0


def test_a_file_of_the_store_takes_no_page_of_the_cache(tmp_path):
    path = str(tmp_path / f"file{DIRECT}")
    with LocalStore().create(path) as sink:
        sink.write(CONTENT)
    assert (
        b"".join(
            piece.to_pybytes() for piece in LocalStore().read([(path, 0, 10), (path, 10, len(CONTENT) - 10)])
        )
        == CONTENT
    )
    if resident_pages(path) is None:
        pytest.skip("the file system knows no direct files, or the machine no mincore")
    assert resident_pages(path) == 0


def test_a_disk_that_is_full_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(local.os, "write", full)
    with (
        pytest.raises(OSError, match="No space left"),
        LocalStore().create(str(tmp_path / "run" / f"file{DIRECT}")) as sink,
    ):
        sink.write(CONTENT)
    assert list((tmp_path / "run").iterdir()) == []


def resident_pages(path):
    """Pages of a file in the cache; None where that cannot be told."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
    except OSError:
        return None
    with Path(path).open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        address = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
        pages = -(-len(mapped) // mmap.PAGESIZE)
        flags = (ctypes.c_ubyte * pages)()
        if ctypes.CDLL(None).mincore(ctypes.c_void_p(address), ctypes.c_size_t(len(mapped)), flags) != 0:
            return None
        return sum(flag & 1 for flag in flags)


@pytest.mark.parametrize(("share", "full"), [(0.5, False), (options.PAGE_CACHE_FRACTION + 0.01, True)])
def test_a_memory_group_says_what_it_holds(tmp_path, monkeypatch, share, full):
    (tmp_path / "memory.usage_in_bytes").write_text(str(int(share * 2**30)))
    monkeypatch.setattr(local, "_group", lambda: MemoryGroup(path=str(tmp_path), limit_nbytes=2**30))
    assert local.page_cache_is_full() is full


@pytest.mark.parametrize(("available", "full"), [(0.5, False), (0.2, True)])
def test_without_a_group_the_machine_says_it(monkeypatch, available, full):
    memory = types.SimpleNamespace(total=2**30, available=int(available * 2**30))
    monkeypatch.setattr(local, "_group", lambda: None)
    monkeypatch.setattr(local.psutil, "virtual_memory", lambda: memory)
    assert local.page_cache_is_full() is full
