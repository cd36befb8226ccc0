"""Measures what the steps of a plan take, for the weights in ``safeframe/options/costs.py``.

``python -m benchmarks.weights`` prints MiB of memory that one core handles in a second of its own time
(not of the clock: another program on the machine changes little), for narrow numbers and for strings.
"""

from __future__ import annotations

import functools
import pickle
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd

import safeframe

ROWS, PARTS = 250_000, 8
MIB = 2**20


def main() -> None:
    """Print a line for each kind of rows and step."""
    with tempfile.TemporaryDirectory() as directory, dask.config.set(scheduler="sync"):
        for kind in ("numbers", "strings"):
            left, right = (Path(directory) / kind / side for side in ("left", "right"))
            for path, rows, parts in ((left, ROWS, PARTS), (right, ROWS // 2, 2)):
                path.mkdir(parents=True)
                for number in range(parts):
                    _frame(kind, rows, number).to_parquet(path / f"{number}.parquet", index=False)
            for step, rate in _rates(str(left), str(right), directory):
                print(f"{kind:8} {step:8} {rate / MIB:8.0f} MiB/s")
        print(f"task {_task_seconds() * 1000:.1f} ms")


def _frame(kind: str, rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    key = rng.integers(0, ROWS, rows)
    if kind == "numbers":
        return pd.DataFrame({"k": key, "a": rng.random(rows), "b": rng.integers(0, 100, rows)})
    words = pd.Series(rng.integers(0, 10**6, rows)).astype(str) + "-some words"
    return pd.DataFrame(
        {"k": "id" + pd.Series(key).astype(str).str.zfill(14), "a": words, "b": rng.random(rows)}
    )


def _rates(left: str, right: str, directory: str) -> Iterator[tuple[str, float]]:
    """Take whole runs apart: each does what the one before does, and one thing more."""
    frames = dd.read_parquet(left), dd.read_parquet(right)
    nbytes = [int(frame.memory_usage(deep=True).sum().compute()) for frame in frames]
    read = _seconds(lambda: [frame.map_partitions(len).compute() for frame in frames])
    yield "read", sum(nbytes) / read
    whole = frames[1].compute()
    sent = _seconds(lambda: pickle.loads(pickle.dumps(pd.concat([whole[:ROWS], whole[ROWS:]]), protocol=5)))  # noqa: S301
    yield "send", nbytes[1] / sent
    with dask.config.set({"safeframe.staging.directory": directory}):
        joined = {
            strategy: safeframe.merge(
                *frames, on="k", how="leftsemi", strategy=strategy, memory="598MiB", partition_size="16MiB"
            )
            for strategy in ("broadcast", "staged")
        }
        costs: dict[str, Any] = {
            strategy: safeframe.explain(frame).cost for strategy, frame in joined.items()
        }
        took = {strategy: _seconds(frame.map_partitions(len).compute) for strategy, frame in joined.items()}
        join = (took["broadcast"] - read) / costs["broadcast"].joined_nbytes
        yield "join", 1 / join
        moved = took["staged"] - read - join * costs["staged"].joined_nbytes
        yield "staged and fetched", costs["staged"].staged_nbytes / moved


def _task_seconds() -> float:
    """Measure what a task takes that does nothing, with its part of an output partition's file."""
    few, many = (dd.from_map(_frame, ["numbers"] * n, [100] * n, range(n)) for n in (10, 210))
    with tempfile.TemporaryDirectory() as path:
        both = [_seconds(functools.partial(ddf.to_parquet, path)) for ddf in (few, many)]
    return (both[1] - both[0]) / 200


def _seconds(run: Callable[[], Any]) -> float:
    run()
    times = []
    for _ in range(3):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


if __name__ == "__main__":
    main()
