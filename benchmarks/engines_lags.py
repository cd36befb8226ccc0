"""Columns of rows before within groups, in each engine.

Covers: safeframe, stock dask as its users write it by hand, window functions of DuckDB
and Polars.
Does not cover: the process that it is done in (:mod:`benchmarks.engines`), or whether
what comes out is right (:mod:`benchmarks.check_lags`).

safeframe keeps the order of the files within a group. The others owe none, which is
the easier task.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.engines_peers import COMPRESSION, plan_figures, tuned_duckdb

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from benchmarks.engines import Request
    from benchmarks.situations import LagDataset
    from benchmarks.tight import TightCluster

__all__ = ["LAG_WORK"]


def _safeframe_lag(request: Request, dataset: LagDataset, tight: TightCluster) -> dict[str, Any]:
    import dask.dataframe as dd

    import safeframe

    situation = dataset.situation
    start = time.perf_counter()
    lagged = safeframe.groupby_lag_transform(
        dd.read_parquet(dataset.files),
        situation.key,
        situation.value,
        situation.lags,
        transform=np.log,
        names="log_{lag}",
        ignore_index=True,
    )
    planned = time.perf_counter() - start
    safeframe.to_parquet(lagged, f"{request.output}/lagged", write_index=False)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "planning_seconds": planned, "ordered": True, **plan_figures(lagged)}


def _dask_lag(request: Request, dataset: LagDataset, tight: TightCluster) -> dict[str, Any]:
    import dask.dataframe as dd

    situation = dataset.situation
    together = dd.read_parquet(dataset.files).shuffle(situation.key)
    lagged = together.map_partitions(_with_lags, situation.key, situation.value, situation.lags)
    lagged.to_parquet(f"{request.output}/lagged", write_index=False)
    return {"ordered": False}


def _with_lags(frame: pd.DataFrame, key: str, value: str, lags: tuple[int, ...]) -> pd.DataFrame:
    groups = frame.groupby(key)[value]
    return frame.assign(**{f"log_{lag}": np.log(groups.shift(lag)) for lag in lags})


def _duckdb_lag(request: Request, dataset: LagDataset, tight: None) -> dict[str, Any]:
    situation = dataset.situation
    columns = ", ".join(
        f"ln(lag({situation.value}, {lag}) OVER (PARTITION BY {situation.key})) AS log_{lag}"
        for lag in situation.lags
    )
    with tuned_duckdb(request) as connection:
        connection.execute(
            f"COPY (SELECT *, {columns} FROM read_parquet('{dataset.files}/*.parquet')) "
            f"TO '{request.output}/all.parquet' (FORMAT parquet, COMPRESSION {COMPRESSION})"
        )
    return {"ordered": False}


def _polars_lag(request: Request, dataset: LagDataset, tight: None) -> dict[str, Any]:
    import polars as pl

    situation = dataset.situation
    column = pl.col(situation.value)
    lagged = pl.scan_parquet(dataset.files / "*.parquet").with_columns(
        column.shift(lag).over(situation.key).log().alias(f"log_{lag}") for lag in situation.lags
    )
    lagged.sink_parquet(f"{request.output}/all.parquet", compression=COMPRESSION, engine="streaming")
    return {"ordered": False}


LAG_WORK: dict[tuple[str, str], Callable[..., dict[str, Any]]] = {
    ("safeframe", "lag"): _safeframe_lag,
    ("dask", "lag"): _dask_lag,
    ("duckdb", "lag"): _duckdb_lag,
    ("polars", "lag"): _polars_lag,
}
"""What to do, by engine and task."""
