"""One mergeable summary of bounded size for the keys of any number of partitions.

It holds exact rows per key while the keys fit a capacity. Beyond it, it holds
the keys whose hash (``mixing.mix64``) lies below a threshold, each with its
exact count, and the threshold falls as keys come in: the smallest hashes stay,
a quarter of the capacity of them (a bottom-k sample). The sample depends on the keys alone, not on
how they were spread or in which order summaries were joined, so that two
frames' samples hold the same keys and their join can be estimated.

The heaviest keys are carried besides: those with the highest counts, with a
bound of what such a count may lack (a trimmed, mergeable frequent-items list).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe import options
from safeframe.facts.keys import Codes, Counts, KeySchema, PartitionKeys
from safeframe.kernels.keys.counts import KeyCounts, count_keys, hash_checksum
from safeframe.kernels.keys.labels import key_labels, label_rows
from safeframe.kernels.keys.mixing import below_fraction, hash_limit, mix64
from safeframe.kernels.order import begins_run, sorted_union

_COUNTED = 2**12
"""Counts from here on are selected by comparison."""

_STRETCH_KEYS = 2**15
"""Keys of either summary that are joined at a time, and stay in the processor's cache."""

_SIGMAS = 8.0
"""Standard deviations by which more of the smallest hashes are looked at than are wanted."""

