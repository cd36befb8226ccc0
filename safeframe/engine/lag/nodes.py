"""Lag features as dask expressions.

:class:`SafeLag` is abstract: dask pushes projections through it, and it becomes
one of four concrete forms when the graph is made::

    whole     LagShards(frame)
    halo      LagPartitions(frame, PartitionEdges(frame))
    staged    ExchangeCells(Seal(stage(frame)))
    p2p       LagShards(by_p2p(frame))

Shards are fused with the tasks that bring their rows, so that none of them waits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from dask.task_spec import List, Task, TaskRef

from safeframe._dask.expressions import Blockwise, Expr
from safeframe._dask.trees import lowered
from safeframe.engine.exchange.nodes import ExchangeCells, Seal, in_memory, own_tasks, part_of, stage
from safeframe.engine.exchange.runs import start_run
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
from safeframe.engine.sort.tasks import SortSpec
from safeframe.engine.task import CellLimit
from safeframe.facts.lag import Halo
from safeframe.facts.p2p import P2PSettings
from safeframe.facts.plan import Plan
from safeframe.kernels.changed_data import data_changed
from safeframe.kernels.columns.frame import FrameSpec, with_index
from safeframe.kernels.lag.shift import lagged_meta
from safeframe.kernels.lag.spec import LagSpec
from safeframe.kernels.routing.router import Router
from safeframe.kernels.sort.rows import RowOrder

__all__ = ["LagMoves", "SafeLag"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LagMoves:
    """How rows come next to the rows of their group."""

    order: RowOrder
    """The order of rows: keys, and what orders the rows of a group."""
    index: Any
    """The column that becomes the index; None where the index stays."""
    drop: bool
    """Whether that column goes."""
    with_index: bool
    """Whether the index is kept."""
    halo: Halo | None
    """Rows of neighbours, where partitions stay."""
    router: Router | None
    """Where rows go, where they move."""
    group: tuple[int, int]
    """Partitions of one stage task, and bytes that those of them which wait may take."""
    across: bool
    """Whether groups go over several shards."""
    p2p: P2PSettings | None
    """Buffers that P2P is held to, when it moves the rows."""


class SafeLag(PlannedFrame):
    """Rows with columns shifted within groups, by a plan."""

    _parameters = ["frame", "plan", "lags", "transform", "moves", "given_divisions"]

    @functools.cached_property
    def _meta(self) -> Any:
        meta = lagged_meta(self.frame._meta, self.lags)
        moves: LagMoves = self.moves
        return meta if moves.index is None else with_index(meta, moves.index, drop=moves.drop)

    def _projected(self, wanted: set[Any]) -> Planned | None:
        lags, moves = self.lags, self.moves
        made = tuple(column for column in lags.columns if column.name in wanted)
        narrower = replace(lags, columns=made)
        if not made and moves.halo is not None:
            moves = replace(moves, halo=moves.halo.of_no_rows())
        needed = wanted.union(moves.order.by, narrower.needed, () if moves.index is None else (moves.index,))
        columns = [name for name in self.frame.columns if name in needed]
        if in_memory(self.frame):
            # Narrower partitions would be copies, which wait for their neighbours besides.
            columns = list(self.frame.columns)
        if len(columns) == len(self.frame.columns) and len(made) == len(lags.columns):
            return None
        frame = self.frame if len(columns) == len(self.frame.columns) else self.frame[columns]
        return type(self)(frame, self.plan, narrower, self.transform, moves, self.given_divisions)

    @functools.cached_property
    def _spec(self) -> SortSpec:
        plan: Plan = self.plan
        moves: LagMoves = self.moves
        return SortSpec(
            frame=FrameSpec(meta=self.frame._meta, with_index=moves.with_index),
            order=moves.order,
            index=moves.index,
            drop=moves.drop,
            limit=CellLimit.of(plan),
            rows=int(plan.output_rows),
            divisions=tuple(self.given_divisions),
        )

    def _concrete(self) -> Any:
        plan: Plan = self.plan
        frame, spec, lags = lowered(self.frame), self._spec, self.lags
        moves: LagMoves = self.moves
        if plan.strategy == "whole":
            self._check_partitions(frame)
            return LagShards(
                frame, lag_whole, spec, lags, self._meta, self.given_divisions, self._name
            ).fuse()
        if plan.strategy == "halo":
            return self._in_place(frame)
        assert moves.router is not None, "planned with rows that move"
        if plan.strategy == "p2p":
            assert moves.p2p is not None, "planned with P2P"
            moved = by_p2p(frame, moves.router, moves.p2p, plan)
            return LagShards(
                moved, lag_shard, spec, lags, self._meta, self.given_divisions, self._name
            ).fuse()
        run = self._name
        directory = start_run(plan.staging_directory or "", run)
        staged = stage(frame, spec.frame, moves.router, directory, moves.group)
        # Rows of one key, as they were staged, are in the frame's order, and columns may ask for another one.
        staged_in_order = moves.across or moves.order.by == lags.by
        sealed = Seal(run, seal_lag, (spec, plan.layout, lags, staged_in_order, moves.across), staged)
        return ExchangeCells(sealed, lag_cell, self._meta, self.given_divisions, run)

    def _check_partitions(self, frame: Any) -> None:
        plan: Plan = self.plan
        if frame.npartitions != plan.output_partitions:
            msg = f"The frame has {frame.npartitions} partitions, and had {plan.output_partitions} when it was planned."
            raise data_changed(msg, planned=plan.output_partitions, found=frame.npartitions)

    def _in_place(self, frame: Any) -> Any:
        halo: Halo = self.moves.halo
        self._check_partitions(frame)
        fused = frame.fuse()
        edges = None
        if halo.tails.any() or halo.heads.any():
            narrow = lowered(self.frame[self.lags.needed].simplify()).fuse()
            # A frame that has to be computed first is not computed twice.
            source = narrow if own_tasks(narrow) is not None and own_tasks(fused) is not None else fused
            edges = PartitionEdges(source, self.lags, halo, self._name)
        return LagPartitions(
            fused,
            edges,
            self._spec,
            self.lags,
            self.moves,
            self._meta,
            self.given_divisions,
            self._name,
        )


class PartitionEdges(Expr):  # type: ignore[misc]
    """The rows at the edges of partitions that their neighbours need."""

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


class LagPartitions(GivenOutput):
    """Partitions that stay, with their shifted columns."""

    _parameters = ["frame", "edges", "spec", "lags", "moves", "meta", "given_divisions", "run"]

    @functools.cached_property
    def _own_tasks(self) -> list[Any] | None:
        return own_tasks(self.frame)

    def dependencies(self) -> list[Any]:
        """Return what has to be there: not the frame, where its tasks are part of this expression's own."""
        edges = [] if self.edges is None else [self.edges]
        return edges if self._own_tasks is not None else [self.frame, *edges]

    def _task(self, name: Any, index: int) -> Any:
        moves: LagMoves = self.moves
        part = part_of(self.frame, self._own_tasks, index)
        halo = moves.halo
        assert halo is not None, "planned with partitions that stay"
        before, after = halo.before[index], halo.after[index]
        planned = Part(number=index, rows=int(halo.rows[index]), before=before, after=after)
        tails, heads = (
            List(*(TaskRef((self.edges._name, piece.partition)) for piece in pieces))
            for pieces in (before, after)
        )
        return Task(name, partition_with_halo, part, planned, tails, heads, self.spec, self.lags)


class LagShards(GivenOutput, Blockwise):  # type: ignore[misc]
    """Partitions of whole groups as they came, with their shifted columns."""

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
