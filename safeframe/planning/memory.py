"""The memory formulas: what one task of each kind holds at its peak.

Each is a sum of named terms of integers, so that a plan can print it and a
test can tell the terms apart.
"""

from __future__ import annotations

from safeframe import options
from safeframe.facts.budget import Budget
from safeframe.units import format_count, format_nbytes


def stage_peak_nbytes(*, partition_rows: int, partition_nbytes: int) -> int:
    """Return the peak of staging one input partition.

    The partition as it is read, as pandas, and in shard order, with codes and
    order per row.

    Examples
    --------
    >>> stage_peak_nbytes(partition_rows=1000, partition_nbytes=24_000)
    112000
    """
    return int(options.STAGE_COPIES * partition_nbytes) + options.ROW_INDEX_NBYTES * partition_rows


def group_peak_nbytes(*, partition_nbytes: int, held_nbytes: int) -> int:
    """Return the peak of staging partitions that are made one after the other.

    One partition as it is read and as pandas; those that wait to be written.

    Examples
    --------
    >>> group_peak_nbytes(partition_nbytes=24_000, held_nbytes=100_000)
    172000
    """
    return int(options.STAGE_COPIES * partition_nbytes) + held_nbytes


def sliced_peak_nbytes(*, slice_rows: int, slice_nbytes: int) -> int:
    """Return the peak of staging one slice of a partition, besides the partition and what waits to be written.

    The slice as it is read, as pandas, and as it is staged, with codes and order per row.

    Examples
    --------
    >>> sliced_peak_nbytes(slice_rows=1000, slice_nbytes=24_000)
    112000
    """
    return int(options.STAGE_COPIES * slice_nbytes) + options.ROW_INDEX_NBYTES * slice_rows


def key_count_peak_nbytes(*, slice_rows: int, slice_nbytes: int, summary_nbytes: int) -> int:
    """Return the peak of counting keys, and of joining what was counted.

    The key columns of a slice, with codes, hashes and places of its rows; the summaries that are joined at
    once, in all their copies.

    Examples
    --------
    >>> key_count_peak_nbytes(slice_rows=1000, slice_nbytes=24_000, summary_nbytes=100_000)
    960000
    """
    read = int(options.KEY_SLICE_COPIES * slice_nbytes) + options.KEY_ROW_NBYTES * slice_rows
    return read + int(options.KEY_SUMMARY_COPIES * summary_nbytes)


def sorted_shard_peak_nbytes(*, rows: int, nbytes: int, output_nbytes: int | None = None) -> int:
    """Return the peak of ordering a shard and of consuming it.

    Its rows as they were staged and as pandas, with codes and order per row;
    the result in all its copies: all of it, or what is made at once.

    Examples
    --------
    >>> sorted_shard_peak_nbytes(rows=1000, nbytes=80_000)
    440000
    >>> sorted_shard_peak_nbytes(rows=1000, nbytes=80_000, output_nbytes=20_000)
    260000
    """
    made = nbytes if output_nbytes is None else output_nbytes
    return int(options.FETCH_COPIES * nbytes + options.OUTPUT_COPIES * made) + options.ROW_INDEX_NBYTES * rows


def cell_peak_nbytes(*, input_rows: int, input_nbytes: int, output_rows: int, output_nbytes: int) -> int:
    """Return the peak of making one output partition from staged rows, and of consuming it.

    The rows of both sides, read and in key order, with ids and order per row;
    positions per result row; the result in all its copies.

    Examples
    --------
    >>> cell_peak_nbytes(input_rows=100, input_nbytes=2400, output_rows=1000, output_nbytes=32_000)
    128800
    """
    return (
        int(options.FETCH_COPIES * input_nbytes)
        + options.ROW_INDEX_NBYTES * input_rows
        + options.POSITION_NBYTES * output_rows
        + int(options.OUTPUT_COPIES * output_nbytes)
    )


