"""What recipes do on ordinary data and small workers: ``python benchmarks/ordinary.py --data DIR``.

Covers: every recipe on ids, TPC-H's lines and a table of 200 columns, each in a process of its own, on a
cluster of small workers or with none; whether it finishes, its peak against what was projected and
allowed, pauses and restarts, seconds; whether its result is right.
Does not cover: other engines (:mod:`benchmarks.run`), or what is done (:mod:`benchmarks.ordinary_rows`).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

if not __package__:  # started as a file, which puts this directory and not its parent on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from dask.utils import parse_bytes

from benchmarks.groups import find_hierarchy, sweep
from benchmarks.ordinary_check import find_fault
from benchmarks.ordinary_rows import ROWS, make_data, start_recipe
from benchmarks.ordinary_table import Result, table_text

_GRACE_SECONDS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a row runs."""

    n_workers: int
    """Worker processes; 0 for this process and its threads."""
    threads: int
    """Threads of each."""
    limit: str
    """Memory that dask is told each has."""
    hard: str
    """Memory that the kernel lets each have."""


PLACES = {
    "4x1": Place(n_workers=4, threads=1, limit="598MiB", hard="1GiB"),
    "2x2": Place(n_workers=2, threads=2, limit="1GiB", hard="1536MiB"),
    "alone": Place(n_workers=0, threads=2, limit="2GiB", hard="2GiB"),
}
"""Where rows run, by name."""


def main(argv: list[str] | None = None) -> int:
    """Run what the command line asks for; 0 when every row keeps what its plan promised."""
    options = _parser().parse_args(argv)
    if options.child:
        _child(json.loads(options.child))
        return 0
    options.data.mkdir(parents=True, exist_ok=True)
    hierarchy = find_hierarchy()
    if hierarchy is not None:
        sweep(hierarchy)
    wanted = [row for name, row in ROWS.items() if any(name.startswith(only) for only in options.only)]
    results = _known(options.json)
    for place in options.places:
        for row in wanted:
            result = _run(row.name, place, options)
            results[f"{row.name} {place}"] = result
            print(result.line(), flush=True)
            if options.json:
                options.json.write_text(
                    json.dumps({key: asdict(one) for key, one in results.items()}, indent=1)
                )
            if options.table:
                options.table.write_text(table_text(list(results.values())))
    return 0 if all(result.kept for result in results.values()) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="directory for generated tables")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the files; each is of full size")
    parser.add_argument(
        "--only", type=_names, default=("",), help="rows, or how their names begin: strings,tpch.merge"
    )
    parser.add_argument("--places", type=_places, default=tuple(PLACES), help=",".join(PLACES))
    parser.add_argument("--timeout", type=int, default=300, help="seconds for each row")
    parser.add_argument("--json", type=Path, help="results, added to what is there")
    parser.add_argument("--table", type=Path, help="a markdown table of all results in --json")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _places(text: str) -> tuple[str, ...]:
    unknown = set(text.split(",")) - set(PLACES)
    if unknown:
        msg = f"{sorted(unknown)} not in {tuple(PLACES)}"
        raise argparse.ArgumentTypeError(msg)
    return tuple(text.split(","))


def _known(path: Path | None) -> dict[str, Result]:
    if path is None or not path.exists():
        return {}
    return {key: Result(**found) for key, found in json.loads(path.read_text()).items()}


def _run(name: str, place: str, options: argparse.Namespace) -> Result:
    row = ROWS[name]
    dataset = make_data(row.situation, options.scale, options.data)
    hierarchy = find_hierarchy()
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="run-", dir=options.data)))
        output = scratch / "output"
        request = {
            "row": name, "place": place, "scale": options.scale, "data": str(options.data),
            "output": str(output), "answer": str(scratch / "answer.json"), "scratch": str(scratch),
        }  # fmt: skip
        command = [sys.executable, "-m", "benchmarks.ordinary", "--child", json.dumps(request)]
        if hierarchy is not None and not PLACES[place].n_workers:
            hard = parse_bytes(PLACES[place].hard)
            group = hierarchy.group(f"{hierarchy.new_prefix()}-ordinary", hard_nbytes=hard)
            stack.callback(group.remove)
            command = group.command(command)
        answer = _answer(command, scratch, options.timeout)
        fault = ""
        if not answer.get("error"):
            fault = find_fault(row, dataset, output, scratch)
        return Result(
            row=name, place=place, scale=options.scale, commit=_commit(), at=time.strftime("%H:%M"),
            load=round(os.getloadavg()[0], 1), fault=fault, **answer,
        )  # fmt: skip


