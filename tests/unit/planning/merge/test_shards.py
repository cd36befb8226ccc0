"""Layouts keep their bounds, whatever the keys."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from safeframe.kernels.order import shard_of
from safeframe.planning.merge.key_loads import KeyLoads
from safeframe.planning.merge.load_widths import LoadWidths
from safeframe.planning.merge.shards import lay_out

WIDTH = 8.0


def loads(keys, *, known=None, nulls=(0, 0)):
    codes = np.array([code for code, _, _ in keys], np.uint64)
    left = np.array([rows for _, rows, _ in keys], float)
    right = np.array([rows for _, _, rows in keys], float)
    output = np.where(right == 0, left, left * right)  # a left merge
    return KeyLoads(
        codes=codes,
        left=left,
        right=right,
        output=output,
        weight=np.ones(len(codes)) if known is None else np.where(known, 1.0, 10.0),
        null_left=nulls[0],
        null_right=nulls[1],
        null_output=nulls[0] * max(1, nulls[1]),
    )


def figures_of(keys, *, shard_nbytes=1000, partition_nbytes=4000, **more):
    return lay_out(
        loads(keys, **more),
        left_row_nbytes=WIDTH,
        right_row_nbytes=WIDTH,
        output_row_nbytes=WIDTH,
        shard_nbytes=shard_nbytes,
        partition_nbytes=partition_nbytes,
    )


keys = st.lists(
    st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 3000), st.integers(0, 300)),
    max_size=40,
    unique_by=lambda key: key[0],
).map(sorted)


@given(keys=keys, nulls=st.tuples(st.integers(0, 2000), st.integers(0, 50)))
def test_no_cell_is_larger_than_the_target_and_none_is_lost(keys, nulls):
    figures = figures_of(keys, nulls=nulls)
    layout = figures.layout
    assert layout.starts[0] == 0
    assert (np.diff(layout.starts.astype(object)) > 0).all()
    shards = shard_of(np.array([key[0] for key in keys], np.uint64), layout.starts)
    output, sizes = np.zeros(layout.n_shards), np.zeros(layout.n_shards)
    for (_, left, right), shard in zip(keys, shards, strict=True):
        output[shard] += left * right if right else left
        sizes[shard] += (left + right) * WIDTH
    if layout.null_shard:
        output[-1] = nulls[0] * max(1, nulls[1])
    cells = np.maximum(layout.cells, 1)
    assert (np.ceil(output / cells) * WIDTH <= 4000).all()
    assert ((layout.cells > 0) | (output == 0)).all()
    per_shard = np.bincount(shards, minlength=layout.n_shards)
    assert (per_shard[layout.single_key] <= 1).all()
    # What a shard of several keys holds is bounded; a lone key's cells read ranges of it.
    assert (sizes[~layout.single_key] <= 1000).all()
    assert figures.cell_rows * WIDTH <= 4000


@given(
    keys=keys,
    nulls=st.tuples(st.integers(0, 2000), st.integers(0, 50)),
    seed=st.integers(0, 2**20),
    partition_nbytes=st.sampled_from([5, 50, 4000]),
)
def test_rows_much_narrower_than_others_are_in_some_cell(keys, nulls, seed, partition_nbytes):
    rows = loads(keys, nulls=nulls)
    widths = np.random.default_rng(seed).choice([0.01, 1.0, WIDTH, 5 * WIDTH], len(keys) + 1)
    figures = lay_out(
        rows,
        left_row_nbytes=WIDTH,
        right_row_nbytes=WIDTH,
        output_row_nbytes=WIDTH,
        shard_nbytes=1000,
        partition_nbytes=partition_nbytes,
        widths=LoadWidths(left=widths, right=widths, output=widths),
    )
    layout = figures.layout
    shards = shard_of(rows.codes, layout.starts)
    output = np.bincount(shards, rows.output, layout.n_shards)
    nbytes = np.bincount(shards, rows.output * widths[:-1], layout.n_shards)
    if layout.null_shard:
        output[-1], nbytes[-1] = rows.null_output, rows.null_output * widths[-1]
    assert ((layout.cells > 0) == (output > 0))[1:].all()
    assert layout.cells[0] > 0 or output[0] == 0
    assert (layout.cells <= np.maximum(output, 1)).all()
    assert (nbytes <= np.maximum(layout.cells, 1) * figures.cell_rows * WIDTH + 0.1).all()


def test_light_keys_share_shards_up_to_both_bounds():
    layout = figures_of([(code, 10, 1) for code in range(100)]).layout
    # 100 keys of 88 B of input each: eleven fit into 1000 B.
    assert np.diff(layout.starts.astype(int)).tolist() == [11] * 9
    assert layout.cells.tolist() == [1] * 10
    assert not layout.single_key.any()


def test_a_heavy_key_is_alone_and_cut_by_rows():
    layout = figures_of([(5, 10, 1), (7, 2000, 10), (9, 10, 1)]).layout
    assert layout.starts.tolist() == [0, 7, 8]
    assert layout.single_key.tolist() == [False, True, False]
    assert layout.cells.tolist() == [1, 40, 1]


def test_keys_with_much_output_of_little_input_share_a_shard_of_many_cells():
    figures = figures_of([(code, 4, 3) for code in range(10)], shard_nbytes=10_000, partition_nbytes=200)
    # Each key has 56 B of input, more than a sixteenth of the target, and 96 B of output.
    assert figures.layout.cells.tolist() == [1] * 5
    figures = figures_of([(code, 30, 30) for code in range(10)], shard_nbytes=10_000, partition_nbytes=10_000)
    # 480 B of input stay below 10,000 / 16: one key a shard, cut into cells where 7,200 B allow.
    assert figures.layout.n_cells == 10


def test_a_sample_leaves_room_for_keys_that_it_missed():
    layout = figures_of([(50, 2000, 10), (60, 10, 1)], known=[True, False]).layout
    assert layout.starts.tolist() == [0, 50, 51]
    assert layout.cells[0] == 1


def test_nothing_at_all_still_makes_one_partition():
    layout = figures_of([]).layout
    assert layout.n_cells == 1
