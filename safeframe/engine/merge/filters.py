"""Which conditions on a merge's result are moved to its sides.

::

    Filter(merge(left, right), of left's columns)  →  merge(Filter(left), right)

A condition may move to a side only where removing that side's rows removes the very
rows of the result that do not hold it, and no others appear in their place: an inner
merge has both sides' conditions moved, a left one the left side's, an outer one none.
A condition on keys alone that are the same on both sides is moved to both of them.

dask's own merge goes by the names of columns. Here each column of the result is traced
to where it comes from: ``suffixes=("_x", "")`` calls the right side's column by a name
that the left side has as well.

Covers: which conditions move, and where; the condition as the side has it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from safeframe._dask.expressions import (
    Accessed,
    And,
    AsType,
    Binop,
    DelayedExpr,
    Expr,
    Fillna,
    Filter,
    Isin,
    Literal,
    Map,
    Projection,
    UFuncElemwise,
    Unaryop,
    is_filter_pushdown_available,
    row_functions,
)
from safeframe.kernels.merge.output import OutputColumn
from safeframe.kernels.merge.spec import JoinSpec

_ROW_WISE = (AsType, Binop, Fillna, Isin, Map, UFuncElemwise, Unaryop, *Accessed, *row_functions())
"""Steps each value of which is made of the same row's values."""
_CONSTANTS = (DelayedExpr, Literal)
_LEFT = ("inner", "left", "leftsemi", "leftanti", "cross")
_RIGHT = ("inner", "right", "cross")
_SAME_IF_EQUAL = "biumM"
"""Kinds of keys of which two that are equal cannot be told apart: floats have two zeros."""


@dataclass(frozen=True, slots=True, eq=False)
class MovedFilter:
    """A filter of a merge, divided among its sides."""

    left: Any
    """The left side, with its conditions."""
    right: Any
    """The right side, with its conditions."""
    rest: Any
    """What is left of the condition, of the merge's columns; None for nothing."""


def moved_filter(merge: Any, parent: Any, dependents: Mapping[str, Any]) -> MovedFilter | None:
    """Divide a filter among the sides of the merge that it filters; None where no part of it moves.

    Parameters
    ----------
    merge
        The merge.
    parent
        The filter.
    dependents
        What takes each expression, as dask's optimiser has it.
    """
    if parent.frame._name != merge._name or not merge._meta.columns.is_unique:
        return None
    if not is_filter_pushdown_available(merge, parent, dependents):
        return None
    parts = [(part, _columns_used(part, merge)) for part in _conjuncts(parent.predicate)]
    used = [names for _, names in parts if names is not None]
    if len(used) < len(parts):
        # Something is made of all rows: of fewer rows it would be something else.
        return None
    sources = dict(zip(merge._spec.meta.columns, merge._spec.output, strict=False))
    moved: dict[str, list[Any]] = {"left": [], "right": []}
    kept = []
    for (part, _), names in zip(parts, used, strict=True):
        to = _sides_of(merge._spec, [sources.get(name) for name in names]) if names else ()
        if (table := merge.run.table) is not None:
            # A table is held to the very keys that it was planned with; the rows that look up are enough.
            to = tuple(side for side in to if side != table.build_side)
        for side in to:
            moved[side].append(_on_side(part, names, sources, merge, side))
        if not to:
            kept.append(part)
    if len(kept) == len(parts):
        return None
    left, right = (
        Filter(getattr(merge, side), functools.reduce(And, own)) if own else getattr(merge, side)
        for side, own in moved.items()
    )
    return MovedFilter(left, right, functools.reduce(And, kept) if kept else None)


def _conjuncts(predicate: Any) -> list[Any]:
    if isinstance(predicate, And):
        return [*_conjuncts(predicate.left), *_conjuncts(predicate.right)]
    return [predicate]


def _columns_used(predicate: Any, merge: Any) -> dict[Any, Any] | None:
    """Return the merge's columns that a condition is of, each with its expression; None where it is of more."""
    found: dict[Any, Any] = {}
    stack = [predicate]
    while stack:
        node = stack.pop()
        if isinstance(node, Projection) and node.frame._name == merge._name:
            name = node.operand("columns")
            if isinstance(name, list) or node.ndim != 1:
                return None
            found[name] = node
        elif isinstance(node, _ROW_WISE) and not (isinstance(node, Accessed) and node.accessor == "cat"):
            stack.extend(node.dependencies())
        elif not isinstance(node, _CONSTANTS):
            return None
    return found


def _sides_of(spec: JoinSpec, sources: list[OutputColumn | None]) -> tuple[str, ...]:
    """Return the sides that a condition moves to, of the places that its columns come from."""
    movable = []
    for side, hows in (("left", _LEFT), ("right", _RIGHT)):
        if spec.how in hows and all(source is not None and _is_of(spec, source, side) for source in sources):
            movable.append(side)
    both = all(source is not None and _is_key_of_both(spec, source) for source in sources)
    if movable and both:
        return ("left", "right")
    return tuple(movable[:1])


def _is_of(spec: JoinSpec, source: OutputColumn, side: str) -> bool:
    """Whether a column of the result has a side's very values in all rows that have a row of that side."""
    at, own = (source.left, spec.left) if side == "left" else (source.right, spec.right)
    if at is None:
        return False
    if source.left is None or source.right is None:
        return True
    return _type_of(spec, source) == own.dtypes[at] and (side == "left" or _is_key_of_both(spec, source))


def _is_key_of_both(spec: JoinSpec, source: OutputColumn) -> bool:
    """Whether a column is a key of both sides, whose values are the same whichever side they are taken from."""
    if source.left is None or source.right is None:
        return False
    left, right = spec.left.dtypes[source.left], spec.right.dtypes[source.right]
    if not left == right == _type_of(spec, source):
        return False
    if isinstance(left, np.dtype):
        return left.kind in _SAME_IF_EQUAL
    return isinstance(left, (pd.StringDtype, pd.DatetimeTZDtype))


def _type_of(spec: JoinSpec, source: OutputColumn) -> Any:
    return spec.meta.dtypes.iloc[spec.output.index(source)]


def _on_side(part: Expr, names: Mapping[Any, Any], sources: Mapping[Any, Any], merge: Any, side: str) -> Any:
    """Return a condition of a merge's columns as one of a side's."""
    frame, own = getattr(merge, side), merge._spec.left if side == "left" else merge._spec.right
    for name, column in names.items():
        at = sources[name].left if side == "left" else sources[name].right
        part = part.substitute(column, frame[own.names[at]])
    return part
