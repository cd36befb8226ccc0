"""Whether what a recipe made of ordinary data is what was requested.

Covers: the rows of a merge, key by key; for other recipes all rows by their hashes, the order of a
sort, that a key is in one partition after a shuffle, shifted values by a window of DuckDB's.
Does not cover: situations whose figures are known before (:mod:`benchmarks.check`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.check import count_differing
from benchmarks.check_hashes import RowHash, count_rows, join_difference, types_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.ordinary_rows import Row
    from benchmarks.situations import Dataset, TpchDataset

__all__ = ["find_fault"]

_MEMORY = "3GB"


def find_fault(row: Row, dataset: Dataset | TpchDataset, output: Path, scratch: Path) -> str:
    """Return what is wrong with an output in words; empty when nothing is.

    Parameters
    ----------
    row
        What was done.
    dataset
        What it was done with.
    output
        Directory of the parquet files that were written.
    scratch
        Where the comparison may spill.
    """
    rows = sum(pq.read_metadata(file).num_rows for file in output.rglob("*.parquet"))
    if row.recipe == "merge":
        sides = row.sides(dataset)
        wanted = count_rows(sides, _connect(scratch))
        if rows != wanted:
            return f"{rows} rows instead of {wanted}"
        connection = _connect(scratch)
        wrong = count_differing(connection, join_difference(connection, sides, output))
        return f"{wrong} wrong keys" if wrong else ""
    wanted = sum(pq.read_metadata(file).num_rows for file in dataset.left.glob("*.parquet"))
    if rows != wanted:
        return f"{rows} rows instead of {wanted}"
    if _differing_rows(row, dataset, output, scratch):
        return "other values"
    if row.recipe in ("sort_values", "set_index"):
        return "" if _in_order(output, row.by) else "not in order"
    return _scattered(row, output, scratch) if row.recipe == "shuffle" else ""


def _differing_rows(row: Row, dataset: Dataset | TpchDataset, output: Path, scratch: Path) -> bool:
    connection = _connect(scratch)
    source = RowHash(connection, dataset.left)
    wanted, found = source.of(source.types), source.of(types_of(connection, output, "**/*.parquet"))
    rows = f"read_parquet('{dataset.left}/*.parquet')"
    if row.lagged:
        kind = source.types[row.lagged]
        rows = (
            f"(SELECT *, lag({row.lagged}) OVER (PARTITION BY {', '.join(row.by)} "
            f"ORDER BY {', '.join(row.order_by)}) AS lagged FROM {rows})"
        )
        # Together, so that a value on another row is seen.
        wanted, found = (f"hash({text}, CAST(lagged AS {kind})) % 4294967296" for text in (wanted, found))
    try:
        sums = [
            connection.execute(f"SELECT sum({text}) FROM {place}").fetchone()
            for text, place in ((wanted, rows), (found, f"read_parquet('{output}/**/*.parquet')"))
        ]
    finally:
        connection.close()
    return bool(sums[0] != sums[1])


def _in_order(output: Path, by: Sequence[str]) -> bool:
    last: Any = None
    for path in sorted(output.rglob("*.parquet"), key=_place):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(2**18, columns=list(by)):
                if not batch.num_rows:
                    continue
                if not _rising(batch, by):
                    return False
                # Nulls are not among the data.
                first, end = ([batch.column(name)[at].as_py() for name in by] for at in (0, -1))
                if last is not None and last > first:
                    return False
                last = end
    return True


def _rising(batch: pa.RecordBatch, by: Sequence[str]) -> bool:
    """Return whether no row is below the one before it."""
    n = batch.num_rows
    undecided = pa.array([True]).take(pa.array([0] * (n - 1), pa.int8()))
    for name in by:
        column = batch.column(name)
        if pa.types.is_string_view(column.type):
            column = column.cast(pa.large_string())
        before, after = column.slice(0, n - 1), column.slice(1)
        if pc.any(pc.and_(undecided, pc.greater(before, after))).as_py():
            return False
        undecided = pc.and_(undecided, pc.equal(before, after))
    return True


def _scattered(row: Row, output: Path, scratch: Path) -> str:
    keys = ", ".join(row.by)
    wrong = _ask(
        scratch,
        f"SELECT count(*) FROM (SELECT {keys} FROM read_parquet('{output}/**/*.parquet', filename=true) "
        f"GROUP BY {keys} HAVING min(filename) <> max(filename))",
    )
    return f"{wrong} keys in several partitions" if wrong else ""


def _place(file: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", file.name))


def _connect(scratch: Path) -> duckdb.DuckDBPyConnection:
    # One thread: what is measured next, or by others, is not slowed for long.
    return duckdb.connect(
        config={"memory_limit": _MEMORY, "threads": 1, "temp_directory": str(scratch / "check")}
    )


def _ask(scratch: Path, query: str) -> int:
    return count_differing(_connect(scratch), query)
