"""Results as markdown tables.

Covers: every figure of every situation, those of one family in one table.
Does not cover: reading or writing files (:mod:`benchmarks.results`), pages for readers
(:mod:`benchmarks.pages`).
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

from benchmarks.summaries import FINISHED, Summary
from safeframe.units import format_count, format_nbytes

__all__ = ["family_of", "table_text"]

_HEAD = (
    "engine",
    "outcome",
    "seconds",
    "seconds per GB",
    "resident peak",
    "projected peak",
    "group peak",
    "kernel kills",
    "restarts",
    "tasks run again",
    "rows",
    "largest partition",
)


def family_of(result: dict[str, Any]) -> str:
    """Name the table that a result is shown in."""
    return str(result.get("family", result["situation"]))


def table_text(results: list[dict[str, Any]]) -> str:
    """Lay out every figure, a section for each family.

    Parameters
    ----------
    results
        As they are in the JSON files, those of a family together.
    """
    return "\n".join(_section(family, list(members)) for family, members in groupby(results, key=family_of))


def _section(family: str, results: list[dict[str, Any]]) -> str:
    several = len(results) > 1
    head = ("situation", "size", *_HEAD) if several else _HEAD
    rows = []
    for result in results:
        place = (result["situation"], _nbytes(result["nbytes"])) if several else ()
        rows += [(*place, *_row(Summary(**summary))) for summary in result["summary"]]
    titles = [
        f"{result['title']}. Scale {result['scale']:g}; {format_count(result['expected_rows'])} rows expected."
        for result in results
    ]
    machines = [f"{result['machine']}. Run on {result['date']}; {result['versions']}." for result in results]
    lines = [
        f"## {family}",
        "",
        *([f"- {title}" for title in titles] if several else titles),
        "",
        # Said once where all agree.
        *(line for limits in dict.fromkeys(result["limits"] for result in results) for line in (limits, "")),
        *(line for machine in dict.fromkeys(machines) for line in (machine, "")),
        f"| {' | '.join(head)} |",
        f"|{' --- |' * len(head)}",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
    ]
    return "\n".join(lines)


def _row(summary: Summary) -> tuple[str, ...]:
    seconds = "–" if summary.seconds is None else f"{summary.seconds:.1f}"
    if summary.seconds is not None and summary.runs > 1:
        seconds += f" (median of {summary.runs})"
    per_gb = "–" if summary.seconds_per_gb is None else f"{summary.seconds_per_gb:.2f}"
    target = f" of {format_nbytes(summary.partition_nbytes)}" if summary.partition_nbytes else ""
    broken = summary.resident_peak_nbytes > (summary.projected_worker_nbytes or summary.resident_peak_nbytes)
    outcome = summary.outcome if summary.outcome == FINISHED else f"**{summary.outcome}**"
    return (
        summary.engine,
        outcome,
        seconds,
        per_gb,
        _nbytes(summary.resident_peak_nbytes) + (" **above projected**" if broken else ""),
        _nbytes(summary.projected_worker_nbytes),
        _nbytes(summary.group_peak_nbytes),
        str(summary.oom_kills),
        str(summary.restarts),
        str(summary.reruns),
        "–" if summary.rows is None else format_count(summary.rows),
        _nbytes(summary.largest_partition_nbytes) + target,
    )


def _nbytes(nbytes: int | None) -> str:
    return format_nbytes(nbytes) if nbytes else "–"
