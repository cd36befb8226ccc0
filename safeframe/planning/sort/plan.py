"""Chooses how rows are sorted, indexed or grouped by key.

1. ``sorted``: the partitions are in order already; no row moves.
2. ``staged``: rows pass through a place that all workers reach.
3. ``p2p``: there is no such place; dask's P2P moves the rows between workers.

The first that can run is taken; a plan whose only strategy does not fit is
still a plan.
"""

from __future__ import annotations

import math
from dataclasses import replace

from safeframe import options
from safeframe.facts.layout import StageTasks
from safeframe.facts.plan import Candidate, Plan, Step
from safeframe.facts.sort import (
    AlignedSort,
    InPlaceSort,
    P2PSort,
    RangeFigures,
    SortFacts,
    SortRun,
    StagedShards,
    StagedSort,
    UnsortedRun,
)
from safeframe.facts.spread import Spread
from safeframe.facts.strategies import SORT_STRATEGIES
from safeframe.planning.exchange import columns_nbytes, exchange_steps, stage_tasks, staged_nbytes
from safeframe.planning.ladder import climb
from safeframe.planning.memory import (
    default_partition_nbytes,
    default_shard_nbytes,
    least_partitions,
    sorted_cell_peak_nbytes,
)
from safeframe.planning.p2p.layout import lay_out_p2p
from safeframe.planning.sort.cells import with_shards
from safeframe.planning.sort.ranges import cut_at, cut_evenly, cut_into, cut_to_size, narrower
from safeframe.units import format_count, format_nbytes


def plan_sort(facts: SortFacts) -> Plan:
    """Choose the strategy and say what it costs; a plan that does not fit says so in ``fits``.

    Raises
    ------
    ValidationError
        When the facts name a strategy that does not exist, or that cannot run.
    """
    target = facts.partition_nbytes or _default_nbytes(facts)
    chosen = climb(
        {
            "sorted": lambda: facts.ordered or _wrong_size(facts) or _sorted(facts, target),
            "staged": lambda: staged_sort(facts, target),
            "p2p": lambda: sort_by_p2p(facts, target),
        },
        recipe=facts.recipe,
        requested=facts.strategy,
    )
    return replace(chosen.offer, rejected=chosen.rejected)


def plan_unsorted(facts: SortFacts) -> Plan:
    """Plan an index of partitions whose rows stay as they are, in whatever order; dask makes it."""
    why = "sort=False was given"
    return replace(
        _in_place(replace(facts, alignment=None), _default_nbytes(facts), UnsortedRun()),
        reasons=(f"{why}: rows stay where they are, in the order that they have",),
        rejected=tuple(Candidate(strategy=name, reason=why) for name in SORT_STRATEGIES[1:]),
    )


def _default_nbytes(facts: SortFacts) -> int:
    return default_partition_nbytes(max(facts.budget.task_nbytes, 0), facts.output_row_nbytes)


def staged_sort(facts: SortFacts, partition_nbytes: int, *, narrow: bool = True) -> Plan | str:
    """Plan rows that pass through files, with no partition larger than a target; or say why they cannot.

    Where partitions are much larger than what a task may put in order, rows are staged, and put in
    order, in narrower shards; not without ``narrow``.

    The strategies that were not chosen are not in the plan yet.
    """
    staging = facts.staging
    if staging.directory is None:
        return staging.unavailable
    facts.profile.check_writable()
    figures = _cut(facts, partition_nbytes, split=facts.split_keys)
    rows = _moved_rows(facts, figures)
    shards = _narrower(facts, figures, rows) if narrow else None
    way = StagedSort(directory=staging.directory, figures=figures, group=StageTasks(), shards=shards)
    group = staged_group(facts, way.staged.n_shards)
    run = SortRun(way=replace(way, group=group))
    plan = _moved(facts, partition_nbytes, figures, run, split=facts.split_keys)
    return replace(
        plan,
        strategy="staged",
        reasons=(
            f"rows pass through {staging.directory} into {format_count(way.staged.n_shards)} shards",
            *plan.reasons,
        ),
        steps=with_shards(
            exchange_steps(
                partition_rows=facts.quantiles.partition_rows,
                row_nbytes=facts.row_nbytes,
                source=facts.profile.source,
                tasks=group,
                largest_rows=rows,
                output_partitions=figures.layout.n_cells,
                kind="order shards",
            ),
            shard_rows=rows
            if shards is None
            else math.ceil(rows * shards.largest_rows / figures.largest_rows),
            rows=rows,
            row_nbytes=facts.row_nbytes,
            task_nbytes=max(facts.budget.task_nbytes, 0),
        ),
        staging_nbytes=staged_nbytes((facts.quantiles.total_rows * facts.row_nbytes, group.size))
        + columns_nbytes([group]),
        staging_free_nbytes=staging.free_nbytes,
        staging_directory=staging.directory,
    )


