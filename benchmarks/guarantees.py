"""The page of the site that says what happens when something fails, and how often that was tried.

``python -m benchmarks.guarantees`` writes it from the committed total of the fault machine (``tests/faults/machine``).

Covers: the table of what fails, the promise, the test and the last figures; what holds on several hosts; what is kept
of hundreds of runs.
Does not cover: trying it (``python -m tests.faults.machine``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safeframe.units import format_count
from tests.soak.watch import Look, growth_per_hundred, warm_looks

__all__ = ["PROMISES", "main", "page_text"]

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "faults" / "machine.json"
SOAK = RESULTS.with_name("soak.json")
PAGE = ROOT / "docs" / "concepts" / "guarantees.md"

_SAME = "the result is that of pandas"
_STAGED = "`StagingError`, or the result is that of pandas"
_CHANGED = "`RowConservationError`, or the rows of the files as they were, or as they are"

PROMISES = {
    "a worker is killed": (_SAME, "test_adopted_files"),
    "two workers are killed": (_SAME, ""),
    "a worker stops for seconds": (_SAME, ""),
    "a worker stops, is given up, goes on": (_SAME, "test_staging_sessions"),
    "a worker is added": (_SAME, ""),
    "a worker is retired": (_SAME, ""),
    "a neighbour's task kills a worker": (_SAME, "test_lost_worker"),
    "the client is interrupted": ("`KeyboardInterrupt`, and nothing of the run is left", ""),
    "the client is killed": ("the next run removes what is left", "test_staging_sessions"),
    "the scheduler is killed": ("dask's own error; the next run removes what is left", ""),
    "a bit of a staged file is flipped": (f"{_STAGED}; never other rows", "test_sort_exchange_faults"),
    "a staged file is truncated": (
        "`StagingError` or `RowConservationError`, or the result is that of pandas", "test_fetch",
    ),
    "staged files are exchanged": (f"{_STAGED}; never other rows", "test_fetch"),
    "a staged file is removed": (_STAGED, ""),
    "the staging directory is removed": (_STAGED, "test_staging_sessions"),
    "the staging disk is full": ("`StagingFullError`, or the result is that of pandas", "test_staging_faults"),
    "the output disk is full": (
        "`StagingFullError`, and what was there before is there still", "test_to_parquet_faults",
    ),
    "an input file changes before the run": (_CHANGED, "test_changed_files"),
    "an input file changes during the run": (_CHANGED, ""),
    "an input file is removed before the run": ("`RowConservationError`", "test_changed_files"),
    "an input file is removed during the run": (
        "`FileNotFoundError` of the reader or `RowConservationError`, or the result is that of pandas", "",
    ),
    "the object store answers 500, a few times": (_SAME, "test_object_store_errors"),
    "the object store throttles, a few times": (_SAME, "test_object_store_errors"),
    "the object store answers late": (_SAME, ""),
    "the object store drops connections, a few times": (_STAGED, "test_object_store_errors"),
    "the object store fails for good": (_STAGED, "test_object_store_staging"),
    "reads of the input answer 500, a few times": (_SAME, ""),
    "reads of the input are throttled, a few times": (_SAME, ""),
    "reads of the input answer late": (_SAME, ""),
    "reads of the input fail for good": ("`OSError` of the reader, or the result is that of pandas", ""),
}  # fmt: skip
"""What is promised under each fault, and the test that shows it next to the machine."""

HOSTS = {
    "hosts share an object store, and no directory": (_SAME, "tests/hosts/test_recipes"),
    "a cluster grows from one host to three while a merge runs, with rows in an object store": (
        f"{_SAME}; the new hosts take tasks", "tests/hosts/test_adaptive",
    ),
    "a staging directory, or one to write to, is another one on some host": (
        "`StagingError` before a row is moved; of a write that is computed later `RowConservationError` at its end", "tests/hosts/test_staging",
    ),
    "no staging directory is named, and hosts have none in common": (
        "none is chosen; the plan says why", "tests/hosts/test_staging",
    ),
    "a host joins that does not reach the staging directory": (
        "`StagingError` with the host and the directory, or the result is that of pandas", "tests/hosts/test_adaptive",
    ),
}  # fmt: skip
"""What is promised where workers are on several hosts, and the test that shows it."""

_HEAD = """# Guarantees

A run ends in one of two ways: with the rows that pandas has, or with an error that says why. Rows that
are wrong, a wait without an end and files that nobody removes are bugs.

- **Rows.** Every exchange counts what goes in and what comes out, and compares the keys with those of the plan.
- **Checksums.** Each piece of a staged file, of rows or of an array, and its index, has a checksum that is compared whenever it is
  read; a table that workers map is compared once in each process.
- **Output.** `safeframe.to_parquet` to a local directory shows all of the old files or all of the new ones.
- **Memory.** A worker stays below what the plan projects; [foresight](../foresight.md) compares the two.
- **Nothing is left.** Staged rows go with the run; what a killed process leaves goes with the next run in the
  same place.

