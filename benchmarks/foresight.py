"""The page of the site that compares what plans said with what was seen.

From committed results only, so that anyone can make it again::

    python benchmarks/foresight.py            # writes docs/foresight.md

Covers: projected and measured memory of workers as a table and a scatter plot, predicted and actual rows and
bytes, the calibration of intervals.
Does not cover: running anything (:mod:`benchmarks.run`, :mod:`benchmarks.ordinary`,
:mod:`benchmarks.calibration`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from benchmarks.results import read_results
from benchmarks.summaries import FINISHED
from safeframe.units import format_count, format_nbytes

__all__ = ["Promise", "main", "page_text", "read_promises"]

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"
PAGE = ROOT / "docs" / "foresight.md"
MIB = 2**20

_INTRODUCTION = (
    "A plan says how much memory the largest worker will use at most, how many rows come out and how large a "
    "partition will be. This page compares that with what was seen, for every committed result of "
    "`benchmarks/results` that has a plan. `python benchmarks/foresight.py` makes it again."
)
_LARGEST = (
    "The rows of the largest file that was written, times the bytes of a row in memory. A file may have several "
    "partitions that were written one after the other, and is then larger than any of them: these are marked."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Promise:
    """What a plan said of one run, and what was seen."""

    recipe: str
    situation: str
    title: str
    strategy: str
    measured_nbytes: int
    projected_nbytes: int
    limit_nbytes: int
    planned_rows: int | None = None
    rows: int | None = None
    planned_largest_nbytes: int | None = None
    largest_nbytes: int | None = None

    @property
    def share(self) -> float:
        """Measured as a share of projected: above 1 the promise was broken."""
        return self.measured_nbytes / self.projected_nbytes


def read_promises(results: Path) -> list[Promise]:
    """Return a promise for each situation that has one: of several runs the one that came nearest to it.

    Parameters
    ----------
    results
        The directory with results of situations, and with those of recipes in ``foresight/ordinary.json``.
    """
    promises = []
    for result in read_results(results):
        runs = [run for run in result["runs"] if run["engine"] == "safeframe" and run["outcome"] == FINISHED]
        found = [_of_run(result, run) for run in runs if run["details"].get("projected_worker_nbytes")]
        if found:
            promises.append(max(found, key=lambda promise: promise.share))
    ordinary = results / "foresight" / "ordinary.json"
    if ordinary.exists():
        promises += [_of_row(row) for row in json.loads(ordinary.read_text()) if row["projected_nbytes"]]
    return sorted(promises, key=lambda promise: (promise.recipe, promise.situation))


def _of_run(result: dict[str, Any], run: dict[str, Any]) -> Promise:
    details = run["details"]
    recipes = re.findall(r"^(\w+): (?:FITS|DOES NOT FIT)", details["plan"], re.MULTILINE)
    return Promise(
        recipe=" and ".join(dict.fromkeys(recipes)),
        situation=result["situation"],
        title=result["title"],
        strategy=details["strategy"],
        measured_nbytes=run["resident_peak_nbytes"],
        projected_nbytes=details["projected_worker_nbytes"],
        limit_nbytes=run["limit_nbytes"],
        planned_rows=details["planned_rows"],
        rows=run["rows"],
        planned_largest_nbytes=details["planned_largest_partition_nbytes"],
        largest_nbytes=run["largest_partition_nbytes"],
    )


def _of_row(row: dict[str, Any]) -> Promise:
    return Promise(
        recipe=row["row"].partition(".")[2] or row["row"],
        situation=f"{row['row']} {row['place']}",
        title=f"{row['row'].partition('.')[0]}, {row['place']}, scale {row['scale']:g}",
        strategy=row["strategy"],
        measured_nbytes=row["peak_nbytes"],
        projected_nbytes=row["ran_projected_nbytes"] or row["projected_nbytes"],
        limit_nbytes=row["allowed_nbytes"],
    )


def page_text(results: Path = RESULTS) -> str:
    """Lay out the page.

    Parameters
    ----------
    results
        The directory with the results.
    """
    promises = read_promises(results)
    shares = sorted(promise.share for promise in promises)
    broken = [promise for promise in promises if promise.share > 1]
    memory = (
        f"In {len(promises) - len(broken)} of {len(promises)} situations the worker stayed within its "
        f"projection; it used {shares[len(shares) // 2]:.0%} of it in the middle one, and {shares[0]:.0%} in "
        "the loosest."
    )
    parts = [
        "<!-- Made by benchmarks/foresight.py from benchmarks/results: change these. -->",
        "# Projected against measured",
        _INTRODUCTION,
        "## Memory of the largest worker",
        memory,
        _broken_text(broken),
        _scatter(promises),
        _memory_table(promises),
        "## Rows",
        "Exact while the different keys fit the capacity of the key statistics; otherwise from a sample.",
        _rows_table(promises),
        "## Largest partition",
        _LARGEST,
        _bytes_table(promises),
        _calibration_text(results / "foresight" / "calibration.json"),
        _trials_text(results / "foresight" / "promise.json"),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _broken_text(broken: list[Promise]) -> str:
    if not broken:
        return ""
    names = ", ".join(f"`{one.situation}` ({one.share - 1:.0%} above)" for one in broken)
    return (
        f"It was **above** in {names}. A result above its projection is a defect of the formula, and stays on "
        "this page until the situation has been run again."
    )


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _memory_table(promises: list[Promise]) -> str:
    rows = [
        (
            f"`{one.recipe}`",
            f"`{one.situation}`: {one.title}",
            one.strategy,
            format_nbytes(one.measured_nbytes),
            format_nbytes(one.projected_nbytes),
            f"**{one.share:.0%}**" if one.share > 1 else f"{one.share:.0%}",
        )
        for one in promises
    ]
    return _table(("recipe", "situation", "strategy", "measured", "projected", "share"), rows)


def _rows_table(promises: list[Promise]) -> str:
    rows = [
        (
            f"`{one.situation}`",
            format_count(one.planned_rows),
            format_count(one.rows),
            "exact" if one.planned_rows == one.rows else f"{one.planned_rows / one.rows - 1:+.2%}",
        )
        for one in promises
        if one.planned_rows and one.rows
    ]
    return _table(("situation", "predicted", "actual", "off by"), rows)


def _bytes_table(promises: list[Promise]) -> str:
    rows = [
        (
            f"`{one.situation}`",
            format_nbytes(one.planned_largest_nbytes),
            format_nbytes(one.largest_nbytes),
            "several partitions in a file"
            if one.largest_nbytes > one.planned_largest_nbytes
            else f"{one.largest_nbytes / one.planned_largest_nbytes:.0%}",
        )
        for one in promises
        if one.planned_largest_nbytes and one.largest_nbytes
    ]
    return _table(("situation", "planned at most", "largest written", "share"), rows)


def _scatter(promises: list[Promise]) -> str:
    """Draw measured against projected, with the line that no point should be above."""
    size, left, bottom = 420, 56, 44
    top = math.ceil(max(max(p.measured_nbytes, p.projected_nbytes) for p in promises) / MIB / 100) * 100

    def x(mib: float) -> float:
        return left + mib / top * size

    def y(mib: float) -> float:
        return 14 + size - mib / top * size

    shapes = [f'<rect class="sf-outline" x="{left}" y="14" width="{size}" height="{size}"/>']
    for mib in range(0, top + 1, 100):
        shapes.append(f'<text x="{x(mib):.0f}" y="{14 + size + 18}" text-anchor="middle">{mib}</text>')
        shapes.append(f'<text x="{left - 8}" y="{y(mib) + 4:.0f}" text-anchor="end">{mib}</text>')
    shapes.append(
        f'<line class="sf-line" x1="{x(0):.0f}" y1="{y(0):.0f}" x2="{x(top):.0f}" y2="{y(top):.0f}"/>'
    )
    shapes.append(
        f'<text x="{x(top * 0.60):.0f}" y="{y(top * 0.66):.0f}" text-anchor="end">measured = projected</text>'
    )
    for one in promises:
        at = f'cx="{x(one.projected_nbytes / MIB):.1f}" cy="{y(one.measured_nbytes / MIB):.1f}"'
        kind = "sf-point sf-broken" if one.share > 1 else "sf-point"
        shapes.append(f'<circle class="{kind}" {at} r="4.5"><title>{escape(one.situation)}</title></circle>')
    shapes.append(
        f'<text x="{left + size / 2}" y="{14 + size + 38}" text-anchor="middle">projected, MiB a worker</text>'
    )
    middle = 14 + size / 2
    shapes.append(
        f'<text transform="rotate(-90 14 {middle})" x="14" y="{middle}" text-anchor="middle">'
        "measured, MiB a worker</text>"
    )
    width, height = left + size + 20, 14 + size + bottom
    below = sum(one.share <= 1 for one in promises)
    text = (
        f"Scatter plot of {len(promises)} situations, measured against projected memory of the largest worker in "
        f"MiB. {below} points are on or below the diagonal, {len(promises) - below} above."
    )
    return (
        f'<figure class="sf-figure"><div class="sf-scroll"><svg class="sf-drawing sf-square" viewBox="0 0 {width} '
        f'{height}" role="img" style="max-width: {width}px" aria-label="{text}">{"".join(shapes)}</svg></div></figure>'
    )


def _calibration_text(path: Path) -> str:
    if not path.exists():
        return ""
    result = json.loads(path.read_text())
    rows, counted = [], []
    for shape in result["shapes"].values():
        for what, one in shape["counted"].items():
            counted.append(one)
            width, error = one["mean_width_fraction"] / 2, one["mean_error_fraction"]
            half = f"{one['held_by_half'] / one['joins']:.0%}"
            rows.append(
                (
                    shape["title"],
                    what,
                    f"{one['held']} of {one['joins']}",
                    half,
                    f"±{width:.1%}",
                    f"{error:.1%}",
                )
            )
    joins, held, half = (sum(one[name] for one in counted) for name in ("joins", "held", "held_by_half"))
    text = (
        "Past the capacity of the key statistics, rows are an interval. Plans rely on its upper end, so that it is "
        "four standard deviations wide to either side; two are meant to hold the truth 95 times in 100. "
        f"{result['seeds']} joins of each kind, each with keys of its own, of {format_count(result['rows'])} rows "
        f"and {format_count(result['keys'])} keys at a capacity of {format_count(result['capacity'])}: the truth was in "
        f"**{held / joins:.1%}** of {format_count(joins)} intervals, and in the inner half of **{half / joins:.1%}**. "
        f"`python benchmarks/calibration.py --seeds {result['seeds']}` counts again."
    )
    head = ("keys", "what", "in the interval", "in its inner half", "mean interval", "mean error")
    return "\n\n".join(["## Intervals of sampled keys", text, _table(head, rows)])


def _trials_text(path: Path) -> str:
    """Lay out what was seen of trials on random data (``python -m tests.promise``)."""
    if not path.exists():
        return ""
    trials = json.loads(path.read_text())
    ran = [one for one in trials if one["projected_nbytes"]]
    by_recipe: dict[str, list[float]] = {}
    for one in ran:
        by_recipe.setdefault(one["recipe"], []).append(one["measured_nbytes"] / one["projected_nbytes"])
    shares = sorted(share for some in by_recipe.values() for share in some)
    refused = sum(bool(one["refused"]) for one in trials)
    broken = sum(one["broken"] for one in trials)
    text = (
        f"{len(trials)} frames that a seed chose (types, widths, nulls, skew, sizes of files and row groups), with a recipe and "
        "workers that it chose (1 to 4 of them, 1 to 4 threads, 384 MiB to 4 GiB each), which the kernel held to "
        f"their size. {refused} were refused before a row moved, and {broken} broke a promise: more memory than projected or "
        f"allowed, a pause, another number of rows than pandas has. Of what was projected, {shares[len(shares) // 10]:.0%} was "
        f"used in the lowest tenth of the others, {shares[len(shares) // 2]:.0%} in the middle one and {shares[-1]:.0%} in the "
        "highest. `python -m tests.promise` goes on from any seed."
    )
    rows = [
        (
            f"`{recipe}`",
            str(len(some)),
            f"{sorted(some)[len(some) // 2]:.0%}",
            f"{max(some):.0%}",
        )
        for recipe, some in sorted(by_recipe.items())
    ]
    head = ("recipe", "trials", "share of the projection, middle", "highest")
    return "\n\n".join(["## Data that nobody chose", text, _table(head, rows)])


def main() -> None:
    """Write the page."""
    PAGE.write_text(page_text())


if __name__ == "__main__":
    main()
