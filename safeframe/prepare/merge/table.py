"""Whether the rows of a merge's smaller side can be looked up in a table, before any key is counted.

It can where that side has each key once, and the other side's rows all stay.

Covers: finding out from parquet footers, types and the smaller side's keys, cheapest first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd

from safeframe import options
from safeframe.facts.budget import Budget, StagingFacts
from safeframe.facts.estimate import Estimate, Width
from safeframe.facts.frame import FrameProfile
from safeframe.facts.keys import Counts, KeyStatistics
from safeframe.facts.merge import How, KeyTable, MergeEstimate, SideFacts, TableFacts
from safeframe.kernels.keys.codes import encode_keys
from safeframe.kernels.merge.table import JoinTable, refused
from safeframe.planning.merge.table import no_room_for_table
from safeframe.prepare.merge.keys import KeyedSides
from safeframe.prepare.merge.sizes import JoinSizes, result_row_width
from safeframe.sizing.cluster import on_one_host
from safeframe.sizing.columns.integers import footer_ranges
from safeframe.sizing.frames import footer_rows, profile_frame
from safeframe.sizing.keys.table import Presence, count_unmatched, look_at_keys
from safeframe.sizing.staging_url import is_remote
from safeframe.units import format_count

RowsOfSides = tuple[Counts, Counts]
"""Rows of each partition of the left and of the right side."""
Profiles = tuple[FrameProfile, FrameProfile]
"""Bytes of the left and of the right side."""


@dataclass(frozen=True, slots=True)
class NoTable:
    """A merge that looks up in no table."""

    reason: str
    """Why not."""
    profiles: Profiles | None = None
    """Rows and bytes of both sides, where they were gathered before that was known."""


@dataclass(frozen=True, slots=True)
class TableSizes:
    """A merge that can look up in a table."""

    sizes: JoinSizes
    """What is known of it; keys are not counted."""
    facts: TableFacts
    """The table."""


def size_table(
    sides: KeyedSides,
    frames: tuple[dd.DataFrame, dd.DataFrame],
    *,
    budget: Budget,
    staging: StagingFacts,
    partition_nbytes: int | None,
    check_size: Callable[[MergeEstimate], None],
) -> TableSizes | NoTable:
    """Size a merge that looks up in a table, or say why one has to know more.

    ``frames`` are both sides without an index as a column, which footers do not have.
    ``check_size`` refuses a result that is too large, before any key is read.

    Notes
    -----
    **Eager.** Footers of both sides; where all else allows for a table, one
    pass over the key column of the smaller side. Where that has integers, which are
    floats if a row finds none, one over the key column of the other side as well,
    unless footers tell that each row finds one.
    """
    rows = _rows(sides.terms.how, frames, staging)
    if isinstance(rows, str):
        return NoTable(rows)
    sides = sides.of_rows(*(int(counted.sum()) for counted in rows))
    terms = sides.terms
    build_side = "right" if terms.how == "left" else "left"
    spec = terms.spec(sides.left._meta, sides.right._meta, _estimate(sides, rows))
    if why := refused(spec, build_side):
        return NoTable(why)
    profiles = profile_frame(sides.left, rows[0]), profile_frame(sides.right, rows[1])
    width, estimate = _of_result(sides, rows, profiles)
    build = 1 if build_side == "right" else 0
    n_rows = int(rows[build].sum())
    least = KeyTable(base=0, span=n_rows, rows=n_rows, build_side=build_side)
    facts = TableFacts(
        keys=least,
        build=profiles[build],
        build_rows=rows[build],
        probe=profiles[1 - build],
        row_nbytes=JoinTable(spec, least).layout.itemsize,
        output_row_nbytes=width.bounding,
        budget=budget,
        staging=staging,
        partition_nbytes=partition_nbytes,
    )
    if why := no_room_for_table(facts):
        return NoTable(why, profiles)
    # Without a table the merge has these rows and more.
    check_size(estimate)
    frame, keys = sides.keys[build]
    found = look_at_keys(frame, keys.on, terms.schema, rows=n_rows, build_side=build_side)
    if isinstance(found, str):
        return NoTable(found, profiles)
    facts = replace(facts, keys=found[0])
    if why := no_room_for_table(facts):
        return NoTable(why, profiles)
    if any(dtype != spec.meta.dtypes.iloc[i] for i, dtype in _looked_up(JoinTable(spec, facts.keys))):
        # Whether integers stay integers depends on it.
        width, estimate = _of_result(sides, rows, profiles, _unmatched(sides, *found))
        spec = terms.spec(sides.left._meta, sides.right._meta, estimate)
        table = JoinTable(spec, facts.keys)
        facts = replace(facts, row_nbytes=table.layout.itemsize, output_row_nbytes=width.bounding)
        if why := no_room_for_table(facts):
            return NoTable(why, profiles)
    left, right = (
        SideFacts(
            keys=KeyStatistics.uncounted(on=side.names, schema=terms.schema, rows=counted), profile=profile
        )
        for (_, side), counted, profile in zip(sides.keys, rows, profiles, strict=True)
    )
    return TableSizes(JoinSizes(sides=sides, left=left, right=right, estimate=estimate), facts)


def _rows(how: How, frames: tuple[dd.DataFrame, dd.DataFrame], staging: StagingFacts) -> RowsOfSides | str:
    """Return the rows of each partition by footers alone, or why there is no table whatever the keys are."""
    if how not in ("left", "right"):
        return f"with how={how!r} the rows of the result are not those of one side, each once"
    if staging.directory is None:
        return staging.unavailable
    if is_remote(staging.directory):
        return f"a memory-mapped table has to be local, and {staging.directory} is not"
    left, right = (footer_rows(frame) for frame in frames)
    if left is None or right is None:
        return (
            f"the rows of the {'left' if left is None else 'right'} side are not known from parquet footers"
        )
    if not on_one_host():
        return "the workers are on several hosts"
    probe, build = (left, right) if how == "left" else (right, left)
    n_probe, n_build = int(probe.sum()), int(build.sum())
    if n_probe < n_build:
        return f"the side that would be a table has {format_count(n_build)} rows, and the other one {format_count(n_probe)}"
    if n_probe < options.TABLE_MIN_ROWS:
        return (
            f"the {how} side has {format_count(n_probe)} rows, and counting the keys of fewer than "
            f"{format_count(options.TABLE_MIN_ROWS)} takes less time than a table saves"
        )
    return left, right


def _looked_up(table: JoinTable) -> list[tuple[int, Any]]:
    """Return the places in the result, and the types in the table's side, of what is looked up."""
    places = enumerate(table.sources)
    return [(i, table.build.dtypes[other]) for i, (_, other) in places if other is not None]


