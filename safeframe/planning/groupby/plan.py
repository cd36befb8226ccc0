"""Plans a group-by: where the rows of a group meet, and whether as rows or as partial states.

1. ``whole``: rows of a key are in one partition already; no row moves.
2. ``tree``: partial states of all groups fit one partition; they are joined some at a time.
3. ``staged``: rows, or partial states where these are fewer bytes, pass through a place that all workers reach.
4. ``ordered``: rows pass through that place in the order of keys and values, in parts that may cut a group.
5. ``p2p``: there is no such place; dask's P2P moves the rows.

With partial states a group may have any number of rows. Where a function needs its group whole, the
group's rows are in memory at once, and the plan does not fit when a worker cannot hold them; medians, quantiles
and distinct values are found by row number then.
"""

from __future__ import annotations

import math
from dataclasses import replace

from safeframe import options
from safeframe.facts.groupby import (
    GroupFacts,
    GroupRun,
    GroupsInPlace,
    GroupTree,
    GroupWay,
    P2PGroups,
    StagedGroups,
)
from safeframe.facts.keys import ShuffleKeys
from safeframe.facts.layout import ShardLayout
from safeframe.facts.plan import Plan, Step
from safeframe.facts.sort import P2PShuffle, ShuffleRun
from safeframe.facts.spread import Spread
from safeframe.planning.counting import counting_step
from safeframe.planning.exchange import (
    again_steps,
    slice_nbytes_of,
    stage_tasks,
    staged_nbytes,
    with_manifests,
)
from safeframe.planning.groupby.ordered import ordered_groups
from safeframe.planning.groupby.steps import (
    Slices,
    group_cell_step,
    group_stage_step,
    rows_of,
    rows_of_states,
    states_step,
    tree_reasons,
)
from safeframe.planning.ladder import climb
from safeframe.planning.memory import default_partition_nbytes, least_partitions
from safeframe.planning.p2p.plan import plan_p2p_shuffle
from safeframe.planning.sort.hash_shards import heaviest_key, largest_shard_rows, shards_for
from safeframe.units import format_count, format_nbytes

_RECIPE = "groupby"


def plan_groupby(facts: GroupFacts) -> Plan:
    """Choose the strategy and the partitions, and say what they cost; a plan that does not fit says so in ``fits``.

    Raises
    ------
    ValidationError
        When the facts name a strategy that does not exist, or that cannot run.
    """
    chosen = climb(
        {
            "whole": lambda: _whole(facts),
            "tree": lambda: _by_tree(facts),
            "staged": lambda: _staged(facts),
            "ordered": lambda: ordered_groups(facts),
            "p2p": lambda: _by_p2p(facts),
        },
        recipe=_RECIPE,
        requested=facts.strategy,
        unfit=_unfit,
        needs=_largest_peak_nbytes,
    )
    return replace(chosen.offer, rejected=chosen.rejected)


def tree_fits(facts: GroupFacts) -> bool:
    """Whether partial states meet in a tree, and that fits, with as many groups as there are at most: with fewer as well."""
    tree = _by_tree(facts)
    return not isinstance(tree, str) and tree.fits


def _unfit(plan: Plan) -> str:
    """Return why a plan does not fit; empty where it does."""
    if plan.fits:
        return ""
    if not plan.over_budget:
        return "there is not the disk for it, or a dask graph does not hold its partitions"
    most = max(plan.budget.task_nbytes, 0)
    return (
        f"a task would need {format_nbytes(_largest_peak_nbytes(plan))}, and it may use {format_nbytes(most)}"
    )


def _largest_peak_nbytes(plan: Plan) -> int:
    return max(step.task_peak_nbytes for step in plan.steps)


