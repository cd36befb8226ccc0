"""Writing a merge of two sides in key order: ranges of keys go to files, slices of both sides side by side.

A partition of rows in key order need not be held whole to be joined: what has been read of both sides can be
joined up to the last key that both have been read to. No row moves, however large partitions are, and a
partition that holds keys of several ranges is read for each.

Covers: how keys are cut into ranges, when that is cheaper than writing the partitions of the plan, what its tasks take.
Does not cover: partitions that are held whole (``in_order``), a side that workers hold (``sliced``).
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from safeframe import options
from safeframe.facts.budget import Budget
from safeframe.facts.keys import Codes, Counts, KeyStatistics, PartitionKeys
from safeframe.facts.merge import KeyRange, MergeFacts, RangesMerge, SideFacts, SlicedWrite
from safeframe.facts.plan import Cost, Step
from safeframe.planning.costs import cost_of
from safeframe.planning.exchange import (
    needs_few_columns,
    pages_reason,
    slice_nbytes_of,
    waiting_columns_nbytes,
)
from safeframe.planning.merge.build_side import most_output
from safeframe.planning.merge.in_order import not_in_order, sides_of
from safeframe.planning.merge.offer import Offer, Widths
from safeframe.units import format_count, format_nbytes

_RANGES_PER_THREAD = (1, 2, 3, 4, 8)
"""Numbers of ranges that are tried: fewer read partitions less often, more are spread more evenly."""

_READ_AGAIN = 1.25
"""By how much more may be read for the sake of more ranges."""

_SLICES = (1, 2, 4)
"""Into how many parts the usual slice is cut, where larger ones do not fit."""


def plan_ranges(facts: MergeFacts, widths: Widths, offer: Offer) -> SlicedWrite | None:
    """Plan the files of a merge that ranges of keys become; None where sides are not in order, or another way is as good.

    Parameters
    ----------
    facts
        What the merge's plan is made of.
    widths
        Bytes per row.
    offer
        The way that was chosen for its partitions.
    """
    if facts.how == "cross" or facts.strategy not in (None, "sorted"):
        return None
    sides = sides_of(facts, widths)
    if any(_why_not(name, side) for name, (side, _) in sides.items()):
        return None
    budget = offer.budget or facts.budget
    for parts in _SLICES:
        write = _of_slices(parts, facts, widths, budget)
        if write is not None:
            return write if write.cost.seconds < offer.cost.seconds else None
    return None


def _why_not(name: str, side: SideFacts) -> str:
    """Return why a side is not read in the order of its keys; nothing when it can be."""
    keys = side.keys
    if not keys.schema.injective:
        return f"codes of the {name} key are not in the order of its values"
    if side.profile.source.whole:
        return f"{name} partitions are made whole"
    if keys.null_rows:
        return f"there are {name} rows without a key"
    if not (keys.partitions.full.any() and keys.partitions.increasing[keys.partitions.full].all()):
        return f"rows within a {name} partition are not in key order"
    return not_in_order(name, side)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Cut:
    """Ranges of keys, and what their tasks read."""

    starts: Codes
    """The first code of each range but the first."""
    touched: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
    """For each side, the first partition of each range, and the one behind its last, among those that have keys."""
    rows: tuple[Counts, Counts]
    """Rows of these partitions, left and right."""
    read_rows: tuple[float, float]
    """Rows that all ranges read of either side, about: of a partition with keys of later ranges, up to those."""
    share: float
    """The part of all reading that the thread does which ends last."""


def _of_slices(divided: int, facts: MergeFacts, widths: Widths, budget: Budget) -> SlicedWrite | None:
    task_nbytes = max(budget.task_nbytes, 0)
    slice_nbytes = slice_nbytes_of(task_nbytes) // divided
    sides = list(sides_of(facts, widths).values())
    sources = [side.profile.source for side, _ in sides]
    by_columns = tuple(needs_few_columns(source.reader_nbytes, task_nbytes) for source in sources)
    waiting = [
        waiting_columns_nbytes(source, width, len(side.keys.partitions.rows), budget) if few else 0
        for source, few, (side, width) in zip(sources, by_columns, sides, strict=True)
    ]
    piece_rows = max(1, int(slice_nbytes / max(widths.output, 1.0)))
    key_nbytes = sum(_most_key_rows(side.keys) * width for side, width in sides)
    slice_rows = sum(
        math.ceil(slice_nbytes / max(width, 1.0)) + _most_key_rows(side.keys) for side, width in sides
    )
    pages_nbytes = sum(
        source.few_columns_nbytes if few else source.reader_nbytes
        for source, few in zip(sources, by_columns, strict=True)
    )
    peak = range_peak_nbytes(
        pages_nbytes=pages_nbytes,
        slice_nbytes=slice_nbytes,
        slice_rows=slice_rows,
        key_nbytes=int(key_nbytes),
        output_rows=piece_rows,
        output_nbytes=int(piece_rows * widths.output),
    )
    if budget.projected_worker_nbytes(peak) > budget.usable_nbytes:
        return None
    cut = _cheapest(facts, widths, budget)
    step = Step(
        kind="join slices of both sides in key order, and write files",
        tasks=len(cut.rows[0]),
        task_peak_nbytes=peak,
        reason=(
            f"left {pages_reason(sources[0], waiting[0], by_columns=by_columns[0])}, right "
            f"{pages_reason(sources[1], waiting[1], by_columns=by_columns[1])}, a slice of {format_nbytes(slice_nbytes)} "
            f"× {options.STAGE_COPIES:g} of each, {format_nbytes(int(key_nbytes))} of the rows of one key × "
            f"{options.FETCH_COPIES:g}, result of {format_nbytes(slice_nbytes)}, and as much that is written × "
            f"{options.OUTPUT_COPIES:g}, {options.ROW_INDEX_NBYTES} B for each of {format_count(slice_rows)} input rows "
            f"and {options.POSITION_NBYTES} B for each of {format_count(piece_rows)} result rows"
        ),
        page=max(
            (source.largest_page for source in sources if source.largest_page is not None),
            key=lambda page: page.nbytes,
            default=None,
        ),
    )
    return SlicedWrite(
        reason=(
            f"both sides are in key order: no rows move, and each of {len(cut.rows[0])} ranges of keys is read on both, "
            f"in slices of {format_nbytes(slice_nbytes)}, and becomes a file"
        ),
        way=RangesMerge(
            ranges=_ranges(cut, facts),
            slice_nbytes=slice_nbytes,
            piece_rows=piece_rows,
            by_columns=(by_columns[0], by_columns[1]),
            directory=facts.staging.directory,
        ),
        steps=(step,),
        files=len(cut.rows[0]),
        largest_rows=_largest_rows(cut, facts),
        cost=_cost(cut, widths, budget),
        staging_nbytes=sum(waiting),
        staging_free_nbytes=facts.staging.free_nbytes,
    )


def range_peak_nbytes(
    *,
    pages_nbytes: int,
    slice_nbytes: int,
    slice_rows: int,
    key_nbytes: int,
    output_rows: int,
    output_nbytes: int,
) -> int:
    """Return the peak of joining slices of two sides in key order, and of writing them.

    Pages of both sides; a slice of each as it is read and as pandas, in the copies of one that is being read; rows of
    one key, of which the next slice may have more; a piece of the result, and as much of the pieces before it as a
    slice has, in all copies of what is written.

    Examples
    --------
    >>> range_peak_nbytes(
    ...     pages_nbytes=100_000,
    ...     slice_nbytes=24_000,
    ...     slice_rows=2000,
    ...     key_nbytes=500,
    ...     output_rows=750,
    ...     output_nbytes=24_000,
    ... )
    439000
    """
    slices = int(2 * options.STAGE_COPIES * slice_nbytes + options.FETCH_COPIES * key_nbytes)
    written = output_nbytes + int(options.OUTPUT_COPIES * max(slice_nbytes, output_nbytes))
    per_row = options.ROW_INDEX_NBYTES * slice_rows + options.POSITION_NBYTES * output_rows
    return pages_nbytes + slices + written + per_row


def _most_key_rows(keys: KeyStatistics) -> int:
    """Return the rows that any key has, at most."""
    counted = int(keys.counts.max(initial=0)) if keys.exact else 0
    return max(counted, int(keys.heavy_counts.max(initial=0)) + (0 if keys.exact else keys.heavy_error))


def _cheapest(facts: MergeFacts, widths: Widths, budget: Budget) -> _Cut:
    """Cut the keys, where partitions of the larger side end, into the number of ranges that takes least time."""
    sides = list(sides_of(facts, widths).values())
    large, small = sorted(sides, key=lambda side: -side[0].keys.rows * side[1])
    parts, other = large[0].keys.partitions, small[0].keys.partitions
    first, last = parts.first[parts.full], parts.last[parts.full]
    may = last[:-1] < first[1:]
    cuts, before = first[1:][may], np.cumsum(parts.rows[parts.full])[:-1][may]
    # Where partitions of the other side end, too, none is read twice.
    both = _straddled(other, cuts) == 0
    threads = budget.n_workers * budget.threads_per_worker
    found: dict[bytes, _Cut] = {}
    for some, rows in ((cuts, before), (cuts[both], before[both])):
        for number in (*(per * threads for per in _RANGES_PER_THREAD), len(some) + 1):
            starts = _even(some, rows, int(parts.rows.sum()), number)
            if starts.tobytes() not in found:
                found[starts.tobytes()] = _cut(starts, facts, widths, threads)
    seconds = [_cost(cut, widths, budget).seconds for cut in found.values()]
    # The most that read not much more, which is little next to what is written: files and tasks are smaller for it.
    cheap = [
        cut for cut, cost in zip(found.values(), seconds, strict=True) if cost <= _READ_AGAIN * min(seconds)
    ]
    return max(cheap, key=lambda cut: len(cut.starts))


def _even(cuts: Codes, before: Counts, rows: int, number: int) -> Codes:
    """Choose cuts between ranges of about equal rows, from those that there are."""
    if not len(cuts) or number < 2:
        return cuts[:0]
    wanted = rows * np.arange(1, number) / number
    at = np.searchsorted((before[1:] + before[:-1]) / 2, wanted)
    chosen: Codes = cuts[np.unique(at)]
    return chosen


def _straddled(parts: PartitionKeys, cuts: Codes) -> Counts:
    """Count, for each cut, the partitions that have keys on both sides of it."""
    first, last = parts.first[parts.full], parts.last[parts.full]
    return np.searchsorted(first, cuts, side="left") - np.searchsorted(last, cuts, side="left")


def _cut(starts: Codes, facts: MergeFacts, widths: Widths, threads: int) -> _Cut:
    touched, rows, read = [], [], []
    for side in (facts.left, facts.right):
        parts = side.keys.partitions
        first, last = parts.first[parts.full], parts.last[parts.full]
        begin = np.concatenate([[0], np.searchsorted(last, starts, side="left")])
        end = np.concatenate([np.searchsorted(first, starts, side="left"), [len(first)]])
        held = np.concatenate([[0], np.cumsum(parts.rows[parts.full])])
        touched.append(np.stack([begin, np.maximum(begin, end)]).astype(np.int64))
        rows.append(held[touched[-1][1]] - held[touched[-1][0]])
        read.append(rows[-1] - _unread(parts, starts))
    nbytes = read[0] * widths.left + read[1] * widths.right
    return _Cut(
        starts=starts,
        touched=(touched[0], touched[1]),
        rows=(rows[0], rows[1]),
        read_rows=(float(read[0].sum()), float(read[1].sum())),
        share=_last_thread(nbytes, threads) / max(float(nbytes.sum()), 1.0),
    )


def _unread(parts: PartitionKeys, starts: Codes) -> npt.NDArray[np.float64]:
    """Return the rows behind each range in its last partition, as if keys were spread evenly."""
    first, last = parts.first[parts.full], parts.last[parts.full]
    at = np.searchsorted(first, starts, side="left") - 1
    of = np.maximum(at, 0)
    share = (last[of].astype(float) - starts + 1) / (last[of].astype(float) - first[of] + 1)
    behind = parts.rows[parts.full][of] * share
    return np.append(np.where((at >= 0) & (last[of] >= starts), behind, 0.0), 0.0)


def _last_thread(nbytes: npt.NDArray[np.float64], threads: int) -> float:
    """Return the bytes of the thread that ends last, where each takes the next task once it is free."""
    busy = [0.0] * threads
    for one in nbytes.tolist():
        heapq.heapreplace(busy, busy[0] + one)
    return max(busy)


def _cost(cut: _Cut, widths: Widths, budget: Budget) -> Cost:
    return cost_of(
        budget,
        tasks=len(cut.rows[0]),
        read_nbytes=cut.read_rows[0] * widths.left + cut.read_rows[1] * widths.right,
        joined_nbytes=widths.keys_nbytes(cut.read_rows),
        share=cut.share,
    )


def _ranges(cut: _Cut, facts: MergeFacts) -> tuple[KeyRange, ...]:
    numbers = [np.flatnonzero(side.keys.partitions.full) for side in (facts.left, facts.right)]
    # Of a side that has no rows there, a neighbour tells what categories it has: files without any have another type.
    touched = [
        [
            (min(begin, len(known) - 1), max(end, min(begin, len(known) - 1) + 1))
            for begin, end in of.T.tolist()
        ]
        for of, known in zip(cut.touched, numbers, strict=True)
    ]
    starts = cut.starts.tolist()
    return tuple(
        KeyRange(
            low=low,
            after=after,
            left=tuple(numbers[0][slice(*touched[0][at])].tolist()),
            right=tuple(numbers[1][slice(*touched[1][at])].tolist()),
        )
        for at, (low, after) in enumerate(zip([0, *starts], [*starts, None], strict=True))
    )


def _largest_rows(cut: _Cut, facts: MergeFacts) -> int:
    """Bound the rows of a file: the rows that its left rows can make, and right ones without a match."""
    output = most_output(facts, "right")
    alone = facts.how in ("right", "outer")
    return max(
        output.of(left) + (right if alone else 0)
        for left, right in zip(cut.rows[0].tolist(), cut.rows[1].tolist(), strict=True)
    )
