"""Aggregations of a merge's result that need none of its rows.

Sums, counts, means, least and largest values, by keys of the merge, by columns
of one side or of whole columns, are worked out from the same totals of either
side. Which they are is seen when dask simplifies an expression: nothing changes
for whoever writes it.

Covers: which aggregations can be answered, counting rows that no plan knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd

from safeframe import options
from safeframe._dask.expressions import Expr, GroupbyAggregation, groupby_reductions, reductions
from safeframe._dask.trees import takes_one_column
from safeframe.engine.merge.without_rows.totals_nodes import (
    Group,
    GroupParts,
    GroupTotals,
    JoinTotals,
    PartTotals,
    RequestedTotals,
    WholeSide,
)
from safeframe.facts.merge import How
from safeframe.kernels.merge.group_totals import GroupedTotals
from safeframe.kernels.merge.output import OutputColumn
from safeframe.kernels.merge.spec import JoinSpec
from safeframe.kernels.merge.totals import MADE_OF, SideTotals, Total, TotalColumn

_SUMS = ("sum", "float sum")
_SUMMED = "biuf"
_COMPARED = "iufmM"


def totals_instead(merge: Any, result: Any, parent: Any) -> Any:
    """Return what stands for an aggregation of a merge's result, or None where it needs rows.

    Parameters
    ----------
    merge
        The merge.
    result
        The merge, or columns of it.
    parent
        The step that takes them.
    """
    if not merge._meta.columns.is_unique:
        return None
    return totals_of_columns(merge, result, parent, {name: name for name in merge._meta.columns})


def totals_of_columns(merge: Any, result: Any, parent: Any, names: Mapping[Any, Any]) -> Any:
    """Do as :func:`totals_instead` for columns that are called otherwise in the merge."""
    if not parent.dependencies() or parent.dependencies()[0]._name != result._name:
        return None
    if merge.how in ("leftsemi", "leftanti") or not merge._meta.columns.is_unique:
        return None
    requested = _requested(merge, result, parent, names)
    return None if requested is None else _totals(merge, requested, parent)


def counted(merge: Any, parent: Any) -> Any:
    """Return what stands for the number of a merge's rows, or None where they have to be made."""
    if merge.how in ("leftsemi", "leftanti"):
        return None
    if not _all_same_keys(merge._spec):
        return None
    return _totals(merge, RequestedTotals((Total("size", None),), None, dropna=True, sort=True), parent)


def sum_of_products(
    merge: Any, result: Any, parent: Any, factors: Mapping[str, Any], *, infinite: bool
) -> Any:
    """Return what stands for the sum of one side's column times one of the other's, or None.

    Parameters
    ----------
    merge
        The merge.
    result
        The products.
    parent
        The step that takes them.
    factors
        The columns, by ``"left"`` and ``"right"``.
    infinite
        Whether they may be infinite.
    """
    requested = _requested(merge, result, parent, {result._meta.name: factors["left"]})
    if (
        requested is None
        or requested.by is not None
        or len(requested.totals) != 1
        or requested.totals[0].function not in _SUMS
    ):
        return None
    columns = []
    for name in factors.values():
        total = _total(merge._spec, "sum", name)
        if total is None or total.column is None or total.column.side == "key":
            return None
        columns.append(total.column)
    product = Total("product of infinite" if infinite else "product", columns[0], columns[1])
    return _totals(merge, replace(requested, totals=(product,)), parent)


def _totals(merge: Any, requested: RequestedTotals, parent: Any) -> Any:
    if not _is_small(merge, requested):
        return None
    sides = {
        side: _side_totals(merge, number, side, requested) for number, side in enumerate(("left", "right"))
    }
    grouped = next((group.of.side for group in requested.by or () if isinstance(group.of, TotalColumn)), None)
    result = parent._meta, parent.divisions
    if grouped is None or requested.by is None:
        return JoinTotals(*(_whole(*side) for side in sides.values()), merge.how, requested, *result)
    other = "right" if grouped == "left" else "left"
    frame, own = sides[grouped]
    # Rows of the other side alone have no value to group by: they are in no group.
    how = cast("How", grouped if merge.how in (grouped, "outer") else "inner")
    numbers = iter(range(len(own.groups)))
    by = tuple(
        (group.of, True) if isinstance(group.of, int) else (next(numbers), False) for group in requested.by
    )
    names = tuple(group.name for group in requested.by)
    groups = GroupedTotals(grouped, own, how, requested.totals, by, names, requested.dropna, requested.sort)
    return GroupTotals(GroupParts(frame, _whole(*sides[other]), groups), groups, *result)


