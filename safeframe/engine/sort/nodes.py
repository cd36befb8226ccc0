"""Sorting, indexing and shuffling as dask expressions.

:class:`SafeSort` is abstract: dask pushes projections through it, and it
becomes one of three concrete forms when the graph is made::

    sorted    InPlace(frame), or AlignedCells(frame) where partitions share keys
    staged    ExchangeCells(Seal(stage(frame)))
    p2p       OrderedShards(by_p2p(frame))
"""

from __future__ import annotations

import functools
from typing import Any

from dask.task_spec import List, Task, TaskRef

from safeframe._dask.expressions import Blockwise
from safeframe._dask.trees import lowered
from safeframe.engine.exchange.nodes import ExchangeCells, Seal, stage
from safeframe.engine.exchange.runs import start_run
from safeframe.engine.p2p.nodes import by_p2p
from safeframe.engine.planned.nodes import GivenOutput, PlannedFrame
from safeframe.engine.planned.rows import PlannedOrder
from safeframe.engine.sort.tasks import (
    SortSpec,
    aligned_cell,
    ordered_cell,
    ordered_frame,
    placed_cell,
    seal_sort,
)
from safeframe.engine.task import CellLimit
from safeframe.errors import MemoryBudgetError
from safeframe.facts.plan import Plan
from safeframe.kernels.columns.frame import FrameSpec, with_index
from safeframe.kernels.routing.ranges import NullsFirst
from safeframe.kernels.routing.router import Router
from safeframe.planning.sort.alignment import Alignment

__all__ = ["SafeSort"]


class SafeSort(PlannedFrame):
    """Rows sorted by a plan."""

    planned: Any = None
    """The facts of the plan, so that it can be planned again; not sent anywhere."""

    _parameters = [
        "frame", "plan", "router", "order", "by", "given_divisions", "index_column", "drop", "group", "with_index",
        "alignment", "p2p", "parts",
    ]  # fmt: skip

    @property
    def _meta(self) -> Any:
        meta = self.frame._meta
        if self.index_column is not None:
            return with_index(meta, self.index_column, drop=self.drop)
        return meta if self.with_index else meta.reset_index(drop=True)

    @property
    def _keys(self) -> Any:
        return self.by

    @functools.cached_property
    def _spec(self) -> SortSpec:
        plan: Plan = self.plan
        return SortSpec(
            frame=FrameSpec(meta=self.frame._meta, with_index=self.with_index),
            order=self.order,
            index=self.index_column,
            drop=self.drop,
            limit=CellLimit.of(plan),
            rows=int(plan.output_rows),
            divisions=tuple(self.given_divisions),
        )

    def _begin(self, plan: Plan) -> None:
        try:
            super()._begin(plan)
        except MemoryBudgetError as error:
            if self.index_column is None or plan.largest_partition_nbytes <= plan.partition_nbytes:
                raise
            hint = (
                f"{error.hint} {plan.recipe} keeps the rows of a key in one partition; if one key has most of them, "
                "safeframe.sort_values can split it."
            )
            raise MemoryBudgetError(error.message, hint=hint, **error.figures) from None

    def _concrete(self) -> Any:
        plan: Plan = self.plan
        frame, spec = lowered(self.frame), self._spec
        if plan.strategy == "sorted":
            parts = PlannedOrder(self.parts).check(frame.npartitions)
            if self.alignment is None:
                return InPlace(frame, spec, parts, self._meta, self.given_divisions).fuse()
            return AlignedCells(frame, spec, self._meta, self.given_divisions, self.alignment, parts)
        router: Router = self.router
        if plan.strategy == "p2p":
            nulls_first = spec.order is not None and not spec.order.na_last
            if nulls_first and plan.layout is not None and plan.layout.null_shard:
                router = NullsFirst(self.router)
            moved = by_p2p(frame, router, self.p2p, plan)
            return OrderedShards(moved, spec, self._meta, self.given_divisions).fuse()
        run = self._name
        directory = start_run(plan.staging_directory or "", run)
        staged = stage(frame, spec.frame, router, directory, self.group)
        sealed = Seal(run, seal_sort, (spec, plan.layout), staged)
        return ExchangeCells(sealed, ordered_cell, self._meta, self.given_divisions, run)


class InPlace(GivenOutput, Blockwise):  # type: ignore[misc]
    """Partitions that are in order already."""

    _parameters = ["frame", "spec", "parts", "meta", "given_divisions"]
    operation = staticmethod(placed_cell)

    @functools.cached_property
    def _args(self) -> list[Any]:
        return list(self.operands[:3])

    def _blockwise_arg(self, arg: Any, i: int) -> Any:
        return arg.of_part(i) if isinstance(arg, PlannedOrder) else super()._blockwise_arg(arg, i)


class AlignedCells(GivenOutput):
    """Partitions that are in order, each key given to the partition that it begins in."""

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


class OrderedShards(GivenOutput, Blockwise):  # type: ignore[misc]
    """Partitions of whole shards, in order."""

    _parameters = ["frame", "spec", "meta", "given_divisions"]

    def _task(self, name: Any, index: int) -> Any:
        return Task(name, ordered_frame, TaskRef((self.frame._name, index)), self.spec, index)
