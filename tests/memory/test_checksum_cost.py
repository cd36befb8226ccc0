"""Checksums of all that is staged and read back take little of the workers' time."""

from __future__ import annotations

import time

import dask.dataframe as dd
import psutil
import pytest

import safeframe
from benchmarks.tight import TightCluster
from tests.memory.test_sort_memory import ROWS, number_rows

PARTITIONS = 256
MOST = 0.02
"""Share of the seconds that tasks have a processor for."""


def _begin() -> float:
    """Count the seconds of checksums in this worker from here on; return what its process has used."""
    from safeframe.engine.exchange import blocks, column_block, index, pieces, stage
    from safeframe.kernels import checksum as kernel

    real = kernel.checksum
    kernel.seconds = 0.0  # type: ignore[attr-defined]

    def timed(data: object) -> int:
        begin = time.thread_time()
        found = real(data)  # type: ignore[arg-type]
        kernel.seconds += time.thread_time() - begin  # type: ignore[attr-defined]
        return found

    for module in (blocks, column_block, index, pieces, stage):
        module.checksum = timed  # type: ignore[attr-defined]
    return _used()


def _used() -> float:
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)


def _end() -> tuple[float, float]:
    from safeframe.kernels import checksum as kernel

    return kernel.seconds, _used()  # type: ignore[attr-defined]


@pytest.mark.nightly
@pytest.mark.tight(n_workers=4, limit="598MiB", hard="1GiB", fresh=True)
def test_they_take_at_most_a_fiftieth(tight: TightCluster, tmp_path) -> None:
    frame = dd.from_map(number_rows, range(PARTITIONS), meta=number_rows(0).iloc[:0])
    ordered = safeframe.set_index(frame, "k", npartitions=PARTITIONS, staging=str(tmp_path))
    began = tight.client.run(_begin)
    rows = ordered.map_partitions(len, meta=("rows", "int64")).compute()
    ended = tight.client.run(_end)
    assert rows.sum() == PARTITIONS * ROWS
    spent = sum(seconds for seconds, _ in ended.values())
    used = sum(after for _, after in ended.values()) - sum(began.values())
    assert 0 < spent <= MOST * used, (spent, used, spent / used)
