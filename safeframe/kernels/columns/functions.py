"""Columns that are functions of a row's own values, kept as data and worked out of a frame.

Covers: working them out, leaving out rows, what becomes of a row of nulls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True, slots=True)
class RowValue:
    """A column."""

    name: Any
    dtype: Any = None
    """The type that it is cast to first; None for its own."""


@dataclass(frozen=True, slots=True, eq=False)
class RowFunction:
    """A function of columns, each row by itself."""

    kind: str
    """What it is called: with its arguments this says all of it."""
    operation: Callable[..., Any]
    """What works it out of columns."""
    arguments: tuple[Any, ...]
    """Columns, functions of columns, and constants."""
    keywords: tuple[tuple[str, Any], ...] = ()

    def __dask_tokenize__(self) -> tuple[object, ...]:
        arguments = tuple(_token(argument) for argument in self.arguments)
        return (
            "RowFunction",
            self.kind,
            arguments,
            tuple((name, _token(value)) for name, value in self.keywords),
        )


@dataclass(frozen=True, slots=True, eq=False)
class ColumnsMade:
    """What is made of a frame: some of its rows and columns, and new columns."""

    kept: tuple[Any, ...]
    """Columns that stay."""
    added: tuple[tuple[str, Any], ...]
    """Names of new columns, and what they are: a :class:`RowFunction`, a :class:`RowValue` or a constant."""
    where: tuple[Any, ...] = ()
    """What is true of rows that stay."""

    def __dask_tokenize__(self) -> tuple[object, ...]:
        added = tuple((name, _token(function)) for name, function in self.added)
        return ("ColumnsMade", self.kept, added, tuple(_token(condition) for condition in self.where))


def made_columns(frame: pd.DataFrame, made: ColumnsMade) -> pd.DataFrame:
    """Make the columns of a partition.

    Notes
    -----
    Memory: the columns, and while one is worked out the values that it is made of.

    Examples
    --------
    >>> import operator
    >>> frame = pd.DataFrame({"a": [1, 2, 3], "b": [4, 5, 6]})
    >>> twice = RowFunction("Mul", operator.mul, (RowValue("b"), 2))
    >>> large = RowFunction("GT", operator.gt, (RowValue("a"), 1))
    >>> made_columns(frame, ColumnsMade(("a",), (("c", twice),), (large,)))
       a   c
    1  2  10
    2  3  12
    """
    for condition in made.where:
        frame = frame[_values(condition, frame)]
    added = {name: _values(function, frame) for name, function in made.added}
    return frame[list(made.kept)].assign(**added)


def is_null_of_nulls(function: Any, dtypes: Mapping[Any, Any]) -> bool:
    """Whether a function has no value in a row whose columns, of these types, have none."""
    row = pd.DataFrame({name: pd.Series([None], dtype=dtype) for name, dtype in dtypes.items()})
    try:
        return bool(pd.isna(_values(function, row).iloc[0]))
    except (TypeError, ValueError, AttributeError, ArithmeticError, KeyError):
        return False


def values_used(function: Any) -> Iterator[Any]:
    """Return the names of the columns that a function is of."""
    if isinstance(function, RowValue):
        yield function.name
    elif isinstance(function, RowFunction):
        for argument in function.arguments:
            yield from values_used(argument)


def _token(value: Any) -> object:
    """Return a text that is the same in every process: what operates has an address."""
    return (
        value.__dask_tokenize__() if isinstance(value, RowFunction) else (type(value).__name__, repr(value))
    )


def _values(function: Any, frame: pd.DataFrame) -> Any:
    if isinstance(function, RowValue):
        column = frame[function.name]
        return column if function.dtype is None else column.astype(function.dtype)
    if isinstance(function, RowFunction):
        arguments = [_values(argument, frame) for argument in function.arguments]
        return function.operation(*arguments, **dict(function.keywords))
    return function
