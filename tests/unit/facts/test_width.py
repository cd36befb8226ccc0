"""Bytes of a row, and how well they are known."""

from __future__ import annotations

import pytest

from safeframe import options
from safeframe.facts.estimate import Estimate, Width, added

TEXT = Width(least=10, expected=20, most=60, widest=31, exact=False)


def test_a_sum_is_exact_only_if_all_are():
    assert added([]) == Width.fixed(0)
    assert added([Width.fixed(8), Width.fixed(1)]) == Width.fixed(9)
    row = added([Width.fixed(8), TEXT, TEXT])
    assert row == Width(least=28, expected=48, most=128, widest=70, exact=False)


@pytest.mark.parametrize(
    ("widest", "bounding"),
    [(20, 20 * options.WIDTH_MARGIN), (31, 31), (20 * options.WIDTH_SPREAD + 1, 20 * options.WIDTH_SPREAD)],
)
def test_what_plans_reckon_with(widest, bounding):
    assert Width(least=10, expected=20, most=200, widest=widest, exact=False).bounding == bounding
    assert Width.fixed(8).bounding == 8


def test_bytes_of_rows_are_exact_only_if_rows_and_widths_are():
    rows = Estimate(lower=5, expected=7, upper=11, method="sketch", exact=False)
    assert Width.fixed(8).of(Estimate.computed(7)).exact
    assert repr(Width.fixed(8).of(rows)) == "Estimate(40 <= 56 <= 88, sketch)"
    assert repr(TEXT.of(Estimate.computed(7))) == "Estimate(70 <= 140 <= 420, sample)"
    assert repr(TEXT.of(rows)) == "Estimate(50 <= 140 <= 660, sample)"
    # Of Arrow's bits for nulls there may be none.
    arrow = added([Width.fixed(8.125)] * 8)
    assert repr(arrow.of(Estimate.computed(7))) == "Estimate(448 <= 455 <= 455, computed)"
    assert arrow.bounding == 65
