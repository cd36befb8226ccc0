"""The column that becomes an index, from a name or from a series, as dask's ``set_index`` takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dask.dataframe as dd
import pandas as pd

from safeframe.errors import SchemaMismatchError, UnsupportedError, ValidationError

__all__ = ["IndexColumn", "index_column"]

_COLUMN = "__safeframe_new_index__"


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexColumn:
    """A frame, and which of its columns becomes the index."""

    frame: dd.DataFrame
    """The frame; with the values of a series as a column of their own."""
    column: Any
    drop: bool
    """Whether it goes from the columns."""
    renamed: bool = False
    """Whether the index has another name than the column."""
    name: Any = None


def index_column(frame: dd.DataFrame, column: Any, *, drop: bool) -> IndexColumn:
    """Find the column that is to be the index, or make it.

    Raises
    ------
    UnsupportedError
        For several columns, and for a series of pandas'.
    SchemaMismatchError, ValidationError
        For what is no column or series, or a series that does not go with the frame.
    """
    columns = list(frame.columns)
    if isinstance(column, (list, tuple)) and len(column) == 1 and column not in columns:
        column = column[0]
    if isinstance(column, (dd.DataFrame, pd.DataFrame)):
        column = list(column.columns)
    if isinstance(column, list) or (isinstance(column, tuple) and column not in columns):
        msg = f"An index of {column} is not supported."
        raise UnsupportedError(msg, hint="Name one column: dask has no MultiIndex.")
    if isinstance(column, (pd.Series, pd.Index)):
        msg = f"An index of a pandas {type(column).__name__} is not supported."
        hint = "Name a column, or pass a series of the same dask dataframe, such as ddf['a'] + 1."
        raise UnsupportedError(msg, hint=hint)
    if isinstance(column, dd.Series):
        return _of_series(frame, column, columns)
    if pd.api.types.is_list_like(column) and not isinstance(column, tuple):
        msg = f"column is a {type(column).__name__}; a name or a dask series is expected."
        raise SchemaMismatchError(msg, hint="Name one column of the frame.")
    if column is not None and column not in columns and column == frame._meta.index.name:
        return IndexColumn(frame=frame.reset_index(), column=column, drop=True)
    return IndexColumn(frame=frame, column=column, drop=drop)


def _of_series(frame: dd.DataFrame, series: dd.Series, columns: list[Any]) -> IndexColumn:
    name = series.name
    if name in columns and series.expr._name == frame[name].expr._name:
        # As in pandas, the values become the index and the column of that name stays.
        return IndexColumn(frame=frame, column=name, drop=False)
    free = isinstance(name, str) and name not in columns
    column = name if free else _COLUMN
    try:
        wider = frame.assign(**{column: series})
    except (ValueError, TypeError, NotImplementedError) as error:
        msg = f"The series {name!r} does not belong to the frame: {error}."
        raise ValidationError(msg, hint="Pass a series that is computed from the same frame.") from error
    return IndexColumn(frame=wider, column=column, drop=True, renamed=not free, name=name)
