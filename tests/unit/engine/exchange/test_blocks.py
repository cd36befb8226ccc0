"""Blocks that wait to be written: when they are full, what they write, in both forms."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from safeframe import options
from safeframe.engine.exchange.column_block import new_block
from safeframe.kernels.checksum import checksum

NUMBERS = pd.DataFrame({"a": np.arange(1000) % 200, "b": np.arange(1000) / 3})
WORDS = NUMBERS.assign(w="word")


def add(block, frame):
    partition = block.converted([frame[name] for name in frame])
    taken = block.takes(partition)
    if taken:
        block.add(partition, np.zeros(len(frame), np.int64))
    return taken


def row_nbytes(layout_nbytes):
    return layout_nbytes + options.STAGED_ROW_NBYTES


def test_rows_wait_until_the_bound_is_reached():
    held = 3 * 1000 * row_nbytes(1 + 8)
    block = new_block(list(NUMBERS.dtypes), 3, held)
    assert [add(block, NUMBERS) for _ in range(4)] == [True, True, True, False]
    assert block.nbytes == 3000 * 9


def test_a_partition_that_is_larger_than_the_bound_waits_alone():
    block = new_block(list(NUMBERS.dtypes), 3, 10)
    assert add(block, NUMBERS)
    assert not add(block, NUMBERS)


def test_wider_values_begin_another_block_which_stays_wide():
    block = new_block(list(NUMBERS.dtypes), 3, 2**20)
    assert add(block, NUMBERS)
    wide = NUMBERS.assign(a=NUMBERS["a"] + 70_000)
    assert not add(block, wide)
    after = new_block(list(NUMBERS.dtypes), 3, 2**20, after=block)
    assert add(after, wide)
    assert add(after, NUMBERS), "narrower values fit"
    assert after.write(pa.PythonFile(io.BytesIO(), "w")).form.itemsize == 4 + 8


@pytest.mark.parametrize("frame", [NUMBERS, WORDS], ids=["rows", "arrow"])
def test_without_a_bound_one_partition_fits_exactly(frame):
    block = new_block(list(frame.dtypes), 3, None)
    assert add(block, frame)


def test_columns_wait_until_the_bound_is_reached():
    one = new_block(list(WORDS.dtypes), 3, None)
    add(one, WORDS)
    partition = sum(column.nbytes for column in one.converted([WORDS[name] for name in WORDS]))
    block = new_block(list(WORDS.dtypes), 3, one.nbytes + partition)
    assert [add(block, WORDS) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("piece_rows", [1, 7, 4000])
@pytest.mark.parametrize("in_order", [True, False])
def test_rows_are_written_in_order_and_the_first_ones_left_out(in_order, piece_rows, monkeypatch):
    monkeypatch.setattr("safeframe.options.STAGE_WRITE_NBYTES", 90)  # ten rows at a time
    monkeypatch.setattr("safeframe.options.PIECE_NBYTES", 9 * piece_rows)
    block = new_block(list(NUMBERS.dtypes), 3, None)
    partition = block.converted([NUMBERS[name] for name in NUMBERS])
    block.takes(partition)
    shards = np.repeat([-1, 0, 2], [5, 95, 900])
    if not in_order:
        shards = np.random.default_rng(0).permutation(shards)
    block.add(partition, shards)
    sink = io.BytesIO()
    written = block.write(pa.PythonFile(sink, "w"))
    rows = np.frombuffer(sink.getvalue(), written.form)
    expected = NUMBERS["a"].to_numpy()[np.argsort(shards, kind="stable")][5:]
    assert rows["0"].tolist() == expected.tolist()
    entries = written.entries
    assert block.dropped == 5
    assert [int(entries["rows"][entries["shard"] == shard].sum()) for shard in range(3)] == [95, 0, 900]
    assert entries["rows"].max() <= min(piece_rows, 10)
    at = 0
    for entry in entries:
        end = at + int(entry["nbytes"])
        assert checksum(sink.getvalue()[at:end]) == entry["checksum"]
        at = end
    assert at == len(sink.getvalue())
