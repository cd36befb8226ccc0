"""A plan in ten lines: will it fit, how large is the result, which way, and why.

Covers: ``print(plan)``, ``repr(plan)``, what rich prints, and what commands print of files that they write.
Does not cover: all figures (``text``), notebooks (``html``), plots (``plot``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safeframe.errors import SafeframeError
from safeframe.facts.estimate import about, format_interval, format_rows
from safeframe.facts.merge import MergeRun, WritePlan
from safeframe.facts.plan.text import (
    LABEL_WIDTH,
    fanout_words,
    plural,
    projected_of_allowed,
    steps_of,
    too_large,
    verdict,
)
from safeframe.units import format_count, format_nbytes

if TYPE_CHECKING:
    from safeframe.facts.plan.plan import Plan


_MORE = "plan.details() has all steps and reasons, plan.plot() draws them"


def plan_summary(plan: Plan, more: str = _MORE) -> str:
    """Print what a plan comes to, in ten lines at most.

    Parameters
    ----------
    plan
        The plan.
    more
        How to see all of it; empty where it cannot be seen.

    Returns
    -------
    str
        Lines without a final line break.
    """
    return _lines(plan, summary_facts(plan, more))


def files_summary(plan: Plan, more: str, *, stands: str = "") -> str:
    """Print what writing a result comes to, for who has no plan to ask.

    Parameters
    ----------
    plan
        The plan of the write.
    more
        How to see all of it.
    stands
        What is said instead of whether it fits, where something else refuses the write.

    Returns
    -------
    str
        Lines without a final line break.
    """
    instead = {"partitions": ("files", _files(plan))}
    blocks = _blocks(plan)
    if blocks is not None:
        instead["strategy"] = "strategy", f"compact encoding, because {blocks.reason}"
    return _lines(
        plan, [instead.get(label, (label, fact)) for label, fact in summary_facts(plan, more)], stands
    )


def _lines(plan: Plan, facts: list[tuple[str, str]], stands: str = "") -> str:
    return "\n".join(
        [
            f"{plan.recipe}: {stands or verdict(plan)}",
            *(f"  {label:<{LABEL_WIDTH}}  {fact}" for label, fact in facts),
        ]
    )


def summary_facts(plan: Plan, more: str = _MORE) -> list[tuple[str, str]]:
    """Return what a plan comes to, each with its label."""
    facts = [
        ("strategy", _strategy(plan)),
        ("memory", _memory(plan)),
        ("staging", _staging(plan)),
        ("rows", _rows(plan)),
        ("size", f"{format_interval(plan.output_nbytes)} in memory"),
        ("partitions", _partitions(plan)),
    ]
    if isinstance(plan.run, MergeRun) and plan.run.estimate.heaviest:
        facts.append(("heaviest", fanout_words(plan.run.estimate.heaviest[0])))
    if not plan.fits:
        return [*facts, ("too large", too_large(plan)[0]), ("hint", _hint(plan))]
    if plan.rejected:
        facts.append(("not taken", ", ".join(other.strategy for other in plan.rejected)))
    return [*facts, ("more", more)] if more else facts


def plan_rich(plan: Plan, more: str = _MORE) -> Any:
    """Return the ten lines as rich prints them, the verdict in colour; ``more`` is how to see all of it."""
    from rich.text import Text

    text = Text(plan_summary(plan, more))
    text.stylize("bold green" if plan.fits else "bold red", 0, text.plain.index("\n"))
    return text


def plan_repr(plan: Plan) -> str:
    """Return a plan in one line."""
    return (
        f"<Plan of {plan.recipe} by {plan.strategy}: {verdict(plan)}, {about(plan.output_rows)}"
        f"{format_count(plan.output_rows.expected)} rows in {plural(plan.output_partitions, 'partition')}, "
        f"{format_nbytes(plan.projected_worker_nbytes)} projected of {format_nbytes(plan.budget.allowed_nbytes)} "
        "per worker>"
    )


def _hint(plan: Plan) -> str:
    try:
        plan.validate()
    except SafeframeError as error:
        return error.hint
    msg = "it does not fit"
    raise AssertionError(msg)


def _strategy(plan: Plan) -> str:
    return f"{plan.strategy}, because {plan.reasons[0]}" if plan.reasons else plan.strategy


def _memory(plan: Plan) -> str:
    text = f"projected {projected_of_allowed(plan)}"
    steps = steps_of(plan)
    return f"{text}, at {max(steps, key=lambda step: step.task_peak_nbytes).kind!r}" if steps else text


def _staging(plan: Plan) -> str:
    if plan.staging_directory is None:
        return "nothing is staged"
    free = plan.staging_free_nbytes
    room = ", whose free space is not known" if free is None else f", which has {format_nbytes(free)} free"
    return f"{format_nbytes(plan.staging_nbytes)} in {plan.staging_directory}{room}"


def _rows(plan: Plan) -> str:
    rows = format_rows(plan.output_rows)
    if not isinstance(plan.run, MergeRun):
        return rows
    merge = plan.run.estimate
    return f"{rows}, {merge.fanout:,.1f} for each row of the larger side"


def _blocks(plan: Plan) -> WritePlan | None:
    """Return the files of a merge, if those are what the plan is of, and not its rows."""
    write = plan.run.write if isinstance(plan.run, MergeRun) else None
    return write if isinstance(write, WritePlan) and plan.steps is write.steps else None


def _files(plan: Plan) -> str:
    blocks = _blocks(plan)
    if blocks is None:
        return _partitions(plan)
    return f"{format_count(blocks.files)}, about {format_nbytes(blocks.file_nbytes)} before compression"


def _partitions(plan: Plan) -> str:
    return (
        f"{format_count(plan.output_partitions)}, the largest at most {format_nbytes(plan.largest_partition_nbytes)} "
        f"(target {format_nbytes(plan.partition_nbytes)})"
    )
