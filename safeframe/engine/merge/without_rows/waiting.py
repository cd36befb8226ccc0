"""What is made of a merge's columns only to be aggregated, as a dask expression that waits for the aggregation.

dask shows a step only the step that takes its result. So the steps between a
merge and an aggregation are gathered in one that, when it meets the aggregation,
is answered from the totals of the sides; where it cannot be, it is what it was.

Covers: gathering the steps; totals of new columns of one side; sums of products
of columns of both sides; the number of rows that a filter leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from safeframe._dask.expressions import (
    Accessed,
    Assign,
    AsType,
    Binop,
    Expr,
    Fillna,
    Filter,
    GroupbyAggregation,
    Index,
    Len,
    Projection,
    RenameFrame,
    RenameSeries,
    UFuncElemwise,
    groupby_reductions,
    reductions,
    row_functions,
)
from safeframe.engine.merge.without_rows.read import NeedsRowsError, RowColumns, read_columns
from safeframe.engine.merge.without_rows.sides import moved_columns, moved_factors
from safeframe.engine.merge.without_rows.totals import counted, sum_of_products, totals_of_columns
from safeframe.kernels.columns.functions import RowFunction, RowValue

_STEPS = (Assign, AsType, Binop, Fillna, Filter, Index, RenameFrame, RenameSeries, UFuncElemwise, *Accessed)
_STEPS += row_functions()
_TOTALS = (*reductions(), *groupby_reductions(), GroupbyAggregation, Len)


class MergeValue(Expr):  # type: ignore[misc]  # dask's expressions are untyped
    """Columns made of a merge's, which an aggregation takes."""

    _parameters: ClassVar[list[str]] = ["value"]

    @property
    def _meta(self) -> Any:
        return self.value._meta

    def _divisions(self) -> Any:
        return self.value.divisions

    def _simplify_up(self, parent: Any, dependents: Any) -> Any:
        if isinstance(parent, _TOTALS):
            return _totals(self, parent)
        if isinstance(parent, (*_STEPS, Projection, MergeValue)):
            return MergeValue(_without_waiting(parent))
        return None

    def _lower(self) -> Any:
        return self.value


def awaiting_totals(parent: Any, dependents: Mapping[str, Any]) -> MergeValue | None:
    """Return what waits for an aggregation, where a step that takes a merge's columns leads to aggregations alone."""
    leads = isinstance(parent, _STEPS) and _is_only_totalled(parent, dependents, {})
    return MergeValue(_without_waiting(parent)) if leads else None


def _is_only_totalled(node: Any, dependents: Mapping[str, Any], known: dict[str, bool]) -> bool:
    if node._name not in known:
        takers = [
            taker
            for taker in (reference() for reference in dependents.get(node._name, ()))
            if taker is not None
        ]
        known[node._name] = bool(takers) and all(
            isinstance(taker, _TOTALS)
            or (isinstance(taker, (*_STEPS, Projection)) and _is_only_totalled(taker, dependents, known))
            for taker in takers
        )
    return known[node._name]


def _without_waiting(step: Any) -> Any:
    """Return a step of the values of what waits below it."""
    if isinstance(step, MergeValue):
        return _without_waiting(step.value)
    if not isinstance(step, (*_STEPS, Projection)):
        return step
    return type(step)(
        *(_without_waiting(operand) if isinstance(operand, Expr) else operand for operand in step.operands)
    )


def _totals(waiting: MergeValue, parent: Any) -> Any:
    value = _without_waiting(waiting.value)
    try:
        read = read_columns(value)
    except NeedsRowsError:
        return None
    try:
        moved = moved_columns(value)
    except NeedsRowsError:
        return None if isinstance(parent, Len) else _of_products(read, waiting, parent)
    if isinstance(parent, Len):
        return counted(moved.merge, parent)
    return totals_of_columns(moved.merge, waiting, parent, dict(moved.columns))


def _of_products(read: RowColumns, waiting: MergeValue, parent: Any) -> Any:
    """Answer a sum of products of one side's values and the other's."""
    if waiting.ndim != 1 or not read.columns:
        return None
    (product,) = read.columns.values()
    dtype = waiting._meta.dtype
    if not isinstance(product, RowFunction) or product.kind != "Mul" or dtype not in _EXACT:
        return None
    factors = product.arguments
    if not all(isinstance(factor, (RowFunction, RowValue)) for factor in factors):
        return None
    try:
        merge, columns = moved_factors(read, factors, dtype)
    except NeedsRowsError:
        return None
    return sum_of_products(merge, waiting, parent, columns, infinite=dtype.kind == "f")


_EXACT = (np.dtype("int64"), np.dtype("uint64"), np.dtype("float64"))
"""Types of products whose sum does not depend on how they are put together: integers that overflow give the same sum."""
