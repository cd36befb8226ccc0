"""Joins that leave one side in its partitions and give each task all of the other, as dask expressions.

::

    BroadcastCells(probe, BuildSide(build))                         a side that every worker holds
    BroadcastPieces(HeldPartitions(probe, build), BuildSide(build)) the same, of partitions that are cut
    TableCells(probe, Seal(TableSlices(Seal(stage(build)))))        a side in a file that every worker maps

Cells are fused with the read before them, and with what takes them. A partition
that is cut is made once, and waits for its pieces, or again for each of them.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from dask.task_spec import List, Task, TaskRef

from safeframe._dask.expressions import Blockwise
from safeframe._dask.steps import Step, fused_step
from safeframe._dask.trees import own_tasks
from safeframe.engine.exchange.nodes import Seal, part_of, stage
from safeframe.engine.exchange.runs import start_run
from safeframe.engine.merge.broadcast_tasks import (
    broadcast_cell,
    broadcast_piece,
    collect_side,
    held_partition,
    seal_side,
    seal_table,
    table_cell,
    write_slice,
)
from safeframe.engine.names import seal_key
from safeframe.engine.planned.cells import PartitionLimit
from safeframe.engine.planned.nodes import GivenOutput
from safeframe.engine.planned.rows import PlannedRows
from safeframe.engine.storage.local import STAGED
from safeframe.facts.keys import PlannedKeys
from safeframe.facts.layout import StageTasks
from safeframe.facts.merge import BroadcastMerge
from safeframe.kernels.changed_data import data_changed
from safeframe.kernels.merge.spec import JoinSpec
from safeframe.kernels.merge.table import JoinTable
from safeframe.kernels.routing.router import JoinRouter


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ProbeFacts:
    """What was planned of the two sides of such a join."""

    build: PlannedKeys
    """The side that every task has."""
    probe: PlannedRows | None
    """The side whose partitions stay; None where a filter may have left fewer rows."""

    def rows_of(self, frame: Any) -> PlannedRows | None:
        """Return the rows that the partitions of the lowered side are held to."""
        return None if self.probe is None else self.probe.check(frame.npartitions)


def probe_and_build(
    left: Any, right: Any, spec: JoinSpec, build_side: str, planned: ProbeFacts
) -> tuple[Any, BuildSide, PlannedRows | None]:
    """Return the side whose partitions stay, the other one as one frame, and the rows that the first is held to.

    Raises
    ------
    RowConservationError
        When the side that stays has other partitions than were planned.
    """
    probe, build, side = (left, right, spec.right) if build_side == "right" else (right, left, spec.left)
    return probe, BuildSide(build, side, planned.build), planned.rows_of(probe)


def broadcast_cells(
    left: Any,
    right: Any,
    spec: JoinSpec,
    way: BroadcastMerge,
    planned: ProbeFacts,
    limit: PartitionLimit,
    divisions: Any,
) -> Any:
    """Return the expression of a join with a side that every worker holds whole.

    Raises
    ------
    RowConservationError
        When the other side has other partitions than were planned.
    """
    build_side = way.build_side
    probe, whole, rows = probe_and_build(left, right, spec, build_side, planned)
    if not way.pieces:
        return fused_step(BroadcastCells(probe, whole, spec, build_side, limit, rows, divisions))
    if probe.npartitions != len(way.pieces):
        msg = f"A side has {probe.npartitions} partitions, and had {len(way.pieces)} when the merge was planned."
        raise data_changed(msg, planned=len(way.pieces), found=probe.npartitions)
    held = HeldPartitions(probe.fuse(), whole, way.pieces, way.again)
    return BroadcastPieces(held, whole, spec, build_side, limit, rows, way.pieces, divisions)


def table_cells(
    left: Any,
    right: Any,
    table: JoinTable,
    run: str,
    base: str,
    planned: ProbeFacts,
    limit: PartitionLimit,
    divisions: Any,
    tasks: StageTasks,
) -> Any:
    """Return the expression of a join with a side in a table that every worker maps."""
    probe, build = (left, right) if table.keys.build_side == "right" else (right, left)
    slices = table.slices
    # A run of its own: its files go once the table is there.
    side_run = f"{run}-side"
    router = JoinRouter(table.build.on, table.build.schema, slices)
    staged = stage(build, table.build, router, start_run(base, side_run), tasks)
    path = f"{start_run(base, run)}/table{STAGED}"
    side = Seal(side_run, seal_side, (table, path, planned.build), staged)
    sealed = Seal(run, seal_table, (table, limit), TableSlices(side, side_run, slices.n_shards))
    return fused_step(TableCells(probe, sealed, planned.rows_of(probe), table.spec.meta, divisions))


class BuildSide(Step):
    """The small side of a broadcast, as one frame."""

    _words = "merge-side"
    _parameters = ["frame", "side", "planned"]

    @property
    def _meta(self) -> Any:
        return self.frame._meta[list(self.side.names)]

    def _divisions(self) -> Any:
        return (None, None)

    def _layer(self) -> dict[Any, Any]:
        key = (self._name, 0)
        parts = List(*(TaskRef(part) for part in self.frame.__dask_keys__()))
        return {key: Task(key, collect_side, parts, self.side, self.planned)}


class HeldPartitions(Step):
    """Partitions that are cut, each made once; none where they are made again, and of those that are not cut."""

    _words = "merge-partition"
    _parameters = ["frame", "build", "pieces", "again"]

    @property
    def _meta(self) -> Any:
        return self.frame._meta

    @functools.cached_property
    def own_tasks(self) -> list[Any] | None:
        """The tasks that make the frame's partitions, where each needs no other."""
        return own_tasks(self.frame)

    def dependencies(self) -> list[Any]:
        """Return what has to be there: not the frame, where its tasks are part of this expression's own."""
        return [self.build] if self.own_tasks is not None else [self.frame, self.build]

    def _divisions(self) -> Any:
        return (None,) * (self.frame.npartitions + 1)

    def part(self, number: int) -> Any:
        """Return a partition to the tasks of its pieces: to be made there, or as it was made."""
        if self.own_tasks is None or self.again or self.pieces[number] == 1:
            return part_of(self.frame, self.own_tasks, number)
        return TaskRef((self._name, number))

    def _layer(self) -> dict[Any, Any]:
        if self.own_tasks is None or self.again:
            return {}
        build = TaskRef((self.build._name, 0))
        keys = [(self._name, number) for number, count in enumerate(self.pieces) if count > 1]
        return {
            key: Task(key, held_partition, part_of(self.frame, self.own_tasks, key[1]), build) for key in keys
        }


