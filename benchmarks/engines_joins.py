"""A join, or the prediction of its rows, in each engine.

Covers: safeframe, stock dask, DuckDB and Polars, each in the way its own manual
recommends for data larger than memory.
Does not cover: the process that it is done in (:mod:`benchmarks.engines`).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.engines_peers import COMPRESSION, plan_figures, tuned_duckdb

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.engines import Request
    from benchmarks.situations import Dataset
    from benchmarks.tight import TightCluster

__all__ = ["JOIN_WORK"]


def _safeframe_merge(request: Request, dataset: Dataset, tight: TightCluster) -> dict[str, Any]:
    import dask.dataframe as dd

    import safeframe

    options = dataset.situation.key.read_options
    start = time.perf_counter()
    joined = safeframe.merge(
        dd.read_parquet(dataset.left, **options),
        dd.read_parquet(dataset.right, **options),
        on=dataset.situation.key.columns,
        how=dataset.situation.how,
    )
    planned = time.perf_counter() - start
    safeframe.to_parquet(joined, request.output, write_index=False, overwrite=True)
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "planning_seconds": planned,
        **plan_figures(joined),
        # What was run: files without rows where the plan has it so.
        "projected_worker_nbytes": safeframe.explain(joined).written.projected_worker_nbytes,
        "without_rows": safeframe.explain(joined).to_dict()["written_nbytes"] is not None,
    }


def _dask_merge(request: Request, dataset: Dataset, tight: TightCluster) -> dict[str, Any]:
    import dask.dataframe as dd

    options = dataset.situation.key.read_options
    joined = dd.merge(
        dd.read_parquet(dataset.left, **options),
        dd.read_parquet(dataset.right, **options),
        on=dataset.situation.key.columns,
        how=dataset.situation.how,
    )
    joined.to_parquet(request.output, write_index=False)
    return {}


def _safeframe_estimate(request: Request, dataset: Dataset, tight: TightCluster) -> dict[str, Any]:
    import dask.dataframe as dd

    import safeframe

    estimate = safeframe.estimate_merge(
        dd.read_parquet(dataset.left),
        dd.read_parquet(dataset.right),
        on=dataset.situation.key.columns,
        how=dataset.situation.how,
    )
    return {"rows": int(estimate.rows)}


def _dask_estimate(request: Request, dataset: Dataset, tight: TightCluster) -> dict[str, Any]:
    import dask
    import dask.dataframe as dd
    import pandas as pd

    (key,) = dataset.situation.key.columns
    left, right = dask.compute(
        dd.read_parquet(dataset.left, columns=[key])[key].value_counts(),
        dd.read_parquet(dataset.right, columns=[key])[key].value_counts(),
    )
    counts = pd.DataFrame({"left": left, "right": right}).fillna({"left": 0, "right": _missing(dataset)})
    return {"rows": int((counts["left"].astype("int64") * counts["right"].astype("int64")).sum())}


def _duckdb_merge(request: Request, dataset: Dataset, tight: None) -> dict[str, Any]:
    with tuned_duckdb(request) as connection:
        keys = dataset.situation.key.columns
        # With USING the planner sees plain equality; nulls are only equal when it is told so.
        using = f"USING ({keys[0]})" if len(keys) == 1 else f"ON {_same(keys)}"
        picked = "*" if len(keys) == 1 else f"l.*, r.* EXCLUDE ({', '.join(keys)})"
        connection.execute(
            f"COPY (SELECT {picked} FROM read_parquet('{dataset.left}/*.parquet') AS l "
            f"{dataset.situation.how.upper()} JOIN read_parquet('{dataset.right}/*.parquet') AS r {using}) "
            f"TO '{request.output}/all.parquet' (FORMAT parquet, COMPRESSION {COMPRESSION})"
        )
    return {}


def _duckdb_estimate(request: Request, dataset: Dataset, tight: None) -> dict[str, Any]:
    (key,) = dataset.situation.key.columns

    def counts(side: Path) -> str:
        return f"SELECT {key}, count(*) AS n FROM read_parquet('{side}/*.parquet') GROUP BY {key}"

    with tuned_duckdb(request) as connection:
        found = connection.execute(
            f"SELECT sum(l.n::HUGEINT * coalesce(r.n, {_missing(dataset)})) "
            f"FROM ({counts(dataset.left)}) l LEFT JOIN ({counts(dataset.right)}) r USING ({key})"
        ).fetchone()
    assert found is not None
    return {"rows": int(found[0])}


def _polars_merge(request: Request, dataset: Dataset, tight: None) -> dict[str, Any]:
    import polars as pl

    keys = dataset.situation.key.columns
    joined = pl.scan_parquet(dataset.left / "*.parquet").join(
        pl.scan_parquet(dataset.right / "*.parquet"),
        on=keys,
        how=_polars_how(dataset),
        nulls_equal=len(keys) > 1,
        coalesce=True,
    )
    joined.sink_parquet(
        f"{request.output}/all.parquet", compression=COMPRESSION, engine="streaming", maintain_order=False
    )
    return {}


def _polars_estimate(request: Request, dataset: Dataset, tight: None) -> dict[str, Any]:
    import polars as pl

    (key,) = dataset.situation.key.columns
    left, right = (
        pl.scan_parquet(side / "*.parquet").group_by(key).agg(pl.len().cast(pl.Int64).alias(name))
        for side, name in ((dataset.left, "n"), (dataset.right, "m"))
    )
    rows = (
        left.join(right, on=key, how="left")
        .select((pl.col("n") * pl.col("m").fill_null(_missing(dataset))).sum())
        .collect(engine="streaming")
        .item()
    )
    return {"rows": int(rows)}


def _safeframe_group(request: Request, dataset: Dataset, tight: TightCluster) -> dict[str, Any]:
    import dask.dataframe as dd

    import safeframe

    (key,), column = dataset.situation.key.columns, dataset.situation.right.columns[0].name
    left, right = dd.read_parquet(dataset.left), dd.read_parquet(dataset.right)
    joined = safeframe.merge(left, right, on=key, how=dataset.situation.how)
    # The keys are counted by the merge; what is timed is the question.
    start = time.perf_counter()
    found = joined.groupby(key)[column].agg(["count", "mean"]).compute()
    seconds, seen = time.perf_counter() - start, tight.report().to_dict()
    start = time.perf_counter()
    left.groupby(key).size().compute()
    right.groupby(key)[column].mean().compute()
    return {
        "seconds": seconds,
        "tight": seen,
        "two_groupbys_seconds": time.perf_counter() - start,
        **_means(dataset, found["count"], found["mean"]),
    }


def _dask_group(request: Request, dataset: Dataset, tight: TightCluster) -> dict[str, Any]:
    import dask.dataframe as dd

    (key,), column = dataset.situation.key.columns, dataset.situation.right.columns[0].name
    joined = dd.merge(
        dd.read_parquet(dataset.left), dd.read_parquet(dataset.right), on=key, how=dataset.situation.how
    )
    found = joined.groupby(key)[column].agg(["count", "mean"]).compute()
    return _means(dataset, found["count"], found["mean"])


def _duckdb_group(request: Request, dataset: Dataset, tight: None) -> dict[str, Any]:
    (key,), column = dataset.situation.key.columns, dataset.situation.right.columns[0].name
    with tuned_duckdb(request) as connection:
        found = connection.execute(
            f"SELECT {key}, count({column}) AS n, avg({column}) AS mean "
            f"FROM read_parquet('{dataset.left}/*.parquet') AS l "
            f"{dataset.situation.how.upper()} JOIN read_parquet('{dataset.right}/*.parquet') AS r "
            f"USING ({key}) GROUP BY {key}"
        ).df()
    return _means(dataset, found["n"], found["mean"])


def _polars_group(request: Request, dataset: Dataset, tight: None) -> dict[str, Any]:
    import polars as pl

    (key,), column = dataset.situation.key.columns, dataset.situation.right.columns[0].name
    found = (
        pl.scan_parquet(dataset.left / "*.parquet")
        .join(pl.scan_parquet(dataset.right / "*.parquet"), on=key, how=_polars_how(dataset))
        .group_by(key)
        .agg(pl.col(column).count().cast(pl.Int64).alias("n"), pl.col(column).mean().alias("mean"))
        .collect(engine="streaming")
    )
    return _means(dataset, found["n"].to_numpy(), found["mean"].to_numpy())


def _means(dataset: Dataset, counts: Any, means: Any) -> dict[str, Any]:
    """Return the rows that were averaged, where the means have the sum that the inputs call for."""
    column = dataset.situation.right.columns[0].name
    wanted, found = dataset.truth.sums[column], float((counts * means).sum())
    right = abs(found - wanted) <= 1e-9 * abs(wanted)
    return {"rows": int(counts.sum()) if right else -1, "groups": len(counts)}


def _same(keys: list[str]) -> str:
    return " AND ".join(f"l.{key} IS NOT DISTINCT FROM r.{key}" for key in keys)


def _polars_how(dataset: Dataset) -> Literal["left", "inner", "full"]:
    how = dataset.situation.how
    return "full" if how == "outer" else how


def _missing(dataset: Dataset) -> int:
    """Rows that a left row without a match gives."""
    return 1 if dataset.situation.how == "left" else 0


JOIN_WORK: dict[tuple[str, str], Callable[..., dict[str, Any]]] = {
    ("safeframe", "merge"): _safeframe_merge,
    ("safeframe", "estimate"): _safeframe_estimate,
    ("safeframe", "group"): _safeframe_group,
    ("dask", "group"): _dask_group,
    ("duckdb", "group"): _duckdb_group,
    ("polars", "group"): _polars_group,
    ("dask", "merge"): _dask_merge,
    ("dask", "estimate"): _dask_estimate,
    ("duckdb", "merge"): _duckdb_merge,
    ("duckdb", "estimate"): _duckdb_estimate,
    ("polars", "merge"): _polars_merge,
    ("polars", "estimate"): _polars_estimate,
}
"""What to do, by engine and task."""
