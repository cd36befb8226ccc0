"""Aggregations of a merge's result that need none of its rows, as dask expressions.

::

    JoinTotals(SideTotalsParts(left), SideTotalsParts(right))

Sums, counts, means, least and largest values, by keys of the merge or of whole
columns, are worked out from the same totals of either side. Which they are is
seen when dask simplifies an expression: nothing changes for whoever writes it.

Covers: which aggregations can be answered, counting rows that no plan knows, the graph.
Does not cover: the arithmetic (``kernels.merge_totals``); steps between the merge
and the aggregation (``merge_values``); counting rows that the plan knows (``merge_chains``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from safeframe import options
from safeframe.engine._dask import (
    Blockwise,
    Expr,
    GroupbyAggregation,
    List,
    Task,
    TaskRef,
    groupby_reductions,
    reductions,
)
from safeframe.facts.merge import How
from safeframe.kernels.join_output import OutputColumn
from safeframe.kernels.join_spec import JoinSpec
from safeframe.kernels.merge_totals import (
    MADE_OF,
    SideTotals,
    Total,
    TotalColumn,
    join_totals,
    side_totals,
    total_of,
)

__all__ = ["counted", "sum_of_products", "totals_instead", "totals_of_columns"]

_SUMMED = "biuf"
_COMPARED = "iufmM"


@dataclass(frozen=True, slots=True)
class _Asked:
    """Totals of a merge that a step asks for."""

    totals: tuple[Total, ...]
    by: tuple[tuple[int, Any], ...] | None
    dropna: bool
    sort: bool


def totals_instead(merge: Any, result: Any, parent: Any) -> Any:
    """Give what stands for an aggregation of a merge's result, or None where it needs rows.

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
    asked = _asked(merge._spec, result, parent, names)
    return None if asked is None else _totals(merge, asked, parent)


def counted(merge: Any, parent: Any) -> Any:
    """Give what stands for the number of a merge's rows, or None where they have to be made."""
    if merge.how in ("leftsemi", "leftanti"):
        return None
    if not all(_same_keys(merge._spec, number) for number in range(len(merge._spec.left.on))):
        return None
    return _totals(merge, _Asked((Total("size", None),), None, dropna=True, sort=True), parent)


