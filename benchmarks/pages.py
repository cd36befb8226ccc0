"""The pages that show results to readers: README, and the site's page of benchmarks.

``python -m benchmarks.pages`` writes them from the committed results; a test holds that
what is committed is what it writes.

Does not cover: the table of every figure (:mod:`benchmarks.markdown`), making figures
(:mod:`benchmarks.run`).
"""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.glance import glance_svg
from benchmarks.markdown import table_text
from benchmarks.output import OUTPUT
from benchmarks.results import read_results
from benchmarks.showcase import ENGINE_NAMES, JOBS, OURS, Comparison, compare
from benchmarks.summaries import FINISHED
from safeframe.units import format_count, format_nbytes, format_seconds

__all__ = ["GROUPS", "pages", "write_pages"]

GROUPS = {
    "How large will a join be?": ("q0",),
    "A join that multiplies its rows": (
        "q3", "q3_hot", "zipf", "question", "question_script", "q4_hundredth", "q4",
    ),
    "Totals of such a join": ("q4_mean_hundredth", "q4_mean"),
    "A join that does not": (
        "b1", "strings", "composite", "j1_q1", "j1_q2", "j1_q3", "j1_q4", "j1_q5", "j1_q6", "tpch_sf3_orders",
        "tpch_sf3_partsupp", "wide_merge",
    ),
    "Order and index": ("q1", "sort_parquet", "wide_sort", "o1_64", "o1_128", "o1_256", "o1_512", "o1_2048"),
    "Values of the rows before": ("q2", "q2_heavy"),
    "Many groups": ("g1", "g1_24gb"),
    "The questions of db-benchmark about groups": (
        *(f"g2_q{number}" for number in range(1, 11)), *(f"g2_1e8_q{number}" for number in range(1, 6)),
    ),
    "Quantiles of groups": ("g4",),
    "Distinct values": ("g3", "g3_counts"),
    "Arrays in other chunks": ("o2_64", "o2_112", "o2_128", "o2_160", "o2_256"),
    "Bags by group": ("o3_8", "o3_64", "o3_512"),
}  # fmt: skip
"""The questions of the page, and the situations that answer each."""

_REGION = re.compile(r"(<!-- figures: (\w+) -->\n).*?(\n<!-- figures: end -->)", re.DOTALL)
# The rest names other strategies, and times of a machine that is shared.
_OUTPUT_LINES = (
    "merge", "strategy", "memory", "staging", "rows", "size", "partitions", "heaviest", "measured",
)  # fmt: skip
_FASTER = "★"
_TIMES = "\N{NO-BREAK SPACE}×"
_FAILED = "✗"


def pages(root: Path) -> dict[Path, str]:
    """Return every file that is made from results, with its text.

    Parameters
    ----------
    root
        The checkout. ``benchmarks/results`` and the parts of README that are not
        generated are read.
    """
    directory = root / "benchmarks" / "results"
    results = read_results(directory)
    comparisons = compare(results)
    readme = root / "README.md"
    parts = {
        "question": _question(comparisons),
        "output": _output((directory / OUTPUT).read_text(encoding="utf-8")),
        "table": _readme_table(comparisons),
    }
    return {
        readme: _filled(readme.read_text(encoding="utf-8"), parts),
        root / "docs" / "benchmarks.md": _page(comparisons),
        directory / "table.md": table_text(results),
        directory / "glance.svg": glance_svg(comparisons),
    }


def write_pages(root: Path) -> list[Path]:
    """Write what :func:`pages` returns, and return the files that changed."""
    changed = {
        path: text
        for path, text in pages(root).items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    }
    for path, text in changed.items():
        path.write_text(text, encoding="utf-8")
    return list(changed)


def _filled(text: str, parts: Mapping[str, str]) -> str:
    return _REGION.sub(lambda found: f"{found[1]}{parts[found[2]]}{found[3]}", text)


# README ------------------------------------------------------------------


def _question(comparisons: Mapping[str, Comparison]) -> str:
    counted, written = comparisons["q0"].ours, comparisons["q4"]
    rows = int(written.result["expected_rows"])
    return (
        f"What nobody told its author: the result has {format_count(rows)} rows. safeframe says so in "
        f"{format_seconds(counted.seconds or 0)} and writes them all in {format_seconds(written.ours.seconds or 0)}, "
        f"on two cores, with {format_nbytes(written.ours.resident_peak_nbytes)} in the fullest of four workers."
    )


