"""Gathers key statistics: one pass over the key columns of all sides at once.

Covers: reading key columns only, summaries per partition, their tree of joins,
exact counts of the heaviest keys of either side in both. What was counted before stays known.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from dask.delayed import Delayed, delayed

from safeframe import config, options
from safeframe.facts.estimate import Estimate
from safeframe.facts.keys import Codes, Counts, KeyCounting, KeySchema, KeyStatistics
from safeframe.kernels.keys.codes import decode_codes
from safeframe.kernels.keys.counts import count_candidates
from safeframe.kernels.keys.labels import label_rows
from safeframe.kernels.keys.summary import (
    LABEL_NBYTES,
    KeySummary,
    combine,
    combine_slices,
    heaviest,
    smallest_hashes,
    summarise,
    summary_nbytes_bound,
)
from safeframe.kernels.keys.threshold import SmallestHashes, foreseen_fraction, smallest_of
from safeframe.kernels.order import sorted_union
from safeframe.progress.tasks import computed, named_tasks
from safeframe.sizing.cluster import connected_budget, measure_budget
from safeframe.sizing.frames import Side, each_once
from safeframe.sizing.partitions.tasks import KeySlices, each_slice_keys, key_slices, key_tasks, project
from safeframe.sizing.planned_cluster import planned_cluster

T = TypeVar("T")


def gather_key_statistics(
    sides: Sequence[Side], schema: KeySchema, *, capacity: int | None = None, room_nbytes: int | None = None
) -> list[KeyStatistics]:
    """Count the rows of each key of one or more frames.

    Parameters
    ----------
    sides
        Frames with their key columns (or the names of their index levels).
    schema
        The common type of their keys.
    capacity
        Distinct keys that are counted exactly; None for the configured number, or fewer where that
        is the default and the tasks have no room for it.
    room_nbytes
        Bytes that a task may take; None for what the workers have now.

    Returns
    -------
    list of KeyStatistics
        One for each side. Where a side has more keys than the capacity, the
        heaviest keys of all sides are counted exactly in all of them, unless
        none of them can matter to a join of two sides.

    Notes
    -----
    **Eager.** One computation reads the key columns of all sides, one that is given twice once; a
    second one does so again where keys are sampled and some may be heavy. What this process counted
    before is not read again while the data is the same (``sizing.remembered``).

    **Memory.** A task holds the key columns of one slice of a partition, their codes, and
    at most ``options.KEY_COMBINE`` summaries of ``summary_nbytes_bound`` bytes; slices and
    summaries are smaller where it has little room.
    """
    if room_nbytes is None or planned_cluster() is not None:
        # Keys are counted by what computes now, which may have less room than the cluster that is planned for.
        here = connected_budget().task_nbytes
        room_nbytes = min(here, measure_budget().task_nbytes if room_nbytes is None else room_nbytes)
    if capacity is None:
        capacity = _capacity(room_nbytes)
    room_nbytes -= int(options.KEY_SUMMARY_COPIES * 16 * capacity)

    def count(missing: Sequence[Side]) -> list[KeyStatistics]:
        trees = [
            _tree(
                each_slice_keys(
                    ddf,
                    on,
                    _summarise,
                    combine_slices,
                    combine,
                    schema,
                    capacity,
                    step="count-keys",
                    room_nbytes=room_nbytes,
                    feedback=smallest_of,
                ),
                combine,
                "count-keys",
            )
            for ddf, on in missing
        ]
        summaries: tuple[KeySummary, ...] = computed("counting keys", trees)
        return [
            _statistics(summary, on, schema, capacity)
            for summary, (_, on) in zip(summaries, missing, strict=True)
        ]

    statistics = each_once(sides, ("keys", schema, capacity), count, _nbytes_of)
    counted = [
        replace(found, counting=_counting(found, key_slices(project(ddf, on), room_nbytes)))
        for found, (ddf, on) in zip(statistics, sides, strict=True)
    ]
    statistics = align_heavy_keys(sides, counted, room_nbytes=room_nbytes)
    return statistics if len(sides) == 1 else _name_products(sides, statistics, room_nbytes)


def _capacity(room_nbytes: int) -> int:
    """Return how many keys are counted exactly: two thirds of what a task may take are for their summaries, at most."""
    capacity = config.key_capacity()
    if capacity == options.KEY_CAPACITY:  # any other one is the user's
        while (
            capacity > options.KEY_MIN_CAPACITY and options.KEY_SUMMARY_COPIES * 24 * capacity > room_nbytes
        ):
            capacity //= 2
    return capacity


def _counting(keys: KeyStatistics, slices: KeySlices) -> KeyCounting:
    rows = int(keys.partitions.rows.max(initial=0))
    return KeyCounting(
        tasks=key_tasks(len(keys.partitions.rows)),
        slice_rows=min(rows, slices.rows),
        slice_nbytes=int(min(slices.nbytes, rows * slices.row_nbytes)),
        summary_nbytes=keys.nbytes if keys.exact else keys.nbytes_bound,
    )


def _no_key_is_heavy(statistics: Sequence[KeyStatistics]) -> bool:
    """Return whether no key has more rows, or of two sides' join, than the sample leaves open anyway."""
    most = math.prod(max(_most_rows(side), 1) for side in statistics)
    return most <= options.NEGLIGIBLE_KEY_SHARE * max(side.rows for side in statistics)


