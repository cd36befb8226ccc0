"""Lag features as dask expressions.

:class:`SafeLag` is abstract: dask pushes projections through it, and it becomes
one of four concrete forms when the graph is made::

    WholeGroups     LagShards(frame)
    HaloGroups      LagPartitions(frame, PartitionEdges(frame))
    StagedGroups    ExchangeCells(Seal(stage(frame)))
    P2PGroups       LagShards(by_p2p(self._words, frame))

Shards are fused with the tasks that bring their rows, so that none of them waits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, assert_never

import pandas as pd
from dask.task_spec import List, Task, TaskRef

from safeframe._dask.expressions import Blockwise
from safeframe._dask.steps import Step, fused_step
from safeframe._dask.trees import lowered, own_tasks
from safeframe.engine.exchange.nodes import in_memory, part_of, staged_cells
from safeframe.engine.lag.tasks import (
    Part,
    lag_cell,
    lag_shard,
    lag_whole,
    partition_edges,
    partition_with_halo,
    seal_lag,
)
from safeframe.engine.p2p.nodes import by_p2p
from safeframe.engine.planned.nodes import GivenOutput, Planned, PlannedFrame
from safeframe.engine.sort.tasks import OrderRequest, SortSpec
from safeframe.facts.lag import Halo, HaloGroups, LagRun, P2PGroups, StagedGroups, WholeGroups
from safeframe.facts.plan import Plan
from safeframe.kernels.changed_data import data_changed
from safeframe.kernels.columns.frame import with_index
from safeframe.kernels.lag.shift import lagged_meta
from safeframe.kernels.lag.spec import LagSpec
from safeframe.kernels.sort.rows import RowOrder


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LagRequest(OrderRequest):
    """The order of rows within groups, which are its first keys, and what becomes of the index."""

    groups: RowOrder
    """The order of the keys of groups alone."""


class SafeLag(PlannedFrame):
    """Rows with columns shifted within groups, by a plan."""

    _words = "lag"
    _parameters = ["frame", "plan", "lags", "transform", "request", "router", "given_divisions"]

    @functools.cached_property
    def _meta(self) -> Any:
        meta = lagged_meta(self.frame._meta, self.lags)
        request: LagRequest = self.request
        return meta if request.index is None else with_index(meta, request.index, drop=request.drop)

    def _projected(self, wanted: set[Any]) -> Planned | None:
        lags, request, plan = self.lags, self.request, self.plan
        made = tuple(column for column in lags.columns if column.name in wanted)
        narrower = replace(lags, columns=made)
        if not made:
            plan = _without_neighbours(plan)
        index = () if request.index is None else (request.index,)
        needed = wanted.union(request.order.by, narrower.needed, index)
        columns = [name for name in self.frame.columns if name in needed]
        if in_memory(self.frame):
            # Narrower partitions would be copies, which wait for their neighbours besides.
            columns = list(self.frame.columns)
        if len(columns) == len(self.frame.columns) and len(made) == len(lags.columns):
            return None
        frame = self.frame if len(columns) == len(self.frame.columns) else self.frame[columns]
        return type(self)(frame, plan, narrower, *self.operands[3:])

    @functools.cached_property
    def _spec(self) -> SortSpec:
        request: LagRequest = self.request
        return request.spec(self.frame._meta, self.plan, self.given_divisions)

    def _concrete(self) -> Any:
        plan: Plan = self.plan
        request: LagRequest = self.request
        assert isinstance(plan.run, LagRun), "lag features are planned"
        frame, spec, lags, way = lowered(self.frame), self._spec, self.lags, plan.run.way
        result = self._meta, self.given_divisions, self._name
        match way:
            case WholeGroups():
                self._check_partitions(frame)
                return fused_step(LagShards(frame, lag_whole, spec, lags, *result))
            case HaloGroups(halo=halo):
                self._check_partitions(frame)
                return self._in_place(frame, halo)
            case StagedGroups(figures=figures, across=across):
                # Rows of one key, as they were staged, are in the frame's order, and columns may ask for another one.
                staged_in_order = across or request.order.by == lags.by
                sealing = spec, figures.layout, lags, staged_in_order, across
                return staged_cells(self, spec.frame, self.router, way, lag_cell, seal_lag, *sealing)
            case P2PGroups(settings=settings):
                moved = by_p2p(self._words, frame, self.router, settings, plan)
                return fused_step(LagShards(moved, lag_shard, spec, lags, *result))
            case _:
                assert_never(way)

    def _check_partitions(self, frame: Any) -> None:
        plan: Plan = self.plan
        if frame.npartitions != plan.output_partitions:
            msg = f"The frame has {frame.npartitions} partitions, and had {plan.output_partitions} when it was planned."
            raise data_changed(msg, planned=plan.output_partitions, found=frame.npartitions)

    def _in_place(self, frame: Any, halo: Halo) -> Any:
        fused = frame.fuse()
        edges = None
        if halo.tails.any() or halo.heads.any():
            narrow = lowered(self.frame[self.lags.needed].simplify()).fuse()
            # A frame that has to be computed first is not computed twice.
            source = narrow if own_tasks(narrow) is not None and own_tasks(fused) is not None else fused
            edges = PartitionEdges(source, self.lags, halo, self._name)
        return LagPartitions(
            fused, edges, self._spec, self.lags, halo, self._meta, self.given_divisions, self._name
        )


def _without_neighbours(plan: Plan) -> Plan:
    """Return the plan in which no partition needs rows of another one: no shifted column is left."""
    assert isinstance(plan.run, LagRun), "lag features are planned"
    if not isinstance(plan.run.way, HaloGroups):
        return plan
    return replace(plan, run=LagRun(way=HaloGroups(halo=plan.run.way.halo.of_no_rows())))


class PartitionEdges(Step):
    """The rows at the edges of partitions that their neighbours need."""

    _words = "lag-edges"
    _parameters = ["frame", "lags", "halo", "run"]
    _meta = pd.Series([], dtype=object)

    @functools.cached_property
    def _own_tasks(self) -> list[Any] | None:
        return own_tasks(self.frame)

    def dependencies(self) -> list[Any]:
        """Return what has to be there: not the frame, where its tasks are part of this expression's own."""
        return [self.frame] if self._own_tasks is None else []

    def _divisions(self) -> Any:
        return (None,) * (self.frame.npartitions + 1)

    def _layer(self) -> dict[Any, Any]:
        halo: Halo = self.halo
        graph = {}
        for number in range(self.frame.npartitions):
            head, tail = int(halo.heads[number]), int(halo.tails[number])
            if head or tail:
                key = (self._name, number)
                planned = Part(number=number, rows=int(halo.rows[number]))
                part = part_of(self.frame, self._own_tasks, number)
                graph[key] = Task(key, partition_edges, part, planned, self.lags, head, tail)
        return graph


