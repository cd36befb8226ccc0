"""The plans in arrays, bags and delayed objects, and layers of plain dask that gather data there.

Covers: rechunking an array, grouping a bag, ``compute`` of a large array.
Does not cover: dataframes (``frames``). Layers have no sizes but those of the last one of an array.
"""

from __future__ import annotations

import math
import re
from typing import Any

import dask.array as da
from dask.highlevelgraph import HighLevelGraph

from safeframe.engine.planned.layer import PlannedLayer
from safeframe.facts.budget import Budget
from safeframe.facts.estimate import Estimate
from safeframe.facts.explanation import Finding, exceeds_allowed
from safeframe.facts.plan import Plan

_GATHERS = (
    (
        re.compile(r"^rechunk-(merge|p2p)-"),
        "rechunk",
        "safeframe.rechunk",
        "tasks hold the chunks that a new one is cut from",
    ),
    (
        re.compile(r"^(groupby-collect|shuffle)-"),
        "groupby of a bag",
        "safeframe.bag_groupby",
        "all items of a key are in one partition, and how many the heaviest key has",
    ),
)


def plans_of_layers(graph: HighLevelGraph) -> tuple[Plan, ...]:
    """Return the plans of all recipes, in the order in which they run."""
    return tuple(
        layer.plan for name in _in_order(graph) if isinstance(layer := graph.layers[name], PlannedLayer)
    )


def findings_of_layers(collection: Any, graph: HighLevelGraph, budget: Budget) -> tuple[Finding, ...]:
    """Return the layers that gather data, in the order in which they run."""
    allowed = max(0, budget.allowed_nbytes - budget.reserved_nbytes)
    found = []
    for name in _in_order(graph):
        for pattern, operation, recipe, why in _GATHERS:
            if pattern.match(str(name)) and not isinstance(graph.layers[name], PlannedLayer):
                found.append(
                    Finding(
                        step=str(name),
                        operation=operation,
                        partitions_in=None,
                        partitions_out=None,
                        held_nbytes=None,
                        allowed_nbytes=allowed,
                        exceeds=None,
                        recipe=recipe,
                        reason=f"not known: {why}",
                    )
                )
    last = _compute(collection, allowed)
    return tuple(found if last is None else [*found, last])


def _in_order(graph: HighLevelGraph) -> list[Any]:
    """List the layers, those that run before others first; names of delayed objects may be anything."""
    done: dict[Any, None] = {}
    waiting = [(name, False) for name in graph.layers]
    while waiting:
        name, ready = waiting.pop()
        if name in done:
            continue
        if ready:
            done[name] = None
            continue
        waiting.append((name, True))
        waiting.extend((below, False) for below in graph.dependencies.get(name, ()))
    return [name for name in done if name in graph.layers]


def _compute(collection: Any, allowed: int) -> Finding | None:
    if not isinstance(collection, da.Array) or collection.npartitions == 1:
        return None
    size = collection.nbytes
    known = not math.isnan(size)
    # The chunks, and the array that they are copied to.
    held = Estimate.computed(2 * int(size), method="schema") if known else None
    exceeds = exceeds_allowed(held, allowed)
    if exceeds is False:
        return None
    return Finding(
        step="compute",
        operation="compute()",
        partitions_in=int(collection.npartitions),
        partitions_out=1,
        held_nbytes=held,
        allowed_nbytes=allowed,
        exceeds=exceeds,
        recipe="",
        reason="one process has the whole array; da.to_zarr writes it chunk by chunk"
        if known
        else "not known: the lengths of its chunks",
    )
