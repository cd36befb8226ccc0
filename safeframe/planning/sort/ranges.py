"""Cuts the order of a frame's rows into shards of even rows.

Cuts fall in front of sampled keys. A key with more rows than a partition should
have may fill several partitions, where that is allowed; it is then a shard of
its own, read by row ranges.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from safeframe import options
from safeframe.facts.keys import Codes
from safeframe.facts.layout import ShardLayout
from safeframe.facts.sort import KeyQuantiles, RangeFigures, StagedShards


def cut_to_size(quantiles: KeyQuantiles, partition_rows: int, *, split: bool) -> RangeFigures:
    """Cut into as few partitions as keep to a number of rows, where keys allow it.

    Parameters
    ----------
    quantiles
        The sampled keys.
    partition_rows
        Rows that a partition may have.
    split
        Whether one key may fill several partitions.
    """
    least = max(1, math.ceil(quantiles.total_rows / max(1, partition_rows)))
    n = least
    while True:
        figures = cut_evenly(quantiles, n, split=split)
        if figures.largest_rows <= partition_rows or n >= options.RANGE_MOST_GROWTH * least:
            break
        n = max(n + 1, int(n * options.RANGE_GROWTH))
    if figures.largest_rows <= partition_rows:
        return figures
    # A heavy key is in the way: more cuts elsewhere do not help.
    return cut_evenly(quantiles, max(least, int(least * 1.1)), split=split)


def cut_at(quantiles: KeyQuantiles, cuts: Codes) -> RangeFigures:
    """Cut where the user says: one partition from each cut to the next, the last one's end and nulls included.

    Parameters
    ----------
    quantiles
        The sampled keys.
    cuts
        Codes, ascending, one more than there are partitions; no key lies outside.
    """
    starts = cuts[:-1]
    at = np.searchsorted(quantiles.codes, starts, side="left")
    known = np.append(quantiles.codes, starts[-1])[at] == starts
    known &= at < len(quantiles.codes)
    below = np.append(quantiles.below, quantiles.key_rows)
    error = np.append(quantiles.below_error, 0.0)
    # A cut between two sampled keys has no fewer rows below it than the first of them, and no more than the second.
    first = np.where(known, at, np.maximum(at - 1, 0))
    least = np.maximum(below[first] - error[first], 0.0)
    least[0] = 0.0
    most = np.append((below[at] + error[at])[1:], float(quantiles.key_rows))
    upper = np.clip(np.ceil(most - least), 0, quantiles.key_rows)
    upper[-1] += quantiles.null_rows
    n = len(starts)
    layout = ShardLayout(
        starts=starts,
        single_key=np.zeros(n, np.bool_),
        cells=np.ones(n, np.int64),
        null_shard=False,
    )
    return RangeFigures(
        layout=layout,
        first_keys=np.zeros(n, np.int64),
        largest_rows=int(upper.max(initial=0)),
        mean_rows=quantiles.total_rows / n,
    )


def cut_into(quantiles: KeyQuantiles, least: int, *, split: bool) -> RangeFigures:
    """Cut into no fewer than ``least`` partitions, where there are keys enough.

    Keys that are heavier than a partition, and stay whole, take the place of others.
    """
    figures = cut_evenly(quantiles, least, split=split)
    n = least
    while figures.layout.n_cells < least and n < options.RANGE_MOST_GROWTH * least:
        n = max(n + 1, int(n * options.RANGE_GROWTH))
        figures = cut_evenly(quantiles, n, split=split)
    return figures


def cut_evenly(quantiles: KeyQuantiles, n: int, *, split: bool) -> RangeFigures:
    """Cut into ``n`` partitions of about equal rows.

    Examples
    --------
    >>> quantiles = KeyQuantiles(
    ...     codes=np.arange(1, 9, dtype="uint64"),
    ...     below=np.arange(8) * 10.0,
    ...     below_error=np.zeros(8),
    ...     rows=np.full(8, 10.0),
    ...     total_rows=80,
    ...     null_rows=0,
    ...     values=None,
    ...     partitions=None,
    ...     partition_rows=np.array([80]),
    ... )
    >>> cut_evenly(quantiles, 4, split=False).layout.starts
    array([0, 3, 5, 7], dtype=uint64)
    """
    n_keys = len(quantiles.codes)
    target = max(1.0, quantiles.total_rows / max(1, n))
    # Rows below each sampled key, and below the end of all keys, which is certain.
    below = np.append(quantiles.below, quantiles.key_rows)
    error = np.append(quantiles.below_error, 0.0)
    alone = quantiles.rows > target if split else np.zeros(n_keys, np.bool_)
    firsts, after, single = _firsts(below, alone, target, n_keys)
    # Just behind a heavy key begins what lies in front of the next one.
    at = firsts + after
    rows = np.diff(np.append(below[at], quantiles.key_rows))
    upper = np.ceil(rows + error[at] + np.append(error[at][1:], 0.0))
    upper = np.minimum(np.maximum(upper, 0.0), quantiles.key_rows)
    cells = np.where(single, np.ceil(upper / target), 1).astype(np.int64)
    cells[upper <= 0] = 0  # the sample is of all rows, and none is here
    starts = quantiles.codes[firsts] + after.astype(np.uint64)
    # Where shards are partitions as they come, through P2P, none is without one: nulls alone are the only shard.
    null_shard = quantiles.null_rows > 0 and (split or n_keys > 0)
    if n_keys == 0:
        firsts, starts, single = np.zeros(1, np.int64), np.zeros(1, np.uint64), np.zeros(1, np.bool_)
        upper = np.array([0.0 if null_shard else float(quantiles.null_rows)])
        cells = np.array([0 if null_shard else 1])
    starts[0] = 0
    shard_upper = upper
    if null_shard:
        single = np.append(single, True)
        shard_upper = np.append(shard_upper, quantiles.null_rows)
        cells = np.append(cells, math.ceil(quantiles.null_rows / target) if split else 1)
    layout = ShardLayout(starts=starts, single_key=single, cells=cells, null_shard=null_shard)
    per_cell = np.ceil(shard_upper / np.maximum(cells, 1))[cells > 0]
    return RangeFigures(
        layout=layout,
        first_keys=firsts,
        largest_rows=int(per_cell.max(initial=0)),
        mean_rows=quantiles.total_rows / max(1, layout.n_cells),
    )


def narrower(quantiles: KeyQuantiles, figures: RangeFigures, rows: int) -> StagedShards | None:
    """Cut the ranges of partitions again, into such as have ``rows`` each, for rows to be staged in and put in order.

    Returns
    -------
    StagedShards or None
        None where no range is cut.
    """
    layout = figures.layout
    n = len(layout.starts)
    below = np.append(quantiles.below, quantiles.key_rows)
    error = np.append(quantiles.below_error, 0.0)
    # A range may begin just behind the sampled key that it is named by.
    behind = layout.starts > np.append(quantiles.codes, np.uint64(0))[figures.first_keys]
    begins = figures.first_keys + behind
    ends = np.append(begins[1:], len(quantiles.codes))
    cuts = [_inner_cuts(below, int(begin), int(end), rows) for begin, end in zip(begins, ends, strict=True)]
    cuts = [
        cut[:0] if single else cut for cut, single in zip(cuts, layout.single_key[:n].tolist(), strict=True)
    ]
    counts = np.array([1 + len(cut) for cut in cuts], np.int64)
    if counts.max(initial=1) == 1:
        return None
    at = np.concatenate([np.append(begin, cut) for begin, cut in zip(begins, cuts, strict=True)]).astype(
        np.int64
    )
    upper = np.diff(np.append(below[at], quantiles.key_rows)) + error[at] + np.append(error[at][1:], 0.0)
    upper = np.minimum(np.ceil(upper), quantiles.key_rows)
    firsts = np.concatenate([[0], np.cumsum(counts)])
    starts = quantiles.codes[np.minimum(at, len(quantiles.codes) - 1)]
    starts[firsts[:-1]] = layout.starts
    single = np.repeat(layout.single_key[:n], counts)
    cells = np.ones(len(starts), np.int64)
    cells[firsts[:-1]] = layout.cells[:n]
    largest = int(upper[~single].max(initial=0))
    if layout.null_shard:
        firsts = np.append(firsts, firsts[-1] + 1)
        single, cells = np.append(single, True), np.append(cells, layout.cells[-1])
    staged = ShardLayout(starts=starts, single_key=single, cells=cells, null_shard=layout.null_shard)
    return StagedShards(layout=staged, firsts=firsts, largest_rows=largest)


def _inner_cuts(below: npt.NDArray[np.float64], begin: int, end: int, rows: int) -> npt.NDArray[np.int64]:
    """Return the sampled keys, behind the first and in front of the last, in front of which a range is cut."""
    if end - begin < 2:
        return np.empty(0, np.int64)
    all_rows = float(below[end] - below[begin])
    n = math.ceil(all_rows / max(rows, 1))
    wanted = below[begin] + np.arange(1, n) * (all_rows / max(n, 1))
    cuts = np.unique(np.searchsorted(below[begin:end], wanted, side="left") + begin)
    return cuts[(cuts > begin) & (cuts < end)]


def _firsts(
    below: npt.NDArray[np.float64], alone: npt.NDArray[np.bool_], target: float, n_keys: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return each shard's first sampled key, whether it begins just after that key, and whether it is that key alone.

    The loops are over heavy keys and shards, not keys.
    """
    shards: list[tuple[int, bool, bool]] = []
    begin = 0  # the first key that has no shard yet
    for key in [*np.flatnonzero(alone).tolist(), n_keys]:
        follows_heavy = bool(shards) and shards[-1][2]
        if key > begin:
            rows = float(below[key] - below[begin])
            n = max(1, round(rows / target))
            wanted = below[begin] + np.arange(n) * (rows / n)
            cuts = np.unique(np.searchsorted(below[begin:key], wanted, side="left") + begin)
            light = [(int(cut), False, False) for cut in cuts if cut < key]
            if follows_heavy:
                light[0] = (begin - 1, True, False)
            shards.extend(light)
        elif follows_heavy and key < n_keys:
            shards.append((key - 1, True, False))  # keys between two heavy ones, that the sample missed
        if key < n_keys:
            shards.append((key, False, True))
        begin = key + 1
    firsts, after, single = zip(*shards, strict=True) if shards else ((), (), ())
    return np.array(firsts, np.int64), np.array(after, np.bool_), np.array(single, np.bool_)
