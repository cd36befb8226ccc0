"""Chooses how a frame is rebalanced: a ladder of strategies, cheapest first.

1. ``untouched``: the partitions keep to the bound already, and are not
   needlessly small.
2. ``merged``: only whole partitions are joined with their neighbours.
3. ``sliced``: each output partition takes slices of input partitions, which
   are made again for each output, or are in memory while they are sliced.
4. ``staged``: each input partition is made once, and its rows pass through
   files; the only one that reads a partition which does not fit a task.

``planning.ladder`` chooses: the first whose tasks fit the budget, or else the
one that needs least.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from safeframe import options
from safeframe.facts.estimate import Estimate
from safeframe.facts.keys import Counts
from safeframe.facts.plan import Plan, Step
from safeframe.facts.rebalance import (
    JoinedPartitions,
    PartitionSizes,
    RebalanceFacts,
    RebalanceLayout,
    RebalanceRun,
    RebalanceWay,
    StagedPartitions,
    UntouchedPartitions,
)
from safeframe.facts.spread import Spread
from safeframe.kernels.cuts import Places
from safeframe.planning.exchange import needs_few_columns, pages_reason, waiting_columns_nbytes
from safeframe.planning.ladder import Rung, climb, task_fits
from safeframe.planning.memory import default_partition_nbytes, least_partitions
from safeframe.planning.rebalance.cuts import Cut, Goal, cut, similar
from safeframe.units import format_count, format_nbytes


@dataclass(frozen=True, kw_only=True, slots=True)
class _Offer:
    """What a strategy would do."""

    way: RebalanceWay
    cut: Cut
    reason: str
    steps: tuple[Step, ...]
    columns_nbytes: int = 0
    """Bytes of columns that wait for others on the disk while files are read."""

    @property
    def peak_nbytes(self) -> int:
        return max((step.task_peak_nbytes for step in self.steps), default=0)


def plan_rebalance(facts: RebalanceFacts) -> Plan:
    """Choose where a frame is cut, and how.

    Parameters
    ----------
    facts
        Sizes of the partitions, what is wanted of them, and the budget.

    Returns
    -------
    Plan
        Always: a plan that does not fit says so in ``fits``.

    Raises
    ------
    ValidationError
        When a row is larger than the bound, or the requested strategy cannot run.
    """
    sizes = facts.sizes
    goal = _goal(facts)
    rungs: dict[str, Rung[_Offer]] = {
        "untouched": lambda: _untouched(facts, goal),
        "merged": lambda: _merged(facts, goal),
        "sliced": lambda: _sliced(facts, goal),
        "staged": lambda: _staged(facts, goal),
    }
    decision = climb(
        rungs,
        recipe="rebalance_partitions",
        requested=facts.strategy,
        unfit=lambda offer: task_fits(offer.peak_nbytes, facts.budget),
        needs=lambda offer: offer.peak_nbytes,
    )
    offer = decision.offer
    before, after = sizes.nbytes + sizes.frame_nbytes, offer.cut.sizes
    largest = int(after.max(initial=0))
    reasons = [offer.reason, f"before: {_spread(before)}", f"after: {_spread(after)}"]
    if offer.cut.unknown:
        reasons.append(f"divisions become unknown: {offer.cut.unknown}")
    elif facts.divisions is not None:
        reasons.append("divisions stay known: cuts lie between index values")
    staged = isinstance(offer.way, StagedPartitions)
    return Plan(
        recipe="rebalance_partitions",
        strategy=decision.strategy,
        reasons=tuple(reasons),
        rejected=decision.rejected,
        steps=offer.steps,
        budget=facts.budget,
        output_rows=Estimate.computed(sizes.total_rows, method=sizes.method),
        output_nbytes=sizes.output_nbytes,
        output_partitions=offer.cut.layout.n_partitions,
        partition_nbytes=goal.limit_nbytes or largest,
        largest_partition_nbytes=largest,
        row_nbytes=sizes.total_nbytes / max(1, sizes.total_rows),
        run=RebalanceRun(layout=offer.cut.layout, way=offer.way),
        staging_nbytes=sizes.total_nbytes + offer.columns_nbytes if staged else 0,
        staging_free_nbytes=facts.staging.free_nbytes if staged else None,
        staging_directory=facts.staging.directory if staged else None,
        partitions_before=(Spread.of("frame", before),),
        partitions_after=Spread.of("result", after),
    )


def _goal(facts: RebalanceFacts) -> Goal:
    if facts.npartitions is not None:
        return Goal(limit_nbytes=None, n=facts.npartitions)
    if facts.partition_nbytes is not None:
        return Goal(limit_nbytes=facts.partition_nbytes, n=None)
    sizes = facts.sizes
    row_nbytes = sizes.total_nbytes / max(1, sizes.total_rows)
    return Goal(
        limit_nbytes=default_partition_nbytes(max(facts.budget.task_nbytes, 0), row_nbytes),
        n=None,
        least=least_partitions(sizes.total_nbytes, len(sizes.rows), facts.budget, small_are_joined=True),
    )


def _spread(nbytes: Counts) -> str:
    mean = nbytes.mean() if len(nbytes) else 0.0
    return (
        f"{format_count(len(nbytes))} partitions, the largest {format_nbytes(nbytes.max(initial=0))}, the "
        f"smallest {format_nbytes(nbytes.min(initial=nbytes.max(initial=0)))}, the mean {format_nbytes(mean)}"
    )


# 1 and 2: whole partitions ---------------------------------------------------


def _untouched(facts: RebalanceFacts, goal: Goal) -> _Offer | str:
    sizes = facts.sizes
    whole = sizes.nbytes + sizes.frame_nbytes
    n = len(whole)
    if goal.n is not None:
        if n != goal.n:
            return f"there are {format_count(n)} partitions, and {format_count(goal.n)} were requested"
        even = similar(whole)
        if not even and facts.strategy is None:
            return f"the largest partition is {whole.max() / whole.mean():.3g} times the mean"
        why = f"there are {format_count(n)} partitions already"
        if even:
            why += " of about the same size"
    else:
        assert goal.limit_nbytes is not None, "a goal is a number or a bound"
        if whole.max(initial=0) > goal.limit_nbytes:
            return f"the largest partition has {format_nbytes(whole.max())}, above {format_nbytes(goal.limit_nbytes)}"
        if n < goal.least:
            return f"there are {format_count(n)} partitions, and {format_count(goal.least)} are worthwhile"
        fewer = len(goal.bounded(_whole_line(sizes))) - 1
        small = fewer < options.REBALANCE_FEW_FACTOR * n
        if small and facts.strategy is None:
            return f"{format_count(n)} partitions can be joined to {format_count(fewer)}"
        why = f"no partition is above {format_nbytes(goal.limit_nbytes)}"
        if not small:
            why += ", and they are not needlessly small"
    divisions = facts.divisions or (None,) * (n + 1)
    return _Offer(
        way=UntouchedPartitions(),
        cut=Cut(
            layout=RebalanceLayout(bounds=sizes.bounds, cuts=sizes.bounds, divisions=divisions), sizes=whole
        ),
        reason=why,
        steps=(_gather_step(facts, "make partitions as they are", whole),) if facts.own_tasks else (),
    )


def _merged(facts: RebalanceFacts, goal: Goal) -> _Offer | str:
    sizes = facts.sizes
    line = _whole_line(sizes)
    if goal.n is not None:
        if goal.n > len(sizes.rows):
            return f"there are only {format_count(len(sizes.rows))} partitions to join"
        numbers = line.even(goal.n)
        whole = line.sizes(numbers)
        if not similar(whole) and facts.strategy is None:
            return (
                f"with whole partitions the largest would be {whole.max() / whole.mean():.3g} times the mean"
            )
    else:
        assert goal.limit_nbytes is not None, "a goal is a number or a bound"
        largest = int(sizes.nbytes.max(initial=0)) + sizes.frame_nbytes
        if largest > goal.limit_nbytes:
            return f"a partition has {format_nbytes(largest)}, above {format_nbytes(goal.limit_nbytes)}"
        if goal.least > len(sizes.rows):
            return f"there are only {format_count(len(sizes.rows))} partitions to join"
        numbers = goal.bounded(line)
        whole = line.sizes(numbers)
    divisions: tuple[Any, ...] = (None,) * len(numbers)
    unknown = ""
    if facts.divisions is not None:
        if len(np.unique(numbers)) == len(numbers):
            divisions = tuple(facts.divisions[number] for number in numbers.tolist())
        else:
            unknown = "some partitions of the result are empty"
    return _Offer(
        way=JoinedPartitions(),
        cut=Cut(
            layout=RebalanceLayout(bounds=sizes.bounds, cuts=sizes.bounds[numbers], divisions=divisions),
            sizes=whole,
            unknown=unknown,
        ),
        reason=f"whole partitions can be joined with their neighbours: {_joins(numbers)}",
        steps=(_gather_step(facts, "join whole partitions", whole),),
    )


def _whole_line(sizes: PartitionSizes) -> Places:
    """Count in partitions: these are cut between whole ones."""
    return Places(
        np.arange(len(sizes.rows) + 1), np.concatenate([[0], np.cumsum(sizes.nbytes)]), sizes.frame_nbytes
    )


def _joins(numbers: Counts) -> str:
    many = np.diff(numbers)
    return f"up to {format_count(many.max(initial=0))} of them"


def _gather_step(facts: RebalanceFacts, kind: str, after: Counts) -> Step:
    largest_in, largest_out = int(facts.sizes.nbytes.max(initial=0)), int(after.max(initial=0))
    held = 0
    reason = (
        f"an input partition of {format_nbytes(largest_in)} × {options.FETCH_COPIES:g}, the result of "
        f"{format_nbytes(largest_out)} × {options.OUTPUT_COPIES:g}"
    )
    if not facts.own_tasks:
        # What waits on a worker for its output: its share of the input, and of an uneven one twice that.
        threads = facts.budget.n_workers * facts.budget.threads_per_worker
        held = min(facts.sizes.total_nbytes, 2 * math.ceil(facts.sizes.total_nbytes / threads))
        reason += f", and {format_nbytes(held)} of input that waits"
    return Step(
        kind=kind,
        tasks=len(after),
        task_peak_nbytes=int(options.FETCH_COPIES * largest_in + options.OUTPUT_COPIES * largest_out + held),
        reason=reason,
    )


# 3 and 4: slices -------------------------------------------------------------


def _sliced(facts: RebalanceFacts, goal: Goal) -> _Offer | str:
    found = cut(facts, goal)
    can_stage = facts.staging.directory is not None and not facts.unstageable
    if _read_in_slices(facts).any() and can_stage and facts.strategy is None:
        return "a partition is too large for a task, and would be read again for each slice"
    why = "input partitions are in memory, or made by other tasks: slices are taken of them"
    if facts.own_tasks:
        reads = _reads(facts.sizes, found.layout.cuts)
        if reads > options.REBALANCE_REREADS and can_stage and facts.strategy is None:
            return f"each input partition would be made {reads:.3g} times"
        why = f"each output partition makes the input that it takes slices of, {reads:.3g} times on average"
    return _Offer(
        way=JoinedPartitions(),
        cut=found,
        reason=why,
        steps=(_gather_step(facts, "join slices", found.sizes),),
    )


def _reads(sizes: PartitionSizes, cuts: Counts) -> float:
    """Count how often an input partition is made, on average by bytes, when each output makes what it needs."""
    bounds = sizes.bounds
    inner = cuts[1:-1]
    # A cut inside a partition makes it once more.
    inside = np.searchsorted(bounds, inner, side="right") - 1
    cutting = bounds[np.clip(inside, 0, len(bounds) - 1)] != inner
    more = np.bincount(inside[cutting], minlength=len(bounds))[: len(sizes.rows)]
    return 1.0 + float((more * sizes.nbytes).sum() / max(1, sizes.nbytes.sum()))


def _read_in_slices(facts: RebalanceFacts) -> npt.NDArray[np.bool_]:
    """Return which input partitions have to be read in slices, because a task cannot hold them."""
    sizes = facts.sizes
    if not facts.in_slices:
        return np.zeros(len(sizes.rows), bool)
    peaks = (
        options.STAGE_COPIES * sizes.nbytes
        + options.REBALANCE_ROW_NBYTES * sizes.rows
        + facts.source.reader_nbytes
    )
    return np.asarray(peaks > max(facts.budget.task_nbytes, 0), bool)


def _staged(facts: RebalanceFacts, goal: Goal) -> _Offer | str:
    if facts.staging.directory is None:
        return facts.staging.unavailable
    if facts.unstageable:
        return facts.unstageable
    found = cut(facts, goal)
    sizes = facts.sizes
    in_slices = _read_in_slices(facts)
    by_columns = needs_few_columns(facts.source.reader_nbytes, facts.budget.task_nbytes)
    steps, waiting = [], 0
    if in_slices.any():
        row = math.ceil(sizes.total_nbytes / max(1, sizes.total_rows))
        nbytes = max(options.SLICE_NBYTES, row)
        pages = max(
            options.SLICE_READ_NBYTES,
            facts.source.few_columns_nbytes if by_columns else facts.source.reader_nbytes,
        )
        if by_columns:
            # A task for each row group, of a row at the least.
            waiting = waiting_columns_nbytes(
                facts.source, row, int(sizes.rows[in_slices].sum()), facts.budget
            )
        steps.append(
            Step(
                kind="stage slices of large partitions",
                tasks=int(in_slices.sum()),
                task_peak_nbytes=options.SLICE_MARGIN
                * _stage_peak_nbytes(partition_rows=nbytes // row, partition_nbytes=nbytes)
                + pages,
                reason=(
                    f"{pages_reason(facts.source, waiting, by_columns=by_columns)}, but {format_nbytes(options.SLICE_READ_NBYTES)} "
                    "at the least, slices of "
                    f"{format_nbytes(nbytes)} × {options.STAGE_COPIES:g}: of partitions of up to {format_nbytes(sizes.nbytes.max())}"
                ),
                page=facts.source.largest_page,
            )
        )
    if not in_slices.all():
        rows, nbytes = int(sizes.rows[~in_slices].max()), int(sizes.nbytes[~in_slices].max())
        steps.append(
            Step(
                kind="stage partitions",
                tasks=int((~in_slices).sum()),
                task_peak_nbytes=_stage_peak_nbytes(partition_rows=rows, partition_nbytes=nbytes)
                + facts.source.reader_nbytes,
                reason=(
                    f"a partition of {format_nbytes(nbytes)} × {options.STAGE_COPIES:g}, "
                    f"{format_nbytes(facts.source.reader_nbytes)} of pages that are read, and {options.REBALANCE_ROW_NBYTES} B for each of its {format_count(rows)} rows"
                ),
            )
        )
    largest = int(found.sizes.max(initial=0))
    steps.append(
        Step(
            kind="fetch staged rows",
            tasks=found.layout.n_partitions,
            task_peak_nbytes=int((options.FETCH_COPIES + options.OUTPUT_COPIES) * largest),
            reason=f"the result of {format_nbytes(largest)} × {options.FETCH_COPIES + options.OUTPUT_COPIES:g}",
        )
    )
    return _Offer(
        way=StagedPartitions(facts.staging.directory, tuple(np.flatnonzero(in_slices).tolist()), by_columns),
        cut=found,
        reason=f"each input partition is made once, and its rows pass through {facts.staging.directory}",
        steps=tuple(steps),
        columns_nbytes=waiting,
    )


def _stage_peak_nbytes(*, partition_rows: int, partition_nbytes: int) -> int:
    """Return the peak of staging a partition whose rows stay in order: no order is kept, only their shards."""
    return int(options.STAGE_COPIES * partition_nbytes) + options.REBALANCE_ROW_NBYTES * partition_rows
