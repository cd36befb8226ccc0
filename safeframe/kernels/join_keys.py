"""What a join compares: columns of either side, or an index that a column holds.

Covers: the names that a user gave, and the columns they stand for once the
index has become a column.
Does not cover: types of keys (``key_schema``), checking what a user gave
(``recipes.merge_keys``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

__all__ = ["JoinKeys", "SideKeys", "add_column"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SideKeys:
    """One side's keys."""

    on: tuple[Any, ...]
    """The key columns, as the join has them: an index is a column of its own."""
    names: tuple[Any, ...]
    """What the user calls them; None for an index without a name, nothing for a cross join."""
    given: tuple[Any, ...] | None
    """The names as pandas takes them in ``left_on`` or ``right_on``; None for the index."""
    added: str | None = None
    """The last column, which the frame did not have: its index, or a constant for a cross join."""
    freq: Any = None
    """The freq of the index, where that is what was added."""

    @property
    def kept(self) -> tuple[Any, ...]:
        """The columns that no projection may take away: the keys, and what was added."""
        return self.on if self.added is None or self.added in self.on else (*self.on, self.added)


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinKeys:
    """Both sides' keys."""

    left: SideKeys
    """Keys of the left side."""
    right: SideKeys
    """Keys of the right side."""

    def __dask_tokenize__(self) -> tuple[object, ...]:
        return "JoinKeys", repr(self)


def add_column(frame: pd.DataFrame, name: str, *, index: bool) -> pd.DataFrame:
    """Add the index as a column, or a constant.

    Examples
    --------
    >>> frame = pd.DataFrame({"a": [1.5, 2.5]}, index=pd.Index([7, 8], name="k"))
    >>> add_column(frame, "index", index=True)["index"].tolist()
    [7, 8]
    """
    if index:
        column = pd.Series(frame.index.array, index=frame.index, dtype=frame.index.dtype, copy=False)
    else:
        column = pd.Series(0, index=frame.index, dtype="int8")
    added = frame.copy(deep=False)
    added[name] = column
    return added
