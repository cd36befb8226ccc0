"""Aggregations that pandas has not: those of dask's own protocol, lists of values, and most frequent values.

Covers: any form of ``agg`` that names one of them, next to functions that pandas knows; each is made of all groups at once.
Does not cover: aggregations by partial states (``kernels.groupby.states``), which these are not made of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from safeframe.errors import UnsupportedError
from safeframe.kernels.groupby.spec import Term, terms


@runtime_checkable
class Protocolled(Protocol):
    """What ``dask.dataframe.Aggregation`` is made of."""

    chunk: Callable[..., Any]
    """Takes the groups of a column, and returns an intermediate, or several in a tuple."""
    agg: Callable[..., Any]
    """Takes the groups of each intermediate, and returns as many."""
    finalize: Callable[..., Any] | None
    """Takes intermediates, and returns the result; None where there is one, which is the result."""


def is_mixed(function: Any) -> bool:
    """Whether a function is one that pandas does not know.

    Examples
    --------
    >>> is_mixed("mode"), is_mixed("sum")
    (True, False)
    """
    return isinstance(function, Protocolled) or (isinstance(function, str) and function in _NAMED)


@dataclass(frozen=True, slots=True, eq=False)
class MixedAggregation:
    """A call of ``agg`` on pandas' groups, with functions that pandas does not know among others.

    Examples
    --------
    >>> frame = pd.DataFrame({"k": [1, 2, 1, 1], "v": [5, 6, 5, 7]})
    >>> MixedAggregation(("v",), ("k",), None, {"v": ["mode", "max"]}, {})(frame.groupby("k"))
         v
      mode max
    k
    1    5   7
    2    6   6
    """

    columns: tuple[Any, ...]
    """The columns that are looked at."""
    by: tuple[Any, ...]
    """The columns that make a group."""
    picked: Any
    """The column of a ``SeriesGroupBy``; None for a ``DataFrameGroupBy``."""
    spec: Any
    """The positional argument."""
    named: Mapping[str, Any]
    """Keywords."""

    __name__ = "agg"

    def __call__(self, groups: Any) -> Any:
        """Aggregate all groups.

        Raises
        ------
        UnsupportedError
            When the arguments are in a form that pandas would refuse.
        """
        asked = terms(self.columns, self.by, self.spec, self.named, picked=self.picked)
        if not asked:
            msg = f"agg() takes no arguments of this form: {self.spec if self.spec is not None else self.named!r}."
            raise UnsupportedError(
                msg, hint="Name functions of columns, as in agg({'v': ['sum', aggregation]})."
            )
        made = [self._made(groups, one) for one in asked]
        labels = [one.label for one in asked]
        if self.picked is not None and self.spec is not None and not isinstance(self.spec, (list, tuple)):
            return made[0].rename(self.picked)
        index = groups.size().index
        result = pd.DataFrame({place: _aligned(one, index) for place, one in enumerate(made)}, index=index)
        several = isinstance(labels[0], tuple) and self.spec is not None
        result.columns = pd.MultiIndex.from_tuples(labels) if several else pd.Index(labels)
        return result

    def _made(self, groups: Any, term: Term) -> pd.Series[Any]:
        column = groups if self.picked is not None else groups[term.column]
        if isinstance(term.function, Protocolled):
            return _by_protocol(column, term.function, len(self.by))
        if is_mixed(term.function):
            return _NAMED[term.function](column)
        made: pd.Series[Any] = column.agg(term.function)
        return made


def _by_protocol(column: Any, function: Protocolled, n_keys: int) -> pd.Series[Any]:
    """Call the functions of an aggregation as dask does, with one chunk that has all rows."""
    made = function.chunk(column)
    made = made if isinstance(made, tuple) else (made,)
    parts = pd.DataFrame(dict(enumerate(made)))
    names = parts.index.names
    # A level by its number: pandas takes a number for a name where there is one.
    parts.index = parts.index.set_names([f"key {number}" for number in range(parts.index.nlevels)])
    again = parts.groupby(level=list(range(n_keys)), sort=False, dropna=False, observed=True)
    joined = function.agg(*(again[place] for place in parts.columns))
    joined = joined if isinstance(joined, tuple) else (joined,)
    result: pd.Series[Any] = joined[0] if function.finalize is None else function.finalize(*joined)
    return result.set_axis(result.index.set_names(names[:n_keys]))


def _mode(column: Any) -> pd.Series[Any]:
    """Return the most frequent value of each group, of several the least."""
    size, numbers, values = column.size(), column.ngroup().to_numpy(), column.obj
    index = size.index
    # Groups without rows, which categories call for, are in the result and have no number.
    with_rows = np.flatnonzero(size.to_numpy() > 0)
    counted = (numbers >= 0) & values.notna().to_numpy()
    codes, found = pd.factorize(values[counted], sort=True)
    pairs, counts = np.unique(
        numbers[counted].astype(np.int64) * max(len(found), 1) + codes, return_counts=True
    )
    groups, codes = np.divmod(pairs, max(len(found), 1))
    order = np.lexsort((codes, -counts, groups))
    first = order[np.r_[True, groups[order][1:] != groups[order][:-1]]] if len(order) else order
    places = np.full(len(index), -1, np.int64)
    places[with_rows[groups[first]]] = codes[first]
    taken: pd.Series[Any] = pd.Series(found, dtype=values.dtype).reindex(places)
    return pd.Series(taken.array, index=index, name=values.name)


def _values(column: Any) -> pd.Series[Any]:
    """Return a list of the values of each group."""
    made: pd.Series[Any] = column.agg(list)
    return made


_NAMED: dict[str, Callable[[Any], pd.Series[Any]]] = {"mode": _mode, "list": _values}
"""Names that dask or its users have for what pandas has no method of groups for."""


def _aligned(found: pd.Series[Any], index: pd.Index[Any]) -> pd.Series[Any]:
    return found if found.index.equals(index) else found.reindex(index)
