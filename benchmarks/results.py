"""Results as files: JSON, a table and pictures.

Covers: ``<situation>.json``, ``table.md`` of all situations, ``<family>.png``.
Does not cover: making the figures (:mod:`benchmarks.run`), or how they are laid out
(:mod:`benchmarks.markdown`, :mod:`benchmarks.plots`, :mod:`benchmarks.pages`).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmarks.markdown import family_of, table_text
from benchmarks.plots import plot_family
from benchmarks.summaries import FINISHED, Run, Summary, summarise

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "FINISHED",
    "Run",
    "Summary",
    "read_results",
    "summarise",
    "write_results",
]


def write_results(directory: Path, facts: dict[str, Any], runs: list[Run]) -> list[Path]:
    """Write a situation's JSON and picture, and the table of all situations.

    Parameters
    ----------
    directory
        Where results lie.
    facts
        What holds for all runs: situation, expected rows, machine, versions, limits.
    runs
        What was seen.
    """
    directory.mkdir(parents=True, exist_ok=True)
    name = facts["situation"]
    result = {
        **facts,
        "summary": [asdict(summary) for summary in summarise(runs, facts.get("nbytes"))],
        "runs": [asdict(run) for run in runs],
    }
    path = directory / f"{name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    table = directory / "table.md"
    results = read_results(directory)
    table.write_text(table_text(results))
    family = family_of(result)
    picture = directory / f"{family}.png"
    plot_family([other for other in results if family_of(other) == family], picture)
    return [path, table, picture]


def read_results(directory: Path) -> list[dict[str, Any]]:
    """Read every situation's JSON, by family, size and name."""
    results = [json.loads(path.read_text()) for path in sorted(directory.glob("*.json"))]
    return sorted(
        results, key=lambda result: (family_of(result), result.get("nbytes") or 0, result["situation"])
    )
