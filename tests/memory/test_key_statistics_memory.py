"""A task that counts keys holds a slice and some summaries, however large its partition is."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from safeframe import options
from safeframe.kernels.keys.summary import summary_nbytes_bound
from safeframe.planning.memory import key_count_peak_nbytes

pytestmark = pytest.mark.memory

ROWS = 4_000_000

COUNT = """
import re, sys
from pathlib import Path
import dask.dataframe as dd
import pyarrow as pa
from safeframe.facts.keys import KeyColumn, KeySchema
from safeframe.kernels.allocator import keep_pages
from safeframe.kernels.keys.summary import combine, combine_slices
from safeframe.sizing.partitions.tasks import each_slice_keys
from safeframe.sizing.keys.statistics import _summarise

def resident(what):
    return int(re.search(what + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

keep_pages()  # as in a worker
path, kind, capacity = sys.argv[1:]
schema = KeySchema(columns=(KeyColumn(kind=kind),))
ddf = dd.read_parquet(path)
given = ("k",), _summarise, combine_slices, combine, schema, int(capacity)
# What is loaded with the first call is not the data's.
each_slice_keys(dd.read_parquet(path + "/../small"), *given, step="count-keys", feedback=lambda summary: None)[0].compute(scheduler="sync")
pa.default_memory_pool().release_unused()
Path("/proc/self/clear_refs").write_text("5")
before = resident("VmRSS")
tasks = each_slice_keys(ddf, *given, step="count-keys", feedback=lambda summary: None)
for task in tasks:
    task.compute(scheduler="sync")
print(resident("VmHWM") - before)
"""


def ids(rng, rows):
    """Strings of 16 characters, nearly all different."""
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)[rng.integers(0, 16, 16 * rows)]
    ends = np.arange(0, 16 * (rows + 1), 16, dtype=np.int64)
    return pa.LargeStringArray.from_buffers(rows, pa.py_buffer(ends), pa.py_buffer(digits.tobytes()))


@pytest.mark.parametrize("kind", ["string", "int"])
@pytest.mark.parametrize("capacity", [2**20, 2**16])
def test_one_row_group_of_many_rows_is_counted_in_slices(tmp_path, kind, capacity):
    rng = np.random.default_rng(3)
    keys = ids(rng, ROWS) if kind == "string" else pa.array(rng.integers(0, 2**60, ROWS))
    (tmp_path / "data").mkdir()
    (tmp_path / "small").mkdir()
    pq.write_table(pa.table({"k": keys}), tmp_path / "data" / "0.parquet", row_group_size=ROWS)
    pq.write_table(pa.table({"k": keys[:1000]}), tmp_path / "small" / "0.parquet")
    row_nbytes = 24 if kind == "string" else 8
    slice_nbytes = options.KEY_SLICE_ROWS * row_nbytes
    run = subprocess.run(
        [sys.executable, "-c", COUNT, tmp_path / "data", kind, str(capacity)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    summary = summary_nbytes_bound(capacity, 1)
    projected = key_count_peak_nbytes(
        slice_rows=slice_nbytes // row_nbytes, slice_nbytes=slice_nbytes, summary_nbytes=summary
    )
    measured = int(run.stdout)
    # Pages that an allocator keeps are in what a worker has in reserve.
    kept = options.RESERVED_GROWTH_NBYTES // 4
    assert measured <= projected + kept, (measured, projected)
    assert projected <= 2 * measured, (measured, projected)
