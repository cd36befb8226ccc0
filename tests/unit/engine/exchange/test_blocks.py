"""Blocks that wait to be written: when they are full, what they write, in both forms."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from safeframe import options
from safeframe.engine.exchange.blocks import new_block

NUMBERS = pd.DataFrame({"a": np.arange(1000) % 200, "b": np.arange(1000) / 3})
WORDS = NUMBERS.assign(w="word")


def add(block, frame):
    partition = block.converted([frame[name] for name in frame])
    taken = block.takes(partition)
    if taken:
        block.add(partition, None)
    return taken


def row_nbytes(layout_nbytes):
    return layout_nbytes + options.STAGED_ROW_NBYTES


def test_rows_wait_until_the_bound_is_reached():
    held = 3 * 1000 * row_nbytes(1 + 8)
    block = new_block(list(NUMBERS.dtypes), held)
    assert [add(block, NUMBERS) for _ in range(4)] == [True, True, True, False]
    assert block.nbytes == 3000 * 9


def test_a_partition_that_is_larger_than_the_bound_waits_alone():
    block = new_block(list(NUMBERS.dtypes), 10)
    assert add(block, NUMBERS)
    assert not add(block, NUMBERS)


def test_wider_values_begin_another_block_which_stays_wide():
    block = new_block(list(NUMBERS.dtypes), 2**20)
    assert add(block, NUMBERS)
    wide = NUMBERS.assign(a=NUMBERS["a"] + 70_000)
    assert not add(block, wide)
    after = new_block(list(NUMBERS.dtypes), 2**20, after=block)
    assert add(after, wide)
    assert add(after, NUMBERS), "narrower values fit"
    assert after.put_in_order(None, 0).itemsize == 4 + 8


@pytest.mark.parametrize("frame", [NUMBERS, WORDS], ids=["rows", "arrow"])
def test_without_a_bound_one_partition_fits_exactly(frame):
    block = new_block(list(frame.dtypes), None)
    assert add(block, frame)


def test_arrow_waits_until_the_bound_is_reached():
    one = new_block(list(WORDS.dtypes), None)
    add(one, WORDS)
    held = 2 * (int(options.GROUP_COPIES * one.nbytes) + options.STAGED_ROW_NBYTES * 1000)
    block = new_block(list(WORDS.dtypes), held)
    assert [add(block, WORDS) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("in_order", [True, False])
def test_rows_are_written_in_order_and_the_first_ones_left_out(in_order, monkeypatch):
    monkeypatch.setattr("safeframe.options.STAGE_WRITE_NBYTES", 90)  # ten rows at a time
    block = new_block(list(NUMBERS.dtypes), None)
    add(block, NUMBERS)
    order = None if in_order else np.random.default_rng(0).permutation(1000)
    form = block.put_in_order(order, 5)
    sink = io.BytesIO()
    offsets = block.write(pa.PythonFile(sink, "w"), np.array([95, 0, 900]))
    rows = np.frombuffer(sink.getvalue(), form)
    expected = NUMBERS["a"].to_numpy()[np.arange(1000) if order is None else order][5:]
    assert rows["0"].tolist() == expected.tolist()
    assert offsets.tolist() == [0, 95 * 9, 95 * 9, 995 * 9]
