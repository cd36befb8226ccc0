"""Where the rows of lag features come from.

Covers: keys that are the index; a frame that a recipe brings to the order of
the keys anyway, of which the input is taken, so that rows move once; a frame
whose groups are whole within its partitions; both with columns chosen, or
worked out row by row, since.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dask.dataframe as dd
import numpy as np
from dask.dataframe.api import new_collection

from safeframe._dask.as_read import AsRead
from safeframe._dask.expressions import (
    Assign,
    AsType,
    BaseSetIndexSortValues,
    Binop,
    Projection,
    Unaryop,
)
from safeframe.engine.sort.nodes import SafeShuffle, SafeSort, SortRequest
from safeframe.errors import KeyNotFoundError, UnsupportedError
from safeframe.facts.keys import Counts
from safeframe.facts.plan import Plan
from safeframe.facts.sort import SortFacts
from safeframe.prepare.arguments import check_frame, check_keys


@dataclass(frozen=True, kw_only=True, slots=True)
class Shuffled:
    """A shuffle by key, seen from its result."""

    plan: Plan
    """Its plan."""
    frame: dd.DataFrame
    """Its input, with the steps that follow it."""

    @property
    def partition_rows(self) -> Counts:
        """Rows of its partitions, as its plan bounds them."""
        return bounded_partition_rows(self.plan)


@dataclass(frozen=True, kw_only=True, slots=True)
class LagSource:
    """A frame whose keys are columns, and what is known of it."""

    frame: dd.DataFrame
    """The frame, with its index as a column where that is needed."""
    order_by: tuple[Any, ...]
    """Columns that order the rows of a group."""
    index: Any
    """The column that becomes the index; None where the index stays."""
    drop: bool
    """Whether that column goes."""
    with_index: bool
    """Whether the index is kept."""
    divisions: tuple[Any, ...] | None
    """Divisions that hold where rows stay; None where they are not known."""
    shuffle: Shuffled | None
    """The shuffle that makes groups whole; None where there is none."""
    why: str = ""
    """What was found out; empty when nothing was."""
    unsteady: bool = False
    """Whether partitions may change whenever other columns are requested."""
    sorted_by: SortFacts | None = None
    """The facts of the sort that the frame comes from; None where there is none."""


def lag_source(ddf: Any, by: Sequence[Any], order_by: Sequence[Any], *, ignore_index: bool) -> LagSource:
    """Find out what a frame is.

    Raises
    ------
    KeyNotFoundError, SchemaMismatchError, ValidationError
        When the arguments do not name a frame and its columns.
    UnsupportedError
        When the index has several levels.
    """
    frame = check_frame(ddf, "ddf")
    ordered = _sorted_frame(frame, by, order_by, ignore_index)
    if ordered is not None:
        return ordered
    shuffle = shuffled_by(frame, by)
    columns, name = list(frame._meta.columns), frame._meta.index.name
    if frame._meta.index.nlevels > 1:
        msg = f"The index of ddf is a MultiIndex of {frame._meta.index.nlevels} levels."
        raise UnsupportedError(msg, hint="Make them columns first: ddf.reset_index().")
    index = None
    divisions = tuple(frame.divisions) if frame.known_divisions and not ignore_index else None
    if name is not None and name not in columns and name in [*by, *order_by]:
        index = name
        frame = frame.reset_index()
    _check(frame, [*by, *order_by], columns)
    return LagSource(
        frame=frame,
        order_by=tuple(order_by),
        index=index,
        drop=True,
        with_index=index is None and not ignore_index,
        divisions=divisions,
        shuffle=shuffle if index is None else None,
        # dask cuts at other keys when other columns are requested.
        unsteady=next(iter(frame.expr.find_operations(BaseSetIndexSortValues)), None) is not None,
    )


def _check(frame: dd.DataFrame, names: Sequence[Any], columns: Sequence[Any]) -> None:
    try:
        check_keys(frame, names)
    except KeyNotFoundError:
        check_keys(frame[list(columns)], [name for name in names if name not in frame._meta.columns])
        raise


def _sorted_frame(
    frame: dd.DataFrame, by: Sequence[Any], order_by: Sequence[Any], ignore_index: bool
) -> LagSource | None:
    """Take the input of a frame that is sorted by the keys; None when it is another frame."""
    expression, assigned = before_steps(frame.expr)
    if not isinstance(expression, SafeSort):
        return None
    request: SortRequest = expression.request
    order, index = request.order, request.index
    if assigned & set(order.by):
        return None  # rows stay in the order of values that are no longer there
    n = len(by)
    if order.by[:n] != tuple(by) or not all(order.ascending) or not order.na_last:
        return None
    if order_by and order.by[n:] != tuple(order_by):
        return None
    source = _with_steps(frame.expr, expression, expression.frame)
    gone = (index,) if index is not None and request.drop else ()
    if [name for name in source.columns if name not in gone] != list(frame.columns):
        return None
    if not {*order.by, *(() if index is None else (index,))} <= set(source.columns):
        return None  # a step chose columns of which one that tells the order is none
    return LagSource(
        frame=source,
        order_by=order.by[n:],
        index=index,
        drop=request.drop,
        with_index=request.with_index and not ignore_index,
        divisions=None,
        shuffle=None,
        why=f"{expression.plan.recipe} sorts the frame by its groups anyway: rows move once",
        sorted_by=expression.facts,
    )


def shuffled_by(frame: dd.DataFrame, by: Sequence[Any]) -> Shuffled | None:
    """Return the shuffle that has every group in one partition; None when there is none."""
    expression, assigned = before_steps(frame.expr)
    if not isinstance(expression, SafeShuffle):
        return None
    on = set(expression.on)
    if not on <= set(by) or on & assigned:
        return None
    source = _with_steps(frame.expr, expression, expression.frame)
    return Shuffled(plan=expression.plan, frame=source)


def bounded_partition_rows(plan: Plan) -> Counts:
    """Return the rows of a result's partitions, as its plan bounds them: the largest one, and the others on average."""
    n, total = plan.output_partitions, plan.output_rows.upper
    rows = np.full(n, -(-total // n), np.int64)
    rows[0] = max(int(plan.largest_partition_nbytes / max(plan.row_nbytes, 1e-9)), int(rows[0]))
    return rows


def before_steps(expression: Any) -> tuple[Any, set[Any]]:
    """Return what is before steps that choose columns or work some out row by row, and the columns worked out."""
    steps, assigned = expression, set()
    while isinstance(steps, (Projection, Assign)):
        if isinstance(steps, Assign):
            assigned |= set(steps.keys)
        steps = steps.frame
    return (steps, assigned) if _row_by_row(expression, steps) else (expression, set())


def _row_by_row(expression: Any, source: Any) -> bool:
    """Whether an expression makes each row of the same row of a source, and of nothing else."""
    if expression._name == source._name:
        return True
    return isinstance(expression, (Projection, Assign, Binop, Unaryop, AsType, AsRead)) and all(
        _row_by_row(one, source) for one in expression.dependencies()
    )


def _with_steps(expression: Any, source: Any, instead: Any) -> Any:
    """Return the frame of the same steps of another source: steps that look at a row alone can be taken before it moves."""
    return new_collection(expression.substitute(source, instead))
