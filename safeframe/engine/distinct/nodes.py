"""Distinct keys as dask expressions.

:class:`SafeDistinct` is abstract: dask pushes projections through it, and it becomes one of these when the graph is
made::

    WholeKeys     WholeCells(frame)
    KeyTree       FilteredCells(frame, JoinedKeys(frame))
    StagedKeys    FilteredCells(frame, Seal(FoundRows(stage(keys))))         where partitions are read again
                  ExchangeCells(Seal(FoundRows(parked(frame)), parked(frame)))    where they are not
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, assert_never

import numpy as np
import pandas as pd
from dask.task_spec import List, Task, TaskRef

from safeframe import options
from safeframe._dask.expressions import Blockwise, FromPandas, strip_unknown_categories
from safeframe._dask.steps import Step, fused_step
from safeframe._dask.trees import lowered, own_tasks
from safeframe.engine.distinct.keys import DistinctSpec, NumberedKeys
from safeframe.engine.distinct.parked import parked, parked_cell, seal_parked
from safeframe.engine.distinct.tasks import (
    InputPart,
    distinct_cell,
    few_keys,
    few_keys_of,
    find_rows,
    found_in_few,
    join_keys,
    seal_found,
    seal_keys,
    whole_cell,
)
from safeframe.engine.exchange.nodes import ExchangeCells, Seal, in_memory, part_of, parts_in_tasks, stage
from safeframe.engine.exchange.runs import start_run
from safeframe.engine.names import seal_key, step_name
from safeframe.engine.planned.nodes import GivenOutput, PlannedFrame
from safeframe.engine.planned.sources import source_files_of
from safeframe.facts.distinct import DistinctRun, KeyTree, KnownKeys, OutputSlices, StagedKeys, WholeKeys
from safeframe.facts.plan import Plan
from safeframe.kernels.changed_data import data_changed
from safeframe.kernels.columns.frame import FrameSpec
from safeframe.kernels.routing.hashes import HashRouter
from safeframe.sizing.partitions.tasks import PartitionTask, PartitionTasks


class SafeDistinct(PlannedFrame):
    """Rows whose key was not met before, or a mark for each row, by a plan."""

    _words = "distinct"
    _parameters = ["frame", "plan", "spec"]

    @property
    def _meta(self) -> Any:
        return distinct_meta(self.frame._meta, self.spec)

    @property
    def _keys(self) -> Any:
        return self.spec.on

    def _divisions(self) -> Any:
        divisions = self.frame.divisions
        return (None,) * len(divisions) if self.spec.ignore_index else divisions

    def _concrete(self) -> Any:
        plan: Plan = self.plan
        spec: DistinctSpec = self.spec
        assert isinstance(plan.run, DistinctRun), "distinct keys are planned"
        frame, way = lowered(self.frame), plan.run.way
        if frame.npartitions != plan.output_partitions:
            msg = f"The frame has {frame.npartitions} partitions, and had {plan.output_partitions} when it was planned."
            raise data_changed(msg, planned=plan.output_partitions, found=frame.npartitions)
        output = self._meta, self.divisions
        match way:
            case WholeKeys():
                return fused_step(WholeCells(frame, spec, *output))
            case KeyTree():
                joined = JoinedKeys(key_source(self.frame, spec), spec, way)
                return FilteredCells(frame.fuse(), joined, (joined._name, 0), spec, plan.run.slices, *output)
            case StagedKeys():
                run = self._name
                directory = start_run(way.directory, run)
                router = HashRouter(spec.on, spec.schema, way.n_shards)
                dtypes = spec.staged(self.frame._meta).dtypes
                if way.parked:
                    keys, rows = parked(frame, spec, router, directory, way.group, reduced=way.reduced)
                    found = FoundRows(keys, dtypes, spec, way, directory, run)
                    whole = FrameSpec(meta=frame._meta, with_index=True)
                    sealed = Seal(run, seal_parked, (spec, way.names_kept, whole), found, rows)
                    return ExchangeCells(sealed, parked_cell, *output, run)
                numbered = NumberedKeys(spec, reduced=way.reduced)
                source = key_source(self.frame, spec)
                staged = stage(source, spec.staged(source._meta), router, directory, way.group, numbered)
                found = FoundRows(staged, dtypes, spec, way, directory, run)
                sealed = Seal(run, seal_found, (spec, way.names_kept), found)
                return FilteredCells(frame.fuse(), sealed, seal_key(run), spec, plan.run.slices, *output)
            case KnownKeys():
                msg = "a number of keys says of no row whether it stays"
                raise AssertionError(msg)
            case _:
                assert_never(way)


def distinct_meta(meta: pd.DataFrame, spec: DistinctSpec) -> Any:
    """Return what dask promises of the result of a frame."""
    if spec.wanted == "marks":
        return pd.Series(np.empty(0, np.bool_), index=meta.index[:0])
    return meta.reset_index(drop=True) if spec.ignore_index else meta


def keys_stand_alone(expr: Any, on: Sequence[Any]) -> bool:
    """Whether partitions, and their key columns, are each made by a task that needs no other."""
    return all(own_tasks(one.fuse()) is not None for one in _whole_and_narrow(expr, on))


def partitions_wait(expr: Any, on: Sequence[Any]) -> bool:
    """Whether partitions are made by tasks that need others, so that each has to wait until its rows are known."""
    there = in_memory(expr) or isinstance(lowered(expr.simplify()), FromPandas)
    return not there and not keys_stand_alone(expr, on)


def _whole_and_narrow(expr: Any, on: Sequence[Any]) -> tuple[Any, Any]:
    return lowered(expr.simplify()), lowered(expr[list(on)].simplify())


def key_source(expr: Any, spec: DistinctSpec) -> Any:
    """Return the lowered frame that keys are read from: of their columns alone, where that makes the same partitions."""
    # A frame that has to be computed first is not computed twice, and may be cut differently for other columns.
    whole, narrow = _whole_and_narrow(expr, spec.on)
    return narrow if keys_stand_alone(expr, spec.on) else whole


class OfShards(Step):
    """Tasks of some shards of staged keys each; operands are what was staged, its types, the way and the run.

    A subclass has ``_task_of``, which returns the task of some shards, from the key of the sealed manifest.
    """

    _meta = pd.Series([], dtype=object)

    def _task_of(self, key: Any, sealed: TaskRef, shards: range) -> Task:
        raise NotImplementedError

    def _divisions(self) -> Any:
        way: StagedKeys = self.way
        return (None,) * (-(-way.n_shards // way.shards_at_once) + 1)

    def _layer(self) -> dict[Any, Any]:
        way: StagedKeys = self.way
        sealed = step_name(self.run, "keys")
        parts = List(*(TaskRef(part) for part in self.staged.__dask_keys__()))
        graph: dict[Any, Any] = {sealed: Task(sealed, seal_keys, parts, self.operand("dtypes"), way.n_shards)}
        for number in range(self.npartitions):
            key, first = (self._name, number), number * way.shards_at_once
            shards = range(first, min(first + way.shards_at_once, way.n_shards))
            graph[key] = self._task_of(key, TaskRef(sealed), shards)
        return graph


class FoundRows(OfShards):
    """Find the rows that stay, shard by shard."""

    _words = "distinct-find"
    _parameters = ["staged", "dtypes", "spec", "way", "directory", "run"]

    def _task_of(self, key: Any, sealed: TaskRef, shards: range) -> Task:
        return Task(key, find_rows, sealed, shards, self.spec, self.way, self.directory)


class JoinedKeys(Step):
    """Join the keys of partitions, a few neighbours at a time, until all are in one task."""

    _words = "distinct-join"
    _parameters = ["frame", "spec", "way"]
    _meta = pd.Series([], dtype=object)

    @functools.cached_property
    def _parts(self) -> list[Any] | None:
        return parts_in_tasks(self.frame, self.way.slice_nbytes)

    def dependencies(self) -> list[Any]:
        """Return what has to be there: not the frame, where its tasks are part of this expression's own."""
        return [self.frame] if self._parts is None else []

    def _divisions(self) -> Any:
        return (None, None)

    def _layer(self) -> dict[Any, Any]:
        spec: DistinctSpec = self.spec
        way: KeyTree = self.way
        numbered = NumberedKeys(spec, reduced=True)
        graph: dict[Any, Any] = {}
        level: list[Any] = []
        name = f"distinct-keys-{self.deterministic_token}"
        empty = strip_unknown_categories(spec.staged(self.frame._meta).meta)
        group, n = way.group if self._parts is not None else 1, self.frame.npartitions
        for first in range(0, n, group):
            key = (name, len(level))
            if self._parts is None:
                part = TaskRef((self.frame._name, first))
                of_part = numbered.of_part(first)
                graph[key] = Task(key, few_keys_of, part, of_part, spec, empty, way.slice_nbytes)
            else:
                numbers = range(first, min(first + group, n))
                some = PartitionTasks([numbered.of_part(number)(self._parts[number]) for number in numbers])
                graph[key] = Task(key, few_keys, some, spec, empty, way.slice_nbytes)
            level.append(key)
        depth = 0
        while len(level) > options.DISTINCT_FAN_IN:
            name = f"distinct-join-{depth}-{self.deterministic_token}"
            above: list[Any] = []
            for first in range(0, len(level), options.DISTINCT_FAN_IN):
                key = (name, len(above))
                some = List(*(TaskRef(one) for one in level[first : first + options.DISTINCT_FAN_IN]))
                graph[key] = Task(key, join_keys, some, spec)
                above.append(key)
            level, depth = above, depth + 1
        last = (self._name, 0)
        graph[last] = Task(last, found_in_few, List(*(TaskRef(one) for one in level)), spec)
        return graph


