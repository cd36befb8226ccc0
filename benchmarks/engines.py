"""What each engine is asked to do, and a process of its own to do it in.

Covers: the same join, or the same foretelling of its rows, in safeframe, stock dask,
DuckDB and Polars, each in the way its own manual recommends for data larger than
memory; the seconds it took, cluster start and imports excluded.
Does not cover: limits of DuckDB and Polars and the checking of results, which are
outside of the process that is measured (:mod:`benchmarks.run`).
"""

from __future__ import annotations

import importlib
import json
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.situations import SITUATIONS, Dataset

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.tight import TightCluster

__all__ = ["CLUSTER_ENGINES", "ENGINES", "Request", "main"]

CLUSTER_ENGINES = ("safeframe", "dask")
"""Those that run on the tight cluster; the others are one process."""
ENGINES = (*CLUSTER_ENGINES, "duckdb", "polars")
"""All, in the order in which they run."""
_PEER_THREADS = 2
# What pandas, dask and DuckDB write unless told otherwise; Polars would use zstd.
_COMPRESSION: Final = "snappy"


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What a child process is to do; JSON on its command line."""

    engine: str
    """One of :data:`ENGINES`."""
    situation: str
    """A situation's name."""
    scale: float
    """Share of its full size."""
    data: str
    """Directory of all situations' data."""
    output: str
    """Directory to write the result to; exists and is empty."""
    scratch: str
    """Directory for whatever an engine spills."""
    answer: str
    """File to write the outcome to."""
    timeout_seconds: int
    """When to give up."""
    n_workers: int
    """Workers of the tight cluster."""
    hard: str
    """What the kernel lets a worker use."""
    limit: str
    """What dask is told a worker may use."""
    peer_memory: str
    """What DuckDB is told it may use."""


class OutOfTimeError(Exception):
    """The work took longer than it was given."""


def main(text: str) -> None:
    """Do what a request says, and write down how it went."""
    request = Request(**json.loads(text))
    dataset = SITUATIONS[request.situation].scaled(request.scale).materialise(request.data)
    signal.signal(signal.SIGALRM, _out_of_time)
    if request.engine in CLUSTER_ENGINES:
        answer = _on_cluster(request, dataset)
    else:
        importlib.import_module(request.engine)  # not counted either
        answer = _timed(request, lambda: _PEERS[request.engine, dataset.situation.task](request, dataset))
    Path(request.answer).write_text(json.dumps(answer))


def _on_cluster(request: Request, dataset: Dataset) -> dict[str, Any]:
    from benchmarks.tight import tight_cluster

    with tight_cluster(n_workers=request.n_workers, hard=request.hard, limit=request.limit) as tight:
        work = _CLUSTER[request.engine, dataset.situation.task]
        # A cluster's start is not counted, and its workers' imports are part of it.
        tight.client.run(_load_libraries, request.engine)
        answer = _timed(request, lambda: work(request, dataset, tight))
        # Taken here: closing a cluster that died may lose further workers.
        answer["tight"] = tight.report().to_dict()
    return answer


def _load_libraries(engine: str) -> None:
    for name in ("dask.dataframe", "pyarrow.parquet", engine):
        importlib.import_module(name)