def cell_reason(
    *, input_rows: int, input_nbytes: int, output_rows: int, output_nbytes: int, copies: float
) -> str:
    """Return the terms of :func:`cell_peak_nbytes` in words, of input in so many copies."""
    return (
        f"input of {format_nbytes(input_nbytes)} × {copies:g}, result of {format_nbytes(output_nbytes)} × "
        f"{options.OUTPUT_COPIES:g}, {options.ROW_INDEX_NBYTES} B for each of {format_count(input_rows)} input rows and "
        f"{options.POSITION_NBYTES} B for each of {format_count(output_rows)} result rows"
    )


def p2p_cell_peak_nbytes(*, input_rows: int, input_nbytes: int, output_rows: int, output_nbytes: int) -> int:
    """Return the peak of making one output partition from the rows that P2P brought, and of consuming it.

    As :func:`cell_peak_nbytes`, with a shard's rows in the copies that P2P makes of them.

    Examples
    --------
    >>> p2p_cell_peak_nbytes(input_rows=100, input_nbytes=2400, output_rows=1000, output_nbytes=32_000)
    133600
    """
    more = options.P2P_RECEIVE_COPIES - options.FETCH_COPIES
    return int(more * input_nbytes) + cell_peak_nbytes(
        input_rows=input_rows, input_nbytes=input_nbytes, output_rows=output_rows, output_nbytes=output_nbytes
    )


def joined_file_peak_nbytes(*, input_rows: int, input_nbytes: int, group_rows: int) -> int:
    """Return the peak of writing a shard's join without its rows.

    The rows of both sides, read, in key order and as they are written, with ids
    and order per row; the pages of one row group.

    Examples
    --------
    >>> joined_file_peak_nbytes(input_rows=100, input_nbytes=2400, group_rows=1000)
    34400
    """
    return (
        int(options.JOINED_COPIES * input_nbytes)
        + options.ROW_INDEX_NBYTES * input_rows
        + options.JOINED_ROW_NBYTES * group_rows
    )


def collected_peak_nbytes(*, rows: int, nbytes: int) -> int:
    """Return the peak of joining all partitions of a side into one frame, and of sending it to other workers.

    Its partitions and the frame, its keys' codes per row.

    Examples
    --------
    >>> collected_peak_nbytes(rows=1000, nbytes=16_000)
    88000
    """
    return int(options.COLLECT_COPIES * nbytes) + options.ROW_INDEX_NBYTES * rows


def broadcast_cell_peak_nbytes(
    *,
    partition_rows: int,
    partition_nbytes: int,
    build_rows: int,
    build_nbytes: int,
    output_rows: int,
    output_nbytes: int,
) -> int:
    """Return the peak of joining one partition with a side that every worker holds whole.

    The build side is held once by the worker and touched once more in key order.
    """
    return build_nbytes + cell_peak_nbytes(
        input_rows=partition_rows + build_rows,
        input_nbytes=partition_nbytes + build_nbytes,
        output_rows=output_rows,
        output_nbytes=output_nbytes,
    )


def sliced_cell_peak_nbytes(
    *,
    pages_nbytes: int,
    slice_rows: int,
    slice_nbytes: int,
    piece_nbytes: int,
    build_rows: int,
    build_nbytes: int,
    output_rows: int,
    output_nbytes: int,
) -> int:
    """Return the peak of joining slices of a partition with a side that every worker holds whole, and of writing them.

    Pages of what is read; a slice as it is read and as pandas; the build side, and as it is joined with a piece of
    the slice; the result of that, and as much of the results before it as a slice has, in all copies of what is written.

    Examples
    --------
    >>> sliced_cell_peak_nbytes(
    ...     pages_nbytes=100_000,
    ...     slice_rows=1000,
    ...     slice_nbytes=24_000,
    ...     piece_nbytes=24_000,
    ...     build_rows=10,
    ...     build_nbytes=160,
    ...     output_rows=1000,
    ...     output_nbytes=32_000,
    ... )
    412880
    """
    read = pages_nbytes + int(options.STAGE_COPIES * slice_nbytes)
    joined = build_nbytes + int(options.FETCH_COPIES * (piece_nbytes + build_nbytes)) + output_nbytes
    written = int(options.OUTPUT_COPIES * max(slice_nbytes, output_nbytes))
    per_row = options.ROW_INDEX_NBYTES * (slice_rows + build_rows) + options.POSITION_NBYTES * output_rows
    return read + joined + written + per_row


