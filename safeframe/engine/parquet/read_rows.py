"""Rows of a partition that is read from parquet files, written as they are read: a row group at a time.

Covers: stretches of as many rows as a row group has, from slices of files.
Does not cover: reading slices (``sizing.partitions.slices``), writing (``engine.parquet.tasks``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from safeframe import options
from safeframe.engine.parquet.target import ParquetTarget
from safeframe.engine.parquet.tasks import write_cell
from safeframe.engine.parquet.written_file import WrittenFile
from safeframe.engine.planned.cells import rows_nbytes
from safeframe.kernels.columns.categories import joined_frames
from safeframe.kernels.columns.coded_text import frames_alike, may_be_coded, text_of_frame
from safeframe.sizing.parquet.column_sets import Reading
from safeframe.sizing.partitions.slices import SlicedPart


@dataclass(slots=True, eq=False)
class ReadRows:
    """The rows of a partition that are not read yet."""

    part: SlicedPart
    meta: pd.DataFrame
    """What dask promises of them."""
    slice_nbytes: int
    """Bytes that are read at a time."""
    read: int = 0
    """Rows that were read in stretches."""

    @property
    def n_rows(self) -> None:
        """How many there are is known once they are read."""

    @property
    def coded(self) -> frozenset[Any]:
        """See :class:`~safeframe.engine.planned.cells.RowsToMake`."""
        return frozenset(name for name, dtype in self.meta.dtypes.items() if may_be_coded(dtype))

    def whole(self) -> pd.DataFrame:
        """Read all of them."""
        return joined_frames([self.meta, *self.part.slices(self.slice_nbytes)])

    def stretches(self, rows_of: Callable[[float], int]) -> Iterator[pd.DataFrame]:
        """Read them in stretches of so many rows as a function says by the bytes of one; at least one, of no rows maybe.

        Where rows become wider or narrower by much, those before are a stretch of their own.

        Notes
        -----
        Memory: a stretch, and a slice.
        """
        waiting: list[pd.DataFrame] = []
        have, n, none, coded = 0, 0, True, self.coded
        for read in self.part.slices(self.slice_nbytes, Reading(as_categories=coded)):
            frame = text_of_frame(read, self.meta, coded)
            del read
            nbytes = rows_nbytes(frame, coded)
            fitting = rows_of(nbytes / max(1, len(frame)))
            other = fitting * options.STRETCH_MARGIN < n or fitting > 2 * n
            if n and other and nbytes > self.slice_nbytes // 4:
                if waiting:
                    yield self._joined(waiting)
                have, n, none = 0, fitting, False
            n = n or fitting
            waiting.append(frame)
            have += len(frame)
            self.read += len(frame)
            del frame
            while have >= n:
                rows = self._joined(waiting)
                waiting, have, none = ([rows.iloc[n:]] if have > n else []), have - n, False
                holder = [rows.iloc[:n]]
                del rows
                yield holder.pop()
        if waiting or none:
            yield self._joined(waiting) if waiting else self.meta

    def _joined(self, waiting: list[pd.DataFrame]) -> pd.DataFrame:
        """Join frames, in their order, and leave the list empty."""
        alike = frames_alike(waiting, self.meta, self.coded)
        waiting.clear()
        return alike[0] if len(alike) == 1 else pd.concat(alike)


def write_read(part: SlicedPart, meta: pd.DataFrame, target: ParquetTarget, number: int) -> WrittenFile:
    """Write a partition of parquet files, a row group after the other, each read when it is written.

    Raises
    ------
    SchemaMismatchError, UnsupportedError, StagingError, StagingFullError
        See :func:`~safeframe.engine.parquet.tasks.write_file`.
    """
    rows = ReadRows(part, meta, target.group_nbytes)
    return replace(write_cell(rows, target, number), rows=rows.read)  # which the file is held to
