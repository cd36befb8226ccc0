"""What is asked of a group-by, in one form, whatever form of pandas it was written in.

Covers: every form of ``DataFrameGroupBy.agg`` and ``SeriesGroupBy.agg``, labels of the result.
Does not cover: whether a column's type takes the function (``kernels.groupby.families``).
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

DECOMPOSABLE = frozenset(
    {
        "sum",
        "mean",
        "count",
        "size",
        "min",
        "max",
        "prod",
        "var",
        "std",
        "sem",
        "skew",
        "first",
        "last",
        "any",
        "all",
        "idxmin",
        "idxmax",
    }
)
"""Functions of a group that are made of states of its parts."""

_OF_VALUES = (DECOMPOSABLE - {"idxmin", "idxmax"}) | {"median", "quantile", "nunique"}
"""Functions whose result has nothing of the labels of rows."""

PAIRED = frozenset({"cov", "corr"})
"""Functions of two columns that are made of states."""

Options = tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two columns that a function looks at together, in rows that have both."""

    one: Any
    two: Any


@dataclass(frozen=True, slots=True)
class Aggregation:
    """One column of the result."""

    column: Any | None
    """The column of values, or a :class:`Pair` of them; None where only rows are counted."""
    function: str
    """One of :data:`DECOMPOSABLE`, or of :data:`PAIRED` for a pair."""
    label: Any
    """What the column is called in the result, as pandas has it."""
    options: Options = ()
    """Arguments of the function."""

    @property
    def columns(self) -> tuple[Any, ...]:
        """Columns that are looked at."""
        if isinstance(self.column, Pair):
            return self.column.one, self.column.two
        return () if self.column is None else (self.column,)

    @property
    def pairs_with_itself(self) -> bool:
        """Whether it looks at a column twice: the diagonal of a matrix."""
        return isinstance(self.column, Pair) and self.column.one == self.column.two

    def option(self, name: str, default: Any) -> Any:
        """Return an argument of the function."""
        return dict(self.options).get(name, default)


def pairs_of(columns: Sequence[Any], function: str, options: Options) -> list[Aggregation]:
    """Return the aggregations that a matrix of all pairs of columns is made of, each pair once.

    Examples
    --------
    >>> [(one.column.one, one.column.two) for one in pairs_of(["a", "b"], "corr", ())]
    [('a', 'a'), ('a', 'b'), ('b', 'b')]
    """
    return [
        Aggregation(column=Pair(one, two), function=function, label=(one, two), options=options)
        for place, one in enumerate(columns)
        for two in columns[place:]
    ]


_SERIES_METHODS: dict[Any, tuple[str, Options]] = {
    np.sum: ("sum", ()),
    np.mean: ("mean", ()),
    np.prod: ("prod", ()),
    np.min: ("min", ()),
    np.max: ("max", ()),
    np.any: ("any", ()),
    np.all: ("all", ()),
    builtins.len: ("size", ()),
}
"""Functions that call the method of a column of the same name, with the same result as that of a group."""

if pd.__version__ < "3":
    # pandas 2 takes these for the names of methods; pandas 3 calls them, and they know nothing of nulls.
    _SERIES_METHODS |= {builtins.sum: ("sum", ()), builtins.min: ("min", ()), builtins.max: ("max", ())}


@dataclass(frozen=True, slots=True)
class Term:
    """A function of a column, whatever it is, and what the result is called."""

    column: Any
    function: Any
    label: Any

    @property
    def may_see_index(self) -> bool:
        """Whether the result may depend on the labels of rows."""
        return not isinstance(self.function, str) or self.function not in _OF_VALUES


