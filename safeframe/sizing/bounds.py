"""Bounds of the rows and bytes of any step of a frame, without computing any.

Covers: rows of parquet files by their footers and of pandas frames, and what steps make of them at most; bytes of a row
by types, by footers and the first rows of some row groups for strings in files, and by the frame itself for pandas.
Does not cover: rows that only a run would tell (functions of the user's, delayed values, persisted data, merges
whose keys are not counted): these are not known, and a bound says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from dask.dataframe.api import new_collection

from safeframe._dask import gathering
from safeframe._dask.expressions import (
    Assign,
    Elemwise,
    Expr,
    Filter,
    FromPandas,
    GroupByApplyConcatApply,
    Index,
    Merge,
    Partitions,
    Projection,
    row_filters,
    row_steps,
)
from safeframe._dask.parquet import is_parquet
from safeframe.facts.estimate import Estimate, Width, added
from safeframe.sizing.columns.fixed_widths import fixed_nbytes
from safeframe.sizing.columns.widths import INDEX, sampled_widths

_RANGE = Width(least=0.0, expected=8.0, most=8.0, widest=8.0, exact=False)
"""A range has no bytes of its own, and becomes numbers where rows of several are joined."""
_KEEPS_VALUES: tuple[type, ...] = (
    *(Projection, Filter, Index, Partitions, Assign, Merge, gathering.Concat, gathering.Drop, gathering.ToFrame, gathering.ResetIndex),
    *(gathering.Query, gathering.Sample, gathering.Head, gathering.Tail, gathering.Repartition, gathering.SetIndex, gathering.SortValues),
    *(gathering.ShuffleBase, gathering.Unique, gathering.ValueCounts),
)  # fmt: skip
"""Steps whose columns hold values of what they take, under the same names."""
_GROUPS: tuple[type, ...] = (GroupByApplyConcatApply, gathering.GroupByReduction)
_SAME_ROWS: tuple[type, ...] = (
    gathering.SetIndex,
    gathering.SortValues,
    gathering.ShuffleBase,
    gathering.Repartition,
)
_AT_MOST_AS_MANY: tuple[type, ...] = (
    *_GROUPS, gathering.Unique, gathering.ValueCounts, gathering.Mode, gathering.Query, gathering.Sample
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """What a step's result holds at most."""

    rows: Estimate | None = None
    """Rows of all partitions."""
    partitions: int | None = None
    """Their number."""
    lengths: tuple[int, ...] | None = None
    """Rows of each partition."""
    widths: dict[Any, Width | None] = field(default_factory=dict)
    """Bytes of a row of each column, and of the index under ``INDEX``; None where not known."""
    total: Estimate | None = None
    """Bytes in all, where these are known other than by rows and widths."""
    unknown: str = ""
    """Why the rows are not known."""

    @property
    def width(self) -> Width | None:
        """Bytes of a row with its index."""
        known = [width for width in self.widths.values() if width is not None]
        return added(known) if len(known) == len(self.widths) else None

    @property
    def nbytes(self) -> Estimate | None:
        """Bytes of all partitions."""
        if self.total is not None:
            return self.total
        width = self.width
        return None if self.rows is None or width is None else width.of(self.rows)

    @property
    def why_unknown(self) -> str:
        """Why the bytes are not known."""
        if self.rows is None:
            return self.unknown or "the number of rows"
        names = [name for name, width in self.widths.items() if width is None]
        names = ["the index" if name is INDEX else f"column {name!r}" for name in names]
        return f"the width of {', '.join(names[:3])}{', …' if len(names) > 3 else ''}"


