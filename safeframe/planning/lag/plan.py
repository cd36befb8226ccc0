"""Chooses how shifted columns are made: the cheapest way that has every row of a group at hand.

1. ``whole``: groups are whole within partitions; no row moves.
2. ``halo``: rows are in the order of the keys; partitions read the few rows
   of their neighbours that their first, or last, group goes on in.
3. ``staged``: rows pass through a place that all workers reach, into the order
   of the keys; output partitions read the few rows beside theirs.
4. ``p2p``: there is no such place; dask's P2P moves the rows, and a group has
   to fit a partition.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from safeframe import options
from safeframe.choices import check_choice
from safeframe.errors import ValidationError
from safeframe.facts.lag import Halo, LagFacts
from safeframe.facts.p2p import P2PSettings
from safeframe.facts.plan import Candidate, Plan, Step
from safeframe.planning.lag.halo import plan_halo
from safeframe.planning.memory import (
    cell_peak_nbytes,
    cell_reason,
    default_partition_nbytes,
    p2p_cell_peak_nbytes,
)
from safeframe.planning.sort.plan import plan_sort
from safeframe.planning.sort.ranges import RangeFigures
from safeframe.units import format_count, format_nbytes

__all__ = ["LAG_STRATEGIES", "LagPlan", "default_lag_partition_nbytes", "plan_lag"]

LAG_STRATEGIES = ("whole", "halo", "staged", "p2p")
"""Strategies in the order in which they are tried."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LagPlan:
    """A plan, and what the engine has to know besides."""

    plan: Plan
    halo: Halo | None
    """Rows of neighbours, where partitions stay."""
    figures: RangeFigures | None
    """Where the order is cut, where rows move."""
    settings: P2PSettings | None
    """Buffers that P2P is held to, when it moves the rows."""


def plan_lag(facts: LagFacts, *, only_in_place: bool = False) -> LagPlan | None:
    """Choose the strategy and say what it costs.

    Parameters
    ----------
    facts
        Keys, sizes and budget.
    only_in_place
        Whether rows may not move; the plan is None then where they would have to.

    Raises
    ------
    ValidationError
        When the facts name a strategy that does not exist, or that cannot run.
    """
    asked = facts.sort.strategy
    if asked is not None:
        check_choice(asked, LAG_STRATEGIES, argument="strategy", what=f"a strategy of {facts.sort.recipe}")
    halo = None
    if facts.edges is not None and not facts.edges.out_of_order:
        halo = plan_halo(facts.edges, facts.before, facts.after)
    refusals = {"whole": facts.apart, "halo": _no_halo(facts)}
    if not refusals["whole"]:
        refusals["whole"] = _wrong_size(facts, None)
    if halo is not None and not refusals["halo"]:
        refusals["halo"] = _wrong_size(facts, halo)
    rejected: list[Candidate] = []
    for name, why in refusals.items():
        if asked not in (None, name):
            rejected.append(Candidate(strategy=name, reason=f"strategy={asked!r} was asked for"))
        elif why and asked == name:
            msg = f"strategy={name!r} cannot run this {facts.sort.recipe}: {why}."
            raise ValidationError(msg, hint="Leave strategy= out to have one chosen.")
        elif why:
            rejected.append(Candidate(strategy=name, reason=why))
        else:
            later = LAG_STRATEGIES[LAG_STRATEGIES.index(name) + 1 :]
            after = tuple(
                Candidate(
                    strategy=one,
                    reason=f"strategy={asked!r} was asked for" if asked else f"{name} comes first and fits",
                )
                for one in later
            )
            taken = halo if name == "halo" else None
            plan = _in_place(facts, name, taken, (*rejected, *after))
            return LagPlan(plan=plan, halo=taken, figures=None, settings=None)
    return None if only_in_place else _moved(facts, rejected)


