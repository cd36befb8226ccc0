"""What each engine does, and a process of its own to do it in.

Covers: the same work in safeframe, stock dask, DuckDB and Polars
(:mod:`benchmarks.engines_joins`, :mod:`benchmarks.engines_frames`,
:mod:`benchmarks.engines_lags`, :mod:`benchmarks.engines_groups`, :mod:`benchmarks.engines_distinct`,
:mod:`benchmarks.engines_question`,
:mod:`benchmarks.engines_collections`, :mod:`benchmarks.engines_tpch`); the seconds it took, cluster start and imports
excluded.
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
from typing import TYPE_CHECKING, Any

from benchmarks.engines_collections import COLLECTION_WORK
from benchmarks.engines_distinct import DISTINCT_WORK
from benchmarks.engines_frames import FRAME_WORK
from benchmarks.engines_groups import GROUP_WORK
from benchmarks.engines_joins import JOIN_WORK
from benchmarks.engines_lags import LAG_WORK
from benchmarks.engines_question import QUESTION_WORK
from benchmarks.engines_tpch import TPCH_WORK
from benchmarks.engines_trial import TRIAL_WORK
from benchmarks.situations import ALL_ENGINES, CLUSTER_ENGINES, SITUATIONS, TRIAL_ENGINES, VARIANT_ENGINES

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.situations import AnyDataset

__all__ = ["ENGINES", "ON_CLUSTER", "Request", "main"]

ENGINES = (*ALL_ENGINES, *TRIAL_ENGINES, *VARIANT_ENGINES)
"""All, in the order in which they run."""
ON_CLUSTER = (*CLUSTER_ENGINES, *VARIANT_ENGINES)
"""Those that run on the tight cluster."""

# By engine and task: takes the request, the dataset and, on a cluster, the tight cluster.
_WORK: dict[tuple[str, str], Callable[..., dict[str, Any]]] = {
    **JOIN_WORK,
    **FRAME_WORK,
    **LAG_WORK,
    **GROUP_WORK,
    **DISTINCT_WORK,
    **QUESTION_WORK,
    **COLLECTION_WORK,
    **TRIAL_WORK,
    **TPCH_WORK,
}


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
    if request.engine in ON_CLUSTER:
        answer = _on_cluster(request, dataset)
    else:
        importlib.import_module(request.engine)  # not counted either
        work = _WORK[request.engine, dataset.situation.task]
        answer = _timed(request, lambda: work(request, dataset, None))
    Path(request.answer).write_text(json.dumps(answer))


def _on_cluster(request: Request, dataset: AnyDataset) -> dict[str, Any]:
    from benchmarks.tight import tight_cluster

    with tight_cluster(n_workers=request.n_workers, hard=request.hard, limit=request.limit) as tight:
        work = _WORK[request.engine, dataset.situation.task]
        # A cluster's start is not counted, and its workers' imports are part of it.
        tight.client.run(_load_libraries, request.engine)
        answer = _timed(request, lambda: work(request, dataset, tight))
        # Taken here: closing a cluster that died may lose further workers.
        # An engine that does more than was requested has taken the figures itself, before that.
        answer.setdefault("tight", tight.report().to_dict())
    return answer


def _load_libraries(engine: str) -> None:
    package = "dask" if engine in VARIANT_ENGINES else engine
    for name in ("dask.array", "dask.bag", "dask.dataframe", "pyarrow.parquet", package):
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


if __name__ == "__main__":
    main(sys.argv[1])
