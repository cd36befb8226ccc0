"""A merge that needs to know less: where the smaller side has each key once, and the other side's rows all stay.

Covers: deciding so from parquet footers, types and the smaller side's keys.
Does not cover: any other merge (``join_sizes``).
"""

from __future__ import annotations

from collections.abc import Callable

import dask.dataframe as dd
import numpy as np

from safeframe.facts.budget import Budget
from safeframe.facts.estimate import Estimate
from safeframe.facts.key_table import KeyTable
from safeframe.facts.keys import Counts, KeyStatistics
from safeframe.facts.merge import MergeEstimate
from safeframe.facts.merge_facts import SideFacts, StagingFacts
from safeframe.facts.plan import Plan
from safeframe.facts.width import Width
from safeframe.kernels.join_spec import join_spec
from safeframe.kernels.join_table import JoinTable, refused
from safeframe.planning.merge_table import TableFacts, can_be_mapped, plan_table_merge
from safeframe.recipes.join_sizes import JoinSizes, side_schema
from safeframe.recipes.merge_keys import KeyArguments, KeyedSides, keyed_sides
from safeframe.recipes.row_width import result_row_width
from safeframe.sizing.cluster import on_one_host
from safeframe.sizing.frames import profile_frame
from safeframe.sizing.key_table import look_at_keys
from safeframe.sizing.parquet_slices import footer_rows
from safeframe.sizing.staging_url import is_remote

__all__ = ["table_merge"]

_MIN_ROWS = 2**22
"""Rows of the side whose keys are not counted, at least: counting fewer takes less than a second."""


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
    pass over the key column of the smaller side.
    """
    if asked.how not in ("left", "right") or staging.directory is None or is_remote(staging.directory):
        return None
    build_side = "right" if asked.how == "left" else "left"
    left_rows, right_rows = footer_rows(left), footer_rows(right)
    if left_rows is None or right_rows is None or not on_one_host():
        return None
    rows = left_rows, right_rows
    probe_rows, build_rows = rows if build_side == "right" else rows[::-1]
    if probe_rows.sum() < max(_MIN_ROWS, build_rows.sum()):
        return None
    sides = keyed_sides(left, right, asked)
    schema = side_schema(sides)
    spec = join_spec(
        sides.left._meta,
        sides.right._meta,
        sides.keys,
        how=asked.how,
        suffixes=asked.suffixes,
        indicator=asked.indicator,
        schema=schema,
        left_missing=build_side == "left",
        right_missing=build_side == "right",
    )
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
    keys = look_at_keys(frame, on, schema, rows=least.rows, build_side=build_side)
    if isinstance(keys, str) or not can_be_mapped(facts, keys):
        return None
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


def _estimate(
    sides: KeyedSides, asked: KeyArguments, rows: tuple[Counts, Counts], width: Width
) -> MergeEstimate:
    left, right = (int(np.sum(counted)) for counted in rows)
    unmatched = [
        Estimate(lower=0, expected=0, upper=number, method="footer", exact=False) for number in (left, right)
    ]
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
