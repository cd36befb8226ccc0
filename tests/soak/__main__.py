"""``python -m tests.soak``: runs in one cluster for some minutes, and what it holds from time to time."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from unittest import mock

import dask
from distributed import Client
from distributed.deploy.subprocess import SubprocessCluster

import safeframe.options
from tests.soak.watch import FIRST, Look, growth_per_hundred, look, warm_looks
from tests.soak.work import run

_EVERY = 10
_SHAPES = FIRST
"""Random shapes that are run in turns: what an allocator keeps free after the largest of them is kept once."""
_DASKS_OWN = {
    # Kept for an hour, or for a thousand messages: by then it is at its bound.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.low-level-log-length": 10,
    "distributed.admin.log-length": 10,
}
_MOST_GROWTH = 2**20
_CLOSE_SECONDS = 30.0
_MOST_CONNECTIONS = 4
_REMEMBERED_NBYTES = 2**18


def main(argv: list[str] | None = None) -> int:
    """Run; 0 when nothing is kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--from-seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--staging", type=Path, help="another process works there, too")
    parser.add_argument("--alone", action="store_true", help="without a second process")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="soak-") as scratch:
        staging = options.staging or Path(scratch) / "staging"
        staging.mkdir(exist_ok=True)
        other = None
        if options.staging is None and not options.alone:
            other = _other(options, staging)
        try:
            looks = soak(options, staging)
        finally:
            if other is not None:
                _end(other)
    faults = faults_of(looks, shared=other is not None)
    sys.stdout.write("\n".join([*map(str, looks), *faults, f"{len(faults)} faults"]) + "\n")
    if options.json:
        options.json.write_text(json.dumps([one.to_dict() for one in looks], indent=1) + "\n")
    return 1 if faults else 0


def _other(options: argparse.Namespace, staging: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.soak", "--staging", str(staging), "--from-seed", "100000"]
    return subprocess.Popen(
        [*command, "--runs", "100000", "--minutes", str(options.minutes)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _end(other: subprocess.Popen[bytes]) -> None:
    """Interrupt a process, which closes its cluster, and end what is left of its group."""
    other.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        other.wait(_CLOSE_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(other.pid, signal.SIGKILL)
    other.wait()


def soak(options: argparse.Namespace, staging: Path) -> list[Look]:
    """Run recipes with two clients of one cluster in turns.

    The scheduler is a process of its own: dask keeps of every graph how long its tasks took (spans), for good. What
    planning has learnt is kept as well, in bounded bytes, of which there are few here, so that they are soon used up;
    so are dask's logs.
    """
    looks: list[Look] = []
    end = time.monotonic() + 60 * options.minutes
    worker = {"nthreads": 1, "memory_limit": "1GiB", "local_directory": str(staging.parent)}
    with (
        mock.patch.object(safeframe.options, "REMEMBERED_NBYTES", _REMEMBERED_NBYTES),
        mock.patch.dict(os.environ, DASK_INTERNAL_INHERIT_CONFIG=dask.config.serialize(_DASKS_OWN)),
        dask.config.set(_DASKS_OWN),
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as aside,
        SubprocessCluster(
            n_workers=2,
            worker_class="safeframe.deploy.nanny.SmallWorkerNanny",
            worker_kwargs=worker,
            scheduler_kwargs={"dashboard": False},
            dashboard_address=None,
        ) as cluster,
        Client(cluster) as client,
        Client(cluster, set_as_default=False) as second,
    ):
        client.wait_for_workers(2)
        for number in range(options.runs):
            if time.monotonic() > end:
                break
            with (client, second)[number % 2].as_current():
                run(options.from_seed + number % _SHAPES, staging, aside)
            if (number + 1) % _EVERY == 0:
                looks.append(look(client, staging, number + 1))
    return looks


def faults_of(looks: list[Look], *, shared: bool) -> list[str]:
    """Return what grew from the twentieth run on; staged files are another process's as well where it is ``shared``."""
    warm = warm_looks(looks)
    if len(warm) < 2:
        return []
    found = []
    for name in ("client_handles", "client_threads", "worker_handles", "worker_threads", "scheduler_tasks"):
        first, last = getattr(warm[0], name), getattr(warm[-1], name)
        if last > first:
            found.append(f"{name}: {first} after {warm[0].runs} runs, {last} after {warm[-1].runs}")
    opened = warm[-1].client_connections - warm[0].client_connections
    if opened > _MOST_CONNECTIONS:
        found.append(f"client_connections: {opened} more")
    if not shared and warm[-1].staged_files:
        found.append(f"{warm[-1].staged_files} staged files are left")
    for name in ("client_nbytes", "worker_nbytes"):
        growth = growth_per_hundred(warm, name)
        if growth > _MOST_GROWTH:
            found.append(f"{name} grows by {growth / 2**20:.1f} MiB in a hundred runs")
    return found


if __name__ == "__main__":
    sys.exit(main())