def aggregations(
    columns: Sequence[Any], by: Sequence[Any], spec: Any, named: Mapping[str, Any], *, picked: Any = None
) -> list[Aggregation] | None:
    """Return what the arguments of ``agg`` ask for, as functions that are made of states.

    Parameters
    ----------
    columns
        The columns of the frame, or those that were picked of it as a list.
    by
        The columns that make a group.
    spec, named
        The positional argument of ``agg``, and its keywords where it is None.
    picked
        The column of a ``SeriesGroupBy``; None for a ``DataFrameGroupBy``.

    Returns
    -------
    list of Aggregation, or None
        In the order of the result's columns. None where something is no function that states
        are known of, or where pandas would refuse it.

    Examples
    --------
    >>> [one.label for one in aggregations(["k", "v"], ["k"], {"v": ["sum", "max"]}, {})]
    [('v', 'sum'), ('v', 'max')]
    >>> aggregations(["k", "v"], ["k"], None, {"total": ("v", "sum")})
    [Aggregation(column='v', function='sum', label='total', options=())]
    >>> aggregations(["k", "v"], ["k"], "median", {}) is None
    True
    """
    if picked is None and isinstance(spec, str) and spec == "size":
        return [Aggregation(None, "size", "size")]
    asked = terms(columns, by, spec, named, picked=picked)
    found = [_aggregation(one) for one in asked or ()]
    if not found or any(one is None or one.column in by for one in found):
        return None
    known = [one for one in found if one is not None]
    return known if len({one.label for one in known}) == len(known) else None


def terms(
    columns: Sequence[Any], by: Sequence[Any], spec: Any, named: Mapping[str, Any], *, picked: Any = None
) -> list[Term] | None:
    """Return functions of columns in the order of the result's columns, as :func:`aggregations` does, for any functions.

    None where pandas would refuse the arguments.
    """
    values = [picked] if picked is not None else [name for name in columns if name not in by]
    if spec is None:
        return _of_names([*values, *by], named, picked=picked)
    if isinstance(spec, Mapping):
        return _of_mapping([*values, *by], spec) if picked is None else None
    if isinstance(spec, (list, tuple)):
        return [
            Term(name, function, label if picked is not None else (name, label))
            for name in values
            for label, function in _labelled(spec)
        ]
    return [Term(name, spec, name) for name in values]


def _of_names(values: Sequence[Any], named: Mapping[str, Any], *, picked: Any) -> list[Term] | None:
    """Return those of keywords: a function each, or a column and its function."""
    found: list[Term] = []
    for label, value in named.items():
        if picked is not None:
            column, function = picked, value
        elif isinstance(value, pd.NamedAgg):
            if getattr(value, "args", ()) or getattr(value, "kwargs", {}):
                return None
            column, function = value.column, value.aggfunc
        elif isinstance(value, tuple) and len(value) == 2:
            column, function = value
        else:
            return None
        if column not in values:
            return None
        found.append(Term(column, function, label))
    return found


def _of_mapping(values: Sequence[Any], spec: Mapping[Any, Any]) -> list[Term] | None:
    """Return those of a function, or several, for each column; where any has several, labels have two levels."""
    several = any(isinstance(value, (list, tuple, Mapping)) for value in spec.values())
    found: list[Term] = []
    for column, value in spec.items():
        if column not in values or isinstance(value, Mapping):
            return None
        if not several:
            found.append(Term(column, value, column))
            continue
        functions = value if isinstance(value, (list, tuple)) else [value]
        found += [Term(column, function, (column, label)) for label, function in _labelled(functions)]
    return found


def _labelled(functions: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Return functions of a list, each with its label."""
    if any(isinstance(one, (list, tuple)) for one in functions):
        functions = [one if isinstance(one, (list, tuple)) else (one, one) for one in functions]
        return [(one[0], one[1]) for one in functions if len(one) == 2] if functions else []
    return [(one if isinstance(one, str) else getattr(one, "__name__", None), one) for one in functions]


def _aggregation(term: Term) -> Aggregation | None:
    column, function, label = term.column, term.function, term.label
    if isinstance(function, str):
        return Aggregation(column, function, label) if function in DECOMPOSABLE else None
    if not isinstance(function, Callable) or isinstance(function, type):  # type: ignore[arg-type]
        return None
    try:
        name, options = _SERIES_METHODS[function]
    except (KeyError, TypeError):
        return None
    return Aggregation(column, name, label, options)
