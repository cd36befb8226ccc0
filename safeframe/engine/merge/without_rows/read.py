"""Reads columns that are functions of a merge's columns, row by row, out of a dask expression.

Covers: new, renamed and cast columns, arithmetic, comparisons, numpy's functions,
``.dt`` and ``.str``, and filters.
Does not cover: which side of the merge they are of (``engine.merge.without_rows.sides``); anything
that looks at other rows, or that runs code of the user's: such a frame is
refused with a reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from dask.base import tokenize

from safeframe._dask.expressions import (
    Accessed,
    Assign,
    AsType,
    Binop,
    Expr,
    Fillna,
    Filter,
    Index,
    Merge,
    Projection,
    RenameFrame,
    RenameSeries,
    UFuncElemwise,
    row_functions,
)
from safeframe._dask.trees import operation_arguments
from safeframe.kernels.columns.functions import RowFunction, RowValue

_LOOKS_ELSEWHERE = ("cat", "get_dummies", "isocalendar", "to_pydatetime", "tz_localize")
"""Methods of ``.str`` and ``.dt`` that are not of one row, or make frames, or take arrays."""


class CountedMerge(Merge):  # type: ignore[misc]  # dask's expressions are untyped
    """A merge that runs by a plan, until it becomes one of its concrete forms: what later steps may know of it."""

    @property
    def counted_rows(self) -> int | None:
        """Rows of the result where they are known to the row, or None."""
        raise NotImplementedError

    def keys_stay_whole(self, by: list[Any]) -> bool:
        """Whether all result rows that agree in some columns are in one partition."""
        raise NotImplementedError


class NeedsRowsError(Exception):
    """A frame that cannot be had of a merge's sides alone; the reason."""


@dataclass(frozen=True, slots=True, eq=False)
class RowColumns:
    """Columns of a frame, as functions of a merge's."""

    merge: Any
    columns: dict[Any, Any]
    """What each column is: a :class:`RowFunction`, a :class:`RowValue` or a constant."""
    where: dict[str, Any]
    """Conditions of the rows that are there, by their tokens."""


def read_columns(node: Any) -> RowColumns:
    """Read the columns of a frame, or the one of a series.

    Raises
    ------
    NeedsRowsError
        Where one of them is something else, or there is no merge.
    """
    if isinstance(node, CountedMerge):
        return RowColumns(node, {name: RowValue(name) for name in node.columns}, {})
    reader = next((read for kinds, read in _READERS if isinstance(node, kinds)), None)
    if reader is None:
        msg = f"{type(node).__name__} needs its rows"
        raise NeedsRowsError(msg)
    return reader(node)


def _of_projection(node: Any) -> RowColumns:
    frame = read_columns(node.frame)
    if node.frame.ndim != 2:
        msg = "rows are selected from it"
        raise NeedsRowsError(msg)
    return RowColumns(frame.merge, {name: frame.columns[name] for name in node.columns}, frame.where)


def _of_new_names(node: Any) -> RowColumns:
    frame = read_columns(node.frame)
    named = zip(node.columns, node.frame.columns, strict=True)
    return RowColumns(frame.merge, {name: frame.columns[old] for name, old in named}, frame.where)


def _of_assign(node: Any) -> RowColumns:
    frame = read_columns(node.frame)
    columns = dict(frame.columns)
    for name, value in zip(node.keys, node.vals, strict=True):
        columns[name] = _series_of_same_rows(frame, value) if isinstance(value, Expr) else _constant(value)
    return RowColumns(frame.merge, columns, frame.where)


def _of_filter(node: Any) -> RowColumns:
    frame = read_columns(node.frame)
    condition = _series_of_same_rows(frame, node.predicate)
    return RowColumns(frame.merge, frame.columns, {**frame.where, tokenize(condition): condition})


def _of_cast(node: Any) -> RowColumns:
    return _each_column(node, node.operand("dtypes"), _type_of_values)


def _of_fill(node: Any) -> RowColumns:
    return _each_column(node, node.operand("value"), _constant)


def _each_column(node: Any, given: Any, checked: Callable[[Any], Any]) -> RowColumns:
    """Read a function of each column that takes one argument, or one for each of some columns."""
    frame = read_columns(node.frame)
    each = given if isinstance(given, dict) else dict.fromkeys(frame.columns, given)
    columns = {
        name: RowFunction(type(node).__name__, node.operation, (value, checked(each[name])))
        if name in each
        else value
        for name, value in frame.columns.items()
    }
    return RowColumns(frame.merge, columns, frame.where)


