"""Nothing grows while recipes run one after the other; the nightly looks for twenty minutes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.soak.__main__ import faults_of, main
from tests.soak.watch import Look, growth_per_hundred
from tests.soak.work import small_trial

LOOK = Look(
    runs=20, client_handles=40, client_connections=9, client_threads=9, worker_handles=22, worker_threads=4, scheduler_tasks=0,
    staged_nbytes=0, staged_files=0, client_nbytes=2**28, worker_nbytes=2**27,
)  # fmt: skip


@pytest.mark.nightly
def test_two_hundred_runs_keep_nothing() -> None:
    assert main(["--runs", "200", "--minutes", "20", "--alone"]) == 0


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"worker_handles": 23}, "worker_handles: 22 after 20 runs, 23 after 40"),
        ({"client_connections": 14}, "client_connections: 5 more"),
        ({"scheduler_tasks": 1}, "scheduler_tasks"),
        ({"staged_files": 2}, "2 staged files"),
        ({"client_nbytes": 2**28 + 2**20}, "client_nbytes grows by 5.0 MiB"),
    ],
)
def test_what_grows_is_named(change: dict[str, int], fault: str) -> None:
    later = replace(LOOK, runs=40)
    assert not faults_of([LOOK, later], shared=False)
    (found,) = faults_of(
        [replace(LOOK, runs=10, client_threads=1), LOOK, replace(later, **change)], shared=False
    )
    assert fault in found


def test_one_large_run_is_no_growth() -> None:
    sizes = [5, 5, 90, 5, 5, 5]
    looks = [replace(LOOK, runs=10 * number, client_nbytes=size) for number, size in enumerate(sizes, 1)]
    assert growth_per_hundred(looks, "client_nbytes") == 0.0


def test_runs_are_small() -> None:
    for seed in range(60):
        trial = small_trial(seed)
        assert trial.left.rows * trial.left.row_nbytes < 8 * 2**20