def _unmatched(sides: KeyedSides, keys: KeyTable, presence: Presence) -> int:
    """Count the rows that look up and find none."""
    schema = sides.terms.schema
    frame, side = sides.keys[0 if keys.build_side == "right" else 1]
    on = side.on
    if keys.span == keys.rows:
        # Where each place is filled the smallest and the largest key tell of all others.
        ends = footer_ranges(frame, on).get(on[0])
        if ends is not None and not ends.nulls:
            series = pd.Series([ends.least, ends.most]).astype(frame._meta[on[0]].dtype)
            if presence.of(encode_keys([series], schema)[0]).all():
                return 0
    return count_unmatched(frame, on, schema, presence)


def _of_result(
    sides: KeyedSides, rows: RowsOfSides, profiles: Profiles, unmatched_rows: int | None = None
) -> tuple[Width, MergeEstimate]:
    """Return the bytes of a result row, and the rows and bytes of the result."""
    estimate = _estimate(sides, rows, unmatched_rows)
    width = result_row_width(sides, *profiles, _may_miss(estimate))
    return width, replace(estimate, row_nbytes=width.expected, row_width=width)


def _may_miss(estimate: MergeEstimate) -> tuple[float, float]:
    return float(estimate.left_missing), float(estimate.right_missing)


def _estimate(sides: KeyedSides, rows: RowsOfSides, unmatched_rows: int | None = None) -> MergeEstimate:
    how = sides.terms.how
    left, right = (int(np.sum(counted)) for counted in rows)
    unmatched = [
        Estimate(lower=0, expected=0, upper=number, method="footer", exact=False) for number in (left, right)
    ]
    if unmatched_rows is not None:
        unmatched[how == "right"] = Estimate.computed(unmatched_rows)
    kept = left if how == "left" else right
    return MergeEstimate(
        how=how,
        on=sides.terms.keys.left.names,
        rows=Estimate.computed(kept, method="footer"),
        row_nbytes=0.0,
        left_rows=left,
        right_rows=right,
        left_unmatched_rows=unmatched[0],
        right_unmatched_rows=unmatched[1],
        heaviest=(),
    )
