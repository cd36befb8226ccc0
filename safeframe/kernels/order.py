"""Stable orders of non-negative integers, without a general sort of places.

numpy's stable argsort of 8- and 16-bit integers is a counting sort, some ten times
faster than one of 64-bit integers. Wider ones are packed with their places into 64 bits
and sorted as numbers, for which numpy has the processor's vector instructions.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]
"""Row numbers."""

_TABLE_SLOTS = 2**21
"""Codes that a shard look-up table may span: 4 MiB of 16-bit shard numbers."""

NEARBY_ROWS = 2**14
"""Rows that are put in order among themselves: narrow ones take some 200 KiB, as much as a core's own cache."""

_STEP = 2**16
"""Rows at a time where a step would otherwise need an array of all."""

_STRETCH_STARTS = 3
"""Shards that begin in one stretch, up to which going on beats a binary search."""

_STRETCH_BITS = 16
"""Bits of the number of stretches that codes are looked up by, where they span more: few hold the
beginning of more than one shard."""


def stable_order(ids: npt.NDArray[np.integer]) -> Positions | None:
    """Order rows by id, rows of equal id staying in their order.

    Parameters
    ----------
    ids
        Non-negative integers, one per row.

    Returns
    -------
    numpy.ndarray or None
        Row numbers in the new order; None when the rows are in order already.

    Examples
    --------
    >>> stable_order(np.array([2, 0, 2, 1]))
    array([1, 3, 0, 2])
    >>> stable_order(np.array([0, 0, 1])) is None
    True
    """
    if len(ids) < 2 or not np.any(ids[1:] < ids[:-1]):
        return None
    if int(ids.max()) < 2**16:
        return np.argsort(ids.astype(np.uint16), kind="stable")
    order, stable = order_of_words(ids.astype(np.uint64, copy=False))
    return order if stable else np.argsort(ids, kind="stable")


def order_of_words(words: npt.NDArray[np.uint64], groups: Positions | None = None) -> tuple[Positions, bool]:
    """Order words, within groups where these are given.

    Parameters
    ----------
    words
        One per row; at least one.
    groups
        A number per row, from zero on, which never falls; overwritten.

    Returns
    -------
    order
        Places in the new order.
    stable
        Whether those of equal words are sure to stay in their order.

    Notes
    -----
    Words and their places, packed into 64 bits where both have room, are sorted in a
    third of the time that sorting the places takes (12 against 36 ms for a million;
    the stable sort of wide words takes 170).

    Memory: 16 bytes a word besides words and groups.

    Examples
    --------
    >>> order_of_words(np.array([7, 5, 9, 8], np.uint64), np.array([0, 0, 1, 1]))
    (array([1, 0, 3, 2]), True)
    """
    place_bits = len(words).bit_length()
    group_bits = 0 if groups is None else int(groups[-1]).bit_length()
    low = words.min()
    word_bits = int(words.max() - low).bit_length()
    if group_bits + word_bits + place_bits <= 64:
        packed = words - low
        if groups is not None:
            high = groups.view(np.uint64)
            high <<= np.uint64(word_bits)
            packed |= high
        packed <<= np.uint64(place_bits)
        return _packed_order(packed, place_bits), True
    if groups is None:
        wide = words - low
        wide <<= np.uint64(64 - word_bits)
        return _wide_order(wide)
    order = np.argsort(words)
    packed = groups[order].view(np.uint64)
    packed <<= np.uint64(place_bits)
    return order[_packed_order(packed, place_bits)], False


def rank_words(words: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.int64], Positions]:
    """Number words in their order, from zero on, and tell where each of them is met.

    Examples
    --------
    >>> rank_words(np.array([7, 5, 7], np.uint64))
    (array([1, 0, 1]), array([1, 0]))
    """
    if len(words) == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    order, _ = order_of_words(words)
    begins = begins_run(words[order])
    numbers = np.cumsum(begins, dtype=np.int64)
    numbers -= 1
    ranks = np.empty(len(words), np.int64)
    ranks[order] = numbers
    return ranks, order[begins]


def _packed_order(packed: npt.NDArray[np.uint64], place_bits: int) -> Positions:
    """Sort numbers whose low bits, which are zero, have room for their places; overwrites them."""
    for start in range(0, len(packed), _STEP):
        part = packed[start : start + _STEP]
        part |= np.arange(start, start + len(part), dtype=np.uint64)
    packed.sort()
    packed &= np.uint64((1 << place_bits) - 1)
    return packed.view(np.int64)


def _wide_order(words: npt.NDArray[np.uint64]) -> tuple[Positions, bool]:
    """Order by the high bits, which nearly always decide, and those by the low ones that these leave in disorder."""
    place_bits = np.uint64(len(words).bit_length())
    packed = words >> place_bits
    packed <<= place_bits
    order = _packed_order(packed, int(place_bits))
    for start in range(0, len(order), _STEP):
        some = words[order[start : start + _STEP + 1]]
        if (some[1:] < some[:-1]).any():
            break
    else:
        return order, True
    ordered = words[order]
    falls = np.flatnonzero(ordered[1:] < ordered[:-1])
    begins = begins_run(ordered >> place_bits)
    runs = np.cumsum(begins) - 1
    wrong = np.zeros(int(runs[-1]) + 1, np.bool_)
    wrong[runs[falls]] = True
    at = np.flatnonzero(wrong[runs])
    low_bits = ordered[at] & ((np.uint64(1) << place_bits) - np.uint64(1))
    places, stable = order_of_words(low_bits, np.cumsum(begins[at]) - 1)
    order[at] = order[at][places]
    return order, stable


