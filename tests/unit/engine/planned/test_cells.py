"""Rows of an output partition that are made in stretches, whose strings are counted before they are made."""

from __future__ import annotations

import numpy as np
import pandas as pd

from safeframe.engine.planned.cells import CellRows, PartitionLimit
from safeframe.kernels.merge.text import TextTooLargeError

LIMIT = PartitionLimit(largest_nbytes=2**30, row_nbytes=10.0, possible_nbytes=2000, task_nbytes=2**30)


def rows_with(lengths):
    """Return rows that have strings of so many bytes."""

    def make(lo, hi, most_nbytes):
        nbytes = int(lengths[lo:hi].sum())
        if nbytes > most_nbytes:
            raise TextTooLargeError(hi - lo, nbytes)
        return pd.DataFrame({"row": np.arange(lo, hi)})

    return CellRows.part(len(lengths), 0, 1, make, LIMIT, weighed=True)


def test_stretches_become_long_again_behind_strings_that_made_them_short():
    lengths = np.ones(5_000, np.int64)
    lengths[:20] = 900
    frames = list(rows_with(lengths).stretches(lambda _: 1000))
    assert np.array_equal(np.concatenate([frame["row"] for frame in frames]), np.arange(5_000))
    sizes = [len(frame) for frame in frames]
    assert max(sizes[:10]) <= 2
    assert sizes.count(1000) >= 3
    assert len(sizes) < 40


def test_a_row_may_take_as_much_as_a_partition_may():
    lengths = np.ones(100, np.int64)
    lengths[50] = 10 * LIMIT.possible_nbytes
    frames = list(rows_with(lengths).stretches(lambda _: 60))
    assert sum(map(len, frames)) == 100
    assert len(frames) < 20