def default_lag_partition_nbytes(facts: LagFacts) -> int:
    """Choose the target of an output partition, for cells whose result is wider than their rows."""
    task_nbytes = max(facts.sort.budget.task_nbytes, 0)
    width = facts.sort.output_row_nbytes
    fixed = _cell_nbytes(facts, 0, facts.before + facts.after)
    row = (_cell_nbytes(facts, 10**6, 0)) / 10**6
    rows = max(0.0, options.LAG_TASK_FRACTION * task_nbytes - fixed) / row
    return max(
        min(default_partition_nbytes(task_nbytes, width), int(rows * width)),
        min(options.MIN_PARTITION_NBYTES, 2**16),
    )


def _cell_nbytes(facts: LagFacts, rows: int, beside: int) -> int:
    """Bound what making a partition of so many rows takes, with so many rows beside it."""
    return cell_peak_nbytes(
        input_rows=rows + beside,
        input_nbytes=int((rows + beside) * facts.sort.row_nbytes),
        output_rows=rows,
        output_nbytes=int(rows * facts.sort.output_row_nbytes),
    )


def _p2p_cell_nbytes(facts: LagFacts, rows: int) -> int:
    """Bound what making a partition of the rows that P2P brought takes."""
    return p2p_cell_peak_nbytes(
        input_rows=rows,
        input_nbytes=int(rows * facts.sort.row_nbytes),
        output_rows=rows,
        output_nbytes=int(rows * facts.sort.output_row_nbytes),
    )


def _cell_reason(facts: LagFacts, rows: int, beside: int, *, by_p2p: bool = False) -> str:
    read = int((rows + beside) * facts.sort.row_nbytes)
    made = int(rows * facts.sort.output_row_nbytes)
    more = f", {format_count(beside)} rows of it besides its own" if beside else ""
    copies = options.P2P_RECEIVE_COPIES if by_p2p else options.FETCH_COPIES
    return (
        cell_reason(
            input_rows=rows + beside, input_nbytes=read, output_rows=rows, output_nbytes=made, copies=copies
        )
        + more
    )


def _no_halo(facts: LagFacts) -> str:
    if facts.edges is None:
        return "groups are whole within partitions, or nobody looked"
    return facts.edges.out_of_order


def _wrong_size(facts: LagFacts, halo: Halo | None) -> str:
    """Return why partitions cannot stay as they are; empty when they can."""
    sort = facts.sort
    n, rows = len(sort.quantiles.partition_rows), _largest_rows(facts)
    if sort.npartitions is not None and sort.npartitions != n:
        return f"there are {format_count(n)} partitions, and {format_count(sort.npartitions)} are asked for"
    largest = int(rows * sort.output_row_nbytes)
    if sort.partition_nbytes is not None and largest > sort.partition_nbytes:
        return f"a partition would have {format_nbytes(largest)}, and {format_nbytes(sort.partition_nbytes)} are asked for"
    projected = sort.budget.projected_worker_nbytes(_in_place_peak(facts, halo))
    if projected > sort.budget.usable_nbytes and sort.strategy is None:
        return (
            f"a partition and its result would take a worker to {format_nbytes(projected)}, above "
            f"{format_nbytes(sort.budget.usable_nbytes)}"
        )
    return ""


def _largest_rows(facts: LagFacts) -> int:
    return int(facts.sort.quantiles.partition_rows.max(initial=0))


def _halo_rows(halo: Halo | None) -> int:
    if halo is None:
        return 0
    return max(
        (
            sum(piece.rows for piece in (*before, *after))
            for before, after in zip(halo.before, halo.after, strict=True)
        ),
        default=0,
    )


def _in_place_peak(facts: LagFacts, halo: Halo | None) -> int:
    rows = _largest_rows(facts)
    if halo is None and facts.by_p2p:
        return _p2p_cell_nbytes(facts, rows)
    return _waiting_nbytes(facts, halo) + _cell_nbytes(facts, rows, _halo_rows(halo))


def _waiting_nbytes(facts: LagFacts, halo: Halo | None) -> int:
    """Bound the partitions that wait in a worker for rows of their neighbours, by thread.

    It is the scheduler that says where each is made: a worker that is ahead of
    the others holds all that it has made, and there is no bound but the frame.
    """
    if halo is None or not facts.waits:
        return 0
    everything = int(facts.sort.quantiles.partition_rows.sum()) * facts.sort.row_nbytes
    return math.ceil(everything / facts.sort.budget.threads_per_worker)