def plan_in_order(facts: GroupFacts, ordered: Plan) -> Plan:
    """Plan groups in the order of their keys, of rows that a sort brings into it first.

    Parameters
    ----------
    facts
        Of the frame before it is sorted.
    ordered
        The plan of the sort, which keeps the rows of a key in one partition.
    """
    rows = math.ceil(ordered.largest_partition_nbytes / max(ordered.row_nbytes, 1e-9))
    groups = rows if facts.rows_of_input else min(rows, facts.states.upper)
    n = ordered.output_partitions
    step = group_cell_step(facts, "group partitions", n, rows=rows, groups=groups)
    last = ordered.steps[-1].task_peak_nbytes
    step = replace(
        step,
        task_peak_nbytes=step.task_peak_nbytes + last,
        reason=f"{format_nbytes(last)} for a partition in order, and {step.reason}",
    )
    plan = _plan(
        facts,
        ordered.strategy,
        ("sort=True: rows come into the order of their keys first", *ordered.reasons),
        (*ordered.steps, step),
        GroupsInPlace(),
        output_partitions=n,
        largest=groups,
    )
    return replace(
        plan,
        rejected=ordered.rejected,
        counting=ordered.counting or plan.counting,
        budget=ordered.budget,
        staging_nbytes=ordered.staging_nbytes,
        staging_free_nbytes=ordered.staging_free_nbytes,
        staging_directory=ordered.staging_directory,
    )


def _whole(facts: GroupFacts) -> Plan | str:
    if not facts.together:
        return "rows of a key are not known to be in one partition"
    n = len(facts.partition_rows)
    if facts.npartitions not in (None, n):
        return f"there are {format_count(n)} partitions, and {format_count(facts.npartitions or 0)} are requested"
    rows = int(facts.partition_rows.max(initial=0))
    out = min(rows, facts.states.upper) if not facts.rows_of_input else rows
    at_once = None
    if facts.state_nbytes is not None:
        at_once = rows_of(slice_nbytes_of(max(facts.budget.task_nbytes, 0)), facts.row_nbytes)
    step = group_cell_step(facts, "group partitions", n, rows=rows, groups=out, at_once=at_once)
    return _plan(
        facts,
        "whole",
        (f"{facts.together}: no row moves",),
        (step,),
        GroupsInPlace(slice_rows=at_once),
        output_partitions=n,
        largest=out,
    )


def _by_tree(facts: GroupFacts) -> Plan | str:
    if facts.state_nbytes is None:
        return f"{facts.what} needs groups whole"
    if facts.npartitions not in (None, 1):
        return f"it makes one partition, and {format_count(facts.npartitions or 0)} are requested"
    task_nbytes = max(facts.budget.task_nbytes, 0)
    groups, width = facts.states.upper, max(facts.state_nbytes, facts.result_nbytes)
    states = math.ceil(groups * width)
    target = _target(facts)
    if states > target:
        return (
            f"{format_count(facts.groups.upper)} groups may have {format_nbytes(states)} of partial states, and a partition is to "
            f"have {format_nbytes(target)} at most"
        )
    tasks = stage_tasks(facts.partition_rows, facts.row_nbytes, facts.budget, facts.profile.source)
    if facts.strategy is None and not Slices.of(facts).shrink(facts):
        return f"slices have too few rows of each of {format_count(facts.groups.upper)} groups to leave some of them out"
    n_tasks = math.ceil(len(facts.partition_rows) / tasks.partitions)
    moved = n_tasks * states
    if facts.strategy is None and moved > max(options.TREE_NBYTES, _rows_nbytes(facts)):
        return f"partial states of {format_count(n_tasks)} tasks would be {format_nbytes(moved)}, more than all rows"
    fan_in = max(
        2, min(options.TREE_FAN_IN, int(task_nbytes / (options.GROUP_STATE_COPIES * max(states, 1))))
    )
    joined = max(1, math.ceil((n_tasks - 1) / (fan_in - 1)))
    steps = (
        states_step(facts, tasks, states),
        Step(
            kind="join states",
            tasks=joined,
            task_peak_nbytes=int(options.GROUP_STATE_COPIES * fan_in * states)
            + options.GROUP_ROW_NBYTES * fan_in * groups,
            reason=(
                f"partial states of up to {format_nbytes(states)} from {fan_in} tasks × {options.GROUP_STATE_COPIES:g}, and "
                f"{options.GROUP_ROW_NBYTES} B for each of their groups"
            ),
        ),
    )
    return _plan(
        facts,
        "tree",
        tree_reasons(facts, states),
        steps,
        GroupTree(group=tasks, fan_in=fan_in),
        output_partitions=1,
        largest=groups,
    )


