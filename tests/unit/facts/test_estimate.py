"""Estimates compare by what is expected and promise by their upper end."""

from __future__ import annotations

import operator
import pickle

import pytest
from dask.tokenize import tokenize

from safeframe.facts.estimate import Estimate


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