def _output(text: str) -> str:
    """Return the lines that are shown of what README's code printed."""
    lines = [
        line for line in text.splitlines() if not line.split() or line.split()[0].rstrip(":") in _OUTPUT_LINES
    ]
    return "\n".join(("```text", *lines, "```"))


def _readme_table(comparisons: Mapping[str, Comparison]) -> str:
    rows = []
    for job in JOBS:
        one = comparisons[job.situation]
        best = one.fastest
        dask = _time(one, "dask")
        if dask == "–" and job.smaller:
            dask = f"{job.smaller_title}: {_time(comparisons[job.smaller], 'dask')}"
        fastest = f"{ENGINE_NAMES[best.engine]}, {format_seconds(best.seconds or 0)}"
        if best.engine != OURS:
            fastest = f"**{fastest}**, {format_nbytes(best.resident_peak_nbytes)}"
        elif len(one.peers) == 0:
            fastest = "no other was run"
        rows.append((job.title, dask, _time(one, OURS), _peak(one), fastest))
    limits = str(comparisons[JOBS[0].situation].result["limits"]).partition(" Enforced")[0]
    return "\n".join(
        (
            *_table(
                ("job", "stock dask", OURS, "peak memory of a worker, of projected", "fastest engine"), rows
            ),
            "",
            f"{limits} {_score(comparisons)} [All figures](docs/benchmarks.md), and how to repeat them.",
        )
    )


def _time(one: Comparison, engine: str) -> str:
    if engine not in one.summaries:
        return "–"
    summary = one.summaries[engine]
    if summary.outcome == FINISHED and summary.seconds is not None:
        return format_seconds(summary.seconds)
    if summary.outcome == "timeout":
        return f"no result in {one.timeout_seconds(engine):g} s"
    return summary.outcome


def _peak(one: Comparison) -> str:
    peak, projected = one.ours.resident_peak_nbytes, one.ours.projected_worker_nbytes
    if projected is None:
        return format_nbytes(peak)
    above = ", **above projected**" if peak > projected else ""
    return f"{format_nbytes(peak)} of {format_nbytes(projected)}{above}"


def _score(comparisons: Mapping[str, Comparison]) -> str:
    """Count who finished and who was faster, over all situations."""
    everyone = comparisons.values()
    of_dask = [one for one in everyone if "dask" in one.summaries]
    finished = sum(one.summaries["dask"].outcome == FINISHED for one in of_dask)
    single = [one for one in everyone if {"duckdb", "polars"} & set(one.peers)]
    faster = sum(one.is_faster("duckdb") or one.is_faster("polars") for one in single)
    ours = sum(one.ours.outcome == FINISHED for one in everyone)
    return (
        f"safeframe finishes {ours} of {len(comparisons)} situations; stock dask {finished} of the {len(of_dask)} that it "
        f"was run on; DuckDB or Polars, in one process with all the memory, are faster in {faster} of {len(single)}."
    )


# The page ----------------------------------------------------------------


def _page(comparisons: Mapping[str, Comparison]) -> str:
    known = {name for names in GROUPS.values() for name in names}
    groups = {**GROUPS, "Others": tuple(sorted(set(comparisons) - known))}
    members = {
        question: [comparisons[name] for name in names if name in comparisons]
        for question, names in groups.items()
    }
    sections = [_section(question, group) for question, group in members.items() if group]
    results = [one.result for one in comparisons.values()]
    limits = dict.fromkeys(str(result["limits"]) for result in results)
    machines = Counter(
        f"{result['machine']}; {re.sub(r'^safeframe [^,]*, ', '', result['versions'])}" for result in results
    )
    return "\n".join(
        (
            "# Benchmarks",
            "",
            f"{_score(comparisons)} Each result was compared with what its inputs call for, key by key.",
            "",
            "```{image} ../benchmarks/results/glance.svg",
            ":alt: Time and memory of safeframe, dask and the best other engine on five jobs, as in the tables below",
            ":width: 100%",
            ":class: dark-light",  # it has colours of its own for either
            "```",
            "",
            (
                "How to read the tables: a line is a situation. Under an engine stands **its time as a multiple of "
                "safeframe's**, so that more than 1 is slower than safeframe."
            ),
            "",
            f"- {_FASTER} faster than safeframe",
            f"- {_FAILED} no result: what ended it, or the time that it was given (and at least what multiple that is)",
            "- – was not run",
            "- worker, of projected: memory at the peak of the fullest worker, of what the plan promised before",
            "- others: memory at the peak of their one process",
            "",
            *(f"{line}\n" for line in limits),
            (
                "Compare ratios, never seconds of two runs: the machine is shared. `benchmarks/README.md` says what each "
                "situation is and how it is measured, `benchmarks/results/table.md` has every figure."
            ),
            "",
            *sections,
            "## Machine and versions",
            "",
            *(f"- {text} ({_plural(count, 'situation')})" for text, count in machines.items()),
            "",
        )
    )