def _whole(frame: Any, side: SideTotals) -> WholeSide:
    return WholeSide(PartTotals(frame, side), side)


def _side_totals(merge: Any, number: int, side: str, requested: RequestedTotals) -> tuple[Any, SideTotals]:
    """Return what is needed of a side, and what is to be known of it."""
    spec = merge._spec.left if side == "left" else merge._spec.right
    wanted = dict.fromkeys(
        (column.name, function)
        for total in requested.totals
        for column in (total.column, total.other)
        if column is not None and column.side == side
        for function in MADE_OF.get(total.function, (total.function,))
    )
    groups = tuple(
        (group.of.name, group.dtype)
        for group in requested.by or ()
        if isinstance(group.of, TotalColumn) and group.of.side == side
    )
    needed = [*dict.fromkeys([*spec.on, *(name for name, _ in groups), *(name for name, _ in wanted)])]
    frame = merge.operands[number]
    if needed != list(frame.columns):
        frame = frame[needed]
    return frame, SideTotals(spec.on, tuple(wanted), groups)


def _is_small(merge: Any, requested: RequestedTotals) -> bool:
    """Whether a task can hold the totals of all keys."""
    keys = merge.run.estimate.keys
    return keys is not None and keys * options.TOTALS_KEY_NBYTES * (1 + len(requested.totals) // 8) <= max(
        merge.plan.budget.task_nbytes, 0
    )


def _requested(merge: Any, result: Any, parent: Any, names: Mapping[Any, Any]) -> RequestedTotals | None:
    """Work out which totals a step asks for; None where it asks for something else."""
    spec: JoinSpec = merge._spec
    reduced = reductions().get(type(parent))
    if reduced is not None:
        columns = [result._meta.name] if result.ndim == 1 else []
        plain = getattr(parent, "skipna", True) is True and getattr(parent, "axis", 0) in (0, None)
        totals = [_total(spec, reduced, names.get(name)) for name in columns]
        if not (columns and plain) or None in totals:
            return None
        return RequestedTotals(tuple(total for total in totals if total), None, dropna=True, sort=True)
    function = groupby_reductions().get(type(parent))
    if result.ndim != 2 or (function is None and type(parent) is not GroupbyAggregation):
        return None
    if function is not None:
        wanted = [(function, name) for name in _result_columns(parent, function)]
    else:
        wanted = _aggregated(parent)
    dropna = parent.operand("dropna") is not False
    by = _groups_of(merge, parent, names, dropna=dropna)
    totals = [_total(spec, one, names.get(name)) for one, name in wanted]
    if by is None or not wanted or None in totals or not _is_plain(parent):
        return None
    sort = parent.operand("sort") is not False
    return RequestedTotals(tuple(total for total in totals if total), by, dropna=dropna, sort=sort)


def _result_columns(parent: Any, function: str) -> list[Any]:
    if function == "size":
        return [None]
    meta = parent._meta
    return [meta.name] if meta.ndim == 1 else list(meta.columns)


def _aggregated(parent: Any) -> list[tuple[str, Any]]:
    """Return the functions and columns of an aggregation, in the order of its columns; nothing where one is no name."""
    spec = {result: (how, source) for result, how, source in parent.spec}
    meta = parent._meta
    if takes_one_column(parent):
        # Of one column the results are called by their functions alone.
        spec |= {result[-1]: found for result, found in spec.items() if isinstance(result, tuple)}
    labels = [meta.name] if meta.ndim == 1 else list(meta.columns)
    if any(label not in spec or not isinstance(spec[label][0], str) for label in labels):
        return []
    return [spec[label] for label in labels]


def _is_plain(parent: Any) -> bool:
    """Whether an aggregation has one partition as its result, and no options that change its values."""
    if any(isinstance(one, Expr) for one in parent.by) or parent.operand("split_out") not in (None, 1):
        return False
    for name in ("chunk_kwargs", "aggregate_kwargs"):
        given = parent.operand(name) if name in parent._parameters else None
        if any(value not in (None, False) for value in (given or {}).values()):
            return False
    return True


