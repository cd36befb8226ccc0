"""Plans a merge's parquet files without its rows: what they take, and how they are divided among tasks.

Covers: the choice between rows and no rows, bytes of files, shards that are as
large as a task may read and files that are as large as a file should be.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from safeframe import options
from safeframe.facts.estimate import added as added_widths
from safeframe.facts.frame import ColumnProfile
from safeframe.facts.layout import ShardLayout
from safeframe.facts.merge import MergeFacts, WritePlan
from safeframe.facts.plan import Step
from safeframe.kernels.order import Positions
from safeframe.kernels.parquet.row_groups import rectangle_shape
from safeframe.planning.exchange import columns_nbytes, staged_nbytes
from safeframe.planning.memory import default_shard_nbytes, joined_file_peak_nbytes
from safeframe.planning.merge.key_loads import KeyLoads, Loads, key_loads, loads_in_order
from safeframe.planning.merge.offer import Widths, bounding_widths
from safeframe.planning.merge.shards import lay_out
from safeframe.planning.merge.staged import side_steps, side_tasks
from safeframe.planning.parquet import row_group_nbytes, row_group_rows
from safeframe.units import format_count, format_nbytes


def plan_wider_write(
    facts: MergeFacts, left: tuple[ColumnProfile, ...], right: tuple[ColumnProfile, ...]
) -> WritePlan | str:
    """Plan the files of a merge whose sides have more columns than its plan was made for.

    Parameters
    ----------
    facts
        What the merge's plan is made of.
    left, right
        The new columns.
    """
    sides = [
        replace(side, profile=replace(side.profile, columns=(*side.profile.columns, *added)))
        for side, added in ((facts.left, left), (facts.right, right))
    ]
    width = facts.estimate.width + added_widths(column.width for column in (*left, *right))
    wider = replace(
        facts,
        left=sides[0],
        right=sides[1],
        estimate=replace(facts.estimate, row_nbytes=width.expected, row_width=width),
    )
    loads = loads_in_order(key_loads(facts.left.keys, facts.right.keys, facts.how), facts.left.keys.schema)
    return plan_write(wider, bounding_widths(wider), loads)


def plan_write(facts: MergeFacts, widths: Widths, loads: KeyLoads) -> WritePlan | str:
    """Plan the files of a merge, or say why their rows have to be made.

    Parameters
    ----------
    facts
        What the merge's plan is made of.
    widths
        Bytes per row.
    loads
        Rows per key.
    """
    if facts.ordered:
        return "rows have to be in key order"
    if facts.how not in ("inner", "left", "right", "outer", "cross"):
        return f"a {facts.how} merge repeats no row"
    rows_in = facts.left.keys.rows + facts.right.keys.rows
    rows_out = facts.estimate.rows.expected
    if rows_out < options.WRITE_FANOUT * rows_in:
        return (
            f"the output has {rows_out / max(rows_in, 1):,.1f} × the input's rows; the compact encoding "
            f"pays from {options.WRITE_FANOUT:g} × on"
        )
    if facts.staging.directory is None:
        return facts.staging.unavailable
    task_nbytes = max(facts.budget.task_nbytes, 0)
    group_rows = row_group_rows(row_group_nbytes(task_nbytes), widths.output)
    figures = _divided(loads, widths, group_rows, default_shard_nbytes(task_nbytes))
    layout, slices, file_nbytes, input_rows, input_nbytes = figures
    peak = joined_file_peak_nbytes(input_rows=input_rows, input_nbytes=input_nbytes, group_rows=group_rows)
    tasks = side_tasks(facts, "left", layout.n_shards), side_tasks(facts, "right", layout.n_shards)
    steps = (
        *side_steps(facts, "left", tasks[0]),
        *side_steps(facts, "right", tasks[1]),
        Step(
            kind="write compact files",
            tasks=layout.n_cells,
            task_peak_nbytes=peak,
            reason=(
                f"input of {format_nbytes(input_nbytes)} × {options.JOINED_COPIES:g}, and "
                f"{options.JOINED_ROW_NBYTES} B for each of a row group's {format_count(group_rows)} rows"
            ),
        ),
    )
    return WritePlan(
        reason=f"{rows_out / max(rows_in, 1):,.1f} rows out for each row of both sides",
        layout=layout,
        right_slices=slices,
        group_rows=group_rows,
        file_nbytes=file_nbytes,
        steps=steps,
        staging_nbytes=staged_nbytes(
            (facts.left.keys.rows * widths.left, tasks[0].size),
            (facts.right.keys.rows * widths.right, tasks[1].size),
        )
        + columns_nbytes(tasks),
        staging_directory=facts.staging.directory,
        staging_free_nbytes=facts.staging.free_nbytes,
        stage_tasks=tasks,
    )


def _divided(
    loads: KeyLoads, widths: Widths, group_rows: int, shard_nbytes: int
) -> tuple[ShardLayout, Positions, int, int, int]:
    """Cut the keys by their bytes in files, and keys that fill a shard by both sides."""
    stored = _stored_nbytes(loads.left, loads.right, loads.weight, widths, group_rows)
    stored = np.where(loads.output > 0, stored, 0.0)
    null_left, null_right = np.array([float(loads.null_left)]), np.array([float(loads.null_right)])
    null_stored = float(_stored_nbytes(null_left, null_right, np.ones(1), widths, group_rows)[0])
    if loads.null_output == 0:
        null_stored = 0.0
    figures = lay_out(
        replace(loads, output=stored, null_output=int(null_stored)),
        left_row_nbytes=widths.left,
        right_row_nbytes=widths.right,
        output_row_nbytes=1.0,
        shard_nbytes=shard_nbytes,
        partition_nbytes=options.JOINED_FILE_NBYTES,
    )
    layout = figures.layout
    single, cells = layout.single_key, layout.cells
    # A file of one key reads a slice of either side, each of half of what a shard may hold.
    lines = np.ceil(2 * figures.left_rows * widths.left / shard_nbytes).astype(np.int64)
    across = np.ceil(2 * figures.right_rows * widths.right / shard_nbytes).astype(np.int64)
    across = np.where(single, np.maximum(across, 1), 1)
    # Rows without a match are divided by their own side.
    across = np.where(single & (figures.left_rows == 0), np.maximum(cells, across), across)
    lines = np.where(single, np.maximum(np.maximum(lines, -(-cells // across)), 1), cells)
    cells = np.where(cells > 0, lines * across, 0)
    rows_left = np.where(single, -(-figures.left_rows // np.maximum(lines, 1)), figures.left_rows)
    rows_right = np.where(single, -(-figures.right_rows // across), figures.right_rows)
    used = cells > 0
    margin = figures.margin
    read = (rows_left * widths.left + rows_right * widths.right)[used].max(initial=0.0) * margin
    return (
        replace(layout, cells=cells),
        across,
        int(stored.sum() + null_stored),
        int((rows_left + rows_right)[used].max(initial=0) * margin),
        int(read),
    )


def _stored_nbytes(left: Loads, right: Loads, weight: Loads, widths: Widths, group_rows: int) -> Loads:
    """Return the bytes that each key takes in files, before compression of its values and after that of its codes."""
    left_of_key, right_of_key = left / weight, right / weight
    high, wide = rectangle_shape(right_of_key.astype(np.int64), group_rows)
    lines, across = np.ceil(left_of_key / high), np.ceil(right_of_key / wide)
    blocks = left * np.maximum(across, 1) * (widths.left + options.JOINED_CODE_NBYTES)
    blocks += right * np.maximum(lines, 1) * (widths.right + options.JOINED_CODE_NBYTES)
    rows = np.maximum(left_of_key, 1) * np.maximum(right_of_key, 1) * weight
    pages = np.where(
        rows >= options.JOINED_PAGE_ROWS * weight, np.maximum(lines, 1) * np.maximum(across, 1) * weight, 0.0
    )
    columns = max(widths.output / 8, 1.0)
    shared = np.where(rows < options.JOINED_PAGE_ROWS * weight, rows * options.JOINED_SHARED_NBYTES, 0.0)
    stored: Loads = blocks + (pages * options.JOINED_PAGE_NBYTES + shared) * columns
    return stored
