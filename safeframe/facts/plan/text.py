"""All of a plan as text: what will run, why, and what it will cost.

Covers: :meth:`safeframe.Plan.details`.
Does not cover: the ten lines of ``print(plan)`` (``summary``); a plan as JSON (:meth:`safeframe.Plan.to_dict`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from safeframe import options
from safeframe.facts.estimate import Estimate, about
from safeframe.facts.merge import KeyFanout, MergeEstimate, MergeRun, SlicedWrite, WritePlan
from safeframe.units import format_count, format_key, format_nbytes

if TYPE_CHECKING:
    from safeframe.facts.plan.plan import Plan
    from safeframe.facts.step import Step

LABEL_WIDTH = 10
_HEAVIEST = 3


def plan_text(plan: Plan) -> str:
    """Print a plan, one fact a line, labels in a column of their own.

    Parameters
    ----------
    plan
        The plan.

    Returns
    -------
    str
        Lines without a final line break.
    """
    blocks = (
        ("", [f"{plan.recipe}: {verdict(plan)}"]),
        ("strategy", [plan.strategy, *(f"because {reason}" for reason in plan.reasons)]),
        ("fits", _fits(plan)),
        ("output", _output(plan)),
        ("partitions", _partitions(plan)),
        ("memory", _memory(plan)),
        ("staging", _staging(plan)),
        ("parquet", _parquet(plan)),
        ("steps", [_step(step, steps_of(plan)) for step in steps_of(plan)]),
        ("rejected", [f"{other.strategy}: {other.reason}" for other in plan.rejected]),
        ("moves", _moves(plan)),
        ("too large", too_large(plan)),
    )
    return "\n".join(line for label, lines in blocks for line in _block(label, lines))


def verdict(plan: Plan) -> str:
    """Return whether a plan fits, in words."""
    return "FITS" if plan.fits else "DOES NOT FIT"


def projected_of_allowed(plan: Plan) -> str:
    """Return what a worker is projected to use of what it may use."""
    projected, allowed = plan.projected_worker_nbytes, plan.budget.allowed_nbytes
    return f"{format_nbytes(projected)} of {format_nbytes(allowed)} allowed per worker ({projected / max(1, allowed):.0%})"


def _block(label: str, lines: Iterable[str]) -> Iterable[str]:
    if not label:
        yield from lines
        return
    for number, line in enumerate(lines):
        yield f"  {label if number == 0 else '':<{LABEL_WIDTH}}  {line}"


def _fits(plan: Plan) -> list[str]:
    """Print what has to have room for the plan, one by one: the verdict is of workers and staging alone."""
    workers = "do not fit" if plan.over_budget else "fit"
    projected, allowed = plan.projected_worker_nbytes, plan.budget.allowed_nbytes
    return [
        f"workers: {workers} ({format_nbytes(projected)} of {format_nbytes(allowed)} each)",
        f"staging: {_staging_fits(plan)}",
        f"target: {_target(plan)}",
    ]


def _staging_fits(plan: Plan) -> str:
    if plan.staging_directory is None:
        return "not needed"
    needed, free = plan.staging_nbytes, plan.staging_free_nbytes
    if free is None:
        return f"{format_nbytes(needed)} needed; its free space is not known"
    verdict = "fits" if needed <= free else "does not fit"
    return f"{verdict} ({format_nbytes(needed)} of {format_nbytes(free)} free)"


def _target(plan: Plan) -> str:
    """Print what the result takes where it is written: its disk is known only once there is one."""
    least, most = int(plan.output_nbytes.lower * options.FILE_FRACTION), plan.output_nbytes.upper
    rows = f"{format_nbytes(least)} to {format_nbytes(most)} on disk if written row by row"
    match plan.run:
        case MergeRun(write=WritePlan(file_nbytes=nbytes)):
            rows += f", about {format_nbytes(nbytes)} in the compact encoding"
    return f"not checked; {rows}"


def _output(plan: Plan) -> list[str]:
    rows, nbytes = plan.output_rows, plan.output_nbytes
    lines = [
        (
            f"{about(rows)}{format_count(rows.expected)} rows, {_roughly(nbytes)}{format_nbytes(nbytes.expected)} "
            f"in memory ({_row(plan)})"
        )
    ]
    if not rows.exact:
        lines.append(
            f"between {format_count(rows.lower)} and {format_count(rows.upper)} rows ({rows.method})"
        )
    if format_nbytes(nbytes.lower) != format_nbytes(nbytes.upper):
        lines.append(
            f"between {format_nbytes(nbytes.lower)} and {format_nbytes(nbytes.upper)} in memory ({nbytes.method})"
        )
    if isinstance(plan.run, MergeRun):
        lines.extend(_merge(plan.run.estimate))
    return lines


def _merge(merge: MergeEstimate) -> Iterable[str]:
    yield (
        f"{merge.how} merge on {', '.join(map(str, merge.on))} of {format_count(merge.left_rows)} left "
        f"and {format_count(merge.right_rows)} right rows: {merge.fanout:,.1f} rows out for each row of "
        "the larger side"
    )
    for key in merge.heaviest[:_HEAVIEST]:
        yield f"heaviest {fanout_words(key)}"


def fanout_words(key: KeyFanout) -> str:
    """Return a key of a join, its rows on both sides, and those that it has in the result."""
    return (
        f"key {format_key(key.key)}: {format_count(key.left_rows)} × {format_count(key.right_rows)} → "
        f"{format_count(key.output_rows)} rows"
    )


def _roughly(nbytes: Estimate) -> str:
    return "about " if format_nbytes(nbytes.lower) != format_nbytes(nbytes.upper) else ""


def _row(plan: Plan) -> str:
    """Print the bytes of a row that the line's bytes are made of, and those that partitions are reckoned with."""
    width = plan.output_width
    if width is None or width.expected == plan.row_nbytes:
        return f"{plan.row_nbytes:g} B a row"
    return f"{width.expected:.4g} B a row; planned with {plan.row_nbytes:.4g} B"


