"""The ladder of a merge: which strategy is taken, and why each other one is not, in words."""

from __future__ import annotations

from dataclasses import replace

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from safeframe.errors import ValidationError
from safeframe.facts.budget import StagingFacts
from safeframe.facts.merge import MergeFacts, OrderedMerge, StagedMerge
from safeframe.facts.strategies import MERGE_STRATEGIES, ORDERED_STRATEGIES
from safeframe.planning.merge.plan import plan_merge
from safeframe.prepare.merge.keys import KeyArguments, keyed_sides
from safeframe.prepare.merge.sizes import size_join
from tests.unit.planning.budgets import budget_of

MIB = 2**20
NOWHERE = StagingFacts(directory=None, free_nbytes=None, unavailable="no directory is reached by all workers")
SOMEWHERE = StagingFacts(directory="/scratch", free_nbytes=2**40, unavailable="")


def budget(allowed=512 * MIB):
    return budget_of(allowed, reserved_nbytes=0, n_workers=2)


def frame_of(*parts):
    pieces = [pd.DataFrame({"k": part, "v": np.arange(len(part), dtype="float64")}) for part in parts]
    return dd.from_map(lambda i: pieces[i], range(len(pieces)), meta=pieces[0].iloc[:0])


def facts(left, right, how="inner", **given):
    with dask.config.set(scheduler="sync"):
        sizes = size_join(keyed_sides(frame_of(*left), frame_of(*right), KeyArguments(how=how, on="k")))
    options = {
        "budget": budget(),
        "staging": SOMEWHERE,
        "partition_nbytes": None,
        "strategy": None,
        **given,
    }
    return MergeFacts(how=how, left=sizes.left, right=sizes.right, estimate=sizes.estimate, **options)


ORDERED = ([1, 2, 2], [2, 5], [7, 9])
OTHER = ([1], [5, 6, 7])
MIXED = ([7, 1], [5, 2], [9])


def why(plan):
    """Why other strategies are not taken; of tables the facts here know nothing."""
    return {
        candidate.strategy: candidate.reason for candidate in plan.rejected if candidate.strategy != "table"
    }


def test_two_sides_in_order():
    plan = plan_merge(facts(ORDERED, OTHER, "outer"))
    assert plan.strategy == "sorted"
    assert "no rows move" in plan.reasons[0]
    assert plan.staging_nbytes == 0
    assert plan.staging_directory is None
    assert [step.kind for step in plan.steps] == [
        "check the left and right partitions",
        "join output partitions from sorted partitions",
    ]
    assert plan.steps[0].tasks == 5
    assert why(plan) == dict.fromkeys(
        ("sorted-one-side", "staged"), "sorted comes first and costs about the same"
    ) | {
        "broadcast": "neither side of an outer merge may be held whole on each worker",
        "p2p": "it is not needed: the workers share a place for staged files",
    }


@pytest.mark.parametrize(
    ("left", "right", "stays", "moves"),
    [(ORDERED, MIXED, "left", "right"), (MIXED, ORDERED, "right", "left")],
)
def test_one_side_in_order(left, right, stays, moves):
    plan = plan_merge(facts(left, right, "outer"))
    assert plan.strategy == "sorted-one-side"
    assert f"the {stays} partitions are in key order and stay where they are" in plan.reasons[0]
    assert f"only the {moves} side's 80 B pass through /scratch" in plan.reasons[0]
    assert plan.staging_nbytes == 5 * 16
    assert plan.staging_directory == "/scratch"
    assert plan.staging_free_nbytes == 2**40
    assert [step.kind for step in plan.steps] == [
        f"stage {moves} partitions",
        f"check the {stays} partitions",
        "join output partitions from sorted partitions and staged shards",
    ]
    assert f"the {moves} partitions are not in key order" in why(plan)["sorted"]
    assert "neither side of an outer merge" in why(plan)["broadcast"]
    assert why(plan)["staged"] == "sorted-one-side comes first and costs about the same"


def test_a_small_side_is_broadcast_before_a_side_is_staged():
    assert plan_merge(facts(ORDERED, MIXED, "left")).strategy == "broadcast"


