"""An array cut into other chunks, and a bag grouped, in safeframe and in stock dask.

Covers: both, made in the workers, with the calls that a user would write first.
Does not cover: the process that it is done in (:mod:`benchmarks.engines`), or whether
what comes out is right (:mod:`benchmarks.check_collections`).
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.engines_peers import plan_figures

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.engines import Request
    from benchmarks.situations import CollectionDataset, CollectionSituation
    from benchmarks.tight import TightCluster

__all__ = ["COLLECTION_WORK"]


def _safeframe_rechunk(request: Request, dataset: CollectionDataset, tight: TightCluster) -> dict[str, Any]:
    import safeframe

    situation = dataset.situation
    start = time.perf_counter()
    rows = safeframe.rechunk(_made_array(situation), (situation.parts, situation.side))
    planned = time.perf_counter() - start
    sums = _look_at_rows(rows, situation)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "planning_seconds": planned, "sums": sums, **plan_figures(rows)}


def _dask_rechunk(request: Request, dataset: CollectionDataset, tight: TightCluster) -> dict[str, Any]:
    situation = dataset.situation
    return {
        "sums": _look_at_rows(_made_array(situation).rechunk((situation.parts, situation.side)), situation)
    }


def _safeframe_group(request: Request, dataset: CollectionDataset, tight: TightCluster) -> dict[str, Any]:
    import safeframe

    situation = dataset.situation
    start = time.perf_counter()
    groups = safeframe.bag_groupby(_made_bag(situation), partial(_remainder, situation.parts))
    planned = time.perf_counter() - start
    found = _look_at_groups(groups)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "planning_seconds": planned, "groups": found, **plan_figures(groups)}


def _dask_group(request: Request, dataset: CollectionDataset, tight: TightCluster) -> dict[str, Any]:
    situation = dataset.situation
    return {"groups": _look_at_groups(_made_bag(situation).groupby(partial(_remainder, situation.parts)))}


def _made_array(situation: CollectionSituation) -> Any:
    import dask.array as da

    chunks = ((situation.side,), (situation.parts,) * situation.parts)
    return da.map_blocks(_chunk, situation, chunks=chunks, dtype="float64", meta=np.empty((0, 0)))


def _chunk(situation: CollectionSituation, block_id: tuple[int, int] = (0, 0)) -> Any:
    return situation.part(block_id[1])


def _look_at_rows(rows: Any, situation: CollectionSituation) -> list[float]:
    # Every element, at its place, so that no optimiser can leave anything out.
    found = rows.map_blocks(_sums, situation, chunks=((1,) * situation.parts, (2,)), dtype="float64")
    return [float(total) for total in found.sum(axis=0).compute()]


def _sums(chunk: Any, situation: CollectionSituation, block_id: tuple[int, int] = (0, 0)) -> Any:
    return np.array([[chunk.sum(), situation.weighted(chunk, block_id[0] * situation.parts, 0)]])


def _made_bag(situation: CollectionSituation) -> Any:
    import dask.bag as db

    numbers = db.from_sequence(range(situation.parts), npartitions=situation.parts)
    return numbers.map_partitions(partial(_items, situation))


def _items(situation: CollectionSituation, numbers: list[int]) -> list[int]:
    return [item for number in numbers for item in situation.part(number).tolist()]


def _remainder(n: int, item: int) -> int:
    return item % n


def _look_at_groups(groups: Any) -> list[list[int]]:
    return [list(group) for group in groups.map_partitions(_totals).compute()]


def _totals(pairs: Any) -> list[tuple[int, int, int]]:
    return [(key, len(items), sum(items)) for key, items in pairs]


COLLECTION_WORK: dict[tuple[str, str], Callable[..., dict[str, Any]]] = {
    ("safeframe", "rechunk"): _safeframe_rechunk,
    ("safeframe", "bag"): _safeframe_group,
    ("dask", "rechunk"): _dask_rechunk,
    ("dask", "bag"): _dask_group,
}
"""What to do, by engine and task."""
