"""A merge that looks up in a table, on workers that the kernel holds: the table counts as memory of each of them."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import safeframe

pytestmark = pytest.mark.tight(n_workers=2, limit="598MiB", hard="1GiB")

KEYS = 8_000_000
ROWS = 800_000
STRIDE = 7_368_787
"""Has no divisor in common with the number of keys: multiples of it visit all of them."""


@pytest.fixture
def tables(tmp_path):
    for name, files in (("left", 12), ("right", 10)):
        (tmp_path / name).mkdir()
        for number in range(files):
            row = np.arange(number * ROWS, (number + 1) * ROWS)
            columns = (
                {"k": row * STRIDE % (KEYS + KEYS // 9), "row": row, "b": row / 2}
                if name == "left"
                else {"k": row * STRIDE % KEYS, "r1": row, "r2": row / 2}
            )
            pd.DataFrame(columns).to_parquet(tmp_path / name / f"{number:02}.parquet", index=False)
    return tmp_path


def test_measured_is_at_most_projected(tight, tables):
    left, right = dd.read_parquet(tables / "left"), dd.read_parquet(tables / "right")
    merged = safeframe.merge(left, right, on="k", how="left")
    plan = safeframe.explain(merged)
    assert plan.run.table is not None
    table_nbytes = plan.run.table.nbytes(16)
    assert table_nbytes > 100 * 2**20
    safeframe.to_parquet(merged, tables / "out", write_index=False)
    seen = tight.report()
    assert seen.undisturbed, seen
    assert seen.pauses == 0, seen
    assert seen.largest_resident_nbytes > plan.budget.reserved_nbytes * 0.5 + table_nbytes, "it is mapped"
    assert seen.largest_resident_nbytes <= plan.projected_worker_nbytes, (plan.details(), seen)
    assert plan.projected_worker_nbytes <= seen.limit_nbytes
    written = pq.read_table(tables / "out").to_pandas()
    assert len(written) == 12 * ROWS
    there = written["k"] < KEYS
    assert np.array_equal(written["r1"].notna(), there)
    found = written[there]
    assert (found["r1"].astype("int64") * STRIDE % KEYS == found["k"]).all()
    assert (found["r2"] * 2 == found["r1"]).all()