def _groups_of(
    merge: Any, parent: Any, names: Mapping[Any, Any], *, dropna: bool
) -> tuple[Group, ...] | None:
    """Return what is grouped by: keys, and columns of one side; None where it is something else."""
    spec: JoinSpec = merge._spec
    groups: list[Group] = []
    for name in parent.by:
        source = None if isinstance(name, Expr) else names.get(name)
        of: int | TotalColumn | None = _key_number(spec, source)
        if of is None:
            of = _column_of_one_side(spec, source)
        if of is None:
            return None
        groups.append(Group(of, name, spec.meta[source].dtype))
    sides = {group.of.side for group in groups if isinstance(group.of, TotalColumn)}
    if not sides:
        return tuple(groups)
    other_rows = merge.how == "outer" or (merge.how in ("left", "right") and merge.how not in sides)
    if len(sides) > 1 or (other_rows and not dropna):
        return None
    return tuple(groups) if _all_same_keys(spec) else None


def _column_of_one_side(spec: JoinSpec, name: Any) -> TotalColumn | None:
    column = _source(spec, name)
    if column is None or (column.left is not None and column.right is not None):
        return None
    found, dtype = _own(spec, column)
    result = spec.meta[name].dtype
    widened = isinstance(dtype, np.dtype) and dtype.kind in "iu" and result == np.dtype("float64")
    return None if isinstance(dtype, pd.CategoricalDtype) or not (dtype == result or widened) else found


def _key_number(spec: JoinSpec, name: Any) -> int | None:
    column = _source(spec, name)
    if column is None or isinstance(spec.meta[name].dtype, pd.CategoricalDtype):
        return None
    for number, (left, right) in enumerate(
        zip(spec.left.key_positions, spec.right.key_positions, strict=True)
    ):
        if column.left == left and (column.right == right or not spec.left_missing):
            return number if _same_keys(spec, number) else None
        if column.left is None and column.right == right and not spec.right_missing:
            return number if _same_keys(spec, number) else None
    return None


def _same_keys(spec: JoinSpec, number: int) -> bool:
    """Whether pandas matches the keys as the merge does: they have one type."""
    left, right = spec.left.key_positions[number], spec.right.key_positions[number]
    return bool(spec.left.dtypes[left] == spec.right.dtypes[right])


def _all_same_keys(spec: JoinSpec) -> bool:
    return all(_same_keys(spec, number) for number in range(len(spec.left.on)))


def _source(spec: JoinSpec, name: Any) -> OutputColumn | None:
    names = list(spec.meta.columns)
    at = names.index(name) if name in names else len(spec.output)
    return spec.output[at] if at < len(spec.output) else None


def _total(spec: JoinSpec, function: str, name: Any) -> Total | None:
    if function == "size":
        return Total("size", None)
    column = _source(spec, name)
    if column is None or function not in ("sum", "count", "mean", "min", "max"):
        return None
    dtype = spec.meta[name].dtype
    kinds = _SUMMED if function in ("sum", "mean") else _COMPARED
    found, own = _own(spec, column)
    if not _all_same_keys(spec) or (
        function != "count" and not all(_is_of(one, kinds) for one in (dtype, own))
    ):
        return None
    if column.left is not None and column.right is not None:
        found = TotalColumn("key", spec.left.key_positions.index(column.left))
    # Integers that are floats where a side has no row are summed as floats, which do not wrap.
    return Total("float sum" if function == "sum" and dtype.kind == "f" else function, found)


def _is_of(dtype: Any, kinds: str) -> bool:
    """Whether values have a type of some kinds, and one that sums of 64 bits hold."""
    return (
        isinstance(dtype, np.dtype)
        and dtype.kind in kinds
        and (dtype.kind != "f" or dtype.itemsize in (4, 8))
    )


def _own(spec: JoinSpec, column: OutputColumn) -> tuple[TotalColumn, Any]:
    """Return a column as its side has it, and its type there."""
    side, at = ("left", column.left) if column.left is not None else ("right", column.right)
    assert at is not None, "a column is of one side at least"
    own = spec.left if side == "left" else spec.right
    return TotalColumn(side, own.names[at]), own.dtypes[at]
