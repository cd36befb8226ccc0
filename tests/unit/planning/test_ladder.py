"""The first strategy that fits is chosen, and each other one has the reason that is its own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safeframe.errors import ValidationError
from safeframe.facts.plan import Candidate, Cost
from safeframe.planning.costs import cost_of, is_tie
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


def weigh(seconds: dict[str, float], *, room: float = 1e9) -> Decision[float]:
    """Climb a ladder whose offers are what they cost, and fit where that is no more than ``room``."""

    def cost(second: float) -> Cost:
        return replace(cost_of(budget_of(1000, reserved_nbytes=0), tasks=0, read_nbytes=0), seconds=second)

    return climb(
        {name: functools.partial(float, second) for name, second in seconds.items()},
        recipe="merge",
        unfit=lambda second: f"above {room}" if second > room else "",
        cost=cost,
    )


def test_the_cheapest_that_fits_is_chosen_and_each_other_one_keeps_its_cost() -> None:
    decision = weigh({"sorted": 40.0, "broadcast": 10.0, "staged": 10.5, "p2p": 99.0}, room=50)
    assert decision.strategy == "broadcast"
    assert [one.cost.seconds for one in decision.rejected if one.cost is not None] == [40.0, 10.5, 99.0]
    assert [one.reason for one in decision.rejected] == [
        "broadcast is cheaper: cost 10 s against 40 s",
        "broadcast comes first and costs about the same",
        "above 50",
    ]


@given(
    seconds=st.lists(st.floats(0, 1000), min_size=1, max_size=6),
    room=st.floats(0, 1000),
)
def test_what_is_taken_fits_and_costs_least_or_about_that(seconds: list[float], room: float) -> None:
    costs = {f"way {number}": second for number, second in enumerate(seconds)}
    decision = weigh(costs, room=room)
    fitting = {name: second for name, second in costs.items() if second <= room}
    if not fitting:
        assert decision.strategy == "way 0"
        return
    least = min(fitting.values())
    assert decision.strategy == next(name for name, second in fitting.items() if is_tie(second, least))
    assert {one.strategy for one in decision.rejected} == set(costs) - {decision.strategy}
    for one in decision.rejected:
        second = costs[one.strategy]
        assert ("above" in one.reason) == (second > room)
        if second <= room:
            assert ("about the same" in one.reason) == is_tie(second, least)
            assert ("is cheaper" in one.reason) == (not is_tie(second, least))


def test_a_form_of_a_strategy_that_can_run_is_taken_before_others_are_looked_at() -> None:
    decision = climb(
        {"table": lambda: 1, "broadcast": never, "staged": never},
        recipe="merge",
        forms={"table": "broadcast"},
        cost=lambda offer: cost_of(budget_of(1000, reserved_nbytes=0), tasks=offer, read_nbytes=0),
    )
    assert decision.strategy == "broadcast"
    assert [one.reason for one in decision.rejected] == ["table comes first and can run"]


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
