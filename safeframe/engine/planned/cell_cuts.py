"""Cuts between the output partitions of one key, moved by the bytes that were staged of it.

A key whose rows fill several partitions is planned to give each the same number
of them, which is the same number of bytes where no sample showed otherwise.
Once its rows are staged, the bytes of each piece are known: where partitions
would take more than a task may use, rows go to others of the same key.

Covers: which rows of a shard a partition has, by what was planned and staged.
Does not cover: cuts between keys. They stay where they were planned: what is
known of keys by partition holds for any columns of a result, and bytes do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe import options
from safeframe.engine.planned.cells import CellRows, PartitionLimit
from safeframe.engine.task import warn_user
from safeframe.errors import PartitionSizeWarning
from safeframe.facts.layout import ShardLayout
from safeframe.kernels.cuts import Places, moved_cuts
from safeframe.kernels.merge.virtual import cell_range
from safeframe.units import format_count, format_nbytes

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class CellCuts:
    """Which rows of its shard each output partition has."""

    moved: Mapping[int, Ints]
    """The first row of each partition of a shard, and its number of rows, where these are not equal parts."""

    def rows(self, shard: int, n_rows: int, number: int, cells: int) -> tuple[int, int]:
        """Return rows ``[first, end)`` of one of the ``cells`` partitions of a shard."""
        cuts = self.moved.get(shard)
        if cuts is None:
            return cell_range(n_rows, number, cells)
        return int(cuts[number]), int(cuts[number + 1])

    def part(
        self,
        shard: int,
        n_rows: int,
        number: int,
        cells: int,
        make: Callable[..., pd.DataFrame],
        limit: PartitionLimit,
        *,
        weighed: bool = False,
    ) -> CellRows:
        """Return the rows of one of the ``cells`` partitions of a shard, of which ``make`` makes any rows."""
        first, end = self.rows(shard, n_rows, number, cells)
        return CellRows(
            n_rows=end - first,
            make=lambda lo, hi, *most: make(first + lo, first + hi, *most),
            limit=self.limit(shard, end - first, limit),
            weighed=weighed,
        )

    def limit(self, shard: int, rows: int, limit: PartitionLimit) -> PartitionLimit:
        """Return what a partition of so many rows may not exceed: more of them than planned are short ones."""
        width = limit.row_nbytes
        if shard not in self.moved or width is None or rows * width <= limit.largest_nbytes:
            return limit
        return replace(limit, row_nbytes=limit.largest_nbytes / rows)


EQUAL_PARTS = CellCuts({})
"""Partitions of each shard with the same number of rows."""


def cuts_by_bytes(
    layout: ShardLayout, limit: PartitionLimit, lines_of: Callable[[list[int]], Mapping[int, Places]]
) -> CellCuts:
    """Move cuts within keys that fill several partitions, where one of these takes more than a task may use.

    Parameters
    ----------
    layout
        The shards that rows were staged in.
    limit
        What a partition may not exceed.
    lines_of
        Returns rows and staged bytes of the results of some shards.

    Warns
    -----
    PartitionSizeWarning
        When cuts were moved.
    """
    shards = np.flatnonzero(layout.single_key & (layout.cells > 1)).tolist()
    if limit.possible_nbytes is None or not shards:
        return EQUAL_PARTS  # all rows have the same bytes
    room = limit.task_nbytes / (options.FETCH_COPIES + options.OUTPUT_COPIES)
    moved: dict[int, Ints] = {}
    largest = 0
    for shard, staged in lines_of(shards).items():
        # As where plans cut by bytes, so that short rows do not pile up.
        line = replace(staged, nbytes=staged.nbytes + options.WEIGHED_ROW_NBYTES * staged.rows)
        cells, n_rows = int(layout.cells[shard]), int(line.rows[-1])
        planned = n_rows * np.arange(cells + 1, dtype=np.int64) // cells  # as cell_range has it
        cuts = moved_cuts(line, planned, max(room, options.WIDTH_MARGIN * line.total_nbytes / cells))
        if (cuts != planned).any():
            moved[shard] = cuts
            largest = max(largest, int(np.diff(np.interp(planned, line.rows, line.nbytes)).max()))
    if moved:
        msg = (
            f"Strings or objects are longer in some rows of a key than in others: one of its output partitions would have "
            f"had about {format_nbytes(largest)}, and a task has room for {format_nbytes(room)}. Rows of "
            f"{format_count(len(moved))} keys were moved to other partitions of the same key."
        )
        hint = (
            "Which rows these have depends on the columns that are computed: persist the result before you rely on "
            "how many rows each of its partitions has."
        )
        warn_user(PartitionSizeWarning(f"{msg}\n\nHint: {hint}"))
    return CellCuts(moved)
