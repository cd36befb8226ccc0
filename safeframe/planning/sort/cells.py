"""What it takes to make partitions of staged shards of one frame: whole, or in stretches that go to a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from safeframe import options
from safeframe.facts.step import Step
from safeframe.planning.memory import sorted_shard_peak_nbytes
from safeframe.planning.parquet import stretch_nbytes
from safeframe.units import format_count, format_nbytes


def with_shards(
    steps: Sequence[Step], *, shard_rows: int | None, rows: int, row_nbytes: float, task_nbytes: int
) -> tuple[Step, ...]:
    """Return the steps of a sort or shuffle, the last with what its shards take.

    Parameters
    ----------
    steps
        The steps, the last of which makes partitions.
    shard_rows
        Rows of the largest shard, of which a partition has several, or which is a partition; None where
        rows are read as they are written, in whatever stretches.
    rows
        Rows of the largest partition.
    row_nbytes
        Bytes of a row.
    task_nbytes
        What a task may use.
    """
    *before, step = steps
    nbytes = int(rows * row_nbytes)
    made = stretch_nbytes(nbytes, task_nbytes)
    if shard_rows is not None and shard_rows < rows:
        step = _of_shards(step, shard_rows, row_nbytes, nbytes)
    if made < nbytes:
        held = int(rows * made / nbytes) if shard_rows is None else shard_rows
        step = replace(step, written=_of_shards(step, held, row_nbytes, made))
    return (*before, step)


def _of_shards(step: Step, rows: int, row_nbytes: float, made_nbytes: int) -> Step:
    nbytes = int(rows * row_nbytes)
    return replace(
        step,
        task_peak_nbytes=sorted_shard_peak_nbytes(rows=rows, nbytes=nbytes, output_nbytes=made_nbytes),
        reason=(
            f"a shard of {format_nbytes(nbytes)} × {options.FETCH_COPIES:g}, {options.ROW_INDEX_NBYTES} B for each of "
            f"its {format_count(rows)} rows, and {format_nbytes(made_nbytes)} at once × {options.OUTPUT_COPIES:g}"
        ),
    )