def _of_ufunc(node: Any) -> RowColumns:
    if not isinstance(node.func, np.ufunc) or node.func.signature is not None:
        msg = f"{getattr(node.func, '__name__', node.func)} needs its rows"
        raise NeedsRowsError(msg)
    return _function(node, f"ufunc {node.func.__name__}", node.func, list(node.args), dict(node.kwargs))


def _of_accessor(node: Any) -> RowColumns:
    if node.accessor not in ("str", "dt") or node.attr in _LOOKS_ELSEWHERE:
        msg = f".{node.accessor}.{node.attr} needs its rows"
        raise NeedsRowsError(msg)
    if "args" in node._parameters:
        for value in (*node.operand("args"), *node.operand("kwargs").values()):
            _constant(value)
    name = f".{node.accessor}.{node.attr}"
    return _function(node, name, node.operation, *operation_arguments(node), check=False)


def _of_index(node: Any) -> RowColumns:
    # How many rows there are: their names do not matter.
    frame = read_columns(node.frame)
    return RowColumns(frame.merge, {}, frame.where)


def _of_operation(node: Any) -> RowColumns:
    return _function(node, type(node).__name__, node.operation, *operation_arguments(node))


def _of_same(node: Any) -> RowColumns:
    if not pd.api.types.is_scalar(node.operand("index")):
        msg = "RenameSeries needs its rows"
        raise NeedsRowsError(msg)
    series = read_columns(node.frame)
    (value,) = series.columns.values()
    return RowColumns(series.merge, {node._meta.name: value}, series.where)


def _function(
    node: Any,
    kind: str,
    operation: Callable[..., Any],
    given: list[Any],
    keywords: dict[str, Any],
    *,
    check: bool = True,
) -> RowColumns:
    """Read a function of series and constants, or of each column of one frame."""
    given = [value if isinstance(value, Expr) or not check else _constant(value) for value in given]
    parts = [value for value in given if isinstance(value, Expr)]
    more = [value for value in keywords.values() if isinstance(value, Expr)]
    each = len(parts) == 1 and node.ndim == parts[0].ndim == 2 and "axis" not in node._parameters
    if not parts or more or not (each or {part.ndim for part in (node, *parts)} == {1}):
        msg = f"{kind} needs its rows"
        raise NeedsRowsError(msg)
    frame = read_columns(parts[0])
    if not frame.columns:
        msg = "its index is used"
        raise NeedsRowsError(msg)
    options = tuple((name, _constant(value)) for name, value in sorted(keywords.items()))

    def of(column: Any) -> RowFunction:
        arguments = [
            value
            if not isinstance(value, Expr)
            else column
            if value is parts[0]
            else _series_of_same_rows(frame, value)
            for value in given
        ]
        return RowFunction(kind, operation, tuple(arguments), options)

    if each:
        columns = {name: of(value) for name, value in frame.columns.items()}
    else:
        columns = {node._meta.name: of(next(iter(frame.columns.values())))}
    return RowColumns(frame.merge, columns, frame.where)


def _series_of_same_rows(frame: RowColumns, value: Any) -> Any:
    """Read a series that is assigned to a frame: of the same merge, and the same rows of it."""
    if value.ndim != 1:
        msg = "an aggregate of all rows is used in each of them"
        raise NeedsRowsError(msg)
    read = read_columns(value)
    if read.merge._name != frame.merge._name or read.where.keys() != frame.where.keys():
        msg = "columns of another frame are used"
        raise NeedsRowsError(msg)
    if not read.columns:
        msg = "its index is used"
        raise NeedsRowsError(msg)
    return next(iter(read.columns.values()))


def _constant(value: Any) -> Any:
    if pd.api.types.is_scalar(value):
        return value
    msg = f"a {type(value).__name__} is not a constant"
    raise NeedsRowsError(msg)


def _type_of_values(dtype: Any) -> Any:
    if isinstance(pd.api.types.pandas_dtype(dtype), pd.CategoricalDtype):
        msg = "categories depend on all rows"
        raise NeedsRowsError(msg)
    return dtype


_READERS: tuple[tuple[Any, Callable[[Any], RowColumns]], ...] = (
    (Projection, _of_projection),
    (RenameFrame, _of_new_names),
    (RenameSeries, _of_same),
    (Index, _of_index),
    (Assign, _of_assign),
    (Filter, _of_filter),
    (AsType, _of_cast),
    (Fillna, _of_fill),
    (UFuncElemwise, _of_ufunc),
    (Accessed, _of_accessor),
    ((Binop, *row_functions()), _of_operation),
)
