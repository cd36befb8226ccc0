"""What a bag's group-by does before it plans: arguments, sizes of some partitions, facts.

Covers: dask's arguments, what a bag and its key have to be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dask.bag as db

from safeframe.choices import check_count, check_flags
from safeframe.engine.planned.layer import partition_tasks
from safeframe.errors import SchemaMismatchError, ValidationError
from safeframe.facts.bag import BagFacts, BagRun
from safeframe.facts.plan import Plan
from safeframe.planning.bag import plan_bag_groupby
from safeframe.prepare.arguments import given_budget
from safeframe.prepare.dask_arguments import exchange_strategy, no_effect
from safeframe.sizing.bag import sample_bag
from safeframe.sizing.cluster import set_up_workers, staging_facts
from safeframe.sizing.partitions.tasks import PartitionTask


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedGroups:
    """How a bag is grouped."""

    plan: Plan
    own: list[PartitionTask] | None
    """The tasks that make the bag's partitions, where these need no other."""

    @property
    def run(self) -> BagRun:
        """What the plan says of the graph."""
        run = self.plan.run
        assert isinstance(run, BagRun), "made by the planner of bags"
        return run


def given_key(key: Any, grouper: Any, method: Any, shuffle: Any, **numbers: Any) -> Any:
    """Return the function that gives an item's key, whichever argument it was passed by.

    Raises
    ------
    ValidationError
        When there is none or two, or another argument of dask's is none of its values.
    """
    no_effect(**numbers)
    for name, value in {"method": method, "shuffle": shuffle}.items():
        exchange_strategy("bag_groupby", value, None, argument=name, with_p2p=False)
    if (key is None) == (grouper is None):
        msg = f"{'No key is' if key is None else 'key= and grouper= both are'} given."
        raise ValidationError(msg, hint="Pass a function of one item, such as operator.itemgetter('name').")
    return grouper if key is None else key


def plan_groups(
    bag: Any,
    key: Any,
    npartitions: Any,
    split_large_groups: bool,
    memory: str | int | None,
    staging: str | None,
) -> PlannedGroups:
    """Measure a few partitions of a bag, and plan its group-by.

    Raises
    ------
    SchemaMismatchError
        When it is not a bag.
    ValidationError
        When an argument makes no sense, or there is no place that all workers reach.
    """
    if not isinstance(bag, db.Bag):
        msg = f"bag is a {type(bag).__name__}; a dask bag is expected."
        raise SchemaMismatchError(msg, hint="Make one with dask.bag.from_sequence or read_text.")
    check_flags(split_large_groups=split_large_groups)
    if not callable(key):
        msg = f"key={key!r} is not callable."
        raise ValidationError(msg, hint="Pass a function of one item, such as operator.itemgetter('name').")
    check_count(npartitions, argument="npartitions", what="a number of partitions")
    set_up_workers()
    budget = given_budget(memory)
    where = staging_facts(staging)
    own = partition_tasks(bag)
    plan = plan_bag_groupby(
        BagFacts(
            sizes=sample_bag(bag),
            budget=budget,
            staging=where,
            npartitions=None if npartitions is None else int(npartitions),
            self_made=own is not None,
            split_large_groups=split_large_groups,
        )
    )
    return PlannedGroups(plan=plan, own=own)
