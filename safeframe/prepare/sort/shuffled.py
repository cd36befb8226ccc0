"""A shuffle, seen from a frame that comes from it: steps in between choose columns, or work some out row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dask.dataframe as dd
from dask.dataframe.api import new_collection

from safeframe._dask.expressions import Assign, AsType, Binop, Projection, Unaryop
from safeframe.engine.sort.nodes import SafeShuffle
from safeframe.facts.plan import Plan


@dataclass(frozen=True, kw_only=True, slots=True)
class Shuffled:
    """A shuffle by key, seen from its result."""

    plan: Plan
    """Its plan."""
    frame: dd.DataFrame
    """Its input, with the steps that follow it."""


def shuffled_by(frame: dd.DataFrame, by: Sequence[Any]) -> Shuffled | None:
    """Return the shuffle that has every group in one partition; None when there is none."""
    expression, assigned = before_steps(frame.expr)
    if not isinstance(expression, SafeShuffle):
        return None
    on = set(expression.on)
    if not on <= set(by) or on & assigned:
        return None
    source = with_steps(frame.expr, expression, expression.frame)
    return Shuffled(plan=expression.plan, frame=source)


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
    return isinstance(expression, (Projection, Assign, Binop, Unaryop, AsType)) and all(
        _row_by_row(one, source) for one in expression.dependencies()
    )


def with_steps(expression: Any, source: Any, instead: Any) -> Any:
    """Return the frame of the same steps of another source: steps that look at a row alone can be taken before it moves."""
    return new_collection(expression.substitute(source, instead))
