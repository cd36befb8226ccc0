"""The steps of a dataframe that gather or multiply rows, with what they hold at most.

Covers: merges, sorts, shuffles, reductions by key, fewer partitions, and ``compute`` of the whole result.
Does not cover: how many rows and bytes there are (``sizing.bounds``); arrays, bags and delayed objects (``layers``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from safeframe._dask import gathering
from safeframe._dask.expressions import GroupByApply, GroupByApplyConcatApply, Merge
from safeframe.engine.planned.nodes import Planned
from safeframe.errors import SafeframeError
from safeframe.facts.budget import Budget
from safeframe.facts.estimate import Estimate, format_interval
from safeframe.facts.explanation import Finding, exceeds_allowed
from safeframe.facts.plan import Plan
from safeframe.prepare.explain.keys import counted_merge
from safeframe.sizing.bounds import Bound, Bounds, widths_of

_BY_KEY = "all rows of a key are in one partition, and how many the heaviest key has is not known"
_TREE = "one task has the results of all partitions"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Step:
    """What is said of a step, before it is compared with the memory of a worker."""

    operation: str
    recipe: str
    held: Estimate | None
    reason: str
    at_least_nbytes: int = 0
    partitions_out: int | None = None


class FrameSteps:
    """Findings and plans in the expression of a dataframe, a series, an index or a number.

    Parameters
    ----------
    expr
        The expression.
    budget
        What a worker may use.
    count_keys
        Whether keys of merges are read and counted.
    """

    def __init__(self, expr: Any, budget: Budget, *, count_keys: bool) -> None:
        self.expr = expr
        self.allowed_nbytes = max(0, budget.allowed_nbytes - budget.reserved_nbytes)
        self.count_keys = count_keys
        self.bounds = Bounds(self._special)
        self._counted: dict[str, Bound | str] = {}

    def plans(self) -> tuple[Plan, ...]:
        """Return the plans of all recipes, in the order in which they run."""
        return tuple(
            node.own_plan
            for node in _in_order(self.expr)
            if isinstance(node, Planned) and node.own_plan is not None
        )

    def findings(self) -> tuple[Finding, ...]:
        """Return the steps that gather or multiply rows, in the order in which they run."""
        found = []
        for node in _in_order(self.expr):
            step = None if isinstance(node, Planned) else self._step(node)
            if step is not None:
                found.append(self._finding(node, step))
        last = self._compute()
        return tuple(found if last is None else [*found, last])

    def _finding(self, node: Any, step: _Step) -> Finding:
        taken = self.bounds.of(node.dependencies()[0])
        made = self.bounds.of(node).partitions if step.partitions_out is None else step.partitions_out
        exceeds = exceeds_allowed(step.held, self.allowed_nbytes)
        if exceeds is None and step.at_least_nbytes > self.allowed_nbytes:
            exceeds = True
        return Finding(
            step=str(node._name),
            operation=step.operation,
            partitions_in=taken.partitions,
            partitions_out=made,
            held_nbytes=step.held,
            allowed_nbytes=self.allowed_nbytes,
            exceeds=exceeds,
            recipe=f"safeframe.{step.recipe}",
            reason=step.reason,
        )

    def _special(self, node: Any, bounds: Bounds) -> Bound | None:
        """Return the bound of a recipe's result by its plan, and of a merge by its keys where these are counted."""
        if isinstance(node, Planned) and node.own_plan is not None:
            plan = node.own_plan
            return Bound(
                rows=plan.output_rows,
                partitions=plan.output_partitions,
                widths=widths_of(node._meta, lambda _: None),
                total=plan.output_nbytes,
            )
        if isinstance(node, Merge) and not isinstance(node, Planned) and self.count_keys:
            counted = self._count(node)
            if isinstance(counted, Bound):
                return replace(counted, partitions=None if bounds.waits(node) else int(node.npartitions))
        return None

    def _count(self, node: Any) -> Bound | str:
        if node._name not in self._counted:
            try:
                estimate = counted_merge(node)
            except SafeframeError as error:
                self._counted[node._name] = error.message.rstrip(".")
            else:
                self._counted[node._name] = Bound(
                    rows=estimate.rows, widths=widths_of(node._meta, lambda _: None), total=estimate.nbytes
                )
        return self._counted[node._name]

    # What is said of each kind of step --------------------------------------------

    def _step(self, node: Any) -> _Step | None:
        if isinstance(node, Merge) and "how" not in node._parameters:
            return None  # of rows in order: as many as the left side has
        for kind, say in self._kinds():
            if isinstance(node, kind):
                return say(node)
        return None

    def _kinds(self) -> list[tuple[Any, Callable[[Any], _Step | None]]]:
        return [
            (Merge, self._merge),
            (
                gathering.SetIndex,
                lambda node: self._moved(node, f"set_index({_said(_by(node, '_other'))})", "set_index"),
            ),
            (
                gathering.SortValues,
                lambda node: self._moved(node, f"sort_values({_said(_by(node, 'by'))})", "sort_values"),
            ),
            (gathering.ShuffleBase, lambda node: self._moved(node, "shuffle", "shuffle")),
            (GroupByApply, lambda node: self._moved(node, f"groupby.{_name_of(node)}", "groupby")),
            (gathering.ValueCounts, lambda node: self._reduced(node, "value_counts", "value_counts")),
            (
                gathering.DropDuplicates,
                lambda node: self._reduced(node, "drop_duplicates", "drop_duplicates"),
            ),
            (gathering.Unique, lambda node: self._reduced(node, "unique", "unique")),
            (gathering.Mode, lambda node: self._reduced(node, "mode", "value_counts")),
            (
                (GroupByApplyConcatApply, gathering.GroupByReduction),
                lambda node: self._reduced(node, f"groupby.{_name_of(node)}", "groupby"),
            ),
            (gathering.Repartition, self._repartitioned),
        ]

    def _merge(self, node: Any) -> _Step:
        left, right = self.bounds.of(node.left), self.bounds.of(node.right)
        operation = f"merge(how={node.how!r}{_on(node)})"
        side = None if self.bounds.waits(node) else gathering.broadcast_side(node)
        whole = {"left": left.nbytes, "right": right.nbytes}.get(side or "")
        at_least = 0 if whole is None else whole.lower
        takes = "" if side is None else f"; each task has the whole {side} side"
        if whole is not None:
            takes += f", {format_interval(whole)}"
        counted = self._count(node) if self.count_keys else ""
        if isinstance(counted, Bound) and counted.nbytes is not None and counted.rows is not None:
            made = counted.nbytes
            inputs = [one.nbytes for one in (left, right)]
            if None not in inputs:
                upper = made.upper + sum(one.upper for one in inputs if one is not None)
                held = Estimate(
                    lower=max(
                        at_least, made.lower // max(1, self.bounds.of(node).partitions or made.lower or 1)
                    ),
                    expected=max(at_least, made.expected // max(1, self.bounds.of(node).partitions or 1)),
                    upper=upper,
                    method=made.method,
                    exact=False,
                )
                reason = f"it makes {_count(counted.rows)} rows of {_count(left.rows)} and {_count(right.rows)}{takes}"
                return _Step(operation=operation, recipe="merge", held=held, reason=reason)
        if isinstance(counted, str) and counted:
            why = counted
        elif isinstance(counted, Bound):
            why = next(one.why_unknown for one in (left, right) if one.nbytes is None)
        else:
            why = "how many rows match; count_keys=True reads the keys and counts them"
        return _Step(
            operation=operation,
            recipe="merge",
            held=None,
            reason=f"not known: {why}{takes}",
            at_least_nbytes=at_least,
        )

    def _moved(self, node: Any, operation: str, recipe: str) -> _Step:
        """Say what the largest partition of a sort or a shuffle holds: its rows as they came, and in order."""
        below = self.bounds.of(node.dependencies()[0])
        nbytes = below.nbytes
        if nbytes is None:
            return _Step(
                operation=operation, recipe=recipe, held=None, reason=f"not known: {below.why_unknown}"
            )
        n = self.bounds.of(node).partitions or below.partitions or 1
        return _Step(operation=operation, recipe=recipe, held=_spread(nbytes, n), reason=_BY_KEY)

    def _reduced(self, node: Any, operation: str, recipe: str) -> _Step:
        """Say what the last task of a reduction holds: what partitions send, and what it makes of that."""
        below = self.bounds.of(node.dependencies()[0])
        result = self.bounds.of(node)
        n = result.partitions if self.bounds.waits(node) else gathering.reduced_partitions(node)
        n = below.partitions if n is None else n
        sent = _sent_nbytes(node, below)
        made = result.nbytes
        if sent is None or made is None:
            why = (below if below.rows is None or below.width is None else result).why_unknown
            return _Step(
                operation=operation, recipe=recipe, held=None, reason=f"not known: {why}", partitions_out=n
            )
        total = Estimate(
            lower=0,
            expected=sent.expected + made.expected,
            upper=sent.upper + made.upper,
            method=sent.method,
            exact=False,
        )
        if n == 1:
            reason = f"{_TREE}, as many rows as there are different ones and at most {_count(below.rows)}"
        else:
            reason = "results of all partitions are spread by a hash of their keys; at worst one task has all of them"
            total = replace(total, expected=total.expected // max(1, n or 1))
        return _Step(operation=operation, recipe=recipe, held=total, reason=reason, partitions_out=n)

    def _repartitioned(self, node: Any) -> _Step | None:
        below, made = self.bounds.of(node.frame), self.bounds.of(node).partitions
        if made is None or below.partitions is None or made >= below.partitions:
            return None
        operation, recipe = f"repartition(npartitions={made})", "rebalance_partitions"
        nbytes = below.nbytes
        if nbytes is None:
            return _Step(
                operation=operation, recipe=recipe, held=None, reason=f"not known: {below.why_unknown}"
            )
        reason = (
            "one partition has all rows"
            if made == 1
            else f"{below.partitions} partitions are joined to {made}"
        )
        return _Step(operation=operation, recipe=recipe, held=_spread(nbytes, made), reason=reason)

    def _compute(self) -> Finding | None:
        """Say what a task holds that makes one frame of all partitions, as ``compute`` does; None where that fits."""
        result = self.bounds.of(self.expr)
        if self.expr.ndim == 0 or result.partitions == 1:
            return None
        nbytes = result.nbytes
        held = None if nbytes is None else _spread(nbytes, 1)
        exceeds = exceeds_allowed(held, self.allowed_nbytes)
        if exceeds is False:
            return None
        reason = "one task, and this process, has all rows" if held else f"not known: {result.why_unknown}"
        return Finding(
            step="compute",
            operation="compute()",
            partitions_in=result.partitions,
            partitions_out=1,
            held_nbytes=held,
            allowed_nbytes=self.allowed_nbytes,
            exceeds=exceeds,
            recipe="safeframe.to_parquet",
            reason=reason,
        )


def _in_order(expr: Any) -> list[Any]:
    """List the steps of an expression once each, those that run before others first."""
    done: dict[str, Any] = {}
    waiting = [(expr, False)]
    while waiting:
        node, ready = waiting.pop()
        if node._name in done:
            continue
        if ready:
            done[node._name] = node
            continue
        waiting.append((node, True))
        waiting.extend((below, False) for below in reversed(node.dependencies()))
    return list(done.values())


def _spread(nbytes: Estimate, n: int) -> Estimate:
    """Return what a task holds that takes one of ``n`` partitions of rows and makes another frame of them."""
    whole = n == 1
    return Estimate(
        lower=2 * nbytes.lower // n,
        expected=2 * nbytes.expected // n,
        upper=2 * nbytes.upper,
        method=nbytes.method,
        exact=nbytes.exact and whole,
    )


def _sent_nbytes(node: Any, below: Bound) -> Estimate | None:
    """Return the bytes that all partitions together send to a reduction, at most."""
    if below.rows is None:
        return None
    meta = gathering.chunk_meta(node)
    if not isinstance(meta, (pd.DataFrame, pd.Series, pd.Index)):
        return below.nbytes
    sent = replace(below, widths=widths_of(meta, below.widths.get), total=None)
    return sent.nbytes


def _count(rows: Estimate | None) -> str:
    if rows is None:
        return "?"
    return f"{rows.expected:,}" if rows.exact else f"at most {rows.upper:,}"


def _by(node: Any, parameter: str) -> Any:
    return node.operand(parameter)


def _said(value: Any) -> str:
    return repr(value) if isinstance(value, (str, int, list, tuple)) else "…"


def _on(node: Any) -> str:
    left, right = node.left_on, node.right_on
    if node.left_index or node.right_index:
        return ", on an index"
    return f", on={_said(left)}" if left == right else f", left_on={_said(left)}, right_on={_said(right)}"


def _name_of(node: Any) -> str:
    name = type(node).__name__.lower()
    return {"groupbyaggregation": "agg", "groupbyapply": "apply", "groupbytransform": "transform"}.get(
        name, name.removeprefix("groupby")
    )
