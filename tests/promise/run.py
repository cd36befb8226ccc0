"""Runs a trial in a process of its own, on workers that the kernel holds to their size.

Covers: what was projected and measured, pauses, kills and the number of rows; whether a refusal is right.
Does not cover: which trials there are (:mod:`tests.promise.trials`), or their figures over many (``__main__``).
"""

from __future__ import annotations

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

import safeframe
from benchmarks.tight import tight_cluster
from safeframe.errors import MemoryBudgetError, SafeframeError
from tests.promise.trials import Trial, call, expected_rows, trial_of, write

__all__ = ["Outcome", "run_trial"]

_TIMEOUT = 240
_HARD = 1.25
"""What the kernel lets a worker have, over its limit: pages of files are charged to it as well."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What was seen of a trial."""

    seed: int
    said: str
    error: str = ""
    refused: str = ""
    """Why there was no plan; empty where there was one."""
    smaller: str = ""
    """The partition size with which a refused one would have fitted."""
    strategy: str = ""
    projected_nbytes: int = 0
    measured_nbytes: int = 0
    allowed_nbytes: int = 0
    pauses: int = 0
    kills: int = 0
    restarts: int = 0
    rows: int | None = None
    expected_rows: int | None = None
    seconds: float = 0.0

    @property
    def faults(self) -> tuple[str, ...]:
        """What the promise was broken by."""
        checks = {
            self.error: bool(self.error),
            f"a partition of {self.smaller} would have fitted": bool(self.smaller),
            "measured above projected": not self.refused and 0 < self.projected_nbytes < self.measured_nbytes,
            "projected above allowed": not self.refused and self.projected_nbytes > self.allowed_nbytes,
            f"{self.pauses} pauses": self.pauses > 0,
            f"{self.kills} kills, {self.restarts} restarts": self.kills + self.restarts > 0,
            f"{self.rows} rows, and pandas has {self.expected_rows}": not self.refused
            and not self.error
            and self.rows != self.expected_rows,
        }
        return tuple(text for text, is_one in checks.items() if is_one)

    def line(self) -> str:
        """Return it as a line of a report."""
        share = self.measured_nbytes / self.projected_nbytes if self.projected_nbytes else 0.0
        mib = 2**20
        figures = f"{self.measured_nbytes / mib:.0f} ≤ {self.projected_nbytes / mib:.0f} ≤ {self.allowed_nbytes / mib:.0f} MiB ({share:.2f})"
        what = "; ".join(self.faults) or ("refused" if self.refused else "kept")
        return f"{'FAILED ' if self.faults else ''}{what} | {self.said} | {self.strategy} | {figures} | {self.seconds:.0f} s"


def run_trial(seed: int) -> Outcome:
    """Run a trial in a process of its own, and end all that it started."""
    with tempfile.TemporaryDirectory(prefix="promise-") as scratch:
        answer = Path(scratch) / "answer.json"
        log = Path(scratch) / "log"
        root = str(Path(__file__).resolve().parents[2])
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.promise.run", str(seed), scratch],
                env={**os.environ, "PYTHONPATH": root, "TMPDIR": scratch},
                cwd=root, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            try:
                process.wait(_TIMEOUT)
                ended = f"ended with {process.returncode}"
            except subprocess.TimeoutExpired:
                ended = f"no end within {_TIMEOUT} s"
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if answer.exists():
            return Outcome(**json.loads(answer.read_text()))
        tail = log.read_text(errors="replace")[-600:]
        return Outcome(seed=seed, said=trial_of(seed).said(), error=f"{ended}: {tail}")


def _child(seed: int, scratch: Path) -> Outcome:
    trial = trial_of(seed)
    data = scratch / "data"
    write(trial, data)
    expected = expected_rows(trial, data)
    found: dict[str, Any] = {"seed": seed, "said": trial.said(), "expected_rows": expected}
    start = time.perf_counter()
    with tight_cluster(
        n_workers=trial.n_workers,
        threads=trial.threads,
        limit=str(trial.limit_nbytes),
        hard=str(int(trial.limit_nbytes * _HARD)),
        cluster_class=safeframe.LocalCluster,
    ) as tight:
        for name in ("dask.dataframe", "pyarrow.parquet", "safeframe"):
            tight.client.run(importlib.import_module, name)
        try:
            found |= _work(trial, data, scratch / "written")
        except MemoryBudgetError as error:
            found |= {"refused": str(error), "smaller": _smaller(trial, data)}
        except SafeframeError as error:
            found["error"] = f"{type(error).__name__}: {error}"
        seen = tight.report()
        found |= {
            "pauses": seen.pauses,
            "kills": seen.oom_kills,
            "restarts": max(seen.restarts, seen.workers_lost),
        }
    return Outcome(**found, seconds=time.perf_counter() - start)


def _work(trial: Trial, data: Path, target: Path) -> dict[str, Any]:
    with safeframe.measure() as planning:
        made = call(trial, data)
    with safeframe.measure() as running:
        rows: int | None = None
        if trial.recipe == "nunique":
            made.compute()
        elif trial.written or trial.recipe == "to_parquet":
            written = made.to_frame() if made.ndim == 1 else made
            safeframe.to_parquet(written, str(target))
        else:
            rows = int(made.map_partitions(len, meta=(None, "int64")).compute().sum())
    if rows is None and trial.recipe != "nunique":
        import pyarrow.dataset as ds

        rows = ds.dataset(target, format="parquet").count_rows()
    plan = safeframe.explain(made) if trial.recipe != "to_parquet" else None
    return {
        "rows": rows,
        "strategy": getattr(plan, "strategy", ""),
        "projected_nbytes": running.projected_worker_nbytes or 0,
        "measured_nbytes": max(running.peak_worker_nbytes, planning.peak_worker_nbytes),
        "allowed_nbytes": trial.limit_nbytes,
    }


def _smaller(trial: Trial, data: Path) -> str:
    """Return a partition size with which a plan would have fitted; empty where there is none."""
    for size in ("1MiB", "4MiB", "16MiB", "64MiB"):
        with contextlib.suppress(SafeframeError, TypeError):
            made = call(trial, data, partition_size=size)
            plan = safeframe.explain(made)
            if plan.fits and plan.written.fits:
                return size
    return ""


if __name__ == "__main__":
    place = Path(sys.argv[2])
    outcome = _child(int(sys.argv[1]), place)
    (place / "answer.json").write_text(json.dumps(asdict(outcome)))
