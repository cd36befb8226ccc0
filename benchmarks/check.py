"""Whether what an engine wrote is the join that was requested.

Covers: row counts from parquet footers; per key, rows and the sums of every column
and of one left times one right column (which tells rows paired wrongly), against
figures that are computed from the inputs without joining any rows; the largest file.
Does not cover: the order of rows, which no join promises.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.situations import Column, Dataset

__all__ = ["Check", "check_files", "check_output", "checking", "count_differing", "total_of"]

# Sums of many floats differ in their last digits with the order of adding.
_RELATIVE_TOLERANCE = 1e-8


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """What was found in an output."""

    rows: int
    """Rows, from the footers."""
    expected_rows: int
    """Rows that the inputs call for."""
    wrong_keys: int
    """Keys whose rows or sums are not what the inputs call for."""
    files: int
    """Parquet files."""
    largest_file_rows: int
    """Rows of the file with the most."""
    disk_nbytes: int
    """Bytes of all files."""

    @property
    def correct(self) -> bool:
        """Whether it is the join."""
        return self.rows == self.expected_rows and self.wrong_keys == 0


def check_output(dataset: Dataset, output: Path, *, scratch: Path, memory: str = "3GB") -> Check:
    """Compare an output with its inputs.

    Parameters
    ----------
    dataset
        The inputs.
    output
        Directory of the parquet files that were written.
    scratch
        Where the comparison may spill.
    memory
        What the comparison may use.
    """

    def wrong_keys() -> int:
        return count_differing(checking(scratch, memory), _comparison(dataset, output))

    return check_files(output, dataset.truth.rows, wrong_keys)


def check_files(output: Path, expected_rows: int, wrong_keys: Callable[[], int]) -> Check:
    """Look at the files of an output, and at what is in them where they have as many rows as there should be.

    Parameters
    ----------
    output
        Directory of the parquet files that were written.
    expected_rows
        Rows that there should be.
    wrong_keys
        Counts the keys that are wrong.
    """
    files = sorted(output.rglob("*.parquet"))
    rows = [pq.read_metadata(file).num_rows for file in files]
    return Check(
        rows=sum(rows),
        expected_rows=expected_rows,
        # With other rows it is wrong already, and they need not be read.
        wrong_keys=wrong_keys() if sum(rows) == expected_rows else -1,
        files=len(files),
        largest_file_rows=max(rows, default=0),
        disk_nbytes=sum(file.stat().st_size for file in files),
    )


def checking(scratch: Path, memory: str) -> duckdb.DuckDBPyConnection:
    """Connect to a DuckDB that compares, and may spill."""
    return duckdb.connect(config={"memory_limit": memory, "temp_directory": str(scratch / "check")})


def count_differing(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    """Run a query that counts the keys which are wrong, and close the connection."""
    # A parquet file's minimum and maximum leave NaN out, and DuckDB 2.0 concludes that there is none.
    connection.execute("SET disabled_optimizers='statistics_propagation'")
    try:
        row = connection.execute(query).fetchone()
    finally:
        connection.close()
    assert row is not None
    return int(row[0])


def _comparison(dataset: Dataset, output: Path) -> str:
    situation = dataset.situation
    key = situation.key.number()
    left, right = situation.left.columns, situation.right.columns
    join = {"left": "LEFT JOIN", "inner": "JOIN", "outer": "FULL JOIN"}[situation.how]
    # Looking for NaN in each row takes four fifths of the time; where there should be none, one spoils its sum.
    whole = dataset.truth.matched_rows == dataset.truth.rows
    # In a side's totals "n" is rows and "s_x" the sum of x; a NaN stands for a missing side.
    others = "coalesce(l.n, 1)" if situation.how == "outer" else "l.n"
    expected = [
        f"{others} * coalesce(r.n, 1) AS n",
        *(f"coalesce(l.s_{column.name} * coalesce(r.n, 1), 0) AS s_{column.name}" for column in left),
        *(f"coalesce({others} * r.s_{column.name}, 0) AS s_{column.name}" for column in right),
        f"coalesce(l.s_{left[0].name} * r.s_{right[0].name}, 0) AS pairing",
    ]
    figures = [f"s_{column.name}" for column in (*left, *right)] + ["pairing"]
    last = f"({right[0].number()})::DOUBLE"
    paired = f"({left[0].number()})::DOUBLE * {last}"
    if whole:
        totals = [f"sum({column.number()}) AS s_{column.name}" for column in (*left, *right)]
        pairing = f"sum({paired}) AS pairing"
    else:
        totals = [
            f"coalesce({total_of(column.number())}, 0) AS s_{column.name}" for column in (*left, *right)
        ]
        pairing = f"coalesce(sum({paired}) FILTER (WHERE NOT isnan({last})), 0) AS pairing"
    found = ["count(*) AS n", *totals, pairing]
    differs = " OR ".join(
        f"NOT coalesce(abs(e.{name} - f.{name}) <= {_RELATIVE_TOLERANCE} * (1 + abs(e.{name})), false)"
        for name in figures
    )
    return f"""
        WITH l AS ({_totals(dataset.left, key, left)}),
             r AS ({_totals(dataset.right, key, right)}),
             e AS (SELECT coalesce(l.k, r.k) AS k, {", ".join(expected)} FROM l {join} r ON l.k = r.k),
             f AS (SELECT {key} AS k, {", ".join(found)}
                   FROM read_parquet('{output}/**/*.parquet') GROUP BY {key})
        SELECT count(*) FROM e FULL JOIN f ON e.k = f.k
        WHERE e.n IS DISTINCT FROM f.n OR {differs}
    """


def _totals(directory: Path, key: str, columns: tuple[Column, ...]) -> str:
    sums = "".join(f", {total_of(column.number())} AS s_{column.name}" for column in columns)
    return f"SELECT {key} AS k, count(*) AS n{sums} FROM read_parquet('{directory}/*.parquet') GROUP BY {key}"


def total_of(value: str) -> str:
    """Return the sum of a column, or of another expression, what is missing left out."""
    return f"sum(({value})::DOUBLE) FILTER (WHERE NOT isnan(({value})::DOUBLE))"
