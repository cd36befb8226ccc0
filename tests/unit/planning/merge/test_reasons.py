"""Each reason of a merge's plan is the one: every other strategy was beaten, not requested, or cannot run, as it says."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from safeframe.errors import ValidationError
from safeframe.facts.strategies import MERGE_STRATEGIES, ORDERED_STRATEGIES
from safeframe.planning.costs import is_tie
from safeframe.planning.merge.plan import plan_merge
from tests.unit.planning.merge import test_table
from tests.unit.planning.merge.test_plan import MIXED, ORDERED, OTHER
from tests.unit.planning.merge.test_plan import facts as small_facts
from tests.unit.planning.merge.test_plan_snapshots import NOWHERE, SITUATIONS

LADDER = ("table", *MERGE_STRATEGIES)
FIGURES = ("takes", "above", "can make", "are requested")
"""What a reason of size says; a strategy that is requested may run in spite of it."""
BEATEN = re.compile(r"(\S+) (comes first and fits$|comes first and costs about the same$|is cheaper: )")

PLANNED = {
    **SITUATIONS,
    "table": test_table.merge_facts(test_table.facts()),
    "key order, both sides": small_facts(ORDERED, OTHER, ordered=True),
    "key order, one side": small_facts(ORDERED, MIXED, "outer", ordered=True),
    "key order, neither side": small_facts(MIXED, MIXED, "left", ordered=True),
    "table known, keys counted": replace(
        small_facts(ORDERED, OTHER, "left"), table="the right side has 4 keys in 5 rows"
    ),
}
GIVEN = [
    {},
    {"may_broadcast": False},
    {"npartitions": 3},
    {"staging": NOWHERE},
    *({"strategy": name} for name in MERGE_STRATEGIES),
]


CASES = [
    (name, given)
    for name, facts in PLANNED.items()
    for given in GIVEN
    # Otherwise no table is looked for, and keys are counted.
    if isinstance(facts.table, str) or given in ({}, {"strategy": "broadcast"})
]


@pytest.mark.parametrize(("name", "given"), CASES, ids=str)
def test_each_reason_is_the_one(name, given):
    facts = replace(PLANNED[name], **given)
    try:
        plan = plan_merge(facts)
    except ValidationError:
        return
    ladder = ORDERED_STRATEGIES if facts.ordered else LADDER
    taken = "table" if plan.run.table is not None else plan.strategy
    rejected = [candidate.strategy for candidate in plan.rejected]
    assert rejected == [name for name in ladder if name not in (taken, plan.strategy)]
    least = min(
        [
            plan.cost.seconds,
            *(one.cost.seconds for one in plan.rejected if BEATEN.match(one.reason) and one.cost),
        ]
    )
    for one in plan.rejected:
        assert_true(one.strategy, one.reason, one.cost, taken, least, facts, ladder)


def assert_true(name, reason, cost, taken, least, facts, ladder):
    beaten = BEATEN.match(reason)
    if beaten:
        assert beaten[1] == taken
        if "comes first" in reason:
            assert ladder.index(name) > ladder.index(taken)
        if "comes first and fits" in reason:
            assert taken == "table", "other strategies are weighed"
        else:
            assert is_tie(cost.seconds, least) == ("about the same" in reason)
    elif reason.endswith("was requested"):
        assert reason == f"strategy={facts.strategy!r} was requested"
        assert facts.strategy not in (None, name)
        assert (name, facts.strategy) != ("table", "broadcast")
    elif name == "table":
        assert reason == facts.table
    elif reason == "broadcast=False was given":
        assert name == "broadcast"
        assert not facts.may_broadcast
    elif any(figure in reason for figure in FIGURES):
        assert facts.strategy is None, "what is requested may be larger"
    else:
        # It cannot run, and says the same where it is requested.
        with pytest.raises(ValidationError, match=re.escape(reason)):
            plan_merge(replace(facts, strategy=name))
