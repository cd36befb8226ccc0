"""Checks whether a side's keys are unique, and close enough to each other for a table.

Covers: one pass that finds the smallest and largest key, and which keys are there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dask.dataframe as dd
import numpy as np
import numpy.typing as npt
import pandas as pd
from dask.delayed import delayed

from safeframe import options
from safeframe.facts.keys import KeySchema
from safeframe.facts.merge import KeyTable
from safeframe.kernels.keys.codes import encode_keys
from safeframe.kernels.keys.nulls import without_nulls
from safeframe.progress.tasks import computed
from safeframe.sizing.frames import Side, each_once
from safeframe.sizing.partitions.tasks import each_slice_keys, total
from safeframe.units import format_count

Bits = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Presence:
    """Which keys are there."""

    base: int
    """The code of the first bit."""
    bits: Bits
    """A bit for each code."""

    def of(self, codes: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Return which codes are there."""
        # A code below the base wraps around to a large number.
        places = codes - np.uint64(self.base)
        inside = places < np.uint64(8 * len(self.bits))
        places[~inside] = 0
        bits = (
            self.bits[(places >> np.uint64(3)).view(np.int64)]
            if len(self.bits)
            else np.zeros(len(codes), np.uint8)
        )
        there: npt.NDArray[np.bool_] = (bits >> (7 - (places & np.uint64(7))).astype(np.uint8) & 1).view(
            np.bool_
        )
        return there & inside


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    rows: int
    null_rows: int
    base: int
    """A code that is a multiple of eight, at most the smallest."""
    there: Bits | None
    """A bit for each code from there on; None where they would be too many."""


def look_at_keys(
    ddf: dd.DataFrame, on: Sequence[Any], schema: KeySchema, *, rows: int, build_side: str
) -> tuple[KeyTable, Presence] | str:
    """Describe the table of a side's rows, or say why there is none.

    Parameters
    ----------
    ddf
        The side.
    on
        Its key column.
    schema
        How keys become codes, in their order.
    rows
        Rows of the side.
    build_side
        What the side is called.

    Notes
    -----
    **Eager.** The key column is read once, and not again in this process while its data is the same.

    **Memory.** A task holds the key column of one slice of a partition, and some bytes for
    each place of the table; a bit for each comes here.
    """
    most = options.TABLE_SPARSITY * rows
    found = _keys_of(ddf, on, schema, most)
    if found.null_rows or found.rows == 0:
        return (
            f"the {build_side} side has {format_count(found.null_rows)} rows without a key, of "
            f"{format_count(found.rows)}"
        )
    there = None if found.there is None else np.unpackbits(found.there)
    first = 0 if there is None else int(there.argmax())
    if there is None or (span := len(there) - int(there[::-1].argmax()) - first) > most:
        return f"the {build_side} side's {format_count(rows)} keys are spread over more than {format_count(most)} numbers"
    if (distinct := int(np.count_nonzero(there))) < found.rows:
        return f"the {build_side} side has {format_count(distinct)} keys in {format_count(found.rows)} rows"
    assert found.there is not None, "there is one where there are bits"
    keys = KeyTable(base=found.base + first, span=span, rows=found.rows, build_side=build_side)
    return keys, Presence(found.base, found.there)


def key_presence(ddf: dd.DataFrame, on: Sequence[Any], schema: KeySchema, *, rows: int) -> Presence | None:
    """Return which keys a side of so many rows has, as often as they come; None where they are too far from each other.

    Notes
    -----
    **Eager.** As :func:`look_at_keys`.
    """
    found = _keys_of(ddf, on, schema, options.TABLE_SPARSITY * rows)
    return None if found.there is None else Presence(found.base, found.there)


def count_unmatched(ddf: dd.DataFrame, on: Sequence[Any], schema: KeySchema, presence: Presence) -> int:
    """Count the rows of the other side whose key is not there.

    Notes
    -----
    **Eager.** As :func:`look_at_keys`.

    **Memory.** A task holds the key column of one slice of a partition twice, and the bits.
    """

    def count(frames: Sequence[Side]) -> list[int]:
        # Sent once to each worker, rather than with each task.
        bits = delayed(presence, pure=False)
        return [
            total(
                list(
                    computed(
                        "counting unmatched rows",
                        each_slice_keys(
                            *frame, _count_unmatched, total, total, schema, bits, step="count-unmatched"
                        ),
                    )
                )
            )
            for frame in frames
        ]

    what = ("unmatched", schema, presence.base, hashlib.blake2b(presence.bits.tobytes()).digest())
    return each_once([(ddf, tuple(on))], what, count, lambda _: 8)[0]


def _keys_of(ddf: dd.DataFrame, on: Sequence[Any], schema: KeySchema, most: int) -> _Found:
    def look(frames: Sequence[Side]) -> list[_Found]:
        return [
            _united_keys(
                list(
                    computed(
                        "looking at keys",
                        each_slice_keys(
                            *frame,
                            _keys_of_partition,
                            _united_keys,
                            _united_keys,
                            schema,
                            most,
                            step="look-at-keys",
                        ),
                    )
                )
            )
            for frame in frames
        ]

    return each_once([(ddf, tuple(on))], ("table", schema, most), look, _nbytes_of)[0]


def _nbytes_of(found: _Found) -> int:
    return 0 if found.there is None else found.there.nbytes


def _count_unmatched(keys: list[pd.Series[Any]], schema: KeySchema, presence: Presence) -> int:
    codes, null = encode_keys(keys, schema)
    there = presence.of(codes)
    if null is not None:
        there &= ~null
    return len(there) - int(np.count_nonzero(there))


def _keys_of_partition(keys: list[pd.Series[Any]], schema: KeySchema, most: int) -> _Found:
    codes, null = encode_keys(keys, schema)
    rows = len(codes)
    codes = without_nulls(codes, null)
    null_rows = rows - len(codes)
    if len(codes) == 0:
        return _Found(rows, null_rows, 0, np.zeros(0, np.uint8))
    base = int(codes.min()) // 8 * 8
    span = int(codes.max()) - base + 1
    if span > most + 8:
        return _Found(rows, null_rows, base, None)
    there = np.zeros(span, np.bool_)
    there[(codes - np.uint64(base)).view(np.int64)] = True
    return _Found(rows, null_rows, base, np.packbits(there))


def _united_keys(parts: list[_Found]) -> _Found:
    rows, null_rows = sum(part.rows for part in parts), sum(part.null_rows for part in parts)
    full = [part for part in parts if part.there is None or len(part.there)]
    if not full:
        return _Found(rows, null_rows, 0, np.zeros(0, np.uint8))
    base = min(part.base for part in full)
    bits = [part.there for part in full if part.there is not None]
    ends = [(part.base - base) // 8 + len(part.there) for part in full if part.there is not None]
    # Each part is narrow enough, but they may lie far from each other.
    if (
        len(bits) < len(full)
        or max(ends) > sum(map(len, bits)) * options.TABLE_SPARSITY + options.TABLE_NEAR_NBYTES
    ):
        return _Found(rows, null_rows, base, None)
    there = np.zeros(max(ends), np.uint8)
    for own, end in zip(bits, ends, strict=True):
        there[end - len(own) : end] |= own
    return _Found(rows, null_rows, base, there)
