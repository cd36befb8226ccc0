"""The doctor finds another project's distribution of our name."""

from __future__ import annotations

import pytest

from safeframe.deploy import doctor as module
from safeframe.deploy.doctor import doctor
from safeframe.deploy.version_check import check_distributions


def test_it_is_a_problem_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "foreign_distribution", lambda: "safeframe 9.9.9")
    report = doctor()
    assert [one.name for one in report.problems] == ["distribution safeframe 9.9.9"]
    assert "pip uninstall safeframe" in report.problems[0].hint


def test_processes_are_named_once_for_each_distribution() -> None:
    found = list(
        check_distributions({"this process": "safeframe 1", "tcp://a": "safeframe 1", "tcp://b": None})
    )
    assert [one.found for one in found] == ["installed for this process, tcp://a"]
