"""Run engines side by side on a situation: ``python benchmarks/run.py q3 --data DIR``.

Covers: each engine in a process of its own, under its limit, one after another and
round by round; its seconds, memory, kills, restarts; whether its result is right.
Does not cover: what an engine does (:mod:`benchmarks.engines`), or how figures are
shown (:mod:`benchmarks.results`).
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if not __package__:  # started as a file, which puts this directory and not its parent on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import psutil
from dask.utils import parse_bytes

from benchmarks.check import Check, check_output
from benchmarks.check_collections import CollectionCheck, check_collection
from benchmarks.check_distinct import check_distinct
from benchmarks.check_groups import check_groups
from benchmarks.check_hashes import check_tpch
from benchmarks.check_lags import check_lags
from benchmarks.check_order import OrderCheck, check_ordered_files, check_partitions
from benchmarks.engines import ENGINES, ON_CLUSTER, Request
from benchmarks.groups import Group, Hierarchy, find_hierarchy, sweep
from benchmarks.results import FINISHED, Run, summarise, write_results
from benchmarks.situations import (
    SITUATIONS,
    AnyDataset,
    CollectionDataset,
    Dataset,
    DistinctDataset,
    GroupDataset,
    LagDataset,
    TpchDataset,
)
from benchmarks.totals import Totals
from benchmarks.watch import Watcher
from safeframe.units import format_count, format_nbytes

if TYPE_CHECKING:
    from collections.abc import Iterator

N_WORKERS = 4
HARD = "1GiB"
LIMIT = "598MiB"
PEER_HARD = "4GiB"
PEER_MEMORY = "3GB"
_GRACE_SECONDS = 60
_PACKAGES = ("safeframe", "dask", "distributed", "pandas", "pyarrow", "duckdb", "polars")


def main(argv: list[str] | None = None) -> int:
    """Run what the command line asks for; 0 when every result that came out is right."""
    options = _parser().parse_args(argv)
    hierarchy = find_hierarchy()
    if hierarchy is not None:
        sweep(hierarchy)
    correct = True
    for name in options.situations:
        dataset = SITUATIONS[name].scaled(options.scale).materialise(options.data)
        runs: list[Run] = []
        for turn in range(options.repeat):
            for engine in options.engines:
                if engine not in dataset.situation.engines:
                    continue
                # An engine that did not finish is not waited for again.
                if any(run.engine == engine and run.seconds is None for run in runs):
                    continue
                run = _run(engine, dataset, options, hierarchy)
                runs.append(run)
                _say(f"{name} {engine} {turn + 1}/{options.repeat}: {_line(run)}")
        for path in write_results(options.out, _facts(dataset, options, hierarchy), runs):
            _say(f"wrote {path}")
        correct &= all(run.outcome != "wrong" for run in runs)
        for summary in summarise(runs, dataset.situation.nbytes):
            _say(f"{name} {summary.engine}: {summary.outcome}, {summary.seconds or '–'} s")
    return 0 if correct else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("situations", nargs="+", choices=sorted(SITUATIONS), metavar="SITUATION")
    parser.add_argument("--data", type=Path, required=True, help="directory for generated tables")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="for results")
    parser.add_argument("--engines", type=_engines, default=ENGINES, help=",".join(ENGINES))
    parser.add_argument("--repeat", type=int, default=1, help="rounds; medians are shown")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full tables")
    parser.add_argument(
        "--timeout",
        type=_timeouts,
        default=_timeouts("300"),
        metavar="SECONDS[,ENGINE=SECONDS...]",
        help="seconds for each run, and for the runs of single engines",
    )
    return parser


def _engines(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = set(names) - set(ENGINES)
    if unknown:
        msg = f"{sorted(unknown)} not in {ENGINES}"
        raise argparse.ArgumentTypeError(msg)
    return names


def _timeouts(text: str) -> dict[str, int]:
    given = dict(item.split("=") for item in text.split(",") if "=" in item)
    general = [item for item in text.split(",") if "=" not in item]
    _engines(",".join(given) or ENGINES[0])
    if len(general) > 1:
        msg = f"{len(general)} general timeouts in {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return {engine: int(given.get(engine, *(general or ["300"]))) for engine in ENGINES}


def _run(engine: str, dataset: AnyDataset, options: argparse.Namespace, hierarchy: Hierarchy | None) -> Run:
    on_cluster = engine in ON_CLUSTER
    limit_nbytes = parse_bytes(LIMIT if on_cluster else PEER_HARD)
    situation = dataset.situation
    needed = dataset.needed_nbytes
    # Workers spill where temporary files go, all else is below the data.
    free = min(shutil.disk_usage(place).free for place in (options.data, tempfile.gettempdir()))
    if needed > free:
        why = f"the run may take {format_nbytes(needed)} of disk, and {format_nbytes(free)} are free"
        return Run(engine=engine, outcome="no room", limit_nbytes=limit_nbytes, details={"detail": why})
    _warm(dataset)
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="run-", dir=options.data)))
        # What one engine wrote must not be flushed on the next one's time.
        stack.callback(os.sync)
        output = scratch / "output"
        output.mkdir()
        request = Request(
            engine=engine,
            situation=situation.name,
            scale=situation.scale,
            data=str(options.data),
            output=str(output),
            scratch=str(scratch),
            answer=str(scratch / "answer.json"),
            timeout_seconds=options.timeout[engine],
            n_workers=N_WORKERS,
            hard=HARD,
            limit=LIMIT,
            peer_memory=PEER_MEMORY,
        )
        # A cluster's workers make groups of their own; this one then holds scheduler and client.
        group = stack.enter_context(_group(hierarchy, None if on_cluster else parse_bytes(PEER_HARD)))
        answer, watcher = _child(request, group)
        figures = _figures(answer, watcher, group, hierarchy)
        check = None if "error" in answer else _check(dataset, answer, output, scratch)
        return _judge(engine, dataset, answer, figures, check, limit_nbytes)


@contextlib.contextmanager
def _group(hierarchy: Hierarchy | None, hard_nbytes: int | None) -> Iterator[Group | None]:
    if hierarchy is None:
        yield None
        return
    group = hierarchy.group(f"{hierarchy.new_prefix()}-engine", hard_nbytes=hard_nbytes)
    try:
        yield group
    finally:
        group.remove()


def _child(request: Request, group: Group | None) -> tuple[dict[str, Any], Watcher]:
    command = [sys.executable, "-m", "benchmarks.engines", json.dumps(asdict(request))]
    root = str(Path(__file__).resolve().parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    log = Path(request.scratch, "log")
    with log.open("wb") as sink:
        process = subprocess.Popen(
            group.command(command) if group else command,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        watcher = Watcher(lambda: {"process": process.pid})
        watcher.start()
        try:
            process.wait(request.timeout_seconds + _GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            # The session is the child's own: its workers go with it, whatever state they are in.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            watcher.stop()
    try:
        return json.loads(Path(request.answer).read_text()), watcher
    except (OSError, ValueError):
        return {
            "error": f"ended by signal {-process.returncode}" if process.returncode < 0 else "crash",
            "detail": log.read_text(errors="replace")[-2000:],
        }, watcher


def _figures(
    answer: dict[str, Any], watcher: Watcher, group: Group | None, hierarchy: Hierarchy | None
) -> dict[str, Any]:
    """Fold what the child saw of its cluster with what was seen of the child."""
    tight = answer.get("tight")
    if tight is not None:
        return {
            "resident_peak_nbytes": max(tight["resident_peak_nbytes"].values(), default=0),
            "group_peak_nbytes": tight["cgroup_peak_nbytes"],
            "enforced_by": tight["enforced_by"],
            "oom_kills": tight["oom_kills"],
            "restarts": max(tight["restarts"], tight["workers_lost"]),
            "reruns": tight["reruns"],
        }
    return {
        "resident_peak_nbytes": watcher.peak_nbytes.get("process", 0),
        "group_peak_nbytes": group.peak_nbytes() if group else 0,
        "enforced_by": hierarchy.enforcement if hierarchy else "nobody",
        "oom_kills": group.oom_kills() if group else 0,
    }


def _check(
    dataset: AnyDataset, answer: dict[str, Any], output: Path, scratch: Path
) -> Check | OrderCheck | CollectionCheck | None:
    """Look at what came out; None where that is but a number, in the answer."""
    if isinstance(dataset, CollectionDataset):
        return check_collection(dataset, answer)
    if isinstance(dataset, Dataset):
        return check_output(dataset, output, scratch=scratch) if dataset.situation.writes else None
    if isinstance(dataset, TpchDataset):
        return check_tpch(dataset, output, scratch=scratch)
    if isinstance(dataset, GroupDataset):
        return check_groups(dataset, output, scratch=scratch)
    if isinstance(dataset, LagDataset):
        return check_lags(dataset, output, scratch=scratch, ordered=answer.pop("ordered"))
    if isinstance(dataset, DistinctDataset):
        return check_distinct(dataset, output, scratch=scratch, distinct=answer.get("distinct"))
    divisions = answer.pop("divisions")
    divisions = None if divisions is None else tuple(divisions)
    if dataset.situation.writes:
        return check_ordered_files(dataset, output, divisions)
    # Taken out: results would be long lists of partitions.
    partitions = [Totals(**part) for part in answer.pop("partitions")]
    return check_partitions(dataset, partitions, divisions)


def _judge(
    engine: str,
    dataset: AnyDataset,
    answer: dict[str, Any],
    figures: dict[str, Any],
    check: Check | OrderCheck | CollectionCheck | None,
    limit_nbytes: int,
) -> Run:
    rows = check.rows if check else answer.pop("rows", None)
    correct = check.correct if check else rows == dataset.truth.rows
    if "error" in answer:
        killed = figures["oom_kills"] and engine not in ON_CLUSTER
        outcome = "out of memory (killed by the kernel)" if killed else answer["error"]
    elif not correct:
        outcome = "wrong"
    elif any(figures.get(name) for name in ("oom_kills", "restarts", "reruns")):
        outcome = "disturbed"
    elif isinstance(check, OrderCheck) and check.shortcomings:
        outcome = "not as asked: " + ", ".join(check.shortcomings)
    else:
        outcome = FINISHED
    with_partitions = engine in ON_CLUSTER and not answer.get("without_rows")
    files = check if isinstance(check, (Check, OrderCheck)) and with_partitions else None
    return Run(
        engine=engine,
        outcome=outcome,
        seconds=answer.pop("seconds", None),
        rows=rows,
        limit_nbytes=limit_nbytes,
        largest_partition_nbytes=files.largest_file_rows * dataset.situation.output_row_nbytes
        if files
        else None,
        details={**answer, "check": asdict(check) if check else None},
        **figures,
    )


def _warm(dataset: AnyDataset) -> None:
    """Read the inputs once, so that no engine is the one that finds them on disk."""
    for path in sorted(dataset.directory.rglob("*.parquet")):
        with path.open("rb") as file:
            while file.read(2**24):
                pass


def _facts(dataset: AnyDataset, options: argparse.Namespace, hierarchy: Hierarchy | None) -> dict[str, Any]:
    situation = dataset.situation
    enforcement = hierarchy.enforcement if hierarchy else "dask only"
    return {
        "situation": situation.name,
        "title": situation.title,
        "family": situation.family,
        "nbytes": situation.nbytes,
        "scale": situation.scale,
        "expected_rows": dataset.truth.rows,
        "truth": asdict(dataset.truth),
        "repeat": options.repeat,
        "timeout_seconds": options.timeout,
        "limits": (
            f"safeframe and dask: {N_WORKERS} workers of one thread, {HARD} each by the kernel and {LIMIT} by "
            f"dask; DuckDB and Polars: one process, {PEER_HARD}. Enforced by: {enforcement}."
        ),
        "enforced_by": enforcement,
        "machine": (
            f"{os.cpu_count()} cores, {format_nbytes(psutil.virtual_memory().total)}, "
            f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
        ),
        "versions": ", ".join(f"{name} {_version(name)}" for name in _PACKAGES),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(checkout)"


def _line(run: Run) -> str:
    parts = [run.outcome]
    parts += [f"{run.seconds:.1f} s"] if run.seconds is not None else []
    parts += [
        f"resident {format_nbytes(run.resident_peak_nbytes)}",
        f"group {format_nbytes(run.group_peak_nbytes)}",
    ]
    parts += [f"{run.oom_kills} kills, {run.restarts} restarts, {run.reruns} reruns"]
    parts += [f"{format_count(run.rows)} rows"] if run.rows is not None else []
    parts += [str(run.details["detail"])[:300]] if "detail" in run.details else []
    return "; ".join(parts)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