class LagPartitions(GivenOutput, Step):
    """Partitions that stay, with their shifted columns."""

    _words = "lag-output"
    _parameters = ["frame", "edges", "spec", "lags", "halo", "meta", "given_divisions", "run"]

    @functools.cached_property
    def _own_tasks(self) -> list[Any] | None:
        return own_tasks(self.frame)

    def dependencies(self) -> list[Any]:
        """Return what has to be there: not the frame, where its tasks are part of this expression's own."""
        edges = [] if self.edges is None else [self.edges]
        return edges if self._own_tasks is not None else [self.frame, *edges]

    def _task(self, name: Any, index: int) -> Any:
        halo: Halo = self.halo
        part = part_of(self.frame, self._own_tasks, index)
        before, after = halo.before[index], halo.after[index]
        planned = Part(number=index, rows=int(halo.rows[index]), before=before, after=after)
        tails, heads = (
            List(*(TaskRef((self.edges._name, piece.partition)) for piece in pieces))
            for pieces in (before, after)
        )
        return Task(name, partition_with_halo, part, planned, tails, heads, self.spec, self.lags)


class LagShards(GivenOutput, Step, Blockwise):  # type: ignore[misc]
    """Partitions of whole groups as they came, with their shifted columns."""

    _words = "lag-output"
    _parameters = ["frame", "make", "spec", "lags", "meta", "given_divisions", "run"]

    @staticmethod
    def operation(
        frame: pd.DataFrame,
        make: Callable[[pd.DataFrame, SortSpec, LagSpec], pd.DataFrame],
        spec: SortSpec,
        lags: LagSpec,
        meta: Any,
        given_divisions: Any,
        run: str,
    ) -> pd.DataFrame:
        """Make one partition."""
        return make(frame, spec, lags)
