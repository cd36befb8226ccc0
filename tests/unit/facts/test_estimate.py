"""Estimates compare by what is expected and promise by their upper end; bytes of a row, and how well they are known."""

from __future__ import annotations

import operator
import pickle
from dataclasses import replace

import pytest
from dask.tokenize import tokenize

from safeframe import options
from safeframe.facts.estimate import Estimate, Width, added

TEXT = Width(least=10, expected=20, most=60, widest=31, exact=False)


def _between(lower: int, expected: int, upper: int) -> Estimate:
    return Estimate(lower=lower, expected=expected, upper=upper, method="sample", exact=False)


def test_numbers_come_from_what_is_expected() -> None:
    rows = _between(3, 5, 11)
    assert int(rows) == 5
    assert float(rows) == 5.0
    assert list(range(7))[rows] == 5
    assert f"{int(rows):,}" == "5"


@pytest.mark.parametrize("compare", [operator.lt, operator.le, operator.eq, operator.ge, operator.gt])
@pytest.mark.parametrize("other", [4, 5, 6, 4.5, _between(0, 4, 90), _between(0, 5, 90), _between(0, 6, 90)])
def test_comparisons_are_those_of_what_is_expected(compare: object, other: object) -> None:
    number = other.expected if isinstance(other, Estimate) else other
    assert compare(_between(3, 5, 11), other) == compare(5, number)  # type: ignore[operator]


def test_it_does_not_compare_with_what_is_no_number() -> None:
    assert _between(3, 5, 11) != "5"
    with pytest.raises(TypeError):
        operator.lt(_between(3, 5, 11), "5")


def test_equal_estimates_have_one_hash() -> None:
    assert hash(_between(3, 5, 11)) == hash(Estimate.computed(5)) == hash(5)


def test_scaling_scales_all_three() -> None:
    scaled = _between(3, 5, 11).scaled(7)
    assert (scaled.lower, scaled.expected, scaled.upper) == (21, 35, 77)


@pytest.mark.parametrize(("factor", "exact"), [(8, True), (8.0, True), (8.5, False)])
def test_an_exact_count_times_a_sampled_width_is_not_exact(factor: float, exact: bool) -> None:
    assert Estimate.computed(3).scaled(factor).exact is exact


def test_it_travels_and_has_a_token_of_its_interval() -> None:
    rows = _between(3, 5, 11)
    assert pickle.loads(pickle.dumps(rows)) == rows
    assert tokenize(rows) == tokenize(_between(3, 5, 11))
    assert tokenize(rows) != tokenize(_between(3, 5, 12))


def test_repr_shows_an_interval_only_when_there_is_one() -> None:
    assert repr(_between(3, 5, 11)) == "Estimate(3 <= 5 <= 11, sample)"
    assert repr(Estimate.computed(5, method="footer")) == "Estimate(5, footer)"


def test_a_sum_is_exact_only_if_all_are():
    assert added([]) == Width.fixed(0)
    assert added([Width.fixed(8), Width.fixed(1)]) == Width.fixed(9)
    row = added([Width.fixed(8), TEXT, TEXT])
    assert row == Width(least=28, expected=48, most=128, widest=70, exact=False, sampled=40)
    assert row.bounding == max(48 + 40 * (options.WIDTH_MARGIN - 1), 70)
    assert (Width.fixed(8) + replace(TEXT, widest=20)).bounding == 8 + 20 * options.WIDTH_MARGIN


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


def test_rows_are_uneven_where_some_part_is_much_wider():
    even = Width(least=10, expected=20, most=60, widest=24, exact=False)
    assert not even.uneven
    assert (even + Width(least=10, expected=20, most=200, widest=100, exact=False)).uneven
    assert not Width.fixed(8).uneven


def test_footers_tell_the_average_of_the_whole_frame():
    known = Width(least=10, expected=20, most=60, widest=24, exact=False, mean=(19.5, 20.5))
    rows = Estimate.computed(100)
    assert str(known.of_all(rows)) == "Estimate(1950 <= 2000 <= 2050, footer)"
    assert str(known.of(rows)) == "Estimate(1000 <= 2000 <= 6000, sample)"
    assert (known + Width.fixed(8)).mean == (27.5, 28.5)
    assert (known + TEXT).mean == (29.5, 80.5)
    assert TEXT.of_all(rows) == TEXT.of(rows)


def test_no_row_has_fewer_bytes_than_none():
    text = Width(least=0.0, expected=9.0, most=99.0, widest=9.0, exact=False, mean=(-40.0, 90.0))
    assert text.of_all(Estimate.computed(3)).lower == 0


def test_rows_that_were_cut_by_their_bytes_are_known_next_to_more_columns():
    uneven = Width(least=300, expected=400, most=600, widest=510, exact=False)
    assert uneven.uneven
    wider = uneven + Width.fixed(100)
    assert not wider.uneven
    assert uneven.may_be_weighed
    assert wider.may_be_weighed
    even = Width(least=300, expected=400, most=600, widest=450, exact=False)
    assert not even.may_be_weighed
    assert not Width.fixed(8).may_be_weighed
