"""Rows by levels of text are in the order of their bytes, whatever ends where, and equal text that has ended is not read on."""

from __future__ import annotations

import bisect

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from safeframe.kernels.keys.bytes_hash import ByteSpans
from safeframe.kernels.keys.levels import (
    bytes_levels,
    descending,
    in_order_by_levels,
    longest_of,
    order_by_levels,
    ranks_among,
    word_levels,
)
from tests.property.strategies import Reversed

STEMS = st.text(alphabet="ab\0é", max_size=5)
TEXT = st.builds(lambda stem, n, end: stem * n + end, STEMS, st.integers(0, 40), STEMS)


@st.composite
def rows_of_text(draw):
    """Draw rows of two texts and a number, of few values each, so that many are equal up to some byte."""
    values = draw(st.lists(TEXT, min_size=1, max_size=5))
    others = draw(st.lists(TEXT, min_size=1, max_size=3))
    row = st.tuples(st.sampled_from(values), st.sampled_from(others), st.integers(0, 2))
    return draw(st.lists(row, min_size=1, max_size=30))


def arrays_of(rows):
    one, two, numbers = zip(*rows, strict=True)
    return pa.array(one, pa.large_string()), pa.array(two, pa.large_string()), np.array(numbers, np.uint64)


def levels_of(arrays, longest, *, falling):
    one, two, numbers = arrays
    first = bytes_levels(one, longest[0])
    return [
        *(descending(first) if falling else first),
        *bytes_levels(two, longest[1]),
        *word_levels(numbers),
    ]


def key_of(row, *, falling):
    one, two, number = row[0].encode(), row[1].encode(), row[2]
    return (Reversed(one) if falling else one, two, number)


@given(rows_of_text(), st.booleans())
def test_the_order_is_that_of_bytes(rows, falling):
    arrays = arrays_of(rows)
    levels = levels_of(arrays, (None, None), falling=falling)
    keys = [key_of(row, falling=falling) for row in rows]
    expected = sorted(range(len(rows)), key=keys.__getitem__)
    found = order_by_levels(levels, len(rows))
    assert (list(range(len(rows))) if found is None else found.tolist()) == expected
    assert in_order_by_levels(levels, len(rows)) == (expected == list(range(len(rows))))


@given(rows_of_text(), rows_of_text(), st.booleans())
def test_places_among_others(rows, more, falling):
    keys = {row: key_of(row, falling=falling) for row in [*rows, *more]}
    bounds = sorted({*more[:3], *rows[:3]}, key=keys.__getitem__)
    arrays, bound_arrays = arrays_of(rows), arrays_of(bounds)
    longest = [longest_of(array) for array in bound_arrays[:2]]
    found = ranks_among(
        levels_of(arrays, longest, falling=falling),
        len(rows),
        levels_of(bound_arrays, longest, falling=falling),
        len(bounds),
    )
    ordered = [keys[row] for row in bounds]
    expected = [2 * bisect.bisect_left(ordered, keys[row]) + (row in bounds) for row in rows]
    assert found.tolist() == expected


def test_bounds_are_told_apart_where_all_rows_have_ended():
    bounds = pa.array(["aaaaaaaaX", "aaaaaaaaY", "b"], pa.large_string())
    rows = pa.array(["b", "b"], pa.large_string())
    levels = bytes_levels(rows, longest_of(bounds))
    assert ranks_among(levels, len(rows), bytes_levels(bounds), len(bounds)).tolist() == [5, 5]


def test_rows_that_have_ended_are_not_read_on(monkeypatch):
    read = []
    words = ByteSpans.words

    def counted(self, rows, skipped):
        found = words(self, rows, skipped)
        read.append(len(found))
        return found

    monkeypatch.setattr(ByteSpans, "words", counted)
    array = pa.array(["z" * 10_000, *["", "abc"] * 500], pa.large_string())
    levels = bytes_levels(array)
    order_by_levels(levels, len(array))
    assert sum(read) < 10 * len(array)
    read.clear()
    bounds = pa.array(["", "z" * 10_000], pa.large_string())
    rows = bytes_levels(array, longest_of(bounds))
    ranks_among(rows, len(array), bytes_levels(bounds), len(bounds))
    assert sum(read) < 10 * (len(array) + 10_000)
