"""What the engines' tasks share: how DuckDB is set up, and what a plan promised.

Covers: threads, memory, spilling, compression; the figures of safeframe's plans.
Does not cover: any task (:mod:`benchmarks.engines_joins`,
:mod:`benchmarks.engines_frames`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from benchmarks.engines import Request

__all__ = ["COMPRESSION", "plan_figures", "tuned_duckdb"]

_PEER_THREADS = 2
COMPRESSION: Final = "snappy"
"""What pandas, dask and DuckDB write unless told otherwise; Polars would use zstd."""


def tuned_duckdb(request: Request) -> Any:
    """Connect to a DuckDB that is set up for data larger than memory."""
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"SET memory_limit='{request.peer_memory}'")
    connection.execute(f"SET threads={_PEER_THREADS}")
    connection.execute(f"SET temp_directory='{request.scratch}/duckdb'")
    # Its manual's advice for results larger than memory.
    connection.execute("SET preserve_insertion_order=false")
    return connection


def plan_figures(*collections: Any) -> dict[str, Any]:
    """Return what the plans of safeframe's collections promised: of the last, and the largest peak of all."""
    import safeframe

    found = [safeframe.explain(collection) for collection in collections]
    # A step of dask's on top of recipes has an explanation with the plans in it.
    plans = [plan for one in found for plan in ([one] if isinstance(one, safeframe.Plan) else one.plans)]
    last = plans[-1]
    return {
        "strategy": last.strategy,
        "projected_worker_nbytes": max(plan.projected_worker_nbytes for plan in plans),
        "partition_nbytes": last.partition_nbytes,
        "planned_largest_partition_nbytes": last.largest_partition_nbytes,
        "planned_rows": int(last.output_rows),
        "plan": "\n".join(plan.details() for plan in plans),
    }
