"""A plan as a picture: memory of each step, sizes of partitions, the heaviest keys.

Covers: ``plan.plot()``, and new axes for other plots.
Does not cover: what a run used (``report.measure``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from safeframe.errors import UnsupportedError
from safeframe.facts.merge import MergeEstimate, MergeRun
from safeframe.facts.plan.text import steps_of, verdict
from safeframe.facts.spread import Spread
from safeframe.units import format_count, format_key, format_nbytes, nbytes_unit, shortened

if TYPE_CHECKING:
    from safeframe.facts.plan.plan import Plan

_HEAVIEST = 10
_NAME_LENGTH = 36
# Of the palette of Okabe and Ito, which people of any colour vision tell apart.
_USED, _TASKS, _OVER, _BEFORE, _AFTER = "#999999", "#0072B2", "#D55E00", "#E69F00", "#0072B2"


def pyplot() -> Any:
    """Return ``matplotlib.pyplot``.

    Raises
    ------
    UnsupportedError
        When matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        msg = "A plot needs matplotlib, which is not installed."
        raise UnsupportedError(
            msg, hint="Install it: pip install matplotlib, or pip install 'dask-safeframe[plot]'."
        ) from error
    return plt


def plot_plan(plan: Plan, figure: Any = None) -> Any:
    """Draw a plan; see :meth:`safeframe.Plan.plot`."""
    plt = pyplot()
    merge = plan.run.estimate if isinstance(plan.run, MergeRun) else None
    heaviest = merge is not None and bool(merge.heaviest)
    steps = steps_of(plan)
    heights = [
        1.2 + 0.4 * max(1, len(steps)),
        2.8,
        *([1.0 + 0.3 * _shown(merge)] if merge and heaviest else []),
    ]
    if figure is None:
        figure = plt.figure(figsize=(8, sum(heights)), layout="constrained")
    panels = figure.subplots(len(heights), 1, gridspec_kw={"height_ratios": heights})
    figure.suptitle(
        f"{plan.recipe} by {plan.strategy}: {verdict(plan)}, "
        f"{format_nbytes(plan.projected_worker_nbytes)} projected of {format_nbytes(plan.budget.allowed_nbytes)}"
    )
    _draw_steps(panels[0], plan)
    _draw_partitions(panels[1], plan)
    if merge is not None and heaviest:
        _draw_keys(panels[2], merge)
    return figure


def _draw_steps(axes: Any, plan: Plan) -> None:
    """Draw what a worker uses at each step: before any data, for moving rows, and by the tasks that it runs."""
    budget, steps = plan.budget, steps_of(plan)
    limit = budget.allowed_nbytes
    peaks = [step.task_peak_nbytes * budget.threads_per_worker for step in steps]
    used = budget.reserved_nbytes + budget.transport_nbytes
    unit, size = nbytes_unit(max([limit, *(used + peak for peak in peaks)]))
    places = range(len(steps))
    axes.barh(places, [used / size] * len(steps), color=_USED, label="before any data")
    within = [min(peak, max(0, limit - used)) / size for peak in peaks]
    axes.barh(places, within, left=used / size, color=_TASKS, label="tasks, at most")
    beyond = [max(0, used + peak - max(limit, used)) / size for peak in peaks]
    if any(beyond):
        axes.barh(
            places, beyond, left=max(limit, used) / size, color=_OVER, hatch="//", label="above the limit"
        )
    axes.axvline(limit / size, color="black", linestyle="--", label=f"limit, {format_nbytes(limit)}")
    _name(axes, [f"{step.kind} ({format_count(step.tasks)})" for step in steps])
    axes.set_xlim(left=0)
    axes.set_xlabel(f"memory of a worker ({unit})")
    axes.set_title("Memory of each step (and its tasks)", loc="left", fontsize="medium")
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))


def _draw_partitions(axes: Any, plan: Plan) -> None:
    """Draw sizes of partitions from the smallest to the largest, before and after, below what a task may use."""
    after = plan.partitions_after or Spread(
        name="result", partitions=plan.output_partitions, nbytes=(plan.largest_partition_nbytes,)
    )
    limit = plan.budget.task_nbytes
    known = [spread for spread in (*plan.partitions_before, after) if spread.nbytes]
    unit, size = nbytes_unit(max([limit, *(spread.largest_nbytes for spread in known)]))
    for number, spread in enumerate(known):
        is_after = spread is after
        label = f"{'after' if is_after else 'before'}: {shortened(spread.name, _NAME_LENGTH)}"
        if is_after and plan.partitions_after is None:
            label = f"{label}, at most"
        n = len(spread.nbytes)
        axes.stairs(
            [nbytes / size for nbytes in spread.nbytes],
            [100 * place / n for place in range(n + 1)],
            baseline=None,
            color=_AFTER if is_after else _BEFORE,
            linestyle="-" if is_after or number == 0 else ":",
            linewidth=2,
            label=f"{label} ({spread.count})",
        )
    if limit > 0:
        axes.axhline(
            limit / size, color="black", linestyle="--", label=f"limit of a task, {format_nbytes(limit)}"
        )
    axes.axhline(
        plan.partition_nbytes / size,
        color="black",
        linestyle=":",
        label=f"target, {format_nbytes(plan.partition_nbytes)}",
    )
    axes.set_yscale("symlog", linthresh=max(_least(known) / size, 1e-9))
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 3 * axes.get_ylim()[1])
    axes.set_xlabel("share of the partitions, from the smallest to the largest (%)")
    axes.set_ylabel(f"a partition ({unit})")
    axes.set_title("Sizes of partitions in memory", loc="left", fontsize="medium")
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))


def _draw_keys(axes: Any, merge: MergeEstimate) -> None:
    keys = merge.heaviest[:_HEAVIEST]
    bars = axes.barh(range(len(keys)), [float(key.output_rows) for key in keys], color=_TASKS)
    axes.bar_label(
        bars,
        [f" {format_count(key.left_rows)} × {format_count(key.right_rows)}" for key in keys],
        fontsize="small",
    )
    _name(axes, [format_key(key.key) for key in keys])
    axes.margins(x=0.3)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.locator_params(axis="x", nbins=4)  # names of millions stand side by side
    axes.set_xlabel("rows in the result")
    axes.set_title("The heaviest keys (left × right rows)", loc="left", fontsize="medium")


def _shown(merge: MergeEstimate) -> int:
    return min(len(merge.heaviest), _HEAVIEST)


def _least(spreads: Iterable[Spread]) -> int:
    return min((nbytes for spread in spreads for nbytes in spread.nbytes if nbytes), default=1)


def _name(axes: Any, names: list[str]) -> None:
    """Name the bars, the first of them on top; a dollar sign of a user's key is no formula."""
    axes.set_yticks(range(len(names)), [shortened(name, _NAME_LENGTH) for name in names], fontsize="small")
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.invert_yaxis()
