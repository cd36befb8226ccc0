"""Rebalancing as dask expressions.

:class:`SafeRebalance` is abstract: dask pushes projections through it, and it
becomes one of these when the graph is made::

    UntouchedPartitions   GatheredPieces   where partitions stand alone
                          frame            where they do not
    JoinedPartitions      GatheredPieces                      where partitions stand alone
                          JoinedPieces(frame, Slices(frame))  where they do not
    StagedPartitions      ExchangeCells(Seal(StagedRows(frame)))
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt
import pandas as pd
from dask.task_spec import List, Task, TaskRef

from safeframe._dask.steps import Step
from safeframe._dask.trees import lowered, own_tasks
from safeframe.engine.exchange.nodes import ExchangeCells, Seal
from safeframe.engine.exchange.runs import start_run
from safeframe.engine.planned.cells import PartitionLimit
from safeframe.engine.planned.nodes import GivenOutput, PlannedFrame
from safeframe.engine.rebalance.tasks import (
    PartitionSlice,
    Pieces,
    gather_pieces,
    join_pieces,
    rebalanced_partition,
    seal_rows,
    stage_rows,
    stage_slices,
    take_slice,
)
from safeframe.facts.plan import Plan
from safeframe.facts.rebalance import (
    JoinedPartitions,
    RebalanceRun,
    StagedPartitions,
    UntouchedPartitions,
)
from safeframe.kernels.columns.frame import FrameSpec
from safeframe.kernels.cuts import RowCuts, pieces_of
from safeframe.sizing.partitions.slices import SlicedFrame, SlicedPart, sliced_frame
from safeframe.sizing.partitions.tasks import PartitionTask


def stands_alone(expr: Any) -> bool:
    """Whether each partition of a collection's expression is made by a task that needs no other."""
    return own_tasks(lowered(expr).fuse()) is not None


class SafeRebalance(PlannedFrame):
    """A frame that a plan cuts into other partitions.

    Operands: the frame and the plan.
    """

    _words = "rebalance"
    _parameters = ["frame", "plan"]

    @property
    def run(self) -> RebalanceRun:
        """What the plan says of the graph."""
        run = self.plan.run
        assert isinstance(run, RebalanceRun), "made by the planner of rebalancing"
        return run

    @property
    def _meta(self) -> Any:
        return self.frame._meta

    def _divisions(self) -> Any:
        return self.run.layout.divisions

    def _concrete(self) -> Any:
        plan: Plan = self.plan
        layout, way = self.run.layout, self.run.way
        frame = lowered(self.frame)
        cutting = _Cutting(layout.bounds, layout.cuts)
        limit = PartitionLimit(plan.partition_nbytes)
        tasks = own_tasks(frame.fuse())
        own = None if tasks is None else _Tasks(tasks, self._name)
        match way:
            case UntouchedPartitions() if own is None:
                return frame
            case UntouchedPartitions() | JoinedPartitions():
                # Even untouched partitions are made by our tasks, which are one with what consumes them.
                if own is not None:
                    return GatheredPieces(own, cutting, frame._meta, layout.divisions, limit)
                return JoinedPieces(frame, Slices(frame, cutting), cutting, layout.divisions, limit)
            case StagedPartitions():
                spec = FrameSpec(meta=frame._meta, with_index=True)
                directory = start_run(way.directory, self._name)
                sliced = _Slicing(frame, way.in_slices, self._name)
                made = None if own is not None else frame
                staged = StagedRows(made, own, sliced, way.by_columns, cutting, spec, directory)
                sealed = Seal(self._name, seal_rows, (spec, cutting.cuts, limit), staged)
                return ExchangeCells(sealed, rebalanced_partition, frame._meta, layout.divisions, self._name)
            case _:
                assert_never(way)


class _Tasks:
    """The tasks of input partitions, out of dask's sight."""

    def __init__(self, tasks: Sequence[Task], token: str) -> None:
        self.parts = [PartitionTask(task) for task in tasks]
        self.token = token

    def __dask_tokenize__(self) -> tuple[str, str]:
        return "safeframe-tasks", self.token


class _Slicing:
    """The input partitions that are read in slices, out of dask's sight."""

    def __init__(self, frame: Any, numbers: Sequence[int], token: str) -> None:
        sliced = sliced_frame(frame) if numbers else ""
        self.parts: dict[int, SlicedPart | None] = {}
        if isinstance(sliced, SlicedFrame):
            self.parts = {number: sliced.part(number) for number in numbers}
        self.token = token

    def __dask_tokenize__(self) -> tuple[str, str]:
        return "safeframe-slices", self.token


