"""Whether what an engine made of groups is what was asked.

Covers: row counts from parquet footers; every row against DuckDB's answer, which tests hold to pandas'. Where that
would have too many rows: for every 1024 keys that follow each other, the totals of each figure, plain and weighted by
the key, against those of the inputs, which are never grouped by key.
Does not cover: the order of rows; types: every figure is read as a float.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.check import Check, check_files, checking, count_differing
from benchmarks.situations.group_questions import source_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from benchmarks.situations import GroupDataset
    from benchmarks.situations.group_questions import GroupQuestion

__all__ = ["check_groups"]

# Sums of many floats differ in their last digits with the order of adding; what should be 0 has no relative error.
_RELATIVE_TOLERANCE, _ABSOLUTE_TOLERANCE = 1e-9, 1e-12
_BLOCK_BITS = 10


def check_groups(dataset: GroupDataset, output: Path, *, scratch: Path, memory: str = "3GB") -> Check:
    """Compare an output with the answer.

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

    def wrong_rows() -> int:
        question = dataset.situation.question
        query = (
            _by_blocks(question, dataset.files, output)
            if dataset.expected is None
            else _by_rows(question, dataset.expected, output)
        )
        return count_differing(checking(scratch, memory), query)

    return check_files(output, dataset.truth.rows, wrong_rows)


def _by_rows(question: GroupQuestion, expected: Path, output: Path) -> str:
    """Return the query for the rows that are not those of the answer."""
    by, figures = ", ".join(question.by), question.figures
    picked = ", ".join(
        (
            by,
            *(name for name in question.keys if name not in (*question.by, "place")),
            # What is not defined is null to some, NaN to others.
            *(f"CASE WHEN NOT isnan({name}::DOUBLE) THEN {name}::DOUBLE END AS {name}" for name in figures),
        )
    )
    if "place" in question.keys:
        picked += f", row_number() OVER (PARTITION BY {by} ORDER BY {figures[0]} DESC) AS place"
    same = " AND ".join(f"e.{name} = f.{name}" for name in question.keys)
    # As many rows on either side, each of the answer's with keys of its own: one that is twice is another's lack.
    missing = f"e.{question.by[0]} IS NULL OR f.{question.by[0]} IS NULL"
    return f"""
        WITH e AS (SELECT {picked} FROM read_parquet('{expected}')),
             f AS (SELECT {picked} FROM {source_of(output)})
        SELECT count(*) FROM e FULL JOIN f ON {same} WHERE {missing} OR {_differs(figures)}
    """


def _by_blocks(question: GroupQuestion, inputs: Path, output: Path) -> str:
    """Return the query for the blocks of keys whose totals are not those of the inputs."""
    (key,) = question.by
    totals = {}
    for name, (column, function) in question.named.items():
        # What groups add up to is known without them; a mean does so when its count is right.
        found = f"{name} * count_{column}" if function == "mean" else name
        totals[name] = ("1" if function == "count" else column, found)
    weight = f"(({key} & {(1 << _BLOCK_BITS) - 1}) + 1)"

    def block(values: dict[str, str], source: str) -> str:
        sums = ", ".join(
            f"sum(({value})::DOUBLE) AS {name}, sum(({value})::DOUBLE * {weight}) AS w_{name}"
            for name, value in values.items()
        )
        return f"SELECT {key} >> {_BLOCK_BITS} AS block, {sums} FROM {source} GROUP BY block"

    expected = block({name: value for name, (value, _) in totals.items()}, source_of(inputs))
    found = block({name: value for name, (_, value) in totals.items()}, source_of(output))
    figures = [f"{prefix}{name}" for name in totals for prefix in ("", "w_")]
    return f"""
        WITH e AS ({expected}), f AS ({found})
        SELECT count(*) FROM e FULL JOIN f ON e.block = f.block
        WHERE e.block IS NULL OR f.block IS NULL OR {_differs(figures)}
    """


def _differs(figures: Iterable[str]) -> str:
    return " OR ".join(
        f"NOT coalesce(abs(e.{name} - f.{name}) <= {_RELATIVE_TOLERANCE} * abs(e.{name}) + {_ABSOLUTE_TOLERANCE}, "
        f"e.{name} IS NULL AND f.{name} IS NULL)"
        for name in figures
    )
