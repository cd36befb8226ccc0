"""Rows of one side that are taken by position, a missing one only where the plan allows for it.

numpy takes position -1 for the last row. So positions are checked once, before
any column is taken: there is no way to take one by a position that is none.
"""

from __future__ import annotations

import functools

import numpy as np

from safeframe.errors import RowConservationError
from safeframe.kernels.changed_data import data_changed
from safeframe.kernels.columns.taking import in_arrow, take, take_or_missing
from safeframe.kernels.columns.values import Column
from safeframe.kernels.order import Positions


class TakenRows:
    """Positions of the rows that a result takes from one side.

    Parameters
    ----------
    positions
        Row numbers; -1 for a missing row, which is allowed only with ``missing``.
    missing
        Whether rows of the result may lack a row of this side. Its columns then have the
        dtype that can hold missing values, whether or not these positions have any.
    side
        The side, for the message.
    repeats
        How many times each of them stands in the result, one after the other; None for once.

    Raises
    ------
    RowConservationError
        When a row is missing where none may be.

    Examples
    --------
    >>> TakenRows(np.array([1, -1]), missing=True, side="right").of(np.array([5, 6]))
    array([ 6., nan])
    """

    def __init__(
        self, positions: Positions, *, missing: bool, side: str, repeats: Positions | None = None
    ) -> None:
        if not missing and len(positions) and int(positions.min()) < 0:
            raise no_match(side, int(np.count_nonzero(positions < 0)))
        self._positions = positions
        self._missing = missing
        self._repeats = repeats

    def of(self, column: Column) -> Column:
        """Take the rows of one column."""
        of = take_or_missing if self._missing else take
        if self._repeats is None:
            return of(column, self._positions)
        if in_arrow(column.dtype):  # what is repeated afterwards is copied twice
            return of(column, self._every)
        taken = of(column, self._positions)
        repeated: Column = (
            np.repeat(taken, self._repeats) if isinstance(taken, np.ndarray) else taken.repeat(self._repeats)
        )
        return repeated

    @functools.cached_property
    def _every(self) -> Positions:
        assert self._repeats is not None, "rows are repeated"
        return np.repeat(self._positions, self._repeats)


def no_match(side: str, found: int) -> RowConservationError:
    """Return the error for result rows that lack a row of a side which was planned to have one for each."""
    msg = f"{found:,} or more rows have no match on the {side} side, but the plan counted none."
    return data_changed(msg, planned=0, found=found)
