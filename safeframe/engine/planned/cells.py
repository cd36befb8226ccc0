"""Output partitions whose rows are addressed by number, so that whoever writes them need not hold them whole.

A task that makes an output partition of a recipe first has what its rows are
made of: a shard's rows and how they join, or their order. From there it makes
the partition, or, for a file, one stretch of rows after the other.

Covers: the rows of a cell, whole and in stretches; the limit that both are held to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from safeframe import options
from safeframe.engine.exchange.runs import run_of_task
from safeframe.engine.partition_limit import PartitionLimit
from safeframe.kernels.merge.virtual import cell_range


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CellRows:
    """The rows of one output partition, not made yet."""

    n_rows: int
    """How many there are."""
    make: Callable[[int, int], pd.DataFrame]
    """Makes rows ``[lo, hi)`` of them."""
    limit: PartitionLimit
    """What the partition may not exceed."""
    directory: str = ""
    """The run that is over, should they not be made; empty where that is nobody's business."""

    @classmethod
    def part(
        cls,
        n_rows: int,
        number: int,
        cells: int,
        make: Callable[[int, int], pd.DataFrame],
        limit: PartitionLimit,
        directory: str = "",
    ) -> CellRows:
        """Return the rows of one of ``cells`` equal parts of a shard's result, of which ``make`` makes any rows."""
        first, end = cell_range(n_rows, number, cells)
        return cls(
            n_rows=end - first,
            make=lambda lo, hi: make(first + lo, first + hi),
            limit=limit,
            directory=directory,
        )

    def whole(self) -> pd.DataFrame:
        """Make the partition.

        Raises
        ------
        MemoryBudgetError
            When it is larger than was planned.
        """
        with run_of_task(self.directory):
            return self.limit.passed(self._frame(0, self.n_rows))

    def stretches(self, rows_of: Callable[[float], int]) -> Iterator[pd.DataFrame]:
        """Make the partition in stretches of rows, one after the other; there is one at least.

        Parameters
        ----------
        rows_of
            Gives the rows of a stretch, from the bytes of a row.

        Raises
        ------
        MemoryBudgetError
            When the partition is larger than was planned.
        """
        with run_of_task(self.directory):
            self.limit.pass_rows(self.n_rows)
            width = self.limit.row_nbytes
            rows = self.n_rows if width is None else rows_of(width)
            if width is not None and rows < self.n_rows:
                rows = rows_of(self._sampled_width())
            made = largest = lo = 0
            while True:
                frame = self._frame(lo, min(lo + rows, self.n_rows))
                nbytes = self.limit.values_nbytes(frame)
                made, largest, lo = made + nbytes, max(largest, nbytes), lo + len(frame)
                self.limit.pass_values(lo, made, held_nbytes=largest)
                yield frame
                length = len(frame)
                del frame  # before the next one is made
                if lo >= self.n_rows:
                    return
                rows = min(rows, rows_of(nbytes / max(length, 1) / options.STRETCH_MARGIN))

    def _sampled_width(self) -> float:
        """Measure rows from all over the partition."""
        rows = options.ROW_GROUP_WIDTH_ROWS // options.STRETCH_SAMPLES
        starts = [
            self.n_rows * number // options.STRETCH_SAMPLES for number in range(options.STRETCH_SAMPLES)
        ]
        samples = [self._frame(start, min(start + rows, self.n_rows)) for start in starts]
        nbytes = sum(int(sample.memory_usage(deep=True).sum()) for sample in samples)
        return nbytes / max(sum(map(len, samples)), 1)

    def _frame(self, lo: int, hi: int) -> pd.DataFrame:
        frame = self.make(lo, hi)
        if isinstance(frame.index, pd.RangeIndex):
            # An index that counts rows goes on counting.
            frame.index = pd.RangeIndex(lo, lo + len(frame), name=frame.index.name)
        return frame


@dataclass(frozen=True, slots=True)
class CellMaker:
    """What makes output partitions of rows that are addressed: a function of the cell's task."""

    rows: Callable[..., CellRows]
    """Returns the rows of a cell from the arguments of its task."""

    def __call__(self, *arguments: Any) -> pd.DataFrame:
        """Make an output partition."""
        return self.rows(*arguments).whole()
