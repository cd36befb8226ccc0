"""``safeframe.explain``: the plans in a collection, and its steps of plain dask that gather or multiply rows."""

from __future__ import annotations

from typing import Any

from dask.base import is_dask_collection
from dask.highlevelgraph import HighLevelGraph

from safeframe._dask.expressions import Elemwise, Expr, row_filters, row_steps
from safeframe.choices import check_flags
from safeframe.engine.planned.layer import PlannedLayer
from safeframe.engine.planned.nodes import Planned
from safeframe.errors import SchemaMismatchError
from safeframe.facts.cluster import ClusterSpec
from safeframe.facts.explanation import Explanation
from safeframe.facts.plan import Plan
from safeframe.prepare.arguments import given_budget
from safeframe.prepare.explain.frames import FrameSteps
from safeframe.prepare.explain.layers import findings_of_layers, plans_of_layers
from safeframe.sizing.planned_cluster import planned_for


def explain(
    collection: Any, *, count_keys: bool = False, cluster: ClusterSpec | None = None
) -> Plan | Any:  # or an Explanation: most callers know that they have a recipe's result
    """Return the plan of a recipe's result, or what any other dask collection will hold.

    Parameters
    ----------
    collection
        A dask dataframe, series, array, bag or delayed object.
    count_keys
        Whether to read the keys of plain dask merges, and to count the rows that match. Everything before
        such a merge is computed for that.
    cluster
        The cluster that the collection would be computed on, if that is not the connected one.

    Returns
    -------
    Plan or Explanation
        The :class:`Plan` of a recipe's own result, also after steps that look at one row at a time, such as
        filters and selections of columns. For any other collection an :class:`Explanation`: the plans of the
        recipes among its steps, and a :class:`Finding` for each step of plain dask that gathers rows in one
        task or makes more of them, with what it holds at most and the recipe to use instead.

    Raises
    ------
    SchemaMismatchError
        When ``collection`` is not a dask collection.

    Notes
    -----
    **Eager.** The plan of a recipe is part of its result: nothing is read. Otherwise footers of parquet files,
    and for strings the first rows of some row groups; with a client, one round trip to each worker. Keys are
    read only with ``count_keys=True``.

    **Memory.** ``held_nbytes`` of a finding is an upper bound of the rows that one task takes and of those that it
    makes of them, by the types of columns; copies that pandas makes meanwhile come on top. What only a run can tell, such as the rows
    that a function passed to ``map_partitions`` returns, is not known, and the finding says so.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": [3, 1, 2, 1]}), npartitions=2)
    >>> plan = safeframe.explain(safeframe.set_index(frame, "k", npartitions=2))
    >>> plan.recipe, plan.output_partitions, plan.fits
    ('set_index', 2, True)
    >>> explanation = safeframe.explain(frame.repartition(npartitions=1))
    >>> [(finding.operation, finding.exceeds, finding.recipe) for finding in explanation.findings]
    [('repartition(npartitions=1)', False, 'safeframe.rebalance_partitions')]
    """
    check_flags(count_keys=count_keys)
    if not is_dask_collection(collection):
        msg = f"collection is a {type(collection).__name__}; a dask collection is expected."
        hint = "Pass a dask dataframe, series, array, bag or delayed object, before it is computed."
        raise SchemaMismatchError(msg, hint=hint)
    expr = getattr(collection, "expr", None)
    with planned_for(cluster):
        if isinstance(expr, Expr):
            return _of_recipe(expr) or _of_frame(expr, count_keys=count_keys)
        return _of_layers(collection)


def _of_recipe(expr: Any) -> Plan | None:
    """Return the plan of the recipe that an expression is, with nothing but steps of one row at a time after it."""
    seen: set[str] = set()
    found: list[Planned] = []
    waiting = [expr]
    while waiting:
        node = waiting.pop()
        if node._name in seen:
            continue
        seen.add(node._name)
        if isinstance(node, Planned) and node.own_plan is not None:
            found.append(node)
        elif (
            isinstance(node, (Planned, Elemwise)) or type(node) in row_steps() | row_filters()
        ) and node.dependencies():
            waiting.extend(node.dependencies())
        else:
            return None
    return found[0].own_plan if len(found) == 1 else None


def _of_frame(expr: Any, *, count_keys: bool) -> Explanation:
    steps = FrameSteps(expr, given_budget(None), count_keys=count_keys)
    return Explanation(plans=steps.plans(), findings=steps.findings())


def _of_layers(collection: Any) -> Plan | Explanation:
    # A delayed object has any attribute, and none of a dataframe's graph is made here.
    graph = getattr(collection, "dask", None)
    if not isinstance(graph, HighLevelGraph):
        return Explanation(plans=(), findings=())
    for name in collection.__dask_layers__():
        if isinstance(layer := graph.layers.get(name), PlannedLayer):
            return layer.plan
    return Explanation(
        plans=plans_of_layers(graph), findings=findings_of_layers(collection, graph, given_budget(None))
    )
