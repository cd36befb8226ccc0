"""``safeframe.duplicated``: a mark for each row whose key was met before, on small workers."""

from __future__ import annotations

from typing import Any, Literal, cast

import dask.dataframe as dd

from safeframe.facts.cluster import ClusterSpec
from safeframe.facts.keys import KeyStatistics
from safeframe.facts.plan import Plan
from safeframe.facts.strategies import DistinctStrategy
from safeframe.prepare.distinct.arguments import moves
from safeframe.prepare.distinct.plan import DistinctRequest, PlannedDistinct, plan_rows
from safeframe.sizing.planned_cluster import planned_for

_RECIPE = "duplicated"


def duplicated(
    ddf: dd.DataFrame,
    /,
    subset: Any = None,
    *,
    keep: Literal["first", "last", False] = "first",
    strategy: DistinctStrategy | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    statistics: KeyStatistics | None = None,
) -> dd.Series:
    """Mark rows whose key was met before: those that :func:`safeframe.drop_duplicates` drops.

    Parameters
    ----------
    ddf
        The dask dataframe.
    subset
        Key column, or a list of them; all columns by default.
    keep
        Which row of a key is not marked: the ``"first"`` or the ``"last"`` in
        the order of the frame, or none of those that have a key in common, for
        ``False``.
    strategy, memory, staging, statistics
        As for :func:`safeframe.drop_duplicates`.

    Returns
    -------
    dask.dataframe.Series
        Lazy. A bool for each row, with the index, divisions and partitions of ``ddf``.

    Raises
    ------
    KeyNotFoundError, SchemaMismatchError, ValidationError, UnsupportedError, StagingError
        As :func:`safeframe.drop_duplicates` raises them.
    MemoryBudgetError, RowConservationError
        At compute time, as with :func:`safeframe.drop_duplicates`.

    Notes
    -----
    **Eager.** The key columns are read once, when this function is called.

    **Memory**, **disk** and **passes** are those of :func:`safeframe.drop_duplicates` on a frame that has only
    the key columns.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": [1, 2, 1, 3]}), npartitions=2)
    >>> safeframe.duplicated(frame, "k", keep="last").compute().tolist()
    [True, False, False, False]
    """
    planned = _planned(ddf, subset, keep, strategy, memory, staging, statistics)
    return cast("dd.Series", planned.collection())


def plan_duplicated(
    ddf: dd.DataFrame,
    /,
    subset: Any = None,
    *,
    keep: Literal["first", "last", False] = "first",
    strategy: DistinctStrategy | None = None,
    memory: str | int | None = None,
    staging: str | None = None,
    statistics: KeyStatistics | None = None,
    cluster: ClusterSpec | None = None,
) -> Plan:
    """Return the plan of :func:`safeframe.duplicated`, without moving rows.

    Takes the arguments of :func:`safeframe.duplicated`, and raises the same errors for them. A plan that is
    too large does not raise: ``plan.fits`` is then False. With ``cluster=`` the
    plan is for the cluster that a :class:`~safeframe.ClusterSpec` describes, and need not be connected.

    Returns
    -------
    Plan
        The strategy and its reasons, distinct keys, and the memory and disk that it needs.

    Notes
    -----
    **Eager.** As :func:`safeframe.duplicated`: the key columns are read once.

    Examples
    --------
    >>> import pandas as pd, dask.dataframe as dd, safeframe
    >>> frame = dd.from_pandas(pd.DataFrame({"k": [1, 2, 1, 3]}), npartitions=2)
    >>> safeframe.plan_duplicated(frame, "k").output_partitions
    2
    """
    with planned_for(cluster):
        return _planned(ddf, subset, keep, strategy, memory, staging, statistics).plan


def _planned(
    ddf: Any,
    subset: Any,
    keep: Any,
    strategy: str | None,
    memory: str | int | None,
    staging: str | None,
    statistics: KeyStatistics | None,
) -> PlannedDistinct:
    request = DistinctRequest(
        recipe=_RECIPE, subset=subset, keep=keep, wanted="marks", ignore_index=False, statistics=statistics
    )
    return plan_rows(ddf, request, moves(_RECIPE, strategy=strategy, memory=memory, staging=staging))
