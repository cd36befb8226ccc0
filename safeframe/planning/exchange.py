"""What a staged exchange of one frame costs, whatever decides the shards."""

from __future__ import annotations

import math

from safeframe import options
from safeframe.facts.budget import Budget
from safeframe.facts.keys import Counts
from safeframe.facts.plan import Step
from safeframe.planning.memory import group_peak_nbytes, sorted_shard_peak_nbytes
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
    partition_rows: Counts, row_nbytes: float, budget: Budget, group: int, *, fixed_width: bool
) -> int:
    """Return what partitions of one stage task may take while they wait to be written as one file.

    All of the group where memory allows that; a task writes more files where it
    does not. Rows that are narrower staged than in pandas take less.
    """
    rows = int(partition_rows.max(initial=0))
    one = int(_waiting_copies(fixed_width) * rows * row_nbytes) + options.STAGED_ROW_NBYTES * rows
    room = max(budget.task_nbytes, 0) - int(options.STAGE_COPIES * rows * row_nbytes)
    return max(one, min(group * one, room))


def _waiting_copies(fixed_width: bool) -> float:
    return options.WAITING_ROW_COPIES if fixed_width else options.GROUP_COPIES


def exchange_steps(
    *,
    partition_rows: Counts,
    row_nbytes: float,
    group: int,
    held: int,
    fixed_width: bool,
    largest_rows: int,
    output_partitions: int,
    kind: str,
) -> tuple[Step, ...]:
    """Return the steps: staging groups of partitions, and making partitions of shards."""
    rows = int(partition_rows.max(initial=0))
    nbytes = int(rows * row_nbytes)
    cell_nbytes = int(largest_rows * row_nbytes)
    return (
        Step(
            kind="stage groups of partitions" if group > 1 else "stage partitions",
            tasks=math.ceil(len(partition_rows) / group),
            task_peak_nbytes=group_peak_nbytes(partition_nbytes=nbytes, held_nbytes=held),
            reason=(
                f"a partition of {format_nbytes(nbytes)} × {options.STAGE_COPIES:g}, and {format_nbytes(held)} of up "
                f"to {group} of them that wait to be written (× {_waiting_copies(fixed_width):g}, and "
                f"{options.STAGED_ROW_NBYTES} B a row)"
            ),
        ),
        Step(
            kind=kind,
            tasks=output_partitions,
            task_peak_nbytes=sorted_shard_peak_nbytes(rows=largest_rows, nbytes=cell_nbytes),
            reason=(
                f"{format_nbytes(cell_nbytes)} × {options.FETCH_COPIES + options.OUTPUT_COPIES:g}, and "
                f"{options.ROW_INDEX_NBYTES} B for each of its {format_count(largest_rows)} rows"
            ),
        ),
    )
