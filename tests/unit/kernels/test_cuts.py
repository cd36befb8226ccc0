"""Cuts of a running sum of bytes, and where rows then belong."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safeframe.kernels.cuts import EvenRows, Places, RowCuts, bounded_cuts, moved_cuts, pieces_of


@st.composite
def places(draw):
    steps = draw(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 90)), min_size=1, max_size=60))
    rows, nbytes = np.cumsum([(0, 0), *steps], axis=0).T
    return Places(rows, nbytes, draw(st.integers(0, 20)))


@st.composite
def lines(draw):
    if draw(st.booleans()):
        return draw(places())
    return EvenRows(draw(st.integers(1, 500)), draw(st.floats(0.5, 40)), draw(st.integers(0, 20)))


def last_row(line):
    return line.n_rows if isinstance(line, EvenRows) else int(line.rows[-1])


@given(line=lines(), limit=st.integers(21, 600))
def test_bounded_parts_are_all_rows_and_under_the_bound_where_that_can_be(line, limit):
    cuts = bounded_cuts(line, limit)
    assert cuts[0] == 0
    assert cuts[-1] == last_row(line)
    assert (np.diff(cuts) > 0).all()
    over = line.sizes(cuts) > limit
    if isinstance(line, EvenRows):
        assert (np.diff(cuts)[over] == 1).all()
    else:
        assert np.isin(cuts, line.rows).all()
        at = np.searchsorted(line.rows, cuts)
        assert (np.diff(at)[over] == 1).all(), "a part above the bound had a place where it could be cut"


@given(line=lines(), limit=st.integers(60, 600))
def test_bounded_parts_are_few(line, limit):
    cuts = bounded_cuts(line, limit)
    # Any two neighbours would be too much for one part, else greedy would have joined them.
    assert len(cuts) - 1 <= max(1, len(line.filled(limit)) - 1) + (len(cuts) // 4)


@given(line=places(), n=st.integers(1, 40))
def test_even_cuts_are_the_nearest_places(line, n):
    cuts = line.even(n)
    assert len(cuts) == n + 1
    assert (np.diff(cuts) >= 0).all()
    before = line.nbytes[np.searchsorted(line.rows, cuts)]
    targets = line.total_nbytes * np.arange(n + 1) / n
    nearest = np.abs(line.nbytes[:, None] - targets).min(axis=0)
    np.testing.assert_allclose(np.abs(before - targets)[1:-1], nearest[1:-1])


@given(rows=st.integers(0, 1000), n=st.integers(1, 50))
def test_even_cuts_of_equal_rows(rows, n):
    cuts = EvenRows(rows, 8.0, 0).even(n)
    assert cuts[0] == 0
    assert cuts[-1] == rows
    assert np.diff(cuts).max() - np.diff(cuts).min() <= 1


def test_a_line_without_rows_is_one_part():
    assert bounded_cuts(EvenRows(0, 8.0, 4), 100).tolist() == [0, 0]
    assert bounded_cuts(Places(np.zeros(3, int), np.zeros(3, int), 4), 100).tolist() == [0, 0]
    assert EvenRows(5, 0.0, 4).filled(100).tolist() == [0, 5]


@given(
    rows=st.lists(st.integers(0, 9), min_size=1, max_size=10), inner=st.lists(st.integers(0, 90), max_size=8)
)
def test_pieces_and_routes_agree_with_a_plain_loop(rows, inner):
    bounds = np.concatenate([[0], np.cumsum(rows)])
    total = int(bounds[-1])
    cuts = np.array(sorted([0, total, *(min(cut, total) for cut in inner)]))
    frame = pd.DataFrame({"row": np.arange(total)})
    routed = [[] for _ in cuts[1:]]
    for number, n in enumerate(rows):
        first = int(bounds[number])
        router = RowCuts.of(cuts, first, n)
        assert router.n_shards == len(cuts) - 1
        half = n // 2
        for part, seen in ((frame[first : first + half], 0), (frame[first + half : first + n], half)):
            for row, shard in zip(part["row"], router.shards(part, seen), strict=True):
                routed[shard].append(row)
    for shard, (start, stop) in enumerate(pairwise(cuts)):
        taken = [
            row
            for number, low, high in pieces_of(bounds, start, stop)
            for row in range(bounds[number] + low, bounds[number] + high)
        ]
        assert taken == routed[shard] == list(range(start, stop))


@pytest.mark.parametrize(("n", "dtype"), [(3, "uint16"), (70_000, "int64")])
def test_shards_are_narrow_numbers(n, dtype):
    assert RowCuts.of(np.arange(n + 1), 0, 3).shards(pd.DataFrame(index=range(3)), 0).dtype == dtype


def part_nbytes(line, cuts):
    return np.diff(np.interp(cuts, line.rows, line.nbytes))


@given(line=places(), n=st.integers(1, 40), limit=st.integers(1, 900))
def test_moved_cuts_keep_to_the_bound(line, n, limit):
    rows = int(line.rows[-1])
    planned = rows * np.arange(n + 1) // n
    cuts = moved_cuts(line, planned, limit)
    assert (cuts[0], cuts[-1], len(cuts)) == (0, rows, n + 1)
    if rows < n:
        assert cuts is planned
        return
    assert (np.diff(cuts) > 0).all(), "no part is empty"
    widest = (np.diff(line.nbytes) / np.diff(line.rows)).max()
    bound = max(limit, line.total_nbytes / n)
    # Cuts lie between whole rows.
    assert part_nbytes(line, cuts).max() <= bound + widest + 1e-6
    assert np.array_equal(cuts, moved_cuts(line, planned, limit)), "the same cuts each time"


@given(line=places(), n=st.integers(1, 40))
def test_cuts_stay_where_no_part_is_above_the_bound(line, n):
    planned = int(line.rows[-1]) * np.arange(n + 1) // n
    limit = part_nbytes(line, planned).max() * (1 + 1e-9)
    assert np.array_equal(moved_cuts(line, planned, limit), planned)


def test_cuts_are_moved_next_to_what_is_too_large_alone():
    rows = np.arange(0, 1001, 10)
    nbytes = np.where((rows >= 500) & (rows < 520), 10_000, 100)[:-1]
    line = Places(rows, np.append(0, np.cumsum(nbytes)), 0)
    planned = 1000 * np.arange(21) // 20
    cuts = moved_cuts(line, planned, 8000)
    moved = np.flatnonzero(cuts != planned)
    assert 0 < len(moved) <= 3
    assert moved.min() >= 10
    assert part_nbytes(line, planned).max() > 20_000
    assert part_nbytes(line, cuts).max() <= 9000


def test_rows_go_back_where_there_is_no_room_behind():
    line = Places(np.array([0, 90, 100]), np.array([0, 90, 1090]), 0)
    cuts = moved_cuts(line, np.array([0, 50, 100]), 600)
    assert cuts.tolist() == [0, 94, 100]


def test_rows_without_bytes_are_not_moved():
    planned = np.array([0, 2, 4])
    assert moved_cuts(Places(np.array([0, 4]), np.zeros(2, int), 0), planned, 1) is planned
