"""States of the largest or smallest values of groups: the rows that may be among them, merged in any number of steps.

Covers: rows of a slice, of states that were put together, and the frame that the result is made of.
Does not cover: which rows these are (``kernels.groupby.largest``); ``keep="all"``, for which there may be any number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from safeframe.kernels.columns.categories import text_columns
from safeframe.kernels.groupby.largest import Extremes
from safeframe.kernels.groupby.state_frames import frame_of, state_frame
from safeframe.kernels.keys.nulls import any_null
from safeframe.kernels.keys.numbering import Groups, numbered


@dataclass(frozen=True, slots=True, eq=False)
class ExtremeStates:
    """How the rows of groups that may be among the largest are chosen, and chosen again of those.

    Notes
    -----
    Of each group one row more is kept than is asked for: where a group has no more rows than that, pandas leaves equal values
    in their order, whatever ``keep`` says, and so it is seen which groups these are.

    Examples
    --------
    >>> frame = pd.DataFrame({"k": [1, 2, 1, 1, 1], "v": [5, 6, 7, 9, 8]}, index=list("abcde"))
    >>> states = ExtremeStates.of(frame[:0], ["k"], "v", Extremes("nlargest", 1, "first"), dropna=True)
    >>> states.rows(states.states(frame))
       k  v
    d  1  9
    e  1  8
    b  2  6
    """

    by: tuple[Any, ...]
    """The columns that make a group."""
    value: Any
    """The column whose values are looked at."""
    extremes: Extremes
    """Which of them."""
    dropna: bool
    """Whether rows with a null key are in no group."""
    types: pd.DataFrame
    """Rows of the input that are none."""
    meta: pd.DataFrame
    """States of no rows: keys under their own names, then the value and the label of each row."""

    @classmethod
    def of(
        cls, meta: pd.DataFrame, by: Sequence[Any], value: Any, extremes: Extremes, *, dropna: bool
    ) -> ExtremeStates:
        """Say how rows are chosen of frames like ``meta``, an empty one."""
        keys = tuple(by)
        types = meta[list(dict.fromkeys([*keys, value]))].iloc[:0]
        more = replace(extremes, n=extremes.n + 1)
        made = cls(by=keys, value=value, extremes=more, dropna=dropna, types=types, meta=types)
        return replace(made, meta=made.states(types))

    @property
    def text_keys(self) -> frozenset[Any]:
        """Keys of strings, which may come as categories: states have them as strings again."""
        return text_columns(self.types[list(self.by)].dtypes.to_dict())

    def __dask_tokenize__(self) -> tuple[object, ...]:
        types = [(name, repr(dtype)) for name, dtype in self.meta.dtypes.items()]
        one = self.extremes
        return "ExtremeStates", self.by, self.value, one.method, one.n, one.keep, self.dropna, types

    def states(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of a frame that may be among those of their group, groups in the order of their first rows."""
        null = any_null([frame[name] for name in self.by]) if self.dropna else None
        if null is not None:
            frame = frame.loc[~null]
        groups: Groups = numbered([frame[name] for name in self.by])
        rows = self.extremes.rows(frame[self.value], groups.numbers)
        keys = [frame[name].take(rows) for name in self.by]
        labels = frame.index.take(rows)
        kept = {"0.value": _array(frame[self.value].take(rows)), "1.label": _array(labels)}
        return state_frame(self.types, self.by, keys, kept)

    def merged(self, states: pd.DataFrame) -> pd.DataFrame:
        """Choose again among rows that were chosen of parts that follow each other."""
        groups: Groups = numbered([states[name] for name in self.by])
        rows = self.extremes.rows(states.iloc[:, len(self.by)], groups.numbers)
        return states.take(rows).reset_index(drop=True)

    def rows(self, states: pd.DataFrame) -> pd.DataFrame:
        """Return states as the rows of the input that they are."""
        found = dict(zip(self.by, (states[name].array for name in self.by), strict=True))
        found.setdefault(self.value, states.iloc[:, len(self.by)].array)
        index = pd.Index(states.iloc[:, len(self.by) + 1].array, name=self.types.index.name)
        return frame_of(list(found.values()), self.types.columns, index)


def _array(values: pd.Series[Any] | pd.Index[Any]) -> Any:
    """Return values in their own type."""
    return values.to_numpy() if isinstance(values.dtype, np.dtype) else values.array
