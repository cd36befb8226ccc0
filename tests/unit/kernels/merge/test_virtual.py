"""The virtual join, against the join written out row by row."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safeframe.kernels.merge.virtual import cell_range, join_each, join_runs, single_key_cell

HOWS = ("inner", "left", "right", "outer")


def written_out(left_counts, right_counts, how):
    """Make the pairs of positions with plain loops."""
    pairs = []
    left_start = right_start = 0
    for n_left, n_right in zip(left_counts, right_counts, strict=True):
        if n_left and n_right:
            pairs += [(left_start + i, right_start + j) for i in range(n_left) for j in range(n_right)]
        elif n_left and how in ("left", "outer"):
            pairs += [(left_start + i, -1) for i in range(n_left)]
        elif n_right and how in ("right", "outer"):
            pairs += [(-1, right_start + j) for j in range(n_right)]
        left_start += n_left
        right_start += n_right
    return pairs


counts = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=8)


@given(counts=counts, how=st.sampled_from(HOWS), data=st.data())
def test_any_range_of_rows_is_that_of_the_written_out_join(counts, how, data):
    left = np.array([pair[0] for pair in counts], np.int64)
    right = np.array([pair[1] for pair in counts], np.int64)
    join = join_runs(left, right, how)
    expected = written_out(left, right, how)
    assert join.n_rows == len(expected)
    lo = data.draw(st.integers(0, len(expected)))
    hi = data.draw(st.integers(lo, len(expected)))
    rows = join.rows(lo, hi)
    assert list(zip(rows.left_rows.tolist(), rows.right_rows.tolist(), strict=True)) == expected[lo:hi]


@given(n_rows=st.integers(0, 1000), cells=st.integers(1, 50))
def test_cells_follow_each_other_and_differ_by_one_row_at_most(n_rows, cells):
    ranges = [cell_range(n_rows, number, cells) for number in range(cells)]
    assert ranges[0][0] == 0
    assert ranges[-1][1] == n_rows
    assert all(one[1] == other[0] for one, other in pairwise(ranges))
    sizes = {hi - lo for lo, hi in ranges}
    assert max(sizes) - min(sizes) <= 1


@given(
    n_left=st.integers(0, 12), n_right=st.integers(0, 12), how=st.sampled_from(HOWS), cells=st.integers(1, 9)
)
def test_cells_of_one_key_read_ranges_that_give_the_same_rows(n_left, n_right, how, cells):
    expected = written_out([n_left], [n_right], how)
    found = []
    for number in range(cells):
        cell = single_key_cell(n_left, n_right, how, number, cells)
        left = np.concatenate([np.arange(*span) for span in cell.left] or [np.empty(0, np.int64)])
        right = np.concatenate([np.arange(*span) for span in cell.right] or [np.empty(0, np.int64)])
        n_rows = len(cell.rows)
        assert len(left) <= max(n_rows, 0)
        assert len(right) <= max(n_rows, 0)
        for i, j in zip(cell.rows.left_rows, cell.rows.right_rows, strict=True):
            found.append((int(left[i]) if n_left else -1, int(right[j]) if n_right else -1))
    assert found == expected


def test_a_giant_key_is_cut_without_making_its_rows():
    # 10^7 x 10^7 rows of one key: any thousand of its 10^14 result rows cost a thousand.
    join = join_runs(np.array([10**7]), np.array([10**7]), "inner")
    assert join.n_rows == 10**14
    lo = 5 * 10**13 + 10**7 - 500
    rows = join.rows(lo, lo + 1000)
    left, right = rows.left_rows, rows.right_rows
    assert left[[0, 499, 500]].tolist() == [5 * 10**6, 5 * 10**6, 5 * 10**6 + 1]
    assert right[[0, 499, 500]].tolist() == [10**7 - 500, 10**7 - 1, 0]


@pytest.mark.parametrize("how", HOWS)
def test_no_rows_make_no_rows(how):
    join = join_runs(np.empty(0, np.int64), np.empty(0, np.int64), how)
    assert join.n_rows == 0
    assert len(join.rows(0, 0)) == len(join.rows(0, 0).left_rows) == 0


@given(
    met=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=12),
    how=st.sampled_from(["inner", "left", "leftsemi", "leftanti"]),
)
def test_the_rows_of_one_side_stay_in_order(met, how):
    starts, counts = (np.array([pair[i] for pair in met], np.int64) for i in (0, 1))
    expected = []
    for own, (start, count) in enumerate(met):
        if how == "leftsemi":
            expected += [(own, -1)] * (count > 0)
        elif count and how != "leftanti":
            expected += [(own, start + other) for other in range(count)]
        elif not count and how != "inner":
            expected.append((own, -1))
    rows = join_each(starts, counts, how, 0)
    assert list(zip(rows.left_rows.tolist(), rows.right_rows.tolist(), strict=True)) == expected
    if how in ("inner", "left"):
        mirrored = join_each(starts, counts, {"inner": "inner", "left": "right"}[how], 1)
        assert list(zip(mirrored.right_rows.tolist(), mirrored.left_rows.tolist(), strict=True)) == expected
