"""What is asked of each group, in each engine.

Covers: safeframe, stock dask with and without ``split_out``, DuckDB and Polars, each in the way that a user of it
would write first, or its solution of db-benchmark does.
Does not cover: the process that it is done in (:mod:`benchmarks.engines`), or whether
what comes out is right (:mod:`benchmarks.check_groups`).
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from benchmarks.engines_peers import COMPRESSION, plan_figures, tuned_duckdb
from benchmarks.situations.group_questions import ASKED_QUANTILES, LARGEST, source_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.engines import Request
    from benchmarks.situations import GroupDataset
    from benchmarks.situations.group_questions import GroupQuestion
    from benchmarks.tight import TightCluster

__all__ = ["GROUP_WORK"]

_SPLIT_OUT = 200


def _safeframe(request: Request, dataset: GroupDataset, tight: TightCluster) -> dict[str, Any]:
    import dask.dataframe as dd

    import safeframe

    start = time.perf_counter()
    *made, answer = _safeframe_answer(dd.read_parquet(dataset.files), dataset.situation.question)
    planned = time.perf_counter() - start
    safeframe.to_parquet(answer, f"{request.output}/groups", write_index=False)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "planning_seconds": planned, **plan_figures(*made)}


def _safeframe_answer(frame: Any, question: GroupQuestion) -> tuple[Any, ...]:
    """Return the results of recipes, and last what is written."""
    import safeframe

    by, columns = list(question.by), question.columns
    match question.task:
        case "aggregate":
            totals = safeframe.groupby(frame, by, as_index=False).agg(**question.named)
            return totals, totals
        case "range":
            ends = safeframe.groupby(frame, by, as_index=False).agg(**question.named)
            largest, smallest = question.named
            return ends, ends.assign(range=ends[largest] - ends[smallest])[[*by, "range"]]
        case "largest":
            largest = safeframe.groupby(frame, by)[columns[0]].nlargest(LARGEST)
            return largest, largest.reset_index()[[*by, columns[0]]]
        case "r2":
            matrices = safeframe.groupby(frame, by)[columns].corr()
            return matrices, matrices.map_partitions(_squared_of, *columns)
        case "quantiles":
            found = safeframe.groupby(frame, by)[columns[0]].quantile(list(ASKED_QUANTILES))
            return found, found.reset_index().rename(columns={f"level_{len(by)}": "q"})


def _squared_of(matrices: pd.DataFrame, one: str, two: str) -> pd.DataFrame:
    # A row for each column of a matrix. To filter what dask's reset_index returns fails for several keys.
    rows = matrices[matrices.index.get_level_values(-1) == one]
    return (rows[two] ** 2).rename("r2").droplevel(-1).reset_index()


def _dask(request: Request, dataset: GroupDataset, tight: TightCluster) -> dict[str, Any]:
    _dask_answer(dataset).to_parquet(f"{request.output}/groups", write_index=False)
    return {}


def _dask_split_out(request: Request, dataset: GroupDataset, tight: TightCluster) -> dict[str, Any]:
    answer = _dask_answer(dataset, split_out=_SPLIT_OUT)
    answer.to_parquet(f"{request.output}/groups", write_index=False)
    return {}


def _dask_answer(dataset: GroupDataset, **options: Any) -> Any:
    import dask.dataframe as dd

    question = dataset.situation.question
    by, columns = list(question.by), question.columns
    frame = dd.read_parquet(dataset.files)[by + columns]
    match question.task:
        case "aggregate":
            return frame.groupby(by).agg(**question.named, **options).reset_index()
        case "range":
            ends = frame.groupby(by).agg(**question.named, **options).reset_index()
            largest, smallest = question.named
            return ends.assign(range=ends[largest] - ends[smallest])[[*by, "range"]]
        case "largest":
            meta = pd.DataFrame({columns[0]: pd.Series(dtype="float64")})
            found = frame.groupby(by)[columns].apply(_largest, columns[0], meta=meta)
        case "r2":
            meta = pd.DataFrame({"r2": pd.Series(dtype="float64")})
            found = frame.groupby(by)[columns].apply(_squared_correlation, *columns, meta=meta)
        case "quantiles":
            meta = pd.DataFrame({"q": pd.Series(dtype="float64"), columns[0]: pd.Series(dtype="float64")})
            found = frame.groupby(by)[columns].apply(_quantiles, columns[0], meta=meta)
    meta = pd.concat([frame._meta[by], meta], axis=1)
    return found.map_partitions(partial(_keys_to_columns, by=by, empty=meta), meta=meta)


def _largest(group: pd.DataFrame, column: str) -> pd.DataFrame:
    return group.nlargest(LARGEST, column)


def _squared_correlation(group: pd.DataFrame, one: str, two: str) -> pd.Series[float]:
    return pd.Series({"r2": group.corr()[one][two] ** 2})


def _quantiles(group: pd.DataFrame, column: str) -> pd.DataFrame:
    return group[column].quantile(list(ASKED_QUANTILES)).rename_axis("q").reset_index()


def _keys_to_columns(found: pd.DataFrame, *, by: list[str], empty: pd.DataFrame) -> pd.DataFrame:
    # Without groups there are no keys in the index. What is left of it numbers the rows that a function returned.
    return found.reset_index(by) if len(found) else empty


def _duckdb(request: Request, dataset: GroupDataset, tight: None) -> dict[str, Any]:
    query = dataset.situation.question.sql(source_of(dataset.files))
    with tuned_duckdb(request) as connection:
        connection.execute(
            f"COPY ({query}) TO '{request.output}/all.parquet' (FORMAT parquet, COMPRESSION {COMPRESSION})"
        )
    return {}


def _polars(request: Request, dataset: GroupDataset, tight: None) -> dict[str, Any]:
    import polars as pl

    question = dataset.situation.question
    groups = pl.scan_parquet(dataset.files / "*.parquet").group_by(*question.by)
    columns = question.columns
    aggregated = [
        getattr(pl.col(column), function)().alias(name)
        for name, (column, function) in question.named.items()
        if function
    ]
    match question.task:
        case "aggregate":
            answer = groups.agg(aggregated)
        case "range":
            largest, smallest = aggregated
            answer = groups.agg((largest - smallest).alias("range"))
        case "largest":
            answer = groups.agg(pl.col(columns[0]).top_k(LARGEST)).explode(columns[0])
        case "r2":
            answer = groups.agg((pl.corr(*columns) ** 2).alias("r2"))
        case "quantiles":
            column = pl.col(columns[0])
            found = groups.agg(column.quantile(q, "linear").alias(str(q)) for q in ASKED_QUANTILES)
            long = found.unpivot(index=list(question.by), variable_name="q", value_name=columns[0])
            answer = long.with_columns(pl.col("q").cast(pl.Float64))
    answer.sink_parquet(
        f"{request.output}/all.parquet", compression=COMPRESSION, engine="streaming", maintain_order=False
    )
    return {}


_ENGINES: dict[str, Callable[..., dict[str, Any]]] = {
    "safeframe": _safeframe,
    "dask": _dask,
    "dask_split_out": _dask_split_out,
    "duckdb": _duckdb,
    "polars": _polars,
}
GROUP_WORK = {
    (engine, task): work
    for engine, work in _ENGINES.items()
    for task in ("aggregate", "range", "largest", "r2", "quantiles")
}
"""What to do, by engine and task."""