def nearby_order(ids: npt.NDArray[np.integer]) -> Positions | None:
    """Order rows by id as far as no row goes out of reach: by stretches that fit the processor's cache.

    Rows are put in order several times until they lie by shard in a file. All
    but the last time it is enough that those of a shard come in runs: taking
    rows from all over a million of them waits for memory at each row (28 against
    13 ns a row, of 12 B and 130 shards), and what joins runs does not.

    Parameters
    ----------
    ids
        Non-negative integers, one per row.

    Returns
    -------
    numpy.ndarray or None
        Row numbers, those of equal id in their order; None when the rows are in order already.

    Examples
    --------
    >>> nearby_order(np.array([2, 0, 2, 1]))
    array([1, 3, 0, 2])
    """
    if len(ids) < 2 or not np.any(ids[1:] < ids[:-1]):
        return None
    order = np.arange(len(ids))
    for start in range(0, len(ids), NEARBY_ROWS):
        places = stable_order(ids[start : start + NEARBY_ROWS])
        if places is not None:
            np.add(places, start, out=order[start : start + NEARBY_ROWS])
    return order


def shard_of(codes: npt.NDArray[np.uint64], starts: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Find the shard of each code.

    Parameters
    ----------
    codes
        One code per row.
    starts
        The first code of each shard, ascending; the first is 0.

    Returns
    -------
    numpy.ndarray
        The shard number of each row.

    Notes
    -----
    Where the starts span a few million values at most, the shards of all of
    them are looked up in a table: 4 ms against 130 for a binary search of 4 M
    rows. The table is kept for the next partition: it took longer than its use.

    Examples
    --------
    >>> starts = np.array([0, 10, 20], "uint64")
    >>> shard_of(np.array([25, 3, 10], "uint64"), starts)
    array([2, 0, 1])
    """
    if len(codes) == 0 or len(starts) == 1:
        return np.zeros(len(codes), np.int64)
    low, high = starts[1], starts[-1]
    if high - low >= _TABLE_SLOTS:
        return _by_stretches(codes, starts)
    # Slot 0 is for the codes below all starts but the first, the last one for those from the last start on.
    slots = np.clip(codes, low - np.uint64(1), high) - (low - np.uint64(1))
    table = _shard_table(starts.tobytes())
    return np.asarray(table[slots.astype(np.int64)], np.int64)


def _by_stretches(codes: npt.NDArray[np.uint64], starts: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Look up the shard at the beginning of a code's stretch, and go on from there where another one begins in it."""
    low, high = starts[1], starts[-1]
    shift = np.uint64(int(high - low).bit_length() - _STRETCH_BITS)
    first = _stretch_table(starts.tobytes(), int(shift))
    if first is None:
        return np.asarray(np.searchsorted(starts, codes, side="right") - 1, np.int64)
    inside = np.clip(codes, low, high) - low
    shards: npt.NDArray[np.int64] = first[(inside >> shift).astype(np.int64)]
    afters = np.append(starts[1:], starts[-1])
    while True:
        on = (codes >= afters[shards]) & (shards < len(starts) - 1)
        if not on.any():
            break
        shards += on
    shards[codes < low] = 0
    return shards


@functools.lru_cache(maxsize=2)
def _shard_table(starts_bytes: bytes) -> npt.NDArray[np.int64] | npt.NDArray[np.uint16]:
    starts = np.frombuffer(starts_bytes, np.uint64)
    spans = np.append(np.diff(starts[1:]).astype(np.int64), 1)
    shards = np.arange(1, len(starts), dtype=np.uint16 if len(starts) < 2**16 else np.int64)
    return np.concatenate([shards[:1] - 1, np.repeat(shards, spans)])


@functools.lru_cache(maxsize=4)
def _stretch_table(starts_bytes: bytes, shift: int) -> npt.NDArray[np.int64] | None:
    """Return the shard that each stretch begins in; None where too many begin in one of them."""
    starts = np.frombuffer(starts_bytes, np.uint64)
    stretches = np.arange((int(starts[-1] - starts[1]) >> shift) + 1, dtype=np.uint64) << np.uint64(shift)
    first = np.searchsorted(starts[1:], stretches + starts[1], side="right").astype(np.int64)
    return first if np.diff(first, append=len(starts) - 1).max() <= _STRETCH_STARTS else None


def sorted_union(*parts: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Join ascending codes, each once.

    Unlike :func:`numpy.union1d`, which makes a hash table first and sorts then
    (forty times as long for two million codes), this merges the runs.

    Examples
    --------
    >>> sorted_union(np.array([1, 5], "uint64"), np.array([2, 5], "uint64")).tolist()
    [1, 2, 5]
    """
    codes = np.sort(np.concatenate(parts), kind="stable")
    return codes[begins_run(codes)]


def begins_run(ordered: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return for each value whether it differs from the one before it.

    Examples
    --------
    >>> begins_run(np.array([3, 3, 5])).tolist()
    [True, False, True]
    """
    begins = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=begins[1:])
    return begins


def counts_of(ids: npt.NDArray[np.integer], n: int) -> npt.NDArray[np.int64]:
    """Count rows per id in ``range(n)``."""
    return np.bincount(ids, minlength=n).astype(np.int64, copy=False)
