"""Whether the rows that an engine kept are those that come first of their keys.

Covers: their number, that no key is there twice, the sum of their numbers in the frame; the number of distinct keys; rows of
each key, by their sum and the largest.
Does not cover: the order of the rows that were written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.check import Check, check_files, checking

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.situations import DistinctDataset

__all__ = ["check_distinct"]


def check_distinct(
    dataset: DistinctDataset, output: Path, *, scratch: Path, distinct: int | None, memory: str = "3GB"
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
        The number of distinct keys that the engine gave; None where rows of each were counted.
    memory
        What the comparison may use.
    """

    def seen(figures: str) -> Any:
        source = f"read_parquet('{output}/**/*.parquet')"
        query = f"SELECT count(*) - count(DISTINCT id), {figures} FROM {source}"
        found = checking(scratch, memory).execute(query).fetchone()
        assert found is not None
        return found

    def wrong_keys() -> int:
        twice, total = seen("sum(c0)::HUGEINT")
        # Any row of a key has a larger number than its first.
        return int(twice) + int(int(total) != truth.first_rows) + int(distinct != truth.rows)

    def wrong_counts() -> int:
        twice, total, most = seen("sum(count)::HUGEINT, max(count)")
        return int(twice) + int(int(total) != dataset.situation.rows) + int(most != truth.most)

    truth = dataset.truth
    return check_files(output, truth.rows, wrong_counts if distinct is None else wrong_keys)
