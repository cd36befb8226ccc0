"""Whether the rows that an engine kept are those that come first of their keys.

Covers: their number, that no key is there twice, the sum of their numbers in the frame; the number of distinct keys.
Does not cover: the order of the rows that were written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pyarrow.parquet as pq

from benchmarks.check import Check

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.situations import DistinctDataset

__all__ = ["check_distinct"]


def check_distinct(
    dataset: DistinctDataset, output: Path, *, scratch: Path, distinct: int, memory: str = "3GB"
) -> Check:
    """Compare an output with what was generated.

    Parameters
    ----------
    dataset
        The input.
    output
        Directory of the parquet files that were written.
    scratch
        Where the comparison may spill.
    distinct
        The number of distinct keys that the engine gave.
    memory
        What the comparison may use.
    """
    files = sorted(output.rglob("*.parquet"))
    rows = [pq.read_metadata(file).num_rows for file in files]
    wrong = -1
    truth = dataset.truth
    if sum(rows) == truth.rows:
        connection = duckdb.connect(config={"memory_limit": memory, "temp_directory": str(scratch / "check")})
        found = connection.execute(
            f"SELECT count(*) - count(DISTINCT id), sum(c0)::HUGEINT FROM read_parquet('{output}/**/*.parquet')"
        ).fetchone()
        assert found is not None
        twice, total = found
        # Any row of a key has a larger number than its first.
        wrong = int(twice) + int(int(total) != truth.first_rows) + int(distinct != truth.rows)
    return Check(
        rows=sum(rows),
        expected_rows=truth.rows,
        wrong_keys=wrong,
        files=len(files),
        largest_file_rows=max(rows, default=0),
        disk_nbytes=sum(file.stat().st_size for file in files),
    )
