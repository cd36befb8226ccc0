"""Totals of a merge's result as dask expressions: no row of it is made.

::

    JoinTotals(WholeSide(PartTotals(left)), WholeSide(PartTotals(right)))    by keys, and of whole columns
    GroupTotals(GroupParts(left, WholeSide(PartTotals(right))))              by columns of the left side
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from dask.task_spec import List, Task, TaskRef

from safeframe import options
from safeframe._dask.expressions import Blockwise, Expr
from safeframe._dask.steps import Step, fused_step
from safeframe._dask.trees import lowered
from safeframe.engine.planned.nodes import Planned
from safeframe.facts.merge import How
from safeframe.kernels.merge.group_totals import (
    GroupedTotals,
    group_totals,
    join_group_totals,
    totals_of_groups,
)
from safeframe.kernels.merge.totals import Total, TotalColumn, join_totals, side_totals, total_of


@dataclass(frozen=True, slots=True)
class Group:
    """What totals are grouped by."""

    of: int | TotalColumn
    """The number of a key, or a column of one side."""
    name: Any
    """What it is called in the result."""
    dtype: Any
    """Its type in the merge."""


@dataclass(frozen=True, slots=True)
class RequestedTotals:
    """Totals of a merge that a step asks for."""

    totals: tuple[Total, ...]
    by: tuple[Group, ...] | None
    """What to group by; None for totals of all rows."""
    dropna: bool
    """As for :meth:`pandas.DataFrame.groupby`."""
    sort: bool
    """As for :meth:`pandas.DataFrame.groupby`."""


class PartTotals(Step, Blockwise):  # type: ignore[misc]  # dask's expressions are untyped
    """The totals of each key in each partition of a side, made where it is read."""

    _words = "merge-totals-part"
    _parameters: ClassVar[list[str]] = ["frame", "side"]
    _meta = pd.Series([], dtype=object)
    operation = staticmethod(side_totals)

    def _divisions(self) -> Any:
        return (None,) * (self.frame.npartitions + 1)

    def _lower(self) -> Any:
        return _fused(self, PartTotals(lowered(self.frame), self.side))


class WholeSide(Step):
    """The totals of each key of a side, as one frame."""

    _words = "merge-totals-side"
    _parameters: ClassVar[list[str]] = ["parts", "side"]
    _meta = pd.Series([], dtype=object)

    def _divisions(self) -> Any:
        return (None, None)

    def _layer(self) -> dict[Any, Any]:
        return _tree(self, (self._name, 0), join_totals, join_totals, self.side)


class _Result(Planned):
    """What replaces the step that requested it: it has that one's meta and divisions.

    Where the step has several partitions, each has as many of the rows as the others.
    """

    _words = "merge-totals"

    @property
    def _meta(self) -> Any:
        return self.operand("meta")

    def _concrete(self) -> Any:
        return type(self)(
            *(part.lower_completely() if isinstance(part, Expr) else part for part in self.operands)
        )

    @property
    def _key(self) -> tuple[str, int]:
        """The key of all rows."""
        return (self._name if self.npartitions == 1 else f"{self._words}-all-{self.deterministic_token}", 0)

    def _parts(self) -> dict[Any, Any]:
        """Return the tasks that part the rows."""
        if self.npartitions == 1:
            return {}
        return {
            key: Task(key, part_of_rows, TaskRef(self._key), key[1], self.npartitions)
            for key in self.__dask_keys__()
        }


class JoinTotals(_Result):
    """Totals of a merge, from those of its sides."""

    _parameters: ClassVar[list[str]] = ["left", "right", "how", "requested", "meta", "given_divisions"]

    def _layer(self) -> dict[Any, Any]:
        sides = [TaskRef((side._name, 0)) for side in (self.left, self.right)]
        key = self._key
        task = Task(key, finished, *sides, self.operand("how"), self.requested, self._meta)
        return {key: task, **self._parts()}


class GroupParts(Step, Blockwise):  # type: ignore[misc]
    """What a partition of a side has of each group, with the totals of the other side's keys."""

    _words = "merge-totals-part"
    _parameters: ClassVar[list[str]] = ["frame", "other", "requested"]
    _meta = pd.Series([], dtype=object)
    operation = staticmethod(group_totals)

    def _divisions(self) -> Any:
        return (None,) * (self.frame.npartitions + 1)

    def _broadcast_dep(self, dep: Any) -> bool:
        return bool(dep._name == self.other._name)

    def _lower(self) -> Any:
        # One task, so that no partition waits in memory for the other side's totals.
        return _fused(self, GroupParts(lowered(self.frame), self.other.lower_completely(), self.requested))


