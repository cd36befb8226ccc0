"""Medians, quantiles, distinct and most frequent values of groups whose rows are in the order of keys and values, in parts.

A part has the rows of some groups whole; its first group and its last one may go on in other parts. Of these it tells how
many values it has. Then a median is two row numbers, a quantile one or two, and the parts that have them give their values;
distinct values are counted in each part, less those that go on in the next one, and so are the rows of each value. pandas makes the result of the few
values that decide, so that types, names and arithmetic are its own.

Covers: the groups of a part that may cross; row numbers, and the values that they have;
results of groups that cross.
Does not cover: which calls are made this way (``kernels.groupby.ranked``).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from safeframe.kernels.groupby.ranked import RankedCall

_PAIRS_AT_ONCE = 64
"""Pairs of values that are interpolated by one call of pandas, which does so for each fraction of each pair."""

_Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PartEdges:
    """The groups of a part that may go on in other parts: none, its only one, or its first and its last."""

    first: pd.DataFrame
    """The first row of each."""
    last: pd.DataFrame
    """The row of each with its last value that is not null, or its first row where there is none."""
    counts: _Counts
    """Values of each that are not null."""
    distinct: _Counts
    """How many of these are different; zero where nobody asks."""
    nulls: npt.NDArray[np.bool_]
    """Whether each has nulls besides."""
    runs: pd.DataFrame
    """Values of each that may be its most frequent one, in their order, with their rows; none where nobody asks."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CrossingGroups:
    """The groups that may have rows in several parts, and what is looked for in these."""

    first: pd.DataFrame
    """The first row of each group."""
    counts: _Counts
    """Values of each that are not null."""
    distinct: _Counts
    """How many different values each has; zero where nobody asks."""
    numbers: _Counts
    """Row numbers that are looked for: of each group, for each quantile two, which may be the same."""
    shares: npt.NDArray[np.float64]
    """How far between these two each quantile is."""
    parts: _Counts
    """The number of the first entry of each part below, and one more."""
    group: _Counts
    """For each entry, which group it is of."""
    offset: _Counts
    """Rows of that group in earlier parts."""
    rows: _Counts
    """Rows that are there to be looked at."""
    frequent: pd.Series[Any]
    """The most frequent value of each group that has values; none where nobody asks."""
    with_values: _Counts
    """Which groups these are."""


def keyed(frame: pd.DataFrame, asked: RankedCall) -> pd.DataFrame:
    """Return the rows that are in a group."""
    if not asked.call.options["dropna"]:
        return frame
    null = np.zeros(len(frame), np.bool_)
    for name in asked.by:
        null |= frame[name].isna().to_numpy()
    return frame[~null] if null.any() else frame


def inner_and_edges(frame: pd.DataFrame, asked: RankedCall) -> tuple[pd.DataFrame, PartEdges]:
    """Take the groups of a part that may cross from the others, which are whole.

    Examples
    --------
    >>> from safeframe.kernels.groupby.calls import GroupCall
    >>> call = GroupCall(
    ...     by=("k",), names=("k",), listed=False, options={"dropna": True}, picked="v", calls=()
    ... )
    >>> asked = RankedCall(call=call, value="v", function="median")
    >>> inner, edges = inner_and_edges(
    ...     pd.DataFrame({"k": [1, 2, 2, 3, 3], "v": [5.0, 1.0, 2.0, 7.0, None]}), asked
    ... )
    >>> inner["v"].tolist(), edges.counts.tolist(), edges.nulls.tolist()
    ([1.0, 2.0], [1, 1], [False, True])
    """
    groups = edge_groups(frame, asked.by)
    inner = frame.iloc[:0] if len(groups) < 2 else frame.iloc[len(groups[0]) : len(frame) - len(groups[1])]
    counts = np.array([_not_null(group, asked) for group in groups], np.int64)
    last = [group.iloc[[max(count - 1, 0)]] for group, count in zip(groups, counts.tolist(), strict=True)]
    distinct = [
        _distinct(group[asked.value].iloc[:count]) if asked.function == "nunique" else 0
        for group, count in zip(groups, counts.tolist(), strict=True)
    ]
    edges = PartEdges(
        first=_together([group.iloc[[0]] for group in groups], frame),
        last=_together(last, frame)[[asked.value]],
        counts=counts,
        distinct=np.array(distinct, np.int64),
        nulls=counts < np.array([len(group) for group in groups], np.int64),
        runs=_runs(
            [group[asked.value].iloc[:count] for group, count in zip(groups, counts.tolist(), strict=True)],
            frame,
            asked,
        ),
    )
    return inner, edges