def _timed(request: Request, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    signal.alarm(request.timeout_seconds)
    start = time.perf_counter()
    try:
        found = work()
        seconds = time.perf_counter() - start
    except OutOfTimeError:
        return {"error": "timeout", "detail": f"no result after {request.timeout_seconds} s"}
    except Exception as err:  # noqa: BLE001 (whatever ends an engine is a result)
        seconds = time.perf_counter() - start
        return {"error": type(err).__name__, "detail": str(err)[:2000], "failed_after_seconds": seconds}
    finally:
        signal.alarm(0)
    return {"seconds": seconds, **found}


def _out_of_time(*_: object) -> None:
    raise OutOfTimeError


def _safeframe_merge(request: Request, dataset: Dataset, tight: TightCluster) -> dict[str, Any]:
    import dask.dataframe as dd

    import safeframe

    start = time.perf_counter()
    joined = safeframe.merge(
        dd.read_parquet(dataset.left),
        dd.read_parquet(dataset.right),
        on=dataset.situation.on,
        how=dataset.situation.how,
    )
    planned = time.perf_counter() - start
    joined.to_parquet(request.output, write_index=False)
    seconds = time.perf_counter() - start
    plan = safeframe.explain(joined)
    return {
        "seconds": seconds,
        "planning_seconds": planned,
        "strategy": plan.strategy,
        "projected_worker_nbytes": plan.projected_worker_nbytes,
        "partition_nbytes": plan.partition_nbytes,
        "planned_largest_partition_nbytes": plan.largest_partition_nbytes,
        "planned_rows": int(plan.output_rows),
        "plan": str(plan),
    }


def _dask_merge(request: Request, dataset: Dataset, tight: TightCluster) -> dict[str, Any]:
    import dask.dataframe as dd

    joined = dd.merge(
        dd.read_parquet(dataset.left),
        dd.read_parquet(dataset.right),
        on=dataset.situation.on,
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
        on=dataset.situation.on,
        how=dataset.situation.how,
    )
    return {"rows": int(estimate.rows)}


def _dask_estimate(request: Request, dataset: Dataset, tight: TightCluster) -> dict[str, Any]:
    import dask
    import dask.dataframe as dd
    import pandas as pd

    key = dataset.situation.on
    left, right = dask.compute(
        dd.read_parquet(dataset.left, columns=[key])[key].value_counts(),
        dd.read_parquet(dataset.right, columns=[key])[key].value_counts(),
    )
    counts = pd.DataFrame({"left": left, "right": right}).fillna({"left": 0, "right": _missing(dataset)})
    return {"rows": int((counts["left"].astype("int64") * counts["right"].astype("int64")).sum())}


def _duckdb_merge(request: Request, dataset: Dataset) -> dict[str, Any]:
    with _duckdb(request) as connection:
        connection.execute(
            f"COPY (SELECT * FROM read_parquet('{dataset.left}/*.parquet') AS l "
            f"{dataset.situation.how.upper()} JOIN read_parquet('{dataset.right}/*.parquet') AS r "
            f"USING ({dataset.situation.on})) "
            f"TO '{request.output}/all.parquet' (FORMAT parquet, COMPRESSION {_COMPRESSION})"
        )
    return {}


def _duckdb_estimate(request: Request, dataset: Dataset) -> dict[str, Any]:
    key = dataset.situation.on

    def counts(side: Path) -> str:
        return f"SELECT {key}, count(*) AS n FROM read_parquet('{side}/*.parquet') GROUP BY {key}"

    with _duckdb(request) as connection:
        found = connection.execute(
            f"SELECT sum(l.n::HUGEINT * coalesce(r.n, {_missing(dataset)})) "
            f"FROM ({counts(dataset.left)}) l LEFT JOIN ({counts(dataset.right)}) r USING ({key})"
        ).fetchone()
    assert found is not None
    return {"rows": int(found[0])}


def _polars_merge(request: Request, dataset: Dataset) -> dict[str, Any]:
    import polars as pl

    joined = pl.scan_parquet(dataset.left / "*.parquet").join(
        pl.scan_parquet(dataset.right / "*.parquet"), on=dataset.situation.on, how=dataset.situation.how
    )
    joined.sink_parquet(
        f"{request.output}/all.parquet", compression=_COMPRESSION, engine="streaming", maintain_order=False
    )
    return {}


def _polars_estimate(request: Request, dataset: Dataset) -> dict[str, Any]:
    import polars as pl

    key = dataset.situation.on
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


def _duckdb(request: Request) -> Any:
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"SET memory_limit='{request.peer_memory}'")
    connection.execute(f"SET threads={_PEER_THREADS}")
    connection.execute(f"SET temp_directory='{request.scratch}/duckdb'")
    # Its manual's advice for results larger than memory.
    connection.execute("SET preserve_insertion_order=false")
    return connection


def _missing(dataset: Dataset) -> int:
    """Rows that a left row without a match gives."""
    return 1 if dataset.situation.how == "left" else 0


_CLUSTER: dict[tuple[str, str], Callable[[Request, Dataset, TightCluster], dict[str, Any]]] = {
    ("safeframe", "merge"): _safeframe_merge,
    ("safeframe", "estimate"): _safeframe_estimate,
    ("dask", "merge"): _dask_merge,
    ("dask", "estimate"): _dask_estimate,
}
_PEERS: dict[tuple[str, str], Callable[[Request, Dataset], dict[str, Any]]] = {
    ("duckdb", "merge"): _duckdb_merge,
    ("duckdb", "estimate"): _duckdb_estimate,
    ("polars", "merge"): _polars_merge,
    ("polars", "estimate"): _polars_estimate,
}

if __name__ == "__main__":
    main(sys.argv[1])
