"""The rows that each partition of a frame was planned with, where partitions stay as they are.

Rows that are moved are counted where all of them come together (``exchange``).
"""

from __future__ import annotations

import pandas as pd

from safeframe.facts.keys import Counts
from safeframe.kernels.changed_data import data_changed
from safeframe.units import format_count

__all__ = ["PartRows", "PlannedRows", "as_planned"]

PartRows = tuple[str, int, int]
"""What a frame is called in a message, the number of a partition, and its rows."""


class PlannedRows:
    """What the partitions of a frame were planned with; see :func:`as_planned`.

    Parameters
    ----------
    name
        What the frame is called in a message.
    rows
        The rows of each partition.
    """

    __slots__ = ("name", "rows")

    def __init__(self, name: str, rows: Counts) -> None:
        self.name = name
        self.rows = rows

    def check(self, npartitions: int) -> PlannedRows:
        """Return this, once the frame has as many partitions.

        Raises
        ------
        RowConservationError
            When it has not.
        """
        if npartitions != len(self.rows):
            msg = (
                f"{self.name} has {npartitions} partitions, and had {len(self.rows)} when the plan was made."
            )
            raise data_changed(msg, planned=len(self.rows), found=npartitions)
        return self

    def of_part(self, number: int) -> PartRows:
        """Return what one partition was planned with."""
        return self.name, number, int(self.rows[number])

    def __dask_tokenize__(self) -> tuple[object, ...]:
        return "PlannedRows", self.name, self.rows.tobytes()


def as_planned(frame: pd.DataFrame, planned: PartRows | None) -> pd.DataFrame:
    """Return a partition, once it has the rows that it was planned with; None for any number.

    Raises
    ------
    RowConservationError
        When it has others.
    """
    if planned is None:
        return frame
    name, number, rows = planned
    if len(frame) != rows:
        msg = (
            f"Partition {number} of {name} has {format_count(len(frame))} rows, and had {format_count(rows)} when "
            "the plan was made."
        )
        raise data_changed(msg, planned=rows, found=len(frame))
    return frame
