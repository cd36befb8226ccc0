"""What a staged exchange of one frame costs, whatever decides the shards."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from safeframe import options
from safeframe.facts.budget import Budget
from safeframe.facts.exchange import ExchangeSize
from safeframe.facts.frame import FrameSource
from safeframe.facts.keys import Counts
from safeframe.facts.layout import StageTasks
from safeframe.facts.plan import Step
from safeframe.planning.levels import exchange_size
from safeframe.planning.memory import group_peak_nbytes, sliced_peak_nbytes, sorted_shard_peak_nbytes
from safeframe.units import format_count, format_nbytes


def group_size(partition_rows: Counts, row_nbytes: float, budget: Budget, *, self_made: bool) -> int:
    """Choose how many partitions one stage task joins: what its budget and a file's sense allow.

    Parameters
    ----------
    partition_rows
        Rows of each input partition.
    row_nbytes
        Bytes of one row.
    budget
        What a worker may use.
    self_made
        Whether each partition is made by its own task alone.
    """
    rows = int(partition_rows.max(initial=0))
    if not self_made or rows == 0:
        return 1
    group = options.GROUP_NBYTES / max(rows * row_nbytes, 1.0)
    # Not so many that workers go idle at the end of the stage.
    busy = len(partition_rows) / (options.GROUP_ROUNDS * budget.n_workers * budget.threads_per_worker)
    return max(1, int(min(group, busy)))


def held_nbytes(
    partition_rows: Counts,
    row_nbytes: float,
    budget: Budget,
    group: int,
    *,
    fixed_width: bool,
    n_shards: int = 1,
) -> int:
    """Return what partitions of one stage task may take while they wait to be written as one part of its file.

    All of the group, or as many as :func:`_enough_nbytes` says, where memory allows that; a task writes
    more parts where it does not. Rows that are narrower staged than in pandas take less.
    """
    rows = int(partition_rows.max(initial=0))
    one = _waiting_nbytes(rows, row_nbytes, fixed_width)
    room = max(budget.task_nbytes, 0) - int(options.STAGE_COPIES * rows * row_nbytes)
    return max(one, min(group * one, room, _enough_nbytes(n_shards)))


def stage_tasks(
    partition_rows: Counts, row_nbytes: float, budget: Budget, source: FrameSource, n_shards: int = 1
) -> StageTasks:
    """Choose how partitions are given to stage tasks, and how much of one is taken at a time.

    Parameters
    ----------
    partition_rows
        Rows of each input partition.
    row_nbytes
        Bytes of one row.
    budget
        What a worker may use.
    source
        What makes the partitions.
    n_shards
        Shards that rows go to.

    Notes
    -----
    A partition that is no larger than a slice is made by its own task, and so are rows of numbers where a task
    has room for all of a partition: reading in slices takes longer.
    """
    tasks = _tasks(partition_rows, row_nbytes, budget, source, n_shards)
    waiting = (tasks.held_nbytes or 0) / max(_waiting_nbytes(1, row_nbytes, source.fixed_width), 1)
    size = exchange_size(
        nbytes=float(partition_rows.sum()) * row_nbytes,
        tasks=math.ceil(len(partition_rows) / tasks.partitions),
        written_nbytes=waiting * row_nbytes,
        n_shards=n_shards,
        n_processes=budget.n_workers,
        task_nbytes=max(budget.task_nbytes, 0),
    )
    if not size.coarse:
        return replace(tasks, size=size)
    slice_nbytes = slice_nbytes_of(max(budget.task_nbytes, 0))
    slice_rows = math.ceil(slice_nbytes / max(row_nbytes, 1.0))
    taken = sliced_peak_nbytes(slice_rows=slice_rows, slice_nbytes=slice_nbytes)
    room = max(budget.task_nbytes, 0) - taken - size.worker_nbytes
    least, most = (
        _waiting_nbytes(math.ceil(nbytes / max(row_nbytes, 1.0)), row_nbytes, source.fixed_width)
        for nbytes in (slice_nbytes, options.GROUP_NBYTES)
    )
    held = max(least, min(most, room))
    return replace(tasks, again_nbytes=slice_nbytes, again_held_nbytes=held, size=size)


def _tasks(
    partition_rows: Counts, row_nbytes: float, budget: Budget, source: FrameSource, n_shards: int
) -> StageTasks:
    rows = int(partition_rows.max(initial=0))
    nbytes = int(rows * row_nbytes)
    task_nbytes = max(budget.task_nbytes, 0)
    group = group_size(partition_rows, row_nbytes, budget, self_made=source.self_made)
    held = held_nbytes(
        partition_rows, row_nbytes, budget, group, fixed_width=source.fixed_width, n_shards=n_shards
    )
    fits = group_peak_nbytes(partition_nbytes=nbytes, held_nbytes=held) <= task_nbytes
    slice_nbytes = slice_nbytes_of(task_nbytes)
    if nbytes <= slice_nbytes or (source.fixed_width and fits):
        return StageTasks(partitions=group, held_nbytes=held)
    by_columns = not source.whole and needs_few_columns(source.reader_nbytes, task_nbytes)
    tasks = math.ceil(len(partition_rows) / group)
    rest = _partition_nbytes(nbytes, source, by_columns=by_columns)
    slice_rows = math.ceil(slice_nbytes / max(row_nbytes, 1.0))
    least = _waiting_nbytes(slice_rows, row_nbytes, source.fixed_width)
    room = task_nbytes - rest - sliced_peak_nbytes(slice_rows=slice_rows, slice_nbytes=slice_nbytes)
    all_of_it = group * _waiting_nbytes(rows, row_nbytes, source.fixed_width)
    return StageTasks(
        partitions=group,
        held_nbytes=max(least, min(all_of_it, room, _enough_nbytes(n_shards))),
        slice_nbytes=slice_nbytes,
        by_columns=by_columns,
        columns_nbytes=waiting_columns_nbytes(source, row_nbytes, tasks, budget) if by_columns else 0,
    )


def stage_step(
    kind: str,
    partition_rows: Counts,
    row_nbytes: float,
    source: FrameSource,
    tasks: StageTasks,
) -> Step:
    """Describe the staging of a frame."""
    rows = int(partition_rows.max(initial=0))
    nbytes = int(rows * row_nbytes)
    held = tasks.held_nbytes or 0
    waiting = (
        f"{format_nbytes(held)} of rows of up to {tasks.partitions} of them that wait to be written (× "
        f"{_waiting_copies(source.fixed_width):g}, and {options.STAGED_ROW_NBYTES} B a row)"
    )
    if tasks.slice_nbytes is None:
        peak = group_peak_nbytes(partition_nbytes=nbytes, held_nbytes=held)
        reason = f"a partition of {format_nbytes(nbytes)} × {options.STAGE_COPIES:g}, and {waiting}"
    else:
        slice_rows = math.ceil(tasks.slice_nbytes / max(row_nbytes, 1.0))
        taken = sliced_peak_nbytes(slice_rows=slice_rows, slice_nbytes=tasks.slice_nbytes)
        rest = _partition_nbytes(nbytes, source, by_columns=tasks.by_columns)
        peak = rest + taken + held
        of_it, why = pages_reason(source, tasks.columns_nbytes, by_columns=tasks.by_columns), ""
        if source.whole:
            of_it = f"a partition of {format_nbytes(nbytes)} × {options.WHOLE_COPIES:g}"
            why = f"; a partition is made whole: {source.whole}"
        reason = (
            f"{of_it}, a slice of {format_nbytes(tasks.slice_nbytes)} × {options.STAGE_COPIES:g}, "
            f"{options.ROW_INDEX_NBYTES} B for each of {format_count(slice_rows)} rows, and {waiting}{why}"
        )
    if tasks.size is not None:
        reason = f"{reason}; {tasks.size}"
    return Step(
        kind=kind,
        tasks=math.ceil(len(partition_rows) / tasks.partitions),
        task_peak_nbytes=peak,
        reason=reason,
        page=None if source.whole or tasks.slice_nbytes is None else source.largest_page,
    )


def again_steps(kind: str, row_nbytes: float, tasks: StageTasks) -> tuple[Step, ...]:
    """Describe the second level of an exchange; nothing where there is one."""
    size = tasks.size
    if size is None or not size.coarse:
        return ()
    slice_nbytes = tasks.again_nbytes
    slice_rows = math.ceil(slice_nbytes / max(row_nbytes, 1.0))
    held = tasks.again_held_nbytes
    taken = sliced_peak_nbytes(slice_rows=slice_rows, slice_nbytes=slice_nbytes)
    step = Step(
        kind=kind,
        tasks=size.coarse,
        task_peak_nbytes=taken + held,
        reason=(
            f"a slice of {format_nbytes(slice_nbytes)} × {options.STAGE_COPIES:g}, {options.ROW_INDEX_NBYTES} B for "
            f"each of {format_count(slice_rows)} rows, and {format_nbytes(held)} of rows that wait to be written"
        ),
    )
    return (with_manifests(step, size),)


def staged_nbytes(*sides: tuple[float, ExchangeSize | None]) -> int:
    """Return the bytes on disk of exchanges of so many bytes: those of two levels are there twice."""
    return int(sum(nbytes * (2 if size is not None and size.coarse else 1) for nbytes, size in sides))


def columns_nbytes(tasks: Iterable[StageTasks]) -> int:
    """Return the bytes on disk of columns that wait for others while files are read, beside what is staged."""
    return sum(one.columns_nbytes for one in tasks)


def waiting_columns_nbytes(source: FrameSource, row_nbytes: float, tasks: int, budget: Budget) -> int:
    """Bound the files in which columns wait for others where a few are read at a time, of the tasks that run at once.

    Each has all columns of a row group, decoded: as many bytes as its footer tells, or its rows as wide as those of the frame.
    """
    nbytes = max(source.group_nbytes, math.ceil(source.group_rows * row_nbytes))
    at_once = min(tasks, budget.n_workers * budget.threads_per_worker)
    return int(options.COLUMN_FILE_MARGIN * nbytes) * at_once


def pages_reason(source: FrameSource, columns_nbytes: int, *, by_columns: bool) -> str:
    """Return what reading files in slices holds besides these, in words."""
    if not by_columns:
        return f"pages and dictionaries of {format_nbytes(source.reader_nbytes)}"
    return (
        f"pages and dictionaries of {format_nbytes(source.few_columns_nbytes)} of a few columns at a time "
        f"({format_nbytes(source.reader_nbytes)} of all; up to {format_nbytes(columns_nbytes)} of them wait on the disk, decoded)"
    )


def with_manifests(step: Step, *sizes: ExchangeSize | None) -> Step:
    """Return a step of tasks that read shards, with the manifests and indexes that their worker has."""
    nbytes = sum(size.worker_nbytes for size in sizes if size is not None)
    if not nbytes:
        return step
    return replace(
        step,
        task_peak_nbytes=step.task_peak_nbytes + nbytes,
        reason=f"{step.reason}, and {format_nbytes(nbytes)} of manifest and indexes",
        written=None if step.written is None else with_manifests(step.written, *sizes),
    )


def needs_few_columns(reader_nbytes: int, task_nbytes: int) -> bool:
    """Whether pages of all columns at once would take too much of a task, and a few columns are read at a time."""
    return reader_nbytes > options.READER_FRACTION * max(task_nbytes, 0)


def slice_nbytes_of(task_nbytes: int) -> int:
    """Choose how many bytes of a partition are taken at a time."""
    return max(
        options.LEAST_SLICE_NBYTES, min(options.SLICE_NBYTES, int(task_nbytes * options.SLICE_FRACTION))
    )


def _partition_nbytes(nbytes: int, source: FrameSource, *, by_columns: bool) -> int:
    """Return what there is besides slices: what their pages take, or a partition that is made whole."""
    if source.whole:
        return int(options.WHOLE_COPIES * nbytes)
    return source.few_columns_nbytes if by_columns else source.reader_nbytes


def _enough_nbytes(n_shards: int) -> int:
    """Return how many bytes of rows wait at most: more would make pieces no cheaper to read."""
    return max(options.WAITING_NBYTES, n_shards * options.WAITING_SHARD_NBYTES)


def _waiting_nbytes(rows: int, row_nbytes: float, fixed_width: bool) -> int:
    return int(_waiting_copies(fixed_width) * rows * row_nbytes) + options.STAGED_ROW_NBYTES * rows


def _waiting_copies(fixed_width: bool) -> float:
    return options.WAITING_ROW_COPIES if fixed_width else options.WAITING_COLUMN_COPIES


def exchange_steps(
    *,
    partition_rows: Counts,
    row_nbytes: float,
    source: FrameSource,
    tasks: StageTasks,
    largest_rows: int,
    output_partitions: int,
    kind: str,
) -> tuple[Step, ...]:
    """Return the steps: staging groups of partitions, and making partitions of shards."""
    cell_nbytes = int(largest_rows * row_nbytes)
    return (
        stage_step(
            "stage groups of partitions" if tasks.partitions > 1 else "stage partitions",
            partition_rows,
            row_nbytes,
            source,
            tasks,
        ),
        *again_steps("stage coarse shards again", row_nbytes, tasks),
        with_manifests(
            Step(
                kind=kind,
                tasks=output_partitions,
                task_peak_nbytes=sorted_shard_peak_nbytes(rows=largest_rows, nbytes=cell_nbytes),
                reason=(
                    f"{format_nbytes(cell_nbytes)} × {options.FETCH_COPIES + options.OUTPUT_COPIES:g}, and "
                    f"{options.ROW_INDEX_NBYTES} B for each of its {format_count(largest_rows)} rows"
                ),
            ),
            tasks.size,
        ),
    )
