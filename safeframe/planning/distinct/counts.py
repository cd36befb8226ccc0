"""The plan of counting the distinct values of several columns, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from safeframe.facts.distinct import CountRun, DistinctRun
from safeframe.facts.estimate import Estimate, Width
from safeframe.facts.plan import Plan
from safeframe.facts.step import Candidate, Step
from safeframe.units import format_key


def plan_counts(plans: Sequence[Plan], names: Sequence[Any]) -> Plan:
    """Join the plans of columns.

    Parameters
    ----------
    plans
        One for each column.
    names
        The columns.
    """
    runs = [plan.run for plan in plans]
    # The plan is called by the strategy that moves most.
    largest = max(plans, key=lambda plan: (plan.staging_nbytes, plan.task_peak_nbytes))
    several = len(plans) > 1
    width = Width.fixed(8.0)
    rows = Estimate.computed(len(plans))
    return replace(
        largest,
        reasons=tuple(
            f"{format_key(name)}: {plan.strategy}, because {reason}" if several else reason
            for name, plan in zip(names, plans, strict=True)
            for reason in plan.reasons
        ),
        rejected=_rejected(plans, names) if several else largest.rejected,
        steps=tuple(_joined_steps(plans)),
        output_rows=rows,
        output_nbytes=width.of_all(rows),
        output_width=width,
        output_partitions=1,
        partition_nbytes=8 * len(plans),
        largest_partition_nbytes=8 * len(plans),
        row_nbytes=8.0,
        staging_nbytes=sum(plan.staging_nbytes for plan in plans),
        run=CountRun(columns=tuple(run for run in runs if isinstance(run, DistinctRun))),
    )


def _rejected(plans: Sequence[Plan], names: Sequence[Any]) -> tuple[Candidate, ...]:
    return tuple(
        replace(other, reason=f"{format_key(name)}: {other.reason}")
        for name, plan in zip(names, plans, strict=True)
        for other in plan.rejected
    )


def _joined_steps(plans: Sequence[Plan]) -> list[Step]:
    """Return each kind of task once, with the tasks of all columns and the peak of the largest."""
    joined: dict[str, Step] = {}
    for plan in plans:
        for step in plan.steps:
            known = joined.get(step.kind)
            larger = step if known is None or step.task_peak_nbytes > known.task_peak_nbytes else known
            tasks = step.tasks + (0 if known is None else known.tasks)
            joined[step.kind] = replace(larger, tasks=tasks)
    return list(joined.values())
