"""Chooses how shifted columns are made: the cheapest way that has every row of a group at hand.

1. ``whole``: groups are whole within partitions; no row moves.
2. ``halo``: rows are in the order of the keys; partitions read the few rows
   of their neighbours that their first, or last, group goes on in.
3. ``staged``: rows pass through a place that all workers reach, into the order
   of the keys; output partitions read the few rows next to theirs.
4. ``p2p``: there is no such place; dask's P2P moves the rows, and a group has
   to fit a partition.
"""

from __future__ import annotations

import math
from dataclasses import replace

from safeframe import options
from safeframe.facts.lag import (
    Halo,
    HaloGroups,
    LagFacts,
    LagRun,
    LagWay,
    P2PGroups,
    StagedGroups,
    WholeGroups,
)
from safeframe.facts.plan import Plan, Step
from safeframe.facts.sort import P2PSort, SortRun, StagedSort
from safeframe.facts.spread import Spread
from safeframe.planning.exchange import with_manifests
from safeframe.planning.ladder import climb
from safeframe.planning.lag.halo import plan_halo
from safeframe.planning.memory import (
    cell_peak_nbytes,
    cell_reason,
    default_partition_nbytes,
    p2p_cell_peak_nbytes,
)
from safeframe.planning.sort.plan import sort_by_p2p, staged_sort
from safeframe.units import format_count, format_nbytes


def plan_lag(facts: LagFacts) -> Plan:
    """Choose the strategy and say what it costs; a plan that does not fit says so in ``fits``.

    Raises
    ------
    ValidationError
        When the facts name a strategy that does not exist, or that cannot run.
    """
    chosen = climb(
        {
            "whole": lambda: _whole(facts),
            "halo": lambda: _with_halo(facts),
            "staged": lambda: _staged(facts),
            "p2p": lambda: _by_p2p(facts),
        },
        recipe=facts.sort.recipe,
        requested=facts.sort.strategy,
    )
    return replace(chosen.offer, rejected=chosen.rejected)


def whole_refused(facts: LagFacts) -> str:
    """Return why partitions of whole groups cannot stay as they are; empty when they can."""
    return facts.apart or _wrong_size(facts, None)


def _whole(facts: LagFacts) -> Plan | str:
    return whole_refused(facts) or _in_place(facts, None)


def _with_halo(facts: LagFacts) -> Plan | str:
    edges = facts.edges
    assert edges is not None, "edges are gathered where partitions of whole groups cannot stay"
    if edges.out_of_order:
        return edges.out_of_order
    halo = plan_halo(edges, facts.before, facts.after)
    return _wrong_size(facts, halo) or _in_place(facts, halo)


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


def _cell_nbytes(facts: LagFacts, rows: int, neighbours: int) -> int:
    """Bound what making a partition of so many rows takes, with so many neighbouring rows."""
    return cell_peak_nbytes(
        input_rows=rows + neighbours,
        input_nbytes=int((rows + neighbours) * facts.sort.row_nbytes),
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


def _cell_reason(facts: LagFacts, rows: int, neighbours: int, *, by_p2p: bool = False) -> str:
    read = int((rows + neighbours) * facts.sort.row_nbytes)
    made = int(rows * facts.sort.output_row_nbytes)
    more = f", {format_count(neighbours)} rows of it next to its own" if neighbours else ""
    copies = options.P2P_RECEIVE_COPIES if by_p2p else options.FETCH_COPIES
    return (
        cell_reason(
            input_rows=rows + neighbours,
            input_nbytes=read,
            output_rows=rows,
            output_nbytes=made,
            copies=copies,
        )
        + more
    )


def _wrong_size(facts: LagFacts, halo: Halo | None) -> str:
    """Return why partitions cannot stay in the sizes that they have; empty when they can."""
    sort = facts.sort
    n, rows = len(sort.quantiles.partition_rows), _largest_rows(facts)
    if sort.npartitions is not None and sort.npartitions != n:
        return f"there are {format_count(n)} partitions, and {format_count(sort.npartitions)} are requested"
    largest = int(rows * sort.output_row_nbytes)
    if sort.partition_nbytes is not None and largest > sort.partition_nbytes:
        return f"a partition would have {format_nbytes(largest)}, and {format_nbytes(sort.partition_nbytes)} are requested"
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


def _in_place(facts: LagFacts, halo: Halo | None) -> Plan:
    sort = facts.sort
    rows, n = _largest_rows(facts), len(sort.quantiles.partition_rows)
    steps = []
    name, reason = "whole", "groups are whole within partitions: no rows move"
    way: LagWay = WholeGroups()
    if halo is not None:
        name, way = "halo", HaloGroups(halo=halo)
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
                    reason=f"the columns that lags need of a partition, {format_nbytes(narrow)} × {options.STAGE_COPIES:g}",
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
        rejected=(),
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
        sources=sort.sources,
        run=LagRun(way=way),
        partitions_before=(Spread.of("frame", sort.quantiles.partition_rows * sort.row_nbytes),),
    )


def _others(facts: LagFacts) -> tuple[str, ...]:
    columns = (
        f"{format_count(facts.lags)} columns are added, from up to {format_count(facts.before)} rows before and "
        f"{format_count(facts.after)} behind each row"
    )
    return (facts.why, columns) if facts.why else (columns,)


def _staged(facts: LagFacts) -> Plan | str:
    plan = staged_sort(facts.sort, _target(facts), narrow=False)
    if isinstance(plan, str):
        return plan
    assert isinstance(plan.run, SortRun), "rows move as those of a sort"
    assert isinstance(plan.run.way, StagedSort), "through files"
    staged = plan.run.way
    figures, rows = staged.figures, staged.figures.largest_rows
    # Where groups go over several shards, a neighbour is read whole for the rows at its edge, but before all else.
    neighbours = facts.before + facts.after if facts.across or (figures.layout.cells > 1).any() else 0
    step = _columns_step(plan, _cell_nbytes(facts, rows, neighbours), _cell_reason(facts, rows, neighbours))
    step = with_manifests(step, staged.group.size)
    cut = ("groups too large for a partition are cut by the order of their rows",) if facts.across else ()
    return replace(
        plan,
        reasons=(*plan.reasons, *cut, *_others(facts)),
        # The task that fetches a partition's rows adds its columns.
        steps=(*plan.steps[:-1], step),
        run=LagRun(
            way=StagedGroups(
                directory=staged.directory, figures=figures, group=staged.group, across=facts.across
            )
        ),
    )


def _by_p2p(facts: LagFacts) -> Plan | str:
    plan = sort_by_p2p(facts.sort, _target(facts))
    if isinstance(plan, str):
        return plan
    assert isinstance(plan.run, SortRun), "rows move as those of a sort"
    assert isinstance(plan.run.way, P2PSort), "by P2P"
    figures = plan.run.way.figures
    rows = figures.largest_rows
    step = _columns_step(plan, _p2p_cell_nbytes(facts, rows), _cell_reason(facts, rows, 0, by_p2p=True))
    return replace(
        plan,
        reasons=(*plan.reasons, *_others(facts)),
        steps=(*plan.steps, step),
        run=LagRun(way=P2PGroups(figures=figures, settings=plan.run.way.settings)),
    )


def _target(facts: LagFacts) -> int:
    # The result is wider than what an exchange alone would make.
    return facts.sort.partition_nbytes or default_lag_partition_nbytes(facts)


def _columns_step(plan: Plan, peak_nbytes: int, reason: str) -> Step:
    return Step(
        kind="make partitions with their columns",
        tasks=plan.output_partitions,
        task_peak_nbytes=peak_nbytes,
        reason=reason,
    )
