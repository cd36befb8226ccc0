"""Sorting, indexing and shuffling as dask expressions.

:class:`SafeSort` and :class:`SafeShuffle` are abstract: dask pushes projections
through them, and they become a concrete form when the graph is made::

    InPlaceSort                 InPlace(frame)
    AlignedSort                 AlignedCells(frame)
    StagedSort, StagedShuffle   ExchangeCells(Seal(stage(frame)))
    P2PSort                     OrderedShards(by_p2p(self._words, frame))
    P2PShuffle                  by_p2p(self._words, frame)
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, assert_never

from dask.task_spec import List, Task, TaskRef

from safeframe._dask.expressions import Blockwise
from safeframe._dask.steps import Step, fused_step
from safeframe._dask.trees import lowered
from safeframe.engine.exchange.nodes import staged_cells
from safeframe.engine.p2p.nodes import by_p2p
from safeframe.engine.planned.nodes import GivenOutput, PlannedFrame
from safeframe.engine.planned.rows import PlannedOrder
from safeframe.engine.sort.tasks import (
    OrderRequest,
    SortSpec,
    aligned_cell,
    ordered_cell,
    ordered_frame,
    placed_cell,
    seal_sort,
)
from safeframe.errors import MemoryBudgetError
from safeframe.facts.plan import Plan
from safeframe.facts.sort import (
    AlignedSort,
    Alignment,
    InPlaceSort,
    P2PShuffle,
    P2PSort,
    ShuffleRun,
    SortRun,
    StagedShuffle,
    StagedSort,
)
from safeframe.kernels.columns.frame import with_index
from safeframe.kernels.routing.divisions import DivisionRouter
from safeframe.kernels.routing.hashes import HashRouter
from safeframe.kernels.sort.rows import NullsFirst


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SortRequest(OrderRequest):
    """An order that rows are brought into, by the plan's cuts or the user's."""

    cuts: DivisionRouter | None = None
    """Where the user cuts the order; None where the plan does."""


class SafeSort(PlannedFrame):
    """Rows sorted by a plan, with the facts that it was made from: they may be planned again."""

    _words = "sort"
    _parameters = ["frame", "plan", "request", "router", "facts", "given_divisions"]

    @property
    def _meta(self) -> Any:
        meta, request = self.frame._meta, self.request
        if request.index is not None:
            return with_index(meta, request.index, drop=request.drop)
        return meta if request.with_index else meta.reset_index(drop=True)

    @property
    def _keys(self) -> Any:
        return self.request.order.by

    @functools.cached_property
    def _spec(self) -> SortSpec:
        request: SortRequest = self.request
        return request.spec(self.frame._meta, self.plan, self.given_divisions)

    def _begin(self, plan: Plan) -> None:
        try:
            super()._begin(plan)
        except MemoryBudgetError as error:
            if self.request.index is None or plan.largest_partition_nbytes <= plan.partition_nbytes:
                raise
            hint = (
                f"{error.hint} {plan.recipe} keeps the rows of a key in one partition; if one key has most of them, "
                "safeframe.sort_values can split it."
            )
            raise MemoryBudgetError(error.message, hint=hint, **error.figures) from None

    def _concrete(self) -> Any:
        plan: Plan = self.plan
        request: SortRequest = self.request
        assert isinstance(plan.run, SortRun), "a sort is planned"
        frame, spec, way = lowered(self.frame), self._spec, plan.run.way
        match way:
            case InPlaceSort(partitions=partitions):
                parts = PlannedOrder(partitions).check(frame.npartitions)
                return fused_step(InPlace(frame, spec, parts, self._meta, self.given_divisions))
            case AlignedSort(partitions=partitions, alignment=alignment):
                parts = PlannedOrder(partitions).check(frame.npartitions)
                return AlignedCells(frame, spec, self._meta, self.given_divisions, alignment, parts)
            case StagedSort(figures=figures, shards=shards):
                return staged_cells(
                    self,
                    spec.frame,
                    self.router,
                    way,
                    ordered_cell,
                    seal_sort,
                    spec,
                    figures.layout,
                    shards,
                )
            case P2PSort(figures=figures, settings=settings):
                router: Any = self.router
                if not request.order.na_last and figures.layout.null_shard:
                    router = NullsFirst(router)
                moved = by_p2p(self._words, frame, router, settings, plan)
                return fused_step(OrderedShards(moved, spec, self._meta, self.given_divisions))
            case _:
                assert_never(way)


class SafeShuffle(PlannedFrame):
    """Rows with those of a key in one partition, by a plan."""

    _words = "shuffle"
    _parameters = ["frame", "plan", "on", "schema", "with_index"]

    @property
    def _meta(self) -> Any:
        meta = self.frame._meta
        return meta if self.with_index else meta.reset_index(drop=True)

    @property
    def _keys(self) -> Any:
        return self.on

    def _concrete(self) -> Any:
        plan: Plan = self.plan
        assert isinstance(plan.run, ShuffleRun), "a shuffle is planned"
        router, way = HashRouter(tuple(self.on), self.schema, plan.output_partitions), plan.run.way
        match way:
            case StagedShuffle(layout=layout):
                spec = SortSpec.of(
                    self.frame._meta, plan, self.divisions, order=None, with_index=self.with_index
                )
                return staged_cells(self, spec.frame, router, way, ordered_cell, seal_sort, spec, layout)
            case P2PShuffle(settings=settings):
                return by_p2p(self._words, lowered(self.frame), router, settings, plan, final=True)
            case _:
                assert_never(way)


class InPlace(GivenOutput, Step, Blockwise):  # type: ignore[misc]
    """Partitions that are in order already."""

    _words = "sort-output"
    _parameters = ["frame", "spec", "parts", "meta", "given_divisions"]
    operation = staticmethod(placed_cell)

    @functools.cached_property
    def _args(self) -> list[Any]:
        return list(self.operands[:3])

    def _blockwise_arg(self, arg: Any, i: int) -> Any:
        return arg.of_part(i) if isinstance(arg, PlannedOrder) else super()._blockwise_arg(arg, i)


class AlignedCells(GivenOutput, Step):
    """Partitions that are in order, each key given to the partition that it begins in."""

    _words = "sort-output"
    _parameters = ["frame", "spec", "meta", "given_divisions", "alignment", "parts"]

    def _layer(self) -> dict[Any, Any]:
        aligned: Alignment = self.alignment
        starts: list[int | None] = [*aligned.starts.tolist(), None]
        inputs = zip(aligned.first_input.tolist(), aligned.after_input.tolist(), strict=True)
        graph = {}
        for number, (first, after) in enumerate(inputs):
            key = (self._name, number)
            parts = List(*(TaskRef((self.frame._name, i)) for i in range(first, after)))
            planned = [self.parts.of_part(i) for i in range(first, after)]
            ends = starts[number], starts[number + 1]
            graph[key] = Task(key, aligned_cell, parts, self.spec, *ends, planned)
        return graph


class OrderedShards(GivenOutput, Step, Blockwise):  # type: ignore[misc]
    """Partitions of whole shards, in order."""

    _words = "sort-output"
    _parameters = ["frame", "spec", "meta", "given_divisions"]

    def _task(self, name: Any, index: int) -> Any:
        return Task(name, ordered_frame, TaskRef((self.frame._name, index)), self.spec, index)
