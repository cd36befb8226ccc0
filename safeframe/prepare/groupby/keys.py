"""The keys of a group-by: columns of the frame, its index, or series that are worked out of it row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd

from safeframe.errors import UnsupportedError, ValidationError
from safeframe.prepare.arguments import as_names, check_frame, no_such_column, with_types_of_nulls

_HIDDEN = "__key_{}"


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupKeys:
    """A frame with its keys as columns."""

    frame: dd.DataFrame
    """The frame."""
    columns: tuple[Any, ...]
    """The columns that a user knows of."""
    by: tuple[Any, ...]
    """Columns that have the keys."""
    names: tuple[Any, ...]
    """What they are called in the result."""
    listed: bool
    """Whether they were given as a list."""
    values: tuple[Any, ...]
    """Columns that are no keys."""
    given: dd.DataFrame
    """The frame without the columns that were made of keys."""
    of_index: Any = None
    """The column that was made of the index; None where there is none."""


def group_keys(ddf: Any, by: Any) -> GroupKeys:
    """Find the keys, and make columns of those that are none.

    Raises
    ------
    KeyNotFoundError, SchemaMismatchError, ValidationError
        When the arguments do not name a frame and its columns.
    UnsupportedError
        For keys that are functions, mappings or lists of values.
    """
    frame = given_frame = check_frame(ddf, "ddf")
    columns, index = list(frame._meta.columns), frame._meta.index.name
    listed = isinstance(by, list) or (isinstance(by, tuple) and by not in columns)
    given = list(by) if listed else [by]
    if not given:
        msg = "No key is named in by=[]."
        raise ValidationError(msg, hint="Name one column, or a list of them.")
    found: list[Any] = []
    names: list[Any] = []
    of_index = None
    for number, key in enumerate(given):
        if isinstance(key, dd.Series):
            key = with_types_of_nulls(key)  # as the frame has
            name, column = key.name, _column_of(given_frame, key)
        else:
            _check_kind(key)
            name = column = key
            if key not in columns:
                if index is None or key != index:
                    raise no_such_column(columns, key, "ddf")
                key, column, of_index = given_frame.index, None, _hidden(number, [*columns, name])
        if column is None:
            column = _hidden(number, [*columns, name])
            frame = frame.assign(**{column: key})
        found.append(column)
        names.append(name)
    if len(set(found)) < len(found):
        msg = f"A key is named twice in by={names!r}."
        raise ValidationError(msg, hint="Name each key once.")
    values = tuple(name for name in columns if name not in found)
    return GroupKeys(
        frame=frame,
        columns=tuple(columns),
        by=tuple(found),
        names=tuple(names),
        listed=listed,
        values=values,
        given=given_frame,
        of_index=of_index,
    )


def _hidden(number: int, taken: list[Any]) -> str:
    """Return a name for a key that is no column."""
    name = _HIDDEN.format(number)
    while name in taken:
        name = f"_{name}"
    return name


def _column_of(frame: dd.DataFrame, key: dd.Series) -> Any:
    """Return the column of the frame that a series is; None where it is worked out."""
    name = key.name
    if name in frame.columns and frame[name].expr._name == key.expr._name:
        return name
    return None


def _check_kind(key: Any) -> None:
    if callable(key) or isinstance(
        key, (dict, pd.Series, pd.DataFrame, pd.Grouper, list, np.ndarray, dd.DataFrame)
    ):
        msg = f"A key of a group-by is a {type(key).__name__}; a column, or a series of the same frame, is expected."
        raise UnsupportedError(msg, hint="Make it a column first: ddf.assign(key=...).")
    as_names([key])
