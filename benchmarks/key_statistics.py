"""Key statistics on two tables of the reported size: seconds, memory, and how near they come.

``exact``: the question's tables (100 M and 10 M rows, 10 000 keys). The rows of
their join must come out to the row, in a few times what DuckDB takes to count
both tables' keys in the same run.

``sampled``: two tables of 50 M rows with Zipf-distributed keys out of 20 M, far
more than the capacity. The true rows must lie inside the interval.

::

    python -m benchmarks.key_statistics exact --directory /data
    python -m benchmarks.key_statistics sampled --directory /data --scale 0.1
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import psutil
from distributed import Client, LocalCluster

import safeframe
from benchmarks.situations import JOINS

ZIPF_KEYS = 20_000_000
ZIPF_ROWS_PER_FILE = 1_000_000
ZIPF_FILES = 50
_SCRAMBLE = 7_368_787  # coprime with any sensible number of keys: heavy keys lie anywhere in their range
_WATCH_SECONDS = 0.05


def main() -> None:
    """Run one of the two measurements and print it as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("exact", "sampled"))
    parser.add_argument("--directory", type=Path, required=True, help="where the tables are, or are made")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full tables")
    parser.add_argument("--exponent", type=float, default=1.0, help="of the Zipf distribution")
    parser.add_argument("--repeat", type=int, default=3, help="runs; the median is told")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--memory-limit", default="598MiB", help="of each worker")
    given = parser.parse_args()
    if given.what == "exact":
        result = measure_exact(given.directory, given.scale, given.repeat, given.workers, given.memory_limit)
    else:
        result = measure_sampled(
            given.directory, given.scale, given.exponent, given.repeat, given.workers, given.memory_limit
        )
    print(json.dumps(result, indent=1))


def measure_exact(
    directory: Path, scale: float, repeat: int, workers: int, memory_limit: str
) -> dict[str, Any]:
    """Count the question's join, next to DuckDB counting both tables' keys."""
    data = JOINS["q0"].scaled(scale).materialise(directory)
    left, right = (str(path / "*.parquet") for path in (data.left, data.right))
    run = _measured(left, right, "col1", "left", repeat, workers, memory_limit)
    seconds = [
        _timed(lambda: [_duckdb_counts(path, "col1") for path in (left, right)]) for _ in range(repeat)
    ]
    return {
        **run,
        "true_rows": data.truth.rows,
        "exact_to_the_row": run["rows"]["exact"] and run["rows"]["expected"] == data.truth.rows,
        "duckdb_seconds": statistics.median(seconds),
        "times_duckdb": run["seconds"] / statistics.median(seconds),
    }


def measure_sampled(
    directory: Path, scale: float, exponent: float, repeat: int, workers: int, memory_limit: str
) -> dict[str, Any]:
    """Estimate the join of two Zipf-distributed tables, next to its true rows."""
    root = directory / f"zipf-{exponent:g}-{scale:g}"
    counts = [
        _write_zipf(root / side, number, scale, exponent) for number, side in enumerate(("left", "right"))
    ]
    truth = int(sum(int(a) * int(b) for a, b in zip(*(_big_and_small(counts)), strict=True)))
    paths = [str(root / side / "*.parquet") for side in ("left", "right")]
    run = _measured(paths[0], paths[1], "key", "inner", repeat, workers, memory_limit)
    lower, upper = run["rows"]["lower"], run["rows"]["upper"]
    return {
        **run,
        "distinct": [int((count > 0).sum()) for count in counts],
        "true_rows": truth,
        "inside": lower <= truth <= upper,
        "upper_over_lower": upper / lower,
        "off": run["rows"]["expected"] / truth - 1,
    }


def _big_and_small(counts: list[npt.NDArray[np.int64]]) -> Iterator[list[int]]:
    """Return products' factors: one entry for all small products, which cannot overflow, then the big ones."""
    left, right = counts
    big = (left > 2**20) & (right > 2**20)
    small = int((left[~big] * right[~big]).sum())
    yield [small, *left[big].tolist()]
    yield [1, *right[big].tolist()]


def _measured(
    left: str, right: str, key: str, how: Any, repeat: int, workers: int, memory_limit: str
) -> dict[str, Any]:
    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=1, memory_limit=memory_limit, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        pids = list(client.run(_pid).values())
        seconds = []
        with _peak_nbytes(pids) as peaks:
            for _ in range(repeat):
                one, other = dd.read_parquet(left), dd.read_parquet(right)
                started = time.perf_counter()
                estimate = safeframe.estimate_merge(one, other, how=how, on=key)
                seconds.append(time.perf_counter() - started)
        # Not timed: what the summaries took.
        keys = safeframe.key_statistics(dd.read_parquet(left), key)
    rows = estimate.rows
    return {
        "seconds": statistics.median(seconds),
        "first_seconds": seconds[0],
        "rows": {"lower": rows.lower, "expected": rows.expected, "upper": rows.upper, "exact": rows.exact},
        "heaviest": [(key.key, key.output_rows) for key in estimate.heaviest[:3]],
        "sample_fraction": keys.sample_fraction,
        "statistics_nbytes": keys.nbytes,
        "statistics_nbytes_bound": keys.nbytes_bound,
        "peak_worker_nbytes": max(peaks.values()),
    }


def _write_zipf(directory: Path, side: int, scale: float, exponent: float) -> npt.NDArray[np.int64]:
    """Write one table unless it is there, and give the rows of each key."""
    counted = directory.with_suffix(".npy")
    if counted.exists():
        found: npt.NDArray[np.int64] = np.load(counted)
        return found
    directory.mkdir(parents=True, exist_ok=True)
    n_keys = max(1, round(ZIPF_KEYS * scale))
    ends = np.cumsum(np.arange(1, n_keys + 1) ** -exponent)
    counts = np.zeros(n_keys, np.int64)
    for number in range(ZIPF_FILES):
        rng = np.random.default_rng([2026, side, number])
        points = np.sort(rng.random(max(1, round(ZIPF_ROWS_PER_FILE * scale)))) * ends[-1]
        ranks = rng.permutation(np.searchsorted(ends, points))
        keys = ranks * _SCRAMBLE % n_keys
        counts += np.bincount(keys, minlength=n_keys)
        pd.DataFrame({"key": keys}).to_parquet(directory / f"part-{number:04d}.parquet", index=False)
    np.save(counted, counts)
    return counts


def _duckdb_counts(path: str, key: str) -> pd.DataFrame:
    with duckdb.connect() as connection:
        frame: pd.DataFrame = connection.execute(
            f"SELECT {key}, count(*) AS rows FROM read_parquet(?) GROUP BY {key}", [path]
        ).df()
    return frame


def _timed(function: Callable[[], Any]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def _pid() -> int:
    return psutil.Process().pid


@contextmanager
def _peak_nbytes(pids: list[int]) -> Iterator[dict[int, int]]:
    """Watch the resident memory of processes."""
    peaks = dict.fromkeys(pids, 0)
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(_WATCH_SECONDS):
            for pid in pids:
                peaks[pid] = max(peaks[pid], psutil.Process(pid).memory_info().rss)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        stop.set()
        thread.join()


if __name__ == "__main__":
    main()
