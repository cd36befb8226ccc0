"""The whole question in each engine: both tables by their key, four features, their merge.

Covers: safeframe by the very scripts of its documentation, with lag features as a recipe and by
a function of the author's; stock dask as the question's author had it; one query of DuckDB and
of Polars, which need no order before.
Does not cover: the process that it is done in (:mod:`benchmarks.engines`).
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.engines_peers import COMPRESSION, plan_figures, tuned_duckdb

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from benchmarks.engines import Request
    from benchmarks.situations import Dataset
    from benchmarks.tight import TightCluster

__all__ = ["QUESTION_WORK", "SCRIPTS", "documented_script", "run_script"]

_PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "question.md"
SCRIPTS = {"question": "# The three steps", "script": "# The author's script"}
"""The first line of each task's script in the documentation."""
_LAGS = range(4)


def documented_script(task: str) -> str:
    """Return the script of the documentation for a task.

    Examples
    --------
    >>> "safeframe.groupby_lag_transform(" in documented_script("question")
    True
    """
    blocks = re.findall(r"^```python\n(.*?)^```", _PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return str(next(block for block in blocks if block.startswith(SCRIPTS[task])))


def run_script(task: str, dataset: Dataset, directory: str | os.PathLike[str]) -> dict[str, Any]:
    """Run the script of the documentation in a directory, and return the names that it leaves.

    Parameters
    ----------
    task
        Which script.
    dataset
        What it reads.
    directory
        Where it finds that, as links, and writes.
    """
    # The script writes over what it reads: links, which are replaced and not written to.
    for name in ("left", "right"):
        shutil.copytree(dataset.directory / name, Path(directory, name), copy_function=os.link)
    names: dict[str, Any] = {}
    before = Path.cwd()
    os.chdir(directory)
    try:
        exec(compile(documented_script(task), str(_PAGE), "exec"), names)  # noqa: S102  # what a reader would run
    finally:
        os.chdir(before)
    return names


def _safeframe_question(request: Request, dataset: Dataset, tight: TightCluster) -> dict[str, Any]:
    names = run_script(dataset.situation.task, dataset, request.scratch)
    Path(request.scratch, "merged").rename(Path(request.output, "merged"))
    made = [
        names[name] for name in ("left", "merged") if dataset.situation.task == "question" or name == "merged"
    ]
    return plan_figures(*made)


def _dask_question(request: Request, dataset: Dataset, tight: TightCluster) -> dict[str, Any]:
    import dask.dataframe as dd

    (key,) = dataset.situation.key.columns
    for name in ("left", "right"):
        indexed = dd.read_parquet(dataset.directory / name).set_index(key)
        indexed.repartition(partition_size="100MB").to_parquet(f"{request.scratch}/{name}")
    left = dd.read_parquet(f"{request.scratch}/left", calculate_divisions=True)
    right = dd.read_parquet(f"{request.scratch}/right", calculate_divisions=True)
    features = left.map_partitions(_with_features)
    features.merge(right, how="left", left_index=True, right_index=True).to_parquet(
        f"{request.output}/merged"
    )
    return {}


def _with_features(frame: pd.DataFrame) -> pd.DataFrame:
    groups = frame.groupby(level=0)["col3"]
    return frame.assign(**{f"log_col3_{lag}": np.log(groups.shift(lag)) for lag in _LAGS})


def _duckdb_question(request: Request, dataset: Dataset, tight: None) -> dict[str, Any]:
    (key,) = dataset.situation.key.columns
    features = ", ".join(f"ln(lag(col3, {lag}) OVER (PARTITION BY {key})) AS log_col3_{lag}" for lag in _LAGS)
    with tuned_duckdb(request) as connection:
        connection.execute(
            f"COPY (WITH l AS (SELECT *, {features} FROM read_parquet('{dataset.left}/*.parquet')) "
            f"SELECT * FROM l LEFT JOIN read_parquet('{dataset.right}/*.parquet') AS r USING ({key})) "
            f"TO '{request.output}/all.parquet' (FORMAT parquet, COMPRESSION {COMPRESSION})"
        )
    return {}


def _polars_question(request: Request, dataset: Dataset, tight: None) -> dict[str, Any]:
    import polars as pl

    (key,) = dataset.situation.key.columns
    left = pl.scan_parquet(dataset.left / "*.parquet").with_columns(
        pl.col("col3").shift(lag).over(key).log().alias(f"log_col3_{lag}") for lag in _LAGS
    )
    joined = left.join(pl.scan_parquet(dataset.right / "*.parquet"), on=key, how="left")
    joined.sink_parquet(
        f"{request.output}/all.parquet", compression=COMPRESSION, engine="streaming", maintain_order=False
    )
    return {}


_ENGINES: dict[str, Callable[..., dict[str, Any]]] = {
    "safeframe": _safeframe_question,
    "dask": _dask_question,
    "duckdb": _duckdb_question,
    "polars": _polars_question,
}

QUESTION_WORK = {(engine, task): work for task in SCRIPTS for engine, work in _ENGINES.items()}
"""What to do, by engine and task."""
