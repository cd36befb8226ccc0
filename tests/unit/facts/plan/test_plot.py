"""A plan as a picture: every panel has its limit in it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import matplotlib as mpl
import pytest

mpl.use("Agg")

from matplotlib import pyplot as plt

from safeframe.errors import UnsupportedError
from safeframe.facts.plan import Plan
from safeframe.planning.bag import plan_bag_groupby
from safeframe.planning.rechunk.plan import plan_rechunk
from tests.unit.facts.plan.plans import EVIL, merge_plan, too_large
from tests.unit.facts.plan.test_text import MIB, PLAN
from tests.unit.planning import test_bag
from tests.unit.planning.rechunk import test_plan as test_rechunk
from tests.unit.planning.test_printed_plans import PLANNED


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    plt.close("all")
    yield
    plt.close("all")


def _line(axes: Any, label: str) -> Any:
    (line,) = [line for line in axes.get_lines() if line.get_label().startswith(label)]
    return line


def _labels(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_memory_of_each_step_has_the_limit_of_a_worker() -> None:
    axes = merge_plan().plot().axes[0]
    assert _line(axes, "limit, 997 MiB").get_xdata()[0] == pytest.approx(997)
    used, tasks = axes.containers[:2]
    assert [bar.get_width() for bar in used] == pytest.approx([191 + 13] * 2)
    assert [bar.get_width() for bar in tasks] == pytest.approx([2 * 71, 2 * 101])
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [
        "stage left partitions (5)",
        "join cells (1,009)",
    ]


def test_what_ran_before_the_plan_is_its_first_step() -> None:
    counting = replace(PLAN.steps[0], kind="count keys", tasks=3)
    axes = merge_plan(counting=counting).plot().axes[0]
    assert axes.get_yticklabels()[0].get_text() == "count keys (3)"


def test_what_is_above_the_limit_is_drawn_apart() -> None:
    axes = too_large().plot().axes[0]
    _, tasks, over = axes.containers
    assert [bar.get_width() for bar in over] == pytest.approx([204 + 142 - 307, 204 + 202 - 307])
    assert [bar.get_width() for bar in tasks] == pytest.approx([307 - 204] * 2)
    assert "above the limit" in _labels(axes)
    assert "above the limit" not in _labels(merge_plan().plot().axes[0])


def test_sizes_of_partitions_have_the_limit_of_a_task_and_the_target() -> None:
    plan = merge_plan()
    axes = plan.plot().axes[1]
    assert _line(axes, "limit of a task").get_ydata()[0] == pytest.approx(plan.budget.task_nbytes / MIB)
    assert _line(axes, "target").get_ydata()[0] == pytest.approx(61)
    left, right, after = [patch.get_data().values.tolist() for patch in axes.patches]
    assert (left, right, after) == ([2, 3, 5], [7], [11, 59])
    assert _labels(axes)[:3] == ["before: left (5)", "before: right (1)", "after: result (1,009)"]
    assert axes.get_ylim()[1] > plan.budget.task_nbytes / MIB


def test_a_result_of_unknown_sizes_is_drawn_by_its_bound() -> None:
    axes = merge_plan(partitions_after=None).plot().axes[1]
    assert axes.patches[-1].get_data().values.tolist() == [59]
    assert "after: result, at most (1,009)" in _labels(axes)


@pytest.mark.parametrize(
    ("plan", "before"),
    [
        (plan_rechunk(test_rechunk.square(16)), "before: array (16)"),
        (plan_bag_groupby(test_bag.facts(512)), "before: bag (512, 4 of them measured)"),
    ],
    ids=["array", "bag"],
)
def test_chunks_and_items_are_drawn_before_and_after_with_the_limit(plan: Plan, before: str) -> None:
    labels = _labels(plan.plot().axes[1])
    assert labels[0] == before
    assert labels[1].startswith("after: result")
    assert labels[2].startswith("limit of a task")


def test_the_heaviest_keys_are_no_formulas() -> None:
    axes = merge_plan().plot().axes[2]
    assert [bar.get_width() for bar in axes.patches] == [4_717, 35]
    assert not any(label.get_parse_math() for label in axes.get_yticklabels())
    assert axes.get_yticklabels()[0].get_text().startswith(repr(EVIL)[:12])
    assert len(PLAN.plot().axes) == 2


@pytest.mark.parametrize("name", ["lag with a halo", "p2p", "rebalance staged", "rechunk 160", "bag 2"])
def test_plans_of_other_recipes_can_be_drawn(name: str) -> None:
    figure = PLANNED[name].plot()
    figure.canvas.draw()
    assert _line(figure.axes[0], "limit")


def test_it_draws_in_a_figure_of_the_user_and_closes_none() -> None:
    mine, other = plt.figure(), plt.figure()
    assert merge_plan().plot(mine) is mine
    assert len(mine.axes) == 3
    assert other.axes == []
    assert plt.get_fignums() == [mine.number, other.number]
    new = merge_plan().plot()
    assert plt.get_fignums() == [mine.number, other.number, new.number]


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(UnsupportedError, match=r"needs matplotlib.*\n\nHint: Install it"):
        merge_plan().plot()
