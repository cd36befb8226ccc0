"""Whether what came out has the rows that the inputs call for, by hashes of whole rows.

Covers: row counts from parquet footers; joins: per key, rows and sums of hashes over all columns of either
side, against those of the inputs, which are never joined row by row; frames: the sum over all rows.
Does not cover: the order of rows; types: every value is read as the type that it has in the inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from benchmarks.check import Check, check_files, checking, count_differing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.situations import TpchDataset

__all__ = ["JoinedSides", "RowHash", "check_tpch", "count_rows", "join_difference", "types_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinedSides:
    """A join by what it reads."""

    left: Path
    """Directory of the left side's files."""
    right: Path
    """Directory of the right side's files."""
    left_on: Sequence[str]
    """Keys of the left side."""
    right_on: Sequence[str]
    """Keys of the right side, in the same order."""
    how: str
    """The join: left, inner, or outer on keys that have the same names."""


class RowHash:
    """The hash of some columns of a row, in SQL.

    Parameters
    ----------
    connection
        DuckDB, for the columns and types of files.
    source
        Directory of the files that have the types.
    leave_out
        Columns of it that do not count.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, source: Path, leave_out: Sequence[str] = ()
    ) -> None:
        types = types_of(connection, source, "*.parquet")
        self.types = {name: kind for name, kind in types.items() if name not in leave_out}

    def of(self, found: Mapping[str, str]) -> str:
        """Return it for files that have other types."""
        values = (f"CAST({_without_nan(name, found)} AS {kind})" for name, kind in self.types.items())
        # The lower half is enough, and its sums are exact.
        return f"hash({', '.join(values)}) % 4294967296"

    def of_nulls(self) -> str:
        """Return it for a row that has none of the columns."""
        return f"hash({', '.join(f'CAST(NULL AS {kind})' for kind in self.types.values())}) % 4294967296"


def check_tpch(dataset: TpchDataset, output: Path, *, scratch: Path, memory: str = "3GB") -> Check:
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
        situation = dataset.situation
        sides = JoinedSides(
            left=dataset.left,
            right=dataset.right,
            left_on=situation.left_on,
            right_on=situation.right_on,
            how=situation.how,
        )
        connection = checking(scratch, memory)
        return count_differing(connection, join_difference(connection, sides, output))

    return check_files(output, dataset.truth.rows, wrong_keys)


def count_rows(sides: JoinedSides, connection: duckdb.DuckDBPyConnection | None = None) -> int:
    """Return the rows of a join, from the rows per key of either side."""
    connection = duckdb.connect(config={"memory_limit": "3GB"}) if connection is None else connection
    return count_differing(
        connection, f"WITH {_expected(sides, '0', '0', '0', '0')} SELECT coalesce(sum(n), 0) FROM e"
    )


def join_difference(connection: duckdb.DuckDBPyConnection, sides: JoinedSides, output: Path) -> str:
    """Return the query for the keys whose rows are not those that the inputs call for."""
    same_names = sides.left_on == sides.right_on
    # A key that both sides have one name for is one column, and in files where it may be of either side.
    left = RowHash(connection, sides.left, sides.left_on if same_names else ())
    right = RowHash(connection, sides.right, sides.right_on if same_names else ())
    types = types_of(connection, output, "**/*.parquet")
    keys = _keys(sides.left_on, types_of(connection, sides.left, "*.parquet"), types)
    names = [f"k{number}" for number in range(len(keys))]
    same = " AND ".join(f"e.{name} IS NOT DISTINCT FROM f.{name}" for name in names)
    return f"""
        WITH {_expected(sides, left.of(left.types), right.of(right.types), left.of_nulls(), right.of_nulls())},
             f AS (SELECT {", ".join(keys)}, count(*) AS n, sum({left.of(types)})::HUGEINT AS h_l,
                          sum({right.of(types)})::HUGEINT AS h_r
                   FROM read_parquet('{output}/**/*.parquet') GROUP BY {", ".join(names)})
        SELECT count(*) FROM e FULL JOIN f ON {same}
        WHERE e.n IS DISTINCT FROM f.n OR e.h_l IS DISTINCT FROM f.h_l OR e.h_r IS DISTINCT FROM f.h_r
    """


def _expected(sides: JoinedSides, left: str, right: str, no_left: str, no_right: str) -> str:
    """Return the tables l, r and e: per key, rows and sums of hashes of either side and of their join."""
    names = [f"k{number}" for number in range(len(sides.left_on))]
    join = {"left": "LEFT JOIN", "inner": "JOIN", "outer": "FULL JOIN"}[sides.how]
    same = " AND ".join(f"l.{name} IS NOT DISTINCT FROM r.{name}" for name in names)
    keys = ", ".join(f"coalesce(l.{name}, r.{name}) AS {name}" for name in names)
    return f"""
        l AS ({_totals(sides.left, sides.left_on, left)}),
        r AS ({_totals(sides.right, sides.right_on, right)}),
        e AS (SELECT {keys}, coalesce(l.n, 1) * coalesce(r.n, 1) AS n,
                     coalesce(l.h, ({no_left})::HUGEINT) * coalesce(r.n, 1) AS h_l,
                     coalesce(r.h, ({no_right})::HUGEINT) * coalesce(l.n, 1) AS h_r
              FROM l {join} r ON {same})"""


def _totals(directory: Path, on: Sequence[str], text: str) -> str:
    keys = ", ".join(f"{column} AS k{number}" for number, column in enumerate(on))
    return (
        f"SELECT {keys}, count(*) AS n, sum({text})::HUGEINT AS h "
        f"FROM read_parquet('{directory}/*.parquet') GROUP BY {', '.join(on)}"
    )


def _keys(on: Sequence[str], types: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    return [
        f"CAST({_without_nan(name, found)} AS {types[name]}) AS k{number}" for number, name in enumerate(on)
    ]


def _without_nan(name: str, types: Mapping[str, str]) -> str:
    # pandas' missing values of integers may be NaN in files.
    return f"CASE WHEN NOT isnan({name}) THEN {name} END" if types[name] in ("DOUBLE", "FLOAT") else name


def types_of(connection: duckdb.DuckDBPyConnection, directory: Path, pattern: str) -> dict[str, str]:
    """Return the columns of files below a directory, and their types in SQL."""
    query = f"DESCRIBE SELECT * FROM read_parquet('{directory}/{pattern}')"
    return {str(name): str(kind) for name, kind, *_ in connection.execute(query).fetchall()}
