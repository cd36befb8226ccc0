"""The five jobs that README shows, and the comparison of one situation that every page uses.

Covers: which situations a reader sees first and in which words, the fastest engine of
a situation, an engine's time next to safeframe's.
Does not cover: text and pictures of them (:mod:`benchmarks.pages`, :mod:`benchmarks.glance`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.summaries import FINISHED, Summary

__all__ = ["ENGINE_NAMES", "JOBS", "OURS", "Comparison", "Job", "compare"]

OURS = "safeframe"
ENGINE_NAMES = {
    "safeframe": "safeframe",
    "dask": "dask",
    "dask_split_out": "dask, split_out=200",
    "duckdb": "DuckDB",
    "polars": "Polars",
    "pyarrow": "pyarrow by hand",
}
"""Engines as readers know them, in the order of columns."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A situation that README shows."""

    situation: str
    title: str
    """What is done, for a reader who knows no situation."""
    short: str
    """The same for the picture."""
    smaller: str = ""
    """A smaller situation of the same kind that dask was run on, where it was not on this one."""
    smaller_title: str = ""


JOBS = (
    Job(
        situation="q4",
        title="the question: 100 M rows left join 10 M, 10¹¹ rows as parquet",
        short="join to 10¹¹ rows",
        smaller="question_script",
        smaller_title="a tenth of both tables",
    ),
    Job(situation="q3", title="10 M rows left join 100 k, 100 M rows", short="join to 10⁸ rows"),
    Job(situation="b1", title="100 M rows left join 10 M unique keys", short="join of unique keys"),
    Job(situation="sort_parquet", title="80 M rows × 10 columns in order", short="sort of 6.5 GB"),
    Job(situation="strings", title="20 M rows left join 2 M ids of 16 characters", short="join of strings"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What the engines did in one situation."""

    result: Mapping[str, Any]
    """As it is in the JSON file."""
    summaries: Mapping[str, Summary]
    """By engine."""

    @property
    def ours(self) -> Summary:
        """Return what safeframe did."""
        return self.summaries[OURS]

    @property
    def fastest(self) -> Summary:
        """Return the engine that finished first."""
        timed = [
            one for one in self.summaries.values() if one.outcome == FINISHED and one.seconds is not None
        ]
        return min(timed, key=lambda one: one.seconds or 0.0)

    @property
    def peers(self) -> tuple[str, ...]:
        """Return the engines other than safeframe that were run."""
        return tuple(name for name in ENGINE_NAMES if name != OURS and name in self.summaries)

    def timeout_seconds(self, engine: str) -> float:
        """Return the seconds that an engine was given."""
        given = self.result["timeout_seconds"]
        # Results of before engines had times of their own have one number.
        return float(given[engine] if isinstance(given, Mapping) else given)

    def ratio(self, engine: str) -> float | None:
        """Return an engine's time as a multiple of safeframe's; None where either has none."""
        one = self.summaries.get(engine)
        if one is None or one.outcome != FINISHED or one.seconds is None or self.ours.seconds is None:
            return None
        return one.seconds / self.ours.seconds

    def is_faster(self, engine: str) -> bool:
        """Whether an engine took less time than safeframe."""
        ratio = self.ratio(engine)
        return ratio is not None and ratio < 1


def compare(results: Sequence[Mapping[str, Any]]) -> dict[str, Comparison]:
    """Return the comparisons of all situations that safeframe ran in, by situation.

    Parameters
    ----------
    results
        As they are in the JSON files.
    """
    comparisons = {}
    for result in results:
        summaries = {cells["engine"]: Summary(**cells) for cells in result["summary"]}
        if OURS in summaries:
            comparisons[str(result["situation"])] = Comparison(result=result, summaries=summaries)
    return comparisons