def _most_rows(side: KeyStatistics) -> int:
    """Return what the rows of no key exceed."""
    counts = side.counts if side.exact else side.heavy_counts
    return int(counts.max(initial=0)) + side.heavy_error


def align_heavy_keys(
    sides: Sequence[Side], statistics: Sequence[KeyStatistics], *, room_nbytes: int | None = None
) -> list[KeyStatistics]:
    """Count the heaviest keys of every side exactly in every side.

    Does nothing where all statistics are exact, or are of the same heaviest
    keys already, or no key can matter. Otherwise the key columns of the sampled sides are read once.

    Parameters
    ----------
    sides
        The frames that the statistics are of, with their key columns.
    statistics
        Gathered together or one by one, for one schema.
    room_nbytes
        Bytes that a task may take; None for as much as is good.
    """
    if all(side.exact for side in statistics) or _no_key_is_heavy(statistics):
        return list(statistics)
    heavy = sorted_union(*(side.heavy_codes for side in statistics))
    stale = [
        number
        for number, side in enumerate(statistics)
        if not side.exact and (side.heavy_error or not np.array_equal(side.heavy_codes, heavy))
    ]
    schema = statistics[0].schema

    def count(missing: Sequence[Side]) -> list[Counts]:
        wanted = delayed(heavy, pure=False)
        trees = [
            _tree(
                each_slice_keys(
                    ddf,
                    on,
                    count_candidates,
                    _add,
                    _add,
                    schema,
                    wanted,
                    step="count-heavy-keys",
                    room_nbytes=room_nbytes,
                ),
                _add,
                "count-heavy-keys",
            )
            for ddf, on in missing
        ]
        return list(computed("counting heavy keys", trees))

    counted = dict(
        zip(
            stale,
            each_once(
                [sides[number] for number in stale],
                ("heavy", schema, _digest(heavy)),
                count,
                lambda counts: counts.nbytes,
            ),
            strict=True,
        )
    )
    return [
        replace(side, heavy_codes=heavy, heavy_counts=counts, heavy_error=0)
        if (counts := counted.get(number)) is not None
        else side
        for number, side in enumerate(statistics)
    ]


def _tree(parts: list[Delayed], reduce: Callable[[list[T]], T], step: str) -> Delayed:
    """Join results, a few neighbours at a time."""
    while len(parts) > 1:
        width = options.KEY_COMBINE
        some = [(reduce, parts[at : at + width]) for at in range(0, len(parts), width)]
        parts = named_tasks(f"{step}-joined", _reduced, some)
    return parts[0]


def _reduced(reduce: Callable[[list[T]], T], parts: list[T]) -> T:
    return reduce(parts)


def _summarise(
    keys: list[pd.Series[Any]], schema: KeySchema, capacity: int, told: list[SmallestHashes]
) -> KeySummary:
    return summarise(keys, schema, capacity, fraction=foreseen_fraction(told))


def _add(parts: list[Counts]) -> Counts:
    return np.asarray(np.sum(parts, axis=0), np.int64)


