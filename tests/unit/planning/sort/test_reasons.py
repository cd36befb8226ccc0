"""Every reason of a plan of a sort, of a shuffle or of lag features is the one that decided, over many plans."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from safeframe.errors import UnsupportedError, ValidationError
from safeframe.facts.estimate import Width
from safeframe.facts.sort import ShuffleFacts, UnsortedRun
from safeframe.facts.strategies import LAG_STRATEGIES, SHUFFLE_STRATEGIES, SORT_STRATEGIES
from safeframe.planning.lag.plan import plan_lag, whole_refused
from safeframe.planning.sort.plan import plan_sort, plan_unsorted
from safeframe.planning.sort.shuffle import plan_shuffle
from tests.unit.planning.lag.test_plan import OUT_OF_ORDER, edges, lag_facts
from tests.unit.planning.p2p.test_plan import facts_of as p2p_facts
from tests.unit.planning.sort.test_plan import MIB, NOWHERE, SHARED, budget, facts, shared_keys

NO_P2P = replace(p2p_facts(), unavailable="there is no distributed client")


def check(plan, names, requested, refusals):
    """Compare each reason with what refuses the strategy on its own."""
    assert [one.strategy for one in plan.rejected] == [name for name in names if name != plan.strategy]
    assert all(isinstance(one.reason, str) and one.reason for one in plan.rejected)
    for one in plan.rejected:
        if requested is not None:
            assert one.reason == f"strategy={requested!r} was requested"
        elif names.index(one.strategy) < names.index(plan.strategy):
            assert refusals(one.strategy) == one.reason
        else:
            assert one.reason == f"{plan.strategy} comes first and can run"


def refused(planner, given, name):
    """Why a strategy cannot run when it is requested: words after the colon of the error."""
    with pytest.raises(ValidationError) as info:
        planner(replace(given, strategy=name))
    return info.value.message.split(": ", 1)[1].rstrip(".")


def plan_or_message(planner, given):
    """Return the plan, or what the error says."""
    try:
        return planner(given)
    except (ValidationError, UnsupportedError) as error:
        return error.message


SORTS = list(
    itertools.product(
        [None, *SORT_STRATEGIES],
        ["", "partitions overlap"],
        [None, shared_keys(250_000)],
        [SHARED, NOWHERE],
        [p2p_facts(), NO_P2P],
        [{}, {"npartitions": 7}, {"partition_nbytes": 5 * MIB}, {"budget": budget(task_mib=8)}],
    )
)


@pytest.mark.parametrize("number", range(len(SORTS)))
def test_of_sorts(number):
    requested, ordered, alignment, staging, p2p, more = SORTS[number]
    given = facts(strategy=requested, ordered=ordered, alignment=alignment, staging=staging, p2p=p2p, **more)
    plan = plan_or_message(plan_sort, given)
    if isinstance(plan, str):
        # What is refused has its own reasons in the message, and no strategy can run that is not.
        if requested is None:
            assert (staging, p2p) == (NOWHERE, NO_P2P)
            assert (ordered or "sorted: ") in plan
            assert NOWHERE.unavailable in plan
            assert NO_P2P.unavailable in plan
        return

    def refusals(name):
        if name == "sorted" and not ordered and "budget" in more:
            what = "a partition and those that share its last key" if alignment else "a partition would"
            found = next(one.reason for one in plan.rejected if one.strategy == name)
            assert found.startswith(what)
            return found
        return refused(plan_sort, given, name)

    check(plan, list(SORT_STRATEGIES), requested, refusals)
    if plan.strategy == "sorted":
        assert not ordered
        assert "in order already" in plan.reasons[0]
        assert ("a key goes on" in plan.reasons[0]) == (alignment is not None)
    elif plan.strategy == "staged":
        assert plan.reasons[0].startswith("rows pass through scratch")
    else:
        assert plan.reasons[0].startswith("dask's P2P")


def test_an_index_that_is_not_sorted_names_the_argument_that_said_so():
    plan = plan_unsorted(facts(strategy="staged", alignment=shared_keys(250_000)))
    assert {(one.strategy, one.reason) for one in plan.rejected} == {
        ("staged", "sort=False was given"),
        ("p2p", "sort=False was given"),
    }
    assert plan.run == UnsortedRun()
    assert (plan.output_partitions, plan.steps[0].kind) == (40, "take partitions as they are")


@pytest.mark.parametrize("strategy", [None, *SHUFFLE_STRATEGIES])
@pytest.mark.parametrize("staging", [SHARED, NOWHERE])
@pytest.mark.parametrize("p2p", [p2p_facts(), NO_P2P])
@pytest.mark.parametrize("npartitions", [None, 3])
def test_of_shuffles(strategy, staging, p2p, npartitions):
    given = ShuffleFacts(
        keys=p2p.keys,
        partition_rows=np.array(p2p.partition_rows),
        profile=p2p.profile,
        row_nbytes=88.0,
        output_width=Width.fixed(88),
        budget=p2p.budget,
        staging=staging,
        partition_nbytes=None,
        npartitions=npartitions,
        strategy=strategy,
        p2p=p2p,
    )
    plan = plan_or_message(plan_shuffle, given)
    if isinstance(plan, str):
        assert {"staged": staging, "p2p": p2p}.get(strategy, p2p).unavailable in plan
        return
    assert plan.recipe == "shuffle"
    check(plan, list(SHUFFLE_STRATEGIES), strategy, lambda name: refused(plan_shuffle, given, name))


LAGS = list(
    itertools.product(
        [None, *LAG_STRATEGIES],
        ["", "groups are not known to be whole within partitions"],
        [edges(), OUT_OF_ORDER],
        [SHARED, NOWHERE],
        [p2p_facts(), NO_P2P],
        [{}, {"npartitions": 7}, {"partition_nbytes": 5 * MIB}, {"budget": budget(task_mib=2048)}],
    )
)


@pytest.mark.parametrize("number", range(len(LAGS)))
def test_of_lag_features(number):
    requested, apart, found_edges, staging, p2p, more = LAGS[number]
    given = lag_facts(strategy=requested, apart=apart, edges=found_edges, staging=staging, p2p=p2p, **more)
    plan = plan_or_message(plan_lag, given)
    if isinstance(plan, str):
        if requested is None:
            assert (staging, p2p) == (NOWHERE, NO_P2P)
            assert f"whole: {whole_refused(given)}" in plan
            assert NOWHERE.unavailable in plan
            assert NO_P2P.unavailable in plan
        return

    def refusals(name):
        reason = next(one.reason for one in plan.rejected if one.strategy == name)
        if name == "whole":
            assert reason == whole_refused(given)
        elif name == "halo":
            in_order = not found_edges.out_of_order
            assert in_order == (reason != found_edges.out_of_order)
            assert not in_order or reason.startswith(("there are 40 partitions", "a partition "))
        else:
            assert (name, reason) == ("staged", NOWHERE.unavailable)
        return reason

    check(plan, list(LAG_STRATEGIES), requested, refusals)
    assert (plan.strategy == "whole") <= (not apart)
    assert (plan.strategy == "halo") <= (not found_edges.out_of_order)


def test_a_key_that_p2p_cannot_cut_is_named_though_it_might_be_cut():
    heavy = {"keys": [4000.0] * 500 + [2_000_000.0], "split_keys": True, "recipe": "sort_values"}
    moved = plan_sort(facts(staging=NOWHERE, p2p=p2p_facts(), **heavy))
    assert moved.strategy == "p2p"
    assert any("heaviest key has about 2,000,000 rows" in reason for reason in moved.reasons)
    assert not any("heaviest key" in reason for reason in plan_sort(facts(**heavy)).reasons)
