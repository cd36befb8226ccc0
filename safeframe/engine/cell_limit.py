"""What a plan promised of output partitions, held to while they are made."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from safeframe.engine.tally import count_rows_out
from safeframe.errors import MemoryBudgetError
from safeframe.units import format_count, format_nbytes

__all__ = ["CellLimit"]


@dataclass(frozen=True, slots=True)
class CellLimit:
    """What the plan promised of output partitions, and every cell is held to."""

    largest_nbytes: int
    """Bytes of the largest one."""
    row_nbytes: float
    """Bytes of one result row."""

    def passed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Give a finished cell back, its rows counted, or refuse it for its size.

        Raises
        ------
        MemoryBudgetError
            When it is larger than promised.
        """
        nbytes = int(len(frame) * self.row_nbytes)
        if nbytes > self.largest_nbytes + self.row_nbytes:
            msg = (
                f"An output partition has {format_count(len(frame))} rows of {self.row_nbytes:.0f} B, "
                f"{format_nbytes(nbytes)} in all, and the plan promised "
                f"{format_nbytes(self.largest_nbytes)} at most."
            )
            hint = (
                "The input has other rows than when the plan was made, or more keys than could be counted exactly: "
                "make the collection anew, or raise the configuration value safeframe.key-capacity."
            )
            raise MemoryBudgetError(msg, hint=hint, output_nbytes=nbytes, planned_nbytes=self.largest_nbytes)
        count_rows_out(len(frame))
        return frame
