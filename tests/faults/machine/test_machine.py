"""The fault machine: CI has time for 200 trials, no two of the same fault and recipe; ``python -m tests.faults.machine`` for any number.

conftest.py of the project divides them between the processes that run tests.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tests.faults.machine import leftovers
from tests.faults.machine.phases import AT_THE_SCHEDULER, IN_A_WORKER, PHASES, phase_of
from tests.faults.machine.plan import FAULTS, Trial, spread_seeds
from tests.faults.machine.processes import forks
from tests.faults.machine.recipes import RECIPES
from tests.faults.machine.run import run_trial
from tests.faults.machine.scene import Pool
from tests.faults.machine.stores import ENVIRONMENT

SEEDS = spread_seeds(200)


@pytest.fixture(scope="module")
def fault_pool() -> Iterator[Pool]:
    """Clusters that trials use one after the other."""
    before = dict(os.environ)
    pool = Pool()
    yield pool
    pool.close()
    for name in os.environ.keys() - before.keys():
        del os.environ[name]


@pytest.mark.cluster
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", SEEDS)
def test_a_trial(seed: int, fault_pool: Pool, tmp_path: Path) -> None:
    trial = Trial.of(seed)
    if trial.fault.mounts and os.geteuid():
        pytest.skip("a file system of a given size can only be mounted by root")
    outcome = run_trial(trial, fault_pool, tmp_path)
    assert outcome.failures == [], f"{outcome.what}\n{outcome.detail}"


def test_a_forked_process_that_is_left_is_found() -> None:
    process = forks().Process(target=signal.pause)
    process.start()
    try:
        assert any(f"process {process.pid}:" in one for one in leftovers.processes(set()))
        assert not any(f"process {process.pid}:" in one for one in leftovers.processes({process.pid}))
    finally:
        process.kill()
        process.join()


def test_a_process_knows_object_stores_whatever_its_parent_knew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    context = forks()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_environment, args=(sender,))
    process.start()
    assert receiver.recv().items() >= ENVIRONMENT.items()
    process.join()


def _send_environment(sender: Connection) -> None:
    sender.send(dict(os.environ))


def test_a_seed_says_all_of_a_trial() -> None:
    assert [str(Trial.of(seed)) for seed in range(60)] == [str(Trial.of(seed)) for seed in range(60)]


def test_seeds_of_ci_have_each_fault_with_many_recipes() -> None:
    trials = [Trial.of(seed) for seed in SEEDS]
    assert len({(trial.fault, trial.recipe) for trial in trials}) == len(SEEDS) == 200
    assert {trial.recipe for trial in trials} == set(RECIPES)
    for fault in FAULTS:
        there = sum(fault.applies(recipe) for recipe in RECIPES.values())
        assert sum(trial.fault is fault for trial in trials) >= min(5, there), fault.name


def test_every_recipe_and_every_phase_has_its_turn() -> None:
    trials = [Trial.of(seed) for seed in range(2000)]
    assert {trial.recipe for trial in trials} == set(RECIPES)
    assert {trial.fault for trial in trials} == set(FAULTS)
    assert {trial.moment.phase for trial in trials if trial.moment} == set(PHASES)
    assert {trial.moment.kind for trial in trials if trial.moment} == {*AT_THE_SCHEDULER, *IN_A_WORKER}
    for trial in trials:
        assert (trial.moment is None) == (not trial.fault.moments)
        assert trial.moment is None or trial.moment.phase in trial.fault.phases


@pytest.mark.parametrize(
    ("key", "phase"),
    [
        (("merge-stage-0123abcd", 1), "stage"),
        ("sort-seal-0123abcd", "seal"),
        (("merge-output-write-0123abcd", 0), "write"),
        ("write-commit-0123abcd", "commit"),
        (("shuffle-output-0123abcd", 0), "fetch"),
        (("repartitiontofewer-0123abcd", 0), ""),
    ],
)
def test_phases_of_tasks(key: object, phase: str) -> None:
    assert phase_of(key, planning=False) == phase
    assert phase_of(key, planning=True) == PHASES[0]
