"""Rows of a file that are made piece by piece and gathered, their number unknown until all are made.

Covers: as many pieces at once as are worth writing, stretches of them, what a task may hold.
Does not cover: the pieces (``sliced``, ``ranges``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from safeframe.engine.planned.cells import PartitionLimit, rows_nbytes
from safeframe.kernels.columns.coded_text import frames_alike
from safeframe.kernels.merge.spec import JoinSpec


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GatheredRows:
    """The rows of a file, not made yet."""

    spec: JoinSpec
    slice_nbytes: int
    """Bytes that are gathered, about."""
    limit: PartitionLimit

    def pieces(self) -> Iterator[pd.DataFrame]:
        """Make rows, some at a time: each kind of rows its own way."""
        raise NotImplementedError

    @property
    def n_rows(self) -> None:
        """Unknown until all rows are made."""

    @property
    def coded(self) -> frozenset[Any]:
        """See :class:`~safeframe.engine.planned.cells.RowsToMake`."""
        return self.spec.coded

    def whole(self) -> pd.DataFrame:
        """Make all rows at once, whatever they take."""
        return self._one_frame(list(self.stretches(lambda _: 2**62)))

    def stretches(self, rows_of: Callable[[float], int]) -> Iterator[pd.DataFrame]:
        """Make the rows in stretches, one after the other; there is one at least.

        Parameters
        ----------
        rows_of
            Gives the most rows of a stretch, from the bytes of a row.

        Raises
        ------
        MemoryBudgetError
            When there are more rows than were planned, or a stretch has more bytes than a task may use.
        RowConservationError
            When the partition has other rows than were planned.
        """
        rows = nbytes = 0
        rest: pd.DataFrame | None = None
        for gathered, gathered_nbytes in self._gathered():
            held = self.limit.values_nbytes(gathered)
            nbytes += held
            self.limit.pass_values(rows + len(gathered), nbytes, held_nbytes=held)
            most = rows_of(gathered_nbytes / max(1, len(gathered)))
            if rest is not None:
                gathered, rest = self._one_frame([rest, gathered]), None
            for start in range(0, max(1, len(gathered)), most):
                some = gathered.iloc[start : start + most]
                if len(some) < most < len(gathered):
                    rest = some  # the beginning of the next stretch
                    break
                yield self._numbered(some, rows)
                rows += len(some)
                del some
            del gathered
        if rest is not None:
            yield self._numbered(rest, rows)
            rows += len(rest)
        self.limit.pass_rows(rows)

    def _numbered(self, frame: pd.DataFrame, first: int) -> pd.DataFrame:
        if isinstance(frame.index, pd.RangeIndex):
            # An index that counts rows goes on counting.
            frame.index = pd.RangeIndex(first, first + len(frame), name=frame.index.name)
        return frame

    def _gathered(self) -> Iterator[tuple[pd.DataFrame, int]]:
        """Join pieces, and gather what they make, with its bytes, up to a slice's; empty ones only where all are."""
        waiting: list[pd.DataFrame] = []
        waiting_nbytes = 0
        empty, coded = True, self.coded
        for made in self.pieces():
            nbytes = rows_nbytes(made, coded)
            if waiting and waiting_nbytes + nbytes > self.slice_nbytes:
                yield self._one_frame(waiting), waiting_nbytes
                waiting_nbytes, empty = 0, False
            if len(made):
                waiting.append(made)
                waiting_nbytes += nbytes
            del made
        if waiting or empty:
            yield self._one_frame(waiting) if waiting else self.spec.meta, waiting_nbytes

    def _one_frame(self, waiting: list[pd.DataFrame]) -> pd.DataFrame:
        """Join frames, and leave the list empty."""
        ignored = isinstance(waiting[0].index, pd.RangeIndex)
        alike = frames_alike(waiting, self.spec.meta, self.coded)
        waiting.clear()
        return alike[0] if len(alike) == 1 else pd.concat(alike, ignore_index=ignored)