def edge_groups(frame: pd.DataFrame, by: Sequence[Any]) -> list[pd.DataFrame]:
    """Return the first and the last group of rows in the order of their keys; one where they are the same."""
    if not len(frame):
        return []
    first = _rows_like(frame, by, 0)
    if first == len(frame):
        return [frame]
    return [frame.iloc[:first], frame.iloc[len(frame) - _rows_like(frame, by, -1) :]]


def _rows_like(frame: pd.DataFrame, by: Sequence[Any], at: int) -> int:
    """Count the rows that have the keys of one of them."""
    like = np.ones(len(frame), np.bool_)
    for name in by:
        column = frame[name]
        key = column.iloc[at]
        like &= column.isna().to_numpy() if pd.isna(key) else _true(column == key)
    return int(like.sum())


def _true(found: pd.Series[Any]) -> npt.NDArray[np.bool_]:
    """Return which answers are yes, where they may be null."""
    return found.to_numpy(np.bool_, na_value=False)


def _not_null(group: pd.DataFrame, asked: RankedCall) -> int:
    return int(group[asked.value].notna().to_numpy().sum())


def _distinct(values: pd.Series[Any]) -> int:
    return int(_changes(values, values).sum()) + 1 if len(values) else 0


def _changes(values: pd.Series[Any], before: pd.Series[Any]) -> npt.NDArray[np.bool_]:
    """Return whether each value but the first differs from that of the other series a row earlier; none is null."""
    left = values.iloc[1:].reset_index(drop=True)
    right = before.iloc[:-1].reset_index(drop=True)
    return ~_true(left == right)


def _runs(groups: Sequence[pd.Series[Any]], frame: pd.DataFrame, asked: RankedCall) -> pd.DataFrame:
    """Return the first and the last value of groups, which may have rows in other parts, and the most frequent between them."""
    found = [_run_rows(frame[asked.value].iloc[:0], np.zeros(0, np.int64), np.zeros(0, np.int64), 0)]
    for number, values in enumerate(groups if asked.function == "mode" else ()):
        starts = np.flatnonzero(np.r_[np.ones(min(len(values), 1), np.bool_), _changes(values, values)])
        counts = np.diff(starts, append=len(values))
        kept = np.unique([0, len(starts) - 1]) if len(starts) else starts
        if len(starts) > 2:
            kept = np.unique([*kept, 1 + int(counts[1:-1].argmax())])
        found.append(_run_rows(values, starts[kept], counts[kept], number))
    return pd.concat(found, ignore_index=True)


def _run_rows(values: pd.Series[Any], starts: _Counts, counts: _Counts, number: int) -> pd.DataFrame:
    return pd.DataFrame(
        {"value": values.take(starts).array, "count": counts, "group": np.full(len(starts), number)}
    )


