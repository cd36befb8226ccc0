"""Sizes of parquet files: bytes and rows of a row group, and of what is made at once to be written."""

from __future__ import annotations

from safeframe import options


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
