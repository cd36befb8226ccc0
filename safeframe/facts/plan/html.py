"""A plan as a notebook shows it.

Covers: ``plan._repr_html_()``.
Does not cover: text (``summary``, ``text``), how tables and colours are made (``safeframe.facts.html``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safeframe.facts import html
from safeframe.facts.merge import MergeRun
from safeframe.facts.notebook import heaviest_keys
from safeframe.facts.plan.summary import summary_facts
from safeframe.facts.plan.text import projected_of_allowed, steps_of, too_large, verdict
from safeframe.units import format_count, format_nbytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safeframe.facts.plan.plan import Plan

_ELSEWHERE = ("memory", "heaviest", "too large", "not taken", "more")
"""Lines of the summary that have a bar or a table of their own here."""


def plan_html(plan: Plan) -> str:
    """Return what a plan comes to, with its steps and what was not taken below it."""
    title = html.joined(f"{plan.recipe} by {plan.strategy}: ", html.marked(verdict(plan), good=plan.fits))
    share = plan.projected_worker_nbytes / max(1, plan.budget.allowed_nbytes)
    rows: list[tuple[object, object]] = [
        ("memory", html.bar(share, f"projected {projected_of_allowed(plan)}")),
        *((label, fact) for label, fact in summary_facts(plan) if label not in _ELSEWHERE),
        *([("too large", html.marked(html.lines(too_large(plan)), good=False))] if not plan.fits else []),
    ]
    return html.page(title, html.facts_table("What it comes to", rows), *_tables(plan))


def _tables(plan: Plan) -> Iterable[html.Markup]:
    if isinstance(plan.run, MergeRun) and plan.run.estimate.heaviest:
        yield heaviest_keys(plan.run.estimate.heaviest)
    yield html.folded("Steps and their memory", _steps(plan))
    if len(plan.reasons) > 1:
        yield html.folded(f"Why {plan.strategy}", html.lines(plan.reasons))
    if plan.rejected:
        rejected = [
            (other.strategy, other.reason, "" if other.cost is None else other.cost)
            for other in plan.rejected
        ]
        columns = {"strategy": False, "why not": False, "what it would move": False}
        yield html.folded("Strategies that were not taken", html.table("Other strategies", columns, rejected))
    spreads = [*plan.partitions_before, *([] if plan.partitions_after is None else [plan.partitions_after])]
    if spreads:
        columns = {"of": False, "partitions": True, "smallest": True, "median": True, "largest": True}
        sizes = [
            (
                spread.name,
                spread.count,
                format_nbytes(spread.smallest_nbytes),
                format_nbytes(spread.median_nbytes),
                format_nbytes(spread.largest_nbytes),
            )
            for spread in spreads
        ]
        yield html.folded("Sizes of partitions", html.table("Bytes of partitions in memory", columns, sizes))


def _steps(plan: Plan) -> html.Markup:
    budget = plan.budget
    columns = {"step": False, "tasks": True, "a task, up to": True, "a worker, up to": True, "made of": False}
    rows = [
        (
            step.kind,
            format_count(step.tasks),
            format_nbytes(step.task_peak_nbytes),
            format_nbytes(budget.projected_worker_nbytes(step.task_peak_nbytes)),
            step.reason,
        )
        for step in steps_of(plan)
    ]
    caption = (
        f"Steps in the order in which they run; a worker is allowed {format_nbytes(budget.allowed_nbytes)}, "
        f"{format_nbytes(budget.reserved_nbytes)} of it used before any data"
    )
    return html.table(caption, columns, rows)
