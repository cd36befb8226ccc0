"""The graph of a rechunking.

::

    UntouchedChunks   the chunks, under the result's keys
    EmptyChunks       empty_chunk
    MergedChunks      merged_chunk, with the tasks of the chunks inside
    StagedChunks      stage_chunk ─► seal ─► (pass_chunk ─► seal)* ─► joined_chunk
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

import numpy as np
from dask.task_spec import Alias, DataNode, List, Task, TaskRef

from safeframe.engine.names import seal_key, step_name
from safeframe.engine.planned.layer import spec_key
from safeframe.engine.rechunk.tasks import (
    ChunkSpec,
    empty_chunk,
    joined_chunk,
    merged_chunk,
    pass_chunk,
    seal_chunks,
    stage_chunk,
)
from safeframe.facts.rechunk import EmptyChunks, MergedChunks, RechunkRun, StagedChunks, UntouchedChunks
from safeframe.kernels.rechunk import touched
from safeframe.sizing.partitions.tasks import PartitionTask, PartitionTasks


class RechunkGraph:
    """Tasks that rechunk an array.

    Parameters
    ----------
    run_name
        The name of its run; the result's is made of it.
    source
        Keys of the array's chunks, in C order.
    own
        The tasks that make them, where these need no other.
    dtype
        The array's.
    run
        The plan's.
    """

    def __init__(
        self,
        run_name: str,
        source: Sequence[Any],
        own: Sequence[PartitionTask] | None,
        dtype: np.dtype[Any],
        run: RechunkRun,
    ) -> None:
        self._name = step_name(run_name, "output")
        self._run = run_name
        self._source = source
        self._own = own
        self._way = run.way
        self._spec = ChunkSpec.of(dtype, run)

    @property
    def name(self) -> str:
        """Name of the result."""
        return self._name

    @property
    def keys(self) -> list[Any]:
        """Keys of the result, in C order."""
        grid = self._spec.grids[-1]
        return [(self._name, *grid.place(number)) for number in range(grid.n_chunks)]

    @property
    def runs(self) -> list[str]:
        """See :class:`safeframe.engine.planned.layer.RecipeGraph`."""
        return [f"{self._run}-{step}" for step in range(len(self._spec.grids) - 1)]

    @property
    def needs_source(self) -> bool:
        """Whether the graph has tasks that depend on those of the array, rather than have them inside."""
        match self._way:
            case UntouchedChunks():
                return True
            case EmptyChunks() | MergedChunks():
                return False
            case StagedChunks():
                return self._own is None
            case _:
                assert_never(self._way)

    def tasks(self, directories: Sequence[str]) -> dict[Any, Any]:
        """See :class:`safeframe.engine.planned.layer.RecipeGraph`."""
        spec, keys = self._spec, self.keys
        match self._way:
            case UntouchedChunks():
                return {key: Alias(key, made) for key, made in zip(keys, self._source, strict=True)}
            case EmptyChunks():
                return {key: Task(key, empty_chunk, spec, number) for number, key in enumerate(keys)}
            case MergedChunks():
                known = spec_key(self._run)
                merged: dict[Any, Any] = {known: DataNode(known, spec)}
                for number, key in enumerate(keys):
                    parts = self._parts(spec.grids[-1], number)
                    merged[key] = Task(key, merged_chunk, parts, TaskRef(known), number)
                return merged
            case StagedChunks():
                return self._staged(directories)
            case _:
                assert_never(self._way)

    def _staged(self, directories: Sequence[str]) -> dict[Any, Any]:
        spec, known = self._spec, spec_key(self._run)
        graph: dict[Any, Any] = {known: DataNode(known, spec)}
        for step, (run, directory) in enumerate(zip(self.runs, directories, strict=True)):
            staged = []
            for number in range(spec.grids[step].n_chunks):
                key = (step_name(run, "stage"), number)
                if step:
                    before = TaskRef(seal_key(self.runs[step - 1]))
                    graph[key] = Task(key, pass_chunk, before, TaskRef(known), step, number, directory)
                else:
                    part = self._parts(spec.grids[0], number)
                    graph[key] = Task(key, stage_chunk, part, TaskRef(known), number, directory)
                staged.append(TaskRef(key))
            seal = seal_key(run)
            graph[seal] = Task(seal, seal_chunks, List(*staged), TaskRef(known), step, directory)
        for number, key in enumerate(self.keys):
            graph[key] = Task(key, joined_chunk, TaskRef(seal_key(self.runs[-1])), TaskRef(known), number)
        return graph

    def _parts(self, grid: Any, number: int) -> PartitionTasks[PartitionTask] | TaskRef:
        """Return what makes the array within a chunk of a grid."""
        if self._own is None:
            return TaskRef(self._source[number])
        region = grid.region(number)
        if any(high <= low for low, high in region):
            return PartitionTasks([])
        own = self._own
        return PartitionTasks([own[i] for i in self._spec.source.numbers(touched(region, self._spec.source))])