@dataclass(frozen=True, slots=True, eq=False)
class _Cutting:
    """Which rows of which input partitions each output partition has."""

    bounds: npt.NDArray[np.int64]
    cuts: npt.NDArray[np.int64]

    def pieces(self, index: int) -> list[PartitionSlice]:
        """Return the pieces of one output partition, in order."""
        found = pieces_of(self.bounds, int(self.cuts[index]), int(self.cuts[index + 1]))
        return [
            PartitionSlice(number, int(self.bounds[number + 1] - self.bounds[number]), low, high)
            for number, low, high in found
        ]

    def slices(self) -> Iterator[tuple[int, PartitionSlice]]:
        """Return the pieces that are not whole partitions, with the output partition of each."""
        for index in range(len(self.cuts) - 1):
            yield from ((index, piece) for piece in self.pieces(index) if not piece.whole)


class GatheredPieces(GivenOutput, Step):
    """Output partitions that each make the input that they take slices of."""

    _words = "rebalance-output"
    _parameters = ["tasks", "pieces", "meta", "given_divisions", "limit"]

    def _task(self, name: Any, index: int) -> Any:
        pieces = self.pieces.pieces(index)
        parts = [self.tasks.parts[piece.number] for piece in pieces]
        return Task(name, gather_pieces, Pieces(pieces, parts), self._meta, self.limit)


class Slices(Step):
    """Slices of input partitions that several output partitions have rows of."""

    _words = "rebalance-slice"
    _parameters = ["frame", "pieces"]

    @property
    def _meta(self) -> Any:
        return self.frame._meta

    @functools.cached_property
    def _all(self) -> list[tuple[int, PartitionSlice]]:
        return list(self.pieces.slices())

    def _divisions(self) -> Any:
        return (None,) * (len(self._all) + 1)

    def _layer(self) -> dict[Any, Any]:
        graph = {}
        for number, (_, piece) in enumerate(self._all):
            key = (self._name, number)
            graph[key] = Task(key, take_slice, TaskRef((self.frame._name, piece.number)), piece)
        return graph

    @functools.cached_property
    def keys(self) -> dict[tuple[int, int], tuple[str, int]]:
        """The key of each slice, by output and input partition."""
        return {(index, piece.number): (self._name, i) for i, (index, piece) in enumerate(self._all)}


class JoinedPieces(Step):
    """Output partitions of whole input partitions and of slices of them."""

    _words = "rebalance-output"
    _parameters = ["frame", "slices", "pieces", "given_divisions", "limit"]

    @property
    def _meta(self) -> Any:
        return self.frame._meta

    def _divisions(self) -> Any:
        return self.given_divisions

    def _task(self, name: Any, index: int) -> Any:
        pieces = self.pieces.pieces(index)
        refs = [
            TaskRef(
                (self.frame._name, piece.number) if piece.whole else self.slices.keys[index, piece.number]
            )
            for piece in pieces
        ]
        return Task(name, join_pieces, List(*refs), pieces, self._meta, self.limit)


class StagedRows(Step):
    """Write each input partition to files, by output partition: whole, or slice by slice."""

    _words = "rebalance-stage"
    _parameters = ["frame", "tasks", "sliced", "by_columns", "cutting", "spec", "directory"]
    _meta = pd.Series([], dtype=object)

    @functools.cached_property
    def _work(self) -> list[tuple[Any, ...]]:
        """Function and arguments of each task, except the directory."""
        work: list[tuple[Any, ...]] = []
        bounds, cuts = self.cutting.bounds, self.cutting.cuts
        for number in range(len(bounds) - 1):
            first, rows = int(bounds[number]), int(bounds[number + 1] - bounds[number])
            piece, router = PartitionSlice(number, rows, 0, rows), RowCuts.of(cuts, first, rows)
            sliced = self.sliced.parts.get(number)
            if sliced is not None:
                work.append((stage_slices, sliced, piece, self.spec, router, self.by_columns))
                continue
            part = TaskRef((self.frame._name, number)) if self.tasks is None else self.tasks.parts[number]
            work.append((stage_rows, part, piece, self.spec, router))
        return work

    def _divisions(self) -> Any:
        return (None,) * (len(self._work) + 1)

    def _layer(self) -> dict[Any, Any]:
        return {
            (self._name, number): Task((self._name, number), *work, self.directory)
            for number, work in enumerate(self._work)
        }
