"""States of groups: rows that are made of a partition, merged in any number of steps, and finished.

Covers: frames of states, single rows as states, merging, results, groups that categories call for.
Does not cover: what a state is (``kernels.groupby.parts``), where states meet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from safeframe.kernels.columns.categories import text_columns
from safeframe.kernels.groupby.families import Plain, decomposable, plain
from safeframe.kernels.groupby.integers import IntegerSums
from safeframe.kernels.groupby.matrices import figures_of_pairs, matrices
from safeframe.kernels.groupby.parts import (
    ROWS,
    Columns,
    Part,
    columns_of,
    merged_parts,
    n_columns,
    needs_numbers,
    of_pairs,
    of_rows,
    parts_of,
    taken,
)
from safeframe.kernels.groupby.results import key_index, result
from safeframe.kernels.groupby.spec import Aggregation, Pair
from safeframe.kernels.groupby.state_frames import frame_of, state_frame
from safeframe.kernels.keys.nulls import any_null
from safeframe.kernels.keys.numbering import Groups, numbered
from safeframe.kernels.keys.schema import known_categories

__all__ = ["GroupStates", "decomposable"]


@dataclass(frozen=True, slots=True, eq=False)
class GroupStates:
    """How states of groups are made, merged and finished.

    Notes
    -----
    ``merged`` keeps the order of rows: of a group, the first row of the states is the one whose
    values came first. ``first`` and ``last`` hold that, and which of equal keys is shown.

    Examples
    --------
    >>> frame = pd.DataFrame({"k": [1, 2, 1], "v": [1.0, 2.0, 3.0]})
    >>> aggs = (Aggregation("v", "mean", "v"),)
    >>> states = GroupStates.of(frame[:0], ("k",), aggs, dropna=True, observed=True, sort=False)
    >>> halves = pd.concat([states.states(frame[:2]), states.states(frame[2:])])
    >>> states.finished(states.merged(halves), frame[:0].groupby("k").mean())
         v
    k
    1  2.0
    2  2.0
    """

    by: tuple[Any, ...]
    """The columns that make a group."""
    aggs: tuple[Aggregation, ...]
    """The columns of the result, in their order."""
    dropna: bool
    """Whether rows with a null key are in no group."""
    observed: bool
    """Whether groups that categories call for, and no row has, are left out."""
    sort: bool
    """Whether the result is in the order of keys, as pandas sorts them."""
    dtypes: tuple[tuple[Any, Any], ...]
    """Columns of values, and the types that are promised."""
    parts: tuple[Part, ...]
    """What is kept of a group."""
    meta: pd.DataFrame
    """States of no rows: keys under their own names, then parts."""

    @classmethod
    def of(
        cls,
        meta: pd.DataFrame,
        by: Sequence[Any],
        aggs: Sequence[Aggregation],
        *,
        dropna: bool,
        observed: bool,
        sort: bool,
    ) -> GroupStates:
        """Say how states are made of frames like ``meta``, an empty one; of aggregations that are :func:`decomposable`."""
        values = dict.fromkeys(name for agg in aggs for name in agg.columns)
        dtypes = {name: meta[name].dtype for name in values}
        parts = dict.fromkeys(part for agg in aggs for part in parts_of(agg, dtypes.get(agg.column)))
        for name, kind in list(parts):
            if kind == "third moments":
                parts.pop((name, "moments"), None)
        empty = cls(
            by=tuple(by),
            aggs=tuple(aggs),
            dropna=dropna,
            observed=observed,
            sort=sort,
            dtypes=tuple(dtypes.items()),
            parts=tuple(parts),
            meta=meta[list(by)].iloc[:0],
        )
        if empty.calls_for_groups:
            empty = replace(empty, parts=tuple(dict.fromkeys((ROWS, *parts))))
        return replace(empty, meta=empty.states(meta.iloc[:0]))

    @property
    def columns(self) -> list[Any]:
        """The columns of a frame that are needed, each once."""
        return list(dict.fromkeys([*self.by, *(name for name, _ in self.dtypes)]))

    @property
    def text_keys(self) -> frozenset[Any]:
        """Keys of strings, which may come as categories: states have them as strings again."""
        return text_columns(self.meta[list(self.by)].dtypes.to_dict())

    @property
    def calls_for_groups(self) -> bool:
        """Whether there are groups that no row has (:meth:`unobserved`)."""
        dtypes = (self.meta[name].dtype for name in self.by)
        return not self.observed and any(isinstance(dtype, pd.CategoricalDtype) for dtype in dtypes)

    @property
    def paired(self) -> bool:
        """Whether the result is a matrix of pairs of columns for each group."""
        return any(isinstance(agg.column, Pair) for agg in self.aggs)

    @property
    def _key_meta(self) -> pd.Index[Any]:
        """The index that keys make of no rows."""
        return self.meta.groupby(list(self.by), observed=True, dropna=False).size().index

    def __dask_tokenize__(self) -> tuple[object, ...]:
        types = [(name, repr(dtype)) for name, dtype in self.meta.dtypes.items()]
        return "GroupStates", self.by, self.aggs, self.dropna, self.observed, self.sort, types

    def states(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the states of a frame's groups, in the order of their first rows."""
        frame, keys = self._kept(frame)
        numbers = self._numbers(frame)
        groups: Groups = numbered(keys)
        sums = IntegerSums(numbers, groups)
        made = {part: sums.part(part) for part in self.parts}
        rows = {
            part: self._part_of_rows(part, frame, keys, numbers)
            for part, found in made.items()
            if found is None
        }
        found = merged_parts(rows, groups)
        parts = {part: found[part] if direct is None else direct for part, direct in made.items()}
        return self._frame([key.take(groups.firsts) for key in keys], parts)

    def merged(self, states: pd.DataFrame) -> pd.DataFrame:
        """Merge states of the same key, in the order of the first ones."""
        if self.calls_for_groups:
            states = _without_needless(states, self._keys(states), self._parts(states)[ROWS][0])
        return self._grouped(self._keys(states), self._parts(states))

    def finished(self, states: pd.DataFrame, result_meta: pd.DataFrame) -> pd.DataFrame:
        """Return the result of states, of which no two have the same key.

        Parameters
        ----------
        states
            As :meth:`merged` returns them.
        result_meta
            The result of no rows, as pandas has it: names and types.
        """
        if self.sort and len(states):
            groups = states[list(self.by)].groupby(list(self.by), sort=True, dropna=False, observed=True)
            states = states.take(np.argsort(groups.ngroup().to_numpy(), kind="stable"))
        parts, dtypes = self._parts(states), dict(self.dtypes)
        index = key_index(self._keys(states), result_meta.index if not self.paired else self._key_meta)
        if self.paired:
            return matrices(figures_of_pairs(self.aggs, parts), index, result_meta)
        rows = parts[ROWS][0] if self.calls_for_groups else None
        columns: list[Any] = []
        for agg, promised in zip(self.aggs, result_meta.dtypes, strict=True):
            column = result(agg, parts, dtypes.get(agg.column), promised)
            if rows is not None and agg.function in ("min", "max", "first", "last") and (rows == 0).any():
                column = pd.Series(column).where(rows > 0).array
            columns.append(column)
        return frame_of(columns, result_meta.columns, index)

    def unobserved(self, levels: Mapping[Any, Any] | None = None) -> pd.DataFrame:
        """Return a state of no rows for each group that categories call for; merging it changes no other.

        Parameters
        ----------
        levels
            All keys of each column that has no categories, where there is one; and of a column that has, where
            a null is one of its groups, the categories and that.
        """
        names = list(self.by)
        dtypes = [self.meta[name].dtype for name in names]
        values = [
            levels[name]
            if levels and name in levels
            else dtype.categories[: None if known_categories(dtype) else 0]
            for name, dtype in zip(names, dtypes, strict=True)
        ]
        places = np.indices([len(level) for level in values]).reshape(len(values), -1)
        keys = [
            pd.Series(pd.Index(level).take(place)).astype(dtype)
            for level, place, dtype in zip(values, places, dtypes, strict=True)
        ]
        n_rows = places.shape[1]
        parts: dict[Part, list[Any]] = {}
        for part, columns in self._parts(self.meta).items():
            parts[part] = [_neutral(part[1], column, n_rows) for column in columns]
        return self._frame(keys, parts)

    def _kept(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, list[pd.Series[Any]]]:
        """Return the rows that are in a group, and their keys."""
        null = any_null([frame[name] for name in self.by]) if self.dropna else None
        if null is not None:
            frame = frame.loc[~null, self.columns]
        return frame, self._keys(frame)

    def _rows(self, frame: pd.DataFrame) -> tuple[list[pd.Series[Any]], dict[Part, list[Any]]]:
        """Return the keys and the parts of each row that is in a group."""
        frame, keys = self._kept(frame)
        numbers = self._numbers(frame)
        return keys, {part: self._part_of_rows(part, frame, keys, numbers) for part in self.parts}

    def _numbers(self, frame: pd.DataFrame) -> dict[Any, Plain]:
        """Return the plain values of columns of which parts are made of those."""
        return {
            name: plain(frame[name])
            for name, dtype in self.dtypes
            if any(name in columns_of(part) and needs_numbers(part, dtype) for part in self.parts)
        }

    def _part_of_rows(
        self,
        part: Part,
        frame: pd.DataFrame,
        keys: Sequence[pd.Series[Any]],
        numbers: Mapping[Any, Plain],
    ) -> list[Any]:
        name = part[0]
        if isinstance(name, Pair):
            return of_pairs(part, numbers[name.one], numbers[name.two])
        series: Any = keys[0] if part == ROWS else frame[name]
        used = numbers[name] if part != ROWS and needs_numbers(part, dict(self.dtypes)[name]) else None
        return of_rows(part, series, used)

    def _keys(self, frame: pd.DataFrame) -> list[pd.Series[Any]]:
        return [frame[name] for name in self.by]

    def _parts(self, states: pd.DataFrame) -> dict[Part, list[Any]]:
        place = len(self.by)
        parts: dict[Part, list[Any]] = {}
        for part in self.parts:
            columns = (states.iloc[:, place + number] for number in range(n_columns(part)))
            parts[part] = [c.to_numpy() if isinstance(c.dtype, np.dtype) else c.array for c in columns]
            place += n_columns(part)
        return parts

    def _grouped(self, keys: Sequence[pd.Series[Any]], parts: Mapping[Part, Columns]) -> pd.DataFrame:
        groups: Groups = numbered(keys)
        return self._frame([key.take(groups.firsts) for key in keys], merged_parts(parts, groups))

    def _frame(self, keys: Sequence[pd.Series[Any]], parts: Mapping[Part, Columns]) -> pd.DataFrame:
        """Return keys and parts as a frame of states."""
        columns = {
            f"{number}.{part[1]}.{place}": column
            for number, (part, values) in enumerate(parts.items())
            for place, column in enumerate(values)
        }
        return state_frame(self.meta, self.by, keys, columns)


def _without_needless(states: pd.DataFrame, keys: Sequence[pd.Series[Any]], rows: Any) -> pd.DataFrame:
    """Leave out states of no rows of groups that have some."""
    if rows.all():
        return states
    groups = numbered(keys)
    some = np.zeros(groups.n_groups, np.bool_)
    some[groups.numbers[rows > 0]] = True
    needed: pd.DataFrame = states.loc[(rows > 0) | ~some[groups.numbers]]
    return needed


def _neutral(kind: str, column: Any, n_rows: int) -> Any:
    """Return values that are merged with others without effect, or that a count of zero makes meaningless."""
    if kind == "sum" and not isinstance(column, np.ndarray):
        return pd.array([0] * n_rows, dtype=column.dtype)
    if isinstance(column, np.ndarray) and column.dtype.kind in "iub":
        return np.full(n_rows, kind in ("prod", "all"), column.dtype)
    if (
        isinstance(column, np.ndarray)
        and column.dtype.kind == "f"
        and kind not in ("min", "max", "first", "last")
    ):
        return np.full(n_rows, float(kind == "prod"), column.dtype)
    return taken(column, np.full(n_rows, -1, np.int64))
