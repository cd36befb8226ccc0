"""Cells of sides in key order read every row that a result row comes from, once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from safeframe.facts.keys import PartitionKeys
from safeframe.facts.layout import OrderedLayout
from safeframe.kernels.merge.virtual import single_key_ranges
from safeframe.planning.merge.key_loads import KeyLoads
from safeframe.planning.merge.shards import lay_out
from safeframe.planning.merge.touched_parts import cell_parts, first_disorder, held_rows, touched_parts

HOWS = ("inner", "left", "right", "outer")


def keys_of(parts):
    """Describe partitions of ``(codes, nulls)``."""
    codes = [np.array(part, np.uint64) for part, _ in parts]
    return PartitionKeys(
        rows=np.array([len(part) + nulls for part, nulls in parts], np.int64),
        null_rows=np.array([nulls for _, nulls in parts], np.int64),
        first=np.array([part[0] if len(part) else 0 for part in codes], np.uint64),
        last=np.array([part[-1] if len(part) else 0 for part in codes], np.uint64),
        increasing=np.ones(len(parts), np.bool_),
        first_rows=np.array([(part == part[0]).sum() if len(part) else 0 for part in codes], np.int64),
        last_rows=np.array([(part == part[-1]).sum() if len(part) else 0 for part in codes], np.int64),
    )


@st.composite
def sides(draw):
    """Draw a side in key order, cut into partitions, with nulls anywhere."""
    codes = sorted(draw(st.lists(st.one_of(st.just(3), st.integers(0, 9)), max_size=60)))
    cuts = sorted(draw(st.lists(st.integers(0, len(codes)), max_size=5)))
    bounds = [0, *cuts, len(codes)]
    return [(codes[low:high], draw(st.sampled_from([0, 0, 1, 7]))) for low, high in pairwise(bounds)]


def loads_of(left, right, how):
    one, other = (np.array([code for part, _ in side for code in part], np.uint64) for side in (left, right))
    codes = np.union1d(one, other)
    rows = [np.array([(side == code).sum() for code in codes], float) for side in (one, other)]
    nulls = [sum(part[1] for part in side) for side in (left, right)]

    def out(n_left, n_right):
        if n_left and n_right:
            return n_left * n_right
        return n_left * (how in ("left", "outer")) + n_right * (how in ("right", "outer"))

    return KeyLoads(
        codes=codes,
        left=rows[0],
        right=rows[1],
        output=np.array([out(*pair) for pair in zip(*rows, strict=True)], float),
        weight=np.ones(len(codes)),
        null_left=nulls[0],
        null_right=nulls[1],
        null_output=int(out(*nulls)),
    )


@given(
    left=sides(),
    right=sides(),
    how=st.sampled_from(HOWS),
    cut=st.booleans(),
    whole=st.booleans(),
    partition=st.sampled_from([80, 400]),
    side=st.sampled_from(["left", "right"]),
)
def test_every_row_that_a_result_row_comes_from_is_read(left, right, how, cut, whole, partition, side):
    own = left if side == "left" else right
    keys = keys_of(own)
    loads = loads_of(left, right, how)
    figures = lay_out(
        loads,
        left_row_nbytes=8.0,
        right_row_nbytes=8.0,
        output_row_nbytes=8.0,
        shard_nbytes=160,
        partition_nbytes=partition,
        cuts=keys.first[keys.full] if cut else None,
        whole_keys=whole,
    )
    touched = touched_parts(keys, figures, how, side)
    layout = figures.layout
    assert len(touched.offsets) == layout.n_shards + 1
    ordered = OrderedLayout(
        left=touched, right=None, left_rows=figures.left_rows, right_rows=figures.right_rows
    )
    starts = [*layout.starts.tolist(), 2**64]
    held = []
    for cell in range(layout.n_cells):
        location = shard, number, cells = layout.cell_location(cell)
        found_parts, begins, ends = cell_parts(touched, ordered, how, side, location)
        parts = found_parts.tolist()
        held.append(sum(int(keys.rows[part]) for part in set(parts)))
        nulls = layout.null_shard and shard == layout.n_shards - 1
        # The rows of the shard: partition and place among the rows of their key in it.
        rows = [
            (number_of, code, at)
            for number_of, (part, null) in enumerate(own)
            for code, at in (
                [("null", at) for at in range(null)]
                if nulls
                else [
                    (code, at)
                    for code in sorted(set(part))
                    for at in range(part.count(code))
                    if starts[shard] <= code < starts[shard + 1]
                ]
            )
        ]
        if layout.single_key[shard]:
            sizes = int(figures.left_rows[shard]), int(figures.right_rows[shard])
            wanted = [
                row
                for low, high in single_key_ranges(*sizes, how, number, cells)[0 if side == "left" else 1]
                for row in rows[low:high]
            ]
            found = [
                (part, rows[0][1], at)
                for part, begin, end in zip(parts, begins.tolist(), ends.tolist(), strict=True)
                for at in range(begin, end)
            ]
            assert found == wanted
            continue
        output = dict(zip(loads.codes.tolist(), loads.output.tolist(), strict=True))
        fruitful = {part for part, code, _ in rows if output[code]}
        assert fruitful <= set(parts)
        assert (
            len(parts)
            == len(set(parts))
            == (max(parts) - min(parts) + 1 if parts else 0)
            - sum(not own[part][0] for part in range(min(parts, default=0), max(parts, default=-1) + 1))
        )
    rows, count = held_rows(keys, touched, figures, side)
    assert max(held, default=0) <= rows <= keys.rows.sum()
    assert count <= len(keys.rows)
    if not (layout.single_key & (layout.cells > 1)).any():
        assert rows == max(held, default=0)


def test_cells_end_where_partitions_do():
    left = [([part] * 6 + [part + 1] * 4, 0) for part in range(0, 40, 2)]
    loads = loads_of(left, [], "left")
    keys = keys_of(left)
    options = {f"{name}_row_nbytes": 8.0 for name in ("left", "right", "output")} | {"shard_nbytes": 140}
    free = lay_out(loads, **options, partition_nbytes=1000)
    cut = lay_out(loads, **options, partition_nbytes=1000, cuts=keys.first)
    assert cut.layout.starts.tolist() == list(range(0, 40, 2))
    assert held_rows(keys, touched_parts(keys, cut, "left", "left"), cut, "left") == (10, 1)
    assert held_rows(keys, touched_parts(keys, free, "left", "left"), free, "left")[1] == 2


def test_keys_stay_whole_where_they_fit():
    left = [([code] * 30 + [code + 1] * 40, 0) for code in range(0, 20, 2)]
    right = [([code] * 2, 0) for code in range(20)]
    figures = lay_out(
        loads_of(left, right, "inner"),
        left_row_nbytes=0.1,
        right_row_nbytes=0.1,
        output_row_nbytes=8.0,
        shard_nbytes=10_000,
        partition_nbytes=8 * 100,
        whole_keys=True,
    )
    assert (figures.layout.cells[~figures.layout.single_key] <= 1).all()
    assert figures.layout.n_cells == 20


def test_where_the_order_ends():
    assert first_disorder(keys_of([([1, 4], 0), ([], 3), ([4, 9], 1)])) is None
    assert first_disorder(keys_of([([1, 4], 0), ([5, 9], 0), ([], 2), ([8, 9], 0)])) == (1, 3)
    assert first_disorder(keys_of([([], 0)])) is None
