"""``safeframe.explain``: the plan of a collection that a recipe made."""

from __future__ import annotations

from typing import Any

from dask.highlevelgraph import HighLevelGraph

from safeframe._dask.expressions import Expr
from safeframe.engine.planned.layer import PlannedLayer
from safeframe.engine.planned.nodes import Planned
from safeframe.errors import ValidationError
from safeframe.facts.plan import Plan


def explain(collection: Any) -> Plan:
    """Return the plan of a collection that a recipe made.

    Parameters
    ----------
    collection
        A dask collection that a recipe returned, or that was derived from one.

    Returns
    -------
    Plan
        The plan of the last recipe among its steps.

    Raises
    ------
    ValidationError
        When none of its steps is a recipe.

    Notes
    -----
    **Eager.** Nothing is read: the plan is part of the collection.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": [3, 1, 2, 1]}), npartitions=2)
    >>> plan = safeframe.explain(safeframe.set_index(frame, "k", npartitions=2))
    >>> plan.recipe, plan.output_partitions, plan.fits
    ('set_index', 2, True)
    """
    plan = find_plan(collection)
    if plan is None:
        msg = "This collection has no step that a safeframe recipe made."
        raise ValidationError(
            msg,
            hint="Pass the result of a recipe, such as safeframe.merge, before it is persisted.",
        )
    return plan


def find_plan(collection: Any) -> Plan | None:
    """Return the plan of the last recipe among a collection's steps; None when there is none."""
    expr = getattr(collection, "expr", collection)
    if not isinstance(expr, Expr):
        # An array, a bag, or a delayed object (which has any attribute). A dataframe's ``dask`` would build its graph.
        graph = getattr(collection, "dask", None)
        if isinstance(graph, HighLevelGraph):
            return _plan_of_layers(graph, list(collection.__dask_layers__()))
        return None
    for node in expr.walk():
        if isinstance(node, Planned) and node.own_plan is not None:
            return node.own_plan
    return None


def _plan_of_layers(graph: HighLevelGraph, names: list[str]) -> Plan | None:
    """Search the layers of an array or bag from the last to the first."""
    seen: set[str] = set()
    while names:
        for name in names:
            if isinstance(layer := graph.layers.get(name), PlannedLayer):
                return layer.plan
        seen.update(names)
        names = [name for after in names for name in graph.dependencies.get(after, ()) if name not in seen]
    return None