def _staged(facts: GroupFacts) -> Plan | str:
    staging = facts.staging
    if staging.directory is None:
        return staging.unavailable
    if facts.keys is None:
        return "keys were not counted"
    facts.profile.check_writable()
    keys, task_nbytes = facts.keys, max(facts.budget.task_nbytes, 0)
    target = _target(facts)
    if facts.state_nbytes is None:
        return _staged_whole(facts, keys, target)
    slices = Slices.of(facts)
    state_rows = slices.state_rows(keys, facts)
    states_nbytes, rows_nbytes = state_rows * facts.state_nbytes, _rows_nbytes(facts)
    states = states_nbytes <= options.STATES_SHRINK * rows_nbytes and slices.shrink(facts)
    width, moved = (facts.state_nbytes, states_nbytes) if states else (facts.row_nbytes, rows_nbytes)
    piece = slice_nbytes_of(task_nbytes)
    groups_keys = rows_of_states(keys, facts)
    made = max(facts.state_nbytes, facts.result_nbytes)
    n = facts.npartitions or shards_for(groups_keys, max(1, int(target / made)))
    if facts.npartitions is None and facts.partition_nbytes is None:
        wanted = max(
            math.ceil(moved / piece),
            least_partitions(facts.states.upper * made, len(facts.partition_rows), facts.budget),
        )
        n = max(n, min(wanted, max(1, facts.groups.expected // options.LEAST_GROUPS_IN_SHARD)))
    groups = largest_shard_rows(groups_keys, n)
    tasks = stage_tasks(facts.partition_rows, facts.row_nbytes, facts.budget, facts.profile.source, n)
    shard_rows = min(max(1, rows_of(piece, width)), max(int(moved / width), 1))
    way = StagedGroups(
        directory=staging.directory,
        layout=ShardLayout.of_hashes(n),
        group=tasks,
        states=states,
        slice_nbytes=piece,
    )
    what = "partial states" if states else "rows"
    reasons = [
        f"{what} pass through {staging.directory} into {format_count(n)} partitions by the hash of their key",
        f"about {format_nbytes(int(states_nbytes))} of partial states, and {format_nbytes(int(rows_nbytes))} of rows",
    ]
    return _plan(
        facts,
        "staged",
        tuple(reasons),
        (
            group_stage_step(facts, tasks, grouped=states),
            *again_steps("stage coarse shards again", width, tasks),
            with_manifests(
                group_cell_step(facts, "merge groups", n, rows=shard_rows, groups=groups, width=width),
                tasks.size,
            ),
        ),
        way,
        output_partitions=n,
        largest=groups,
        staged=staged_nbytes((math.ceil(moved), tasks.size)),
    )


def _staged_whole(facts: GroupFacts, keys: ShuffleKeys, target: int) -> Plan:
    """Return the plan of groups that are needed whole: each shard has all rows of its keys."""
    width, staging = facts.row_nbytes, facts.staging
    assert staging.directory is not None, "there is a directory"
    n = facts.npartitions or shards_for(keys, max(1, int(target / max(width, 1e-9))))
    if facts.npartitions is None and facts.partition_nbytes is None:
        n = max(n, least_partitions(keys.rows * width, len(facts.partition_rows), facts.budget))
    rows = largest_shard_rows(keys, n)
    groups = rows if facts.rows_of_input else min(rows, largest_shard_rows(rows_of_states(keys, facts), n))
    tasks = stage_tasks(facts.partition_rows, width, facts.budget, facts.profile.source, n)
    reasons = [
        f"{facts.what} needs groups whole: rows pass through {staging.directory} into {format_count(n)} partitions, by key"
    ]
    heaviest = heaviest_key(keys, width, target)
    if heaviest:
        reasons.append(f"{heaviest}: its group is made whole")
    return _plan(
        facts,
        "staged",
        tuple(reasons),
        (
            group_stage_step(facts, tasks, grouped=False),
            *again_steps("stage coarse shards again", width, tasks),
            with_manifests(group_cell_step(facts, "group shards", n, rows=rows, groups=groups), tasks.size),
        ),
        StagedGroups(
            directory=staging.directory,
            layout=ShardLayout.of_hashes(n),
            group=tasks,
            states=False,
            slice_nbytes=None,
        ),
        output_partitions=n,
        largest=groups,
        staged=staged_nbytes((math.ceil(keys.rows * width), tasks.size)),
    )


def _by_p2p(facts: GroupFacts) -> Plan | str:
    if facts.p2p is None:
        return "facts of P2P were not gathered"
    plan = plan_p2p_shuffle(facts.p2p, npartitions=facts.npartitions, partition_nbytes=facts.partition_nbytes)
    assert isinstance(plan.run, ShuffleRun), "P2P shuffles"
    way = plan.run.way
    assert isinstance(way, P2PShuffle), "P2P shuffles"
    rows = math.ceil(plan.largest_partition_nbytes / max(plan.row_nbytes, 1e-9))
    groups = rows if facts.rows_of_input else min(rows, facts.states.upper)
    output = facts.results
    *before, last = plan.steps
    more = options.GROUP_ROW_NBYTES * rows
    last = replace(
        last,
        task_peak_nbytes=last.task_peak_nbytes + more,
        reason=f"{last.reason}, and {options.GROUP_ROW_NBYTES} B for each of {format_count(rows)} rows that are grouped",
    )
    return replace(
        plan,
        recipe=_RECIPE,
        rejected=(),
        steps=(*before, last),
        output_rows=output,
        output_nbytes=facts.result_width.of_all(output),
        output_width=facts.result_width,
        row_nbytes=facts.result_width.bounding,
        largest_partition_nbytes=math.ceil(groups * facts.result_nbytes),
        run=GroupRun(way=P2PGroups(settings=way.settings), input_rows=int(facts.partition_rows.sum())),
    )


def _plan(
    facts: GroupFacts,
    strategy: str,
    reasons: tuple[str, ...],
    steps: tuple[Step, ...],
    way: GroupWay,
    *,
    output_partitions: int,
    largest: int,
    staged: int = 0,
) -> Plan:
    output, width = facts.results, facts.result_width
    return Plan(
        recipe=_RECIPE,
        strategy=strategy,
        reasons=reasons,
        rejected=(),
        steps=steps,
        counting=None if facts.keys is None else counting_step([facts.keys.counting]),
        budget=facts.budget,
        output_rows=output,
        output_nbytes=width.of_all(output),
        output_width=width,
        output_partitions=output_partitions,
        partition_nbytes=_target(facts),
        largest_partition_nbytes=math.ceil(largest * facts.result_nbytes),
        row_nbytes=width.bounding,
        staging_nbytes=staged,
        staging_free_nbytes=facts.staging.free_nbytes if staged else None,
        staging_directory=facts.staging.directory if staged else None,
        run=GroupRun(way=way, input_rows=int(facts.partition_rows.sum()), fewer_rows=facts.fewer_rows),
        partitions_before=(Spread.of("frame", facts.partition_rows * facts.row_nbytes),),
    )


def _target(facts: GroupFacts) -> int:
    wide = max(facts.result_nbytes, facts.state_nbytes or facts.row_nbytes)
    return facts.partition_nbytes or default_partition_nbytes(max(facts.budget.task_nbytes, 0), wide)


def _rows_nbytes(facts: GroupFacts) -> float:
    return float(facts.partition_rows.sum()) * facts.row_nbytes
