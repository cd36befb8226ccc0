"""Totals of a join by columns of one side: no row of the result is made.

A row of that side stands in as many result rows as the other side has rows of its
key. So with the other side's totals of each key, a partition gives totals by
whatever columns it has; those of several partitions add up.

Covers: totals by group of one partition, joining them, what they come to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from safeframe.facts.merge import How
from safeframe.kernels.merge.total_pieces import joined_piece
from safeframe.kernels.merge.totals import (
    JoinedKeys,
    SideTotals,
    Total,
    of_pieces,
    pieces_of,
    row_totals,
)


@dataclass(frozen=True, slots=True)
class GroupedTotals:
    """Totals of a join by columns of one side."""

    side: str
    """The side, ``"left"`` or ``"right"``."""
    own: SideTotals
    """What is to be known of it."""
    how: How
    """The join of this side's rows with the other's: never one that has rows of the other alone."""
    totals: tuple[Total, ...]
    by: tuple[tuple[int, bool], ...]
    """Numbers of what is grouped by, and whether it is a key of the join; a group of the side otherwise."""
    names: tuple[Any, ...]
    """What the groups are called in the result."""
    dropna: bool
    """As for :meth:`pandas.DataFrame.groupby`."""
    sort: bool
    """As for :meth:`pandas.DataFrame.groupby`."""


def group_totals(partition: pd.DataFrame, other: pd.DataFrame, requested: GroupedTotals) -> pd.DataFrame:
    """Return what totals are made of, for each group in a partition.

    Parameters
    ----------
    partition
        Rows of the side with the groups.
    other
        The totals of each key of the other side.
    requested
        What is wanted.

    Returns
    -------
    pandas.DataFrame
        Groups as columns 0, 1, …, and a column for each piece after them.
    """
    own = row_totals(partition, requested.own)
    joined = JoinedKeys(*((own, other) if requested.side == "left" else (other, own)), requested.how)
    columns = [joined.key(at) if is_key else joined.group(requested.side, at) for at, is_key in requested.by]
    groups = pd.DataFrame(dict(enumerate(columns)))
    numbers = groups.groupby(list(groups), dropna=requested.dropna, sort=False).ngroup().to_numpy()
    first = np.flatnonzero(~pd.Series(numbers).duplicated().to_numpy() & (numbers >= 0))
    found = groups.take(first).reset_index(drop=True)
    del groups, columns
    # One piece after the other: a partition has many more rows than groups.
    for place, piece in enumerate(pieces_of(requested.totals), start=len(requested.by)):
        values = pd.Series(joined.piece(piece, requested.totals))
        pieces = joined_piece(values, values.groupby(numbers, sort=False), piece[1])
        found[place] = pieces.reindex(numbers[first]).to_numpy()
    return found


def join_group_totals(parts: Sequence[pd.DataFrame], requested: GroupedTotals) -> pd.DataFrame:
    """Join what several partitions have of each group."""
    return _grouped(_one_frame(parts), requested, sort=False).reset_index()


def totals_of_groups(parts: Sequence[pd.DataFrame], requested: GroupedTotals) -> pd.DataFrame:
    """Return the totals of each group: a row for each, a column for each total."""
    found = _grouped(_one_frame(parts), requested, sort=requested.sort)
    found.index = found.index.set_names(list(requested.names))
    found.columns = pd.MultiIndex.from_tuples(pieces_of(requested.totals))
    return of_pieces(found, requested.totals)


def _one_frame(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    # A partition without rows has types of its own; without any row they stay.
    filled = [part for part in parts if len(part)] or list(parts[:1])
    return pd.concat(filled, ignore_index=True) if len(filled) > 1 else filled[0]


def _grouped(frame: pd.DataFrame, requested: GroupedTotals, *, sort: bool) -> pd.DataFrame:
    by = list(range(len(requested.by)))
    grouped = frame.groupby(by, dropna=requested.dropna, sort=sort)
    pieces = enumerate(pieces_of(requested.totals), start=len(by))
    return pd.DataFrame(
        {place: joined_piece(frame[place], grouped[place], piece[1]) for place, piece in pieces}
    )