def _answer(command: list[str], scratch: Path, timeout: int) -> dict[str, Any]:
    root = str(Path(__file__).resolve().parents[1])
    environment = {**os.environ, "PYTHONPATH": root, "TMPDIR": str(scratch)}
    log = scratch / "log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command, env=environment, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            process.wait(timeout + _GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            return {"error": f"no result after {timeout} s"}
        finally:
            # The session is the child's own: its workers go with it, whatever state they are in.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    try:
        found: dict[str, Any] = json.loads((scratch / "answer.json").read_text())
    except (OSError, ValueError):
        ended = f"signal {-process.returncode}" if process.returncode < 0 else "crash"
        return {"error": f"{ended}: {log.read_text(errors='replace')[-300:]}"}
    return found


def _child(request: dict[str, str]) -> None:
    place = PLACES[request["place"]]
    if place.n_workers:
        from benchmarks.tight import tight_cluster
        from safeframe import LocalCluster

        with tight_cluster(
            n_workers=place.n_workers, threads=place.threads, limit=place.limit, hard=place.hard,
            cluster_class=LocalCluster,
        ) as tight:  # fmt: skip
            # A cluster's start is not counted, and its workers' imports are part of it.
            for name in ("dask.dataframe", "pyarrow.parquet", "safeframe"):
                tight.client.run(importlib.import_module, name)
            answer = _work(request)
            seen = tight.report()
            answer |= {"pauses": seen.pauses, "restarts": max(seen.restarts, seen.workers_lost)}
            answer |= {"kills": seen.oom_kills, "reruns": seen.reruns}
            # Before the cluster closes, which may fail where workers died.
            Path(request["answer"]).write_text(json.dumps(answer))
    else:
        import dask

        with dask.config.set(scheduler="threads", num_workers=place.threads):
            answer = _work(request)
        Path(request["answer"]).write_text(json.dumps(answer))


def _work(request: dict[str, str]) -> dict[str, Any]:
    import safeframe

    row = ROWS[request["row"]]
    dataset = make_data(row.situation, float(request["scale"]), Path(request["data"]))
    answer: dict[str, Any] = {}
    before = _processor_seconds()
    start = time.perf_counter()
    try:
        with safeframe.measure() as planning:
            made = start_recipe(row, dataset)
        answer["planning_seconds"] = time.perf_counter() - start
        answer["planning_peak_nbytes"] = planning.peak_worker_nbytes
        plan = safeframe.explain(made)
        answer |= {
            "strategy": plan.strategy,
            "staged_nbytes": plan.written.staging_nbytes,
            "projected_nbytes": plan.written.projected_worker_nbytes,
            "allowed_nbytes": plan.budget.allowed_nbytes,
            "plan": plan.details(),
        }
        keep_index = row.recipe == "set_index"
        with safeframe.measure() as running:
            safeframe.to_parquet(made, request["output"], write_index=keep_index)
        answer["seconds"] = time.perf_counter() - start
        answer["processor_seconds"] = _processor_seconds() - before
        answer["peak_nbytes"] = max(running.peak_worker_nbytes, planning.peak_worker_nbytes)
        answer["ran_projected_nbytes"] = running.projected_worker_nbytes
    except Exception as err:  # noqa: BLE001  # whatever ends a row is its result
        answer["error"] = f"{type(err).__name__}: {str(err)[:400]}"
        answer.setdefault("failed_after_seconds", time.perf_counter() - start)
    return answer


def _processor_seconds() -> float:
    """Return what this process and the workers have computed: of a machine that others use too, it says more."""
    from distributed import default_client

    try:
        workers = default_client().run(time.process_time)
    except ValueError:
        workers = {}
    return float(time.process_time() + sum(workers.values()))


def _commit() -> str:
    root = Path(__file__).resolve().parent
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True, check=False
    )
    return found.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
