"""Joins whose sides, one or both, stay in their partitions, as dask expressions.

::

    sorted             OrderedCells(OrderedPartitions(left), OrderedPartitions(right))
    sorted-one-side    OrderedCells(OrderedPartitions(left), Seal(stage(right)))
    staged, in order   OrderedCells(Seal(stage(left), stage(right)))

Partitions are checked once, in tasks of their own, and wait for the cells that
touch them; cells are fused with what takes them (the write). Where a side is
moved, the other one's partitions are not made before it is staged: they would
fill the workers that stage.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from dask.task_spec import List, Task, TaskRef

from safeframe._dask.steps import Step
from safeframe._dask.trees import own_tasks
from safeframe.engine.exchange.nodes import part_of
from safeframe.engine.merge.in_order_tasks import CellPlace, PlannedPart, checked_part, ordered_cell
from safeframe.engine.names import seal_key
from safeframe.facts.keys import PartitionKeys
from safeframe.facts.layout import OrderedLayout, ShardLayout, TouchedParts
from safeframe.kernels.changed_data import data_changed
from safeframe.kernels.merge.spec import JoinSpec
from safeframe.kernels.merge.virtual import Range
from safeframe.planning.merge.touched_parts import cell_parts


def ordered_partitions(
    frame: Any, name: str, keys: PartitionKeys, touched: TouchedParts, facts: Any, run: str, sealed: Any
) -> Any:
    """Return the expression of a side's partitions, checked and in key order.

    Parameters
    ----------
    frame
        The lowered expression of the side.
    name
        The side.
    keys
        What its partitions were planned with.
    touched
        Which of them are needed.
    facts
        The expression of the join's facts.
    run, sealed
        The run that stages the other side, and its manifest; None when no side is moved.

    Raises
    ------
    RowConservationError
        When there are other partitions than were planned.
    """
    check_partitions(frame, name, keys)
    return OrderedPartitions(frame.fuse(), name, keys, np.unique(touched.parts).tolist(), facts, run, sealed)


def check_partitions(frame: Any, name: str, keys: PartitionKeys) -> None:
    """Raise where the lowered expression of a side has other partitions than were planned.

    Raises
    ------
    RowConservationError
        When it has.
    """
    if frame.npartitions != len(keys.rows):
        msg = f"The {name} side has {frame.npartitions} partitions, and had {len(keys.rows)} when the merge was planned."
        raise data_changed(msg, planned=len(keys.rows), found=frame.npartitions)


class JoinFacts(Step):
    """What every task has to know of a join, sent to a worker once."""

    _words = "merge-facts"
    _parameters = ["spec"]

    @property
    def _meta(self) -> Any:
        return self.spec.meta

    def _divisions(self) -> Any:
        return (None, None)

    def _layer(self) -> dict[Any, Any]:
        key = (self._name, 0)
        return {key: Task(key, _itself, self.spec)}


def _itself(spec: JoinSpec) -> JoinSpec:
    return spec


class OrderedPartitions(Step):
    """A side's partitions, each held to what it was planned with."""

    _words = "merge-partition"
    _parameters = ["frame", "side", "keys", "numbers", "facts", "run", "sealed"]

    @property
    def _meta(self) -> Any:
        return self.frame._meta

    @functools.cached_property
    def _own_tasks(self) -> list[Any] | None:
        return own_tasks(self.frame)

    def dependencies(self) -> list[Any]:
        """Return what has to be there: not the frame, where its tasks are part of this expression's own."""
        before = [self.facts] if self.sealed is None else [self.facts, self.sealed]
        return before if self._own_tasks is not None else [self.frame, *before]

    def _divisions(self) -> Any:
        return (None,) * (self.frame.npartitions + 1)

    def _layer(self) -> dict[Any, Any]:
        keys: PartitionKeys = self.keys
        own = self._own_tasks
        graph = {}
        for number in self.numbers:
            key = (self._name, number)
            planned = PlannedPart.of(self.side, keys, number)
            part = part_of(self.frame, own, number)
            after = None if self.sealed is None else TaskRef(seal_key(self.run))
            graph[key] = Task(key, checked_part, part, planned, TaskRef((self.facts._name, 0)), after)
        return graph


class OrderedCells(Step):
    """Output partitions in key order, from partitions of sides that stay and shards of those that moved."""

    _words = "merge-output"
    _parameters = [
        "left",
        "right",
        "facts",
        "sealed",
        "run",
        "layout",
        "ordered",
        "limit",
        "given_divisions",
    ]

    @property
    def _meta(self) -> Any:
        return self.facts._meta

    def _divisions(self) -> Any:
        return self.given_divisions

    def _task(self, name: Any, index: int) -> Any:
        layout: ShardLayout = self.layout
        ordered: OrderedLayout = self.ordered
        location = shard, number, cells = layout.cell_location(index)
        left, left_ranges = self._inputs("left", location)
        right, right_ranges = self._inputs("right", location)
        nulls = layout.holds_nulls(shard)
        place = CellPlace(
            shard=shard,
            number=number,
            cells=cells,
            low=0 if nulls else int(layout.starts[shard]),
            after=int(layout.starts[shard + 1]) if shard + 1 < len(layout.starts) else None,
            one_key=bool(layout.single_key[shard]),
            nulls=nulls,
            rows=(int(ordered.left_rows[shard]), int(ordered.right_rows[shard])),
            ranges=(left_ranges, right_ranges),
        )
        sealed = None if self.sealed is None else TaskRef(seal_key(self.run))
        facts = TaskRef((self.facts._name, 0))
        return Task(name, ordered_cell, left, right, sealed, facts, place, self.limit)

    def _inputs(self, side: str, location: tuple[int, int, int]) -> tuple[Any, tuple[Range, ...]]:
        """Return the partitions of a side that a cell reads, and the rows that it takes of each."""
        ordered: OrderedLayout = self.ordered
        touched = ordered.left if side == "left" else ordered.right
        if touched is None:
            return List(), ()
        parts, begin, end = cell_parts(touched, ordered, self.facts.spec.how, side, location)
        name = getattr(self, side)._name
        refs = [TaskRef((name, number)) for number in parts.tolist()]
        return List(*refs), tuple(zip(begin.tolist(), end.tolist(), strict=True))