def _partitions(plan: Plan) -> list[str]:
    largest = format_nbytes(plan.largest_partition_nbytes)
    lines = [
        (
            f"{format_count(plan.output_partitions)}, the largest at most {largest} "
            f"(target {format_nbytes(plan.partition_nbytes)})"
        )
    ]
    if plan.largest_possible_nbytes > plan.largest_partition_nbytes:
        lines.append(
            f"widths are sampled: with rows as wide as the sample allows, {format_nbytes(plan.largest_possible_nbytes)}"
        )
    return lines


def _memory(plan: Plan) -> list[str]:
    budget = plan.budget
    if budget.projected_worker_nbytes(0) >= budget.allowed_nbytes:
        before = "and by buffers that move rows" if budget.transport_nbytes else "before any data"
        return [*_memory_lines(plan), f"nothing is left for a task: all allowed memory is used {before}"]
    return _memory_lines(plan)


def _memory_lines(plan: Plan) -> list[str]:
    budget = plan.budget
    source = "measured" if budget.measured else "assumed"
    return [
        f"projected {projected_of_allowed(plan)}",
        (
            f"{plural(budget.n_workers, 'worker')} × {plural(budget.threads_per_worker, 'thread')}; "
            f"{format_nbytes(budget.reserved_nbytes)} used before any data ({source}), "
            f"{format_nbytes(budget.transport_nbytes)} for moving rows"
        ),
        (
            f"a task may use {format_nbytes(max(0, budget.task_nbytes))}, the largest uses up to "
            f"{format_nbytes(plan.task_peak_nbytes)}"
        ),
    ]


def _staging(plan: Plan) -> list[str]:
    if plan.staging_directory is None:
        return ["nothing is staged"]
    if plan.staging_free_nbytes is None:
        return [
            f"{format_nbytes(plan.staging_nbytes)} in {plan.staging_directory}, whose free space is not known"
        ]
    return [
        (
            f"{format_nbytes(plan.staging_nbytes)} of {format_nbytes(plan.staging_free_nbytes)} free in "
            f"{plan.staging_directory}"
        )
    ]


def _parquet(plan: Plan) -> list[str]:
    match plan.run:
        case MergeRun(write=WritePlan() as write):
            projected = plan.budget.projected_worker_nbytes(
                max(step.task_peak_nbytes for step in write.steps)
            )
            return [
                f"compact encoding: about {format_nbytes(write.file_nbytes)} in {plural(write.files, 'file')}, {write.reason}",
                f"in row groups of up to {format_count(write.group_rows)} rows; projected {format_nbytes(projected)} per worker",
            ]
        case MergeRun(sliced=SlicedWrite(reason=reason, files=files)):
            projected = plan.streamed.projected_worker_nbytes
            return [
                f"{plural(files, 'file')}: {reason}",
                f"nothing is staged; projected {format_nbytes(projected)} per worker",
            ]
        case MergeRun(write=str(why)):
            return [f"written row by row: {why}"]
        case _:
            return []


def steps_of(plan: Plan) -> tuple[Step, ...]:
    """Return all steps, what ran before the plan among them."""
    return plan.steps if plan.counting is None else (plan.counting, *plan.steps)


def _step(step: Step, steps: tuple[Step, ...]) -> str:
    width = max(len(other.kind) for other in steps)
    tasks = max(len(format_count(other.tasks)) for other in steps)
    return (
        f"{step.kind:<{width}}  {format_count(step.tasks):>{tasks}} {'task ' if step.tasks == 1 else 'tasks'}  "
        f"up to {format_nbytes(step.task_peak_nbytes):>8}  ({step.reason})"
    )


def _moves(plan: Plan) -> list[str]:
    """Print what each strategy would move that can run: the one that was taken first."""
    candidates = [(plan.strategy, plan.cost), *((other.strategy, other.cost) for other in plan.rejected)]
    return [f"{name}: {cost}" for name, cost in candidates if cost is not None]


def too_large(plan: Plan) -> list[str]:
    """Return what a plan is too large for, one line each; none where it fits."""
    allowed = format_nbytes(plan.budget.allowed_nbytes)
    lines = [
        f"{step.kind}: a worker would reach "
        f"{format_nbytes(plan.budget.projected_worker_nbytes(step.task_peak_nbytes))}, and {allowed} is allowed"
        for step in plan.over_budget
    ]
    if plan.too_many_partitions:
        lines.append(
            f"partitions: {format_count(plan.output_partitions)}, and a dask graph can hold "
            f"{format_count(options.MAX_GRAPH_PARTITIONS)}"
        )
    free = plan.staging_free_nbytes
    if free is not None and plan.staging_nbytes > free:
        lines.append(
            f"staging: {format_nbytes(plan.staging_nbytes)} needed, and {format_nbytes(free)} is free in "
            f"{plan.staging_directory}"
        )
    return lines


def plural(count: int, noun: str) -> str:
    """Return a count with its noun.

    Examples
    --------
    >>> plural(1, "worker"), plural(2_000, "task")
    ('1 worker', '2,000 tasks')
    """
    return f"{format_count(count)} {noun}{'' if count == 1 else 's'}"
