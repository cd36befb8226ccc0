"""The rows that each partition of a frame was planned with, where partitions stay as they are.

Rows that are moved are counted where all of them come together (``exchange``).
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from safeframe.facts.keys import Codes, Counts, PartitionKeys
from safeframe.kernels.changed_data import data_changed
from safeframe.kernels.sort.rows import RowOrder
from safeframe.units import format_count

PartRows = tuple[str, int, int]
"""What a frame is called in a message, the number of a partition, and its rows."""

PartOrder = tuple[str, int, int, int, int]
"""The same, and the partition's first and last code."""


@dataclass(frozen=True, slots=True, eq=False)
class PlannedRows:
    """What the partitions of a frame were planned with; see :func:`as_planned`."""

    name: str
    """What the frame is called in a message."""
    rows: Counts
    """The rows of each partition."""

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


@dataclass(frozen=True, slots=True, eq=False)
class PlannedOrder:
    """What partitions that are in order already were planned with."""

    keys: PartitionKeys
    """Rows and key range of each."""

    @property
    def _rows(self) -> PlannedRows:
        return PlannedRows("the frame", self.keys.rows)

    def check(self, npartitions: int) -> PlannedOrder:
        """Return this, once the frame has as many partitions; see :meth:`PlannedRows.check`."""
        self._rows.check(npartitions)
        return self

    def of_part(self, number: int) -> PartOrder:
        """Return what one partition was planned with."""
        return *self._rows.of_part(number), int(self.keys.first[number]), int(self.keys.last[number])


def in_planned_order(frame: pd.DataFrame, order: RowOrder, planned: PartOrder) -> Codes:
    """Return the codes of a partition's keys, once they are in order and reach as far as when it was planned.

    Raises
    ------
    RowConservationError
        When they are not, or it has other rows.
    """
    name, number, rows, first, last = planned
    as_planned(frame, (name, number, rows))
    codes, null = order.codes(frame)
    if rows and (
        null is not None or (int(codes[0]), int(codes[-1])) != (first, last) or (codes[1:] < codes[:-1]).any()
    ):
        msg = f"Partition {number} of {name} is not in order, or its smallest or largest key has changed since the plan was made."
        raise data_changed(msg, planned=rows, found=rows)
    return codes


def as_planned(frame: pd.DataFrame, planned: PartRows | None) -> pd.DataFrame:
    """Return a partition, once it has the rows that it was planned with; None for any number.

    Raises
    ------
    RowConservationError
        When it has others.
    """
    check_rows(len(frame), planned)
    return frame


def check_rows(found: int, planned: PartRows | None) -> None:
    """Check how many rows a partition has; see :func:`as_planned`."""
    if planned is None:
        return
    name, number, rows = planned
    if found != rows:
        msg = (
            f"Partition {number} of {name} has {format_count(found)} rows, and had {format_count(rows)} when "
            "the plan was made."
        )
        raise data_changed(msg, planned=rows, found=found)
