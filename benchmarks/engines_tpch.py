"""A join of TPC-H's tables in each engine, on keys that each side has names of its own for.

Covers: safeframe, stock dask, DuckDB and Polars.
Does not cover: the process that it is done in (:mod:`benchmarks.engines`).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from benchmarks.engines_peers import COMPRESSION, plan_figures, tuned_duckdb

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.engines import Request
    from benchmarks.situations import TpchDataset
    from benchmarks.tight import TightCluster

__all__ = ["TPCH_WORK"]


def _safeframe_merge(request: Request, dataset: TpchDataset, tight: TightCluster) -> dict[str, Any]:
    import dask.dataframe as dd

    import safeframe

    situation = dataset.situation
    start = time.perf_counter()
    joined = safeframe.merge(
        dd.read_parquet(dataset.left),
        dd.read_parquet(dataset.right),
        left_on=list(situation.left_on),
        right_on=list(situation.right_on),
        how=situation.how,
    )
    planned = time.perf_counter() - start
    safeframe.to_parquet(joined, request.output, write_index=False, overwrite=True)
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "planning_seconds": planned,
        **plan_figures(joined),
        "projected_worker_nbytes": safeframe.explain(joined).written.projected_worker_nbytes,
    }


def _dask_merge(request: Request, dataset: TpchDataset, tight: TightCluster) -> dict[str, Any]:
    import dask.dataframe as dd

    situation = dataset.situation
    joined = dd.merge(
        dd.read_parquet(dataset.left),
        dd.read_parquet(dataset.right),
        left_on=list(situation.left_on),
        right_on=list(situation.right_on),
        how=situation.how,
    )
    joined.to_parquet(request.output, write_index=False)
    return {}


def _duckdb_merge(request: Request, dataset: TpchDataset, tight: None) -> dict[str, Any]:
    situation = dataset.situation
    same = " AND ".join(
        f"{left} = {right}" for left, right in zip(situation.left_on, situation.right_on, strict=True)
    )
    with tuned_duckdb(request) as connection:
        connection.execute(
            f"COPY (SELECT * FROM read_parquet('{dataset.left}/*.parquet') {situation.how.upper()} JOIN "
            f"read_parquet('{dataset.right}/*.parquet') ON {same}) "
            f"TO '{request.output}/all.parquet' (FORMAT parquet, COMPRESSION {COMPRESSION})"
        )
    return {}


def _polars_merge(request: Request, dataset: TpchDataset, tight: None) -> dict[str, Any]:
    import polars as pl

    situation = dataset.situation
    joined = pl.scan_parquet(dataset.left / "*.parquet").join(
        pl.scan_parquet(dataset.right / "*.parquet"),
        left_on=list(situation.left_on),
        right_on=list(situation.right_on),
        how=situation.how,
        coalesce=False,
    )
    joined.sink_parquet(
        f"{request.output}/all.parquet", compression=COMPRESSION, engine="streaming", maintain_order=False
    )
    return {}


TPCH_WORK: dict[tuple[str, str], Callable[..., dict[str, Any]]] = {
    ("safeframe", "tpch"): _safeframe_merge,
    ("dask", "tpch"): _dask_merge,
    ("duckdb", "tpch"): _duckdb_merge,
    ("polars", "tpch"): _polars_merge,
}
"""What to do, by engine and task."""
