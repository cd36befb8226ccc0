"""Stable orders and shard look-up, against numpy's general ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safeframe.kernels.order import (
    NEARBY_ROWS,
    nearby_order,
    order_of_words,
    shard_of,
    sorted_union,
    stable_order,
)


@pytest.mark.parametrize("largest", [3, 2**16 - 1, 2**16, 2**32 + 5, 2**47, 2**50])
def test_stable_order_is_numpys(largest):
    ids = np.random.default_rng(0).integers(0, largest + 1, 5000)
    ids[0], ids[1] = largest, 0
    order = stable_order(ids)
    assert (order == np.argsort(ids, kind="stable")).all()


@pytest.mark.parametrize("largest", [3, 300, 2**20])
def test_nearby_rows_are_in_order_and_no_row_goes_further(largest):
    ids = np.random.default_rng(0).integers(0, largest + 1, 3 * NEARBY_ROWS + 7)
    ids[NEARBY_ROWS : 2 * NEARBY_ROWS].sort()
    order = nearby_order(ids)
    for start in range(0, len(ids), NEARBY_ROWS):
        near = slice(start, start + NEARBY_ROWS)
        assert (order[near] == start + np.argsort(ids[near], kind="stable")).all()
    both = order[stable_order(ids[order])]
    assert (both == np.argsort(ids, kind="stable")).all(), "runs are all that is left to join"


def test_rows_in_order_need_no_order():
    assert nearby_order(np.arange(2 * NEARBY_ROWS)) is None
    assert nearby_order(np.array([], np.uint16)) is None
    assert stable_order(np.array([0, 1, 1, 7])) is None
    assert stable_order(np.array([], np.int64)) is None


@given(
    starts=st.lists(st.integers(1, 2**64 - 1), max_size=20, unique=True),
    codes=st.lists(st.integers(0, 2**64 - 1), max_size=50),
    dense=st.booleans(),
)
def test_shard_of_is_a_binary_search(starts, codes, dense):
    if dense:  # few codes in a small range take the table
        starts = [start % 1000 + 1 for start in starts]
        codes = [code % 1100 for code in codes] * 30
    first = np.array(sorted({0, *starts}), np.uint64)
    rows = np.array(codes, np.uint64)
    assert (shard_of(rows, first) == np.searchsorted(first, rows, side="right") - 1).all()


@pytest.mark.parametrize("seed", range(60))
def test_shards_of_codes_that_span_any_range(seed):
    rng = np.random.default_rng(seed)
    span = 2 ** int(rng.integers(1, 65)) - 1
    some = rng.integers(0, span, int(rng.integers(1, 200)), dtype=np.uint64, endpoint=True)
    starts = np.unique(np.append(some, np.uint64(0)))
    anywhere = rng.integers(0, 2**64 - 1, 300, dtype=np.uint64, endpoint=True)
    inside = rng.integers(0, span, 300, dtype=np.uint64, endpoint=True)
    one = np.uint64(1)
    codes = np.concatenate([anywhere, inside, starts, starts + one, starts - one])
    expected = np.searchsorted(starts, codes, side="right") - 1
    assert shard_of(codes, starts).tolist() == expected.tolist()


def test_shards_that_lie_close_together_in_a_wide_range():
    starts = np.array([0, 10, 11, 12, 13, 14, 15, 16, 2**40], np.uint64)
    codes = np.array([9, 10, 13, 16, 17, 2**40 - 1, 2**40, 2**63], np.uint64)
    assert shard_of(codes, starts).tolist() == [0, 1, 4, 7, 7, 7, 8, 8]


def test_a_union_has_each_code_once():
    parts = [np.array(part, np.uint64) for part in ([], [1, 5, 2**63], [0, 5], [5])]
    assert sorted_union(*parts).tolist() == [0, 1, 5, 2**63]
    assert sorted_union(parts[0]).tolist() == []


@pytest.mark.parametrize("bits", [8, 30, 44, 50, 62, 64])
@pytest.mark.parametrize("distinct", [3, 4000, 2**62])
def test_words_of_any_width_are_ordered(bits, distinct):
    rng = np.random.default_rng(bits)
    words = rng.integers(0, min(distinct, 2**bits - 1), 5000, dtype=np.uint64) << np.uint64(
        max(0, bits - min(distinct, 2**bits).bit_length())
    )
    # Neighbours, which high bits do not tell apart.
    words += rng.integers(0, 3, 5000, dtype=np.uint64)
    expected = np.argsort(words, kind="stable")
    order, stable = order_of_words(words)
    np.testing.assert_array_equal(words[order], words[expected])
    if stable:
        np.testing.assert_array_equal(order, expected)
    groups = np.sort(rng.integers(0, 40, 5000))
    groups -= groups[0]
    order, stable = order_of_words(words, groups)
    expected = np.lexsort((words, groups))
    np.testing.assert_array_equal(words[order], words[expected])
    np.testing.assert_array_equal(groups[order], groups)
    if stable:
        np.testing.assert_array_equal(order, expected)


@pytest.mark.parametrize("bits", [15, 17, 40, 62])
def test_a_stable_order_of_any_width_is_numpys(bits):
    ids = np.random.default_rng(1).integers(0, 2**bits, 3000)
    ids = np.concatenate([ids, ids[::-1], ids // 2**9 * 2**9])
    np.testing.assert_array_equal(stable_order(ids), np.argsort(ids, kind="stable"))