def sort_by_p2p(facts: SortFacts, partition_nbytes: int) -> Plan | str:
    """As :func:`staged_sort`, for rows that dask's P2P moves; it cuts no key."""
    assert facts.p2p is not None, "facts of P2P are gathered where it may be chosen"
    if facts.p2p.unavailable:
        return facts.p2p.unavailable
    facts.profile.check_writable()
    figures = _cut(facts, partition_nbytes, split=False)
    laid = lay_out_p2p(
        facts.p2p, n_shards=figures.layout.n_shards, largest_rows=figures.largest_rows, even=False
    )
    run = SortRun(way=P2PSort(figures=figures, settings=laid.settings))
    plan = _moved(facts, partition_nbytes, figures, run, split=False)
    return replace(
        plan,
        strategy="p2p",
        reasons=("dask's P2P moves the rows between the workers", *laid.reasons, *plan.reasons),
        steps=laid.steps,
        budget=laid.budget,
        staging_nbytes=laid.tightest_nbytes,
        staging_free_nbytes=laid.disk.free_nbytes,
        staging_directory=laid.disk.directory,
    )


def _cut(facts: SortFacts, partition_nbytes: int, *, split: bool) -> RangeFigures:
    """Cut the order where the user says, into as many partitions as are requested, or to their size."""
    quantiles, width = facts.quantiles, facts.output_row_nbytes
    if facts.cuts is not None:
        return cut_at(quantiles, facts.cuts)
    if facts.npartitions is not None:
        return cut_evenly(quantiles, facts.npartitions, split=split)
    figures = cut_to_size(quantiles, max(1, int(partition_nbytes / max(width, 1e-9))), split=split)
    if facts.partition_nbytes is None:
        inputs = len(quantiles.partition_rows)
        least = least_partitions(quantiles.total_rows * width, inputs, facts.budget)
        if figures.layout.n_cells < least:
            figures = cut_into(quantiles, least, split=split)
    return figures


def _narrower(facts: SortFacts, figures: RangeFigures, rows: int) -> StagedShards | None:
    """Cut partitions into shards, where they are larger than two of the size that a task puts in order."""
    nbytes = default_shard_nbytes(max(facts.budget.task_nbytes, 0))
    if facts.cuts is not None or rows * facts.row_nbytes <= 2 * nbytes:
        return None  # where the user cuts, rows are sent by these cuts
    shard_rows = max(1, int(figures.largest_rows * nbytes / (rows * facts.row_nbytes)))
    return narrower(facts.quantiles, figures, shard_rows)


def _moved_rows(facts: SortFacts, figures: RangeFigures) -> int:
    """Count the rows of the largest partition, by the bytes of a row as it is moved."""
    if facts.quantiles.row_nbytes is None:
        return figures.largest_rows
    return math.ceil(figures.largest_rows * facts.output_row_nbytes / facts.row_nbytes)


def _moved(
    facts: SortFacts, partition_nbytes: int, figures: RangeFigures, run: SortRun, *, split: bool
) -> Plan:
    """Return what a plan of rows that move has whatever moves them."""
    width = facts.output_row_nbytes
    reasons = [
        (
            f"partitions have {format_count(figures.mean_rows)} rows on average, the largest at most "
            f"{figures.largest_rows / max(figures.mean_rows, 1e-9):.2f} times that"
        ),
    ]
    heaviest = int(facts.quantiles.rows.max(initial=0))
    if not split and heaviest * width > partition_nbytes:
        reasons.append(
            f"the heaviest key has about {format_count(heaviest)} rows, {format_nbytes(int(heaviest * width))}, and "
            f"they stay together: partitions were to have {format_nbytes(partition_nbytes)}"
        )
    alone = int(figures.layout.single_key.sum())
    if alone:
        reasons.append(f"{format_count(alone)} shards are for one key, or for nulls, alone")
    return _plan(
        facts,
        run,
        reasons=tuple(reasons),
        output_partitions=figures.layout.n_cells,
        partition_nbytes=partition_nbytes,
        largest_rows=figures.largest_rows,
    )