def _in_place(facts: LagFacts, name: str, halo: Halo | None, rejected: Sequence[Candidate]) -> Plan:
    sort = facts.sort
    rows, n = _largest_rows(facts), len(sort.quantiles.partition_rows)
    steps = []
    reason = "groups are whole within partitions: no rows move"
    if halo is not None:
        edges = int((halo.tails > 0).sum() + (halo.heads > 0).sum())
        moved = int(halo.tails.sum() + halo.heads.sum())
        reason = (
            f"rows are in the order of the groups: {format_count(moved)} rows at the edges of partitions go to "
            "their neighbours, and no others move"
        )
        if edges:
            narrow = int(rows * facts.needed_row_nbytes)
            steps.append(
                Step(
                    kind="read rows at edges",
                    tasks=edges,
                    task_peak_nbytes=int(options.STAGE_COPIES * narrow),
                    reason=f"the columns needed of a partition, {format_nbytes(narrow)} × {options.STAGE_COPIES:g}",
                )
            )
    waits = _waiting_nbytes(facts, halo)
    waiting = (
        f", and {format_nbytes(waits)} of partitions that wait for their neighbours, all of them at worst"
    )
    by_p2p = halo is None and facts.by_p2p
    steps.append(
        Step(
            kind="add columns to partitions",
            tasks=n,
            task_peak_nbytes=_in_place_peak(facts, halo),
            reason=_cell_reason(facts, rows, _halo_rows(halo), by_p2p=by_p2p) + (waiting if waits else ""),
        )
    )
    largest = math.ceil(rows * sort.output_row_nbytes)
    return Plan(
        recipe=sort.recipe,
        strategy=name,
        reasons=(reason, *_others(facts)),
        rejected=tuple(rejected),
        steps=tuple(steps),
        budget=sort.budget,
        output_rows=sort.profile.rows,
        output_nbytes=sort.output_width.of(sort.profile.rows),
        output_width=sort.output_width,
        output_partitions=n,
        partition_nbytes=sort.partition_nbytes or max(largest, 1),
        largest_partition_nbytes=largest,
        row_nbytes=sort.output_row_nbytes,
        staging_nbytes=0,
        staging_free_nbytes=None,
        staging_directory=None,
    )


def _others(facts: LagFacts) -> tuple[str, ...]:
    columns = (
        f"{format_count(facts.lags)} columns are added, from up to {format_count(facts.before)} rows before and "
        f"{format_count(facts.after)} behind each row"
    )
    return (facts.why, columns) if facts.why else (columns,)


def _moved(facts: LagFacts, rejected: Sequence[Candidate]) -> LagPlan:
    sort = facts.sort
    # The result is wider than what an exchange alone would make.
    plan, figures, settings = plan_sort(
        sort, len(sort.quantiles.partition_rows), default_nbytes=default_lag_partition_nbytes(facts)
    )
    rows = figures.largest_rows
    if plan.strategy == "p2p":
        peak = _p2p_cell_nbytes(facts, rows)
        reason = _cell_reason(facts, rows, 0, by_p2p=True)
    else:
        beside = facts.before + facts.after if facts.across or (figures.layout.cells > 1).any() else 0
        # Where groups go over several shards, a neighbour is read whole for the rows at its edge, but before all else.
        peak = _cell_nbytes(facts, rows, beside)
        reason = _cell_reason(facts, rows, beside)
    step = Step(
        kind="make partitions with their columns",
        tasks=plan.output_partitions,
        task_peak_nbytes=peak,
        reason=reason,
    )
    cut = "groups too large for a partition are cut by the order of their rows"
    others = tuple(candidate for candidate in plan.rejected if candidate.strategy != "sorted")
    reasons = (*plan.reasons, *([cut] if facts.across else []), *_others(facts))
    last = (step,) if plan.strategy == "staged" else (*plan.steps[-1:], step)
    return LagPlan(
        plan=replace(plan, reasons=reasons, rejected=(*rejected, *others), steps=(*plan.steps[:-1], *last)),
        halo=None,
        figures=figures,
        settings=settings,
    )
