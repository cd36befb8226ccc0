"""What is asked of each group of a frame, and the SQL that answers it.

Covers: totals of two columns, the ten questions of db-benchmark's group-by task, two quantiles.
Does not cover: the frames (:mod:`benchmarks.situations.group_tables`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ASKED_QUANTILES", "BENCHMARK_QUESTIONS", "LARGEST", "GroupQuestion", "source_of"]

ASKED_QUANTILES = (0.5, 0.99)
"""Those that questions for quantiles are for."""
LARGEST = 2
"""How many of the largest values questions for them are for."""

_SQL = {"mean": "avg", "std": "stddev_samp"}


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupQuestion:
    """What is asked of each group.

    Examples
    --------
    >>> question = GroupQuestion(by=("k",), values=(("a", "sum"), ("b", "mean")))
    >>> question.named
    {'sum_a': ('a', 'sum'), 'mean_b': ('b', 'mean')}
    >>> question.sql("t")
    'SELECT k, sum(a) AS sum_a, avg(b) AS mean_b FROM t GROUP BY k'
    """

    by: tuple[str, ...]
    """Columns that make a group."""
    values: tuple[tuple[str, str], ...]
    """What is aggregated: columns, and pandas' names of functions."""
    task: Literal["aggregate", "range", "largest", "r2", "quantiles"] = "aggregate"
    """Whether that is the answer; or the first value less the second; or, without functions, the largest values of a
    column or quantiles of it, a row each, or the squared correlation of two columns."""

    @property
    def columns(self) -> list[str]:
        """Columns that are aggregated."""
        return list(dict.fromkeys(column for column, _ in self.values))

    @property
    def named(self) -> dict[str, tuple[str, str]]:
        """What is aggregated, by the name of the result, as pandas takes it."""
        return {f"{function}_{column}": (column, function) for column, function in self.values}

    @property
    def keys(self) -> tuple[str, ...]:
        """Columns that tell the rows of the answer apart; the check itself counts ``place``."""
        return (*self.by, *{"largest": ("place",), "quantiles": ("q",)}.get(self.task, ()))

    @property
    def figures(self) -> tuple[str, ...]:
        """The other columns of the answer."""
        match self.task:
            case "aggregate":
                return tuple(self.named)
            case "range" | "r2":
                return (self.task,)
            case _:
                return (self.columns[0],)

    def sql(self, source: str) -> str:
        """Return the query that answers it."""
        by, first = ", ".join(self.by), self.columns[0]
        aggregated = [f"{_SQL.get(function, function)}({column})" for column, function in self.values]
        match self.task:
            case "aggregate":
                picked = ", ".join(
                    f"{value} AS {name}" for value, name in zip(aggregated, self.named, strict=True)
                )
            case "range":
                picked = " - ".join(aggregated) + " AS range"
            case "largest":
                picked = f"unnest(max({first}, {LARGEST})) AS {first}"
            case "r2":
                picked = f"pow(corr({', '.join(self.columns)}), 2) AS r2"
            case "quantiles":
                asked = f"[{', '.join(f'{q}::DOUBLE' for q in ASKED_QUANTILES)}]"
                picked = f"unnest({asked}) AS q, unnest(quantile_cont({first}, {asked})) AS {first}"
        return f"SELECT {by}, {picked} FROM {source} GROUP BY {by}"


def source_of(files: Path) -> str:
    """Say in SQL where the rows of all files below a directory are read from."""
    return f"read_parquet('{files}/**/*.parquet')"


BENCHMARK_QUESTIONS: dict[str, tuple[str, GroupQuestion]] = {
    "q1": ("sum of v1 by id1", GroupQuestion(by=("id1",), values=(("v1", "sum"),))),
    "q2": ("sum of v1 by id1 and id2", GroupQuestion(by=("id1", "id2"), values=(("v1", "sum"),))),
    "q3": (
        "sum of v1, mean of v3 by id3",
        GroupQuestion(by=("id3",), values=(("v1", "sum"), ("v3", "mean"))),
    ),
    "q4": (
        "means of v1, v2, v3 by id4",
        GroupQuestion(by=("id4",), values=(("v1", "mean"), ("v2", "mean"), ("v3", "mean"))),
    ),
    "q5": (
        "sums of v1, v2, v3 by id6",
        GroupQuestion(by=("id6",), values=(("v1", "sum"), ("v2", "sum"), ("v3", "sum"))),
    ),
    "q6": (
        "median and standard deviation of v3 by id4 and id5",
        GroupQuestion(by=("id4", "id5"), values=(("v3", "median"), ("v3", "std"))),
    ),
    "q7": (
        "largest v1 less smallest v2 by id3",
        GroupQuestion(by=("id3",), values=(("v1", "max"), ("v2", "min")), task="range"),
    ),
    "q8": ("two largest v3 by id6", GroupQuestion(by=("id6",), values=(("v3", ""),), task="largest")),
    "q9": (
        "squared correlation of v1 and v2 by id2 and id4",
        GroupQuestion(by=("id2", "id4"), values=(("v1", ""), ("v2", "")), task="r2"),
    ),
    "q10": (
        "sum of v3 and count by all six ids",
        GroupQuestion(by=tuple(f"id{i}" for i in range(1, 7)), values=(("v3", "sum"), ("v1", "count"))),
    ),
}
"""The questions of db-benchmark, each with what it asks, in words."""