class GroupTotals(_Result):
    """Totals of a merge by columns of one side."""

    _parameters: ClassVar[list[str]] = ["parts", "requested", "meta", "given_divisions"]

    def _layer(self) -> dict[Any, Any]:
        return {
            **_tree(self, self._key, join_group_totals, finished_groups, self.requested, self._meta),
            **self._parts(),
        }


def _fused(node: Any, concrete: Any) -> Any:
    """Return a node fused with the read before it, or None where it is what it was."""
    fused = fused_step(concrete)
    return None if fused._name == node._name else fused


def _tree(
    node: Any, key: Any, join: Callable[..., Any], finish: Callable[..., Any], requested: Any, *more: Any
) -> dict[Any, Any]:
    """Join what the partitions below a node have, a few at a time; the last step gets more arguments."""
    graph: dict[Any, Any] = {}
    level, keys = 0, list(node.parts.__dask_keys__())
    while len(keys) > options.TOTALS_COMBINE:
        joined = []
        for number in range(0, len(keys), options.TOTALS_COMBINE):
            some = keys[number : number + options.TOTALS_COMBINE]
            joined.append((f"merge-totals-joined-{level}-{node.deterministic_token}", number))
            graph[joined[-1]] = Task(joined[-1], join, List(*(TaskRef(one) for one in some)), requested)
        level, keys = level + 1, joined
    graph[key] = Task(key, finish, List(*(TaskRef(one) for one in keys)), requested, *more)
    return graph


def part_of_rows(found: Any, number: int, parts: int) -> Any:
    """Return the rows of one of several equal parts."""
    return found.iloc[len(found) * number // parts : len(found) * (number + 1) // parts]


def finished(left: pd.DataFrame, right: pd.DataFrame, how: How, requested: RequestedTotals, meta: Any) -> Any:
    """Return the totals as the step that requested them would."""
    by = (
        None
        if requested.by is None
        else [(group.of, group.name) for group in requested.by if isinstance(group.of, int)]
    )
    found = total_of(left, right, how, requested.totals, by, dropna=requested.dropna, sort=requested.sort)
    return _scalar(found.iloc[0, 0], meta) if by is None else _named(found, meta)


def finished_groups(parts: Sequence[pd.DataFrame], requested: GroupedTotals, meta: Any) -> Any:
    """Return the totals of groups as the step that requested them would."""
    return _named(totals_of_groups(parts, requested), meta)


def _named(found: pd.DataFrame, meta: Any) -> Any:
    if meta.ndim == 1:
        return _typed(found[0], meta.dtype).rename(meta.name)
    typed: Sequence[Any] = [_typed(found[at], dtype) for at, dtype in enumerate(meta.dtypes)]
    frame = pd.DataFrame(dict(enumerate(typed)), index=found.index)
    frame.columns = meta.columns
    return frame


def _scalar(value: Any, meta: Any) -> Any:
    """Return a total of all rows in the type that was promised: a sum of 32-bit floats is one."""
    dtype = getattr(meta, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind == getattr(value, "dtype", dtype).kind == "f":
        with np.errstate(over="ignore"):
            return dtype.type(value)
    return value


def _typed(values: pd.Series[Any], dtype: Any) -> pd.Series[Any]:
    """Return totals of groups in the type that was promised.

    pandas gives sums of narrow integers the type of the column where all of them
    fit, and 64 bits otherwise. What dask promises is the former.
    """
    if values.dtype == dtype or (values.hasnans and np.dtype(dtype).kind in "iu"):
        return values
    with np.errstate(over="ignore"):
        typed = values.astype(dtype)
    return values if typed.dtype.kind in "iu" and (typed != values).any() else typed
