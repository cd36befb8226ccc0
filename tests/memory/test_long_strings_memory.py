"""Strings that become long in the middle of a file are read within what was projected."""

from __future__ import annotations

from pathlib import Path

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import safeframe
from tests.memory.test_row_group_memory import digits

pytestmark = pytest.mark.tight(n_workers=4, limit="598MiB", hard="1GiB")

ROWS, FIRST, LONG, TIMES = 600_000, 300_000, 50_000, 200


def repeated(text: pa.StringArray, times: int) -> pa.StringArray:
    """Return strings of 16 characters, each so many times after itself."""
    own = np.frombuffer(text.buffers()[2], np.uint8).reshape(len(text), 16)
    ends = np.arange(len(text) + 1, dtype=np.int32) * 16 * times
    return pa.StringArray.from_buffers(len(text), pa.py_buffer(ends), pa.py_buffer(np.tile(own, (1, times))))


def write_long_in_the_middle(path: Path, seed: int) -> None:
    """Write a row group of strings of 16 characters, among which some in the middle have two hundred times as many."""
    rng = np.random.default_rng(seed)
    text = [digits(rng.integers(0, 10**15, n), 16) for n in (FIRST, ROWS - FIRST - LONG)]
    text.insert(1, repeated(digits(rng.integers(0, 10**15, LONG), 16), TIMES))
    keys = pa.array(rng.integers(0, 1000, ROWS))
    pq.write_table(pa.table({"k": keys, "s": pa.chunked_array(text)}), path, row_group_size=ROWS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("long")
    for number in range(4):
        write_long_in_the_middle(folder / f"{number}.parquet", number)
    return folder


@pytest.mark.parametrize("recipe", ["merge", pytest.param("sort", marks=pytest.mark.nightly)])
def test_long_strings_in_the_middle_of_files(tight, folder, tmp_path, recipe: str) -> None:
    frame = dd.read_parquet(folder)
    if recipe == "merge":
        small = dd.from_pandas(pd.DataFrame({"k": np.arange(1000), "v": np.arange(1000.0)}), npartitions=1)
        result = safeframe.merge(frame, small, on="k")
    else:
        result = safeframe.sort_values(frame, "k")
    plan = safeframe.explain(result).written
    assert "slice" in plan.details()
    tight.count_again()
    safeframe.to_parquet(result, tmp_path / "output", write_index=False)
    seen = tight.report()
    assert seen.undisturbed, seen
    assert seen.charged_nbytes <= plan.projected_worker_nbytes <= seen.limit_nbytes, (plan.details(), seen)
    assert plan.projected_worker_nbytes <= 2 * seen.charged_nbytes, (plan.details(), seen)
    footers = [pq.read_metadata(path) for path in (tmp_path / "output").glob("*.parquet")]
    assert sum(footer.num_rows for footer in footers) == 4 * ROWS