def test_neither_side_in_order():
    plan = plan_merge(facts(MIXED, MIXED, "outer"))
    assert plan.strategy == "staged"
    assert isinstance(plan.run.way, StagedMerge)
    for strategy in ("sorted", "sorted-one-side"):
        assert (
            "the left partitions are not in key order (partition 1 begins before partition 0 ends)"
            in (why(plan)[strategy])
        )
    assert "the right partitions are not in key order" in why(plan)["sorted-one-side"]


def test_keys_whose_codes_have_no_order():
    words = (["a", "b"], ["c"])
    reasons = why(plan_merge(facts(words, words, "outer")))
    assert (
        reasons["sorted"]
        == "the order of the left key is not known: it is not a single column of numbers or times"
    )
    assert reasons["sorted-one-side"] == (
        "the order of the left key is not known: it is not a single column of numbers or times; the order of the right key is not known: it is not a single column of numbers or times"
    )


def test_nowhere_to_stage():
    plan = plan_merge(facts(ORDERED, OTHER, "outer", staging=NOWHERE))
    assert plan.strategy == "sorted"
    with pytest.raises(ValidationError, match="sorted-one-side: no directory is reached by all workers"):
        plan_merge(facts(ORDERED, MIXED, "outer", staging=NOWHERE))


def test_partitions_that_are_too_large_to_stay():
    large = [np.arange(part * 200_000, (part + 1) * 200_000) for part in range(2)]
    small = [np.arange(0, 400_000, 40)]
    plan = plan_merge(facts(large, small, "outer", budget=budget(24 * MIB)))
    assert plan.strategy == "sorted-one-side"
    assert "the right partitions are in key order" in plan.reasons[0]
    assert why(plan)["sorted"].startswith("an output partition touches up to")
    assert "whole partitions, which takes a worker to" in why(plan)["sorted"]
    assert "above 19.2 MiB" in why(plan)["sorted"]


def test_nulls_have_no_place_in_the_order_and_do_not_need_one():
    nulls_first, nulls_last = ([np.nan, 1.0], [2.0, 5.0]), ([1.0, 3.0], [5.0, np.nan], [np.nan, np.nan])
    plan = plan_merge(facts(nulls_first, nulls_last, "outer"))
    assert plan.strategy == "sorted"
    assert plan.run.layout is not None
    assert plan.run.layout.null_shard


@pytest.mark.parametrize("strategy", [name for name in MERGE_STRATEGIES if name != "p2p"])
def test_what_is_requested_is_taken(strategy):
    plan = plan_merge(facts(ORDERED, OTHER, "left", strategy=strategy))
    assert plan.strategy == strategy
    others = [name for name in MERGE_STRATEGIES if name != strategy]
    assert why(plan) == dict.fromkeys(others, f"strategy={strategy!r} was requested")


@pytest.mark.parametrize("strategy", ["sorted", "sorted-one-side"])
def test_what_is_requested_and_cannot_be(strategy):
    with pytest.raises(
        ValidationError,
        match=f"{strategy}' cannot run this merge: .*the left partitions are not in key order",
    ):
        plan_merge(facts(MIXED, MIXED, "left", strategy=strategy))


def test_statistics_without_checksums_do_not_keep_a_side_in_place():
    given = facts(ORDERED, OTHER)
    parts = replace(given.left.keys.partitions, checksums=np.empty(0, np.uint64))
    given = replace(given, left=replace(given.left, keys=replace(given.left.keys, partitions=parts)))
    assert why(plan_merge(replace(given, strategy="sorted-one-side")))["sorted"]
    assert "do not say what each partition holds" in why(plan_merge(given))["sorted"]


def test_a_result_in_key_order_has_its_own_ladder():
    plan = plan_merge(facts(MIXED, MIXED, "left", ordered=True))
    assert plan.recipe == "sorted_merge"
    assert plan.strategy == "staged"
    assert isinstance(plan.run.way, OrderedMerge)
    assert plan.run.way.ordered.left is None
    assert plan.run.way.ordered.right is None
    assert {plan.strategy, *why(plan)} == set(ORDERED_STRATEGIES)
    with pytest.raises(ValidationError, match="'broadcast' is not a strategy of sorted_merge"):
        plan_merge(facts(MIXED, MIXED, "left", ordered=True, strategy="broadcast"))
    assert "run" not in plan.to_dict()
