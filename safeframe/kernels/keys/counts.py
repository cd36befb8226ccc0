"""Counts the rows of each key of one partition.

Covers: exact counts of all keys, by address where the keys are dense numbers
and by sorting codes otherwise; exact counts of given keys; whether rows are in
key order.
Does not cover: bounding what is kept, or joining partitions (``kernels.keys.summary``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.facts.keys import Codes, Counts, KeySchema
from safeframe.kernels.keys.codes import column_values, encode_keys, ordered_codes
from safeframe.kernels.keys.mixing import mix64
from safeframe.kernels.keys.nulls import Nulls, count_nulls, without_nulls
from safeframe.kernels.keys.numbering import Groups, numbered_by_place
from safeframe.kernels.order import begins_run

_DENSE_FACTOR = 2
"""Slots per row up to which a table of counts is faster than a sort."""
_PROBE_ROWS = 4096
_CHUNK_ROWS = 2**15
_FILTER_BITS = 20
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio: neighbours go far apart


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KeyCounts:
    """Rows per key of one partition, every key of it."""

    codes: Codes
    """Keys, ascending."""
    counts: Counts
    null_rows: int
    """Rows whose (single) key is null; they have no code."""
    increasing: bool
    """Whether the codes never fall from a row to the next; null rows left out."""
    row_codes: Codes | None
    """The code of each row that is not null, where it was needed."""
    rows: npt.NDArray[np.int64] | None = None
    """The rows that these are of, null ones among them, where that is one for each key; None for all."""


def count_keys(columns: Sequence[pd.Series[Any]], schema: KeySchema) -> KeyCounts:
    """Count the rows of each key.

    Parameters
    ----------
    columns
        The key columns of one partition.
    schema
        How keys become codes.

    Notes
    -----
    Memory: for dense integers and times up to 24 bytes per row; otherwise up
    to 40, with the codes of all rows.

    Examples
    --------
    >>> from safeframe.facts.keys import KeyColumn
    >>> schema = KeySchema(columns=(KeyColumn(kind="uint"),))
    >>> count_keys([pd.Series([7, 5, 7], dtype="uint8")], schema).counts
    array([1, 2])
    """
    column = schema.columns[0]
    if schema.injective and column.is_whole:
        values, null = column_values(columns[0], column)
        null_rows, values = count_nulls(null), without_nulls(values, null)
        dense = _count_dense(values)
        if dense is not None:
            found, counts = dense
            return KeyCounts(
                codes=ordered_codes(found, column),
                counts=counts,
                null_rows=null_rows,
                increasing=_increasing(values),
                row_codes=None,
            )
        codes = ordered_codes(values, column)
    else:
        groups = None if schema.injective else numbered_by_place(columns)
        if groups is not None:
            return _count_numbered(groups, columns, schema)
        codes, null = encode_keys(columns, schema)
        null_rows, codes = count_nulls(null), without_nulls(codes, null)
    increasing = _increasing(codes)
    # What is held must not be the partition's own memory.
    found, counts = count_ordered(codes.copy() if increasing else np.sort(codes))
    return KeyCounts(codes=found, counts=counts, null_rows=null_rows, increasing=increasing, row_codes=codes)


def _count_numbered(groups: Groups, columns: Sequence[pd.Series[Any]], schema: KeySchema) -> KeyCounts:
    """Count rows that are numbered by their keys, of which each is looked at once."""
    codes, null = encode_keys([series.iloc[groups.firsts] for series in columns], schema)
    null_rows = 0 if null is None else int(groups.counts[null].sum())
    numbers = groups.numbers if null is None else groups.numbers[~null[groups.numbers]]
    known, counts = without_nulls(codes, null), without_nulls(groups.counts, null)
    order = np.argsort(known, kind="stable")
    found = known[order]
    new = begins_run(found)  # keys that pandas tells apart may have one code
    return KeyCounts(
        codes=found[new],
        counts=np.add.reduceat(counts[order], np.flatnonzero(new)) if len(found) else counts,
        null_rows=null_rows,
        increasing=_increasing(codes[numbers[:_PROBE_ROWS]]) and _increasing(codes[numbers]),
        row_codes=known,
        rows=groups.firsts,
    )


def count_candidates(columns: Sequence[pd.Series[Any]], schema: KeySchema, candidates: Codes) -> Counts:
    """Count the rows of given keys only.

    Parameters
    ----------
    columns, schema
        As for :func:`count_keys`.
    candidates
        Codes, ascending.

    Returns
    -------
    numpy.ndarray
        Rows of each candidate; zero where a key is not there.

    Examples
    --------
    >>> from safeframe.facts.keys import KeyColumn
    >>> schema = KeySchema(columns=(KeyColumn(kind="uint"),))
    >>> count_candidates([pd.Series([7, 5, 7], dtype="uint8")], schema, np.array([6, 7], np.uint64))
    array([0, 2])
    """
    codes, null = encode_keys(columns, schema)
    codes = without_nulls(codes, null)
    ordered = codes if _increasing(codes) else np.sort(codes[_perhaps_among(codes, candidates)])
    first = np.searchsorted(ordered, candidates, side="left")
    last = np.searchsorted(ordered, candidates, side="right")
    return np.asarray(last - first, np.int64)


def _perhaps_among(codes: Codes, candidates: Codes) -> npt.NDArray[np.bool_]:
    """Return which codes may be candidates: all that are, and of the others about one in a hundred."""
    shift = np.uint64(64 - _FILTER_BITS)
    marked = np.zeros(2**_FILTER_BITS, np.bool_)
    marked[(candidates * _SPREAD >> shift).astype(np.int64)] = True
    return marked[(codes * _SPREAD >> shift).astype(np.int64)]


def _count_dense(values: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], Counts] | None:
    """Count by address; None where the values spread too far for that."""
    if len(values) == 0:
        return values, np.empty(0, np.int64)
    low, high = int(values.min()), int(values.max())
    if high - low >= _DENSE_FACTOR * max(len(values), 1024):
        return None
    table = np.bincount((values - values.dtype.type(low)).view(np.int64), minlength=high - low + 1)
    slots = np.flatnonzero(table)
    return slots.astype(values.dtype) + values.dtype.type(low), table[slots]


def count_ordered(ordered: Codes) -> tuple[Codes, Counts]:
    """Return the different codes of ascending ones, and the rows of each.

    Examples
    --------
    >>> codes, counts = count_ordered(np.array([3, 3, 5], np.uint64))
    >>> codes.tolist(), counts.tolist()
    ([3, 5], [2, 1])
    """
    if len(ordered) == 0:
        return ordered, np.empty(0, np.int64)
    firsts = np.flatnonzero(begins_run(ordered))
    if len(firsts) == len(ordered):
        return ordered, np.ones(len(ordered), np.int64)
    counts = np.empty(len(firsts), np.int64)
    np.subtract(firsts[1:], firsts[:-1], out=counts[:-1])
    counts[-1] = len(ordered) - firsts[-1]
    return ordered[firsts], counts


def key_checksum(codes: Codes, counts: Counts) -> int:
    """Return one number for keys and their rows: another one, all but certainly, where any of them differs.

    Examples
    --------
    >>> codes = np.array([3, 5], np.uint64)
    >>> key_checksum(codes, np.array([2, 1])) == key_checksum(codes, np.array([1, 2]))
    False
    """
    return hash_checksum(mix64(codes), counts)


def hash_checksum(hashes: Codes, counts: Counts) -> int:
    """Return :func:`key_checksum` of keys that are hashed already (``mixing.mix64``)."""
    return int((hashes * counts.astype(np.uint64)).sum(dtype=np.uint64))


def rows_checksum(codes: Codes, null: Nulls | None) -> int:
    """Return :func:`key_checksum` of the codes of rows, in any order; rows without a key left out.

    Notes
    -----
    Memory: a few codes at a time, which stay in the processor's cache: 3 ns for a row instead of 10 or more.

    Examples
    --------
    >>> rows_checksum(np.array([5, 3, 5], np.uint64), None) == key_checksum(
    ...     np.array([3, 5], np.uint64), np.array([1, 2])
    ... )
    True
    """
    total = 0
    for start in range(0, len(codes), _CHUNK_ROWS):
        chunk = slice(start, start + _CHUNK_ROWS)
        some = without_nulls(codes[chunk], None if null is None else null[chunk])
        total += int(mix64(some).sum(dtype=np.uint64))
    return total % 2**64


def _increasing(values: npt.NDArray[Any]) -> bool:
    """Return whether no value is smaller than the one before it; most disorder shows at once."""
    head = values[:_PROBE_ROWS]
    return bool((head[1:] >= head[:-1]).all()) and bool((values[1:] >= values[:-1]).all())