def table_slice_peak_nbytes(*, places: int, row_nbytes: int, input_row_nbytes: float) -> int:
    """Return the peak of writing a slice of a table of as many rows as it has places.

    Its rows as they were staged and as pandas, with a place for each; as the table has them, in their order and at their
    places.

    Examples
    --------
    >>> table_slice_peak_nbytes(places=1000, row_nbytes=16, input_row_nbytes=24)
    120000
    """
    return int(places * (options.FETCH_COPIES * input_row_nbytes + options.ROW_INDEX_NBYTES + 2 * row_nbytes))


def table_cell_peak_nbytes(*, partition_nbytes: int, table_nbytes: int, output_nbytes: int) -> int:
    """Return the peak of joining a partition with a table that is mapped, and of consuming the result.

    The table; the partition as it is read and as pandas, or the result in all its
    copies. The table is let go of before the result is consumed, but the pages
    that the task before needed for that are kept.

    Examples
    --------
    >>> table_cell_peak_nbytes(partition_nbytes=100, table_nbytes=1000, output_nbytes=150)
    1450
    """
    copies = max(options.FETCH_COPIES * partition_nbytes, options.OUTPUT_COPIES * output_nbytes)
    return table_nbytes + int(copies)


def sorted_cell_peak_nbytes(
    *, held_nbytes: int, input_rows: int, input_nbytes: int, output_rows: int, output_nbytes: int
) -> int:
    """Return the peak of joining the slices of sorted partitions that a cell touches.

    The touched partitions stay whole while the cell runs, besides their slices.
    """
    return held_nbytes + cell_peak_nbytes(
        input_rows=input_rows, input_nbytes=input_nbytes, output_rows=output_rows, output_nbytes=output_nbytes
    )


def default_partition_nbytes(task_nbytes: int, row_nbytes: float) -> int:
    """Choose the target for an output partition from a task's budget.

    As much as can be made :data:`~safeframe.options.PARTITION_WIDENING` times as wide by a step of the user's,
    and then be staged by any recipe: the partition in its copies, those that
    wait with it in theirs, and codes and order per row.

    Parameters
    ----------
    task_nbytes
        What one task may use.
    row_nbytes
        Bytes of a row of the partition, as it is made.

    Examples
    --------
    >>> default_partition_nbytes(340 * 2**20, 32.0) // 2**20
    23
    """
    copies = options.PARTITION_WIDENING * (options.STAGE_COPIES + options.WAITING_COLUMN_COPIES)
    per_row = (options.ROW_INDEX_NBYTES + options.STAGED_ROW_NBYTES) / max(row_nbytes, 1.0)
    return _within_sense(task_nbytes / (copies + per_row))


def largest_partition_nbytes(task_nbytes: int) -> int:
    """Return the most that a partition may have by default, where there is a reason for more than the usual.

    A sixth of a task's budget: its copies, its positions and its shard's rows then
    fill most of that and never all of it.
    """
    return _within_sense(task_nbytes / 6)


def _within_sense(nbytes: float) -> int:
    return min(max(int(nbytes), options.MIN_PARTITION_NBYTES), options.MAX_PARTITION_NBYTES)


