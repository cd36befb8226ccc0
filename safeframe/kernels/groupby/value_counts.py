"""Counts of values in the form that pandas gives them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

SIZE = "size"
"""What pandas calls the sizes of groups in a frame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CountsForm:
    """What becomes of the sizes of groups."""

    names: tuple[Any, ...]
    """The columns that are counted."""
    total: int | None
    """Rows of all groups, where shares are wanted; None for counts."""
    listed: bool
    """Whether columns were given as a list: of one column, too, keys are an index of levels then."""
    ascending: bool | None
    """The order of counts within a partition; None for none."""
    dtype: Any
    """The type that pandas has counts of these values in."""

    @property
    def name(self) -> str:
        """The name of the series."""
        return "count" if self.total is None else "proportion"

    def __call__(self, sizes: pd.Series[int]) -> pd.Series[float]:
        """Make the series."""
        made: pd.Series[Any] = sizes.rename(self.name).astype(self.dtype)
        if self.total is not None:
            made = made / self.total  # of no rows, shares of nothing are NaN
        if self.listed and made.index.nlevels == 1:
            made.index = pd.MultiIndex.from_arrays([made.index], names=[made.index.name])
        if self.ascending is not None:
            made = made.sort_values(ascending=self.ascending, kind="stable")
        return made

    def of_frame(self, frame: pd.DataFrame) -> pd.Series[float]:
        """Make the series of a frame with a column for each part of a key, and one of sizes, in the order of its rows."""
        keys = [frame.iloc[:, place].array for place in range(len(self.names))]
        index: Any = (
            pd.Index(keys[0], name=self.names[0])
            if len(keys) == 1
            else pd.MultiIndex.from_arrays(keys, names=list(self.names))
        )
        return replace(self, ascending=None)(pd.Series(frame.iloc[:, -1].array, index=index))
