"""What a recipe returns says in a line what it is, wherever dask shows it."""

from __future__ import annotations

import dask
import dask.array as da
import dask.bag as db
import pytest

import safeframe
from tests.unit.engine.planned.test_nodes import RECIPES, table  # noqa: F401

SHORT = 120


@pytest.fixture(autouse=True)
def _synchronous():
    with dask.config.set(scheduler="sync"):
        yield


@pytest.mark.parametrize("name", RECIPES)
def test_a_result_and_its_expression_are_short(table, name):  # noqa: F811
    result = RECIPES[name](table)[["k"] if "index" not in name else ["a"]]
    plan = safeframe.explain(result)
    for shown in (result, result.optimize()):
        assert len(repr(shown.expr)) <= SHORT
        assert repr(shown).startswith("Dask DataFrame Structure")
        assert repr(shown).endswith(f"Expr={shown.expr}")
        assert len(repr(shown).splitlines()) <= 10
        assert "<table" in shown._repr_html_()
    (node,) = [node for node in result.expr.walk() if getattr(node, "own_plan", None) is plan]
    assert repr(node) == f"{type(node).__name__}({plan.recipe}, {plan.strategy}, {node._name[-7:]})"


@pytest.mark.parametrize(
    "name", ["staged", "broadcast", "sorted-one-side", "set_index", "lag staged", "merge of a merge"]
)
def test_printed_expressions_have_short_lines(table, name, capsys):  # noqa: F811
    result = RECIPES[name](table)
    for expr in (result.expr, result.optimize(fuse=False).expr, result.optimize().expr):
        expr.pprint()
        lines = capsys.readouterr().out.splitlines()
        # What dask says of its own reads is dask's.
        ours = [line for line in lines if "ReadParquet" not in line and "Projection" not in line]
        assert max(map(len, ours)) <= SHORT
        assert len(lines) <= 25
    result.pprint()
    first = capsys.readouterr().out.splitlines()[0]
    plan = safeframe.explain(result)
    assert first.endswith(f": {plan.recipe} {plan.strategy}")


def test_different_results_can_be_told_apart(table):  # noqa: F811
    one, other = RECIPES["staged"](table), RECIPES["broadcast"](table)
    assert repr(one.expr) != repr(other.expr)


def test_arrays_and_bags_are_short(tmp_path):
    array = safeframe.rechunk(da.ones((40, 40), chunks=(40, 2)), (2, 40), memory="1GiB")
    bag = safeframe.bag_groupby(
        db.from_sequence(range(10), npartitions=2), lambda n: n % 3, memory="1GiB", staging=str(tmp_path)
    )
    for collection in (array, bag):
        assert len(repr(collection)) <= SHORT
        assert len(repr(collection.dask)) <= 400
        assert collection.dask._repr_html_()
    assert array._repr_html_()