def _statistics(summary: KeySummary, on: tuple[Any, ...], schema: KeySchema, capacity: int) -> KeyStatistics:
    codes, counts = summary.heavy
    top = heaviest(codes, counts, options.HEAVY_KEYS)
    full = summary.partitions.rows > summary.partitions.null_rows
    minimum = maximum = None
    labels = summary.labels
    if schema.injective:
        if full.any():
            ends = np.array([summary.partitions.first[full].min(), summary.partitions.last[full].max()])
            minimum, maximum = decode_codes(ends, schema)
        named = codes[heaviest(codes, counts, options.NAMED_HEAVY_KEYS)]
        named = sorted_union(named, summary.codes[smallest_hashes(summary.codes, options.NAMED_SAMPLE_KEYS)])
        labels = dict(zip(named.tolist(), decode_codes(named, schema), strict=True))
    return KeyStatistics(
        on=tuple(on),
        schema=schema,
        rows=int(summary.partitions.rows.sum()),
        null_rows=int(summary.partitions.null_rows.sum()),
        codes=summary.codes,
        counts=summary.counts,
        exact=summary.exact,
        sample_fraction=summary.fraction,
        heavy_codes=codes[top],
        heavy_counts=counts[top],
        heavy_error=summary.heavy_error,
        distinct=_distinct(summary),
        minimum=minimum,
        maximum=maximum,
        labels=labels,
        partitions=summary.partitions,
        capacity=capacity,
        nbytes_bound=summary_nbytes_bound(capacity, len(summary.partitions.rows)),
    )


def _distinct(summary: KeySummary) -> Estimate:
    """Estimate the number of keys from how dense their smallest hashes lie.

    The relative deviation of this estimate is ``sqrt((1 - p) / (k - 1))`` for a
    sample of ``k`` keys (K. Beyer et al., "On synopses for distinct-value
    estimation under multiset operations", SIGMOD 2007).
    """
    held = len(summary.codes)
    if summary.exact:
        return Estimate.computed(held)
    expected = held / summary.fraction
    margin = options.JOIN_SIZE_SIGMAS * math.sqrt((1 - summary.fraction) / max(1, held - 1)) * expected
    return Estimate(
        lower=max(held, int(expected - margin)),
        expected=int(expected),
        upper=math.ceil(expected + margin),
        method="sketch",
        exact=False,
    )


def _name_products(
    sides: Sequence[Side], statistics: list[KeyStatistics], room_nbytes: int
) -> list[KeyStatistics]:
    """Find the values of the keys that make most of a join, where neither side named them."""
    held = [
        (side.codes, side.counts) if side.exact else (side.heavy_codes, side.heavy_counts)
        for side in statistics
    ]
    common = held[0][0]
    for codes, _ in held[1:]:
        common = np.intersect1d(common, codes, assume_unique=True)
    rows = [counts[np.searchsorted(codes, common)].astype(np.float64) for codes, counts in held]
    products = np.prod(rows, axis=0)
    names = {code for side in statistics for code in side.labels}
    named = np.isin(common, np.fromiter(names, np.uint64, len(names)))
    side = min(range(len(sides)), key=lambda number: statistics[number].rows)
    schema = statistics[side].schema
    labels: dict[int, Any]
    if schema.injective:
        top = heaviest(common, products, options.NAMED_HEAVY_KEYS)
        missing = common[top][~named[top]]
        labels = dict(zip(missing.tolist(), decode_codes(missing, schema), strict=True))
    else:
        # Nobody misses a name where as many keys that have one make as much, or where it makes next to nothing.
        known = np.sort(products[named])[-options.REPORTED_KEYS :]
        enough = known[0] if len(known) == options.REPORTED_KEYS else 0.0
        least = options.NEGLIGIBLE_KEY_SHARE * max(side.rows for side in statistics)
        worth = ~named & (products > max(enough, least))
        missing = common[worth][heaviest(common[worth], products[worth], options.NAMED_HEAVY_KEYS)]
        if len(missing) == 0:
            return statistics

        def look(frames: Sequence[Side]) -> list[dict[int, Any]]:
            trees = [
                _tree(
                    each_slice_keys(
                        ddf,
                        on,
                        label_rows,
                        _merged,
                        _merged,
                        schema,
                        missing,
                        room_nbytes=room_nbytes,
                        step="name-keys",
                    ),
                    _merged,
                    "name-keys",
                )
                for ddf, on in frames
            ]
            return list(computed("naming heavy keys", trees))

        what = ("labels", schema, _digest(missing))
        (labels,) = each_once([sides[side]], what, look, lambda found: LABEL_NBYTES * len(found))
    statistics[side] = replace(statistics[side], labels=statistics[side].labels | labels)
    return statistics


def _digest(codes: Codes) -> bytes:
    return hashlib.sha256(codes.tobytes()).digest()


def _nbytes_of(statistics: KeyStatistics) -> int:
    parts = statistics.partitions
    of_partitions = sum(int(getattr(parts, of.name).nbytes) for of in fields(parts))
    return statistics.nbytes + LABEL_NBYTES * len(statistics.labels) + of_partitions


def _merged(parts: list[dict[int, Any]]) -> dict[int, Any]:
    merged: dict[int, Any] = {}
    for part in parts:
        merged |= part
    return merged