def sum_of_products(
    merge: Any, result: Any, parent: Any, factors: Mapping[str, Any], *, infinite: bool
) -> Any:
    """Give what stands for the sum of one side's column times one of the other's, or None.

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
    asked = _asked(merge._spec, result, parent, {result._meta.name: factors["left"]})
    if asked is None or asked.by is not None or [total.function for total in asked.totals] != ["sum"]:
        return None
    columns = []
    for name in factors.values():
        total = _total(merge._spec, "sum", name)
        if total is None or total.column is None or total.column.side == "key":
            return None
        columns.append(total.column)
    product = Total("product of infinite" if infinite else "product", columns[0], columns[1])
    return _totals(merge, replace(asked, totals=(product,)), parent)


def _totals(merge: Any, asked: _Asked, parent: Any) -> Any:
    if not _is_small(merge, asked):
        return None
    sides = []
    for number, (side, keys) in enumerate((("left", merge._spec.left), ("right", merge._spec.right))):
        wanted = dict.fromkeys(
            (column.name, function)
            for total in asked.totals
            for column in (total.column, total.other)
            if column is not None and column.side == side
            for function in MADE_OF.get(total.function, (total.function,))
        )
        needed = [*dict.fromkeys([*keys.on, *(name for name, _ in wanted)])]
        frame = merge.operands[number]
        if needed != list(frame.columns):
            frame = frame[needed]
        sides.append(PartTotals(frame, SideTotals(keys.on, tuple(wanted))))
    return JoinTotals(*sides, merge.how, asked, parent._meta, parent._divisions())


def _is_small(merge: Any, asked: _Asked) -> bool:
    """Whether a task can hold the totals of all keys."""
    plan = merge.plan
    keys = plan.merge.keys
    return keys is not None and keys * options.TOTALS_KEY_NBYTES * (1 + len(asked.totals) // 8) <= max(
        plan.budget.task_nbytes, 0
    )


def _asked(spec: JoinSpec, result: Any, parent: Any, names: Mapping[Any, Any]) -> _Asked | None:
    """Work out which totals a step asks for; None where it asks for something else."""
    reduced = reductions().get(type(parent))
    if reduced is not None:
        columns = [result._meta.name] if result.ndim == 1 else []
        plain = getattr(parent, "skipna", True) is True and getattr(parent, "axis", 0) in (0, None)
        totals = [_total(spec, reduced, names.get(name)) for name in columns]
        if not (columns and plain) or None in totals:
            return None
        return _Asked(tuple(total for total in totals if total), None, dropna=True, sort=True)
    if result.ndim != 2 or parent._meta is None:
        return None
    function = groupby_reductions().get(type(parent))
    if function is not None:
        wanted = [(function, name) for name in _result_columns(parent, function)]
    elif type(parent) is GroupbyAggregation:
        wanted = _aggregated(parent)
    else:
        return None
    by = _keys_of(spec, parent, names)
    totals = [_total(spec, one, names.get(name)) for one, name in wanted]
    if by is None or not wanted or None in totals or not _is_plain(parent):
        return None
    dropna = parent.operand("dropna") is not False
    sort = parent.operand("sort") is not False
    return _Asked(tuple(total for total in totals if total), by, dropna=dropna, sort=sort)


def _result_columns(parent: Any, function: str) -> list[Any]:
    if function == "size":
        return [None]
    meta = parent._meta
    return [meta.name] if meta.ndim == 1 else list(meta.columns)


def _aggregated(parent: Any) -> list[tuple[str, Any]]:
    """Give the functions and columns of an aggregation, in the order of its columns; nothing where one is no name."""
    spec = {result: (how, source) for result, how, source in parent.spec}
    meta = parent._meta
    if isinstance(parent._slice, str):
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


def _keys_of(spec: JoinSpec, parent: Any, names: Mapping[Any, Any]) -> tuple[tuple[int, Any], ...] | None:
    """Give the numbers of the keys that are grouped by; None where something else is."""
    keys = []
    for name in parent.by:
        number = None if isinstance(name, Expr) else _key_number(spec, names.get(name))
        if number is None:
            return None
        keys.append((number, name))
    return tuple(keys)


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
    if function != "count" and not (isinstance(dtype, np.dtype) and dtype.kind in kinds):
        return None
    if not all(_same_keys(spec, number) for number in range(len(spec.left.on))):
        return None
    if column.left is not None and column.right is not None:
        return Total(function, TotalColumn("key", spec.left.key_positions.index(column.left)))
    side, at = ("left", column.left) if column.left is not None else ("right", column.right)
    assert at is not None, "a column is of one side at least"
    own = spec.left if side == "left" else spec.right
    if function != "count" and not (isinstance(own.dtypes[at], np.dtype) and own.dtypes[at].kind in kinds):
        return None
    return Total(function, TotalColumn(side, own.names[at]))


class PartTotals(Blockwise):  # type: ignore[misc]  # dask's expressions are untyped
    """The totals of each key in each partition of a side."""

    _parameters: ClassVar[list[str]] = ["frame", "side"]
    _meta = pd.Series([], dtype=object)
    operation = staticmethod(side_totals)

    def _divisions(self) -> Any:
        return (None,) * (self.frame.npartitions + 1)


class JoinTotals(Expr):  # type: ignore[misc]
    """Totals of a merge, from those of its sides."""

    _parameters: ClassVar[list[str]] = ["left", "right", "how", "asked", "meta", "given_divisions"]

    @property
    def _meta(self) -> Any:
        return self.operand("meta")

    def _divisions(self) -> Any:
        return self.operand("given_divisions")

    def _layer(self) -> dict[Any, Any]:
        graph: dict[Any, Any] = {}
        roots = [self._tree(graph, name) for name in ("left", "right")]
        key = (self._name, 0)
        graph[key] = Task(key, finished, *roots, self.operand("how"), self.asked, self._meta)
        return graph

    def _tree(self, graph: dict[Any, Any], name: str) -> Any:
        """Join the totals of a side's partitions, a few at a time."""
        side = self.operand(name)
        level, keys = 0, list(side.__dask_keys__())
        while len(keys) > 1:
            joined = []
            for number in range(0, len(keys), options.TOTALS_COMBINE):
                some = keys[number : number + options.TOTALS_COMBINE]
                key = (f"{name}-{level}-{self._name}", number)
                graph[key] = Task(key, join_totals, List(*(TaskRef(one) for one in some)), side.side)
                joined.append(key)
            level, keys = level + 1, joined
        return TaskRef(keys[0])


def finished(left: pd.DataFrame, right: pd.DataFrame, how: How, asked: _Asked, meta: Any) -> Any:
    """Give the totals as the step that asked for them would."""
    found = total_of(left, right, how, asked.totals, asked.by, dropna=asked.dropna, sort=asked.sort)
    if asked.by is None:
        return found.iloc[0, 0]
    if meta.ndim == 1:
        return _typed(found[0], meta.dtype).rename(meta.name)
    typed: Sequence[Any] = [_typed(found[at], dtype) for at, dtype in enumerate(meta.dtypes)]
    frame = pd.DataFrame(dict(enumerate(typed)), index=found.index)
    frame.columns = meta.columns
    return frame


def _typed(values: pd.Series[Any], dtype: Any) -> pd.Series[Any]:
    if values.dtype == dtype or (values.hasnans and np.dtype(dtype).kind in "iu"):
        return values
    return values.astype(dtype)