## When something fails

The fault machine runs every recipe on three worker processes with small data, lets one thing fail at a moment that
a seed decides, compares the result with pandas, runs once more in the same place, and looks at what is left.
"""
_TAIL = """
*met*: the fault struck, and found what it acts on. *run again*: tasks that had ended, and ran once more, of all that
ended; *lost* are results that went with a worker. *staged again*: files that were written on top of those that a run without
a fault writes, of all, in trials that count them. A task whose result was lost is run again, and takes the file that it has finished, where
that is whole and its input, local parquet files, has not changed; a manifest that was lost is made again of those. What is not finished is
repeated, and an exchange as a whole where its files are gone: once all had been read that a persisted result, or a file of a write, was made of.

`python -m tests.faults.machine --from-seed N` repeats a trial, as far as processes can: seeds decide what
happens when, not in which order workers come to it. `--minutes 120 --out benchmarks/results/faults/machine.json` goes on
from the last seed, and adds to the table.
"""
_HOSTS_HEAD = """
## Several hosts

Each worker has a network, an address, a name and directories of its own (namespaces of Linux), and client and scheduler are on a
further host.

| what is so | what safeframe promises | which test shows it |
| --- | --- | --- |
"""
_SOAK = """
## After hundreds of runs

`python -m tests.soak` runs recipes of twenty random shapes in turns, by two clients of one cluster, while a second process with a
cluster of its own does so in the same staging directory. From the {first}th run to the {last}th the client's memory
grew by {client}, a worker's by {worker} in a hundred runs; open files were {handles[0]} and {handles[1]} in the client, {workers[0]} and
{workers[1]} in a worker; the scheduler had no task left. Set aside is what dask itself keeps of each graph: how long its tasks took
(spans, metrics), names of tasks, its logs and its profile.
"""
_LIMITS = """
## What is not promised

- **Power cuts.** Nothing is flushed to the disk (`fsync`): files outlive processes, not the machine.
- **Sessions of other hosts in an object store.** Nobody can tell whether they live; a lifecycle rule removes them.
- **More than three lost workers under one task.** dask gives such a task up (`allowed-failures`).
"""


def page_text(results: Path = RESULTS) -> str:
    """Return the page."""
    total = json.loads(results.read_text(encoding="utf-8"))
    lines = [
        _HEAD,
        _summary(total),
        "",
        "| what fails | what safeframe promises | which test shows it | last figures |",
        "| --- | --- | --- | --- |",
    ]
    for name, (promise, test) in PROMISES.items():
        tests = "machine" + (f", `{test}`" if test else "")
        lines.append(f"| {name} | {promise} | {tests} | {_figures(total['faults'].get(name))} |")
    hosts = "".join(f"| {name} | {promise} | `{test}` |\n" for name, (promise, test) in HOSTS.items())
    return "\n".join(lines) + "\n" + _TAIL + _HOSTS_HEAD + hosts + _kept() + _LIMITS


def _kept() -> str:
    """Return what was left of runs, from the committed looks at a cluster."""
    looks = [Look(**one) for one in json.loads(SOAK.read_text(encoding="utf-8"))]
    warm = warm_looks(looks)
    growth = [
        f"{growth_per_hundred(warm, name) / 2**20:.1f} MiB" for name in ("client_nbytes", "worker_nbytes")
    ]
    first, last = warm[0], warm[-1]
    return _SOAK.format(
        first=first.runs,
        last=last.runs,
        client=growth[0],
        worker=growth[1],
        handles=(first.client_handles, last.client_handles),
        workers=(first.worker_handles, last.worker_handles),
    )


def _summary(total: dict[str, Any]) -> str:
    last = total["last_failure"]
    text = f"**{format_count(total['trials'])} trials so far, {format_count(total['failed'])} failed.**"
    if last:
        reasons = "; ".join(f"`{reason}`" for reason in last["failures"]).replace("|", "/")
        text += f" The last one that did: {last['what']} ({reasons}). Those that failed stay counted once they are mended."
    return text


def _figures(one: dict[str, Any] | None) -> str:
    if one is None:
        return "–"
    ended = [f"{one['equal']} equal"] if one["equal"] else []
    ended += [f"{count} {name}" for name, count in sorted(one["errors"].items())]
    text = f"{one['met']} of {one['trials']} met: {', '.join(ended)}"
    if one["failed"]:
        text += f"; **{one['failed']} failed**"
    if one["again"]:
        text += f"; {one['again']} of {one['tasks']} tasks run again, {one['lost']} lost, most in a trial {one['most_again']}"
    if one.get("files_again"):
        text += f"; {one['files_again']} of {one['files']} files staged again"
    return text


def main() -> None:
    """Write the page."""
    PAGE.write_text(page_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
