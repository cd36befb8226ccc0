"""The memory of a worker, divided up. Primes show which term went where."""

from __future__ import annotations

from dataclasses import replace

from safeframe.facts.budget import Budget

BUDGET = Budget(
    n_workers=2,
    threads_per_worker=3,
    allowed_nbytes=1_009,
    reserved_nbytes=211,
    transport_nbytes=53,
    headroom_fraction=0.7,
    measured=False,
)


def test_headroom_comes_off_the_limit_before_anything_else() -> None:
    assert BUDGET.usable_nbytes == 706  # 1009 × 0.7, rounded down


def test_threads_share_what_is_left() -> None:
    assert BUDGET.task_nbytes == (706 - 211 - 53) // 3


def test_a_worker_runs_one_peak_per_thread() -> None:
    assert BUDGET.projected_worker_nbytes(71) == 211 + 53 + 3 * 71


def test_tasks_that_keep_to_their_share_keep_the_worker_in_its_headroom() -> None:
    assert BUDGET.projected_worker_nbytes(BUDGET.task_nbytes) <= BUDGET.usable_nbytes


def test_nothing_left_is_not_positive_rather_than_an_error() -> None:
    assert replace(BUDGET, reserved_nbytes=701).task_nbytes < 0
