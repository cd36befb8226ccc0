"""What is asked of the groups of a frame: a call, and the types of its result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from safeframe.facts.keys import KeyStatistics
from safeframe.kernels.groupby.calls import GroupCall
from safeframe.kernels.groupby.largest import Extremes
from safeframe.kernels.groupby.spec import Aggregation
from safeframe.prepare.groupby.keys import GroupKeys


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupRequest:
    """What is done with the groups of a frame."""

    keys: GroupKeys
    """The frame and its keys."""
    call: GroupCall
    """The call on whole groups."""
    aggregations: tuple[Aggregation, ...] | None
    """The same as functions that partial states do; None where groups are needed whole."""
    meta: Any
    """What dask promises of the result."""
    states_meta: pd.DataFrame | None
    """The same in a frame that has keys in its index; None where groups are needed whole."""
    needed: tuple[Any, ...] | None
    """Columns that are looked at, besides the keys; None for all of them."""
    with_index: bool
    """Whether the index is looked at, or is that of the result."""
    rows_of_input: bool
    """Whether the result has rows of the input rather than one for each group."""
    meta_if_null: Any = None
    """The same where rows without a key have a row of the result; None where it makes no difference."""
    rows_of_group: int = 1
    """Rows of the result for each group."""
    extremes: Extremes | None = None
    """The same as the largest or smallest values of a column, where rows that may be among them can be chosen of parts."""
    first_rows_order: bool = False
    """Whether groups are in the order of their first rows."""
    statistics: KeyStatistics | None = None
    """Key statistics, if they were gathered before."""

    def with_statistics(self, statistics: KeyStatistics | None) -> GroupRequest:
        """Return the request with statistics that were gathered before."""
        return replace(self, statistics=statistics)

    def with_null_keys(self, *, may_be: bool) -> GroupRequest:
        """Return the request with the types that the result has where there may be rows without a key, or are none."""
        return self if self.meta_if_null is None or not may_be else replace(self, meta=self.meta_if_null)

    @property
    def indexed_by_key(self) -> bool:
        """Whether one key, and nothing else, is the index of the result."""
        return (
            len(self.keys.by) == 1
            and bool(self.call.options["as_index"])
            and not self.rows_of_input
            and self.meta.index.nlevels == 1
        )


def may_be_null(dtype: Any) -> bool:
    """Whether there are values of a type that mean nothing."""
    return not isinstance(dtype, np.dtype) or dtype.kind not in "iub"
