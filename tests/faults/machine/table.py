"""Adds trials up.

Covers: the running total as JSON, which the next night goes on from.
Does not cover: running them (``lanes``), how they are shown (``benchmarks.guarantees``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.faults.machine.plan import FAULTS
from tests.faults.machine.run import Outcome

__all__ = ["add", "new_total", "read_total", "write_total"]


def new_total() -> dict[str, Any]:
    """Return the total of no trials."""
    return {"trials": 0, "failed": 0, "next_seed": 0, "seconds": 0.0, "last_failure": None, "faults": {}}


def add(total: dict[str, Any], outcome: Outcome) -> None:
    """Add a trial to a total."""
    total["trials"] += 1
    total["failed"] += bool(outcome.failures)
    total["next_seed"] = max(total["next_seed"], outcome.seed + 1)
    total["seconds"] = round(total["seconds"] + outcome.seconds, 1)
    if outcome.failures:
        total["last_failure"] = {"seed": outcome.seed, "what": outcome.what, "failures": outcome.failures}
    kind = next(fault for fault in FAULTS if fault.name == outcome.fault)
    one = total["faults"].setdefault(
        outcome.fault,
        {
            "must_succeed": kind.must_succeed, "trials": 0, "met": 0, "equal": 0, "errors": {}, "failed": 0,
            "tasks": 0, "lost": 0, "again": 0, "most_again": 0, "files": 0, "files_again": 0,
        },
    )  # fmt: skip
    one["trials"] += 1
    one["met"] += outcome.met
    one["failed"] += bool(outcome.failures)
    if outcome.ended == "equal":
        one["equal"] += 1
    else:
        one["errors"][outcome.ended] = one["errors"].get(outcome.ended, 0) + 1
    for name in ("tasks", "lost", "again", "files", "files_again"):
        # A total of before files were counted has none.
        one[name] = one.get(name, 0) + getattr(outcome, name)
    one["most_again"] = max(one["most_again"], outcome.again)


def read_total(path: Path) -> dict[str, Any]:
    """Read a total; one of no trials where there is none."""
    return json.loads(path.read_text()) if path.exists() else new_total()


def write_total(total: dict[str, Any], path: Path) -> None:
    """Write a total."""
    path.parent.mkdir(parents=True, exist_ok=True)
    order = {fault.name: number for number, fault in enumerate(FAULTS)}
    total["faults"] = dict(sorted(total["faults"].items(), key=lambda item: order.get(item[0], len(order))))
    path.write_text(json.dumps(total, indent=1) + "\n")
