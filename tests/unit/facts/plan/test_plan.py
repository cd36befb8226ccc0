"""What a plan promises, and what it refuses."""

from __future__ import annotations

import json
import pickle
from dataclasses import FrozenInstanceError, replace

import pytest

from safeframe.errors import MemoryBudgetError, StagingFullError
from safeframe.facts.budget import Budget
from safeframe.facts.estimate import Estimate
from safeframe.facts.plan import Plan, Step
from safeframe.facts.sort import UnsortedRun

BUDGET = Budget(
    n_workers=2,
    threads_per_worker=3,
    allowed_nbytes=1_000,
    reserved_nbytes=101,
    transport_nbytes=11,
    headroom_fraction=0.8,
    measured=True,
)


def _step(kind: str, peak: int) -> Step:
    return Step(kind=kind, tasks=7, task_peak_nbytes=peak, reason=f"because of {kind}")


def _plan(*steps: Step, staged: int = 0, free: int | None = None) -> Plan:
    rows = Estimate.computed(19)
    return Plan(
        recipe="merge",
        strategy="staged",
        reasons=(),
        rejected=(),
        steps=steps,
        budget=BUDGET,
        output_rows=rows,
        output_nbytes=rows.scaled(8),
        output_partitions=7,
        partition_nbytes=64,
        largest_partition_nbytes=63,
        row_nbytes=8,
        staging_nbytes=staged,
        staging_free_nbytes=free,
        staging_directory=None if free is None else "/scratch",
        run=UnsortedRun(),
    )


def test_the_largest_step_decides() -> None:
    plan = _plan(_step("a", 17), _step("b", 29), _step("c", 23))
    assert plan.task_peak_nbytes == 29
    assert plan.projected_worker_nbytes == 101 + 11 + 3 * 29
    assert plan.fits
    plan.validate()


def test_the_limit_itself_fits_and_a_byte_more_a_task_does_not() -> None:
    assert _plan(_step("a", 296)).projected_worker_nbytes == 1_000
    assert _plan(_step("a", 296)).fits
    assert not _plan(_step("a", 297)).fits


def test_over_budget_lists_the_worst_first() -> None:
    plan = _plan(_step("a", 401), _step("b", 5), _step("c", 409))
    assert [step.kind for step in plan.over_budget] == ["c", "a"]


def test_validate_names_both_numbers_every_offender_and_a_way_out() -> None:
    plan = _plan(_step("sort", 401), _step("join", 409))
    with pytest.raises(MemoryBudgetError, match=r"projected to need 1\.31 KiB") as raised:
        plan.validate()
    text = str(raised.value)
    assert "1000 B is allowed" in text
    assert "because of sort" in text
    assert "because of join" in text
    assert "\n\nHint: " in text
    assert raised.value.figures == {"projected_nbytes": 101 + 11 + 3 * 409, "allowed_nbytes": 1_000}


def test_validate_refuses_a_full_staging_directory() -> None:
    with pytest.raises(StagingFullError, match=r"stages 307 B, but /scratch has 293 B free") as raised:
        _plan(_step("a", 1), staged=307, free=293).validate()
    assert raised.value.figures == {"needed_nbytes": 307, "free_nbytes": 293}
    assert "Hint: " in str(raised.value)


def test_a_plan_that_stages_nothing_asks_no_disk() -> None:
    assert _plan(_step("a", 1), staged=0, free=None).fits


def test_a_plan_is_frozen_comparable_and_travels() -> None:
    plan = _plan(_step("a", 17), staged=3, free=5)
    with pytest.raises(FrozenInstanceError):
        plan.strategy = "sorted"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert plan != replace(plan, output_partitions=8)


def test_to_dict_is_plain_enough_for_json() -> None:
    plain = json.loads(json.dumps(_plan(_step("a", 17)).to_dict()))
    assert plain["projected_worker_nbytes"] == 101 + 11 + 3 * 17
    assert plain["fits"] is True
    assert plain["output_rows"] == {
        "lower": 19,
        "expected": 19,
        "upper": 19,
        "method": "computed",
        "exact": True,
    }
    assert plain["steps"][0]["kind"] == "a"


@pytest.mark.parametrize(
    ("threads", "words"),
    [
        (1, "Give each worker 1040 MiB or more, read"),
        (4, "Give each worker 3739 MiB or more, or 1 thread instead of 4, read"),
    ],
)
def test_the_hint_names_what_would_fit(threads: int, words: str) -> None:
    budget = replace(
        BUDGET,
        threads_per_worker=threads,
        allowed_nbytes=1039 * 2**20,
        reserved_nbytes=139 * 2**20,
        transport_nbytes=0,
    )
    plan = replace(_plan(_step("a", 900 * 2**20 - (threads == 4) + (threads == 1))), budget=budget)
    with pytest.raises(MemoryBudgetError) as info:
        plan.validate()
    assert info.value.hint.startswith(words)


def test_where_nothing_is_left_no_partition_is_small_enough() -> None:
    budget = replace(BUDGET, allowed_nbytes=100)
    with pytest.raises(MemoryBudgetError) as info:
        replace(_plan(_step("a", 5)), budget=budget).validate()
    assert info.value.hint.startswith("Give each worker 1 MiB or more: what it uses before any data")
    assert "partition_size" not in info.value.hint
