"""New columns and filters of a merge's result, moved to the side that they are of.

::

    Assign(merge(left, right), c=f(right's columns))  →  merge(left, MadeColumns(right)) under other names

A row of the result has a left row's values and a right row's. What is made of one
side's values, row by row, is therefore the same made before the merge, in fewer
rows; unless the side has no row there, which is where nulls stand in.

Covers: which side a column is of, its nulls and its type, the merge of sides with
new columns, its plan of files.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from dask.dataframe.api import meta_nonempty

from safeframe._dask.expressions import Blockwise
from safeframe.engine.merge.without_rows.read import NeedsRowsError, RowColumns, read_columns
from safeframe.facts.frame import ColumnProfile
from safeframe.facts.merge import MergeFacts
from safeframe.facts.plan import Plan
from safeframe.kernels.columns.functions import (
    ColumnsMade,
    RowFunction,
    RowValue,
    is_null_of_nulls,
    made_columns,
    values_used,
)
from safeframe.kernels.merge.output import OutputColumn
from safeframe.kernels.merge.spec import JoinSpec, SideSpec
from safeframe.planning.merge.without_rows import plan_wider_write
from safeframe.sizing.columns.fixed_widths import fixed_nbytes

__all__ = ["MadeColumns", "MovedColumns", "NeedsRowsError", "moved_columns", "moved_factors"]

_SAME_LENGTH = frozenset(
    ".str." + name
    for name in (
        "capitalize",
        "get",
        "lower",
        "lstrip",
        "rstrip",
        "slice",
        "strip",
        "swapcase",
        "title",
        "upper",
    )
)
"""Methods of ``.str`` whose strings are not longer than what they are made of."""
_SHORT_NBYTES = 96
"""Bytes of a number or a constant as a string of Python's, or in Arrow, at the most."""


@dataclass(frozen=True, slots=True, eq=False)
class MovedColumns:
    """A frame that is made of a merge, as another merge without anything that follows it."""

    merge: Any
    columns: tuple[tuple[Any, Any], ...]
    """Each column's name, and its name in the merge."""
    left: tuple[ColumnProfile, ...]
    """Columns that the left side has besides its own."""
    right: tuple[ColumnProfile, ...]
    """And the right one."""

    @property
    def planned(self) -> Any:
        """The merge with files that are planned for what it has; a reason where it is not to be written so."""
        if isinstance(self.merge.run.write, str) or not (self.left or self.right):
            return self.merge
        write = plan_wider_write(self.merge.facts, self.left, self.right)
        if isinstance(write, str):
            return write
        plan: Plan = self.merge.plan.with_write(write)
        return self.merge.of_other_sides(self.merge.left, self.merge.right, plan, filtered=False)


class MadeColumns(Blockwise):  # type: ignore[misc]  # dask's expressions are untyped
    """A frame with new columns, of its own rows' values, and some of its own."""

    _parameters: ClassVar[list[str]] = ["frame", "made"]
    operation = staticmethod(made_columns)

    @functools.cached_property
    def _meta(self) -> Any:
        return made_columns(meta_nonempty(self.frame._meta), self.made).iloc[:0]


def moved_columns(expr: Any) -> MovedColumns:
    """Move what is made of a merge's result to its sides.

    Parameters
    ----------
    expr
        A frame or a series.

    Raises
    ------
    NeedsRowsError
        Where something is of both sides, or of none.
    """
    read = read_columns(expr)
    if not read.where and all(isinstance(function, RowValue) for function in read.columns.values()):
        named = tuple((name, function.name) for name, function in read.columns.items())
        return MovedColumns(read.merge, named, (), ())
    meta = expr._meta if expr.ndim == 2 else expr._meta.to_frame()
    return _Mover(read, meta if read.columns else meta.iloc[:, :0]).moved()


def moved_factors(read: RowColumns, factors: Sequence[Any], dtype: Any) -> tuple[Any, dict[str, Any]]:
    """Move the two factors of a product to a side each.

    Parameters
    ----------
    read
        What the product was read of.
    factors
        The factors.
    dtype
        The type of the product.

    Returns
    -------
    tuple
        The merge, and by ``"left"`` and ``"right"`` what that side's factor is called there.

    Raises
    ------
    NeedsRowsError
        Where they are not of a side each.
    """
    columns = {
        number: RowFunction("AsType", pd.Series.astype, (factor, dtype))
        for number, factor in enumerate(factors)
    }
    meta = pd.DataFrame({number: pd.Series([], dtype=dtype) for number in columns})
    moved = _Mover(RowColumns(read.merge, columns, read.where), meta).moved()
    spec: JoinSpec = moved.merge._spec
    sources = dict(zip(spec.meta.columns, spec.output, strict=True))
    found = {"right" if sources[name].left is None else "left": name for _, name in moved.columns}
    if len(found) != 2:
        msg = "the factors are of one side"
        raise NeedsRowsError(msg)
    return moved.merge, found


