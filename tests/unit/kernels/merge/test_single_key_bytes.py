"""Bytes of the join of one key, by result row, against each row's."""

from __future__ import annotations

import typing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safeframe.facts.merge import How
from safeframe.kernels.cuts import Places
from safeframe.kernels.merge.single_key_bytes import single_key_line
from safeframe.kernels.merge.virtual import product_run

SIDES = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 90)), max_size=5)
"""Rows of each piece, and the bytes of each of these."""
HOWS = [how for how in typing.get_args(How) if how != "cross"]


def side(pieces):
    rows = np.array([rows for rows, _ in pieces], np.int64)
    widths = np.array([width for _, width in pieces], np.int64)
    ends = [np.append(0, np.cumsum(sums)).astype(np.int64) for sums in (rows, rows * widths)]
    return Places(*ends, 0), np.repeat(widths, rows)


def result_widths(left, right, how):
    """Bytes of each result row."""
    run = product_run(len(left), len(right), how)
    found = run.rows(0, run.n_rows)
    sides = (np.repeat(found.left_items, found.repeats), left), (found.right_rows, right)
    return sum(
        np.where(rows >= 0, np.append(widths, 0)[rows], 0) if len(rows) else np.zeros(run.n_rows, int)
        for rows, widths in sides
    )


@pytest.mark.parametrize("how", HOWS)
@given(left=SIDES, right=SIDES, cells=st.integers(1, 20))
def test_bytes_up_to_each_place_are_those_of_the_rows(how, left, right, cells):
    (left, left_widths), (right, right_widths) = side(left), side(right)
    widths = result_widths(left_widths, right_widths, how)
    line = single_key_line(left, right, how, cells)
    assert line.rows[-1] == len(widths)
    assert np.array_equal(line.nbytes, np.append(0, np.cumsum(widths))[line.rows])
    assert (np.diff(line.rows) > 0).all()