class Bounds:
    """Bounds of the steps of one frame, each found once.

    Parameters
    ----------
    special
        Returns the bound of a step that it knows more of, such as a recipe's own; None for all others.
    """

    def __init__(self, special: Callable[[Any, Bounds], Bound | None]) -> None:
        self._special = special
        self._found: dict[str, Bound] = {}
        self._waiting: dict[str, bool] = {}

    def of(self, node: Any) -> Bound:
        """Return the bound of a step's result.

        Notes
        -----
        **Eager.** Footers of parquet files are read, and of columns of strings the first rows of some row groups.
        """
        if node._name not in self._found:
            try:
                found = self._special(node, self)
                found = self._made(node) if found is None else found
            except Exception:  # noqa: BLE001  # dask's private parts, asked of any node that a user can make
                found = Bound(unknown=f"how many rows {type(node).__name__} makes")
            self._found[node._name] = found
        return self._found[node._name]

    def waits(self, node: Any) -> bool:
        """Whether dask computes data when it is asked for a step's divisions."""
        if node._name not in self._waiting:
            below = gathering.computes_divisions(node) or any(map(self.waits, node.dependencies()))
            self._waiting[node._name] = below
        return self._waiting[node._name]

    def _made(self, node: Any) -> Bound:
        below = node.dependencies()
        if not below:
            return _source(node)
        bound = _rows_of(node, [(one, self.of(one)) for one in below])
        return replace(bound, partitions=self._partitions(node), widths=self._widths(node))

    def _partitions(self, node: Any) -> int | None:
        if not self.waits(node):
            return int(node.npartitions)
        if type(node) in row_steps() | row_filters() or isinstance(node, Elemwise):
            return self.of(node.dependencies()[0]).partitions
        for name in ("npartitions", "new_partitions", "npartitions_out", "_npartitions", "split_out"):
            if name in node._parameters:
                asked = node.operand(name)
                return asked if isinstance(asked, int) and not isinstance(asked, bool) else None
        return None

    def _widths(self, node: Any) -> dict[Any, Width | None]:
        below = node.dependencies()
        keeps = isinstance(node, _KEEPS_VALUES) or type(node) in row_filters()
        made = set(node.keys) if isinstance(node, Assign) else set()

        def known(name: Any) -> Width | None:
            if not keeps or name in made:
                return None
            for one in below:
                found = self.of(one).widths
                if name in found:
                    return found[name]
                if (
                    one._meta is not None
                    and getattr(one._meta.index, "name", None) == name
                    and INDEX in found
                ):
                    return found[INDEX]
            return None

        found = widths_of(node._meta, known)
        if isinstance(node, (GroupByApplyConcatApply, gathering.GroupByReduction)) and not any(
            isinstance(one, Expr) for one in node.by
        ):
            # Keys are those of the frame, whatever becomes of other columns.
            keys = widths_of(node._meta.index[:0], self.of(below[0]).widths.get)
            found[INDEX] = keys[INDEX]
        return found


def widths_of(meta: Any, known: Callable[[Any], Width | None]) -> dict[Any, Width | None]:
    """Return the widths of the columns and the index of a frame like ``meta``, those that types do not say by ``known``."""
    found: dict[Any, Width | None] = {}
    if isinstance(meta, pd.DataFrame):
        columns = dict(meta.dtypes.items())
    elif isinstance(meta, pd.Series):
        columns = {meta.name: meta.dtype}
    elif isinstance(meta, pd.Index):
        columns = {}
    else:
        return {}  # a number
    for name, dtype in columns.items():
        fixed = fixed_nbytes(dtype)
        found[name] = known(name) if fixed is None else Width.fixed(fixed)
    found[INDEX] = _index_width(meta if isinstance(meta, pd.Index) else meta.index, known)
    return found


def _index_width(index: pd.Index[Any], known: Callable[[Any], Width | None]) -> Width | None:
    if isinstance(index, pd.RangeIndex):
        return _RANGE
    if isinstance(index, pd.MultiIndex):
        levels: list[Width | None] = []
        for level in index.levels:
            fixed = fixed_nbytes(level.dtype)
            levels.append(known(level.name) if fixed is None else Width.fixed(fixed))
        given = [one for one in levels if one is not None]
        # Codes of a level have four bytes or fewer.
        return added(given) + Width.fixed(4.0 * len(given)) if len(given) == len(levels) else None
    fixed = fixed_nbytes(index.dtype)
    if fixed is not None:
        return Width.fixed(fixed)
    named = None if index.name is None else known(index.name)
    return known(INDEX) if named is None else named


# Sources ---------------------------------------------------------------------


def _source(leaf: Any) -> Bound:
    found = gathering.source_lengths(leaf)
    partitions = int(leaf.npartitions)
    if found is None:
        why = "how many rows its source has before it is computed"
        return Bound(partitions=partitions, unknown=why, widths=widths_of(leaf._meta, lambda _: None))
    lengths, filtered = found
    rows = Estimate.computed(sum(lengths), method="footer")
    if isinstance(leaf, FromPandas):
        widths = widths_of(leaf._meta, _in_pandas(gathering.pandas_source(leaf)))
    elif is_parquet(leaf):
        widths = widths_of(leaf._meta, _in_files(leaf, lengths))
    else:
        widths = widths_of(leaf._meta, lambda _: None)
    if filtered:
        return Bound(rows=_at_most(rows), partitions=partitions, widths=widths)
    return Bound(rows=rows, partitions=partitions, lengths=lengths, widths=widths)