def _together(rows: Sequence[pd.DataFrame], empty: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(list(rows), ignore_index=True) if rows else empty.iloc[:0].reset_index(drop=True)


def crossing_groups(parts: Sequence[PartEdges], asked: RankedCall) -> CrossingGroups:
    """Find which groups of parts that follow each other are the same, and what is looked for in them."""
    first = pd.concat([part.first for part in parts], ignore_index=True)
    counts = _joined(parts, "counts")
    new = _begins(first, asked.by)
    group = np.cumsum(new) - 1
    starts = np.flatnonzero(new)
    totals = _sums(counts, starts)
    # Of a group without values its first null is looked at.
    rows = np.where(new & (totals[group] == 0), 1, counts)
    before = np.cumsum(rows) - rows
    numbers, shares = _wanted(totals, asked)
    frequent, with_values = _frequent(parts, group)
    return CrossingGroups(
        first=first.iloc[starts].reset_index(drop=True),
        counts=totals,
        distinct=_all_distinct(parts, asked, new, starts) if asked.function == "nunique" else 0 * totals,
        numbers=numbers,
        shares=shares,
        parts=np.cumsum([0, *(len(part.counts) for part in parts)]),
        group=group,
        offset=before - before[starts][group],
        rows=rows,
        frequent=frequent,
        with_values=with_values,
    )


def _frequent(parts: Sequence[PartEdges], group: _Counts) -> tuple[pd.Series[Any], _Counts]:
    """Return the most frequent value of each group, of several the least, and which groups have one."""
    runs = pd.concat([part.runs for part in parts], ignore_index=True)
    before = np.cumsum([0, *(len(part.counts) for part in parts[:-1])])
    entry = np.repeat(before, [len(part.runs) for part in parts]) + runs["group"].to_numpy()
    groups = group[entry]
    new = np.ones(len(runs), np.bool_)
    # A value goes on in the next part; between the first and the last of a part, there are none of the same.
    new[1:] = _changes(runs["value"], runs["value"]) | (np.diff(groups) > 0)
    starts = np.flatnonzero(new)
    rows = _sums(runs["count"].to_numpy(), starts)
    order = np.lexsort([-rows, groups[starts]])
    first = order[np.diff(groups[starts][order], prepend=-1) > 0]
    return runs["value"].take(starts[first]).reset_index(drop=True), groups[starts][first]


def _joined(parts: Sequence[PartEdges], name: str) -> Any:
    return np.concatenate([getattr(part, name) for part in parts])


def _sums(values: _Counts, starts: _Counts) -> _Counts:
    return np.add.reduceat(values, starts) if len(starts) else values[:0]


def _begins(first: pd.DataFrame, by: Sequence[Any]) -> npt.NDArray[np.bool_]:
    """Return which entries have another key than the one before."""
    same = np.ones(max(len(first) - 1, 0), np.bool_)
    for name in by:
        column = first[name]
        null = column.isna().to_numpy()
        same &= ~_changes(column, column) | (null[1:] & null[:-1])
    new = np.ones(len(first), np.bool_)
    new[1:] = ~same
    return new


def _all_distinct(
    parts: Sequence[PartEdges], asked: RankedCall, new: npt.NDArray[np.bool_], starts: _Counts
) -> _Counts:
    """Count the different values of groups: one that goes on in the next part counts once."""
    counts, nulls = _joined(parts, "counts"), _joined(parts, "nulls")
    first = pd.concat([part.first[asked.value] for part in parts], ignore_index=True)
    last = pd.concat([part.last[asked.value] for part in parts], ignore_index=True)
    goes_on = np.zeros(len(new), np.bool_)
    # Nulls come after all values, so that entries without values are the last of their group.
    goes_on[1:] = ~_changes(first, last) & ~new[1:] & (counts[1:] > 0)
    found = _sums(_joined(parts, "distinct") - goes_on, starts)
    if asked.dropna:
        return found
    return found + (_sums(nulls.astype(np.int64), starts) > 0)


def _wanted(totals: _Counts, asked: RankedCall) -> tuple[_Counts, npt.NDArray[np.float64]]:
    """Return the row numbers that decide, of each group and quantile two, and how far the result is between them."""
    most = np.maximum(totals - 1, 0)
    if asked.function == "median":
        return np.stack([most // 2, np.where(totals > 0, totals // 2, 0)], axis=1).ravel(), np.zeros(0)
    if asked.function in ("nunique", "mode"):
        return np.zeros(0, np.int64), np.zeros(0)
    quantiles = np.array(asked.quantiles)
    place = quantiles * most[:, None]
    low = place.astype(np.int64)
    share = place % 1
    if asked.interpolation == "nearest":
        # Where both are as near, pandas looks at more than the pair of values has.
        tie_up = low % 2 == 1 if _ties_are_even() else np.broadcast_to(quantiles > 0.5, low.shape)
        up = (share > 0.5) | ((share == 0.5) & tie_up)
        low, share = low + up, np.zeros_like(share)
    high = np.where(share > 0, low + 1, low)
    return np.stack([low, high], axis=2).ravel(), share.ravel()


@functools.cache
def _ties_are_even() -> bool:
    """Whether pandas takes the even row number of two that are as near; else the lower one up to the median."""
    values = pd.Series([0.0, 1.0, 2.0, 3.0])
    return bool(values.groupby([0] * 4).quantile(0.5, interpolation="nearest").iloc[0] == 2.0)


def values_in_part(
    frame: pd.DataFrame, number: int, crossing: CrossingGroups, asked: RankedCall
) -> pd.DataFrame:
    """Return the values of a part that are looked for, each with its place among all that are.

    Parameters
    ----------
    frame
        Rows of the part, as :func:`inner_and_edges` took them.
    number
        Which part it is.
    crossing, asked
        What is looked for.
    """
    entries = range(crossing.parts[number], crossing.parts[number + 1])
    found = [_values_at(frame.iloc[:0], np.zeros(0, np.int64), np.zeros(0, np.int64), asked)]
    for entry, group in zip(entries, edge_groups(frame, asked.by), strict=True):
        found.append(_values_at(group, *places_of(crossing, entry), asked))
    return pd.concat(found, ignore_index=True)


def _values_at(group: pd.DataFrame, places: _Counts, rows: _Counts, asked: RankedCall) -> pd.DataFrame:
    return pd.DataFrame({"place": places, "value": group[asked.value].take(rows).array})


def places_of(crossing: CrossingGroups, entry: int) -> tuple[_Counts, _Counts]:
    """Return which of the row numbers that are looked for are in an entry, and its own rows that have them."""
    each = len(crossing.numbers) // max(len(crossing.counts), 1)
    begin = int(crossing.group[entry]) * each
    rows = crossing.numbers[begin : begin + each] - crossing.offset[entry]
    inside = np.flatnonzero((rows >= 0) & (rows < crossing.rows[entry]))
    return begin + inside, rows[inside]


def crossing_result(crossing: CrossingGroups, found: Sequence[pd.DataFrame], asked: RankedCall) -> Any:
    """Return the result of groups that may cross, from the values that were looked for."""
    first = crossing.first
    if asked.function == "nunique":
        return _with_values(asked.call(first), pd.Series(crossing.distinct))
    if asked.function == "mode":
        # Of a group without values the first row, which has none, is its own.
        places = np.full(len(first), -1, np.int64)
        places[crossing.with_values] = np.arange(len(crossing.with_values))
        rows = first.copy()
        rows[asked.value] = crossing.frequent.reindex(places).array
        return asked.call(rows)
    values = pd.concat(list(found), ignore_index=True).sort_values("place", kind="stable")["value"]
    values = values.reset_index(drop=True)
    if asked.function == "median":
        # Two values have the mean that all of them have; one is its own, however large.
        kept = np.ones(len(values), np.bool_)
        kept[1::2] = (crossing.counts > 0) & (crossing.counts % 2 == 0)
        group = np.repeat(np.arange(len(first)), 2)[kept]
        rows = first.take(group).reset_index(drop=True)
        rows[asked.value] = values.array[kept]
        return asked.call(rows)
    between = _between(values, crossing.shares, asked)
    return _with_values(asked.call(first), between)


def _between(values: pd.Series[Any], shares: npt.NDArray[np.float64], asked: RankedCall) -> pd.Series[Any]:
    """Interpolate within pairs of values, as pandas does within the values of a group."""
    made = []
    for start in range(0, len(shares), _PAIRS_AT_ONCE):
        own = shares[start : start + _PAIRS_AT_ONCE]
        pairs = values.iloc[2 * start : 2 * (start + len(own))]
        groups = pairs.groupby(np.repeat(np.arange(len(own)), 2), sort=True)
        # Of each pair all fractions are made, its own among them.
        made.append(
            groups.quantile(own, interpolation=asked.interpolation).iloc[np.arange(len(own)) * (len(own) + 1)]
        )
    return pd.concat(made, ignore_index=True)


def _with_values(made: Any, values: pd.Series[Any]) -> Any:
    """Return a result with other values: of a frame, they are the last column."""
    if isinstance(made, pd.Series):
        return pd.Series(values.array, index=made.index, name=made.name)
    made = made.copy()
    made.isetitem(made.shape[1] - 1, values.array)
    return made
