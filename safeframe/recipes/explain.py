"""``safeframe.explain``: the plan of a collection that a recipe made."""

from __future__ import annotations

from typing import Any

from dask.highlevelgraph import HighLevelGraph

from safeframe._dask.expressions import Expr
from safeframe.engine.planned.layer import PlannedLayer
from safeframe.errors import ValidationError
from safeframe.facts.plan import Plan

__all__ = ["explain", "find_plan"]


def explain(collection: Any) -> Plan:
    """Return the plan of a collection that a recipe made.

    Parameters
    ----------
    collection
        A dask collection that comes from a recipe, directly or through further steps.

    Returns
    -------
    Plan
        Of the last recipe among its steps.

    Raises
    ------
    ValidationError
        When no recipe made it.
    """
    plan = find_plan(collection)
    if plan is None:
        msg = "This collection has no step that a safeframe recipe made."
        raise ValidationError(
            msg,
            hint="Ask for the plan of the result of a recipe, as safeframe.merge, before it is persisted.",
        )
    return plan


def find_plan(collection: Any) -> Plan | None:
    """Return the plan of the last recipe among a collection's steps; None when there is none."""
    expr = getattr(collection, "expr", collection)
    if not isinstance(expr, Expr):
        # An array, a bag, or a delayed object, which has any attribute. Not asked of a dataframe, whose graph is made by asking.
        graph = getattr(collection, "dask", None)
        if isinstance(graph, HighLevelGraph):
            return _plan_of_layers(graph, list(collection.__dask_layers__()))
        return None
    for node in expr.walk():
        if "plan" in getattr(node, "_parameters", ()) and isinstance(node.operand("plan"), Plan):
            plan: Plan = node.operand("plan")
            return plan
    return None


def _plan_of_layers(graph: HighLevelGraph, names: list[str]) -> Plan | None:
    """Look from the last layers of an array or bag towards the first ones."""
    seen: set[str] = set()
    while names:
        for name in names:
            if isinstance(layer := graph.layers.get(name), PlannedLayer):
                return layer.plan
        seen.update(names)
        names = [name for after in names for name in graph.dependencies.get(after, ()) if name not in seen]
    return None