LABEL_NBYTES = 256
"""Bytes allowed for a named key: its value, its code and its slot."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KeySummary:
    """Rows per key of some partitions; see the module."""

    capacity: int
    """Keys that are held, at most."""
    fraction: float
    """Share of all hashes below the threshold; 1.0 while every key is held."""
    codes: Codes
    """Keys, ascending: all of them, or those whose hash is below the threshold."""
    counts: Counts
    """Exact rows of each."""
    heavy_codes: Codes
    """Candidates for the heaviest keys, ascending; empty while every key is held."""
    heavy_counts: Counts
    """Rows of each candidate, at most ``heavy_error`` too few."""
    heavy_error: int
    """Rows that a candidate, or a key that is none, may have beyond its count (or zero)."""
    partitions: PartitionKeys
    """Rows and key range of each partition, in partition order."""
    labels: dict[int, Any]
    """Values of heavy and of sampled keys by code, where a code is a hash."""

    @property
    def exact(self) -> bool:
        """Whether every key is held."""
        return self.fraction >= 1.0

    @property
    def heavy(self) -> tuple[Codes, Counts]:
        """The keys among which the heaviest are, with their rows: all keys while every one is held."""
        return (self.codes, self.counts) if self.exact else (self.heavy_codes, self.heavy_counts)


def sample_size(capacity: int) -> int:
    """Return the keys of a sample, once there are more keys than the capacity.

    A quarter: a sample of 2^18 keys errs by a fifth of a percent, and what
    every further partition adds to it costs a quarter too.
    """
    return max(1, capacity // 4)


def summary_nbytes_bound(capacity: int, partitions: int) -> int:
    """Return what a summary takes at most, in bytes.

    Eight bytes of code and eight of count for each key and each candidate, the
    named keys (values up to 200 bytes), and 57 bytes for each partition.

    Examples
    --------
    >>> summary_nbytes_bound(2**20, partitions=110)
    17373310
    """
    named = options.NAMED_SAMPLE_KEYS + options.NAMED_HEAVY_KEYS
    return 16 * (capacity + options.HEAVY_CANDIDATES) + LABEL_NBYTES * named + 57 * partitions


def summarise(
    columns: Sequence[pd.Series[Any]], schema: KeySchema, capacity: int, *, fraction: float = 1.0
) -> KeySummary:
    """Summarise the keys of one partition.

    Parameters
    ----------
    columns
        The partition's key columns.
    schema
        How keys become codes.
    capacity
        Distinct keys that are counted exactly.
    fraction
        The threshold of partitions that this one's summary is to be joined with,
        where that is known: what lies above it need not be carried.

    Examples
    --------
    >>> from safeframe.facts.keys import KeyColumn
    >>> schema = KeySchema(columns=(KeyColumn(kind="uint"),))
    >>> summary = summarise([pd.Series([7, 5, 7], dtype="uint8")], schema, capacity=8)
    >>> dict(zip(summary.codes.tolist(), summary.counts.tolist()))
    {5: 1, 7: 2}
    """
    counted = count_keys(columns, schema)
    hashes = mix64(counted.codes)
    partition = _of_partition(counted, len(columns[0]), hashes)
    summary = _bounded(counted.codes, counted.counts, capacity, partition, fraction=fraction, hashes=hashes)
    if schema.injective or counted.row_codes is None:
        return summary
    wanted = _worth_a_name(summary)
    if counted.rows is not None:
        columns = [series.iloc[counted.rows] for series in columns]
    if counted.null_rows:
        return _with_labels(summary, label_rows(columns, schema, wanted))
    return _with_labels(summary, key_labels(columns, counted.row_codes, wanted))


def combine(summaries: Sequence[KeySummary]) -> KeySummary:
    """Join summaries into one, partitions in the order given.

    Parameters
    ----------
    summaries
        At least one, all of one capacity and schema.

    Notes
    -----
    Associative: however summaries are joined, the sample is the same. Only the
    candidates for the heaviest keys, and their error bound, depend on it.

    Memory: the summaries, and 96 bytes for each key of the capacity: they are
    joined two at a time.

    Examples
    --------
    >>> from safeframe.facts.keys import KeyColumn
    >>> schema = KeySchema(columns=(KeyColumn(kind="uint"),))
    >>> parts = [summarise([pd.Series(keys, dtype="uint8")], schema, 8) for keys in ([7, 5], [7])]
    >>> combine(parts).counts
    array([1, 2])
    """
    joined = summaries[0]
    for summary in summaries[1:]:
        joined = _joined_pair((joined, summary))
    return joined


def combine_slices(summaries: Sequence[KeySummary]) -> KeySummary:
    """Join summaries of slices of one partition, in their order.

    Examples
    --------
    >>> from safeframe.facts.keys import KeyColumn
    >>> schema = KeySchema(columns=(KeyColumn(kind="uint"),))
    >>> parts = [summarise([pd.Series(keys, dtype="uint8")], schema, 8) for keys in ([5, 7], [7])]
    >>> whole = combine_slices(parts).partitions
    >>> whole.rows, whole.last_rows, whole.increasing
    (array([3]), array([2]), array([ True]))
    """
    joined = combine(summaries)
    return replace(joined, partitions=joined.partitions.as_one())


def _joined_pair(summaries: tuple[KeySummary, KeySummary]) -> KeySummary:
    capacity = summaries[0].capacity
    partitions = PartitionKeys.joined([summary.partitions for summary in summaries])
    fraction = min(summary.fraction for summary in summaries)
    codes, counts = _summed(*(_below(summary, fraction) for summary in summaries))
    heavy: tuple[Codes, Counts, int] | None = None
    if fraction < 1.0:
        candidates = _summed(*(summary.heavy for summary in summaries))
        heavy = (*candidates, sum(summary.heavy_error for summary in summaries))
    joined = _bounded(codes, counts, capacity, partitions, fraction=fraction, heavy=heavy)
    labels: dict[int, Any] = {}
    for summary in summaries:
        labels |= summary.labels
    if not labels:
        return joined
    worth = set(_worth_a_name(joined).tolist())
    return _with_labels(joined, {code: labels[code] for code in labels if code in worth})


def heaviest(codes: Codes, counts: Counts, n: int) -> npt.NDArray[np.int64]:
    """Return the positions of the ``n`` keys with the highest counts, ascending.

    Examples
    --------
    >>> heaviest(np.array([3, 4, 5], np.uint64), np.array([9, 1, 8]), 2)
    array([0, 2])
    """
    return _heaviest_and_next(codes, counts, n)[0]


def _heaviest_and_next(codes: Codes, counts: Counts, n: int) -> tuple[npt.NDArray[np.int64], int]:
    """Return the positions of the ``n`` keys with the highest counts, and the highest count of the others (or zero)."""
    if len(codes) <= n:
        return np.arange(len(codes)), 0
    if counts.dtype.kind == "f":
        return _by_comparison(counts, n)
    # Most counts are small and the same, which selecting by comparison takes long for.
    capped = np.minimum(counts, _COUNTED)
    keys = np.bincount(capped, minlength=_COUNTED + 1)
    above = len(codes) - np.cumsum(keys)
    least = int(np.argmax(above <= n))  # every key with a higher count is among them
    if least == _COUNTED:
        high = np.flatnonzero(capped == _COUNTED)
        chosen, following = _by_comparison(counts[high], n)
        return high[chosen], following
    chosen = np.flatnonzero(capped > least)
    missing = n - len(chosen)
    if missing:
        chosen = np.sort(np.concatenate([chosen, np.flatnonzero(capped == least)[:missing]]))
    others = keys[:least] if missing == keys[least] else keys[: least + 1]
    return chosen, int(np.flatnonzero(others).max(initial=0))


def _by_comparison(counts: npt.NDArray[Any], n: int) -> tuple[npt.NDArray[np.int64], int]:
    order = np.argpartition(counts, len(counts) - n)
    return np.sort(order[len(counts) - n :]), int(counts[order[: len(counts) - n]].max(initial=0))


def smallest_hashes(codes: Codes, n: int) -> npt.NDArray[np.int64]:
    """Return the positions of the ``n`` keys with the smallest hashes, ascending: a sample of the keys."""
    if len(codes) <= n:
        return np.arange(len(codes))
    hashes = mix64(codes)
    # Hashes are spread evenly: a few more than are wanted lie below a limit, and all others are passed by.
    share = (n + _SIGMAS * math.sqrt(n)) / len(codes)
    below = np.flatnonzero(hashes < hash_limit(share)) if share < 0.5 else np.arange(len(codes))
    if len(below) < n:
        below = np.arange(len(codes))
    return np.sort(below[np.argpartition(hashes[below], n - 1)[:n]])


def _bounded(
    codes: Codes,
    counts: Counts,
    capacity: int,
    partitions: PartitionKeys,
    *,
    fraction: float = 1.0,
    heavy: tuple[Codes, Counts, int] | None = None,
    hashes: Codes | None = None,
) -> KeySummary:
    """Make a summary of the capacity; ``heavy`` are the candidates, None for all ``codes``.

    With ``hashes``, those of the codes, codes may lie above the threshold yet.
    """
    all_keys = (codes, counts, 0)
    if fraction < 1.0 and hashes is not None:
        held_at = np.flatnonzero(hashes < hash_limit(fraction))
        codes, counts, hashes = codes[held_at], counts[held_at], hashes[held_at]
    if len(codes) > (capacity if fraction >= 1.0 else sample_size(capacity)):
        if hashes is None:
            hashes = mix64(codes)
        held = sample_size(capacity)
        fraction = min(fraction, _fraction_of(_nth_smallest(hashes, held)))
        below = hashes < hash_limit(fraction)
        codes, counts = codes[below], counts[below]
    if fraction >= 1.0:
        heavy_codes, heavy_counts, heavy_error = np.empty(0, np.uint64), np.empty(0, np.int64), 0
    else:
        heavy_codes, heavy_counts, heavy_error = _candidates(*(heavy or all_keys))
    return KeySummary(
        capacity=capacity,
        fraction=fraction,
        codes=codes,
        counts=counts,
        heavy_codes=heavy_codes,
        heavy_counts=heavy_counts,
        heavy_error=heavy_error,
        partitions=partitions,
        labels={},
    )


def _nth_smallest(hashes: Codes, n: int) -> int:
    """Return the hash that ``n`` others are below; looks at those alone that may be it."""
    share = (n + _SIGMAS * math.sqrt(n)) / len(hashes)
    some = hashes[hashes < hash_limit(share)] if share < 1.0 else hashes
    return int(np.partition(some if len(some) > n else hashes, n)[n])


def _fraction_of(threshold: int) -> float:
    """Return the largest float whose share of all hashes is not above the threshold."""
    fraction = threshold / 2.0**64
    return fraction if int(fraction * 2.0**64) <= threshold else float(np.nextafter(fraction, 0.0))


def _candidates(codes: Codes, counts: Counts, error: int) -> tuple[Codes, Counts, int]:
    keep, following = _heaviest_and_next(codes, counts, options.HEAVY_CANDIDATES)
    return codes[keep], counts[keep], error + following


def _below(summary: KeySummary, fraction: float) -> tuple[Codes, Counts]:
    if summary.fraction <= fraction:
        return summary.codes, summary.counts
    below = below_fraction(summary.codes, fraction)
    return summary.codes[below], summary.counts[below]


def _summed(one: tuple[Codes, Counts], other: tuple[Codes, Counts]) -> tuple[Codes, Counts]:
    """Join the ascending keys of two summaries, adding up the counts of those in both.

    Stretch by stretch, so that besides the summaries and the result next to nothing is held.
    """
    step = _STRETCH_KEYS
    cuts = np.sort(np.concatenate([one[0][step::step], other[0][step::step]]))
    if len(cuts) == 0:
        return _summed_stretch(one, other)
    most = len(one[0]) + len(other[0])
    codes, counts, keys = np.empty(most, np.uint64), np.empty(most, np.int64), 0
    places = [(0, *np.searchsorted(side[0], cuts), len(side[0])) for side in (one, other)]
    for (begin, end), (other_begin, other_end) in zip(*map(pairwise, places), strict=True):
        some, rows = _summed_stretch(
            (one[0][begin:end], one[1][begin:end]),
            (other[0][other_begin:other_end], other[1][other_begin:other_end]),
        )
        codes[keys : keys + len(some)], counts[keys : keys + len(some)] = some, rows
        keys += len(some)
    codes.resize(keys, refcheck=False)
    counts.resize(keys, refcheck=False)
    return codes, counts


def _summed_stretch(one: tuple[Codes, Counts], other: tuple[Codes, Counts]) -> tuple[Codes, Counts]:
    codes = np.concatenate([one[0], other[0]])
    order = np.argsort(codes, kind="stable")  # merges the two ascending runs
    codes = codes[order]
    counts = np.concatenate([one[1], other[1]])[order]
    new = begins_run(codes)
    again = np.flatnonzero(~new)  # each right behind its equal
    counts[again - 1] += counts[again]
    return codes[new], counts[new]


def _worth_a_name(summary: KeySummary) -> Codes:
    """Return the codes of the heaviest keys and of a sample of all keys, ascending."""
    codes, counts = summary.heavy
    heavy = codes[heaviest(codes, counts, options.NAMED_HEAVY_KEYS)]
    sample = summary.codes[smallest_hashes(summary.codes, options.NAMED_SAMPLE_KEYS)]
    return sorted_union(heavy, sample)


def _with_labels(summary: KeySummary, labels: dict[int, Any]) -> KeySummary:
    summary.labels.update(labels)
    return summary


def _of_partition(counted: KeyCounts, rows: int, hashes: Codes) -> PartitionKeys:
    codes = counted.codes
    return PartitionKeys(
        rows=np.array([rows], np.int64),
        null_rows=np.array([counted.null_rows], np.int64),
        first=codes[:1].copy() if len(codes) else np.zeros(1, np.uint64),
        last=codes[-1:].copy() if len(codes) else np.zeros(1, np.uint64),
        increasing=np.array([counted.increasing], np.bool_),
        first_rows=counted.counts[:1].copy() if len(codes) else np.zeros(1, np.int64),
        last_rows=counted.counts[-1:].copy() if len(codes) else np.zeros(1, np.int64),
        checksums=np.array([hash_checksum(hashes, counted.counts)], np.uint64),
    )
