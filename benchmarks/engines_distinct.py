"""Repeated keys counted and dropped, and counted one by one, in each engine.

Covers: safeframe, stock dask, DuckDB and Polars; each in the way that a user of it would write first.
Does not cover: the process that it is done in (:mod:`benchmarks.engines`), or whether
what comes out is right (:mod:`benchmarks.check_distinct`).

safeframe and Polars (with ``maintain_order``) keep the row of a key that comes first, DuckDB by ``min`` of a column
that numbers rows, since it knows no order; stock dask as it does.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from benchmarks.engines_peers import COMPRESSION, plan_figures, tuned_duckdb

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.engines import Request
    from benchmarks.situations import DistinctDataset
    from benchmarks.tight import TightCluster

__all__ = ["DISTINCT_WORK"]


def _safeframe(request: Request, dataset: DistinctDataset, tight: TightCluster) -> dict[str, Any]:
    import dask.dataframe as dd

    import safeframe

    start = time.perf_counter()
    frame = dd.read_parquet(dataset.files)
    kept = safeframe.drop_duplicates(frame, "id")
    planned = time.perf_counter() - start
    safeframe.to_parquet(kept, f"{request.output}/kept", write_index=False)
    dropped = time.perf_counter() - start
    distinct = safeframe.nunique(frame["id"]).compute()
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "planning_seconds": planned,
        "counting_seconds": seconds - dropped,
        "distinct": int(distinct),
        **plan_figures(kept),
    }


def _dask(request: Request, dataset: DistinctDataset, tight: TightCluster) -> dict[str, Any]:
    import dask.dataframe as dd

    start = time.perf_counter()
    frame = dd.read_parquet(dataset.files)
    frame.drop_duplicates("id").to_parquet(f"{request.output}/kept", write_index=False)
    dropped = time.perf_counter() - start
    distinct = frame["id"].nunique().compute()
    return {"counting_seconds": time.perf_counter() - start - dropped, "distinct": int(distinct)}


def _duckdb(request: Request, dataset: DistinctDataset, tight: None) -> dict[str, Any]:
    source = f"read_parquet('{dataset.files}/*.parquet')"
    start = time.perf_counter()
    with tuned_duckdb(request) as connection:
        connection.execute(
            f"COPY (SELECT f.* FROM {source} f SEMI JOIN (SELECT min(c0) AS c0 FROM {source} GROUP BY id) e "
            f"ON f.c0 = e.c0) TO '{request.output}/all.parquet' (FORMAT parquet, COMPRESSION {COMPRESSION})"
        )
        dropped = time.perf_counter() - start
        found = connection.execute(f"SELECT count(DISTINCT id) FROM {source}").fetchone()
    assert found is not None
    return {"counting_seconds": time.perf_counter() - start - dropped, "distinct": int(found[0])}


def _polars(request: Request, dataset: DistinctDataset, tight: None) -> dict[str, Any]:
    import polars as pl

    start = time.perf_counter()
    frame = pl.scan_parquet(dataset.files / "*.parquet")
    kept = frame.unique(subset=["id"], keep="first", maintain_order=True)
    kept.sink_parquet(f"{request.output}/all.parquet", compression=COMPRESSION, engine="streaming")
    dropped = time.perf_counter() - start
    distinct = frame.select(pl.col("id").n_unique()).collect(engine="streaming").item()
    return {"counting_seconds": time.perf_counter() - start - dropped, "distinct": int(distinct)}


def _safeframe_counts(request: Request, dataset: DistinctDataset, tight: TightCluster) -> dict[str, Any]:
    import dask.dataframe as dd

    import safeframe

    start = time.perf_counter()
    counts = safeframe.value_counts(dd.read_parquet(dataset.files, columns=["id"])["id"])
    planned = time.perf_counter() - start
    safeframe.to_parquet(counts.to_frame(), f"{request.output}/kept")
    return {
        "seconds": time.perf_counter() - start,
        "planning_seconds": planned,
        **plan_figures(counts),
    }


def _dask_counts(request: Request, dataset: DistinctDataset, tight: TightCluster) -> dict[str, Any]:
    import dask.dataframe as dd

    counts = dd.read_parquet(dataset.files, columns=["id"])["id"].value_counts()
    counts.to_frame().to_parquet(f"{request.output}/kept")
    return {}


def _duckdb_counts(request: Request, dataset: DistinctDataset, tight: None) -> dict[str, Any]:
    source = f"read_parquet('{dataset.files}/*.parquet')"
    with tuned_duckdb(request) as connection:
        connection.execute(
            f"COPY (SELECT id, count(*) AS count FROM {source} GROUP BY id ORDER BY count DESC) "
            f"TO '{request.output}/all.parquet' (FORMAT parquet, COMPRESSION {COMPRESSION})"
        )
    return {}


def _polars_counts(request: Request, dataset: DistinctDataset, tight: None) -> dict[str, Any]:
    import polars as pl

    frame = pl.scan_parquet(dataset.files / "*.parquet")
    counts = frame.group_by("id").agg(pl.len().alias("count")).sort("count", descending=True)
    counts.sink_parquet(f"{request.output}/all.parquet", compression=COMPRESSION, engine="streaming")
    return {}


DISTINCT_WORK: dict[tuple[str, str], Callable[..., dict[str, Any]]] = {
    ("safeframe", "drop_duplicates"): _safeframe,
    ("dask", "drop_duplicates"): _dask,
    ("duckdb", "drop_duplicates"): _duckdb,
    ("polars", "drop_duplicates"): _polars,
    ("safeframe", "value_counts"): _safeframe_counts,
    ("dask", "value_counts"): _dask_counts,
    ("duckdb", "value_counts"): _duckdb_counts,
    ("polars", "value_counts"): _polars_counts,
}
"""What to do, by engine and task."""