def _plan(
    facts: SortFacts,
    run: SortRun | UnsortedRun,
    *,
    reasons: tuple[str, ...],
    output_partitions: int,
    partition_nbytes: int,
    largest_rows: int,
) -> Plan:
    """Return a plan in which nothing is staged."""
    return Plan(
        recipe=facts.recipe,
        strategy="sorted",
        reasons=reasons,
        rejected=(),
        steps=(),
        budget=facts.budget,
        output_rows=facts.profile.rows,
        output_nbytes=facts.output_width.of_all(facts.profile.rows),
        output_width=facts.output_width,
        output_partitions=output_partitions,
        partition_nbytes=partition_nbytes,
        largest_partition_nbytes=math.ceil(largest_rows * facts.output_row_nbytes),
        row_nbytes=facts.output_row_nbytes,
        staging_nbytes=0,
        staging_free_nbytes=None,
        staging_directory=None,
        sources=facts.sources,
        run=run,
        partitions_before=(Spread.of("frame", facts.quantiles.partition_rows * facts.row_nbytes),),
    )


def _wrong_size(facts: SortFacts) -> str:
    """Return why partitions that are in order cannot stay as they are."""
    largest = int(facts.held_rows * facts.output_row_nbytes)
    n = len(facts.quantiles.partition_rows)
    if facts.npartitions is not None and facts.npartitions != n:
        return f"there are {format_count(n)} partitions, and {format_count(facts.npartitions)} are requested"
    if facts.partition_nbytes is not None and largest > facts.partition_nbytes:
        return (
            f"a partition can have {format_nbytes(largest)}, and {format_nbytes(facts.partition_nbytes)} are "
            "requested"
        )
    projected = facts.budget.projected_worker_nbytes(_in_place_peak(facts))
    if projected > facts.budget.usable_nbytes and facts.strategy is None:
        what = "a partition" if facts.alignment is None else "a partition and those that share its last key"
        return (
            f"{what} would take a worker to {format_nbytes(projected)}, above "
            f"{format_nbytes(facts.budget.usable_nbytes)}"
        )
    return ""


def _in_place_peak(facts: SortFacts) -> int:
    rows = facts.held_rows
    nbytes = int(rows * facts.row_nbytes)
    if facts.alignment is None:
        return int(options.OUTPUT_COPIES * nbytes)
    return sorted_cell_peak_nbytes(
        held_nbytes=nbytes, input_rows=rows, input_nbytes=nbytes, output_rows=0, output_nbytes=nbytes
    )


def _sorted(facts: SortFacts, partition_nbytes: int) -> Plan:
    parts = facts.quantiles.partitions
    assert parts is not None, "only keys with codes are known to be in order"
    if facts.alignment is None:
        way: InPlaceSort | AlignedSort = InPlaceSort(partitions=parts)
        how = "no rows move"
    else:
        way = AlignedSort(partitions=parts, alignment=facts.alignment)
        how = "rows move only where a key goes on in the next one"
    return replace(
        _in_place(facts, partition_nbytes, SortRun(way=way)),
        reasons=(f"the partitions are in order already: {how}",),
    )


def _in_place(facts: SortFacts, partition_nbytes: int, run: SortRun | UnsortedRun) -> Plan:
    """Return the plan of partitions that stay, but for why they do."""
    rows = facts.held_rows
    nbytes = int(rows * facts.row_nbytes)
    shared = facts.alignment is not None
    step = Step(
        kind="move the rows of shared keys" if shared else "take partitions as they are",
        tasks=facts.in_place_partitions,
        task_peak_nbytes=_in_place_peak(facts),
        reason=(
            f"partitions of {format_nbytes(nbytes)} that share a key, their slices of {format_nbytes(nbytes)} × "
            f"{options.FETCH_COPIES:g}, {options.ROW_INDEX_NBYTES} B for each of {format_count(rows)} rows, and the "
            f"result of {format_nbytes(nbytes)} × {options.OUTPUT_COPIES:g}"
            if shared
            else f"a partition of {format_nbytes(nbytes)} × {options.OUTPUT_COPIES:g}"
        ),
    )
    plan = _plan(
        facts,
        run,
        reasons=(),
        output_partitions=facts.in_place_partitions,
        partition_nbytes=partition_nbytes,
        largest_rows=rows,
    )
    return replace(plan, steps=(step,))


def staged_group(facts: SortFacts, n_shards: int = 1) -> StageTasks:
    """Choose how partitions of a sort are given to stage tasks."""
    return stage_tasks(
        facts.quantiles.partition_rows, facts.row_nbytes, facts.budget, facts.profile.source, n_shards
    )
