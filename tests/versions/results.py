"""What a run of the suite in one environment came to, and the table of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

__all__ = ["SHOWN", "Result", "counted", "read_report", "table"]

SHOWN = ("dask", "distributed", "pandas", "numpy", "pyarrow")
"""Distributions whose versions are told."""

_HEAD = ("environment", "python", "versions", "passed", "failed", "skipped", "seconds")


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One environment."""

    environment: str
    python: str
    versions: dict[str, str] = field(default_factory=dict)
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    failures: tuple[str, ...] = ()
    """The tests that failed."""
    names: tuple[str, ...] = ()
    """What the canary says of dask's private names."""
    missing: str = ""
    """Why the environment cannot be had here; nothing was run."""
    broken: str = ""
    """What went wrong apart from tests: it could not be installed, or pytest ended early."""

    @property
    def good(self) -> bool:
        """Whether nothing is wrong; what cannot be had is not wrong."""
        return not (self.failed or self.broken or self.names)

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {**asdict(self), "good": self.good}


def read_report(path: Path) -> dict[str, Any]:
    """Return counts and failures of a report that pytest's ``--junitxml`` has written."""
    failures: list[str] = []
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for case in ET.parse(path).getroot().iter("testcase"):
        outcome = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), None)
        name = "::".join(filter(None, (case.get("classname", ""), case.get("name", ""))))
        if outcome == "skipped":
            counts["skipped"] += 1
        elif outcome is None:
            counts["passed"] += 1
        # A test that failed and whose teardown failed, too, is there twice.
        elif name not in failures:
            counts["failed"] += 1
            failures.append(name)
    return {**counts, "failures": tuple(failures)}


def table(results: Sequence[Result]) -> str:
    """Return the results as lines, with the reason under each that has one."""
    rows = [_HEAD, *map(_row, results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = []
    for result, row in zip((None, *results), rows, strict=True):
        # Numbers to the right, words to the left.
        cells = [
            cell.rjust(width) if column > 2 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
        if result is not None:
            lines.extend(f"    {text}" for text in _said(result))
    return "\n".join(lines)


def counted(results: Sequence[Result]) -> str:
    """Return one line for all."""
    good = sum(one.good and not one.missing for one in results)
    missing = sum(bool(one.missing) for one in results)
    wrong = sum(not one.good for one in results)
    return f"{good} environments passed, {wrong} failed, {missing} cannot be had here"


def _row(result: Result) -> tuple[str, ...]:
    head = (result.environment, result.python)
    if result.missing:
        return (*head, "cannot be had", "-", "-", "-", "-")
    versions = " ".join(f"{name} {result.versions.get(name, '?')}" for name in SHOWN if name != "distributed")
    numbers = (result.passed, result.failed, result.skipped, round(result.seconds))
    return (*head, versions, *map(str, numbers))


def _said(result: Result) -> list[str]:
    reasons = [text for text in (result.missing, result.broken) if text]
    return [*reasons, *result.names, *result.failures]
