"""What is asked of a frame and of workers before P2P is used."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from safeframe.errors import UnsupportedError
from safeframe.facts.budget import Budget
from safeframe.sizing import p2p
from safeframe.sizing.directory import Directory

BUDGET = Budget(
    n_workers=1,
    threads_per_worker=1,
    allowed_nbytes=2**30,
    reserved_nbytes=0,
    transport_nbytes=0,
    headroom_fraction=0.8,
    measured=False,
)


def facts_of(frame, npartitions=2):
    with dask.config.set({"scheduler": "sync", "dataframe.convert-string": False}):
        return p2p.p2p_facts(dd.from_pandas(frame, npartitions=npartitions, sort=False), budget=BUDGET)


def test_without_workers_the_frame_is_known():
    facts = facts_of(pd.DataFrame({"a": [1, 2, 3], "b": [0.5, 1.0, 2.0]}))
    assert "no distributed client" in facts.unavailable
    assert facts.partition_rows == (2, 1)
    assert facts.row_nbytes == 16 + 8 + 8, "columns, the index, and the number of a shard"
    assert facts.live is None
    assert facts.disks == ()


def test_what_p2p_writes_for_each_piece_grows_with_the_columns():
    narrow = facts_of(pd.DataFrame({"a": [1]}), 1).piece_header_nbytes
    wide = facts_of(pd.DataFrame({f"column {i}": [1] for i in range(50)}), 1).piece_header_nbytes
    assert 500 < narrow < 5000
    assert wide > 10 * narrow / 2


def test_categories_travel_with_each_piece():
    words = [f"word {i:06d}" for i in range(10_000)]
    facts = facts_of(pd.DataFrame({"a": pd.Categorical(words)}))
    assert facts.piece_header_nbytes > 10_000 * 10


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (np.array([1j, 2j]), "'z' is complex128"),
        (pd.arrays.SparseArray([0, 1]), r"'z' is Sparse\[int64, 0\]"),
        (pd.arrays.IntervalArray.from_breaks([0, 1, 2]), r"'z' is interval\[int64, right\]"),
        (pd.arrays.ArrowExtensionArray(pa.array([[1], []])), r"'z' is list<item: int64>\[pyarrow\]"),
        (pd.arrays.ArrowExtensionArray(pa.array(["a", "b"]).dictionary_encode()), r"'z' is dictionary<"),
        (
            pd.arrays.ArrowExtensionArray(pa.array([b"ab", b"cd"], pa.binary(2))),
            r"'z' is fixed_size_binary\[2\]",
        ),
        (pd.Series([1, print], dtype=object), "'z' of dtype object holds builtin_function_or_method"),
    ],
)
def test_types_that_are_refused(column, message):
    with pytest.raises(UnsupportedError, match=message + r"(.|\n)*Hint: "):
        facts_of(pd.DataFrame({"k": [1, 2], "z": column}), 1)


def worker_of(host, device, *, free=10, comm=1):
    return p2p._Worker(
        comm_nbytes=comm,
        storage_nbytes=1,
        message_nbytes=1,
        concurrency=1,
        directory=Directory(
            host=host, path=f"/{host}/{device}", device=device, file_system="ext4", free_nbytes=free
        ),
    )


def test_workers_that_share_a_disk_are_counted_once():
    workers = [worker_of("a", 1, free=9), worker_of("a", 1), worker_of("a", 2), worker_of("b", 1)]
    disks = p2p._disks(workers)
    assert [(disk.host, disk.workers, disk.free_nbytes) for disk in disks] == [
        ("a", 2, 9), ("a", 1, 10), ("b", 1, 10),
    ]  # fmt: skip


def test_the_largest_buffer_of_any_worker_counts():
    assert p2p._largest([worker_of("a", 1, comm=5), worker_of("b", 1, comm=7)]).comm_nbytes == 7
