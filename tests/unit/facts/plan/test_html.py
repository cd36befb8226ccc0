"""A plan in a notebook: complete, harmless, and readable in light, dark, and without seeing it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.markup import check_page, text_of
from tests.unit.facts.plan.plans import EVIL, merge_plan, too_large
from tests.unit.facts.plan.test_text import PLAN
from tests.unit.planning.test_printed_plans import PLANNED

ALL = {**PLANNED, "merge": merge_plan(), "too large": too_large()}


@pytest.mark.parametrize("name", ALL)
def test_every_plan_is_a_sound_page(name: str) -> None:
    check_page(ALL[name]._repr_html_())


def test_it_has_the_verdict_the_figures_and_all_steps() -> None:
    text = text_of(merge_plan()._repr_html_())
    assert "merge by staged: FITS" in text
    assert "projected 406 MiB of 997 MiB allowed per worker (41%)" in text
    for step in PLAN.steps:
        assert step.kind in text
        assert step.reason in text
    for spread in merge_plan().partitions_before:
        assert spread.name in text
    assert "the left partitions overlap in their key ranges" in text


def test_names_and_keys_are_no_markup() -> None:
    page = merge_plan()._repr_html_()
    assert "<script" not in page
    assert text_of(page).count(EVIL) >= 2  # the reason, and the key


def test_what_does_not_fit_is_said_in_words_and_in_colour() -> None:
    page = too_large()._repr_html_()
    assert '<span class="sf-bad">DOES NOT FIT</span>' in page
    assert "join cells: a worker would reach 406 MiB, and 307 MiB is allowed" in text_of(page)
    assert "Give each worker 406 MiB or more" in text_of(page)
    assert 'class="sf-over" style="width:100.0%"' in page
    assert "sf-over" not in merge_plan()._repr_html_().split("</style>")[1]


def test_a_plan_without_a_merge_has_no_keys() -> None:
    assert "heaviest" not in text_of(PLAN._repr_html_())
    assert "Sizes of partitions" not in text_of(PLAN._repr_html_())


def test_a_page_stays_small() -> None:
    plan = replace(merge_plan("x" * 10**6), reasons=tuple("x" * 10**5 for _ in range(9)))
    assert len(plan._repr_html_()) < 20_000
