"""The page of guarantees: what is committed is what the committed trials say, and each fault is on it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from benchmarks.guarantees import HOSTS, PAGE, PROMISES, RESULTS, page_text
from tests.faults.machine.plan import FAULTS

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_what_the_trials_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page_text(), "Run: python -m benchmarks.guarantees"


def test_every_fault_has_a_promise() -> None:
    assert set(PROMISES) == {fault.name for fault in FAULTS}
    assert set(json.loads(RESULTS.read_text())["faults"]) == set(PROMISES)


def test_tests_that_are_named_are_there() -> None:
    named = {test for _, test in PROMISES.values() if test}
    there = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    assert named <= there
    assert all((ROOT / f"{test}.py").is_file() for _, test in HOSTS.values())


def test_faults_that_have_to_end_well_are_said_to() -> None:
    for fault in FAULTS:
        assert not fault.must_succeed or re.search("that of pandas", PROMISES[fault.name][0]), fault.name


def test_tests_of_the_threat_model_are_there() -> None:
    text = (ROOT / "docs/concepts/threat-model.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", text))
    assert named
    assert all((ROOT / path).exists() for path in named)
