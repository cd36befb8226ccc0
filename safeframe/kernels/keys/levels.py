"""The order of values as words of 64 bits, compared one after the other.

A number is one word. A string is as many as it has stretches of eight bytes, most significant byte
first and filled up with zeros, and then its length: bytes of UTF-8 are in the order of the characters.
After 8, 16, 32, … bytes it is seen which strings end there: those that are equal stay so, and are not looked at
again before the next column, however long the longest is.
A wide decimal is its high and its low half. Words of the first level nearly always decide, so that
the further ones are read for the few rows that are equal so far.

Covers: levels of columns; the order of rows by levels; their places among given rows.
Does not cover: values that have no form in Arrow (``kernels.sort.rows`` compares those in Python).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from safeframe.facts.keys import Codes
from safeframe.kernels.columns.arrow_buffers import fixed_words
from safeframe.kernels.keys.arrow_values import nulls_of
from safeframe.kernels.keys.bytes_hash import ByteSpans
from safeframe.kernels.keys.nulls import Nulls
from safeframe.kernels.order import Positions, begins_run, order_of_words, shard_of

Rows = npt.NDArray[np.integer[Any]] | slice
"""Which rows, by number."""
Level = Callable[[Rows], Codes]
"""Returns the words of some rows."""

_SIGN = np.uint64(1 << 63)
_WORD_NBYTES = 8
_WORDS_NBYTES = 64
"""Bytes of long values that are compared word by word, before Arrow compares them whole."""
_FIRST_ROWS = 2**14
"""Rows whose order is checked first."""


@dataclass(frozen=True, slots=True, eq=False)
class EndLevel:
    """A level of strings by their lengths, of which those up to a number of bytes are told apart."""

    lengths: Codes
    """Bytes of each string."""
    nbytes: int | None
    """Bytes that were compared before; None at the end of the column."""
    falling: bool = False
    """Whether the order is the reversed one."""

    def __call__(self, rows: Rows) -> Codes:
        """Return the lengths, one more than the bytes that were compared for all that are longer."""
        found = self.lengths[rows]
        words = found if self.nbytes is None else np.minimum(found, np.uint64(self.nbytes + 1))
        return ~words if self.falling else words

    def ended(self, rows: Positions) -> npt.NDArray[np.bool_]:
        """Return which strings have no more bytes."""
        found: npt.NDArray[np.bool_] = self.lengths[rows] <= (self.nbytes or 0)
        return found


def word_levels(words: Codes) -> list[Level]:
    """Return the level of values that are one word each."""
    return [lambda rows: words[rows]]


def null_levels(null: Nulls | None, n_rows: int, *, na_last: bool) -> list[Level]:
    """Return the level that puts null values at one end."""
    flags = np.zeros(n_rows, np.uint64) if null is None else null.astype(np.uint64)
    return word_levels(flags if na_last else np.uint64(1) - flags)


def longest_of(array: pa.Array) -> int:
    """Return the bytes of the longest value of an array; 0 of values that are no strings or binaries.

    Examples
    --------
    >>> longest_of(pa.array(["a", "ü", None], pa.large_string()))
    2
    """
    return int(ByteSpans.of(array).lengths.max(initial=0)) if is_bytes(array) else 0


def bytes_levels(array: pa.Array, nbytes: int | None = None) -> list[Level]:
    """Return the levels of large strings or large binaries; those that are null are all equal.

    Parameters
    ----------
    array
        The values.
    nbytes
        Bytes of each that are compared, the longest one's where it is not given. As many as the longest
        one has among values with which these are compared are enough: their lengths do the rest.
    """
    spans = ByteSpans.of(array)
    null = nulls_of(array)
    if null is not None:
        spans.lengths = np.where(null, 0, spans.lengths)
    longest = int(spans.lengths.max(initial=0)) if nbytes is None else nbytes

    def level(skipped: int) -> Level:
        return lambda rows: spans.words(rows, skipped).byteswap(inplace=True)

    lengths = spans.lengths.astype(np.uint64)
    levels: list[Level] = []
    for skipped in range(0, longest, _WORD_NBYTES):
        levels.append(level(skipped))
        compared = skipped + _WORD_NBYTES
        if compared & skipped == 0 and compared < longest:  # a power of two
            levels.append(EndLevel(lengths, compared))
    return [*levels, EndLevel(lengths, None)]


def is_bytes(array: pa.Array) -> bool:
    """Return whether an array is of large strings or large binaries."""
    return bool(pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type))


def arrow_levels(array: pa.Array, nbytes: int | None = None) -> list[Level]:
    """Return the levels of what ``arrow_values`` returns; see :func:`bytes_levels`.

    Examples
    --------
    >>> levels = arrow_levels(pa.array(["b", "a", "ab"], pa.large_string()))
    >>> order_by_levels(levels, 3).tolist()
    [1, 2, 0]
    """
    kind = array.type
    if is_bytes(array):
        return bytes_levels(array, nbytes)
    null = nulls_of(array)
    if pa.types.is_null(kind):
        return word_levels(np.zeros(len(array), np.uint64))
    if pa.types.is_decimal(kind):
        words = fixed_words(array, np.dtype("<u8"), kind.bit_width // 64)
        high = words[:, -1] ^ _SIGN
        halves = [high, *(words[:, at] for at in range(words.shape[1] - 2, -1, -1))]
        return [level for half in halves for level in word_levels(zeroed(half, null))]
    if pa.types.is_boolean(kind):
        array = array.cast(pa.uint8())
    values = fixed_words(
        array,
        np.int32
        if pa.types.is_date(kind)
        else np.int64
        if pa.types.is_time(kind)
        else array.type.to_pandas_dtype(),
    )
    words = (
        values if values.dtype == np.uint64 else values.astype(np.int64, copy=False).view(np.uint64) ^ _SIGN
    )
    return word_levels(zeroed(words, null))


def equal_values(array: pa.Array, others: Positions) -> bool:
    """Return whether each value equals another one of the array, by value; a null equals a null.

    Notes
    -----
    Memory: 8 bytes a row.

    Examples
    --------
    >>> values = pa.array(["a", "b", "a"], pa.large_string())
    >>> equal_values(values, np.array([2, 1, 0])), equal_values(values, np.array([0, 0, 0]))
    (True, False)
    """
    levels = arrow_levels(array, min(longest_of(array), _WORDS_NBYTES))
    null = nulls_of(array)
    if null is not None:
        levels += word_levels(null.view(np.uint8))
    for level in levels:
        if isinstance(level, EndLevel) and level.nbytes is not None:
            continue
        words = level(slice(0, len(array)))  # read in their order, and compared from there
        if not equal_words(words, others):
            return False
    if not is_bytes(array):
        return True
    longer = np.flatnonzero(ByteSpans.of(array).lengths > _WORDS_NBYTES)
    for start in range(0, len(longer), _FIRST_ROWS):
        rows = longer[start : start + _FIRST_ROWS]
        equal = pc.equal(array.take(rows), array.take(others[rows]))
        if equal.null_count < len(equal) and not pc.all(equal).as_py():
            return False
    return True


def equal_words(words: npt.NDArray[Any], others: Positions) -> bool:
    """Return whether each word equals another one."""
    for start in range(0, len(words), _FIRST_ROWS):
        some = slice(start, start + _FIRST_ROWS)
        if (words[some] != words[others[some]]).any():
            return False
    return True


def zeroed(words: Codes, null: Nulls | None) -> Codes:
    """Return words, all of them equal where values are null."""
    return words if null is None else np.where(null, np.uint64(0), words)


def descending(levels: Sequence[Level]) -> list[Level]:
    """Return levels of the reversed order."""

    def reverse(level: Level) -> Level:
        if isinstance(level, EndLevel):
            return replace(level, falling=not level.falling)
        return lambda rows: ~level(rows)

    return [reverse(level) for level in levels]


def in_order_by_levels(levels: Sequence[Level], n_rows: int) -> bool:
    """Return whether rows never fall.

    Examples
    --------
    >>> in_order_by_levels(bytes_levels(pa.array(["a", "a", "b"], pa.large_string())), 3)
    True
    """
    if n_rows > 2 * _FIRST_ROWS and not in_order_by_levels(levels, _FIRST_ROWS):
        return False  # as nearly always where they are not, and then the others need no look
    undecided: Positions | None = None  # rows that equal the one before them so far
    aside = _Aside()
    for level in levels:
        if undecided is None:
            words = level(slice(0, n_rows))
            if (words[1:] < words[:-1]).any():
                return False
            undecided = np.flatnonzero(words[1:] == words[:-1]) + 1
        elif len(undecided):
            before, words = level(undecided - 1), level(undecided)
            if (words < before).any():
                return False
            undecided = undecided[words == before]
        if isinstance(level, EndLevel):
            undecided = aside.without_ended(level, undecided, undecided)
    return True


def order_by_levels(levels: Sequence[Level], n_rows: int) -> Positions | None:
    """Order rows by levels, equal ones staying in their order; None where they are in order.

    Notes
    -----
    Memory: 24 bytes a row for one level, and up to 48 where rows are equal in one of several.
    """
    if in_order_by_levels(levels, n_rows):
        return None
    words = levels[0](slice(0, n_rows))
    order, stable = order_of_words(words)
    if stable and len(levels) == 1:
        return order
    begins = begins_run(words[order])
    del words
    tied, aside = _tied(begins), _Aside()
    for number, level in enumerate(levels):
        if number and len(tied):
            fresh = begins[tied]
            words = level(order[tied])
            if ((words[1:] != words[:-1]) & ~fresh[1:]).any():
                groups = np.cumsum(fresh, dtype=np.int64)
                groups -= 1
                places, kept = order_of_words(words, groups)
                del groups
                stable = stable and kept
                begins[tied] = fresh | begins_run(words[places])
                order[tied] = order[tied][places]
                tied = tied[_tied(begins[tied])]
            del words
        if isinstance(level, EndLevel):
            tied = aside.without_ended(level, tied, order[tied])
    if not stable and not begins.all():
        groups = np.cumsum(begins, dtype=np.int64).view(np.uint64)
        groups <<= np.uint64(n_rows.bit_length())
        groups |= order.view(np.uint64)
        groups.sort()
        order = (groups & np.uint64((1 << n_rows.bit_length()) - 1)).view(np.int64)
    return order


class _Aside:
    """What waits for the next column, since its strings have ended and are equal."""

    def __init__(self) -> None:
        self._waiting: list[Positions] = []

    def without_ended(self, level: EndLevel, places: Positions, rows: Positions) -> Positions:
        """Return the places whose rows have more bytes; at the end of the column, all that waited, too."""
        if level.nbytes is None:
            found = np.sort(np.concatenate([places, *self._waiting])) if self._waiting else places
            self._waiting.clear()
            return found
        ended = level.ended(rows)
        if not ended.any():
            return places
        self._waiting.append(places[ended])
        return places[~ended]


def _tied(begins: npt.NDArray[np.bool_]) -> Positions:
    """Return the places of runs of more than one row."""
    return np.flatnonzero(~(begins & np.append(begins[1:], True)))


def ranks_among(
    levels: Sequence[Level], n_rows: int, bound_levels: Sequence[Level], n_bounds: int
) -> npt.NDArray[np.int64]:
    """Place rows among given rows, which are distinct and in order.

    Returns
    -------
    numpy.ndarray
        ``2 * i + 1`` for a row that equals bound ``i``, ``2 * i`` for one before it and after bound ``i - 1``.

    Examples
    --------
    >>> rows, bounds = (pa.array(values, pa.large_string()) for values in (["a", "b", "c"], ["b"]))
    >>> ranks_among(bytes_levels(rows, 1), 3, bytes_levels(bounds), 1).tolist()
    [0, 1, 2]
    """
    ranks = np.zeros(n_rows, np.int64)
    if n_bounds == 0:
        return ranks
    rows: Positions | slice = slice(0, n_rows)
    everything = slice(0, n_bounds)
    # The bounds that are equal so far have one number, and so have the rows that equal them.
    groups, bound_groups = np.zeros(n_rows, np.int64), np.zeros(n_bounds, np.int64)
    # Rows whose strings have ended, and the first bound that they equal.
    waiting: list[tuple[Positions, Positions]] = []
    for level, bound_level in zip(levels, bound_levels, strict=True):
        # Bounds are told apart for rows that wait, too, which are placed by the number of theirs.
        if isinstance(rows, slice) or len(rows) or waiting:
            words, bound_words = level(rows), bound_level(everything)
            if (bound_words != bound_words[0]).any() or (words != bound_words[0]).any():
                at, equal, fresh = _among_groups(words, groups, bound_words, bound_groups)
                ranks[rows] = 2 * np.append(np.flatnonzero(fresh), n_bounds)[at]
                if equal.all():
                    groups = at
                else:
                    rows = np.flatnonzero(equal) if isinstance(rows, slice) else rows[equal]
                    groups = at[equal]
                bound_groups = np.cumsum(fresh) - 1
        if not isinstance(level, EndLevel):
            continue
        rows = np.arange(n_rows) if isinstance(rows, slice) else rows
        if level.nbytes is None:
            groups = np.concatenate([groups, *(bound_groups[first] for _, first in waiting)])
            rows = np.concatenate([rows, *(some for some, _ in waiting)])
            waiting.clear()
        else:
            ended = level.ended(rows)
            if ended.any():
                waiting.append((rows[ended], np.searchsorted(bound_groups, groups[ended])))
                rows, groups = rows[~ended], groups[~ended]
    ranks[rows] = 2 * groups + 1
    return ranks


def _among_groups(
    words: Codes, groups: Positions, bound_words: Codes, bound_groups: Positions
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Place words among those of bounds, both with numbers of what is equal so far, as :func:`_among` does.

    Which bounds have others than the one before is returned as well.
    """
    if bound_groups[-1] == 0:
        fresh = begins_run(bound_words)
        return *_among(words, bound_words[fresh]), fresh
    known = np.unique(bound_words)
    codes, bound_codes = (
        (2 * len(known) + 1) * numbers + 2 * places + met
        for numbers, (places, met) in (
            (groups, _among(words, known)),
            (bound_groups, _among(bound_words, known)),
        )
    )
    fresh = begins_run(bound_codes)
    return *_among(codes.view(np.uint64), bound_codes[fresh].view(np.uint64)), fresh


def _among(words: Codes, known: Codes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return how many of some ascending words are smaller than each word, and whether one is equal."""
    if len(words) < _FIRST_ROWS:  # too few for a table
        up_to = np.searchsorted(known, words, side="right")
    elif known[0] == 0:
        up_to = shard_of(words, known) + 1
    else:
        up_to = shard_of(words, np.append(np.uint64(0), known))
    equal = (known[np.maximum(up_to - 1, 0)] == words) & (up_to > 0)
    return up_to - equal, equal