def least_partitions(
    total_nbytes: float, inputs: int, budget: Budget, *, small_are_joined: bool = False
) -> int:
    """Choose how many partitions a result has at the least, where the user does not say.

    As many as its input, unless their mean would be below
    :data:`~safeframe.options.KEPT_PARTITION_NBYTES`; and one for each thread of the workers, where
    the input has as many or there is enough to cut.

    Parameters
    ----------
    total_nbytes
        Bytes of the result.
    inputs
        Partitions of the input, of two the larger number.
    budget
        The workers.
    small_are_joined
        Whether small partitions are there to be joined into such as a task takes, rather
        than into those that are just large enough.

    Examples
    --------
    >>> from safeframe.facts.budget import Budget
    >>> budget = Budget(
    ...     n_workers=4,
    ...     threads_per_worker=1,
    ...     allowed_nbytes=1000,
    ...     reserved_nbytes=300,
    ...     transport_nbytes=0,
    ...     headroom_fraction=0.8,
    ...     measured=True,
    ... )
    >>> [least_partitions(mib * 2**20, 100, budget) for mib in (1, 100, 1000)]
    [4, 25, 100]
    """
    threads = budget.n_workers * budget.threads_per_worker
    kept = min(inputs, int(total_nbytes // options.KEPT_PARTITION_NBYTES))
    if small_are_joined and kept < inputs:
        kept = 1
    busy = min(threads, max(inputs, int(total_nbytes // options.MIN_PARTITION_NBYTES)))
    return max(1, kept, busy)


def default_shard_nbytes(task_nbytes: int) -> int:
    """Choose how many bytes of both sides a shard may hold: a twelfth of a task's budget."""
    return max(task_nbytes // 12, options.MIN_PARTITION_NBYTES)


def chunk_stage_peak_nbytes(*, chunk_nbytes: int, joined_nbytes: int, piece_nbytes: int) -> int:
    """Return the peak of making a chunk of an array, or several to be staged as one, and writing its pieces.

    Examples
    --------
    >>> from safeframe.options import CHUNK_BUFFER_NBYTES
    >>> chunk_stage_peak_nbytes(chunk_nbytes=100, joined_nbytes=300, piece_nbytes=7) - CHUNK_BUFFER_NBYTES
    507
    """
    made = int(options.CHUNK_COPIES * chunk_nbytes)
    return made + joined_nbytes + piece_nbytes + options.CHUNK_BUFFER_NBYTES


def chunk_pass_peak_nbytes(*, chunk_nbytes: int, pieces_nbytes: int) -> int:
    """Return the peak of joining a chunk from pieces and writing it in others."""
    return chunk_nbytes + pieces_nbytes + options.CHUNK_BUFFER_NBYTES


def chunk_output_peak_nbytes(*, chunk_nbytes: int, piece_nbytes: int) -> int:
    """Return the peak of joining a chunk from pieces, and of consuming it.

    Examples
    --------
    >>> chunk_output_peak_nbytes(chunk_nbytes=100, piece_nbytes=7)
    207
    """
    return int(options.CHUNK_COPIES * chunk_nbytes) + piece_nbytes


def bag_stage_peak_nbytes(
    *, partition_nbytes: int, block_nbytes: int, block_items: int, held_nbytes: int
) -> int:
    """Return the peak of staging a partition of a bag, block by block.

    The partition as it is made; a block's items in their order and its keys,
    with numbers and an order per item; blocks that wait to be written.

    Examples
    --------
    >>> from safeframe.options import BAG_ROW_NBYTES
    >>> peak = bag_stage_peak_nbytes(partition_nbytes=1000, block_nbytes=100, block_items=7, held_nbytes=30)
    >>> peak - 7 * BAG_ROW_NBYTES
    1230
    """
    return partition_nbytes + 2 * block_nbytes + options.BAG_ROW_NBYTES * block_items + held_nbytes


def bag_partition_peak_nbytes(*, partition_nbytes: int) -> int:
    """Return the peak of making a partition of groups, and of consuming it."""
    return int(options.BAG_COPIES * partition_nbytes)
