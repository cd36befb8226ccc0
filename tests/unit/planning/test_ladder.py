"""The first strategy that fits is chosen, and each other one has the reason that is its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from safeframe.errors import ValidationError
from safeframe.facts.plan import Candidate
from safeframe.planning.ladder import Decision, climb, task_fits
from tests.unit.planning.budgets import budget_of

Rungs = dict[str, Callable[[], int | str]]


def decide(rungs: Rungs, *, requested: str | None = None, room: int = 10) -> Decision[int]:
    """Climb a ladder whose offers are what they need."""
    return climb(
        rungs,
        recipe="merge",
        requested=requested,
        unfit=lambda need: f"needs {need}" if need > room else "",
        needs=lambda need: need,
    )


def never() -> str:
    pytest.fail("a rung after the chosen one is asked")


def test_the_first_that_fits_is_chosen_and_later_ones_are_not_evaluated() -> None:
    decision = decide(
        {"sorted": lambda: "no order", "broadcast": lambda: 99, "staged": lambda: 7, "p2p": never}
    )
    assert (decision.strategy, decision.offer) == ("staged", 7)
    assert decision.rejected == (
        Candidate(strategy="sorted", reason="no order"),
        Candidate(strategy="broadcast", reason="needs 99"),
        Candidate(strategy="p2p", reason="staged comes first and fits"),
    )


def test_where_none_fits_the_one_that_needs_least_is_chosen_and_the_others_say_what_they_need() -> None:
    decision = decide({"a": lambda: 99, "b": lambda: 50, "c": lambda: 70})
    assert decision.strategy == "b"
    assert decision.rejected == (
        Candidate(strategy="a", reason="needs 99"),
        Candidate(strategy="c", reason="needs 70"),
    )


def test_a_requested_strategy_is_chosen_even_where_it_does_not_fit() -> None:
    decision = decide({"a": never, "b": lambda: 50, "c": never}, requested="b")
    assert decision.strategy == "b"
    assert {one.reason for one in decision.rejected} == {"strategy='b' was requested"}


def test_a_requested_strategy_that_cannot_run_is_an_error_with_its_reason() -> None:
    with pytest.raises(ValidationError, match="strategy='b' cannot run this merge: no place") as raised:
        decide({"a": never, "b": lambda: "no place"}, requested="b")
    assert "strategy=" in raised.value.hint


def test_an_unknown_strategy_is_an_error_with_the_names() -> None:
    with pytest.raises(ValidationError, match="'stagd' is not a strategy of merge") as raised:
        decide({"sorted": never, "staged": never}, requested="stagd")
    assert "Did you mean 'staged'?" in raised.value.hint


def test_where_nothing_can_run_the_error_has_every_reason() -> None:
    with pytest.raises(ValidationError, match=r"No strategy can run this merge. a: no order; b: no place\."):
        decide({"a": lambda: "no order", "b": lambda: "no place"})


def test_a_task_fits_in_what_is_left_of_a_worker() -> None:
    budget = budget_of(1000, reserved_nbytes=300)
    assert task_fits(500, budget) == ""
    assert task_fits(501, budget) == "a task would need 501 B, and it may use 500 B"


@pytest.mark.parametrize("peak_nbytes", [0, 1])
def test_no_task_fits_a_worker_that_has_less_than_nothing_left(peak_nbytes: int) -> None:
    budget = budget_of(1000, reserved_nbytes=801)
    assert task_fits(peak_nbytes, budget) == "workers use all that a plan may use, and more, before any data"
