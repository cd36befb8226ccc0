"""Partitions that wait in files until it is known which of their rows stay.

A partition that other tasks make is there once. In memory it would wait, with
all others, for the keys of the whole frame; so the task that stages its keys
writes its rows, too, and the output partition reads them back.

Covers: the expressions, and what their tasks do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from dask.task_spec import Task, TaskRef

from safeframe._dask.expressions import Blockwise
from safeframe._dask.steps import Step, fused_step
from safeframe.engine.distinct.keys import DistinctSpec, NumberedKeys, NumberedPart
from safeframe.engine.distinct.tasks import FoundInFiles, filtered, seal_found
from safeframe.engine.exchange.fetch import Sealed, fetch, seal
from safeframe.engine.exchange.nodes import EachPart, StageAgain, WholePart, stage_parts
from safeframe.engine.exchange.runs import run_of_task
from safeframe.engine.exchange.stage import StagedWriter
from safeframe.engine.exchange.staged_file import StagedFile
from safeframe.engine.names import recipe_of
from safeframe.engine.task import use_worker
from safeframe.facts.layout import StageTasks
from safeframe.kernels.columns.categories import with_promised_categories
from safeframe.kernels.columns.frame import FrameSpec
from safeframe.kernels.routing.coarse import CoarseRouter
from safeframe.kernels.routing.router import Router
from safeframe.sizing.partitions.slices import SlicedPart
from safeframe.sizing.partitions.tasks import PartitionTasks


@dataclass(frozen=True, slots=True, eq=False)
class Parked:
    """What a task wrote of a partition."""

    keys: list[StagedFile]
    """Its keys, by shard."""
    rows: list[StagedFile]
    """All of it."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SealedParked:
    """The rows that stay, or go, and all rows, each partition a shard."""

    found: FoundInFiles
    rows: Sealed
    spec: DistinctSpec
    frame: FrameSpec


def parked(
    frame: Any, spec: DistinctSpec, router: Router, directory: str, tasks: StageTasks, *, reduced: bool
) -> tuple[Any, Any]:
    """Return the expressions of the keys of a lowered frame, as they are staged, and of its rows."""
    keys, numbered = spec.staged(frame._meta), NumberedKeys(spec, reduced=reduced)
    coarse = tasks.size is not None and tasks.size.coarse > 0
    first = CoarseRouter(router, tasks.size.width) if tasks.size is not None and coarse else router
    rows = FrameSpec(meta=frame._meta, with_index=True)
    parts = fused_step(ParkedParts(frame, keys, first, directory, tasks, numbered, rows, frame.npartitions))
    staged = PartOfParked(parts, "keys", directory)
    if coarse:
        staged = StageAgain(staged, keys, first, directory, tasks)
    return staged, PartOfParked(parts, "rows", directory)


class ParkedParts(Step, Blockwise):  # type: ignore[misc]  # dask's expressions are untyped
    """Write the keys of each partition by shard, and its rows."""

    _parameters = ["frame", "columns_", "router", "directory", "tasks", "each", "rows", "n_partitions"]
    _meta = pd.Series([], dtype=object)

    @property
    def _words(self) -> str:
        return f"{recipe_of(self.directory)}-stage"

    @staticmethod
    def operation(
        frame: pd.DataFrame,
        columns: FrameSpec,
        router: Router,
        directory: str,
        tasks: StageTasks,
        numbered: Callable[[SlicedPart], SlicedPart],
        rows: FrameSpec,
        n_partitions: int,
    ) -> Parked:
        """Stage one partition."""
        part = numbered(WholePart(frame))
        assert isinstance(part, NumberedPart), "each partition has a number"
        some: PartitionTasks[SlicedPart] = PartitionTasks([part])
        keys = stage_parts(some, columns, router, directory, tasks)
        return Parked(keys, park(frame, part.number, rows, directory, n_partitions))

    def _blockwise_arg(self, arg: Any, i: int) -> Any:
        return arg.of_part(i) if isinstance(arg, EachPart) else super()._blockwise_arg(arg, i)


class PartOfParked(Step):
    """The files of keys, or of rows, that tasks wrote."""

    _parameters = ["parts", "which", "directory"]
    _meta = pd.Series([], dtype=object)

    @property
    def _words(self) -> str:
        return f"{recipe_of(self.directory)}-{self.which}"

    def _divisions(self) -> Any:
        return (None,) * (self.parts.npartitions + 1)

    def _task(self, name: Any, index: int) -> Any:
        return Task(name, getattr, TaskRef((self.parts._name, index)), self.which)


def park(
    frame: pd.DataFrame, number: int, rows: FrameSpec, directory: str, n_partitions: int
) -> list[StagedFile]:
    """Write a partition to a file of its own."""
    use_worker()
    with run_of_task(directory), StagedWriter(directory, rows.dtypes, n_partitions, None) as writer:
        if len(frame):
            columns = [frame.index.to_series(), *(frame[name] for name in rows.names)]
            writer.add(columns, np.full(len(frame), number))
        return [writer.finished()]


def seal_parked(
    found: Sequence[Sequence[StagedFile]],
    rows: Sequence[Sequence[StagedFile]],
    spec: DistinctSpec,
    names_kept: bool,
    frame: FrameSpec,
) -> SealedParked:
    """Join the manifests of the rows that were found, and of all rows."""
    all_rows = seal([file for files in rows for file in files], frame.dtypes, len(spec.rows))
    return SealedParked(found=seal_found(found, spec, names_kept), rows=all_rows, spec=spec, frame=frame)


def parked_cell(sealed: SealedParked, number: int) -> pd.DataFrame | pd.Series[Any]:
    """Make an output partition of the rows that wait."""
    use_worker(sealed.rows.directory)
    with run_of_task(sealed.rows.directory):
        frame = sealed.frame.frame(fetch(sealed.rows, number))
        if sealed.frame.categorical:
            frame = with_promised_categories(frame, sealed.frame.meta)
        return filtered(frame, number, sealed.found, sealed.spec)
