"""The merge as dask expressions.

:class:`SafeMerge` is abstract, as dask's own ``Merge`` is: dask pushes
projections and filters through it, and it becomes one of three concrete forms
when the graph is made::

    sorted      SortedCells(left, right)
    broadcast   BroadcastCells(probe, BuildSide(build))
    staged      ExchangeCells(Seal(stage(left), stage(right)))

Stage tasks are fused with what comes before them (the read), so that no input
partition waits in a worker's memory, and cells with what takes them (the
write), so that no output partition does.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from safeframe.engine._dask import (
    Blockwise,
    Expr,
    Fused,
    List,
    Merge,
    Projection,
    Task,
    TaskRef,
    lowered,
)
from safeframe.engine.cell_limit import CellLimit
from safeframe.engine.exchange_nodes import ExchangeCells, Seal, stage
from safeframe.engine.fusion import FusedCells, fused_with_consumer
from safeframe.engine.merge_tasks import (
    broadcast_cell,
    collect_side,
    seal_merge,
    sorted_cell,
    staged_cell,
)
from safeframe.engine.runs import start_run
from safeframe.engine.tally import announce
from safeframe.facts.keys import PartitionKeys
from safeframe.facts.layout import ShardLayout
from safeframe.facts.plan import Plan
from safeframe.kernels.join_spec import JoinSpec, join_spec
from safeframe.kernels.routing import JoinRouter

__all__ = ["SafeMerge"]


class SafeMerge(Merge):  # type: ignore[misc]  # dask's expressions are untyped
    """A merge that runs by a plan.

    Operands beyond dask's: the plan, the schema of the keys, the key ranges of
    the input partitions, and the keys. An index that is compared, or that the
    result has, is a column of its side; ``left_on`` and ``right_on`` name the
    columns that no projection may take away.
    """

    _parameters = [*Merge._parameters, "plan", "schema", "left_keys", "right_keys", "keys", "given_divisions"]

    @functools.cached_property
    def _spec(self) -> JoinSpec:
        merge = self.plan.merge
        return join_spec(
            self.left._meta,
            self.right._meta,
            self.keys,
            how=self.how,
            suffixes=self.suffixes,
            indicator=self.indicator,
            schema=self.schema,
            left_missing=self.how in ("right", "outer") and merge.right_unmatched_rows.upper > 0,
            right_missing=self.how in ("left", "outer") and merge.left_unmatched_rows.upper > 0,
        )

    @functools.cached_property
    def _meta(self) -> Any:
        return self._spec.meta

    def _divisions(self) -> Any:
        return self.given_divisions

    @functools.cached_property
    def unique_partition_mapping_columns_from_shuffle(self) -> set[Any]:
        """Nothing: a key may fill several partitions."""
        return set()

    def _simplify_up(self, parent: Any, dependents: Any) -> Any:
        pushed = super()._simplify_up(parent, dependents)
        if isinstance(pushed, Projection):
            wanted = parent.operand("columns")
            # A key that has a suffix keeps it only beside the column that it clashes with, which dask may drop.
            if not set(wanted if isinstance(wanted, list) else [wanted]) <= set(pushed.frame.columns):
                return None
        return pushed

    def _lower(self) -> Any:
        plan: Plan = self.plan
        plan.validate()
        announce(plan)
        left, right = lowered(self.left), lowered(self.right)
        spec = self._spec
        limit = CellLimit(plan.largest_partition_nbytes, plan.row_nbytes)
        if plan.strategy == "sorted":
            return SortedCells(
                left, right, spec, plan.layout, self.left_keys, self.right_keys, limit, self.given_divisions
            )
        if plan.strategy == "broadcast":
            divisions = self.given_divisions
            probe, build, side = (
                (left, right, spec.right) if plan.build_side == "right" else (right, left, spec.left)
            )
            cells = BroadcastCells(
                probe, BuildSide(build, side), spec, plan.build_side, limit, divisions
            ).fuse()
            return FusedCells(*cells.operands) if isinstance(cells, Fused) else cells
        run = self._name
        directory = start_run(plan.staging_directory or "", run)
        layout = plan.layout
        assert layout is not None, "the strategy staged has a layout"
        staged = [
            stage(frame, side, JoinRouter(side.on, side.schema, layout), directory)
            for frame, side in ((left, spec.left), (right, spec.right))
        ]
        sealed = Seal(run, seal_merge, (spec, layout, limit), *staged)
        return ExchangeCells(sealed, staged_cell, spec.meta, self.given_divisions, run, None)


class BuildSide(Expr):  # type: ignore[misc]
    """The small side of a broadcast, as one frame."""

    _parameters = ["frame", "side"]

    @property
    def _meta(self) -> Any:
        return self.frame._meta[list(self.side.names)]

    def _divisions(self) -> Any:
        return (None, None)

    def _layer(self) -> dict[Any, Any]:
        key = (self._name, 0)
        return {key: Task(key, collect_side, List(*_refs(self.frame)), self.side)}


class BroadcastCells(Blockwise):  # type: ignore[misc]
    """Each partition of the large side, joined with the small one."""

    _parameters = ["probe", "build", "spec", "build_side", "limit", "given_divisions"]
    operation = staticmethod(broadcast_cell)

    @functools.cached_property
    def _args(self) -> list[Any]:
        return list(self.operands[:5])

    @property
    def _meta(self) -> Any:
        return self.spec.meta

    def _divisions(self) -> Any:
        return self.given_divisions

    def _broadcast_dep(self, dep: Any) -> bool:
        return bool(dep._name == self.build._name)

    def _simplify_up(self, parent: Any, dependents: Any) -> Any:
        return fused_with_consumer(self, parent, dependents)


class SortedCells(Expr):  # type: ignore[misc]
    """Output partitions from the neighbouring partitions of two sorted frames."""

    _parameters = ["left", "right", "spec", "layout", "left_keys", "right_keys", "limit", "given_divisions"]

    @property
    def _meta(self) -> Any:
        return self.spec.meta

    def _divisions(self) -> Any:
        return self.given_divisions

    def _layer(self) -> dict[Any, Any]:
        layout: ShardLayout = self.layout
        starts = [int(start) for start in layout.starts]
        afters: list[int | None] = [*starts[1:], None]
        cells = np.flatnonzero(layout.cells)
        graph = {}
        at = 0
        for shard in cells.tolist():
            code_range = (starts[shard], afters[shard])
            left = _touching(self.left, self.left_keys, code_range)
            right = _touching(self.right, self.right_keys, code_range)
            for number in range(int(layout.cells[shard])):
                key = (self._name, at)
                graph[key] = Task(
                    key,
                    sorted_cell,
                    List(*left),
                    List(*right),
                    self.spec,
                    code_range,
                    number,
                    int(layout.cells[shard]),
                    self.limit,
                )
                at += 1
        return graph


def _refs(expr: Any) -> list[Any]:
    return [TaskRef(key) for key in expr.__dask_keys__()]


def _touching(expr: Any, keys: PartitionKeys, code_range: tuple[int, int | None]) -> list[Any]:
    """Give the partitions that hold keys of a range; one of them in any case, for its columns."""
    low, after = code_range
    inside = (keys.rows > 0) & (keys.last >= np.uint64(low))
    if after is not None:
        inside &= keys.first < np.uint64(after)
    numbers = np.flatnonzero(inside).tolist() or [0]
    return [TaskRef((expr._name, number)) for number in numbers]
