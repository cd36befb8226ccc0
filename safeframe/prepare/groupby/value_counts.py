"""Counts of values: groups of the values themselves, and their sizes in order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import dask.dataframe as dd
import numpy as np

from safeframe.engine.sort.nodes import SortRequest
from safeframe.facts.keys import KeyStatistics
from safeframe.facts.plan import Plan
from safeframe.kernels.groupby.value_counts import SIZE, CountsForm
from safeframe.prepare.arguments import PartitionOptions, as_frame, as_names, check_frame, check_keys
from safeframe.prepare.groupby.count_order import profile_of_counts, quantiles_of_counts
from safeframe.prepare.groupby.groups import Groups
from safeframe.prepare.groupby.keys import group_keys
from safeframe.prepare.groupby.plan import PlannedGroups, grouped_collection, plan_groups
from safeframe.prepare.groupby.request import GroupRequest
from safeframe.prepare.sort.order import make_collection, plan_order, row_order


@dataclass(frozen=True, kw_only=True, slots=True)
class CountsRequest:
    """What is counted, and in which form."""

    subset: Any
    """Column, or list of columns; None for all."""
    normalize: bool
    """Whether shares are wanted."""
    ascending: bool | None
    """The order of counts; None for none."""
    dropna: bool
    """Whether rows with a null are left out."""
    statistics: KeyStatistics | None
    """Statistics of these columns that were gathered before."""


def plan_counts(ddf: Any, request: CountsRequest, given: PartitionOptions) -> Plan:
    """Gather the facts and make the plan.

    Raises
    ------
    KeyNotFoundError, SchemaMismatchError, ValidationError
        When the arguments do not name a frame and its columns.
    """
    return _planned(ddf, request, given)[0].plan


def counted(ddf: Any, request: CountsRequest, given: PartitionOptions) -> Any:
    """Return the lazy counts; see :func:`plan_counts`."""
    planned, form = _planned(ddf, request, given)
    if request.ascending is None or planned.plan.output_partitions == 1:
        counts = grouped_collection(planned)
    else:
        counts = _in_order(_with_columns(ddf, request, given, planned), form, given)
    if not request.normalize or form.total is not None:
        return counts
    return (counts / counts.sum()).rename("proportion")


def _with_columns(
    ddf: Any, request: CountsRequest, given: PartitionOptions, planned: PlannedGroups
) -> PlannedGroups:
    """Return the same groups with keys and counts in columns, by the same plan."""
    sizes, _ = _sizes(ddf, request, as_index=False)
    if sizes.keys.by != planned.request.keys.by:
        return plan_groups(sizes, given)  # a column that would have the name of another
    return replace(planned, request=sizes)


def _planned(ddf: Any, request: CountsRequest, given: PartitionOptions) -> tuple[PlannedGroups, CountsForm]:
    sizes, form = _sizes(ddf, request, as_index=True)
    planned = plan_groups(_with_form(sizes, form), given)
    counted = planned.statistics is not None
    if request.normalize and counted and (len(form.names) == 1 or not request.dropna):
        # Shares are of the rows that have a value, which key statistics have told.
        form = replace(form, total=planned.counted_rows)
        planned = replace(planned, request=_with_form(sizes, form))
    return planned, form


def _sizes(ddf: Any, request: CountsRequest, *, as_index: bool) -> tuple[GroupRequest, CountsForm]:
    """Return the sizes of groups of the values, and what becomes of them."""
    series = isinstance(ddf, dd.Series)
    frame = as_frame(ddf, "ddf") if series else check_frame(ddf, "ddf")
    subset = list(frame.columns) if request.subset is None else request.subset
    names = as_names(subset)
    check_keys(frame, names)
    keys = names
    if SIZE in names and not as_index:  # where the counts stand next to it
        keys = tuple(f"{SIZE} of {number}" if name == SIZE else name for number, name in enumerate(names))
        frame = frame[list(names)].rename(columns=dict(zip(names, keys, strict=True)))
    groups = Groups(
        keys=group_keys(frame, list(keys) if len(keys) > 1 else keys[0]),
        dropna=request.dropna,
        observed=False,  # as in pandas, categories that do not occur are counted, too
        sort=None,
        as_index=as_index,
        group_keys=True,
    )
    sizes = groups.reduced("size", {}).with_statistics(request.statistics)
    listed = isinstance(subset, list) and not series
    # Counts of a series are of its own kind of integers, those of rows are numpy's.
    dtype = frame._meta[keys[0]].value_counts().dtype if series else np.dtype(np.int64)
    form = CountsForm(names=names, total=None, listed=listed, ascending=request.ascending, dtype=dtype)
    return sizes, form


def _with_form(sizes: GroupRequest, form: CountsForm) -> GroupRequest:
    return replace(sizes, meta=form(sizes.meta), call=replace(sizes.call, finish=form))


def _in_order(planned: PlannedGroups, form: CountsForm, given: PartitionOptions) -> Any:
    """Return counts of several partitions, in the order of all of them."""
    assert form.ascending is not None, "an order is wanted"
    frame = grouped_collection(planned)
    order = row_order(frame, [SIZE], ascending=[form.ascending], na_last=True)
    by_count = SortRequest(order=order, index=None, drop=False, with_index=False)
    moved = replace(given, strategy=None)
    keys, profile = planned.statistics, planned.profile
    known: dict[str, Any] = {}
    if (
        keys is not None and profile is not None
    ):  # they are not where rows were together, and nothing was counted
        known["quantiles"] = quantiles_of_counts(keys, planned.plan, order)
        known["profile"] = profile_of_counts(frame._meta, profile, planned.plan)
    ordered = make_collection(
        plan_order(frame, by_count, moved, recipe="value_counts", split_keys=True, **known)
    )
    return ordered.map_partitions(form.of_frame, meta=form.of_frame(ordered._meta))