class _Mover:
    """Divides the columns of a frame among the sides of a merge."""

    def __init__(self, read: RowColumns, meta: Any) -> None:
        self._read, self._meta = read, meta
        self._merge = read.merge
        self._spec: JoinSpec = self._merge._spec
        if self._merge.how in ("leftsemi", "leftanti"):
            msg = f"a {self._merge.how} merge repeats no row"
            raise NeedsRowsError(msg)
        if self._merge.indicator:
            msg = "the indicator column needs its rows"
            raise NeedsRowsError(msg)
        self._sources = dict(zip(self._spec.meta.columns, self._spec.output, strict=True))

    def moved(self) -> MovedColumns:
        added: dict[str, list[tuple[str, Any]]] = {"left": [], "right": []}
        where: dict[str, list[Any]] = {"left": [], "right": []}
        widths: dict[str, list[ColumnProfile]] = {"left": [], "right": []}
        wanted: dict[str, set[Any]] = {
            "left": set(self._merge.left_on),
            "right": set(self._merge.right_on),
        }
        prefix = "__column"
        taken = {str(name) for side in (self._spec.left, self._spec.right) for name in side.names}
        while any(name.startswith(prefix) for name in taken):
            prefix += "_"
        names: list[tuple[Any, Any]] = []
        for number, (name, function) in enumerate(self._read.columns.items()):
            if isinstance(function, RowValue):
                source = self._sources[function.name]
                for side, at in (("left", source.left), ("right", source.right)):
                    if at is not None:
                        wanted[side].add(self._side(side).names[at])
                names.append((name, source))
                continue
            side, own = self._of_one_side(function)
            new = f"{prefix}_{number}"
            added[side].append((new, own))
            widths[side].append(self._profile(new, own, side, self._meta.dtypes.iloc[number]))
            names.append((name, new))
        for condition in self._read.where.values():
            side, own = self._of_one_side(condition, filters=True)
            where[side].append(own)
        frames = [
            self._frame(side, wanted[side], tuple(added[side]), tuple(where[side]))
            for side in ("left", "right")
        ]
        filtered = any(where.values())
        merge = self._merge.of_other_sides(*frames, self._merge.plan, filtered=filtered)
        columns = tuple((name, self._name_in(merge._spec, place)) for name, place in names)
        for (name, new), dtype in zip(columns, self._meta.dtypes, strict=True):
            if merge._spec.meta[new].dtype != dtype:
                msg = f"{name!r} has another type where a side has no match"
                raise NeedsRowsError(msg)
        return MovedColumns(merge, columns, tuple(widths["left"]), tuple(widths["right"]))

    def _frame(
        self, side: str, wanted: set[Any], added: tuple[tuple[str, Any], ...], where: tuple[Any, ...]
    ) -> Any:
        """Return a side with the columns that are wanted, and new ones."""
        frame = getattr(self._merge, side)
        kept = [name for name in frame.columns if name in wanted]
        used = wanted.union(*(values_used(function) for _, function in added), *map(values_used, where))
        needed = [name for name in frame.columns if name in used]
        if needed != list(frame.columns):
            frame = frame[needed]
        return MadeColumns(frame, ColumnsMade(tuple(kept), added, where)) if added or where else frame

    def _side(self, side: str) -> SideSpec:
        return self._spec.left if side == "left" else self._spec.right

    def _missing(self, side: str) -> bool:
        """Whether some result rows have no row of a side."""
        return self._spec.left_missing if side == "left" else self._spec.right_missing

    def _of_one_side(self, function: Any, *, filters: bool = False) -> tuple[str, Any]:
        """Return a side that has all that a function is of, and the function of that side's columns."""
        used = set(values_used(function))
        reasons = []
        for side in self._sides():
            try:
                own = self._on_side(function, side)
            except NeedsRowsError as reason:
                reasons.append(reason)
                continue
            if filters and self._merge.how not in ("inner", side):
                # Rows of the other side would have no match, and stay.
                reasons.append(NeedsRowsError("it filters rows of the other side"))
            elif filters or not self._missing(side) or self._is_null_where_missing(own, side):
                return side, own
            else:
                reasons.append(NeedsRowsError("it has values where a side has no match"))
        if len(used) > 1 and all(str(reason) == _OTHER_SIDE for reason in reasons):
            msg = f"{', '.join(map(repr, sorted(used, key=str)))} come from both sides"
            raise NeedsRowsError(msg)
        raise next((reason for reason in reasons if str(reason) != _OTHER_SIDE), reasons[0])

    def _sides(self) -> Sequence[str]:
        """The sides, first the one whose keys and rows are surely there, or that with fewer rows."""
        facts: MergeFacts = self._merge.facts
        if self._merge.how in ("left", "right"):
            return ("left", "right") if self._merge.how == "left" else ("right", "left")
        fewer = "left" if facts.left.keys.rows <= facts.right.keys.rows else "right"
        return ("left", "right") if fewer == "left" else ("right", "left")

    def _on_side(self, function: Any, side: str) -> Any:
        if isinstance(function, RowFunction):
            arguments = tuple(self._on_side(argument, side) for argument in function.arguments)
            return replace(function, arguments=arguments)
        if not isinstance(function, RowValue):
            return function
        source, own = self._sources[function.name], self._side(side)
        at = source.left if side == "left" else source.right
        if at is None:
            raise NeedsRowsError(_OTHER_SIDE)
        dtype, result = own.dtypes[at], self._spec.meta[function.name].dtype
        if source.left is not None and source.right is not None:
            # A key of either side: it is this side's wherever that has a row.
            signed_zeros = isinstance(dtype, np.dtype) and dtype.kind == "f" and side != self._sides()[0]
            if self._missing(side) or dtype != result or signed_zeros:
                msg = f"the key {function.name!r} comes from both sides"
                raise NeedsRowsError(msg)
        if dtype == result:
            return RowValue(own.names[at])
        if isinstance(dtype, np.dtype) and dtype.kind in "iu" and result == np.dtype("float64"):
            return RowValue(own.names[at], result)
        msg = f"{function.name!r} has another type where a side has no match"
        raise NeedsRowsError(msg)

    def _is_null_where_missing(self, function: Any, side: str) -> bool:
        own = self._side(side)
        types = {}
        for name in set(values_used(function)):
            at = own.names.index(name)
            places = (
                name_in
                for name_in, source in self._sources.items()
                if (source.left if side == "left" else source.right) == at
            )
            types[name] = self._spec.meta[next(places)].dtype
        return is_null_of_nulls(function, types)

    def _profile(self, name: str, function: Any, side: str, dtype: Any) -> ColumnProfile:
        """Return how wide a new column is."""
        nbytes = fixed_nbytes(dtype)
        if nbytes is not None:
            return ColumnProfile(name=name, dtype=str(dtype), row_nbytes=nbytes, exact=True)
        text = self._text_nbytes(function, side)
        if text is None or isinstance(dtype, pd.CategoricalDtype):
            msg = "the length of its strings is not known"
            raise NeedsRowsError(msg)
        return ColumnProfile(name=name, dtype=str(dtype), row_nbytes=text, exact=False)

    def _text_nbytes(self, function: Any, side: str) -> float | None:
        """Bound the bytes of a string, on average, from those that it is made of; None for others."""
        if isinstance(function, RowValue):
            facts: MergeFacts = self._merge.facts
            profile = (facts.left if side == "left" else facts.right).profile
            widths = [column.row_nbytes for column in profile.columns if column.name == str(function.name)]
            return max([*widths, *([profile.row_nbytes] if not widths else [])])
        if not isinstance(function, RowFunction):
            return float(_SHORT_NBYTES + 4 * len(str(function)))
        parts = [self._text_nbytes(argument, side) for argument in function.arguments]
        if function.kind in _SAME_LENGTH:
            return parts[0]
        if function.kind in ("Add", "Fillna", "Where", "Mask", "AsType") and None not in parts:
            return sum(part for part in parts if part is not None)
        return None

    def _name_in(self, spec: JoinSpec, place: str | OutputColumn) -> Any:
        """Find a column in the result of sides with other columns."""
        if isinstance(place, str):
            return place
        own = self._own_names(self._spec, place)
        for name, source in zip(spec.meta.columns, spec.output, strict=True):
            if self._own_names(spec, source) == own:
                return name
        msg = f"{own} is not a column of the merge"
        raise AssertionError(msg)

    @staticmethod
    def _own_names(spec: JoinSpec, source: OutputColumn) -> tuple[Any, Any]:
        left = None if source.left is None else spec.left.names[source.left]
        right = None if source.right is None else spec.right.names[source.right]
        return left, right


_OTHER_SIDE = "it belongs to the other side"
