"""Chooses how rows are brought to an order: sorted, indexed or brought together.

1. ``sorted``: the partitions are in order already; no row moves.
2. ``staged``: rows pass through a place that all workers reach.
3. ``p2p``: there is no such place; dask's P2P moves the rows between workers.

The first that can run is taken; a plan whose only strategy does not fit is
still a plan.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from safeframe import options
from safeframe.choices import check_choice
from safeframe.errors import ValidationError
from safeframe.facts.budget import Budget
from safeframe.facts.p2p import P2PSettings
from safeframe.facts.plan import Candidate, Plan, Step
from safeframe.facts.sort import SortFacts
from safeframe.planning.exchange import exchange_steps, group_size, held_nbytes
from safeframe.planning.memory import default_partition_nbytes, least_partitions, sorted_cell_peak_nbytes
from safeframe.planning.p2p.layout import lay_out_p2p
from safeframe.planning.sort.ranges import RangeFigures, cut_at, cut_evenly, cut_into, cut_to_size
from safeframe.units import format_count, format_nbytes

__all__ = ["SORT_STRATEGIES", "plan_sort", "staged_group"]

SORT_STRATEGIES = ("sorted", "staged", "p2p")
"""Strategies in the order in which they are tried."""


def plan_sort(
    facts: SortFacts, output_partitions: int, *, default_nbytes: int | None = None
) -> tuple[Plan, RangeFigures, P2PSettings | None]:
    """Choose the strategy and say what it costs.

    Parameters
    ----------
    facts
        Keys, sizes and budget.
    output_partitions
        Partitions of the result when no exchange is needed.
    default_nbytes
        The target for an output partition where the user gives none; None for that of any recipe.

    Returns
    -------
    Plan
        Always: a plan that does not fit says so in ``fits``.
    RangeFigures
        Where the order is cut.
    P2PSettings or None
        The buffers that P2P is held to, when it moves the rows.

    Raises
    ------
    ValidationError
        When the facts name a strategy that does not exist, or that cannot run.
    """
    task_nbytes = max(facts.budget.task_nbytes, 0)
    width = facts.output_row_nbytes
    partition_nbytes = (
        facts.partition_nbytes or default_nbytes or default_partition_nbytes(task_nbytes, width)
    )
    strategy, rejected = _choose(facts, partition_nbytes)
    if strategy != "sorted":
        facts.profile.check_writable()
    split = facts.split_keys and strategy != "p2p"  # which cannot cut a key
    if facts.cuts is not None:
        figures = cut_at(facts.quantiles, facts.cuts)
    elif facts.npartitions is not None:
        figures = cut_evenly(facts.quantiles, facts.npartitions, split=split)
    else:
        rows = max(1, int(partition_nbytes / max(width, 1e-9)))
        figures = cut_to_size(facts.quantiles, rows, split=split)
        if facts.partition_nbytes is None:
            inputs = len(facts.quantiles.partition_rows)
            least = least_partitions(facts.quantiles.total_rows * width, inputs, facts.budget)
            if figures.layout.n_cells < least:
                figures = cut_into(facts.quantiles, least, split=split)
    if strategy == "sorted":
        return _in_place(facts, partition_nbytes, rejected, output_partitions), figures, None
    reasons = [
        (
            f"partitions have {format_count(figures.mean_rows)} rows on average, the largest at most "
            f"{figures.largest_rows / max(figures.mean_rows, 1e-9):.2f} times that"
        ),
    ]
    heaviest = int(facts.quantiles.rows.max(initial=0))
    if not facts.split_keys and heaviest * width > partition_nbytes:
        reasons.append(
            f"the heaviest key has about {format_count(heaviest)} rows, {format_nbytes(int(heaviest * width))}, and "
            f"they stay together: partitions were to have {format_nbytes(partition_nbytes)}"
        )
    alone = int(figures.layout.single_key.sum())
    if alone:
        reasons.append(f"{format_count(alone)} shards are for one key, or for nulls, alone")
    transport = _by_p2p(facts, figures) if strategy == "p2p" else _staged(facts, figures)
    plan = Plan(
        recipe=facts.recipe,
        strategy=strategy,
        reasons=(*transport.reasons, *reasons),
        rejected=tuple(rejected),
        steps=transport.steps,
        budget=transport.budget,
        output_rows=facts.profile.rows,
        output_nbytes=facts.output_width.of(facts.profile.rows),
        output_width=facts.output_width,
        output_partitions=figures.layout.n_cells,
        partition_nbytes=partition_nbytes,
        largest_partition_nbytes=math.ceil(figures.largest_rows * width),
        row_nbytes=width,
        staging_nbytes=transport.disk_nbytes,
        staging_free_nbytes=transport.free_nbytes,
        staging_directory=transport.directory,
        layout=figures.layout,
    )
    return plan, figures, transport.settings


@dataclass(frozen=True, kw_only=True, slots=True)
class _Transport:
    """What moving the rows takes."""

    reasons: tuple[str, ...]
    steps: tuple[Step, ...]
    budget: Budget
    disk_nbytes: int
    free_nbytes: int | None
    directory: str | None
    settings: P2PSettings | None = None


def _staged(facts: SortFacts, figures: RangeFigures) -> _Transport:
    n_shards = format_count(figures.layout.n_shards)
    return _Transport(
        reasons=(f"rows pass through {facts.staging.directory} into {n_shards} shards",),
        steps=_staged_steps(facts, figures),
        budget=facts.budget,
        disk_nbytes=int(facts.quantiles.total_rows * facts.row_nbytes),
        free_nbytes=facts.staging.free_nbytes,
        directory=facts.staging.directory,
    )


def _by_p2p(facts: SortFacts, figures: RangeFigures) -> _Transport:
    assert facts.p2p is not None, "the facts of P2P are gathered where it may be taken"
    laid = lay_out_p2p(
        facts.p2p, n_shards=figures.layout.n_shards, largest_rows=figures.largest_rows, even=False
    )
    return _Transport(
        reasons=("dask's P2P moves the rows between the workers", *laid.reasons),
        steps=laid.steps,
        budget=laid.budget,
        disk_nbytes=laid.tightest_nbytes,
        free_nbytes=laid.disk.free_nbytes,
        directory=laid.disk.directory,
        settings=laid.settings,
    )


def _choose(facts: SortFacts, partition_nbytes: int) -> tuple[str, list[Candidate]]:
    refusals = {
        "sorted": facts.ordered or _wrong_size(facts, partition_nbytes),
        "staged": "" if facts.staging.directory is not None else facts.staging.unavailable,
        "p2p": facts.p2p.unavailable if facts.p2p is not None else "",
    }
    if facts.strategy is not None:
        check_choice(facts.strategy, refusals, argument="strategy", what=f"a strategy of {facts.recipe}")
    rejected = []
    taken = None
    for name, why in refusals.items():
        if facts.strategy not in (None, name):
            why = f"strategy={facts.strategy!r} was asked for"
        elif taken is not None:
            why = f"{taken} comes first and fits"
        if why:
            rejected.append(Candidate(strategy=name, reason=why))
        else:
            taken = name
    if taken is None and facts.strategy is not None:
        msg = f"strategy={facts.strategy!r} cannot run this {facts.recipe}: {refusals[facts.strategy]}."
        hint = "Leave strategy= out to have one chosen."
        if facts.strategy == "staged":
            hint = "Name a directory that all workers reach in staging=, or leave strategy= out."
        raise ValidationError(msg, hint=hint)
    if taken is None:
        listed = "; ".join(f"{candidate.strategy}: {candidate.reason}" for candidate in rejected)
        msg = f"No strategy can run this {facts.recipe}. {listed}."
        hint = "Name a directory that all workers reach in staging=, or leave strategy= out."
        raise ValidationError(msg, hint=hint)
    return taken, rejected


def _wrong_size(facts: SortFacts, partition_nbytes: int) -> str:
    """Return why partitions that are in order cannot stay as they are."""
    rows = max(facts.held_rows, int(facts.quantiles.partition_rows.max(initial=0)))
    largest = int(rows * facts.output_row_nbytes)
    n = len(facts.quantiles.partition_rows)
    if facts.npartitions is not None and facts.npartitions != n:
        return f"there are {format_count(n)} partitions, and {format_count(facts.npartitions)} are asked for"
    if facts.partition_nbytes is not None and largest > partition_nbytes:
        return f"a partition can have {format_nbytes(largest)}, and {format_nbytes(partition_nbytes)} are asked for"
    projected = facts.budget.projected_worker_nbytes(_in_place_peak(facts))
    if projected > facts.budget.usable_nbytes and facts.strategy is None:
        return (
            f"a partition and those that share its last key would take a worker to {format_nbytes(projected)}, above "
            f"{format_nbytes(facts.budget.usable_nbytes)}"
        )
    return ""


def _in_place_peak(facts: SortFacts) -> int:
    rows = max(facts.held_rows, int(facts.quantiles.partition_rows.max(initial=0)))
    nbytes = int(rows * facts.row_nbytes)
    if not facts.held_rows:
        return int(options.OUTPUT_COPIES * nbytes)
    return sorted_cell_peak_nbytes(
        held_nbytes=nbytes, input_rows=rows, input_nbytes=nbytes, output_rows=0, output_nbytes=nbytes
    )


def _in_place(
    facts: SortFacts, partition_nbytes: int, rejected: list[Candidate], output_partitions: int
) -> Plan:
    rows = max(facts.held_rows, int(facts.quantiles.partition_rows.max(initial=0)))
    nbytes = int(rows * facts.row_nbytes)
    step = Step(
        kind="move the rows of shared keys" if facts.held_rows else "take partitions as they are",
        tasks=output_partitions,
        task_peak_nbytes=_in_place_peak(facts),
        reason=(
            f"partitions of {format_nbytes(nbytes)} that share a key, their slices of {format_nbytes(nbytes)} × "
            f"{options.FETCH_COPIES:g}, {options.ROW_INDEX_NBYTES} B for each of {format_count(rows)} rows, and the "
            f"result of {format_nbytes(nbytes)} × {options.OUTPUT_COPIES:g}"
            if facts.held_rows
            else f"a partition of {format_nbytes(nbytes)} × {options.OUTPUT_COPIES:g}"
        ),
    )
    return Plan(
        recipe=facts.recipe,
        strategy="sorted",
        reasons=(
            "the partitions are in order already: rows move only where a key goes on in the next one"
            if facts.held_rows
            else "the partitions are in order already: no rows move",
        ),
        rejected=tuple(rejected),
        steps=(step,),
        budget=facts.budget,
        output_rows=facts.profile.rows,
        output_nbytes=facts.output_width.of(facts.profile.rows),
        output_width=facts.output_width,
        output_partitions=output_partitions,
        partition_nbytes=partition_nbytes,
        largest_partition_nbytes=math.ceil(rows * facts.output_row_nbytes),
        row_nbytes=facts.output_row_nbytes,
        staging_nbytes=0,
        staging_free_nbytes=None,
        staging_directory=None,
    )


def _staged_steps(facts: SortFacts, figures: RangeFigures) -> tuple[Step, ...]:
    return exchange_steps(
        partition_rows=facts.quantiles.partition_rows,
        row_nbytes=facts.row_nbytes,
        group=staged_group(facts)[0],
        held=staged_group(facts)[1],
        fixed_width=facts.fixed_width,
        largest_rows=figures.largest_rows,
        output_partitions=figures.layout.n_cells,
        kind="order shards",
    )


def staged_group(facts: SortFacts) -> tuple[int, int]:
    """Choose how many partitions one stage task of a sort joins, and what those that wait may take."""
    rows, width, budget = facts.quantiles.partition_rows, facts.row_nbytes, facts.budget
    group = group_size(rows, width, budget, self_made=facts.self_made)
    return group, held_nbytes(rows, width, budget, group, fixed_width=facts.fixed_width)