class BroadcastPieces(Step):
    """Pieces of the partitions of the large side, each joined with the small one."""

    _words = "merge-output"
    _parameters = ["held", "build", "spec", "build_side", "limit", "planned", "pieces", "given_divisions"]

    @property
    def _meta(self) -> Any:
        return self.spec.meta

    def _divisions(self) -> Any:
        return self.given_divisions

    @functools.cached_property
    def _ends(self) -> Any:
        return np.cumsum(self.pieces)

    def _task(self, name: Any, index: int) -> Any:
        part = int(np.searchsorted(self._ends, index, side="right"))
        count = self.pieces[part]
        planned = None if self.planned is None else self.planned.of_part(part)
        return Task(
            name, broadcast_piece, self.held.part(part), TaskRef((self.build._name, 0)),
            self.spec, self.build_side, self.limit, planned, (index - int(self._ends[part]) + count, count),
        )  # fmt: skip


class _ProbeCells(Step, Blockwise):  # type: ignore[misc]
    """Each partition of one side, joined with all of the other."""

    _words = "merge-output"

    def _divisions(self) -> Any:
        return self.given_divisions

    def _broadcast_dep(self, dep: Any) -> bool:
        return bool(dep._name == self.build._name)

    def _blockwise_arg(self, arg: Any, i: int) -> Any:
        if isinstance(arg, PlannedRows):
            return arg.of_part(i)
        # By the key that the janitor knows: a table's file goes when nobody needs that any more.
        return TaskRef(seal_key(arg.run)) if isinstance(arg, Seal) else super()._blockwise_arg(arg, i)


class BroadcastCells(_ProbeCells):
    """Each partition of the large side, joined with the small one."""

    _parameters = ["probe", "build", "spec", "build_side", "limit", "planned", "given_divisions"]
    operation = staticmethod(broadcast_cell)

    @functools.cached_property
    def _args(self) -> list[Any]:
        return list(self.operands[:6])

    @property
    def _meta(self) -> Any:
        return self.spec.meta


class TableCells(GivenOutput, _ProbeCells):
    """Each partition of one side, with what a table has of its keys."""

    _parameters = ["probe", "build", "planned", "meta", "given_divisions"]
    operation = staticmethod(table_cell)

    @functools.cached_property
    def _args(self) -> list[Any]:
        return list(self.operands[:3])


class TableSlices(Step):
    """Write the slices of a table."""

    _words = "merge-table"
    _parameters = ["side", "run", "n_slices"]
    _meta = pd.Series([], dtype=object)

    def _divisions(self) -> Any:
        return (None,) * (self.n_slices + 1)

    def _layer(self) -> dict[Any, Any]:
        keys = [(self._name, number) for number in range(self.n_slices)]
        return {key: Task(key, write_slice, TaskRef(seal_key(self.run)), key[1]) for key in keys}