def _section(question: str, group: list[Comparison]) -> str:
    peers = [name for name in ENGINE_NAMES if name != OURS and any(name in one.peers for one in group)]
    singles = [name for name in peers if name in ("duckdb", "polars", "pyarrow")]
    head = ["situation", *(ENGINE_NAMES[name] for name in peers), OURS, "worker, of projected"]
    if singles:
        head.append("others")
    rows = []
    for one in group:
        cells = [f"{one.result['title']} (`{one.result['situation']}`)"]
        cells += [_multiple(one, name) for name in peers]
        cells += [_time(one, OURS), _peak(one)]
        if singles:
            memory = [
                f"{ENGINE_NAMES[name]} {format_nbytes(one.summaries[name].resident_peak_nbytes)}"
                for name in singles
                if name in one.summaries
            ]
            cells.append(", ".join(memory) or "–")
        rows.append(cells)
    return "\n".join(
        (
            f"## {question}",
            "",
            *_table(head, rows),
            "",
            ":::{dropdown} Repeat",
            "In a checkout, with the `bench` extra; leave out the names that you do not want.",
            "",
            "```text",
            *_commands(group),
            "```",
            ":::",
            "",
        )
    )


def _multiple(one: Comparison, engine: str) -> str:
    if engine not in one.summaries:
        return "–"
    ratio = one.ratio(engine)
    if ratio is not None:
        text = f"{ratio:.2f}{_TIMES}" if ratio < 10 else f"{ratio:.0f}{_TIMES}"
        return f"**{text}**\N{NO-BREAK SPACE}{_FASTER}" if one.is_faster(engine) else text
    outcome = one.summaries[engine].outcome
    if outcome != "timeout":
        return f"{_FAILED} {outcome}"
    given = one.timeout_seconds(engine)
    least = given / (one.ours.seconds or given)
    return f"{_FAILED} {given:g} s" + (f", >\N{NO-BREAK SPACE}{least:.3g}{_TIMES}" if least > 1 else "")


def _commands(group: Iterable[Comparison]) -> Iterable[str]:
    """Print what repeats the lines of a group: one command for those that were run alike."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for one in group:
        engines = [name for name in ENGINE_NAMES if name in one.summaries]
        timeouts = {name: int(one.timeout_seconds(name)) for name in engines}
        general = timeouts[OURS]
        others = [f"{name}={seconds}" for name, seconds in timeouts.items() if seconds != general]
        options = [f"--engines {','.join(engines)}", f"--timeout {','.join([str(general), *others])}"]
        if one.result["repeat"] > 1:
            options.append(f"--repeat {one.result['repeat']}")
        if one.result["scale"] != 1:
            options.append(f"--scale {one.result['scale']:g}")
        alike.setdefault(tuple(options), []).append(str(one.result["situation"]))
    for given, names in alike.items():
        lines = textwrap.wrap(" ".join(names), 50)
        yield " \\\n    ".join(
            (f"python benchmarks/run.py {lines[0]}", *lines[1:], *given, "--data /tmp/benchmark-data")
        )


def _table(head: Iterable[Any], rows: Iterable[Iterable[str]]) -> Iterable[str]:
    columns = list(head)
    yield f"| {' | '.join(columns)} |"
    yield f"|{' --- |' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


if __name__ == "__main__":
    for written in write_pages(Path(__file__).resolve().parents[1]):
        print(f"wrote {written}")
