"""Joins in key order, against pandas; and what tells that keys are the planned ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from safeframe.facts.keys import KeyColumn, KeySchema
from safeframe.kernels.keys.codes import encode_keys
from safeframe.kernels.keys.counts import count_keys, key_checksum
from safeframe.kernels.keys.summary import combine, summarise
from safeframe.kernels.merge.cell import frame_block
from safeframe.kernels.merge.in_order import ordered_join
from safeframe.kernels.merge.output import JoinKeys, SideKeys
from safeframe.kernels.merge.spec import join_spec
from safeframe.kernels.merge.virtual import cell_range, single_key_cell, single_key_ranges

KEY = SideKeys(on=("k",), names=("k",), given=("k",))
SCHEMA = KeySchema(columns=(KeyColumn(kind="int"),))
HOWS = ("inner", "left", "right", "outer")


@given(
    left=st.lists(st.integers(0, 6), max_size=20),
    right=st.lists(st.integers(0, 6), max_size=20),
    spread=st.sampled_from([1, 10**9, -(2**60)]),
    ordered=st.booleans(),
    how=st.sampled_from(HOWS),
    cells=st.integers(1, 3),
)
def test_the_parts_of_a_join_in_key_order(left, right, spread, ordered, how, cells):
    if ordered:
        left, right = sorted(left), sorted(right)
    frames = [
        pd.DataFrame({"k": np.array(keys, np.int64) * spread, name: np.arange(len(keys))})
        for keys, name in ((left, "l"), (right, "r"))
    ]
    spec = join_spec(
        *frames,
        JoinKeys(left=KEY, right=KEY),
        how=how,
        suffixes=("_x", "_y"),
        indicator=False,
        schema=SCHEMA,
        left_missing=how in ("right", "outer"),
        right_missing=how in ("left", "outer"),
    )
    sides = [
        (frame_block(frame, side), encode_keys([frame["k"]], SCHEMA)[0])
        for frame, side in zip(frames, (spec.left, spec.right), strict=True)
    ]
    shard = ordered_join(*sides, spec)
    parts = [shard.frame(*cell_range(shard.n_rows, number, cells)) for number in range(cells)]
    joined = pd.concat(parts, ignore_index=True)
    assert joined["k"].is_monotonic_increasing
    expected = frames[0].merge(frames[1], on="k", how=how)
    by = ["k", "l", "r"]
    pd.testing.assert_frame_equal(
        joined.sort_values(by, ignore_index=True).astype(float),
        expected.sort_values(by, ignore_index=True).astype(float),
    )
    in_place = joined.sort_values(by, kind="stable", na_position="first")
    assert (in_place.index == joined.index).all(), "equal keys are in the order of left, then of right rows"


@given(
    n_left=st.integers(0, 30),
    n_right=st.integers(0, 30),
    how=st.sampled_from(HOWS),
    cells=st.integers(1, 8),
)
def test_ranges_are_those_of_the_cell(n_left, n_right, how, cells):
    for number in range(cells):
        cell = single_key_cell(n_left, n_right, how, number, cells)
        assert single_key_ranges(n_left, n_right, how, number, cells) == (cell.left, cell.right)


@given(
    keys=st.lists(st.integers(-3, 3), min_size=1, max_size=12),
    others=st.lists(st.integers(-3, 3), min_size=1, max_size=12),
)
def test_a_checksum_is_of_keys_and_their_rows_in_any_order(keys, others):
    def checksum(values):
        counted = count_keys([pd.Series(values, dtype="int64")], SCHEMA)
        return key_checksum(counted.codes, counted.counts)

    assert checksum(keys) == checksum(sorted(keys, reverse=True))
    assert (checksum(keys) == checksum(others)) == (sorted(keys) == sorted(others))


def test_summaries_say_what_each_partition_ends_with():
    parts = [[5, 5, 7, 9, 9, 9], [9], [], [9, 11]]
    summary = combine([summarise([pd.Series(part, dtype="int64")], SCHEMA, 100) for part in parts])
    assert summary.partitions.first_rows.tolist() == [2, 1, 0, 1]
    assert summary.partitions.last_rows.tolist() == [3, 1, 0, 1]
    assert len(set(summary.partitions.checksums.tolist())) == 4
    assert summary.partitions.full.tolist() == [True, True, False, True]
