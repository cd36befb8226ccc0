"""A merge that needs to know less: where the smaller side has each key once, and the other side's rows all stay.

Covers: deciding so from parquet footers, types and the smaller side's keys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd

from safeframe import options
from safeframe.facts.budget import Budget, StagingFacts
from safeframe.facts.estimate import Estimate, Width
from safeframe.facts.keys import Counts, KeySchema, KeyStatistics
from safeframe.facts.merge import KeyTable, MergeEstimate, SideFacts
from safeframe.facts.plan import Plan
from safeframe.kernels.keys.codes import encode_keys
from safeframe.kernels.merge.spec import JoinSpec, join_spec
from safeframe.kernels.merge.table import JoinTable, refused
from safeframe.planning.merge.table import TableFacts, can_be_mapped, plan_table_merge
from safeframe.prepare.merge.keys import KeyArguments, KeyedSides, keyed_sides
from safeframe.prepare.merge.sizes import JoinSizes, result_row_width, side_schema
from safeframe.sizing.cluster import on_one_host
from safeframe.sizing.columns.integers import footer_ranges
from safeframe.sizing.frames import profile_frame
from safeframe.sizing.keys.table import Presence, count_unmatched, look_at_keys
from safeframe.sizing.parquet.slices import footer_rows
from safeframe.sizing.staging_url import is_remote

__all__ = ["table_merge"]


def table_merge(
    left: dd.DataFrame,
    right: dd.DataFrame,
    asked: KeyArguments,
    *,
    budget: Budget,
    staging: StagingFacts,
    partition_nbytes: int | None,
    check_size: Callable[[MergeEstimate], None],
) -> tuple[JoinSizes, Plan] | None:
    """Size and plan a merge that looks up in a table, or give None where one has to know more.

    ``check_size`` refuses a result that is too large, before any key is read.

    Notes
    -----
    **Eager.** Footers of both sides; where all else allows for a table, one
    pass over the key column of the smaller side. Where that has integers, which are
    floats if a row finds none, one over the key column of the other side as well,
    unless footers tell that each row finds one.
    """
    if asked.how not in ("left", "right") or staging.directory is None or is_remote(staging.directory):
        return None
    build_side = "right" if asked.how == "left" else "left"
    left_rows, right_rows = footer_rows(left), footer_rows(right)
    if left_rows is None or right_rows is None or not on_one_host():
        return None
    rows = left_rows, right_rows
    probe_rows, build_rows = rows if build_side == "right" else rows[::-1]
    if probe_rows.sum() < max(options.TABLE_MIN_ROWS, build_rows.sum()):
        return None
    sides = keyed_sides(left, right, asked)
    schema = side_schema(sides)
    spec = _spec(sides, asked, schema, missing=build_side)
    if refused(spec, build_side):
        return None
    profiles = profile_frame(sides.left, rows[0]), profile_frame(sides.right, rows[1])
    build, probe = profiles[::-1] if build_side == "right" else profiles
    least = KeyTable(base=0, span=int(build_rows.sum()), rows=int(build_rows.sum()), build_side=build_side)
    width = result_row_width(sides, *profiles, (asked.how == "right", asked.how == "left"))
    facts = TableFacts(
        build=build,
        build_rows=build_rows,
        probe=probe,
        row_nbytes=JoinTable(spec, least).layout.itemsize,
        output_row_nbytes=width.bounding,
        budget=budget,
        staging=staging,
        partition_nbytes=partition_nbytes,
    )
    if not can_be_mapped(facts, least):
        return None
    estimate = _estimate(sides, asked, rows, width)
    # Without a table the merge has these rows and more.
    check_size(estimate)
    frame, on = (
        (sides.right, sides.keys.right.on) if build_side == "right" else (sides.left, sides.keys.left.on)
    )
    found = look_at_keys(frame, on, schema, rows=least.rows, build_side=build_side)
    if isinstance(found, str) or not can_be_mapped(facts, found[0]):
        return None
    keys, presence = found
    if any(dtype != spec.meta.dtypes.iloc[i] for i, dtype in _looked_up(JoinTable(spec, keys))):
        # Whether integers stay integers depends on it.
        unmatched = _unmatched(sides, schema, keys, presence)
        if not unmatched:
            table = JoinTable(_spec(sides, asked, schema, missing=None), keys)
            width = result_row_width(sides, *profiles, (False, False))
            facts = replace(facts, row_nbytes=table.layout.itemsize, output_row_nbytes=width.bounding)
            if not can_be_mapped(facts, keys):
                return None
        estimate = _estimate(sides, asked, rows, width, unmatched)
    statistics = [
        KeyStatistics.uncounted(on=side.names, schema=schema, rows=counted)
        for side, counted in zip((sides.keys.left, sides.keys.right), rows, strict=True)
    ]
    sizes = JoinSizes(
        left=sides.left,
        right=sides.right,
        keys=sides.keys,
        output=sides.output,
        schema=schema,
        left_facts=SideFacts(keys=statistics[0], profile=profiles[0]),
        right_facts=SideFacts(keys=statistics[1], profile=profiles[1]),
        estimate=estimate,
    )
    return sizes, plan_table_merge(facts, keys, estimate)


def _spec(sides: KeyedSides, asked: KeyArguments, schema: KeySchema, *, missing: str | None) -> JoinSpec:
    """Describe the join; ``missing`` is the side of which rows may be missing."""
    return join_spec(
        sides.left._meta,
        sides.right._meta,
        sides.keys,
        how=asked.how,
        suffixes=asked.suffixes,
        indicator=asked.indicator,
        schema=schema,
        left_missing=missing == "left",
        right_missing=missing == "right",
    )


def _looked_up(table: JoinTable) -> list[tuple[int, Any]]:
    """Return the places in the result, and the types in the table's side, of what is looked up."""
    places = enumerate(table.sources)
    return [(i, table.build.dtypes[other]) for i, (_, other) in places if other is not None]


def _unmatched(sides: KeyedSides, schema: KeySchema, keys: KeyTable, presence: Presence) -> int:
    """Count the rows that look up and find none."""
    frame, on = (
        (sides.left, sides.keys.left.on) if keys.build_side == "right" else (sides.right, sides.keys.right.on)
    )
    if keys.span == keys.rows:
        # Where each place is filled the smallest and the largest key tell of all others.
        ends = footer_ranges(frame, on).get(on[0])
        if ends is not None and not ends.nulls:
            series = pd.Series([ends.least, ends.most]).astype(frame._meta[on[0]].dtype)
            if presence.of(encode_keys([series], schema)[0]).all():
                return 0
    return count_unmatched(frame, on, schema, presence)


def _estimate(
    sides: KeyedSides,
    asked: KeyArguments,
    rows: tuple[Counts, Counts],
    width: Width,
    unmatched_rows: int | None = None,
) -> MergeEstimate:
    left, right = (int(np.sum(counted)) for counted in rows)
    unmatched = [
        Estimate(lower=0, expected=0, upper=number, method="footer", exact=False) for number in (left, right)
    ]
    if unmatched_rows is not None:
        unmatched[asked.how == "right"] = Estimate.computed(unmatched_rows)
    kept = left if asked.how == "left" else right
    return MergeEstimate(
        how=asked.how,
        on=sides.keys.left.names,
        rows=Estimate.computed(kept, method="footer"),
        row_nbytes=width.expected,
        row_width=width,
        left_rows=left,
        right_rows=right,
        left_unmatched_rows=unmatched[0],
        right_unmatched_rows=unmatched[1],
        heaviest=(),
    )
