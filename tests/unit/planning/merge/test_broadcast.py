"""Partitions that are cut for a broadcast: no piece may make more than the target, and none is cut for nothing."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safeframe.errors import ValidationError
from safeframe.facts.strategies import MERGE_STRATEGIES
from safeframe.planning.costs import is_tie
from safeframe.planning.merge.plan import plan_merge
from tests.unit.planning.merge.test_plan import MIB, budget, facts

HOWS = ("inner", "left", "leftsemi", "leftanti")


def result_rows(left, right, how):
    """Count the result rows of some left rows."""
    partners = {key: int((right == key).sum()) for key in np.unique(right)}
    met = np.array([partners.get(key, 0) for key in left], np.int64)
    rows = {
        "inner": met, "left": np.maximum(met, 1), "leftsemi": met > 0, "leftanti": met == 0,
    }[how]  # fmt: skip
    return int(rows.sum())


keys = st.lists(st.integers(0, 5), max_size=40)


@settings(deadline=None, max_examples=60)
@given(
    left=st.lists(keys, min_size=1, max_size=4),
    right=st.lists(st.integers(0, 5), min_size=1, max_size=8),
    how=st.sampled_from(HOWS),
    rows=st.integers(1, 60),
)
def test_no_piece_makes_more_than_the_target_and_none_is_cut_without_need(left, right, how, rows):
    parts, held = [np.array(part, int) for part in left], np.array(right, int)
    if sum(map(len, parts)) == 0:
        return
    given = facts(parts, [held], how)
    width = given.estimate.width.bounding
    given = replace(given, partition_nbytes=int(rows * width) + 1, strategy="broadcast")
    try:
        plan = plan_merge(given)
    except ValidationError as error:
        if "one row of the other side can make" not in str(error):
            raise
        assert max(np.bincount(held)) > rows
        return
    if plan.run.build_side == "left":
        parts, held = [held], np.concatenate(parts)
    pieces = plan.run.way.pieces or (1,) * len(parts)
    assert plan.output_partitions == sum(pieces)
    for part, count in zip(parts, pieces, strict=True):
        ends = [len(part) * number // count for number in range(count + 1)]
        made = [result_rows(part[lo:hi], held, how) for lo, hi in pairwise(ends)]
        assert max(made) * width <= min(plan.largest_partition_nbytes + width, plan.partition_nbytes)
        most = max(np.bincount(held)) if how in ("inner", "left") else 1
        assert count <= max(1, -(-len(part) // max(rows // most, 1)))


@settings(deadline=None, max_examples=60)
@given(data=st.data(), how=st.sampled_from(HOWS), memory=st.integers(8, 256))
def test_the_cheapest_strategy_that_fits_is_taken(data, how, memory):
    part = st.lists(st.integers(0, 1000), min_size=1, max_size=30)
    left = data.draw(st.lists(part, min_size=1, max_size=6))
    right = data.draw(st.lists(part, min_size=1, max_size=6))
    size = data.draw(st.sampled_from([None, 64, 300, MIB]))
    given = facts(
        [np.repeat(one, 1000) for one in left], [np.array(one) for one in right], how,
        budget=budget(memory * MIB), partition_nbytes=size,
    )  # fmt: skip
    plan = plan_merge(given)
    others = {}
    for name in MERGE_STRATEGIES:
        try:
            others[name] = plan_merge(replace(given, strategy=name))
        except ValidationError:
            continue
    weighed = {plan.strategy: plan.cost, **{one.strategy: one.cost for one in plan.rejected if one.cost}}
    assert weighed == {name: others[name].cost for name in weighed}
    fitting = {
        name: others[name].cost.seconds
        for name in weighed
        if others[name].projected_worker_nbytes <= others[name].budget.allowed_nbytes
    }
    if fitting:
        least = min(fitting.values())
        cheap = [name for name in MERGE_STRATEGIES if name in fitting and is_tie(fitting[name], least)]
        assert plan.strategy == cheap[0]


def test_nine_rows_are_never_a_reason_to_stage():
    part = np.arange(200_000) % 10
    given = facts([part] * 4, [np.arange(9)], "left", partition_nbytes=MIB)
    plan = plan_merge(given)
    assert plan.strategy == "broadcast"
    assert plan.staging_nbytes == 0
    assert set(plan.run.way.pieces) == {5}
    assert plan.largest_partition_nbytes <= MIB
    assert "are cut, in up to 5 pieces each" in plan.reasons[1]
    assert {one.strategy for one in plan.rejected if one.cost is not None} == {"staged", "sorted-one-side"}
    assert "moves       broadcast: " in plan.details()
    plain = plan.to_dict()
    assert plain["cost"]["staged_nbytes"] == 0
    assert plain["cost"]["seconds"] == plan.cost.seconds
    staged = next(other for other in plain["rejected"] if other["strategy"] == "staged")
    assert staged["cost"]["staged_nbytes"] == 4 * 200_000 * 16 + 9 * 16


def test_a_number_of_partitions_is_kept():
    part = np.arange(200_000) % 10
    plan = plan_merge(facts([part] * 4, [np.arange(9)], "left", npartitions=4))
    assert plan.output_partitions == 4
    plan = plan_merge(facts([part, part[:1000]], [np.arange(9)], "left", npartitions=2))
    assert not getattr(plan.run.way, "pieces", ())


@pytest.mark.parametrize("how", ["inner", "left"])
def test_one_row_that_makes_more_than_a_partition(how):
    given = facts([np.zeros(100, int)] * 2, [np.zeros(10_000, int)], how, partition_nbytes=1000)
    plan = plan_merge(given)
    assert plan.strategy != "broadcast"
    reason = next(one.reason for one in plan.rejected if one.strategy == "broadcast")
    assert "one row of the other side can make 234 KiB of result with the right side" in reason
