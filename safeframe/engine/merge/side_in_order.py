"""One side of a merge, read in the order of its keys: a slice at a time, of the partitions that hold a range of keys.

Covers: what has been read and not been joined, and whether it is what was planned.
Does not cover: decoding files (``sizing.parquet``), how both sides come together (``ranges``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NoReturn

import numpy as np
import pandas as pd

from safeframe.engine.exchange.nodes import WholePart
from safeframe.engine.merge.in_order_tasks import PlannedPart
from safeframe.facts.keys import Codes
from safeframe.facts.merge import KeyRange
from safeframe.kernels.changed_data import data_changed
from safeframe.kernels.columns.coded_text import join_text
from safeframe.kernels.columns.values import Block, as_series, from_arrow, join_columns
from safeframe.kernels.keys.codes import encode_keys
from safeframe.kernels.keys.counts import rows_checksum
from safeframe.kernels.merge.cell import frame_block
from safeframe.kernels.merge.spec import SideSpec
from safeframe.sizing.parquet.column_sets import Reading
from safeframe.sizing.partitions.slices import SlicedPart
from safeframe.units import format_count

_Slice = tuple[Block, Codes]
"""Rows, and the codes of their keys."""


class SideInOrder:
    """The rows of one side that have a key of a range.

    Parameters
    ----------
    parts
        The partitions that hold such keys, in order, or what makes them.
    planned
        What each of them was planned with; None where rows may have been left out since.
    side
        The side's columns.
    keys
        The range.
    slice_nbytes
        Bytes of rows that are read at once, about.
    reading
        How files are read.
    """

    def __init__(
        self,
        parts: Sequence[SlicedPart | pd.DataFrame],
        planned: Sequence[PlannedPart] | None,
        side: SideSpec,
        keys: KeyRange,
        *,
        slice_nbytes: int,
        reading: Reading,
    ) -> None:
        self._side = side
        self._slices = self._read(list(parts), planned, keys, slice_nbytes, reading)
        self._held: list[_Slice] = []
        self._none: Block = [from_arrow((), dtype) for dtype in side.dtypes]
        self._last = 0
        self.ended = False
        """Whether all rows have been read."""

    @property
    def last(self) -> int:
        """The largest code that has been read."""
        return self._last

    def read_on(self) -> None:
        """Read the next slice, or find that there is none.

        Raises
        ------
        RowConservationError
            When a partition is not in order, or not what it was planned to be.
        """
        found = next(self._slices, None)
        if found is None:
            self.ended = True
            return
        self._held.append(found)
        self._last = int(found[1][-1])

    def taken(self, before: int | None) -> Block:
        """Return, and let go of, the rows whose codes are smaller than one; of all that there are for None."""
        some: list[Block] = []
        while self._held:
            block, codes = self._held[0]
            rows = len(codes) if before is None else int(np.searchsorted(codes, np.uint64(before)))
            if rows < len(codes):
                self._held[0] = [column[rows:] for column in block], codes[rows:]
                block = [column[:rows] for column in block]
            else:
                del self._held[0]
            if rows:
                some.append(block)
            if rows < len(codes):
                break
        if len(some) == 1:
            return some[0]
        if not some:
            return self._none
        return [
            join_text(columns, dtype)
            if name in self._side.coded
            else join_columns([as_series(column) for column in columns])
            for name, dtype, *columns in zip(self._side.names, self._side.dtypes, *some, strict=True)
        ]

    def _read(
        self,
        parts: list[SlicedPart | pd.DataFrame],
        planned: Sequence[PlannedPart] | None,
        keys: KeyRange,
        slice_nbytes: int,
        reading: Reading,
    ) -> Iterator[_Slice]:
        """Read the rows that have a key of the range, in slices of at least one."""
        least = 0
        for number in range(len(parts)):
            part, parts[number] = (
                parts[number],
                pd.DataFrame(),
            )  # one that is here whole is let go of after it
            check = None if planned is None else _Check(planned[number])
            sliced = WholePart(part) if isinstance(part, pd.DataFrame) else part
            del part
            for frame in sliced.slices(slice_nbytes, reading):
                if not len(frame):
                    continue
                block, codes = self._in_order(frame, least)
                del frame
                least = int(codes[-1])
                if check is not None:
                    if check.ends_before(keys.low):
                        return  # it was looked at for its categories alone
                    check.add(codes)
                first = int(np.searchsorted(codes, np.uint64(keys.low)))
                after = len(codes)
                if keys.after is not None:
                    after = int(np.searchsorted(codes, np.uint64(keys.after)))
                if first < after:
                    whole = after - first == len(codes)
                    yield (
                        (block, codes)
                        if whole
                        else ([column[first:after] for column in block], codes[first:after])
                    )
                if after < len(codes):
                    # The rest of this partition is of other ranges, and so are those that come after it.
                    return
                del block, codes
            if check is not None:
                check.complete()

    def _in_order(self, frame: pd.DataFrame, least: int) -> _Slice:
        """Return the columns of rows and their codes, once these are in order and follow the code before them."""
        side = self._side
        block = frame_block(frame, side)
        codes, null = encode_keys([as_series(block[i]) for i in side.key_positions], side.schema)
        if null is not None and null.any():
            msg = "A side has rows with a null key, and had none when the merge was planned."
            raise data_changed(msg, planned=0, found=int(null.sum()))
        if int(codes[0]) < least or (codes[1:] < codes[:-1]).any():
            msg = "A side is not in the order of its keys, as it was when the merge was planned: rows would be missed."
            raise data_changed(msg, planned=len(codes), found=len(codes))
        self._none = [column[:0] for column in block]  # with its categories
        return block, codes


class _Check:
    """What has been read of a partition, next to what it was planned with."""

    def __init__(self, planned: PlannedPart) -> None:
        self._planned = planned
        self._rows = self._checksum = 0

    def ends_before(self, low: int) -> bool:
        """Whether the partition had no key as large."""
        return self._planned.last < low

    def add(self, codes: Codes) -> None:
        """Count rows that have been read.

        Raises
        ------
        RowConservationError
            When one has a key that the partition did not have.
        """
        planned = self._planned
        self._rows += len(codes)
        self._checksum = (self._checksum + rows_checksum(codes, None)) % 2**64
        if int(codes[0]) < planned.first or int(codes[-1]) > planned.last:
            self._changed("holds smaller or larger keys than it had")

    def complete(self) -> None:
        """Look at all of them.

        Raises
        ------
        RowConservationError
            When there are other rows than were planned, or rows of other keys.
        """
        planned = self._planned
        if self._rows != planned.rows:
            self._changed(f"has {format_count(self._rows)} rows, and had {format_count(planned.rows)}")
        if self._checksum != planned.checksum % 2**64:
            self._changed("does not hold the keys that it had")

    def _changed(self, what: str) -> NoReturn:
        planned = self._planned
        msg = f"Partition {planned.number} of the {planned.name} side {what} when the merge was planned."
        raise data_changed(msg, planned=planned.rows, found=self._rows)
