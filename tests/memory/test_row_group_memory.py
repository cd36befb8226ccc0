"""A single row group, larger than what a task may use, is sorted within what was projected, and so is its planning."""

from __future__ import annotations

from pathlib import Path

import dask.dataframe as dd
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import safeframe
from benchmarks.tight import TightCluster

pytestmark = pytest.mark.tight(n_workers=2, limit="598MiB", hard="1GiB")

_MIB = 2**20


def digits(numbers: np.ndarray, width: int) -> pa.StringArray:
    """Return numbers as strings of one length."""
    text = np.empty((len(numbers), width), np.uint8)
    for at in range(width - 1, -1, -1):
        text[:, at] = ord("0") + numbers % 10
        numbers = numbers // 10
    ends = np.arange(len(text) + 1, dtype=np.int32) * width
    return pa.StringArray.from_buffers(len(text), pa.py_buffer(ends), pa.py_buffer(text))


def write_row_group(path: Path, nbytes: int) -> int:
    """Write a file of one row group of strings and floats; return how many rows there are."""
    rows = nbytes // 80
    rng = np.random.default_rng(rows)
    columns = {
        "id": digits(rng.integers(0, 10**15, rows), 16),
        "text": digits(rng.integers(0, 10**17, rows), 24),
    }
    columns |= {name: pa.array(rng.random(rows)) for name in "xyzw"}
    pq.write_table(pa.table(columns), path, row_group_size=rows)
    return rows


@pytest.mark.parametrize("mib", [256, pytest.param(1180, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("by", ["id", pytest.param("x", marks=pytest.mark.nightly)])
def test_a_row_group_larger_than_a_task(tight: TightCluster, tmp_path, mib: int, by: str) -> None:
    rows = write_row_group(tmp_path / "one.parquet", mib * _MIB)
    result = safeframe.sort_values(dd.read_parquet(tmp_path / "one.parquet"), by)
    plan = safeframe.explain(result)
    assert mib * _MIB > plan.budget.task_nbytes
    planned = tight.report()
    assert planned.charged_nbytes <= plan.projected_worker_nbytes, (plan.details(), planned)
    # Running is measured apart from planning, where the kernel lets its marks be forgotten.
    tight.count_again()
    safeframe.to_parquet(result, tmp_path / "output")
    seen = tight.report()
    assert seen.undisturbed, seen
    assert planned.pauses == seen.pauses == 0
    assert seen.charged_nbytes <= plan.projected_worker_nbytes <= seen.limit_nbytes, (plan.details(), seen)
    assert plan.projected_worker_nbytes <= 2 * seen.charged_nbytes, (plan.details(), seen)
    keys = pa.chunked_array(
        chunk
        for path in sorted(
            (tmp_path / "output").glob("*.parquet"), key=lambda path: int(path.name.split(".")[1])
        )
        for chunk in pq.read_table(path, columns=[by])[by].chunks
    ).to_pandas()
    assert len(keys) == rows
    assert keys.is_monotonic_increasing
