"""The staged exchange as dask expressions, for any recipe.

::

    ExchangeCells(Seal(StageGroups(frame), ...))

Covers: grouping input partitions into stage tasks, one sealed manifest, output
partitions made from it by a function of the recipe's.

A partition that is made by nothing but its own task (a file to read, a call of
``from_map``) is made inside the stage task, so that it never waits in a
worker's memory, and several of them make one file: reading a shard costs one
piece per file. Others are fused with the stage task one by one, where dask can.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import pandas as pd
from dask.task_spec import Alias, List, Task, TaskRef
from distributed import Future

from safeframe import options
from safeframe._dask.expressions import Blockwise, FromGraph
from safeframe._dask.steps import Step, fused_step
from safeframe._dask.trees import layer_of, lowered, own_tasks
from safeframe.engine.exchange.adopted import input_mark
from safeframe.engine.exchange.again import seal_coarse, stage_again
from safeframe.engine.exchange.runs import start_run
from safeframe.engine.exchange.stage import stage_files
from safeframe.engine.exchange.staged_file import StagedFile
from safeframe.engine.names import recipe_of, seal_key, step_name
from safeframe.engine.planned.cells import rows_nbytes
from safeframe.engine.planned.nodes import GivenOutput
from safeframe.facts.layout import StageTasks
from safeframe.kernels.columns.coded_text import may_be_coded
from safeframe.kernels.routing.coarse import CoarseRouter
from safeframe.kernels.routing.router import Router, StagedColumns
from safeframe.sizing.parquet.column_sets import ANY_WAY, Reading, planned_reading
from safeframe.sizing.partitions.slices import SlicedPart, sliced_frame
from safeframe.sizing.partitions.tasks import PartitionTask, PartitionTasks


def stage(
    frame: Any,
    columns: StagedColumns,
    router: Router,
    directory: str,
    tasks: StageTasks,
    each: EachPart | None = None,
) -> Any:
    """Return the expression that stages a lowered frame.

    Parameters
    ----------
    frame
        The lowered expression.
    columns, router, directory
        As :func:`safeframe.engine.exchange.stage.stage_group` takes them.
    tasks
        Partitions of one stage task, where partitions stand alone, what of them may wait to be written, and how
        much of one is taken at a time; whether rows go to coarse shards first.
    each
        What becomes of each partition before it is staged; None for the partition itself.
    """
    if tasks.size is not None and tasks.size.coarse:
        coarse = CoarseRouter(router, tasks.size.width)
        return StageAgain(
            _staged(frame, columns, coarse, directory, tasks, each), columns, coarse, directory, tasks
        )
    return _staged(frame, columns, router, directory, tasks, each)


def _staged(
    frame: Any,
    columns: StagedColumns,
    router: Router,
    directory: str,
    tasks: StageTasks,
    each: EachPart | None,
) -> Any:
    groups = StageGroups(frame, columns, router, directory, tasks, each)
    if groups.parts is not None:
        # Also of one partition: a task that is run again has not read it when it finds its file.
        return groups
    return fused_step(StagePartitions(frame, columns, router, directory, tasks, each))


def parts_in_tasks(frame: Any, slice_nbytes: int | None) -> list[SlicedPart] | None:
    """Return partitions that are made inside the tasks that take them: in slices where they are; None where they need other tasks."""
    if slice_nbytes is not None:
        sliced = sliced_frame(frame)
        parts = None if isinstance(sliced, str) else sliced.parts()
        if parts is not None:
            return [*parts]
    tasks = own_tasks(frame.fuse())
    return None if tasks is None else [WholePart(task) for task in tasks]


class StagedWay(Protocol):
    """How rows of one frame pass through files."""

    @property
    def directory(self) -> str:
        """Where they are staged."""

    @property
    def group(self) -> StageTasks:
        """How partitions are given to stage tasks."""


def staged_cells(
    expr: Any,
    columns: StagedColumns,
    router: Router,
    way: StagedWay,
    make: Callable[[Any, int], pd.DataFrame],
    seal: Callable[..., Any],
    *arguments: Any,
) -> Any:
    """Return the output partitions of a recipe whose one frame passes through files.

    Parameters
    ----------
    expr
        The recipe.
    columns, router
        As :func:`safeframe.engine.exchange.stage.stage_group` takes them.
    way
        Where, and how many partitions a task stages.
    make
        Makes an output partition of the manifest and its number.
    seal, arguments
        Joins what is staged into the manifest, and what it takes next to that.
    """
    run = expr._name
    staged = stage(lowered(expr.frame), columns, router, start_run(way.directory, run), way.group)
    return ExchangeCells(Seal(run, seal, arguments, staged), make, expr._meta, expr.divisions, run)


def in_memory(expr: Any) -> bool:
    """Whether all partitions of an expression are in memory already, as those of a frame that was persisted are."""
    if not isinstance(expr, FromGraph):
        return False
    return all(isinstance(made, (Alias, Future, pd.DataFrame)) for made in layer_of(expr).values())


def part_of(frame: Any, own: list[Task] | None, number: int) -> Any:
    """Return a partition to a task: to be made there, where it has a task of its own, or else as it was made."""
    return TaskRef((frame._name, number)) if own is None else PartitionTask(own[number])


class EachPart:
    """What becomes of each partition before it is staged: a function of its number."""

    def of_part(self, number: int) -> Callable[[SlicedPart], SlicedPart]:
        """Return what is made of one partition."""
        raise NotImplementedError


class _Staging(Step):
    """Tasks that stage rows, in the directory of their run."""

    @property
    def _words(self) -> str:
        return f"{recipe_of(self.directory)}-stage"


class StagePartitions(_Staging, Blockwise):  # type: ignore[misc]  # dask's expressions are untyped
    """Write each partition to a file, by shard."""

    _parameters = ["frame", "columns_", "router", "directory", "tasks", "each"]
    _defaults = {"each": None}
    _meta = pd.Series([], dtype=object)

    @staticmethod
    def operation(
        frame: pd.DataFrame,
        columns: StagedColumns,
        router: Router,
        directory: str,
        tasks: StageTasks,
        each: Callable[[SlicedPart], SlicedPart] | None = None,
    ) -> list[StagedFile]:
        """Stage one partition."""
        whole = WholePart(frame)
        part = whole if each is None else each(whole)
        return stage_parts(PartitionTasks([part]), columns, router, directory, tasks)

    def _blockwise_arg(self, arg: Any, i: int) -> Any:
        return arg.of_part(i) if isinstance(arg, EachPart) else super()._blockwise_arg(arg, i)


class PartGroups(Step):
    """Tasks of groups of partitions that stand alone; the operands have the frame, and how many are in a group, as ``tasks``.

    A subclass has ``_task_of``, which returns the task of a group.
    """

    _meta = pd.Series([], dtype=object)

    def _task_of(self, key: Any, parts: PartitionTasks[SlicedPart]) -> Task:
        raise NotImplementedError

    def dependencies(self) -> list[Any]:
        """Nothing: the frame's tasks are part of this expression's own."""
        return []

    @functools.cached_property
    def parts(self) -> list[SlicedPart] | None:
        """The partitions; None where other tasks have a part in making them."""
        return parts_in_tasks(self.frame, self.tasks.slice_nbytes)

    def _divisions(self) -> Any:
        return (None,) * (-(-self.frame.npartitions // self.tasks.partitions) + 1)

    def _layer(self) -> dict[Any, Any]:
        parts, size = self.parts, self.tasks.partitions
        assert parts is not None, "checked when the expression was made"
        keys = [(self._name, number) for number in range(self.npartitions)]
        return {
            key: self._task_of(key, PartitionTasks(parts[number * size : (number + 1) * size]))
            for number, key in enumerate(keys)
        }


class StageGroups(_Staging, PartGroups):
    """Write each group of partitions that stand alone to a file, by shard."""

    _parameters = ["frame", "columns_", "router", "directory", "tasks", "each"]
    _defaults = {"each": None}

    @functools.cached_property
    def parts(self) -> list[SlicedPart] | None:
        """The partitions; None where other tasks have a part in making them."""
        parts = parts_in_tasks(self.frame, self.tasks.slice_nbytes)
        each: EachPart | None = self.each
        if parts is None or each is None:
            return parts
        return [each.of_part(number)(part) for number, part in enumerate(parts)]

    def _task_of(self, key: Any, parts: PartitionTasks[SlicedPart]) -> Task:
        return Task(key, stage_parts, parts, self.columns_, self.router, self.directory, self.tasks)


class WholePart:
    """A partition that is made whole, by its own task or by another one, and cut into slices."""

    __slots__ = ("source",)

    def __init__(self, source: Task | pd.DataFrame) -> None:
        self.source = source

    def slices(self, nbytes: int | None, reading: Reading = ANY_WAY) -> Iterator[pd.DataFrame]:
        """See :class:`safeframe.sizing.partitions.slices.SlicedPart`; slices share the memory of the whole."""
        del reading
        frame = self.source() if isinstance(self.source, Task) else self.source
        if nbytes is None:
            yield frame
            return
        rows = max(1, int(nbytes * len(frame) / max(1, rows_nbytes(frame))))
        if rows >= len(frame):
            yield frame
            return
        for start in range(0, len(frame), rows):
            yield from _narrower(frame.iloc[start : start + rows], nbytes)


def _narrower(frame: pd.DataFrame, nbytes: int) -> Iterator[pd.DataFrame]:
    """Halve rows until they have not many more bytes than are wanted, where they are wider than the mean one."""
    if len(frame) < 2 or rows_nbytes(frame) <= options.BATCH_WIDENING * nbytes:
        yield frame
        return
    half = len(frame) // 2
    yield from _narrower(frame.iloc[:half], nbytes)
    yield from _narrower(frame.iloc[half:], nbytes)


def stage_parts(
    parts: PartitionTasks[SlicedPart],
    columns: StagedColumns,
    router: Router,
    directory: str,
    tasks: StageTasks,
) -> list[StagedFile]:
    """Make partitions one after the other, slice by slice, and stage them."""
    reading = staged_reading(columns, router, directory, by_columns=tasks.by_columns)
    slices = given_once(parts, tasks.slice_nbytes, reading)
    return stage_files(slices, columns, router, directory, tasks.held_nbytes, input_mark(parts))


def staged_reading(columns: StagedColumns, router: Router, directory: str, *, by_columns: bool) -> Reading:
    """Read what is staged as a plan has counted it: text that no router looks at as numbers, where files have it as such."""
    dtypes = zip(columns.names, columns.dtypes[int(columns.with_index) :], strict=True)
    coded = frozenset(name for name, dtype in dtypes if may_be_coded(dtype)).difference(router.on)
    return planned_reading(directory, by_columns=by_columns, as_categories=coded)


def given_once(
    parts: Iterable[SlicedPart], nbytes: int | None, reading: Reading
) -> Iterator[Callable[[], pd.DataFrame]]:
    """Return functions that each give a slice, to be called before the next one is asked for."""
    for part in parts:
        for frame in part.slices(nbytes, reading):
            holder = [frame]
            del frame
            yield holder.pop


class StageAgain(_Staging):
    """Write each coarse shard to a file, by shard."""

    _parameters = ["staged", "columns_", "router", "directory", "tasks"]
    _meta = pd.Series([], dtype=object)

    def _divisions(self) -> Any:
        return (None,) * (self.router.n_shards + 1)

    def _layer(self) -> dict[Any, Any]:
        router, tasks = self.router, self.tasks
        key = step_name(f"{recipe_of(self.directory)}-{self.deterministic_token}", "coarse")
        parts = List(*(TaskRef(part) for part in self.staged.__dask_keys__()))
        graph: dict[Any, Any] = {key: Task(key, seal_coarse, parts, self.columns_.dtypes, router.n_shards)}
        for number in range(router.n_shards):
            name = (self._name, number)
            graph[name] = Task(
                name,
                stage_again,
                TaskRef(key),
                number,
                width=router.width,
                n_shards=router.router.n_shards,
                directory=self.directory,
                slice_nbytes=tasks.again_nbytes,
                held_nbytes=tasks.again_held_nbytes,
            )
        return graph


class Seal(Step):
    """One manifest of all staged files, under a key that the janitor knows.

    The operands after the parameters are what was staged, one expression a side.
    """

    @property
    def _words(self) -> str:
        return f"{recipe_of(self.run)}-sealed"

    _parameters = ["run", "function", "arguments"]
    _meta = pd.Series([], dtype=object)

    def _divisions(self) -> Any:
        return (None, None)

    def _layer(self) -> dict[Any, Any]:
        key = seal_key(self.run)
        sides = [List(*(TaskRef(part) for part in side.__dask_keys__())) for side in self.operands[3:]]
        task = Task(key, self.function, *sides, *self.arguments)
        return {key: task, (self._name, 0): Alias((self._name, 0), key)}


class ExchangeCells(GivenOutput, Step):
    """Output partitions: each made by ``make(manifest, number)``."""

    _parameters = ["sealed", "make", "meta", "given_divisions", "run"]

    @property
    def _words(self) -> str:
        return f"{recipe_of(self.run)}-output"

    def _task(self, name: Any, index: int) -> Any:
        return Task(name, self.make, TaskRef(seal_key(self.run)), index)