def _in_pandas(data: Any) -> Callable[[Any], Width | None]:
    frame = data if isinstance(data, pd.DataFrame) else pd.DataFrame({data.name: data})
    rows = max(1, len(frame))

    def width(name: Any) -> Width | None:
        if name is INDEX:
            return _mean(float(frame.index.memory_usage(deep=True)) / rows, frame.index.dtype)
        if name not in frame.columns:
            return None
        column = frame[name]
        return _mean(float(column.memory_usage(index=False, deep=True)) / rows, column.dtype)

    return width


def _mean(nbytes: float, dtype: Any) -> Width:
    # dask makes Arrow's strings of Python's, which are no longer.
    least = 0.0 if pd.api.types.is_object_dtype(dtype) else nbytes
    return Width(least=least, expected=nbytes, most=nbytes, widest=nbytes, exact=False)


def _in_files(leaf: Any, lengths: tuple[int, ...]) -> Callable[[Any], Width | None]:
    ddf = new_collection(leaf)
    if ddf.ndim == 1:
        return lambda _: None
    varying = [name for name, dtype in ddf._meta.dtypes.items() if fixed_nbytes(dtype) is None]
    index = ddf._meta.index
    with_index = not isinstance(index, (pd.RangeIndex, pd.MultiIndex)) and fixed_nbytes(index.dtype) is None
    found: dict[Any, Width] = {}
    if varying or with_index:
        found = sampled_widths(ddf, varying, np.array(lengths, np.int64), with_index=with_index)
    return found.get


# Steps -----------------------------------------------------------------------


def _rows_of(node: Any, pairs: list[tuple[Any, Bound]]) -> Bound:
    below = [bound for _, bound in pairs]
    first, kind = below[0], type(node)
    if node.ndim == 0:
        return Bound(rows=Estimate.computed(1))
    if kind in row_steps() or isinstance(node, Elemwise):
        return _of_each_row([bound for one, bound in pairs if one.ndim])
    if isinstance(node, _SAME_ROWS):
        return Bound(rows=first.rows, unknown=first.unknown)
    if isinstance(node, Partitions) and first.lengths is not None:
        lengths = tuple(first.lengths[at] for at in node.partitions)
        return Bound(rows=Estimate.computed(sum(lengths), method="footer"), lengths=lengths)
    if isinstance(node, (gathering.Head, gathering.Tail)):
        return Bound(rows=_at_most(Estimate.computed(abs(int(node.operand("n"))))))
    if isinstance(node, gathering.Concat) and node.operand("axis") == 0:
        return _sum(below)
    if isinstance(node, Merge):
        if node.how in ("leftsemi", "leftanti"):
            return _fewer(first)
        return Bound(
            unknown="how many rows a merge makes, whose keys are not counted (count_keys=True counts them)"
        )
    if kind in row_filters() or isinstance(node, _AT_MOST_AS_MANY):
        if _adds_categories(node):
            return Bound(unknown="how many rows categories without a row make")
        return _fewer(first)
    return Bound(unknown=f"how many rows {kind.__name__} makes")


def _of_each_row(below: list[Bound]) -> Bound:
    first = below[0]
    if len(below) > 1 and (first.rows is None or any(_ends(one) != _ends(first) for one in below)):
        return Bound(unknown=first.unknown or "how many rows frames have that are aligned")
    return Bound(rows=first.rows, lengths=first.lengths, unknown=first.unknown)


def _ends(bound: Bound) -> tuple[int, int, tuple[int, ...] | None] | None:
    return None if bound.rows is None else (bound.rows.lower, bound.rows.upper, bound.lengths)


def _adds_categories(node: Any) -> bool:
    """Whether a result has rows for categories that no row has."""
    index = getattr(node._meta, "index", None)
    levels = index.levels if isinstance(index, pd.MultiIndex) else [] if index is None else [index]
    if not any(isinstance(level.dtype, pd.CategoricalDtype) for level in levels):
        return False
    return isinstance(node, gathering.ValueCounts) or getattr(node, "observed", True) is not True


def _fewer(bound: Bound) -> Bound:
    return Bound(rows=None if bound.rows is None else _at_most(bound.rows), unknown=bound.unknown)


def _at_most(rows: Estimate) -> Estimate:
    return Estimate(lower=0, expected=rows.expected, upper=rows.upper, method=rows.method, exact=False)


def _sum(below: list[Bound]) -> Bound:
    rows = [one.rows for one in below if one.rows is not None]
    if len(rows) < len(below):
        return Bound(unknown=next(one.unknown for one in below if one.rows is None))
    return Bound(
        rows=Estimate(
            lower=sum(one.lower for one in rows),
            expected=sum(one.expected for one in rows),
            upper=sum(one.upper for one in rows),
            method=rows[0].method,
            exact=all(one.exact for one in rows),
        )
    )
