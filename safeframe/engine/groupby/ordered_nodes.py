"""Groups of rows that are staged in the order of keys and values, as a dask expression.

::

    groupby-cell    the groups of each part that lie whole within it, and what there is of its first and its last
    groupby-edge    the latter
    groupby-join    which of these are the same group, and the row numbers that decide
    groupby-value   their values, of each part that has any: it is made again
    groupby-output  a partition of each part, and one of the groups that may cross
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dask.task_spec import List, Task, TaskRef

from safeframe._dask.steps import Step
from safeframe._dask.trees import lowered
from safeframe.engine.exchange.nodes import Seal, stage
from safeframe.engine.exchange.runs import start_run
from safeframe.engine.groupby.ordered_tasks import (
    crossing_partition,
    inner_result,
    join_edges,
    part_edges,
    part_groups,
    part_values,
)
from safeframe.engine.names import recipe_of, seal_key, step_name
from safeframe.engine.planned.nodes import GivenOutput
from safeframe.engine.sort.tasks import SortSpec, seal_sort
from safeframe.facts.sort import StagedSort
from safeframe.kernels.groupby.ranked import RankedCall
from safeframe.kernels.sort.rows import RangeRouter


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OrderedInput:
    """How rows come into the order of keys and values, and what is asked of them."""

    spec: SortSpec
    """The order, and what its parts may not exceed."""
    router: RangeRouter
    """Where rows go."""
    asked: RankedCall
    """The call on groups."""


def ordered_groups(expr: Any, way: StagedSort, ordered: OrderedInput) -> Any:
    """Return the output partitions of a group-by whose one frame is staged in order."""
    run, spec = expr._name, ordered.spec
    staged = stage(lowered(expr.frame), spec.frame, ordered.router, start_run(way.directory, run), way.group)
    sealed = Seal(run, seal_sort, (spec, way.figures.layout, way.shards), staged)
    return OrderedGroups(sealed, ordered.asked, expr._meta, expr.divisions, run)


class OrderedGroups(GivenOutput, Step):
    """Output partitions of parts of the rows, and of the groups that may cross these."""

    _parameters = ["sealed", "asked", "meta", "given_divisions", "run"]

    @property
    def _words(self) -> str:
        return f"{recipe_of(self.run)}-output"

    def _layer(self) -> dict[Any, Any]:
        asked: RankedCall = self.asked
        meta, run, n = self.operand("meta"), self.run, self.npartitions - 1
        sealed = TaskRef(seal_key(run))
        cell, edge, value = (step_name(run, word) for word in ("cell", "edge", "value"))
        join = step_name(run, "join")
        graph: dict[Any, Any] = {}
        for number in range(n):
            made = (cell, number)
            graph[made] = Task(made, part_groups, sealed, number, asked, meta)
            graph[edge, number] = Task((edge, number), part_edges, TaskRef(made))
            graph[self._name, number] = Task((self._name, number), inner_result, TaskRef(made))
        graph[join] = Task(join, join_edges, List(*(TaskRef((edge, i)) for i in range(n))), asked)
        found = List()
        if asked.looks_up:
            for number in range(n):
                key = (value, number)
                graph[key] = Task(key, part_values, sealed, TaskRef(join), number, asked)
            found = List(*(TaskRef((value, number)) for number in range(n)))
        last = (self._name, n)
        graph[last] = Task(last, crossing_partition, TaskRef(join), found, asked, meta)
        return graph