class FilteredCells(GivenOutput, Step):
    """Partitions that stay, without the rows that go."""

    _words = "distinct-output"
    _parameters = ["frame", "found", "found_key", "spec", "slices", "meta", "given_divisions"]

    @functools.cached_property
    def _own_tasks(self) -> list[Any] | None:
        return own_tasks(self.frame)

    def dependencies(self) -> list[Any]:
        """Return what has to be there: not the frame, where its tasks are part of this expression's own."""
        return [self.found] if self._own_tasks is not None else [self.frame, self.found]

    @functools.cached_property
    def _sliced(self) -> list[Any] | None:
        slices: OutputSlices | None = self.slices
        return None if slices is None else parts_in_tasks(self.frame, slices.nbytes)

    @functools.cached_property
    def _files(self) -> list[Any]:
        return source_files_of(self._own_tasks or [])

    def _task(self, name: Any, index: int) -> Any:
        part = part_of(self.frame, self._own_tasks, index)
        # Read for the second time: a partition that another task made is there once.
        files = self._files[index] if isinstance(part, PartitionTask) else None
        if self._sliced is not None and isinstance(part, PartitionTask):
            part = InputPart(part, self._sliced[index], self.slices.nbytes, self.slices.by_columns)
        return Task(name, distinct_cell, part, index, TaskRef(self.found_key), self.spec, files)


class WholeCells(GivenOutput, Step, Blockwise):  # type: ignore[misc]
    """Partitions that have all rows of their keys, without those that go."""

    _words = "distinct-output"
    _parameters = ["frame", "spec", "meta", "given_divisions"]

    def _task(self, name: Any, index: int) -> Any:
        return Task(name, whole_cell, TaskRef((self.frame._name, index)), index, self.spec)
