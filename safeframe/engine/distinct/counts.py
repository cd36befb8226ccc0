"""Counting distinct values, as dask expressions and what their tasks do.

::

    SafeCount    CountTotal(Seal(CountedKeys(stage(column))), JoinedKeys(column), …)    one for each column
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

import numpy as np
import pandas as pd
from dask.task_spec import List, Task, TaskRef

from safeframe._dask.steps import Step
from safeframe._dask.trees import lowered
from safeframe.engine.distinct.keys import DistinctSpec, NumberedKeys
from safeframe.engine.distinct.nodes import JoinedKeys, OfShards
from safeframe.engine.distinct.tasks import FoundInMemory
from safeframe.engine.exchange.fetch import Sealed, fetch
from safeframe.engine.exchange.nodes import Seal, stage
from safeframe.engine.exchange.runs import run_of_task, start_run
from safeframe.engine.planned.nodes import GivenOutput, Planned
from safeframe.engine.task import use_worker
from safeframe.facts.distinct import CountRun, DistinctRun, KeyTree, KnownKeys, StagedKeys, WholeKeys
from safeframe.facts.plan import Plan
from safeframe.kernels.columns.frame import FrameSpec
from safeframe.kernels.columns.values import as_series
from safeframe.kernels.distinct import kept_rows
from safeframe.kernels.routing.hashes import HashRouter


class SafeCount(Planned):
    """The number of distinct values of each column of a frame, or of its only one, by a plan."""

    _words = "distinct"
    _parameters = ["frame", "plan", "specs", "dropna", "meta"]

    @property
    def _meta(self) -> Any:
        return self.operand("meta")

    def _divisions(self) -> Any:
        return (None, None)

    def _concrete(self) -> Any:
        plan: Plan = self.plan
        assert isinstance(plan.run, CountRun), "counts are planned"
        counts: list[Any] = []
        for number, (column, spec) in enumerate(zip(plan.run.columns, self.specs, strict=True)):
            counts.append(self._count(number, column, spec))
        parts = [part for part in counts if not isinstance(part, int)]
        known = [part if isinstance(part, int) else None for part in counts]
        names = [spec.on[0] for spec in self.specs]
        return CountTotal(known, names, self._meta, (None, None), *parts)

    def _count(self, number: int, column: DistinctRun, spec: DistinctSpec) -> Any:
        source = lowered(self.frame[list(spec.on)].simplify())
        dropna = bool(self.dropna)
        match column.way:
            case KnownKeys():
                return int(column.distinct)
            case WholeKeys():
                return WholeCounts(source.fuse(), spec, dropna)
            case KeyTree():
                return CountOfFew(JoinedKeys(source, spec, column.way), spec, dropna)
            case StagedKeys() as way:
                run = f"{self._name}-{number}"
                directory = start_run(way.directory, run)
                columns = FrameSpec(meta=source._meta, with_index=False)
                router = HashRouter(spec.on, spec.schema, way.n_shards)
                numbered = NumberedKeys(spec, reduced=way.reduced)
                staged = stage(source, columns, router, directory, way.group, numbered)
                counted = CountedKeys(staged, columns.dtypes, spec, way, dropna, run)
                return Seal(run, total_count, (), counted)
            case _:
                assert_never(column.way)


class CountedKeys(OfShards):
    """Count the keys of shards."""

    _words = "distinct-count"
    _parameters = ["staged", "dtypes", "spec", "way", "dropna", "run"]

    def _task_of(self, key: Any, sealed: TaskRef, shards: range) -> Task:
        return Task(key, count_shards, sealed, shards, self.spec, self.dropna)


class CountOfFew(Step):
    """Count keys that are in one task."""

    _words = "distinct-count"
    _parameters = ["joined", "spec", "dropna"]
    _meta = pd.Series([], dtype=object)

    def _divisions(self) -> Any:
        return (None, None)

    def _layer(self) -> dict[Any, Any]:
        key = (self._name, 0)
        return {key: Task(key, count_few, TaskRef((self.joined._name, 0)), self.dropna)}


class WholeCounts(Step):
    """Count the keys of partitions that share none."""

    _words = "distinct-count"
    _parameters = ["frame", "spec", "dropna"]
    _meta = pd.Series([], dtype=object)

    def _divisions(self) -> Any:
        return (None, None)

    def _layer(self) -> dict[Any, Any]:
        name = f"distinct-part-{self.deterministic_token}"
        parts = [(name, number) for number in range(self.frame.npartitions)]
        graph: dict[Any, Any] = {
            key: Task(key, count_part, TaskRef((self.frame._name, key[1])), self.spec, self.dropna)
            for key in parts
        }
        last = (self._name, 0)
        graph[last] = Task(last, total_count, List(*(TaskRef(key) for key in parts)))
        return graph


class CountTotal(GivenOutput, Step):
    """The numbers of all columns: those that were known, and those that were counted, one expression a column."""

    _words = "distinct-output"
    _parameters = ["known", "names", "meta", "given_divisions"]

    def _task(self, name: Any, index: int) -> Any:
        counted = List(*(TaskRef((part._name, 0)) for part in self.operands[4:]))
        return Task(
            name, counts_of_columns, counted, self.known, self.names, not isinstance(self._meta, pd.Series)
        )


def _count(keys: Sequence[pd.Series[Any]], spec: DistinctSpec, dropna: bool) -> int:
    kept = kept_rows(keys, spec.schema, "first")
    found = int(np.count_nonzero(kept))
    return found - int(np.count_nonzero(keys[0].isna().to_numpy() & kept)) if dropna else found


def count_shards(sealed: Sealed, shards: range, spec: DistinctSpec, dropna: bool) -> int:
    """Count the keys of some shards, one after the other."""
    use_worker(sealed.directory)
    with run_of_task(sealed.directory):
        return sum(
            _count([as_series(column) for column in fetch(sealed, shard)], spec, dropna)
            for shard in shards
            if sealed.shard_rows(shard)
        )


def count_few(found: FoundInMemory, dropna: bool) -> int:
    """Count keys that are in one task."""
    return len(found.numbers) - (found.nulls if dropna else 0)


def count_part(frame: pd.DataFrame, spec: DistinctSpec, dropna: bool) -> int:
    """Count the keys of a partition."""
    use_worker()
    return _count(spec.columns(frame), spec, dropna)


def total_count(counts: Sequence[int]) -> int:
    """Add up the keys of parts that share none."""
    return sum(counts)


def counts_of_columns(
    counted: Sequence[int], known: Sequence[int | None], names: Sequence[Any], single: bool
) -> Any:
    """Return the numbers as pandas does: of a series a number, of a frame a series."""
    waiting = iter(counted)
    numbers = [next(waiting) if number is None else number for number in known]
    return numbers[0] if single else pd.Series(numbers, index=pd.Index(list(names)), dtype=np.int64)
