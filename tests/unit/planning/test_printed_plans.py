"""Every printed plan adds up: bytes are rows × width, what is projected is the sum of its terms, the verdict follows."""

from __future__ import annotations

from dataclasses import replace

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe.errors import ValidationError
from safeframe.facts.estimate import Width
from safeframe.facts.plan import Plan
from safeframe.planning.bag import plan_bag_groupby
from safeframe.planning.merge.plan import plan_merge
from safeframe.planning.p2p.plan import plan_p2p_shuffle
from safeframe.planning.rebalance.plan import plan_rebalance
from safeframe.planning.rechunk.plan import plan_rechunk
from tests.unit.planning import test_bag, test_planning_bounded
from tests.unit.planning.lag import test_plan as test_lag
from tests.unit.planning.merge import test_table as test_merge_table
from tests.unit.planning.merge.test_plan_snapshots import SITUATIONS
from tests.unit.planning.p2p import test_plan as test_p2p
from tests.unit.planning.plan_arithmetic import contradictions
from tests.unit.planning.rebalance import test_plan as test_rebalance
from tests.unit.planning.rechunk import test_plan as test_rechunk
from tests.unit.planning.sort import test_plan as test_sort

MIB = 2**20
TEXT = Width(least=31, expected=87, most=311, widest=127, exact=False)


@pytest.mark.parametrize("name", SITUATIONS)
def test_of_merges(name):
    try:
        plan = plan_merge(SITUATIONS[name])
    except ValidationError:
        return
    assert contradictions(plan.details()) == []


@pytest.mark.parametrize("rows", [(10**5, 10**4), (10**7, 10**6)])
@pytest.mark.parametrize("strategy", [None, "sorted", "staged"])
def test_of_merges_that_are_written_without_rows(rows, strategy):
    plan = plan_merge(test_planning_bounded.constant_key(*rows, strategy=strategy))
    assert not isinstance(plan.run.write, str)
    assert contradictions(plan.details()) == []


def planned() -> dict[str, Plan]:
    """Plans that were made from figures."""
    sort, lag = test_sort.plan_of, test_lag.plan_of
    plans = {
        "staged sort": sort(),
        "sort in place": sort(ordered=""),
        "sort of shared keys": sort(ordered="", alignment=test_sort.shared_keys(250_000)),
        "sort by number": sort(npartitions=10),
        "wider result": sort(output_row_nbytes=test_sort.ROW + 8.0, npartitions=10),
        "lag in place": lag(apart=""),
        "lag with a halo": lag(edges=test_lag.edges()),
        "lag of moved rows": lag(edges=test_lag.OUT_OF_ORDER),
        "lag across": lag(edges=test_lag.OUT_OF_ORDER, across=True),
        "p2p": plan_p2p_shuffle(test_p2p.facts_of()),
        "p2p of threads": plan_p2p_shuffle(test_p2p.facts_of(threads=3, limit=2048 * MIB)),
        "table": test_merge_table.planned(test_merge_table.facts()),
    }
    for name, mib, given in (
        ("untouched", [15] * 5, {}),
        ("merged", [1] * 50, {}),
        ("sliced", [60] * 5, {"npartitions": 6}),
        ("staged", [100, 40], {"partition_nbytes": 10 * MIB}),
    ):
        plans[f"rebalance {name}"] = plan_rebalance(test_rebalance.facts_of(mib, **given))
    for side in (64, 160):
        plans[f"rechunk {side}"] = plan_rechunk(test_rechunk.square(side))
    for n in (2, 512):
        plans[f"bag {n}"] = plan_bag_groupby(test_bag.facts(n))
    return plans


PLANNED = planned()


@pytest.mark.parametrize("name", PLANNED)
def test_of_all_recipes(name):
    assert contradictions(PLANNED[name].details()) == []


FRAME = pd.DataFrame({"k": np.arange(3000) % 70, "s": [str(n) * (n % 9) for n in range(3000)], "v": 1.5})


def small(n=6):
    return dd.from_pandas(FRAME, npartitions=n)


RECIPES = {
    **{f"merge {how}": lambda how=how, **given: safeframe.plan_merge(small(), small(3), on="k", how=how, **given)
       for how in ("inner", "left", "right", "outer", "leftsemi", "leftanti")},
    **{f"merge by {strategy}": lambda s=strategy, **given: safeframe.plan_merge(
           small(), small(3), on="k", strategy=s, **given) for strategy in ("broadcast", "staged")},
    "sorted_merge": lambda **given: safeframe.plan_sorted_merge(small(), small(3), on="k", sort=True, **given),
    "set_index": lambda **given: safeframe.plan_set_index(small(), "s", **given),
    "sort_values": lambda **given: safeframe.plan_sort_values(small(), ["k", "s"], **given),
    "shuffle": lambda **given: safeframe.plan_shuffle(small(), "s", **given),
    "lags": lambda **given: safeframe.plan_lag(small(), "k", order_by="v", columns=["s"], lags=[1, 2], **given),
    "rebalance": lambda **given: safeframe.plan_rebalance(small(), **given),
    "bag": lambda **given: safeframe.plan_bag_groupby(db.from_sequence(range(1000), npartitions=4), lambda n: n % 7, **given),
    "rechunk": lambda **given: safeframe.plan_rechunk(da.ones((400, 400), chunks=(400, 20)), (20, 400), **given),
}  # fmt: skip


@pytest.mark.parametrize("memory", ["64MiB", "700MiB", "16GiB"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_of_small_frames(recipe, memory, tmp_path):
    with dask.config.set(scheduler="sync"):
        try:
            plan = RECIPES[recipe](memory=memory, staging=str(tmp_path))
        except ValidationError:
            assert "broadcast" in recipe  # which cannot be in so little memory
            return
    assert contradictions(plan.details()) == []


def test_a_contradiction_is_found():
    plan = PLANNED["staged sort"]
    rows = plan.output_rows
    wrong = [
        replace(plan, output_nbytes=rows.scaled(plan.row_nbytes * 1.1)),
        replace(plan, output_width=TEXT),
        replace(plan, output_partitions=2),
        replace(plan, steps=(replace(plan.steps[0], task_peak_nbytes=2**27), *plan.steps[1:])),
    ]
    assert contradictions(plan.details()) == []
    for other in wrong:
        assert contradictions(other.details()) != []
    text = replace(
        plan, budget=replace(plan.budget, reserved_nbytes=plan.budget.allowed_nbytes + MIB)
    ).details()
    assert contradictions(text) == []
    assert contradictions(text.replace("DOES NOT FIT", "FITS")) != []
