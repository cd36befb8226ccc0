"""Results as JSON, a table and a picture.

Covers: what one run gave, in one shape for all engines; the summary of several runs;
``<situation>.json``, ``table.md`` of all situations, ``<situation>.png``.
Does not cover: making the figures (:mod:`benchmarks.run`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from safeframe.units import format_count, format_nbytes

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Run", "Summary", "read_results", "summarise", "write_readme", "write_results"]

FINISHED = "finished"

_HEAD = (
    "engine",
    "outcome",
    "seconds",
    "resident peak",
    "projected peak",
    "group peak",
    "kernel kills",
    "restarts",
    "tasks run again",
    "rows",
    "largest partition",
)


_README_BEGIN, _README_END = "<!-- benchmarks:begin -->", "<!-- benchmarks:end -->"


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One engine, once."""

    engine: str
    """Which."""
    outcome: str
    """``finished``; ``disturbed`` when it ended only after kills, restarts or repeated
    tasks; ``wrong`` when the result is not the join; else what ended it."""
    seconds: float | None = None
    """Time it took; None when it did not end well."""
    resident_peak_nbytes: int = 0
    """Most resident memory of the largest worker, or of the one process, in bytes."""
    group_peak_nbytes: int = 0
    """Most that its memory group held, page cache included, in bytes; 0 when unknown."""
    enforced_by: str = "dask only"
    """Who held it to its size."""
    limit_nbytes: int = 0
    """What a worker, or the one process, was told to keep to, in bytes."""
    oom_kills: int = 0
    """Processes that the kernel killed."""
    restarts: int = 0
    """Workers that were replaced."""
    reruns: int = 0
    """Tasks that were run again."""
    rows: int | None = None
    """Rows that came out; None when nothing did."""
    largest_partition_nbytes: int | None = None
    """Largest output partition in memory, in bytes; None for engines without partitions."""
    details: dict[str, Any] = field(default_factory=dict)
    """Everything else that was seen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """One engine, over its repetitions: medians of what finished, the worst of the rest."""

    engine: str
    outcome: str
    runs: int
    seconds: float | None
    resident_peak_nbytes: int
    group_peak_nbytes: int
    projected_worker_nbytes: int | None
    limit_nbytes: int
    oom_kills: int
    restarts: int
    reruns: int
    rows: int | None
    largest_partition_nbytes: int | None
    partition_nbytes: int | None


def summarise(runs: list[Run]) -> list[Summary]:
    """Fold repetitions, keeping the order of engines."""
    by_engine: dict[str, list[Run]] = {}
    for run in runs:
        by_engine.setdefault(run.engine, []).append(run)
    return [_summarise_one(engine, its_runs) for engine, its_runs in by_engine.items()]


def _summarise_one(engine: str, runs: list[Run]) -> Summary:
    # One bad run among good ones is the engine's outcome: memory-safe means every time.
    bad = [run for run in runs if run.outcome != FINISHED]
    seconds = [run.seconds for run in runs if run.seconds is not None]
    shown = bad[0] if bad else runs[0]
    return Summary(
        engine=engine,
        outcome=shown.outcome,
        runs=len(runs),
        seconds=median(seconds) if seconds else None,
        resident_peak_nbytes=max(run.resident_peak_nbytes for run in runs),
        group_peak_nbytes=max(run.group_peak_nbytes for run in runs),
        projected_worker_nbytes=shown.details.get("projected_worker_nbytes"),
        limit_nbytes=shown.limit_nbytes,
        oom_kills=max(run.oom_kills for run in runs),
        restarts=max(run.restarts for run in runs),
        reruns=max(run.reruns for run in runs),
        rows=shown.rows,
        largest_partition_nbytes=shown.largest_partition_nbytes,
        partition_nbytes=shown.details.get("partition_nbytes"),
    )


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
        "summary": [asdict(summary) for summary in summarise(runs)],
        "runs": [asdict(run) for run in runs],
    }
    path = directory / f"{name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    table = directory / "table.md"
    table.write_text("\n".join(_section(result) for result in read_results(directory)))
    picture = directory / f"{name}.png"
    _plot(result, picture)
    return [path, table, picture]


def write_readme(readme: Path, directory: Path) -> None:
    """Put the figures that matter most between the README's two marks."""
    results = read_results(directory)
    lines = [
        results[0]["limits"],
        "",
        "| what | engine | outcome | seconds | resident peak, of the largest worker or the one process | projected |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for result in results:
        for number, summary in enumerate(Summary(**cells) for cells in result["summary"]):
            _, outcome, seconds, resident, projected, *_ = _row(summary)
            title = "" if number else f"{result['title']}: {format_count(result['expected_rows'])} rows"
            lines.append(f"| {title} | {summary.engine} | {outcome} | {seconds} | {resident} | {projected} |")
    lines += ["", "Every figure is in [benchmarks/results](benchmarks/results/table.md)."]
    before, rest = readme.read_text().split(_README_BEGIN)
    after = rest.split(_README_END)[1]
    readme.write_text(f"{before}{_README_BEGIN}\n" + "\n".join(lines) + f"\n{_README_END}{after}")


def read_results(directory: Path) -> list[dict[str, Any]]:
    """Read every situation's JSON, by name."""
    return [json.loads(path.read_text()) for path in sorted(directory.glob("*.json"))]


def _section(result: dict[str, Any]) -> str:
    cells = [_row(Summary(**summary)) for summary in result["summary"]]
    lines = [
        f"## {result['situation']}",
        "",
        f"{result['title']}. Scale {result['scale']:g}; {format_count(result['expected_rows'])} rows expected.",
        "",
        result["limits"],
        "",
        f"{result['machine']}. Run on {result['date']}; {result['versions']}.",
        "",
        f"| {' | '.join(_HEAD)} |",
        f"|{' --- |' * len(_HEAD)}",
        *(f"| {' | '.join(row)} |" for row in cells),
        "",
    ]
    return "\n".join(lines)


def _row(summary: Summary) -> tuple[str, ...]:
    seconds = "–" if summary.seconds is None else f"{summary.seconds:.1f}"
    if summary.seconds is not None and summary.runs > 1:
        seconds += f" (median of {summary.runs})"
    target = f" of {format_nbytes(summary.partition_nbytes)}" if summary.partition_nbytes else ""
    broken = summary.resident_peak_nbytes > (summary.projected_worker_nbytes or summary.resident_peak_nbytes)
    outcome = summary.outcome if summary.outcome == FINISHED else f"**{summary.outcome}**"
    return (
        summary.engine,
        outcome,
        seconds,
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


def _plot(result: dict[str, Any], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    summaries = [Summary(**summary) for summary in result["summary"]]
    names = [s.engine for s in summaries]
    good = [s.outcome == FINISHED for s in summaries]
    colours = ["#2a6f97" if ok else "#c44536" for ok in good]
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 1.4 + 0.55 * len(names)), sharey=True, constrained_layout=True
    )
    bars = left.barh(names, [s.seconds or 0 for s in summaries], color=colours)
    left.bar_label(
        bars,
        [
            f" {s.seconds:.1f} s"
            if s.seconds and ok
            else f" {s.outcome}, {s.restarts} restarts, {s.oom_kills} kills"
            for s, ok in zip(summaries, good, strict=True)
        ],
    )
    left.set_xlabel("seconds, cluster start excluded")
    left.margins(x=0.25)
    peaks = [s.resident_peak_nbytes / 2**20 for s in summaries]
    bars = right.barh(names, peaks, color=colours)
    right.bar_label(
        bars,
        [f"{peak:,.0f} MiB" for peak in peaks],
        padding=4,
        bbox={"facecolor": "white", "edgecolor": "none"},
    )
    for position, summary in enumerate(summaries):
        limit = summary.limit_nbytes / 2**20
        right.plot([limit, limit], [position - 0.45, position + 0.45], color="black", linewidth=2)
    right.set_xlabel("resident peak in MiB, largest worker; black: limit")
    right.margins(x=0.25)
    left.invert_yaxis()
    figure.suptitle(f"{result['situation']}: {result['title']}", fontsize=10)
    figure.savefig(path, dpi=130)
    plt.close(figure)
