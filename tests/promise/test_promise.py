"""A few trials of the promise; the nightly makes a hundred (``python -m tests.promise``)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.promise.run import Outcome, run_trial
from tests.promise.trials import RECIPES, trial_of

KEPT = Outcome(
    seed=0, said="", projected_nbytes=300, measured_nbytes=200, allowed_nbytes=400, rows=5, expected_rows=5
)


@pytest.mark.parametrize("seed", [11, 16])
def test_a_plan_holds_on_workers_that_the_kernel_holds(seed: int) -> None:
    outcome = run_trial(seed)
    assert not outcome.faults, outcome.line()


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(200, 300))
def test_plans_hold_on_data_that_nobody_chose(seed: int) -> None:
    outcome = run_trial(seed)
    assert not outcome.faults, outcome.line()


def test_seeds_meet_every_recipe_and_are_the_same_each_time() -> None:
    trials = [trial_of(seed) for seed in range(200)]
    assert {trial.recipe for trial in trials} == set(RECIPES)
    assert trials[7] == trial_of(7)
    assert 0.02 < sum(trial.opaque for trial in trials) / len(trials) < 0.2


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"measured_nbytes": 301}, "measured above projected"),
        ({"allowed_nbytes": 299}, "projected above allowed"),
        ({"pauses": 1}, "1 pauses"),
        ({"kills": 1}, "1 kills"),
        ({"rows": 4}, "4 rows"),
        ({"refused": "too large", "smaller": "4MiB"}, "4MiB would have fitted"),
        ({"error": "KeyError"}, "KeyError"),
    ],
)
def test_what_breaks_a_promise(change: dict[str, object], fault: str) -> None:
    assert not KEPT.faults
    (found, *_) = replace(KEPT, **change).faults  # type: ignore[arg-type]
    assert fault in found
