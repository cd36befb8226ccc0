"""Whether the columns that an engine made of rows before are those that were requested.

Covers: per key, rows, the sum of every column, of new columns what is there, their sums
and their products with another column of the row, against figures that were followed
through the files with pandas. For an engine that owes no order: rows, what is there, and
whether each lag goes one row on from the last one.
Does not cover: the order of the rows that were written.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from benchmarks.check import Check, check_files, checking, count_differing, total_of

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.situations import LagDataset

__all__ = ["check_lags"]


def check_lags(
    dataset: LagDataset, output: Path, *, scratch: Path, ordered: bool, memory: str = "3GB"
) -> Check:
    """Compare an output with what was followed through the inputs.

    Parameters
    ----------
    dataset
        The inputs.
    output
        Directory of the parquet files that were written.
    scratch
        Where the comparison may spill.
    ordered
        Whether rows of a group had to be in the order of the files.
    memory
        What the comparison may use.
    """

    def wrong_keys() -> int:
        return count_differing(checking(scratch, memory), _comparison(dataset, output, ordered=ordered))

    return check_files(output, dataset.truth.rows, wrong_keys)


def _comparison(dataset: LagDataset, output: Path, *, ordered: bool) -> str:
    situation = dataset.situation
    key, made = situation.key, situation.made
    columns = [column.name for column in situation.table.columns]
    other = columns[0]
    there = [f"count(*) FILTER (WHERE NOT isnan({name}::DOUBLE)) AS n_{name}" for name in made]
    sums = [f"coalesce({total_of(name)}, 0) AS s_{name}" for name in (*columns, *made)]
    products = [f"coalesce({total_of(f'({name} * {other}::DOUBLE)')}, 0) AS p_{name}" for name in made]
    # What lag 1 takes from lag 0 lag 2 takes from lag 1, but for one row of each group.
    steps = [f"coalesce({total_of(f'({one} * {two}::DOUBLE)')}, 0) AS c_{one}" for one, two in pairwise(made)]
    figures = [f"s_{name}" for name in (*columns, made[0])]
    if ordered:
        figures += [f"{kind}_{name}" for kind in "sp" for name in made]
    wrong = [
        f"NOT coalesce(abs(e.{name} - f.{name}) <= 1e-8 * (1 + abs(e.{name})), false)" for name in figures
    ]
    wrong += [f"e.n_{name} IS DISTINCT FROM f.n_{name}" for name in made]
    wrong += [
        f"NOT coalesce(abs(f.c_{one} - f.c_{two}) <= f.most * f.most + 1e-8 * (1 + abs(f.c_{one})), false)"
        for one, two in pairwise(made[:-1])
    ]
    return f"""
        WITH e AS (SELECT {key} AS k, * FROM read_parquet('{dataset.expected}')),
             f AS (SELECT {key} AS k, count(*) AS n, max(abs({made[0]})) AS most,
                          {", ".join([*there, *sums, *products, *steps])}
                   FROM read_parquet('{output}/**/*.parquet') GROUP BY {key})
        SELECT count(*) FROM e FULL JOIN f ON e.k = f.k WHERE e.n IS DISTINCT FROM f.n OR {" OR ".join(wrong)}
    """
