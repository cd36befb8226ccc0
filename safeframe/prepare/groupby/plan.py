"""From groups and what is done with them to a plan, and its collection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import dask.dataframe as dd
import pandas as pd
from dask.dataframe.api import new_collection

from safeframe import config, options
from safeframe.engine.exchange.runs import check_staging
from safeframe.engine.groupby.nodes import SafeGroupBy
from safeframe.engine.groupby.ordered_nodes import OrderedInput
from safeframe.engine.planned.sources import source_files
from safeframe.engine.sort.nodes import SortRequest
from safeframe.errors import ValidationError
from safeframe.facts.budget import Budget
from safeframe.facts.estimate import Estimate, Width, added
from safeframe.facts.frame import FrameProfile
from safeframe.facts.groupby import GroupFacts, GroupRun, OrderedGroups, StagedGroups
from safeframe.facts.keys import Counts, KeySchema, KeyStatistics, ShuffleKeys
from safeframe.facts.plan import Plan
from safeframe.facts.sort import SortRun
from safeframe.facts.strategies import GROUP_STRATEGIES, SORT_STRATEGIES
from safeframe.kernels.groupby.largest_states import ExtremeStates
from safeframe.kernels.groupby.states import GroupStates, decomposable
from safeframe.planning.groupby.plan import plan_groupby, plan_in_order, tree_fits
from safeframe.planning.ladder import check_strategy
from safeframe.prepare.arguments import PartitionOptions, given_budget, may_take_p2p
from safeframe.prepare.groupby.ordered import ValueOrder, ordered_input, value_order
from safeframe.prepare.groupby.request import GroupRequest, may_be_null
from safeframe.prepare.groupby.together import Together, rows_together
from safeframe.prepare.keys import count_keys, key_schema
from safeframe.prepare.sort.divisions import key_ends, known_divisions
from safeframe.prepare.sort.order import make_collection, plan_order, row_order
from safeframe.sizing.cluster import set_up_workers, staging_facts
from safeframe.sizing.columns.fixed_widths import fixed_nbytes
from safeframe.sizing.frames import profile_frame
from safeframe.sizing.keys.at_most import bound_keys
from safeframe.sizing.p2p import p2p_facts

_RECIPE = "groupby"


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedGroups:
    """A plan and what its expression is made of."""

    frame: dd.DataFrame
    """The input, with the columns that are needed."""
    request: GroupRequest
    """What is done with groups."""
    states: GroupStates | ExtremeStates | None
    """Partial states; None where groups are needed whole."""
    schema: KeySchema
    """How keys become codes."""
    plan: Plan
    """The plan."""
    divisions: tuple[Any, ...] | None = None
    """Divisions of the result; None where they are not known."""
    counted_rows: int = 0
    """Rows that are in a group."""
    statistics: KeyStatistics | None = None
    """What was counted of the keys; None where nothing was."""
    profile: FrameProfile | None = None
    """The columns that are needed; None where keys were not counted."""
    ordered: OrderedInput | None = None
    """How rows come into the order of keys and values; None where they do not."""


def plan_groups(request: GroupRequest, given: PartitionOptions) -> PlannedGroups:
    """Gather the facts and make the plan.

    Raises
    ------
    ValidationError
        When the requested strategy does not exist, or cannot run.
    """
    check_strategy(given.strategy, GROUP_STRATEGIES, recipe=_RECIPE)
    given.checked()
    keys = request.keys
    frame = keys.frame
    if request.call.calls_for_groups(frame._meta):
        # Groups without rows are a matter of all keys that there are, so they meet in one partition.
        given = replace(given, npartitions=1, partition_size=None)
    if request.first_rows_order:
        if given.npartitions not in (None, 1):
            msg = f"sort=False makes one partition, and {given.npartitions} are requested."
            raise ValidationError(msg, hint="Leave sort= out, or sort by the keys with sort=True.")
        # Which group comes first, one partition's rows tell.
        given = replace(given, npartitions=1, partition_size=None)
    if request.needed is not None:
        wanted = {*keys.by, *request.needed}
        frame = frame[[name for name in frame.columns if name in wanted]]
    states = _states(frame, request)
    schema = key_schema(frame, keys.by)
    staging = staging_facts(given.staging)
    set_up_workers()
    budget = given_budget(given.memory)
    sources = source_files(frame)
    facts = _Facts(frame=frame, request=request, states=states, given=given, budget=budget)
    dropna, sort = bool(request.call.options["dropna"]), bool(request.call.options["sort"])
    # Partitions that are in order one by one are not in order together: sort=True moves rows, if there are several.
    stays = given.npartitions in (None, frame.npartitions) and not (sort and frame.npartitions > 1)
    stays = stays and not request.call.calls_for_groups(frame._meta)
    if given.strategy == "whole" or (given.strategy is None and stays):
        together = rows_together(frame, keys, dropna=dropna or request.call.keeps_rows)
        if together is not None:
            if sort and frame.npartitions > 1:
                msg = f"strategy='whole' leaves rows where they are, in {frame.npartitions} partitions, and sort=True moves them."
                raise ValidationError(msg, hint="Leave strategy= or sort= out.")
            plan = plan_groupby(facts.of_whole_groups(together, staging))
            within = given.partition_size is None or plan.largest_partition_nbytes <= plan.partition_nbytes
            if given.strategy == "whole" or (plan.fits and within):
                request = request.with_null_keys(may_be=_may_have_null_keys(frame, keys.by))
                return PlannedGroups(frame=frame, request=request, states=states, schema=schema, plan=plan)
    # Divisions are those of keys that are there, which a bound does not tell.
    if request.statistics is None and not (sort and request.indexed_by_key):
        made = facts.of_bounded_keys(staging, dropna=dropna)
        if made is not None and given.strategy in (None, "tree") and tree_fits(made):
            plan = replace(plan_groupby(made), sources=sources)
            return PlannedGroups(frame=frame, request=request, states=states, schema=schema, plan=plan)
    found = count_keys(frame, keys.by, schema, request.statistics, budget)
    nulls = bool(found.null_rows) if len(keys.by) == 1 else _may_have_null_keys(frame, keys.by)
    request = request.with_null_keys(may_be=nulls)
    by_p2p = may_take_p2p(given.strategy, staging)
    p2p = p2p_facts(frame, budget=budget, keys=found) if by_p2p else None
    made = facts.of_keys(found, staging, dropna=dropna)
    made = replace(made, p2p=p2p)
    order: ValueOrder | str = ""
    if given.strategy == "ordered":
        order = value_order(frame, request.call, request.meta, given, budget)
    else:
        plan = plan_groupby(made)
        if given.strategy is None and states is None and not plan.fits:
            order = value_order(frame, request.call, request.meta, given, budget)
    if order:
        plan = plan_groupby(replace(made, ordered=order if isinstance(order, str) else order.facts))
    plan = replace(plan, sources=sources)
    if isinstance(order, ValueOrder) and plan.strategy == "ordered":
        ordered = ordered_input(order, plan)
        return PlannedGroups(
            frame=order.frame, request=request, states=None, schema=schema, plan=plan, ordered=ordered
        )
    if sort and plan.strategy != "tree" and plan.output_partitions > 1:
        return _in_order(frame, request, given, made, schema)
    assert made.keys is not None, "keys were counted"
    divisions = None
    if sort and request.indexed_by_key and (dropna or not found.null_rows):
        divisions = key_ends(found, row_order(frame, keys.by, ascending=[True], na_last=True))
    return PlannedGroups(
        frame=frame,
        request=request,
        states=states,
        schema=schema,
        plan=plan,
        counted_rows=made.keys.rows,
        divisions=divisions,
        statistics=found,
        profile=made.profile,
    )


def _may_have_null_keys(frame: dd.DataFrame, by: Sequence[Any]) -> bool:
    """Whether there may be rows without a key, by the types of keys: of several columns, which have a null was not counted."""
    return any(may_be_null(frame._meta[name].dtype) for name in by)


def _in_order(
    frame: dd.DataFrame, request: GroupRequest, given: PartitionOptions, facts: GroupFacts, schema: KeySchema
) -> PlannedGroups:
    """Plan groups in the order of their keys: rows are sorted, those of a key into one partition, and grouped there."""
    by = request.keys.by
    order = row_order(frame, by, ascending=[True] * len(by), na_last=True)
    sort = SortRequest(order=order, index=None, drop=False, with_index=request.with_index)
    strategy = given.strategy if given.strategy in SORT_STRATEGIES else None
    ordered = plan_order(frame, sort, replace(given, strategy=strategy), recipe=_RECIPE)
    plan = plan_in_order(facts, ordered.plan)
    divisions = None
    if request.indexed_by_key:
        assert isinstance(ordered.plan.run, SortRun), "a sort is planned"
        by_key = replace(sort, index=by[0], drop=True)
        divisions = known_divisions(frame.divisions, by_key, ordered.facts.quantiles, ordered.plan.run.way)
    return PlannedGroups(
        frame=make_collection(ordered),
        request=request,
        states=None,
        schema=schema,
        plan=replace(plan, sources=ordered.plan.sources),
        divisions=divisions,
    )


def grouped_collection(planned: PlannedGroups) -> Any:
    """Return the lazy result of a plan.

    Raises
    ------
    StagingError
        When the staging directory cannot be used.
    """
    plan, request = planned.plan, planned.request
    assert isinstance(plan.run, GroupRun), "groups are planned"
    way = plan.run.way
    if isinstance(way, StagedGroups):
        check_staging(way.directory)
    if isinstance(way, OrderedGroups):
        check_staging(way.sort.directory)
    expression = SafeGroupBy(
        planned.frame,
        plan,
        request.call,
        planned.states,
        planned.schema,
        request.with_index,
        request.meta,
        request.states_meta,
        planned.divisions,
        planned.ordered,
    )
    return new_collection(expression)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Facts:
    """What all facts of one call have in common."""

    frame: dd.DataFrame
    request: GroupRequest
    states: GroupStates | ExtremeStates | None
    given: PartitionOptions
    budget: Budget

    def of_whole_groups(self, together: Together, staging: Any) -> GroupFacts:
        """Gather the facts of a frame whose groups are whole within partitions, without a look at the keys."""
        plan = together.plan
        facts = self._facts(together.profile, together.partition_rows, together.groups, staging)
        held = replace(self.budget, transport_nbytes=plan.budget.transport_nbytes)
        return replace(
            facts, budget=held, together=f"{plan.recipe} brings the rows of a key into one partition"
        )

    def of_bounded_keys(self, staging: Any, *, dropna: bool) -> GroupFacts | None:
        """Gather the facts of a frame whose files tell how many keys there are at most; None where they do not."""
        if self.states is None:
            return None
        keys = bound_keys(self.frame, self.request.keys.by, dropna=dropna)
        if keys is None:
            return None
        profile = profile_frame(self.frame, keys.rows)
        if keys.fewer and not all(column.width.expected for column in profile.columns):
            return None  # filters left none of the rows that were looked at
        groups = Estimate(lower=0, expected=keys.keys, upper=keys.keys, method="footer", exact=False)
        if self.request.call.calls_for_groups(self.frame._meta):
            groups = _with_all_categories(self.frame, self.request, groups)
        made = self._facts(profile, keys.rows, groups, staging)
        return replace(made, bounded=True, fewer_rows=keys.fewer)

    def of_keys(self, keys: KeyStatistics, staging: Any, *, dropna: bool) -> GroupFacts:
        """Gather the facts of a frame whose keys were counted."""
        profile = profile_frame(self.frame, keys.partitions.rows)
        nulls = int(keys.null_rows > 0 and not dropna)
        found = keys.distinct
        # Of several columns a null is a value among others, and which keys have one was not counted.
        dtypes = self.frame._meta[list(keys.on)].dtypes
        unknown = dropna and len(keys.on) > 1 and any(map(may_be_null, dtypes))
        groups = Estimate(
            lower=0 if unknown else found.lower + nulls,
            expected=found.expected + nulls,
            upper=found.upper + nulls,
            method=found.method,
            exact=found.exact and not unknown,
        )
        if self.request.call.calls_for_groups(self.frame._meta):
            groups = _with_all_categories(self.frame, self.request, groups)
        shuffled = ShuffleKeys.of(keys)
        if dropna:
            kept = shuffled.rows - (0 if self.request.call.keeps_rows else shuffled.null_rows)
            shuffled = replace(shuffled, rows=kept, null_rows=0)
        return replace(self._facts(profile, keys.partitions.rows, groups, staging), keys=shuffled)

    def _facts(self, profile: FrameProfile, rows: Counts, groups: Estimate, staging: Any) -> GroupFacts:
        request = self.request
        width = profile.width + profile.kept_index_width if request.with_index else profile.width
        widths = {column.name: column.width for column in profile.columns}
        result = _result_width(request, widths)
        states = self.states
        return GroupFacts(
            what=request.call.said,
            keys=None,
            groups=groups,
            partition_rows=rows,
            profile=profile,
            row_nbytes=width.bounding,
            state_nbytes=None if states is None else _state_nbytes(states, widths, width),
            result_width=result,
            rows_of_group=request.rows_of_group,
            rows_of_state=states.extremes.n if isinstance(states, ExtremeStates) else 1,
            rows_of_input=request.rows_of_input,
            keeps_rows=request.call.keeps_rows,
            together="",
            budget=self.budget,
            staging=staging,
            partition_nbytes=config.partition_nbytes(self.given.partition_size),
            npartitions=self.given.npartitions,
            strategy=self.given.strategy,
            p2p=None,
        )


def _states(frame: dd.DataFrame, request: GroupRequest) -> GroupStates | ExtremeStates | None:
    if request.extremes is not None and not request.call.calls_for_groups(frame._meta):
        (value,) = request.needed or ()
        dropna = bool(request.call.options["dropna"])
        return ExtremeStates.of(frame._meta, request.keys.by, value, request.extremes, dropna=dropna)
    if request.aggregations is None or not decomposable(frame._meta, request.aggregations):
        return None
    call = request.call
    categorical = [isinstance(frame._meta[name].dtype, pd.CategoricalDtype) for name in request.keys.by]
    if request.call.calls_for_groups(frame._meta) and not (all(categorical) and call.options["dropna"]):
        return None  # which keys there are, pandas tells by all rows
    return GroupStates.of(
        frame._meta,
        request.keys.by,
        request.aggregations,
        dropna=bool(call.options["dropna"]),
        observed=bool(call.options["observed"]),
        sort=bool(call.options["sort"]),
    )


def _with_all_categories(frame: dd.DataFrame, request: GroupRequest, groups: Estimate) -> Estimate:
    """Return the number of groups where each combination of categories has one, with what other keys there are at most."""
    dtypes = [frame._meta[name].dtype for name in request.keys.by]
    null = 0 if request.call.options["dropna"] else 1
    n = math.prod(
        len(dtype.categories) + null if isinstance(dtype, pd.CategoricalDtype) else max(groups.upper, 1)
        for dtype in dtypes
    )
    most = max(n, groups.upper)
    return Estimate(lower=groups.lower, expected=most, upper=most, method=groups.method, exact=False)


def _result_width(request: GroupRequest, widths: dict[str, Width]) -> Width:
    """Return the bytes of one row of the result: of strings, those of the column that they come from."""
    meta = request.meta
    frame = meta.to_frame() if isinstance(meta, pd.Series) else meta
    sources = {one.label: one.column for one in request.aggregations or ()}
    found = [
        _width(frame.iloc[:, at].dtype, sources.get(label, label), widths)
        for at, label in enumerate(frame.columns)
    ]
    index = frame.index
    if isinstance(index, pd.MultiIndex) or index.name is not None or not isinstance(index, pd.RangeIndex):
        by = dict(zip(request.keys.names, request.keys.by, strict=True))
        for level in range(index.nlevels):
            values = index.get_level_values(level)
            found.append(_width(values.dtype, by.get(values.name, values.name), widths))
    return added(found) if found else Width.fixed(0)


def _width(dtype: Any, column: Any, widths: dict[str, Width]) -> Width:
    fixed = fixed_nbytes(dtype)
    if fixed is not None:
        return Width.fixed(fixed)
    return widths.get(str(column)) or Width.guessed(options.VARIABLE_NBYTES)


def _state_nbytes(states: GroupStates | ExtremeStates, widths: dict[str, Width], width: Width) -> float:
    """Return the bytes of one row of states."""
    if isinstance(states, ExtremeStates):
        # It is a row of the input. A key whose own values are looked at is kept as such, too.
        return width.bounding * (2 if states.value in states.by else 1)
    widest = max(
        (width.bounding for width in widths.values() if not width.exact), default=options.VARIABLE_NBYTES
    )
    total = 0.0
    for name, dtype in states.meta.dtypes.items():
        fixed = fixed_nbytes(dtype)
        known = widths.get(str(name))
        total += fixed if fixed is not None else widest if known is None else known.bounding
    return total
