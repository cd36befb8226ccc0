"""What ``explain`` finds in a collection: the plans of its recipes, and steps of plain dask that gather or multiply rows."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

from safeframe.facts.estimate import Estimate
from safeframe.facts.plan import Plan
from safeframe.units import format_count, format_nbytes

_VERDICTS = {True: "EXCEEDS", False: "fits", None: "?"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """A step of plain dask that brings many rows together, or makes more of them.

    Examples
    --------
    >>> print(
    ...     Finding(
    ...         step="repartition-ab12",
    ...         operation="repartition(npartitions=1)",
    ...         partitions_in=8,
    ...         partitions_out=1,
    ...         held_nbytes=Estimate.computed(2**31),
    ...         allowed_nbytes=2**30,
    ...         exceeds=True,
    ...         recipe="safeframe.rebalance_partitions",
    ...         reason="one partition has all rows",
    ...     )
    ... )
    EXCEEDS  repartition(npartitions=1), 8 partitions to 1: holds at most 2 GiB, and a worker has 1 GiB for data
             because one partition has all rows
             instead safeframe.rebalance_partitions
    """

    step: str
    """The name that dask gives the step; its tasks are called so."""
    operation: str
    """The call that made it."""
    partitions_in: int | None
    """Partitions that it takes; None if not known before the run."""
    partitions_out: int | None
    """Partitions that it makes; None if not known before the run."""
    held_nbytes: Estimate | None
    """Bytes of the rows that one task takes and of those that it makes of them, at most; None if not known."""
    allowed_nbytes: int
    """Bytes that a worker has for data: its memory limit, without what it uses before any data."""
    exceeds: bool | None
    """Whether one task needs more than that; None if it depends on the data, or is not known."""
    recipe: str
    """What to use instead, as ``"safeframe.merge"``; empty if no recipe stands in for it."""
    reason: str
    """What is held, and why; begins with ``"not known: "`` if ``held_nbytes`` is None."""

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as plain values, for JSON."""
        held = self.held_nbytes
        return {
            "step": self.step,
            "operation": self.operation,
            "partitions_in": self.partitions_in,
            "partitions_out": self.partitions_out,
            "held_nbytes": None
            if held is None
            else {"lower": held.lower, "expected": held.expected, "upper": held.upper, "method": held.method},
            "allowed_nbytes": self.allowed_nbytes,
            "exceeds": self.exceeds,
            "recipe": self.recipe,
            "reason": self.reason,
        }

    @property
    def held(self) -> str:
        """What it holds, in words."""
        held = self.held_nbytes
        if held is None:
            return "not known"
        low, high = format_nbytes(held.lower), format_nbytes(held.upper)
        return f"at most {high}" if low == high or not held.lower else f"at least {low} and at most {high}"

    @property
    def partitions(self) -> str:
        """The partitions that it takes and makes, in words."""
        counts = ("?" if n is None else format_count(n) for n in (self.partitions_in, self.partitions_out))
        return "{} partitions to {}".format(*counts)

    def __str__(self) -> str:
        held = "" if self.held_nbytes is None else f": holds {self.held}, and"
        lines = [
            f"{self.operation}, {self.partitions}{held or ':'} a worker has {format_nbytes(self.allowed_nbytes)} for data",
            f"{'' if self.held_nbytes is None else 'because '}{self.reason}",
            *([f"instead {self.recipe}"] if self.recipe else []),
        ]
        indent = " " * 9
        return f"{_VERDICTS[self.exceeds]:<9}" + f"\n{indent}".join(lines)


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Explanation:
    """The plans and the findings of a collection, as :func:`safeframe.explain` returns them.

    Examples
    --------
    >>> print(Explanation(plans=(), findings=()))
    No step gathers or multiplies rows, as far as is known.
    """

    plans: tuple[Plan, ...]
    """The plans of the recipes among its steps, in the order in which they run."""
    findings: tuple[Finding, ...]
    """Steps of plain dask that gather or multiply rows, in the order in which they run."""

    @property
    def exceeds(self) -> bool | None:
        """Whether a step needs more than a worker has; None if none is known to, and some are not known."""
        found = [one.exceeds for one in self.findings] + [not plan.fits for plan in self.plans]
        return True if True in found else None if None in found else False

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation as plain values, for JSON."""
        return {
            "plans": [plan.to_dict() for plan in self.plans],
            "findings": [finding.to_dict() for finding in self.findings],
            "exceeds": self.exceeds,
        }

    def __str__(self) -> str:
        lines = [_of_plan(plan) for plan in self.plans]
        lines += map(str, self.findings)
        if not self.findings:
            lines.append("No step gathers or multiplies rows, as far as is known.")
        return "\n".join(lines)

    def __repr__(self) -> str:
        over = sum(one.exceeds is True for one in self.findings)
        unknown = sum(one.exceeds is None for one in self.findings)
        return f"<Explanation: {len(self.plans)} plans, {len(self.findings)} findings, {over} exceed, {unknown} not known>"

    def _repr_html_(self) -> str:
        """Return a table for notebooks, without styles of its own."""
        rows = [(_plan_verdict(plan), plan.recipe, f"plan: {plan.strategy}", "", "") for plan in self.plans]
        rows += [
            (
                _VERDICTS[one.exceeds],
                one.operation,
                one.partitions,
                f"{one.held} of {format_nbytes(one.allowed_nbytes)}",
                f"{one.reason}. {f'Use {one.recipe}.' if one.recipe else ''}",
            )
            for one in self.findings
        ]
        head = "".join(
            f'<th scope="col">{name}</th>' for name in ("", "step", "partitions", "held by a task", "why")
        )
        body = "".join(
            "<tr>" + "".join(f'<td style="text-align:left">{escape(cell)}</td>' for cell in row) + "</tr>"
            for row in rows
        )
        caption = escape(repr(self).strip("<>"))
        return (
            f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )


def _plan_verdict(plan: Plan) -> str:
    return "fits" if plan.fits else "EXCEEDS"


def _of_plan(plan: Plan) -> str:
    projected, allowed = plan.projected_worker_nbytes, plan.budget.allowed_nbytes
    return (
        f"{_plan_verdict(plan):<9}safeframe.{plan.recipe} ({plan.strategy}): planned, {format_nbytes(projected)} of "
        f"{format_nbytes(allowed)} per worker"
    )


def exceeds_allowed(held: Estimate | None, allowed_nbytes: int) -> bool | None:
    """Return whether what is held is more than is allowed; None where the interval leaves it open.

    Examples
    --------
    >>> held = Estimate(lower=10, expected=20, upper=30, method="footer", exact=False)
    >>> (
    ...     exceeds_allowed(held, 9),
    ...     exceeds_allowed(held, 30),
    ...     exceeds_allowed(held, 20),
    ...     exceeds_allowed(None, 1),
    ... )
    (True, False, None, None)
    """
    if held is None:
        return None
    if held.lower > allowed_nbytes:
        return True
    return False if held.upper <= allowed_nbytes else None
