"""What one run gave, in one shape for all engines, and the summary of several.

Covers: medians of what finished, the worst of the rest.
Does not cover: files (:mod:`benchmarks.results`), or making the figures
(:mod:`benchmarks.run`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Any

__all__ = ["FINISHED", "Run", "Summary", "summarise"]

FINISHED = "finished"
"""The outcome of a run that went well."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One engine, once."""

    engine: str
    """Which."""
    outcome: str
    """``finished``; ``disturbed`` when it ended only after kills, restarts or repeated
    tasks; ``wrong`` when the result is not what was asked for, ``not as asked: ...``
    when something besides is missing; else what ended it."""
    seconds: float | None = None
    """Time it took; None when it did not end well."""
    resident_peak_nbytes: int = 0
    """Most resident memory of the largest worker, or of the one process, in bytes."""
    group_peak_nbytes: int = 0
    """Most that its memory group held, page cache included, in bytes; 0 when unknown."""
    enforced_by: str = "dask only"
    """Who held it to its size."""
    limit_nbytes: int = 0
    """What a worker, or the one process, was told to keep to, in bytes."""
    oom_kills: int = 0
    """Processes that the kernel killed."""
    restarts: int = 0
    """Workers that were replaced."""
    reruns: int = 0
    """Tasks that were run again."""
    rows: int | None = None
    """Rows that came out; None when nothing did."""
    largest_partition_nbytes: int | None = None
    """Largest output partition in memory, in bytes; None for engines without partitions."""
    details: dict[str, Any] = field(default_factory=dict)
    """Everything else that was seen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """One engine, over its repetitions: medians of what finished, the worst of the rest."""

    engine: str
    outcome: str
    runs: int
    seconds: float | None
    resident_peak_nbytes: int
    group_peak_nbytes: int
    projected_worker_nbytes: int | None
    limit_nbytes: int
    oom_kills: int
    restarts: int
    reruns: int
    rows: int | None
    largest_partition_nbytes: int | None
    partition_nbytes: int | None
    seconds_per_gb: float | None = None
    """Seconds for each 10**9 bytes of input in memory; None where they are not what costs."""


def summarise(runs: list[Run], nbytes: int | None = None) -> list[Summary]:
    """Fold repetitions, keeping the order of engines.

    Parameters
    ----------
    runs
        Of one situation.
    nbytes
        Bytes to which seconds are related; None when to none.
    """
    by_engine: dict[str, list[Run]] = {}
    for run in runs:
        by_engine.setdefault(run.engine, []).append(run)
    return [_summarise_one(engine, its_runs, nbytes) for engine, its_runs in by_engine.items()]


def _summarise_one(engine: str, runs: list[Run], nbytes: int | None) -> Summary:
    # One bad run among good ones is the engine's outcome: memory-safe means every time.
    bad = [run for run in runs if run.outcome != FINISHED]
    seconds = [run.seconds for run in runs if run.seconds is not None]
    shown = bad[0] if bad else runs[0]
    return Summary(
        engine=engine,
        outcome=shown.outcome,
        runs=len(runs),
        seconds=median(seconds) if seconds else None,
        resident_peak_nbytes=max(run.resident_peak_nbytes for run in runs),
        group_peak_nbytes=max(run.group_peak_nbytes for run in runs),
        projected_worker_nbytes=shown.details.get("projected_worker_nbytes"),
        limit_nbytes=shown.limit_nbytes,
        oom_kills=max(run.oom_kills for run in runs),
        restarts=max(run.restarts for run in runs),
        reruns=max(run.reruns for run in runs),
        rows=shown.rows,
        largest_partition_nbytes=shown.largest_partition_nbytes,
        partition_nbytes=shown.details.get("partition_nbytes"),
        seconds_per_gb=median(seconds) / (nbytes / 1e9) if seconds and nbytes else None,
    )
