"""Frames that have all rows of a key in one partition already, because a recipe brought them there.

Covers: results of a shuffle, of a merge, and of a sort that keeps keys whole; each with columns chosen, or worked out row by row,
since.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dask.dataframe as dd

from safeframe.engine.merge.nodes import SafeMerge
from safeframe.engine.sort.nodes import SafeSort, SortRequest
from safeframe.facts.estimate import Estimate
from safeframe.facts.frame import ColumnProfile, FrameProfile
from safeframe.facts.keys import Counts
from safeframe.facts.merge import MergeFacts
from safeframe.facts.plan import Plan
from safeframe.kernels.merge.output import OutputColumn
from safeframe.prepare.groupby.keys import GroupKeys
from safeframe.prepare.lag.source import before_steps, bounded_partition_rows, shuffled_by
from safeframe.sizing.columns.fixed_widths import fixed_nbytes
from safeframe.sizing.frames import profile_frame


@dataclass(frozen=True, kw_only=True, slots=True)
class Together:
    """What is known of a frame whose groups are whole, without a look at its keys."""

    plan: Plan
    """The plan of the recipe that brings rows of a key together."""
    profile: FrameProfile
    """Columns of the frame."""
    groups: Estimate
    """Number of groups."""

    @property
    def partition_rows(self) -> Counts:
        """Rows of its partitions, as the plan bounds them."""
        return bounded_partition_rows(self.plan)


def rows_together(frame: dd.DataFrame, keys: GroupKeys, *, dropna: bool) -> Together | None:
    """Return what is known of a frame that has the rows of each key in one partition; None where it is not known to."""
    shuffle = shuffled_by(frame, keys.by)
    if shuffle is not None:
        return Together(
            plan=shuffle.plan,
            profile=profile_frame(shuffle.frame),
            groups=_at_most(int(shuffle.plan.output_rows)),
        )
    expression, made = before_steps(keys.given.expr)
    named = tuple(name for name in keys.by if name not in made and name in keys.columns)
    if isinstance(expression, SafeMerge) and expression.keys_stay_whole(list(named)):
        return _of_merge(frame, expression, only_its_keys=len(keys.by) == len(expression._spec.left.on))
    if isinstance(expression, SafeSort) and dropna:
        request: SortRequest = expression.request
        if keys.of_index is not None and request.index is not None:
            named = (*named, request.index)
        if _keeps_whole(expression, named):
            source: FrameProfile = expression.facts.profile
            columns = {one.name: one for one in source.columns}
            if str(request.index) in columns:
                columns[str(keys.of_index)] = columns[str(request.index)]
            return _of_columns(frame, expression.plan, columns)
    return None


def _keeps_whole(sort: SafeSort, by: Sequence[Any]) -> bool:
    request: SortRequest = sort.request
    return request.cuts is None and not sort.facts.split_keys and set(request.order.by) <= set(by)


def _of_merge(frame: dd.DataFrame, merge: SafeMerge, *, only_its_keys: bool) -> Together | None:
    facts: MergeFacts = merge.facts
    sides = [
        (list(side._meta.columns), {one.name: one for one in known.profile.columns})
        for side, known in ((merge.left, facts.left), (merge.right, facts.right))
    ]
    columns: dict[str, ColumnProfile] = {}
    found: tuple[OutputColumn, ...] = merge._spec.output
    for name, column in zip(merge._meta.columns, found, strict=False):
        of_sides = [
            profiles.get(str(names[place]))
            for place, (names, profiles) in zip((column.left, column.right), sides, strict=True)
            if place is not None
        ]
        known = [one for one in of_sides if one is not None]
        if known:
            columns[str(name)] = max(known, key=lambda one: one.width.bounding)
    together = _of_columns(frame, merge.plan, columns)
    if together is None or not only_its_keys:
        return together
    left, right = (side.keys.distinct.upper + (side.keys.null_rows > 0) for side in (facts.left, facts.right))
    how = merge.run.estimate.how
    most = {"inner": min(left, right), "right": right, "outer": left + right}.get(how, left)
    groups = _at_most(min(most, together.groups.upper))
    return Together(plan=together.plan, profile=together.profile, groups=groups)


def _of_columns(frame: dd.DataFrame, plan: Plan, columns: dict[str, ColumnProfile]) -> Together | None:
    """Put the profile of a frame together from those of its sources; None where a column's width is not known."""
    meta = frame._meta
    found = []
    for name, dtype in meta.dtypes.items():
        fixed, known = fixed_nbytes(dtype), columns.get(str(name))
        if fixed is not None:
            found.append(ColumnProfile(name=str(name), dtype=str(dtype), row_nbytes=fixed, exact=True))
        elif known is not None and known.dtype == str(dtype):
            found.append(known)
        else:
            return None
    rows = plan.output_rows
    profile = FrameProfile(
        columns=tuple(found),
        index_row_nbytes=fixed_nbytes(meta.index.dtype) or 0.0,
        partitions=plan.output_partitions,
        rows=rows,
        largest_partition_rows=Estimate.computed(int(bounded_partition_rows(plan).max(initial=0))),
    )
    return Together(plan=plan, profile=profile, groups=_at_most(rows.upper))


def _at_most(groups: int) -> Estimate:
    return Estimate(lower=0, expected=groups, upper=groups, method="computed", exact=False)
