"""Frames of states: the keys of groups under their own names, then what is kept of each group.

Covers: names and types of their columns.
Does not cover: what is kept (``kernels.groupby.states``, ``kernels.groupby.largest_states``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd

from safeframe.kernels.columns.arrow_dictionaries import is_dictionary


class States(Protocol):
    """How states of groups are made of rows, and joined."""

    @property
    def meta(self) -> pd.DataFrame:
        """States of no rows."""

    @property
    def text_keys(self) -> frozenset[Any]:
        """Keys of strings, which may come as categories."""

    def states(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the states of a frame's groups, in the order of their first rows."""

    def merged(self, states: pd.DataFrame) -> pd.DataFrame:
        """Merge states of the same key, in the order of the first ones."""


def state_frame(
    meta: pd.DataFrame, by: Sequence[Any], keys: Sequence[pd.Series[Any]], kept: Mapping[str, Any]
) -> pd.DataFrame:
    """Return keys, in the types that they have in ``meta``, and what is kept of groups, under names that are no key's.

    Examples
    --------
    >>> frame = pd.DataFrame({"k": [1, 2]})
    >>> state_frame(frame[:0], ["k"], [frame["k"]], {"0.sum": np.array([5, 7])})
       k  state0.sum
    0  1           5
    1  2           7
    """
    columns: list[Any] = [
        _key_values(key, promised) for key, promised in zip(keys, meta[list(by)].dtypes, strict=True)
    ]
    prefix = "state"
    while any(isinstance(name, str) and name.startswith(prefix) for name in by):
        prefix += "_"
    names = pd.Index([*by, *(f"{prefix}{name}" for name in kept)])
    return frame_of([*columns, *kept.values()], names, pd.RangeIndex(len(keys[0])))


def frame_of(columns: Sequence[Any], names: pd.Index[Any], index: pd.Index[Any]) -> pd.DataFrame:
    """Return a frame of arrays, in the types that they have."""
    # pandas 3 makes strings of an array of objects that are, unless told.
    typed = (
        pd.Series(column, dtype=object, index=index) if column.dtype == object else column
        for column in columns
    )
    frame = pd.DataFrame(dict(enumerate(typed)), index=index)
    frame.columns = names
    return frame


def _key_values(key: pd.Series[Any], promised: Any) -> Any:
    """Return keys, those of objects with one value for all that mean nothing, as pandas has it, and text that came as categories."""
    came_as_numbers = isinstance(key.dtype, pd.CategoricalDtype) or is_dictionary(key.dtype)
    if came_as_numbers and not (isinstance(promised, pd.CategoricalDtype) or is_dictionary(promised)):
        key = key.astype(promised)
    if key.dtype == object:
        return key.where(key.notna(), np.nan).to_numpy()
    return key.to_numpy() if isinstance(key.dtype, np.dtype) else key.array
