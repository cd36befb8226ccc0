"""Which rows of neighbours partitions need, and the plan of lag features from pure numbers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from safeframe import options
from safeframe.errors import ValidationError
from safeframe.facts.lag import GroupEdges, LagFacts
from safeframe.facts.strategies import LAG_STRATEGIES
from safeframe.planning.lag.halo import plan_halo
from safeframe.planning.lag.plan import plan_lag
from tests.unit.planning.sort.test_plan import MIB, NOWHERE, SHARED, budget
from tests.unit.planning.sort.test_plan import facts as sort_facts


def edges_of(parts):
    """Describe partitions of keys that are in order."""
    goes_on, last = [], None
    for part in parts:
        goes_on.append(bool(part) and part[0] == last)
        last = part[-1] if part else last
    return GroupEdges(
        rows=np.array([len(part) for part in parts]),
        out_of_order="",
        head_rows=np.array([part.count(part[0]) if part else 0 for part in parts]),
        tail_rows=np.array([part.count(part[-1]) if part else 0 for part in parts]),
        goes_on=np.array(goes_on),
    )


CASES = [
    [[1, 1, 2], [2, 3]],
    [[1], [1], [1], [1, 1], [1, 2]],
    [[], [1, 1], [], [], [1], [2], []],
    [[1, 2], [3, 4]],
    [[5, 5, 5, 5], [5], [5, 5]],
    [[]],
]


@pytest.mark.parametrize("parts", CASES)
@pytest.mark.parametrize(("before", "after"), list(itertools.product([0, 1, 2, 10], repeat=2)))
def test_every_row_that_lags_reach_is_there_and_no_other(parts, before, after):
    halo = plan_halo(edges_of(parts), before, after)
    for number, part in enumerate(parts):
        earlier = [key for other in parts[:number] for key in other]
        later = [key for other in parts[number + 1 :] for key in other]
        of_first = sum(key == part[0] for key in earlier[::-1]) if part else 0
        of_last = sum(key == part[-1] for key in later) if part else 0
        assert sum(piece.rows for piece in halo.before[number]) == min(before, of_first)
        assert sum(piece.rows for piece in halo.after[number]) == min(after, of_last)
        for piece in halo.before[number]:
            assert piece.partition < number
            assert piece.rows <= halo.tails[piece.partition] <= before
        for piece in halo.after[number]:
            assert piece.partition > number
            assert piece.rows <= halo.heads[piece.partition] <= after
        assert [piece.partition for piece in halo.before[number]] == sorted(
            piece.partition for piece in halo.before[number]
        )


def edges(partitions=40, rows=100_000, why=""):
    """One group that goes over all partitions."""
    every = np.full(partitions, rows)
    return GroupEdges(
        rows=every, out_of_order=why, head_rows=every, tail_rows=every, goes_on=np.arange(partitions) > 0
    )


def lag_facts(
    *,
    apart="not known",
    edges=None,
    before=3,
    after=0,
    across=False,
    width=160.0,
    waits=False,
    by_p2p=False,
    **changes,
):
    changes = {"output_row_nbytes": width, "split_keys": True, "ordered": "as always", **changes}
    return LagFacts(
        sort=sort_facts(recipe="groupby_lag_transform", **changes),
        before=before,
        after=after,
        lags=10,
        needed_row_nbytes=16.0,
        apart=apart,
        edges=edges,
        across=across,
        waits=waits,
        by_p2p=by_p2p,
        why="",
    )


def plan_of(**changes):
    return plan_lag(lag_facts(**changes))


OUT_OF_ORDER = edges(why="rows are not in order")


class TestLadder:
    def test_the_cheapest_that_can_run_is_taken_and_the_others_say_why_not(self):
        roomy = {"budget": budget(task_mib=2048)}
        for taken, given in {
            "whole": {"apart": "", **roomy},
            "halo": {"edges": edges(), **roomy},
            "staged": {"edges": OUT_OF_ORDER, **roomy},
        }.items():
            plan = plan_of(**given)
            assert (plan.recipe, plan.strategy) == ("groupby_lag_transform", taken)
            assert [one.strategy for one in plan.rejected] == [one for one in LAG_STRATEGIES if one != taken]
            assert all(one.reason for one in plan.rejected)
            assert (plan.staging_nbytes > 0) == (taken == "staged")
            assert any("10 columns are added" in reason for reason in plan.reasons)

    def test_rows_in_order_are_moved_where_a_partition_does_not_fit_with_its_result(self):
        plan = plan_of(edges=edges(partitions=4, rows=600_000), partitions=4, rows=600_000)
        assert plan.strategy == "staged"
        assert any("a partition and its result" in one.reason for one in plan.rejected)
        assert plan.fits

    @pytest.mark.parametrize("given", [{"npartitions": 3}, {"partition_nbytes": MIB}])
    def test_and_where_other_partitions_are_requested(self, given):
        plan = plan_of(edges=edges(), budget=budget(task_mib=2048), **given)
        assert plan.strategy == "staged"
        assert any("requested" in one.reason for one in plan.rejected)

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"strategy": "sorted"}, "whole, halo, staged, p2p"),
            ({"strategy": "halo", "edges": OUT_OF_ORDER}, "rows are not in order"),
            ({"strategy": "whole"}, "not known"),
            ({"strategy": "staged", "staging": NOWHERE, "edges": OUT_OF_ORDER}, "no directory is shared"),
        ],
    )
    def test_what_cannot_run_is_refused_when_it_is_requested(self, given, words):
        with pytest.raises(ValidationError, match=words):
            plan_of(**given)


class TestMemory:
    @pytest.mark.parametrize("task_mib", [16, 64, 256, 1024])
    @pytest.mark.parametrize("width", [88.0, 160.0, 800.0])
    @pytest.mark.parametrize("before", [3, 10_000])
    def test_partitions_are_chosen_so_that_they_fit(self, task_mib, width, before):
        plan = plan_of(
            edges=OUT_OF_ORDER, width=width, before=before, budget=budget(task_mib), staging=SHARED, rows=5_000,
            partitions=800,
        )  # fmt: skip
        assert plan.fits, plan.details()
        assert plan.projected_worker_nbytes <= plan.budget.usable_nbytes
        assert plan.largest_partition_nbytes <= 1.01 * plan.partition_nbytes

    def test_the_rows_next_to_a_partition_count(self):
        few, many = (
            plan_of(edges=OUT_OF_ORDER, before=before, across=True, npartitions=40) for before in (1, 50_001)
        )
        more = many.steps[-1].task_peak_nbytes - few.steps[-1].task_peak_nbytes
        assert more == 50_000 * (80 * options.FETCH_COPIES + options.ROW_INDEX_NBYTES)
        assert any("cut by the order" in reason for reason in many.reasons)

    def test_partitions_that_wait_for_their_neighbours_count_all(self):
        roomy = {"edges": edges(), "budget": budget(task_mib=2048)}
        alone, waiting = (plan_of(waits=waits, **roomy) for waits in (False, True))
        assert (alone.strategy, waiting.strategy) == ("halo", "halo")
        assert waiting.task_peak_nbytes - alone.task_peak_nbytes == 40 * 100_000 * 80
        assert plan_of(waits=True, edges=edges(), budget=budget(task_mib=256)).strategy == "staged"
        whole = {"apart": "", "budget": budget(task_mib=2048)}
        assert plan_of(waits=True, **whole).task_peak_nbytes == plan_of(**whole).task_peak_nbytes, (
            "none waits"
        )

    def test_rows_that_come_by_p2p_count_as_often_as_it_holds_them(self):
        staged, by_p2p = (plan_of(apart="", by_p2p=by_p2p, budget=budget(2048)) for by_p2p in (False, True))
        more = options.P2P_RECEIVE_COPIES - options.FETCH_COPIES
        assert by_p2p.task_peak_nbytes - staged.task_peak_nbytes == more * 100_000 * 80

    def test_a_group_larger_than_a_partition_is_cut_where_rows_are_in_their_order(self):
        keys = np.append(np.full(999, 100.0), 4_000_000 - 99_900)
        plan = plan_of(edges=OUT_OF_ORDER, keys=keys)
        assert plan.run.way.figures.layout.cells.max() > 0.9 * plan.output_partitions
        assert plan.fits
