"""Whether the reasons that a plan gives are those that its ladder had."""

from __future__ import annotations

import re
from collections.abc import Callable

from safeframe.facts.plan import Plan
from safeframe.planning.ladder import task_fits

__all__ = ["check_reasons"]


def check_reasons(
    plan: Plan, order: list[str], requested: str | None, alone: Callable[[str], Plan] | None = None
) -> None:
    """Fail where a strategy was not chosen for another reason than the one that is given.

    Parameters
    ----------
    plan
        The plan.
    order
        Names of all strategies, in the order of preference.
    requested
        The strategy that was requested.
    alone
        Makes the plan of a strategy when that one is requested; None where none can be.
    """
    assert [one.strategy for one in plan.rejected] == [name for name in order if name != plan.strategy]
    fits = not task_fits(plan.task_peak_nbytes, plan.budget)
    for one in plan.rejected:
        before = order.index(one.strategy) < order.index(plan.strategy)
        assert (one.reason == f"strategy={requested!r} was requested") == (requested is not None), one
        if requested is not None:
            continue
        if "comes first" in one.reason:
            assert one.reason == f"{plan.strategy} comes first and fits"
            assert fits
            assert not before
        else:
            assert one.reason
            assert before or not fits, f"{one} was looked at, though {plan.strategy} fits"
        if re.match("a task would need ", one.reason) and alone is not None:
            other = alone(one.strategy)
            assert one.reason == task_fits(other.task_peak_nbytes, other.budget)
            assert fits or other.task_peak_nbytes >= plan.task_peak_nbytes
