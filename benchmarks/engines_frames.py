"""A frame put in order, in each engine.

Covers: ordered and looked at in memory (safeframe, stock dask); ordered from parquet
files into parquet files, and balanced (all four); each in the way that a
user of it would write first, or its manual recommends for data larger than memory.
Does not cover: the process that it is done in (:mod:`benchmarks.engines`), or whether
what comes out is right (:mod:`benchmarks.check_order`).
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pandas as pd

from benchmarks.engines_peers import COMPRESSION, plan_figures, tuned_duckdb
from benchmarks.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.engines import Request
    from benchmarks.situations import FrameDataset
    from benchmarks.tight import TightCluster

__all__ = ["FRAME_WORK"]

# What the author of the question does with dask.
_AUTHORS_PARTITION = "100MB"


def _safeframe_order(request: Request, dataset: FrameDataset, tight: TightCluster) -> dict[str, Any]:
    import safeframe

    situation = dataset.situation
    start = time.perf_counter()
    ordered = safeframe.set_index(_made_frame(dataset), situation.key, npartitions=situation.table.files)
    planned = time.perf_counter() - start
    partitions = _look_at_all(ordered)
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "planning_seconds": planned,
        "partitions": partitions,
        "divisions": _known_divisions(ordered),
        **plan_figures(ordered),
    }


def _dask_order(request: Request, dataset: FrameDataset, tight: TightCluster) -> dict[str, Any]:
    situation = dataset.situation
    start = time.perf_counter()
    ordered = _made_frame(dataset).set_index(situation.key, npartitions=situation.table.files)
    partitions = _look_at_all(ordered)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "partitions": partitions, "divisions": _known_divisions(ordered)}


def _safeframe_sort(request: Request, dataset: FrameDataset, tight: TightCluster) -> dict[str, Any]:
    import dask.dataframe as dd

    import safeframe

    start = time.perf_counter()
    ordered = safeframe.set_index(dd.read_parquet(dataset.files), dataset.situation.key)
    planned = time.perf_counter() - start
    safeframe.to_parquet(ordered, _target(request))
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "planning_seconds": planned,
        "divisions": _known_divisions(ordered),
        **plan_figures(ordered),
    }


def _dask_sort(request: Request, dataset: FrameDataset, tight: TightCluster) -> dict[str, Any]:
    import dask.dataframe as dd

    start = time.perf_counter()
    ordered = dd.read_parquet(dataset.files).set_index(dataset.situation.key)
    ordered.to_parquet(_target(request))
    seconds = time.perf_counter() - start
    # Asking for divisions may cost a pass of its own.
    return {"seconds": seconds, "divisions": _known_divisions(ordered)}


def _safeframe_rebalance(request: Request, dataset: FrameDataset, tight: TightCluster) -> dict[str, Any]:
    import dask.dataframe as dd

    import safeframe

    start = time.perf_counter()
    ordered = safeframe.set_index(dd.read_parquet(dataset.files), dataset.situation.key)
    balanced = safeframe.rebalance_partitions(ordered)
    planned = time.perf_counter() - start
    safeframe.to_parquet(balanced, _target(request))
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "planning_seconds": planned,
        "divisions": _known_divisions(balanced),
        **plan_figures(ordered, balanced),
    }


def _dask_rebalance(request: Request, dataset: FrameDataset, tight: TightCluster) -> dict[str, Any]:
    import dask.dataframe as dd

    start = time.perf_counter()
    ordered = dd.read_parquet(dataset.files).set_index(dataset.situation.key)
    balanced = ordered.repartition(partition_size=_AUTHORS_PARTITION)
    balanced.to_parquet(_target(request))
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "divisions": _known_divisions(balanced)}


def _duckdb_sort(request: Request, dataset: FrameDataset, tight: None) -> dict[str, Any]:
    with tuned_duckdb(request) as connection:
        connection.execute(
            f"COPY (SELECT * FROM read_parquet('{dataset.files}/*.parquet') ORDER BY {dataset.situation.key}) "
            f"TO '{request.output}/all.parquet' (FORMAT parquet, COMPRESSION {COMPRESSION})"
        )
    return {"divisions": ()}


def _polars_sort(request: Request, dataset: FrameDataset, tight: None) -> dict[str, Any]:
    import polars as pl

    ordered = pl.scan_parquet(dataset.files / "*.parquet").sort(dataset.situation.key)
    ordered.sink_parquet(f"{request.output}/all.parquet", compression=COMPRESSION, engine="streaming")
    return {"divisions": ()}


def _made_frame(dataset: FrameDataset) -> Any:
    import dask.dataframe as dd

    situation = dataset.situation
    return dd.from_map(situation.frame, range(situation.table.files), meta=situation.frame(0).iloc[:0])


def _look_at_all(ordered: Any) -> list[dict[str, Any]]:
    meta = pd.DataFrame({"totals": pd.Series([], dtype=object)})
    totals = ordered.map_partitions(_look, meta=meta).compute()["totals"]
    return [asdict(part) for part in totals]


def _look(frame: pd.DataFrame) -> pd.DataFrame:
    # Every value of every column, so that no optimiser can leave anything out.
    key = str(frame.index.name)
    columns = {key: frame.index.to_numpy(), **{name: frame[name].to_numpy() for name in frame.columns}}
    return pd.DataFrame({"totals": pd.Series([Totals.of(columns, key)], dtype=object)})


def _known_divisions(collection: Any) -> list[Any] | None:
    if not collection.known_divisions:
        return None
    return [getattr(division, "item", lambda value=division: value)() for division in collection.divisions]


def _target(request: Request) -> str:
    # A directory of the writer's own making: to write into one that exists is another question.
    return f"{request.output}/ordered"


FRAME_WORK: dict[tuple[str, str], Callable[..., dict[str, Any]]] = {
    ("safeframe", "order"): _safeframe_order,
    ("safeframe", "sort"): _safeframe_sort,
    ("safeframe", "rebalance"): _safeframe_rebalance,
    ("dask", "order"): _dask_order,
    ("dask", "sort"): _dask_sort,
    ("dask", "rebalance"): _dask_rebalance,
    ("duckdb", "sort"): _duckdb_sort,
    ("duckdb", "rebalance"): _duckdb_sort,
    ("polars", "sort"): _polars_sort,
    ("polars", "rebalance"): _polars_sort,
}
"""What to do, by engine and task; one file cannot be balanced, so there the peers only sort."""
