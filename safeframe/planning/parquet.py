"""Sizes of parquet files: bytes and rows of a row group, and of what is made at once to be written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from safeframe import options
from safeframe.facts.step import Step
from safeframe.planning.memory import sorted_shard_peak_nbytes
from safeframe.units import format_count, format_nbytes


def row_group_nbytes(task_nbytes: int) -> int:
    """Choose how many bytes of rows in memory a row group may have: an eighth of a task's budget.

    Examples
    --------
    >>> row_group_nbytes(256 * 2**20) // 2**20
    32
    """
    return min(max(task_nbytes // 8, options.ROW_GROUP_MIN_NBYTES), options.ROW_GROUP_MAX_NBYTES)


def row_group_rows(target_nbytes: int, row_nbytes: float) -> int:
    """Return the rows of a row group of ``target_nbytes``.

    Examples
    --------
    >>> row_group_rows(2**20, 1024.0)
    1024
    """
    return max(1, min(int(target_nbytes / max(row_nbytes, 1.0)), options.ROW_GROUP_MAX_ROWS))


def stretch_nbytes(output_nbytes: int, task_nbytes: int) -> int:
    """Return the most that is made at once of an output partition which goes to a file in stretches.

    A row group, and what rows of one place have more than those from all over the partition.

    Examples
    --------
    >>> [stretch_nbytes(mib * 2**20, 256 * 2**20) // 2**20 for mib in (10, 1000)]
    [10, 40]
    """
    return min(output_nbytes, int(options.STRETCH_MARGIN * row_group_nbytes(task_nbytes)))


def with_written_shards(
    steps: Sequence[Step], *, rows: int, nbytes: int, task_nbytes: int, in_order: bool
) -> tuple[Step, ...]:
    """Return the steps of a sort or shuffle, with what making partitions of shards takes in stretches.

    Parameters
    ----------
    steps
        The steps, the last of which makes partitions.
    rows, nbytes
        Of the largest shard.
    task_nbytes
        What a task may use.
    in_order
        Whether rows are brought to an order, for which all are needed, or are read a stretch at a time.
    """
    *before, step = steps
    made = stretch_nbytes(nbytes, task_nbytes)
    if made == nbytes:
        return tuple(steps)
    if not in_order:
        rows, nbytes = int(rows * made / nbytes), made
    written = replace(
        step,
        task_peak_nbytes=sorted_shard_peak_nbytes(rows=rows, nbytes=nbytes, output_nbytes=made),
        reason=(
            f"{format_nbytes(nbytes)} × {options.FETCH_COPIES:g}, {options.ROW_INDEX_NBYTES} B for each of its "
            f"{format_count(rows)} rows, and {format_nbytes(made)} of it × {options.OUTPUT_COPIES:g}"
        ),
    )
    return (*before, replace(step, written=written))
